// Deployments and replica sets.
import JSON
import Schema

struct DeploymentRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {
    PodDefaults.applyToSpec(&object["spec"]["template"]["spec"])
    object["spec"]["strategy"]["type"].setDefaultText("RollingUpdate")
    guard object["spec"]["strategy"]["type"] == "RollingUpdate" else { return }
    object["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"].setDefault("25%")
    object["spec"]["strategy"]["rollingUpdate"]["maxSurge"].setDefault("25%")
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.nonNegative(spec["replicas"], "spec.replicas")
    checks.workloadSelectorAndTemplate(
      spec, emptyMessage: "empty selector is invalid for deployment", kind: "ReplicaSet")
    strategy(spec["strategy"], &checks)
    for name in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
      checks.nonNegative(spec[name], "spec.\(name)")
    }
    if let deadline = spec["progressDeadlineSeconds"].integer, deadline <= spec["minReadySeconds"].integer ?? 0 {
      checks.invalid("spec.progressDeadlineSeconds", .integer(deadline), "must be greater than minReadySeconds")
    }
    return checks.errors
  }

  private func strategy(_ strategy: JSONValue, _ checks: inout Checks) {
    let path = "spec.strategy"
    switch strategy["type"].text {
    case "Recreate":
      if !strategy["rollingUpdate"].isNull {
        checks.forbidden("\(path).rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
      }
    case "RollingUpdate":
      let update = strategy["rollingUpdate"]
      checks.nonNegativeIntOrPercent(update["maxUnavailable"], "\(path).rollingUpdate.maxUnavailable")
      checks.nonNegativeIntOrPercent(update["maxSurge"], "\(path).rollingUpdate.maxSurge")
      if Checks.isZeroPace(update["maxUnavailable"]), Checks.isZeroPace(update["maxSurge"]) {
        checks.invalid(
          "\(path).rollingUpdate.maxUnavailable", goValue: GoSyntax.intOrString(update["maxUnavailable"]),
          "may not be 0 when `maxSurge` is 0")
      }
      checks.noMoreThanAll(update["maxUnavailable"], "\(path).rollingUpdate.maxUnavailable")
    default: checks.notSupported("\(path).type", strategy["type"], ["Recreate", "RollingUpdate"])
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutableSelector(object, old)
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let status = object["status"]
    for name in [
      "observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
      "unavailableReplicas", "collisionCount",
    ] {
      checks.nonNegative(status[name], "status.\(name)")
    }
    checks.noMoreThan(status, "replicas", ["updatedReplicas", "readyReplicas", "availableReplicas"])
    checks.noMoreThan(status, "readyReplicas", ["availableReplicas"])
    if let count = status["collisionCount"].integer, count < old["status"]["collisionCount"].integer ?? 0 {
      checks.invalid("status.collisionCount", .integer(count), "cannot be decremented")
    }
    return checks.errors
  }

  func warnings(for object: JSONValue) -> [String] {
    PodWarnings.ofSpec(object["spec"]["template"]["spec"], "spec.template.spec")
  }
}

struct ReplicaSetRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {
    PodDefaults.applyToSpec(&object["spec"]["template"]["spec"])
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.nonNegative(spec["replicas"], "spec.replicas")
    checks.nonNegative(spec["minReadySeconds"], "spec.minReadySeconds")
    checks.workloadSelectorAndTemplate(
      spec, emptyMessage: "empty selector is invalid for deployment", kind: "ReplicaSet")
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutableSelector(object, old)
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.replicaStatus(object["status"])
    return checks.errors
  }
}

extension Checks {
  /// Selector and template of the kinds of apps/v1.
  mutating func workloadSelectorAndTemplate(_ spec: JSONValue, emptyMessage: String, kind: String) {
    let selector = spec["selector"]
    if selector.isNull {
      required("spec.selector")
    } else {
      labelSelector(selector, "spec.selector")
      if selector["matchLabels"].isEmptyValue, selector["matchExpressions"].isEmptyValue {
        invalid("spec.selector", goValue: GoSyntax.labelSelector(selector), emptyMessage)
      }
    }
    guard let parsed = try? LabelSelector(selector) else {
      return invalid("spec.selector", goValue: GoSyntax.labelSelector(selector), "invalid label selector")
    }
    workloadTemplate(
      spec["template"], "spec.template", selector: parsed,
      deadlineMessage: "activeDeadlineSeconds in \(kind) is not Supported")
  }

  mutating func immutableSelector(_ object: JSONValue, _ old: JSONValue) {
    let selector = object["spec"]["selector"]
    if selector != old["spec"]["selector"] {
      invalid("spec.selector", goValue: GoSyntax.labelSelector(selector), Self.immutableMessage)
    }
  }

  /// An integer of at least 0, or a percentage of at most 100.
  mutating func rollingPace(_ value: JSONValue, _ path: String) {
    nonNegativeIntOrPercent(value, path)
    noMoreThanAll(value, path)
  }
  mutating func noMoreThanAll(_ value: JSONValue, _ path: String) {
    if let percent = value.string.flatMap(Self.percent), percent > 100 {
      invalid(path, goValue: GoSyntax.intOrString(value), "must not be greater than 100%")
    }
  }
  static func isZeroPace(_ value: JSONValue) -> Bool {
    (value.integer ?? value.string.flatMap(percent) ?? 0) == 0
  }

  /// Counts of a status that may not exceed another of it.
  mutating func noMoreThan(_ status: JSONValue, _ limit: String, _ names: [String]) {
    let maximum = status[limit].integer ?? 0
    for name in names {
      if let count = status[name].integer, count > maximum {
        invalid("status.\(name)", .integer(count), "cannot be greater than status.\(limit)")
      }
    }
  }

  /// The status of replica sets and replication controllers.
  mutating func replicaStatus(_ status: JSONValue) {
    for name in ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"] {
      nonNegative(status[name], "status.\(name)")
    }
    noMoreThan(status, "replicas", ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"])
    noMoreThan(status, "readyReplicas", ["availableReplicas"])
  }
}
