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
    checks.persistentVolume(object["spec"], "spec", name: object["metadata"]["name"].text, isInline: false)
    return checks.errors
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    var spec = object["spec"]
    // The secret for growing may come later than the volume.
    if !old["spec"]["csi"].isNull, old["spec"]["csi"]["controllerExpandSecretRef"].isNull,
      !spec["csi"]["controllerExpandSecretRef"].isNull
    {
      spec["csi"]["controllerExpandSecretRef"] = .null
    }
    for source in TypeTable.builtIn["core.v1.PersistentVolumeSource"]?.fields ?? []
    where spec[source.name] != old["spec"][source.name] {
      checks.forbidden(
        "spec.persistentvolumesource",
        "spec.persistentvolumesource is immutable after creation\n"
          + PodUpdate.differences(old["spec"][source.name], spec[source.name], source.name))
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

extension Checks {
  /// The spec of a volume, or of one that stands in its attachment.
  mutating func persistentVolume(_ spec: JSONValue, _ path: String, name: String, isInline: Bool) {
    let inline = "in the context of inline volumes"
    if isInline {
      for name in ["claimRef", "capacity"] where !spec[name].isEmptyValue {
        forbidden("\(path).\(name)", "may not be specified \(inline)")
      }
      if spec["csi"].isNull { required("\(path).csi", "has to be specified \(inline)") }
    }
    if spec["accessModes"].isEmptyValue { required("\(path).accessModes") }
    accessModes(spec["accessModes"], "\(path).accessModes")
    if !isInline { capacity(spec["capacity"], "\(path).capacity") }
    let policy = spec["persistentVolumeReclaimPolicy"]
    if isInline, !policy.isEmptyValue, policy != "Retain" {
      forbidden("\(path).persistentVolumeReclaimPolicy", "may only be Retain \(inline)")
    } else if !isInline {
      oneOf(policy, "\(path).persistentVolumeReclaimPolicy", ["Delete", "Recycle", "Retain"], orAbsent: true)
    }
    let affinity = spec["nodeAffinity"]
    if isInline, !affinity.isNull {
      forbidden("\(path).nodeAffinity", "may not be specified \(inline)")
    } else if !affinity["required"].isNull {
      nodeSelector(affinity["required"], "\(path).nodeAffinity.required")
    } else if !affinity.isNull {
      required("\(path).nodeAffinity.required", "must specify required node constraints")
    }
    let source = persistentVolumeSource(spec, path, name: name)
    if source == "local", isInline || affinity.isNull {
      required("\(path).nodeAffinity", "Local volume requires node affinity")
    }
    if policy == "Recycle", Self.isRoot(spec["hostPath"]["path"].text) {
      forbidden(
        "\(path).persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
    }
    let (storageClass, mode) = (spec["storageClassName"], spec["volumeMode"])
    if isInline {
      if !storageClass.isEmptyValue { forbidden("\(path).storageClassName", "may not be specified \(inline)") }
      if !mode.isNull, mode != "Filesystem" {
        forbidden("\(path).volumeMode", "may not specify volumeMode other than Filesystem \(inline)")
      }
    } else {
      if !storageClass.isEmptyValue {
        text(storageClass, "\(path).storageClassName") { Validate.nameIsDNSSubdomain($0) }
      }
      if !mode.isNull { choice(mode, "\(path).volumeMode", ["Block", "Filesystem"]) }
    }
  }

  /// However it is written: "/x/..", "//".
  private static func isRoot(_ path: String) -> Bool {
    guard path.hasPrefix("/") else { return false }
    var depth = 0
    for part in path.split(separator: "/") where part != "." { depth = part == ".." ? max(depth - 1, 0) : depth + 1 }
    return depth == 0
  }

  private mutating func capacity(_ capacity: JSONValue, _ path: String) {
    if capacity.isEmptyValue { required(path) }
    let members = capacity.object ?? [:]
    if members["storage"] == nil || members.count > 1 {
      notSupported(path, goValue: GoSyntax.resourceList(capacity), ["storage"])
    }
    for (name, value) in members {
      guard let quantity = Quantity(value.text) else { continue }
      if quantity.isNegative {
        invalid("\(path)[\(name)]", .integer(quantity.value), "must be a valid resource quantity")
      }
      if quantity.isNegative || quantity.isZero {
        invalid("\(path)[\(name)]", .string(quantity.description), "must be greater than zero")
      }
    }
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
    let annotations = (object["metadata"]["annotations"], old["metadata"]["annotations"])
    let (annotation, oldAnnotation) = StorageClassAnnotation.values(annotations.0, annotations.1)
    let isNewlyNamed = before["storageClassName"].isNull && !rest["storageClassName"].isNull
    let isMoved =
      isNewlyNamed && !oldAnnotation.isNull && rest["storageClassName"] == oldAnnotation
      && (annotation.isNull || annotation == oldAnnotation)
    if !isMoved, annotation.text != oldAnnotation.text {
      checks.invalid(
        "metadata.annotations.\(StorageClassAnnotation.name)", .string(annotation.text), Checks.immutableMessage)
    }
    if isNewlyNamed, oldAnnotation.isNull || rest["storageClassName"] == oldAnnotation {
      rest["storageClassName"] = before["storageClassName"]
    }
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
    for (name, state) in object["status"]["allocatedResourceStatuses"].object ?? [:] {
      _ = claimedResource(name, "status.allocatedResourceStatus", &checks)
      guard !states.contains(state.text) else { continue }
      checks.notSupported("status.allocatedResourceStatus", .string(name), states.sorted())
    }
    for (name, value) in object["status"]["allocatedResources"].object ?? [:]
    where claimedResource(name, "status.allocatedResources", &checks) {
      guard let quantity = Quantity(value.text), quantity.isNegative else { continue }
      checks.invalid(
        "status.allocatedResources[\(name)]", .integer(quantity.value), "must be a valid resource quantity")
    }
    return checks.errors
  }

  /// Claims are of storage, or of what others define. Whether nothing is wrong with the name.
  private func claimedResource(_ name: String, _ place: String, _ checks: inout Checks) -> Bool {
    let before = checks.errors.count
    checks.text(.string(name), place, Validate.qualifiedName)
    if checks.errors.count == before, ResourceName.isNative(name), name != "storage" {
      checks.notSupported(place, .string(name), ["storage"])
    }
    return checks.errors.count == before
  }
}

/// How volumes and claims named their class before there was a field for it.
enum StorageClassAnnotation {
  static let name = "volume.beta.kubernetes.io/storage-class"

  static func values(_ annotations: JSONValue, _ old: JSONValue) -> (new: JSONValue, old: JSONValue) {
    (annotations[name], old[name])
  }

  static func warnings(_ annotations: JSONValue) -> [String] {
    annotations[name].isNull
      ? [] : ["metadata.annotations[\(name)]: deprecated since v1.8; use \"storageClassName\" attribute instead"]
  }
}
