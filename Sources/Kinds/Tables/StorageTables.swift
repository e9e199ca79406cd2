// The tables of storage (spec/3 §3.3).
import JSON
import Schema

extension TableLayout {
  static let persistentVolume = TableLayout(
    "Name, Capacity, Access Modes, Reclaim Policy, Status, Claim, StorageClass, VolumeAttributesClass, Reason, Age | VolumeMode"
  ) { object, now in
    let spec = object["spec"]
    let claim = spec["claimRef"]
    let isDeleting = !object["metadata"]["deletionTimestamp"].isNull
    return [
      Cells.name(object), amount(spec["capacity"]["storage"]), .string(Cells.accessModes(spec["accessModes"])),
      spec["persistentVolumeReclaimPolicy"], isDeleting ? "Terminating" : object["status"]["phase"],
      claim.isNull ? "" : .string("\(claim["namespace"].text)/\(claim["name"].text)"),
      .string(storageClass(object)), Cells.textOr(spec["volumeAttributesClassName"], Cells.unset),
      .string(object["status"]["reason"].text), Cells.age(object, now), Cells.textOr(spec["volumeMode"], Cells.unset),
    ]
  }

  /// A quantity that is not set is none at all.
  private static func amount(_ quantity: JSONValue) -> JSONValue { quantity.isNull ? "0" : .string(quantity.text) }

  private static func storageClass(_ object: JSONValue) -> String {
    let annotation = object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"]
    return annotation.isNull ? object["spec"]["storageClassName"].text : annotation.text
  }

  static let persistentVolumeClaim = TableLayout(
    "Name, Status, Volume, Capacity, Access Modes, StorageClass, VolumeAttributesClass, Age | VolumeMode"
  ) { object, now in
    let spec = object["spec"]
    let status = object["status"]
    let isBound = !spec["volumeName"].isEmptyValue
    let isDeleting = !object["metadata"]["deletionTimestamp"].isNull
    return [
      Cells.name(object), isDeleting ? "Terminating" : status["phase"], .string(spec["volumeName"].text),
      isBound ? amount(status["capacity"]["storage"]) : "",
      .string(isBound ? Cells.accessModes(status["accessModes"]) : ""), .string(storageClass(object)),
      Cells.textOr(spec["volumeAttributesClassName"], Cells.unset), Cells.age(object, now),
      Cells.textOr(spec["volumeMode"], Cells.unset),
    ]
  }

  static let storageClassTable = TableLayout(
    "Name, Provisioner, ReclaimPolicy, VolumeBindingMode, AllowVolumeExpansion, Age"
  ) { object, now in
    let annotations = object["metadata"]["annotations"]
    let isDefault = [
      "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class",
    ].contains { annotations[$0] == "true" }
    return [
      isDefault ? .string("\(Cells.name(object).text) (default)") : Cells.name(object), object["provisioner"],
      Cells.textOr(object["reclaimPolicy"], "Delete"), Cells.textOr(object["volumeBindingMode"], "Immediate"),
      .bool(object["allowVolumeExpansion"].bool ?? false), Cells.age(object, now),
    ]
  }

  static let volumeAttachment = TableLayout("Name, Attacher, PV, Node, Attached?, Age") { object, now in
    let spec = object["spec"]
    return [
      Cells.name(object), spec["attacher"], .string(spec["source"]["persistentVolumeName"].text), spec["nodeName"],
      .bool(object["status"]["attached"].bool ?? false), Cells.age(object, now),
    ]
  }

  static let csiNode = TableLayout("Name, Drivers#, Age") { object, now in
    [Cells.name(object), .integer(Int64(object["spec"]["drivers"].elements.count)), Cells.age(object, now)]
  }

  static let csiDriver = TableLayout(
    "Name, AttachRequired?, PodInfoOnMount?, StorageCapacity?, TokenRequests, RequiresRepublish?, Modes, Age"
  ) { object, now in
    let spec = object["spec"]
    let audiences = spec["tokenRequests"].elements.map { $0["audience"].text }
    let modes = spec["volumeLifecycleModes"].elements.map(\.text)
    return [
      Cells.name(object), .bool(spec["attachRequired"].bool ?? true), .bool(spec["podInfoOnMount"].bool ?? false),
      .bool(spec["storageCapacity"].bool ?? false),
      audiences.isEmpty ? Cells.unset : .string(audiences.joined(separator: ",")),
      .bool(spec["requiresRepublish"].bool ?? false),
      modes.isEmpty ? Cells.none : .string(modes.joined(separator: ",")), Cells.age(object, now),
    ]
  }

  static let csiStorageCapacity = TableLayout("Name, StorageClassName, Capacity") { object, _ in
    [
      Cells.name(object), object["storageClassName"], Cells.textOr(object["capacity"], Cells.unset),
    ]
  }
}
