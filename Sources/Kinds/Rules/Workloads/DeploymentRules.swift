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
    checks.replicaSelectorAndTemplate(spec)
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
    default:
      checks.notSupported(
        path, goValue: GoSyntax.strategy(strategy, "apps.DeploymentStrategy", "apps.RollingUpdateDeployment"),
        ["Recreate", "RollingUpdate"])
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutableSelector(object, old)
    return checks.errors
  }

  var keptByStatus: [[String]] { [["metadata", "labels"]] }
  /// Labels of a deployment are not its controller's to change.
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    object["metadata"]["labels"] = old["metadata"]["labels"]
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
    checks.noMoreAvailableThanReady(status)
    checks.collisionCountStays(object, old)
    return checks.errors
  }

  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] { templateWarnings(object, old) }

  /// Annotations count here: replica sets get those of their deployment.
  func generationChanged(_ object: JSONValue, old: JSONValue) -> Bool {
    object["spec"] != old["spec"]
      || (object["metadata"]["annotations"].object ?? [:]) != (old["metadata"]["annotations"].object ?? [:])
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
    checks.replicaSelectorAndTemplate(spec)
    return checks.errors
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

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

  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] { templateWarnings(object, old) }
}

extension KindRules {
  /// Of kinds whose updates the reference checks as new objects and again as updates.
  func validatedTwice(_ object: JSONValue) -> [FieldError] {
    let errors = validate(object)
    return errors + errors
  }
}

extension Checks {
  /// Selector and template of deployments and replica sets, which the reference tells of in the same words.
  mutating func replicaSelectorAndTemplate(_ spec: JSONValue) {
    let selector = spec["selector"]
    ownSelector(selector, emptyMessage: "empty selector is invalid for deployment")
    guard let parsed = try? LabelSelector(selector) else {
      return invalid("spec.selector", goValue: GoSyntax.labelSelector(selector), "invalid label selector")
    }
    workloadTemplate(
      spec["template"], "spec.template", selector: parsed,
      deadlineMessage: "activeDeadlineSeconds in ReplicaSet is not Supported")
  }

  /// A selector that must be there and select something.
  mutating func ownSelector(_ selector: JSONValue, emptyMessage: String) {
    guard !selector.isNull else { return required("spec.selector") }
    labelSelector(selector, "spec.selector")
    if selector["matchLabels"].isEmptyValue, selector["matchExpressions"].isEmptyValue {
      invalid("spec.selector", goValue: GoSyntax.labelSelector(selector), emptyMessage)
    }
  }

  mutating func immutableSelector(_ object: JSONValue, _ old: JSONValue) {
    let selector = object["spec"]["selector"]
    if selector != old["spec"]["selector"] {
      invalid("spec.selector", goValue: GoSyntax.labelSelector(selector), Self.immutableMessage)
    }
  }

  /// At most all of them.
  mutating func noMoreThanAll(_ value: JSONValue, _ path: String) {
    if let percent = value.string.flatMap(Self.percent), percent > 100 {
      invalid(path, goValue: GoSyntax.intOrString(value), "must not be greater than 100%")
    }
  }
  /// Text that is no percentage counts as the number that it is, if it is one.
  static func isZeroPace(_ value: JSONValue) -> Bool {
    (value.integer ?? value.string.flatMap { percent($0) ?? Int64($0) } ?? 0) == 0
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

  /// As above, in other words.
  mutating func noMoreAvailableThanReady(_ status: JSONValue) {
    if let count = status["availableReplicas"].integer, count > status["readyReplicas"].integer ?? 0 {
      invalid("status.availableReplicas", .integer(count), "cannot be greater than readyReplicas")
    }
  }

  /// A count of collisions of names only grows.
  mutating func collisionCountStays(_ object: JSONValue, _ old: JSONValue) {
    guard let before = old["status"]["collisionCount"].integer else { return }
    let count = object["status"]["collisionCount"].integer
    if count.map({ $0 < before }) ?? true {
      invalid("status.collisionCount", .integer(count ?? 0), "cannot be decremented")
    }
  }

  /// The status of replica sets and replication controllers.
  mutating func replicaStatus(_ status: JSONValue) {
    for name in ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"] {
      nonNegative(status[name], "status.\(name)")
    }
    noMoreThan(status, "replicas", ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"])
    noMoreAvailableThanReady(status)
  }
}
