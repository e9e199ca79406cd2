// Persistent volumes and claims.
import JSON
import Schema

struct PersistentVolumeRules: KindRules {
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    let (spec, annotations) = (object["spec"], object["metadata"]["annotations"])
    var warnings = StorageClassAnnotation.warnings(annotations)
    let mountOptions = "volume.beta.kubernetes.io/mount-options"
    if !annotations[mountOptions].isNull {
      warnings.append(
        "metadata.annotations[\(mountOptions)]: deprecated since v1.31; use \"mountOptions\" attribute instead")
    }
    if spec["persistentVolumeReclaimPolicy"] == "Recycle" {
      warnings.append(
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
          + "approach is to use dynamic provisioning.")
    }
    warnings += NodeLabelWarnings.ofTerms(
      spec["nodeAffinity"]["required"]["nodeSelectorTerms"], "spec.nodeAffinity.required.nodeSelectorTerms")
    if let source = VolumeWarnings.ofPersistentVolumes.first(where: { !spec[$0.name].isNull }) {
      warnings.append("spec.\(source.name): \(source.message)")
    }
    return warnings
  }

  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    object["status"] = ["phase": "Pending", "lastPhaseTransitionTime": .string(context.now)]
  }
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    if object["status"]["phase"] != old["status"]["phase"],
      object["status"]["lastPhaseTransitionTime"] == old["status"]["lastPhaseTransitionTime"]
    {
      object["status"]["lastPhaseTransitionTime"] = .string(context.now)
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    if spec["accessModes"].isEmptyValue { checks.required("spec.accessModes") }
    checks.accessModes(spec["accessModes"], "spec.accessModes")
    capacity(spec["capacity"], &checks)
    checks.oneOf(
      spec["persistentVolumeReclaimPolicy"], "spec.persistentVolumeReclaimPolicy", ["Delete", "Recycle", "Retain"],
      orAbsent: true)
    let affinity = spec["nodeAffinity"]
    if !affinity["required"].isNull {
      checks.nodeSelector(affinity["required"], "spec.nodeAffinity.required")
    } else if !affinity.isNull {
      checks.required("spec.nodeAffinity.required", "must specify required node constraints")
    }
    checks.persistentVolumeSource(spec, "spec")
    if !spec["local"].isNull, affinity.isNull {
      checks.required("spec.nodeAffinity", "Local volume requires node affinity")
    }
    if !spec["storageClassName"].isEmptyValue {
      checks.text(spec["storageClassName"], "spec.storageClassName") { Validate.nameIsDNSSubdomain($0) }
    }
    if !spec["volumeMode"].isNull { checks.choice(spec["volumeMode"], "spec.volumeMode", ["Block", "Filesystem"]) }
    if spec["hostPath"]["path"] == "/", spec["persistentVolumeReclaimPolicy"] == "Recycle" {
      checks.forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
    }
    return checks.errors
  }

  private func capacity(_ capacity: JSONValue, _ checks: inout Checks) {
    if capacity.isEmptyValue { checks.required("spec.capacity") }
    let members = capacity.object ?? [:]
    if members["storage"] == nil || members.count > 1 {
      checks.report(
        FieldError(
          .notSupported, field: "spec.capacity",
          message: "Unsupported value: \(GoSyntax.resourceList(capacity)): supported values: \"storage\""))
    }
    for (name, value) in members {
      guard let quantity = Quantity(value.text) else { continue }
      if quantity.isNegative {
        checks.invalid("spec.capacity[\(name)]", .integer(quantity.value), "must be a valid resource quantity")
      }
      if quantity.isNegative || quantity.isZero {
        checks.invalid("spec.capacity[\(name)]", .string(quantity.description), "must be greater than zero")
      }
    }
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for source in TypeTable.builtIn["core.v1.PersistentVolumeSource"]?.fields ?? []
    where object["spec"][source.name] != old["spec"][source.name] {
      checks.forbidden(
        "spec.persistentvolumesource",
        "spec.persistentvolumesource is immutable after creation\n"
          + PodUpdate.differences(old["spec"][source.name], object["spec"][source.name], source.name))
      break
    }
    // (These two paths lack "spec" in the reference.)
    checks.immutable(object["spec"]["volumeMode"], old["spec"]["volumeMode"], "volumeMode")
    let affinity = object["spec"]["nodeAffinity"]
    if !old["spec"]["nodeAffinity"].isNull, affinity != old["spec"]["nodeAffinity"] {
      checks.invalid(
        "nodeAffinity", affinity, "field is immutable, except for updating from beta label to GA")
    }
    return checks.errors
  }
}

struct PersistentVolumeClaimRules: KindRules {
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    StorageClassAnnotation.warnings(object["metadata"]["annotations"]) + ByteWarnings.ofClaim(object["spec"], "spec")
  }

  func applyDefaults(to object: inout JSONValue) { object["status"]["phase"].setDefaultText("Pending") }
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    object["status"] = ["phase": "Pending"]
    var spec = object["spec"]
    // Volume attributes and sources in other namespaces are off in 1.32.
    if !spec["volumeAttributesClassName"].isNull { spec["volumeAttributesClassName"] = .null }
    if !spec["dataSourceRef"]["namespace"].isNull { spec["dataSourceRef"]["namespace"] = .null }
    // The old and the new name of the source say the same.
    if !spec["dataSource"].isNull, spec["dataSourceRef"].isNull {
      spec["dataSourceRef"] = spec["dataSource"]
    } else if spec["dataSource"].isNull, !spec["dataSourceRef"].isNull {
      spec["dataSource"] = spec["dataSourceRef"]
    }
    object["spec"] = spec
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    if object["spec"]["volumeAttributesClassName"] != old["spec"]["volumeAttributesClassName"] {
      object["spec"]["volumeAttributesClassName"] = old["spec"]["volumeAttributesClassName"]
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.volumeClaim(object["spec"], "spec")
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    var rest = object["spec"]
    let before = old["spec"]
    // The binder names the volume, and the class of a claim that had none.
    if before["volumeName"].isEmptyValue { rest["volumeName"] = before["volumeName"] }
    if before["storageClassName"].isNull { rest["storageClassName"] = before["storageClassName"] }
    if object["status"]["phase"] == "Bound" {
      rest["resources"]["requests"]["storage"] = before["resources"]["requests"]["storage"]
    }
    if rest != before {
      checks.forbidden(
        "spec",
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"
          + PodUpdate.differences(before, rest, "spec"))
    }
    func storage(_ list: JSONValue) -> Quantity { list["storage"].string.flatMap { Quantity($0) } ?? .zero }
    let new = storage(object["spec"]["resources"]["requests"])
    // A claim grows; it shrinks only back towards what it has, after growing failed.
    if new < storage(before["resources"]["requests"]), !(new > storage(old["status"]["capacity"])) {
      checks.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    }
    checks.immutable(object["spec"]["volumeMode"], before["volumeMode"], "volumeMode")
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for (name, value) in object["status"]["capacity"].object ?? [:] {
      guard let quantity = Quantity(value.text), quantity.isNegative else { continue }
      checks.invalid("status.capacity[\(name)]", .integer(quantity.value), "must be a valid resource quantity")
    }
    let states = [
      "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible",
      "NodeResizePending",
    ]
    for (name, state) in object["status"]["allocatedResourceStatuses"].object ?? [:]
    where !states.contains(state.text) {
      checks.notSupported("status.allocatedResourceStatus", .string(name), states.sorted())
    }
    return checks.errors
  }
}

/// How volumes and claims named their class before there was a field for it.
enum StorageClassAnnotation {
  private static let name = "volume.beta.kubernetes.io/storage-class"

  static func warnings(_ annotations: JSONValue) -> [String] {
    annotations[name].isNull
      ? [] : ["metadata.annotations[\(name)]: deprecated since v1.8; use \"storageClassName\" attribute instead"]
  }
}
