// Volumes, claims and storage classes as their controllers and the scheduler read them.
import JSON
import Schema
import World

/// Annotations by which claims and volumes are bound.
public enum VolumeAnnotation {
  public static let bindCompleted = "pv.kubernetes.io/bind-completed"
  public static let boundByController = "pv.kubernetes.io/bound-by-controller"
  public static let provisionedBy = "pv.kubernetes.io/provisioned-by"
  public static let selectedNode = "volume.kubernetes.io/selected-node"
  public static let storageProvisioner = "volume.kubernetes.io/storage-provisioner"
  public static let betaStorageProvisioner = "volume.beta.kubernetes.io/storage-provisioner"
  public static let betaStorageClass = "volume.beta.kubernetes.io/storage-class"
}

public struct PersistentVolumeClaim: APIObject {
  public static let reference = ResourceReference.persistentVolumeClaims
  public var metadata: ObjectMeta
  /// Nil when no class was given at all; "" asks for volumes without a class.
  public var className: String?
  public var volumeName: String
  public var accessModes: [String]
  public var requested: Quantity
  public var volumeMode: String
  public var selector: LabelSelector?
  public var status: JSONValue

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    className = metadata.annotations[VolumeAnnotation.betaStorageClass] ?? spec["storageClassName"].string
    volumeName = spec["volumeName"].string ?? ""
    accessModes = spec["accessModes"].elements.compactMap(\.string)
    requested = spec["resources"]["requests"].resourceList["storage"] ?? .zero
    volumeMode = spec["volumeMode"].string ?? "Filesystem"
    selector = spec["selector"].isNull ? nil : (try? LabelSelector(spec["selector"])) ?? .nothing
    status = json["status"]
  }

  public var phase: String { status["phase"].string ?? "" }
  /// The node that the scheduler has chosen for the first pod that uses it.
  public var selectedNode: String? { metadata.annotations[VolumeAnnotation.selectedNode] }
  public var isBindCompleted: Bool { metadata.annotations[VolumeAnnotation.bindCompleted] != nil }
  /// Bound for whoever wants to use it.
  public var isBound: Bool { !volumeName.isEmpty && isBindCompleted }
}

/// The claim a volume is for. Without a uid, whichever claim has that name.
public struct ClaimReference: Hashable, Sendable {
  public var namespace: String
  public var name: String
  public var uid: String

  public init?(json: JSONValue) {
    guard !json.isNull else { return nil }
    namespace = json["namespace"].string ?? ""
    name = json["name"].string ?? ""
    uid = json["uid"].string ?? ""
  }

  public var key: NamespacedName { NamespacedName(namespace: namespace, name: name) }
}

public struct PersistentVolume: APIObject {
  public static let reference = ResourceReference.persistentVolumes
  public var metadata: ObjectMeta
  public var phase: String
  public var className: String
  public var capacity: Quantity
  public var accessModes: [String]
  public var volumeMode: String
  public var claim: ClaimReference?
  public var reclaimPolicy: String
  public var nodeAffinity: NodeSelector?
  /// The folder of its node that it is; "" for others.
  public var hostPath: String
  public var isCSI: Bool
  /// Of the CSI driver that attaches it; "" for others.
  public var driver: String
  public var volumeHandle: String
  /// capacity as written.
  public var capacityJSON: JSONValue

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    phase = json["status"]["phase"].string ?? ""
    className = metadata.annotations[VolumeAnnotation.betaStorageClass] ?? spec["storageClassName"].string ?? ""
    capacityJSON = spec["capacity"]
    capacity = capacityJSON.resourceList["storage"] ?? .zero
    accessModes = spec["accessModes"].elements.compactMap(\.string)
    volumeMode = spec["volumeMode"].string ?? "Filesystem"
    claim = ClaimReference(json: spec["claimRef"])
    reclaimPolicy = spec["persistentVolumeReclaimPolicy"].string ?? "Retain"
    nodeAffinity = NodeSelector(json: spec["nodeAffinity"]["required"])
    hostPath = spec["hostPath"]["path"].string ?? ""
    isCSI = !spec["csi"].isNull
    driver = spec["csi"]["driver"].string ?? ""
    volumeHandle = spec["csi"]["volumeHandle"].string ?? ""
  }

  public var isBoundByController: Bool { metadata.annotations[VolumeAnnotation.boundByController] != nil }
  /// Whether it is for this claim, by name, and by uid where it names one.
  public func isFor(_ claim: PersistentVolumeClaim) -> Bool {
    guard let own = self.claim, own.key == claim.key else { return false }
    return own.uid.isEmpty || own.uid == claim.metadata.uid
  }

  /// Whether pods on the node can use it.
  public func isReachable(from node: String, labels: [String: String]) -> Bool {
    nodeAffinity?.matches(name: node, labels: labels) ?? true
  }
}

/// What the CSI drivers of a node can do there.
public struct CSINode: APIObject {
  public static let reference = ResourceReference.csiNodes
  public var metadata: ObjectMeta
  /// How many volumes a driver can attach, where it says so.
  public var limits: [String: Int64]

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    limits = [:]
    for driver in json["spec"]["drivers"].elements {
      if let name = driver["name"].string, let count = driver["allocatable"]["count"].integer { limits[name] = count }
    }
  }
}

/// What a CSI driver says of itself.
public struct CSIDriver: APIObject {
  public static let reference = ResourceReference.csiDrivers
  public var metadata: ObjectMeta
  /// It tells how much room there is; volumes are made only where there is enough.
  public var tellsCapacity: Bool

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    tellsCapacity = json["spec"]["storageCapacity"].bool ?? false
  }
}

/// How much room there is for volumes of a class, and on which nodes these could be used.
public struct CSIStorageCapacity: APIObject {
  public static let reference = ResourceReference.csiStorageCapacities
  public var metadata: ObjectMeta
  public var className: String
  /// Nil: on none.
  public var nodeTopology: LabelSelector?
  /// The largest volume that can be made; nil while nobody knows.
  public var largestVolume: Quantity?

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    className = json["storageClassName"].string ?? ""
    nodeTopology = json["nodeTopology"].isNull ? nil : (try? LabelSelector(json["nodeTopology"])) ?? .nothing
    let limit = json["maximumVolumeSize"].string ?? json["capacity"].string
    largestVolume = limit.flatMap { Quantity($0) }
  }

  public func suffices(for size: Quantity, labels: [String: String]) -> Bool {
    guard let nodeTopology, let largestVolume else { return false }
    return largestVolume >= size && nodeTopology.matches(labels)
  }
}

public struct StorageClass: APIObject {
  /// Volumes of a class with this provisioner are made by hand.
  public static let noProvisioner = "kubernetes.io/no-provisioner"

  public static let reference = ResourceReference.storageClasses
  public var metadata: ObjectMeta
  public var provisioner: String
  public var reclaimPolicy: String
  /// Claims are bound when a pod that uses them has found its node.
  public var waitsForConsumer: Bool
  public var parameters: [String: String]
  public var mountOptions: JSONValue
  /// Nodes on which volumes can be made; empty for all.
  public var allowedTopologies: [JSONValue]

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    provisioner = json["provisioner"].string ?? ""
    reclaimPolicy = json["reclaimPolicy"].string ?? "Delete"
    waitsForConsumer = json["volumeBindingMode"].string == "WaitForFirstConsumer"
    parameters = json["parameters"].stringMap
    mountOptions = json["mountOptions"]
    allowedTopologies = json["allowedTopologies"].elements
  }

  public var isDefault: Bool {
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
      .contains { metadata.annotations[$0] == "true" }
  }

  /// Whether volumes may be made for pods on the node.
  public func allows(labels: [String: String]) -> Bool {
    guard !allowedTopologies.isEmpty else { return true }
    return allowedTopologies.contains { term in
      term["matchLabelExpressions"].elements.allSatisfy { expression in
        let values = expression["values"].elements.compactMap(\.string)
        return labels[expression["key"].string ?? ""].map(values.contains) ?? false
      }
    }
  }
}

/// Which volume a claim gets: the same for the binder and, per node, for the scheduler.
public enum VolumeMatch {
  /// The volume that is for the claim already, else the smallest that will do, of those with the fewest access modes.
  /// `node`: the scheduler asks for volumes that can be reached from it. `onlyReserved`: no volume is taken that was
  /// not meant for the claim. `excluded`: names of volumes that others are about to get.
  public static func best(
    for claim: PersistentVolumeClaim, among volumes: [PersistentVolume],
    node: (name: String, labels: [String: String])? = nil, onlyReserved: Bool = false, excluded: Set<String> = []
  ) -> PersistentVolume? {
    var best: PersistentVolume?
    for volume in volumes {
      guard !excluded.contains(volume.name), !volume.metadata.isBeingDeleted, volume.volumeMode == claim.volumeMode,
        volume.capacity >= claim.requested, Set(claim.accessModes).isSubset(of: volume.accessModes)
      else { continue }
      let isReachable = node.map { volume.isReachable(from: $0.name, labels: $0.labels) } ?? true
      if volume.isFor(claim) { return isReachable ? volume : nil }
      guard !onlyReserved, isReachable, volume.claim == nil, volume.className == claim.className ?? "",
        claim.selector?.matches(volume.metadata.labels) ?? true
      else { continue }
      if best.map({ isBetter(volume, $0) }) ?? true { best = volume }
    }
    return best
  }

  private static func isBetter(_ one: PersistentVolume, _ other: PersistentVolume) -> Bool {
    if one.accessModes.count != other.accessModes.count { return one.accessModes.count < other.accessModes.count }
    if one.capacity != other.capacity { return one.capacity < other.capacity }
    return one.name < other.name
  }

  /// Why a volume that a claim names cannot be its own; nil when it can.
  public static func mismatch(_ claim: PersistentVolumeClaim, _ volume: PersistentVolume) -> String? {
    if volume.capacity < claim.requested { return "requested PV is too small" }
    if volume.className != claim.className ?? "" { return "storageClassName does not match" }
    if volume.volumeMode != claim.volumeMode { return "incompatible volumeMode" }
    if !Set(claim.accessModes).isSubset(of: volume.accessModes) { return "incompatible accessMode" }
    return nil
  }

  /// The class of claims that name none: of several, the newest.
  public static func defaultClass(among classes: [StorageClass]) -> StorageClass? {
    classes.filter(\.isDefault).min { left, right in
      let one = left.metadata.creationTimestamp
      let other = right.metadata.creationTimestamp
      if let one, let other, one != other { return one > other }
      return left.name < right.name
    }
  }
}

// MARK: Finding each other

extension PersistentVolume {
  /// Under which volumes are found by who looks for one: those for a claim by its key, others by their class.
  public var useKeys: [String] { claim.map { [Self.useKey(claim: $0.key)] } ?? [Self.useKey(class: className)] }
  public static func useKey(claim: NamespacedName) -> String { "claim:\(claim)" }
  public static func useKey(class name: String) -> String { "class:\(name)" }
}

extension PersistentVolumeClaim {
  /// Claims without any class, which a new default class would be given to.
  public static let unclassed = "unclassed"

  /// Under which claims are found by who has news for them: of their volume, or, while they have none, of their class.
  public var useKeys: [String] {
    if !volumeName.isEmpty { return [Self.useKey(volume: volumeName)] }
    let key = Self.useKey(class: className ?? "")
    return className == nil ? [key, Self.unclassed] : [key]
  }
  public static func useKey(volume: String) -> String { "volume:\(volume)" }
  public static func useKey(class name: String) -> String { "class:\(name)" }
}
