// A pod that holds a place on a node.
import Client
import Schema
import World

struct HostPort: Hashable, Sendable {
  var ip: String
  var protocolName: String
  var port: Int64

  static func all(of spec: PodSpec) -> [HostPort] {
    // Sidecars hold their ports as long as containers do; other init containers give theirs back.
    let containers = spec.containers + spec.initContainers.filter { $0.restartPolicy == "Always" }
    return containers.flatMap(\.ports).filter { $0.hostPort > 0 }.map {
      HostPort(ip: $0.hostIP.isEmpty ? "0.0.0.0" : $0.hostIP, protocolName: $0.protocolName, port: $0.hostPort)
    }
  }

  /// 0.0.0.0 clashes with every address.
  func conflicts(with other: HostPort) -> Bool {
    port == other.port && protocolName == other.protocolName
      && (ip == other.ip || ip == "0.0.0.0" || other.ip == "0.0.0.0")
  }
}

/// What the scheduler remembers of a pod that has a place. It never changes, so that tables, indices and plans share it.
final class PlacedPod: Sendable {
  let key: NamespacedName
  let uid: String
  let labels: [String: String]
  let request: PodRequest
  let demand: RoomDemand
  let priority: Int64
  /// Nil until it has started; it counts as the youngest then.
  let startTime: WallTime?
  let hostPorts: [HostPort]
  let isBeingDeleted: Bool
  /// It goes because the scheduler made room.
  let isVictim: Bool
  let affinity: PodAffinity?
  /// The names of its claims, those that are made for it included.
  let claims: [String]
  let disks: [ExclusiveDisk]

  init(_ pod: Pod) {
    key = pod.key
    uid = pod.metadata.uid
    labels = pod.metadata.labels
    request = PodRequest(pod.spec)
    demand = request.demand
    priority = pod.spec.priority
    startTime = pod.status.startTime
    hostPorts = HostPort.all(of: pod.spec)
    isBeingDeleted = pod.metadata.isBeingDeleted
    isVictim = isBeingDeleted && pod.status.condition("DisruptionTarget")?.reason == "PreemptionByScheduler"
    claims = pod.spec.claims + pod.spec.ephemeralVolumes.map { "\(pod.name)-\($0)" }
    disks = pod.spec.disks.compactMap(ExclusiveDisk.init(json:))
    affinity = PodAffinity(pod.spec.affinity, namespace: pod.namespace)
  }

  /// Higher priority first, then who has run longer (spec/6 §6.5); then by name and uid, so that the order is one.
  static func mostImportantFirst(_ left: PlacedPod, _ right: PlacedPod) -> Bool {
    if left.priority != right.priority { return left.priority > right.priority }
    if left.startTime != right.startTime {
      guard let start = left.startTime else { return false }
      return right.startTime.map { start < $0 } ?? true
    }
    return left.key == right.key ? left.uid < right.uid : left.key < right.key
  }
}
