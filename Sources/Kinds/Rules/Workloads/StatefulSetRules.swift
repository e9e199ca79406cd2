// Stateful sets, daemon sets and controller revisions.
import JSON
import Schema
import World

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

  /// How many pods may be missing at once is a feature that is off.
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    guard !object["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"].isNull else { return }
    object["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = .null
  }
  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    guard old["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"].isNull else { return }
    prepareForCreate(&object, context: context)
  }

  /// Its pods are called after it, and numbered.
  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    NameRule.label.check(name, isGeneratePrefix: isGeneratePrefix)
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let management = spec["podManagementPolicy"]
    if management.isEmptyValue {
      checks.required("spec.podManagementPolicy")
    } else if !["OrderedReady", "Parallel"].contains(management.text) {
      checks.invalid("spec.podManagementPolicy", management, "must be 'OrderedReady' or 'Parallel'")
    }
    strategy(spec["updateStrategy"], &checks)
    for name in ["whenDeleted", "whenScaled"] {
      checks.choice(
        spec["persistentVolumeClaimRetentionPolicy"][name], "spec.persistentVolumeClaimRetentionPolicy.\(name)",
        ["Retain", "Delete"])
    }
    for name in ["replicas", "minReadySeconds"] { checks.nonNegative(spec[name], "spec.\(name)") }
    checks.nonNegative(spec["ordinals"]["start"], "spec.ordinals.start")
    let selector = spec["selector"]
    checks.ownSelector(selector, emptyMessage: "empty selector is invalid for statefulset")
    if let parsed = try? LabelSelector(selector) {
      template(spec["template"], selector: parsed, &checks)
    } else {
      checks.invalid("spec.selector", goValue: GoSyntax.labelSelector(selector), "")
    }
    checks.runsForever(
      spec["template"], "spec.template", deadlineMessage: "activeDeadlineSeconds in StatefulSet is not Supported")
    return checks.errors
  }

  /// What its pods are made of is not looked at before they are made: their volumes come from claims yet to be.
  private func template(_ template: JSONValue, selector: LabelSelector, _ checks: inout Checks) {
    checks.templateLabels(template, "spec.template", selector: selector)
    checks.labels(template["metadata"]["labels"], "spec.template.labels")
    checks.annotations(template["metadata"]["annotations"], "spec.template.annotations")
    checks.podAnnotations(template, "spec.template.annotations")
  }

  private func strategy(_ strategy: JSONValue, _ checks: inout Checks) {
    let path = "spec.updateStrategy"
    let update = strategy["rollingUpdate"]
    switch strategy["type"].text {
    case "": checks.required(path)
    case "OnDelete":
      if !update.isNull {
        checks.invalid(
          "\(path).rollingUpdate",
          goValue: "apps.RollingUpdateStatefulSetStrategy{Partition:\(update["partition"].integer ?? 0), "
            + "MaxUnavailable:(*intstr.IntOrString)(nil)}",
          "only allowed for updateStrategy 'RollingUpdate'")
      }
    case "RollingUpdate": checks.nonNegative(update["partition"], "\(path).rollingUpdate.partition")
    default:
      checks.invalid(
        path,
        goValue: GoSyntax.strategy(
          strategy, "apps.StatefulSetUpdateStrategy", "apps.RollingUpdateStatefulSetStrategy"),
        "must be 'RollingUpdate' or 'OnDelete'")
    }
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
    checks.noMoreThan(status, "readyReplicas", ["availableReplicas"])
    checks.collisionCountStays(object, old)
    return checks.errors
  }

  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    var warnings = templateWarnings(object, old, namesPods: false)
    for (index, claim) in object["spec"]["volumeClaimTemplates"].elements.enumerated() {
      warnings += ByteWarnings.ofClaim(claim["spec"], "spec.volumeClaimTemplates[\(index)]")
    }
    if let limit = object["spec"]["revisionHistoryLimit"].integer, limit < 0 {
      warnings.append(
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
    }
    return warnings
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
    // A field of the reference's own form of the kind: whoever writes the object anew without it is its owner.
    if object["metadata"]["annotations"][Self.generationAnnotation].isNull {
      object["metadata"]["annotations"][Self.generationAnnotation] = "0"
    }
  }

  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    let given = Int64(object["metadata"]["annotations"][Self.generationAnnotation].text) ?? 0
    object["metadata"]["annotations"][Self.generationAnnotation] = .string(String(max(given, 1)))
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    var generation = Int64(old["metadata"]["annotations"][Self.generationAnnotation].text) ?? 0
    // Whoever makes the object says what it begins with.
    if object["spec"]["template"] != old["spec"]["template"] { generation = generation.addingSaturated(1) }
    object["metadata"]["annotations"][Self.generationAnnotation] = .string(String(generation))
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let selector = spec["selector"]
    checks.labelSelector(selector, "spec.selector")
    if let parsed = try? LabelSelector(selector) {
      checks.templateLabels(spec["template"], "spec.template", selector: parsed)
    }
    if !selector.isNull, selector["matchLabels"].isEmptyValue, selector["matchExpressions"].isEmptyValue {
      checks.invalid(
        "spec.selector", goValue: GoSyntax.labelSelector(selector), "empty selector is invalid for daemonset")
    }
    checks.podTemplate(spec["template"], "spec.template")
    checks.runsForever(
      spec["template"], "spec.template", deadlineMessage: "activeDeadlineSeconds in DaemonSet is not Supported")
    checks.nonNegative(spec["minReadySeconds"], "spec.minReadySeconds")
    strategy(spec["updateStrategy"], &checks)
    checks.nonNegative(spec["revisionHistoryLimit"], "spec.revisionHistoryLimit")
    return checks.errors
  }

  private func strategy(_ strategy: JSONValue, _ checks: inout Checks) {
    let path = "spec.updateStrategy"
    switch strategy["type"].text {
    case "OnDelete": break
    case "RollingUpdate":
      let paces = ["maxUnavailable", "maxSurge"].map { ("\(path).rollingUpdate.\($0)", strategy["rollingUpdate"][$0]) }
      for (place, pace) in paces { checks.nonNegativeIntOrPercent(pace, place) }
      for (place, pace) in paces { checks.noMoreThanAll(pace, place) }
      switch (Checks.isZeroPace(paces[0].1), Checks.isZeroPace(paces[1].1)) {
      case (true, true): checks.required(paces[0].0, "cannot be 0 when maxSurge is 0")
      case (false, false):
        checks.invalid(
          paces[1].0, goValue: GoSyntax.intOrString(paces[1].1), "may not be set when maxUnavailable is non-zero")
      default: break
      }
    default:
      checks.notSupported(
        path, goValue: GoSyntax.strategy(strategy, "apps.DaemonSetUpdateStrategy", "apps.RollingUpdateDaemonSet"),
        ["RollingUpdate", "OnDelete"])
    }
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

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
    checks.collisionCountStays(object, old)
    return checks.errors
  }

  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    templateWarnings(object, old, namesPods: false)
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
