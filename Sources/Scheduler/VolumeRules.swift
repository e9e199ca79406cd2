// Volumes that cannot be everywhere, or not for everybody at once (spec/6 §6.1: VolumeZone, NodeVolumeLimits,
// VolumeRestrictions).
import Client
import JSON
import Schema

extension PersistentVolume {
  private static let zoneLabels = [
    "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
  ]

  /// Its zone and region, where its labels name any, are the node's. Nodes without such labels are in no zone: none is
  /// asked of them.
  func isInZone(of node: [String: String]) -> Bool {
    guard Self.zoneLabels.contains(where: { node[$0] != nil }) else { return true }
    return Self.zoneLabels.allSatisfy { label in
      guard let zones = metadata.labels[label] else { return true }
      // Of the two names that a label has had, nodes may have either.
      let name = label.hasSuffix("zone") ? "zone" : "region"
      let own = node[label] ?? node["topology.kubernetes.io/\(name)"]
      return own.map { Self.members(of: zones).contains($0) } ?? false
    }
  }

  /// "a__b": a volume that is in several zones.
  private static func members(of text: String) -> Set<String> {
    var members: Set<String> = []
    var rest = text[...]
    while let end = rest.firstIndex(where: { $0 == "_" }) {
      let next = rest.index(after: end)
      guard next < rest.endIndex, rest[next] == "_" else {
        return [text]
      }
      members.insert(String(rest[..<end]))
      rest = rest[rest.index(after: next)...]
    }
    members.insert(String(rest))
    return members
  }
}

/// A volume of a CSI driver, as it counts against the driver's limit on a node.
struct VolumeAttachment: Hashable, Sendable {
  var driver: String
  var handle: String

  /// Nil for claims of whose volume no CSI driver knows.
  init?(_ claim: PersistentVolumeClaim, _ knowledge: some VolumeKnowledge) {
    if !claim.volumeName.isEmpty, let volume = knowledge.volume(claim.volumeName) {
      guard volume.isCSI else { return nil }
      driver = volume.driver
      handle = volume.volumeHandle
    } else if let storageClass = claim.className.flatMap(knowledge.storageClass), !storageClass.provisioner.isEmpty {
      // Its volume will be one of this driver, if it is a driver.
      driver = storageClass.provisioner
      handle = "\(storageClass.provisioner)-\(claim.key)"
    } else {
      return nil
    }
  }
}

/// A disk that pods on one node cannot share, or only to read from.
struct ExclusiveDisk: Hashable, Sendable {
  private enum Kind: Hashable, Sendable { case gce, ebs, iscsi, rbd }

  private let kind: Kind
  /// What makes it the same disk; for RBD its monitors are not in it.
  private let name: String
  private let monitors: Set<String>
  private let isReadOnly: Bool

  /// Of a pod's volume; nil for volumes of other kinds.
  init?(json: JSONValue) {
    func text(_ source: JSONValue, _ key: String) -> String { source[key].string ?? "" }
    var monitors: Set<String> = []
    let source: JSONValue
    if !json["gcePersistentDisk"].isNull {
      source = json["gcePersistentDisk"]
      kind = .gce
      name = text(source, "pdName")
    } else if !json["awsElasticBlockStore"].isNull {
      source = json["awsElasticBlockStore"]
      kind = .ebs
      name = text(source, "volumeID")
    } else if !json["iscsi"].isNull {
      source = json["iscsi"]
      kind = .iscsi
      // Of one qualified name there is one disk, whatever portal and unit.
      name = text(source, "iqn")
    } else if !json["rbd"].isNull {
      source = json["rbd"]
      kind = .rbd
      monitors = Set(source["monitors"].elements.compactMap(\.string))
      name = "\(source["pool"].string ?? "rbd")/\(text(source, "image"))"
    } else {
      return nil
    }
    self.monitors = monitors
    isReadOnly = source["readOnly"].bool ?? false
  }

  func conflicts(with other: Self) -> Bool {
    guard kind == other.kind, name == other.name else { return false }
    if kind == .rbd && monitors.isDisjoint(with: other.monitors) { return false }
    // EBS attaches once, whatever for.
    return kind == .ebs || !(isReadOnly && other.isReadOnly)
  }
}
