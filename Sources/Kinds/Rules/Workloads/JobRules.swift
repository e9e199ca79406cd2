// Jobs.
import JSON
import Schema

struct JobRules: KindRules {
  static let uidLabel = "batch.kubernetes.io/controller-uid"
  static let nameLabel = "batch.kubernetes.io/job-name"
  /// The same without a domain, as older clients look for them.
  private static let legacyUIDLabel = "controller-uid"
  private static let legacyNameLabel = "job-name"

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
    object["spec"] = spec
    // Before the template has its generated labels, a new job waits for them (`prepareForCreate`).
    if !spec["template"]["metadata"]["labels"][Self.uidLabel].isNull { Self.defaultLabels(&object) }
  }

  /// A job that has no labels has those of its pods.
  private static func defaultLabels(_ object: inout JSONValue) {
    let labels = object["spec"]["template"]["metadata"]["labels"]
    if object["metadata"]["labels"].isEmptyValue, !labels.isEmptyValue { object["metadata"]["labels"] = labels }
  }

  /// A job finds its pods by its own UID, unless told to find them otherwise.
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    if object["spec"]["manualSelector"].bool != true {
      for (key, value) in Self.generatedLabels(object)
      where object["spec"]["template"]["metadata"]["labels"][key].isNull {
        object["spec"]["template"]["metadata"]["labels"][key] = value
      }
      let uid = object["metadata"]["uid"]
      object["spec"]["selector"]["matchLabels"][Self.uidLabel].setDefault(uid)
    }
    Self.defaultLabels(&object)
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    Self.defaultLabels(&object)
  }

  /// In the order in which the reference misses them.
  private static func generatedLabels(_ object: JSONValue) -> [(key: String, value: JSONValue)] {
    let (uid, name) = (object["metadata"]["uid"], object["metadata"]["name"])
    return [(legacyUIDLabel, uid), (legacyNameLabel, name), (uidLabel, uid), (nameLabel, name)]
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let selector = spec["selector"]
    if spec["manualSelector"].bool != true, !selector.isNull { generatedSelector(object, &checks) }
    checks.jobSpec(spec, "spec")
    if selector.isNull {
      checks.required("spec.selector")
    } else {
      checks.labelSelector(selector, "spec.selector")
    }
    if let parsed = try? LabelSelector(selector) {
      checks.templateLabels(spec["template"], "spec.template", selector: parsed)
    }
    if spec["completionMode"] == "Indexed", let completions = spec["completions"].integer, completions > 0 {
      // What the last of its pods is called.
      let host = "\(object["metadata"]["name"].text)-\(completions - 1)"
      if !Validate.dns1123Label(host).isEmpty {
        checks.invalid(
          "metadata.name", object["metadata"]["name"], "will not able to create pod with invalid DNS label: \(host)")
      }
    }
    return checks.errors
  }

  private func generatedSelector(_ object: JSONValue, _ checks: inout Checks) {
    let labels = object["spec"]["template"]["metadata"]["labels"]
    let generated = Self.generatedLabels(object)
    for (key, expected) in generated {
      let place = "spec.template.metadata.labels[\(key)]"
      if labels[key].isNull {
        checks.required(place, "must be '\(expected.text)'")
      } else if labels[key] != expected {
        checks.invalid(place, goValue: GoSyntax.stringMap(labels), "must be '\(expected.text)'")
      }
    }
    let selector = object["spec"]["selector"]
    let known = Dictionary(uniqueKeysWithValues: generated.map { ($0.key, $0.value.text) })
    if let parsed = try? LabelSelector(selector), !parsed.matches(known) {
      checks.invalid("spec.selector", goValue: GoSyntax.labelSelector(selector), "`selector` not auto-generated")
    }
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let before = old["spec"]
    completions(spec, before, &checks)
    checks.immutableSelector(object, old)
    var template = spec["template"]
    // A job that never ran may still be told where to run.
    if before["suspend"] == true, old["status"]["startTime"].isNull {
      Self.forgetScheduling(&template, before["template"])
    }
    if template != before["template"] {
      checks.invalid("spec.template", spec["template"], Checks.immutableMessage)
    }
    for name in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
      checks.immutable(spec[name], before[name], "spec.\(name)")
    }
    return checks.errors
  }

  /// Indexed jobs grow and shrink, with as many pods at once as there are indexes.
  private func completions(_ spec: JSONValue, _ before: JSONValue, _ checks: inout Checks) {
    guard spec["completionMode"] == "Indexed" else {
      return checks.immutable(spec["completions"], before["completions"], "spec.completions")
    }
    guard spec["completions"] != before["completions"], !spec["completions"].isNull,
      spec["completions"] != spec["parallelism"]
    else { return }
    checks.invalid("spec.completions", spec["completions"], "can only be modified in tandem with spec.parallelism")
  }

  /// Makes equal what may differ: where pods run, how they are called and what is said of them.
  private static func forgetScheduling(_ template: inout JSONValue, _ before: JSONValue) {
    for name in ["nodeSelector", "tolerations", "schedulingGates"] {
      template["spec"][name] = before["spec"][name]
    }
    for name in ["labels", "annotations"] { template["metadata"][name] = before["metadata"][name] }
    var affinity = template["spec"]["affinity"]
    let oldAffinity = before["spec"]["affinity"]
    guard affinity["nodeAffinity"] != oldAffinity["nodeAffinity"] else { return }
    affinity["nodeAffinity"] = oldAffinity["nodeAffinity"]
    // No affinity at all and one that says nothing else are the same here.
    if affinity.isEmptyValue, oldAffinity.isNull { affinity = .null }
    template["spec"]["affinity"] = affinity
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = JobStatusChecks(job: object, old: old)
    return checks.run()
  }

  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    guard old.isNull || object["metadata"]["generation"] != old["metadata"]["generation"] else { return [] }
    return (old.isNull ? NameWarnings.ofOwner(object) : []) + Self.warnings(ofSpec: object["spec"], "spec")
  }

  /// Also of the template of a cron job.
  static func warnings(ofSpec spec: JSONValue, _ path: String) -> [String] {
    var warnings: [String] = []
    if spec["completionMode"] == "Indexed", spec["completions"].integer ?? 0 > 100_000,
      spec["parallelism"].integer ?? 0 > 10_000
    {
      warnings.append(
        "\(path): In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
          + "Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
    }
    return warnings + PodWarnings.ofTemplate(spec["template"], "\(path).template")
  }
}
