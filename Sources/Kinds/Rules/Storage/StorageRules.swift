// Persistent volumes and claims, storage classes, CSI objects.
import JSON
import Schema

struct PersistentVolumeRules: KindRules {
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
    if spec["accessModes"].isEmptyValue {
      checks.required("spec.accessModes")
    } else {
      checks.accessModes(spec["accessModes"], "spec.accessModes")
    }
    if spec["capacity"].isEmptyValue { checks.required("spec.capacity") }
    let names = spec["capacity"].object?.keys.map { $0 } ?? []
    if !names.isEmpty, names != ["storage"] {
      checks.notSupported("spec.capacity", spec["capacity"], ["storage"])
    }
    for (name, value) in spec["capacity"].object ?? [:] {
      checks.resourceQuantity(name, value, "spec.capacity[\(name)]")
      if let quantity = Quantity(value.text), quantity.isZero {
        checks.invalid("spec.capacity[\(name)]", value, "must be greater than zero")
      }
    }
    checks.oneOf(
      spec["persistentVolumeReclaimPolicy"], "spec.persistentVolumeReclaimPolicy", ["Delete", "Recycle", "Retain"],
      orAbsent: true)
    checks.oneOf(spec["volumeMode"], "spec.volumeMode", ["Block", "Filesystem"], orAbsent: true)
    if !spec["nodeAffinity"]["required"].isNull {
      checks.nodeSelector(spec["nodeAffinity"]["required"], "spec.nodeAffinity.required")
    } else if !spec["local"].isNull {
      checks.required("spec.nodeAffinity", "Local volume requires node affinity")
    }
    checks.persistentVolumeSource(spec, "spec")
    if spec["hostPath"]["path"] == "/", spec["persistentVolumeReclaimPolicy"] == "Recycle" {
      checks.forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
    }
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for source in TypeTable.builtIn["core.v1.PersistentVolumeSource"]?.fields ?? []
    where object["spec"][source.name] != old["spec"][source.name] {
      checks.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
      break
    }
    checks.immutable(object["spec"]["volumeMode"], old["spec"]["volumeMode"], "spec.volumeMode")
    if !old["spec"]["nodeAffinity"].isNull {
      checks.immutable(object["spec"]["nodeAffinity"], old["spec"]["nodeAffinity"], "spec.nodeAffinity")
    }
    return checks.errors
  }
}

struct PersistentVolumeClaimRules: KindRules {
  func applyDefaults(to object: inout JSONValue) { object["status"]["phase"].setDefaultText("Pending") }
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) { object["status"] = ["phase": "Pending"] }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.volumeClaim(object["spec"], "spec")
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    var rest = object["spec"]
    let before = old["spec"]
    rest["resources"]["requests"]["storage"] = before["resources"]["requests"]["storage"]
    rest["volumeAttributesClassName"] = before["volumeAttributesClassName"]
    // The binder names the volume, and the class of a claim that had none.
    if before["volumeName"].isEmptyValue { rest["volumeName"] = before["volumeName"] }
    if before["storageClassName"].isNull { rest["storageClassName"] = before["storageClassName"] }
    if rest != before {
      checks.forbidden(
        "spec",
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"
          + PodUpdate.differences(before, rest, "spec"))
    }
    size(object, old, &checks)
    return checks.errors
  }

  /// A claim grows; it shrinks only back towards what it has, after growing failed.
  private func size(_ object: JSONValue, _ old: JSONValue, _ checks: inout Checks) {
    func storage(_ value: JSONValue) -> Quantity? {
      value["spec"]["resources"]["requests"]["storage"].string.flatMap { Quantity($0) }
    }
    guard let new = storage(object), let before = storage(old), new != before else { return }
    if old["status"]["phase"] != "Bound" {
      checks.forbidden(
        "spec.resources.requests.storage",
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims")
    } else if new < before {
      let actual = object["status"]["capacity"]["storage"].string.flatMap { Quantity($0) } ?? before
      if new < actual || object["status"]["allocatedResourceStatuses"]["storage"].isNull {
        checks.forbidden(
          "spec.resources.requests.storage", "field can not be less than status.capacity")
      }
    }
  }
}

struct StorageClassRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.requiredText(object["provisioner"], "provisioner") { Validate.qualifiedName($0.lowercased()) }
    for key in object["parameters"].object?.keys.map({ $0 }) ?? [] where key.isEmpty {
      checks.invalid("parameters", .string(key), "field can not be empty.")
    }
    checks.oneOf(object["reclaimPolicy"], "reclaimPolicy", ["Delete", "Retain"], orAbsent: true)
    checks.oneOf(object["volumeBindingMode"], "volumeBindingMode", ["Immediate", "WaitForFirstConsumer"])
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for name in ["parameters", "provisioner", "reclaimPolicy"] where object[name] != old[name] {
      checks.forbidden(name, "updates to \(name) are forbidden.")
    }
    checks.immutable(object["volumeBindingMode"], old["volumeBindingMode"], "volumeBindingMode")
    return checks.errors
  }
}

struct CSIDriverRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    for name in ["attachRequired", "podInfoOnMount", "storageCapacity"] where spec[name].isNull {
      checks.required("spec.\(name)")
    }
    checks.oneOf(
      spec["fsGroupPolicy"], "spec.fsGroupPolicy", ["File", "None", "ReadWriteOnceWithFSType"], orAbsent: true)
    for mode in spec["volumeLifecycleModes"].elements where mode != "Persistent" && mode != "Ephemeral" {
      checks.notSupported("spec.volumeLifecycleModes", mode, ["Ephemeral", "Persistent"])
    }
    var audiences: Set<String> = []
    for (index, request) in spec["tokenRequests"].elements.enumerated() {
      if !audiences.insert(request["audience"].text).inserted {
        checks.duplicate("spec.tokenRequests[\(index)].audience", request["audience"])
      }
      checks.inRange(
        request["expirationSeconds"], "spec.tokenRequests[\(index)].expirationSeconds", 600...(1 << 32))
    }
    return checks.errors
  }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for name in ["attachRequired", "volumeLifecycleModes"] {
      checks.immutable(object["spec"][name], old["spec"][name], "spec.\(name)")
    }
    return checks.errors
  }
}

struct CSINodeRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    var names: Set<String> = []
    for (index, driver) in object["spec"]["drivers"].elements.enumerated() {
      let place = "spec.drivers[\(index)]"
      checks.requiredText(driver["name"], "\(place).name")
      checks.requiredText(driver["nodeID"], "\(place).nodeID")
      if !names.insert(driver["name"].text).inserted { checks.duplicate("\(place).name", driver["name"]) }
      checks.nonNegative(driver["allocatable"]["count"], "\(place).allocatable.count")
    }
    return checks.errors
  }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for before in old["spec"]["drivers"].elements {
      for (index, driver) in object["spec"]["drivers"].elements.enumerated()
      where driver["name"] == before["name"] && driver != before {
        checks.invalid("spec.drivers[\(index)]", driver, Checks.immutableMessage)
      }
    }
    return checks.errors
  }
}

struct CSIStorageCapacityRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.requiredText(object["storageClassName"], "storageClassName") { Validate.nameIsDNSSubdomain($0) }
    for name in ["capacity", "maximumVolumeSize"] where !object[name].isNull {
      checks.resourceQuantity("storage", object[name], name)
    }
    if !object["nodeTopology"].isNull { checks.labelSelector(object["nodeTopology"], "nodeTopology") }
    return checks.errors
  }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutable(object["nodeTopology"], old["nodeTopology"], "nodeTopology")
    checks.immutable(object["storageClassName"], old["storageClassName"], "storageClassName")
    return checks.errors
  }
}

struct VolumeAttachmentRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.requiredText(spec["attacher"], "spec.attacher")
    checks.requiredText(spec["nodeName"], "spec.nodeName") { Validate.nameIsDNSSubdomain($0) }
    let hasName = !spec["source"]["persistentVolumeName"].isNull
    let hasInline = !spec["source"]["inlineVolumeSpec"].isNull
    if !hasName, !hasInline {
      checks.required("spec.source", "must specify one of inlineVolumeSpec and persistentVolumeName")
    } else if hasName, hasInline {
      checks.forbidden("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    }
    return checks.errors
  }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    guard object["spec"] != old["spec"] else { return [] }
    return [.invalid("spec", object["spec"], Checks.immutableMessage)]
  }
}
