// Stateful sets, daemon sets and controller revisions.
import JSON
import Schema

struct StatefulSetRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {
    PodDefaults.applyToSpec(&object["spec"]["template"]["spec"])
    var strategy = object["spec"]["updateStrategy"]
    if strategy["type"].isEmptyValue {
      strategy["type"] = "RollingUpdate"
      strategy["rollingUpdate"].setDefault([:])
    }
    if strategy["type"] == "RollingUpdate", !strategy["rollingUpdate"].isNull {
      strategy["rollingUpdate"]["partition"].setDefault(0)
    }
    object["spec"]["updateStrategy"] = strategy
    object["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"].setDefaultText("Retain")
    object["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"].setDefaultText("Retain")
    object["spec"]["volumeClaimTemplates"].mutateElements { claim in
      claim["kind"].setDefaultText("PersistentVolumeClaim")
      claim["apiVersion"].setDefaultText("v1")
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.oneOf(spec["podManagementPolicy"], "spec.podManagementPolicy", ["OrderedReady", "Parallel"])
    let strategy = spec["updateStrategy"]
    switch strategy["type"].text {
    case "": checks.required("spec.updateStrategy")
    case "OnDelete":
      if !strategy["rollingUpdate"].isNull {
        checks.invalid(
          "spec.updateStrategy.rollingUpdate", strategy["rollingUpdate"],
          "only allowed for updateStrategy 'RollingUpdate'")
      }
    case "RollingUpdate":
      checks.nonNegative(
        strategy["rollingUpdate"]["partition"], "spec.updateStrategy.rollingUpdate.partition")
    default:
      checks.invalid("spec.updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'")
    }
    for name in ["whenDeleted", "whenScaled"] {
      checks.oneOf(
        spec["persistentVolumeClaimRetentionPolicy"][name], "spec.persistentVolumeClaimRetentionPolicy.\(name)",
        ["Delete", "Retain"])
    }
    for name in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
      checks.nonNegative(spec[name], "spec.\(name)")
    }
    checks.nonNegative(spec["ordinals"]["start"], "spec.ordinals.start")
    checks.workloadSelectorAndTemplate(
      spec, emptyMessage: "empty selector is invalid for statefulset", kind: "StatefulSet")
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var rest = object["spec"]
    for name in [
      "replicas", "ordinals", "template", "updateStrategy", "persistentVolumeClaimRetentionPolicy",
      "minReadySeconds",
    ] {
      rest[name] = old["spec"][name]
    }
    guard rest != old["spec"] else { return [] }
    return [
      .forbidden(
        "spec",
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
          + "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")
    ]
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let status = object["status"]
    for name in [
      "replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas",
      "observedGeneration", "collisionCount",
    ] {
      checks.nonNegative(status[name], "status.\(name)")
    }
    checks.noMoreThan(
      status, "replicas", ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"])
    return checks.errors
  }
}

struct DaemonSetRules: KindRules {
  private static let generationAnnotation = "deprecated.daemonset.template.generation"

  func applyDefaults(to object: inout JSONValue) {
    PodDefaults.applyToSpec(&object["spec"]["template"]["spec"])
    object["spec"]["updateStrategy"]["type"].setDefaultText("RollingUpdate")
    if object["spec"]["updateStrategy"]["type"] == "RollingUpdate" {
      object["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"].setDefault(1)
      object["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"].setDefault(0)
    }
  }

  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    object["metadata"]["annotations"][Self.generationAnnotation] = "1"
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    var generation = Int64(old["metadata"]["annotations"][Self.generationAnnotation].text) ?? 0
    if object["spec"]["template"] != old["spec"]["template"] { generation += 1 }
    object["metadata"]["annotations"][Self.generationAnnotation] = .string(String(generation))
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.workloadSelectorAndTemplate(
      spec, emptyMessage: "empty selector is invalid for daemonset", kind: "DaemonSet")
    checks.nonNegative(spec["minReadySeconds"], "spec.minReadySeconds")
    let strategy = spec["updateStrategy"]
    let path = "spec.updateStrategy"
    switch strategy["type"].text {
    case "OnDelete": break
    case "RollingUpdate":
      let update = strategy["rollingUpdate"]
      checks.rollingPace(update["maxUnavailable"], "\(path).rollingUpdate.maxUnavailable")
      checks.rollingPace(update["maxSurge"], "\(path).rollingUpdate.maxSurge")
      let unavailableIsZero = Checks.isZeroPace(update["maxUnavailable"])
      let surgeIsZero = Checks.isZeroPace(update["maxSurge"])
      if unavailableIsZero, surgeIsZero {
        checks.required("\(path).rollingUpdate.maxUnavailable", "cannot be 0 when maxSurge is 0")
      } else if !unavailableIsZero, !surgeIsZero {
        checks.invalid(
          "\(path).rollingUpdate.maxSurge", goValue: GoSyntax.intOrString(update["maxSurge"]),
          "may not be set when maxUnavailable is non-zero")
      }
    default: checks.notSupported("\(path).type", strategy["type"], ["RollingUpdate", "OnDelete"])
    }
    checks.nonNegative(spec["revisionHistoryLimit"], "spec.revisionHistoryLimit")
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutableSelector(object, old)
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for name in [
      "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration",
      "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
    ] {
      checks.nonNegative(object["status"][name], "status.\(name)")
    }
    return checks.errors
  }
}

struct ControllerRevisionRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    if object["data"].isNull { checks.required("data", "data is mandatory") }
    checks.nonNegative(object["revision"], "revision")
    return checks.errors
  }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutable(object["data"], old["data"], "data")
    return checks.errors
  }
}
