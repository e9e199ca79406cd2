// Jobs.
import JSON
import Schema

struct JobRules: KindRules {
  /// Completions and parallelism of indexed jobs; more would not fit the status.
  private static let maximumIndexedParallelism: Int64 = 100_000

  func applyDefaults(to object: inout JSONValue) {
    PodDefaults.applyToSpec(&object["spec"]["template"]["spec"])
    guard var spec = object["spec"].object.map({ JSONValue.object($0) }) else { return }
    if spec["completions"].isNull, spec["parallelism"].isNull { spec["completions"] = 1 }
    spec["parallelism"].setDefault(1)
    let isPerIndex = !spec["backoffLimitPerIndex"].isNull
    spec["backoffLimit"].setDefault(isPerIndex ? 2_147_483_647 : 6)
    spec["completionMode"].setDefaultText("NonIndexed")
    spec["suspend"].setDefault(false)
    spec["manualSelector"].setDefault(false)
    let hasFailurePolicy = !spec["podFailurePolicy"].isNull
    spec["podReplacementPolicy"].setDefaultText(hasFailurePolicy ? "Failed" : "TerminatingOrFailed")
    let labels = spec["template"]["metadata"]["labels"]
    if object["metadata"]["labels"].isEmptyValue, !labels.isEmptyValue { object["metadata"]["labels"] = labels }
    object["spec"] = spec
  }

  /// A job finds its pods by its own UID, unless told to find them otherwise.
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    guard object["spec"]["manualSelector"].bool != true else { return }
    let uid = object["metadata"]["uid"]
    let name = object["metadata"]["name"]
    let labels: [(String, JSONValue)] = [
      ("controller-uid", uid), ("job-name", name), ("batch.kubernetes.io/controller-uid", uid),
      ("batch.kubernetes.io/job-name", name),
    ]
    for (key, value) in labels where object["spec"]["template"]["metadata"]["labels"][key].isNull {
      object["spec"]["template"]["metadata"]["labels"][key] = value
    }
    object["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"].setDefault(uid)
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    Self.validate(object["spec"], "spec", &checks)
    let selector = object["spec"]["selector"]
    if selector.isNull {
      checks.required("spec.selector")
    } else {
      checks.labelSelector(selector, "spec.selector")
    }
    let labels = object["spec"]["template"]["metadata"]["labels"]
    if object["spec"]["manualSelector"].bool != true {
      generatedLabels(object, labels, &checks)
    }
    if let parsed = try? LabelSelector(selector), !parsed.matches(labels) {
      checks.invalid(
        "spec.template.metadata.labels", goValue: GoSyntax.stringMap(labels),
        "`selector` does not match template `labels`")
    }
    return checks.errors
  }

  private func generatedLabels(_ object: JSONValue, _ labels: JSONValue, _ checks: inout Checks) {
    for (keys, expected) in [
      (["controller-uid", "batch.kubernetes.io/controller-uid"], object["metadata"]["uid"]),
      (["job-name", "batch.kubernetes.io/job-name"], object["metadata"]["name"]),
    ] {
      for key in keys where labels[key] != expected {
        if labels[key].isNull {
          checks.required("spec.template.metadata.labels[\(key)]", "must be '\(expected.text)'")
        } else {
          checks.invalid("spec.template.metadata.labels[\(key)]", labels[key], "must be '\(expected.text)'")
        }
      }
    }
  }

  /// The spec but for its selector: what the template of a CronJob has as well.
  static func validate(_ spec: JSONValue, _ path: String, _ checks: inout Checks) {
    for name in [
      "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
      "backoffLimitPerIndex", "maxFailedIndexes",
    ] {
      checks.nonNegative(spec[name], "\(path).\(name)")
    }
    checks.oneOf(spec["completionMode"], "\(path).completionMode", ["Indexed", "NonIndexed"], orAbsent: true)
    if spec["completionMode"] == "Indexed" {
      if spec["completions"].isNull {
        checks.required("\(path).completions", "when completion mode is Indexed")
      }
      if let parallelism = spec["parallelism"].integer, parallelism > maximumIndexedParallelism {
        checks.invalid(
          "\(path).parallelism", .integer(parallelism),
          "must be less than or equal to \(maximumIndexedParallelism) when completion mode is Indexed")
      }
    } else if !spec["backoffLimitPerIndex"].isNull {
      checks.invalid(
        "\(path).backoffLimitPerIndex", spec["backoffLimitPerIndex"],
        "requires indexed completion mode")
    }
    checks.oneOf(
      spec["podReplacementPolicy"], "\(path).podReplacementPolicy", ["Failed", "TerminatingOrFailed"], orAbsent: true)
    if !spec["podFailurePolicy"].isNull {
      failurePolicy(spec["podFailurePolicy"], "\(path).podFailurePolicy", &checks)
      if spec["template"]["spec"]["restartPolicy"] != "Never" {
        checks.invalid(
          "\(path).template.spec.restartPolicy", spec["template"]["spec"]["restartPolicy"],
          "only \"Never\" is supported when podFailurePolicy is specified")
      }
    }
    checks.podTemplate(spec["template"], "\(path).template")
    let policy = spec["template"]["spec"]["restartPolicy"]
    if policy != "OnFailure", policy != "Never" {
      if policy == "" || policy == "Always" {
        checks.required("\(path).template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\"")
      } else {
        checks.notSupported("\(path).template.spec.restartPolicy", policy, ["OnFailure", "Never"])
      }
    }
  }

  private static func failurePolicy(_ policy: JSONValue, _ path: String, _ checks: inout Checks) {
    for (index, rule) in policy["rules"].elements.enumerated() {
      let place = "\(path).rules[\(index)]"
      checks.oneOf(rule["action"], "\(place).action", ["Count", "FailIndex", "FailJob", "Ignore"])
      let codes = rule["onExitCodes"]
      let hasPatterns = !rule["onPodConditions"].isEmptyValue
      if codes.isNull, !hasPatterns {
        checks.invalid(place, rule, "specifying one of OnExitCodes and OnPodConditions is required")
      } else if !codes.isNull, hasPatterns {
        checks.invalid(place, rule, "specifying both OnExitCodes and OnPodConditions is not supported")
      }
      guard !codes.isNull else { continue }
      checks.oneOf(codes["operator"], "\(place).onExitCodes.operator", ["In", "NotIn"])
      if codes["values"].isEmptyValue {
        checks.invalid("\(place).onExitCodes.values", codes["values"], "at least one value is required")
      }
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let before = old["spec"]
    let isElastic =
      spec["completionMode"] == "Indexed" && spec["completions"] == spec["parallelism"] && !spec["completions"].isNull
    if !isElastic { checks.immutable(spec["completions"], before["completions"], "spec.completions") }
    checks.immutableSelector(object, old)
    var template = spec["template"]
    // A job that never ran may still be told where to run.
    if before["suspend"] == true, old["status"]["startTime"].isNull {
      for name in ["nodeSelector", "tolerations", "affinity", "schedulingGates"] {
        template["spec"][name] = before["template"]["spec"][name]
      }
      for name in ["labels", "annotations"] { template["metadata"][name] = before["template"]["metadata"][name] }
    }
    if template != before["template"] {
      checks.invalid("spec.template", spec["template"], Checks.immutableMessage)
    }
    for name in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
      checks.immutable(spec[name], before[name], "spec.\(name)")
    }
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
      checks.nonNegative(object["status"][name], "status.\(name)")
    }
    return checks.errors
  }
}
