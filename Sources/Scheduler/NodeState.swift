// One node with what runs on it.
import Client
import Schema
import World

/// Where a node stands in the snapshot's tables, for as long as the node lives.
typealias NodeIndex = Int

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

/// A pod that holds a place on a node.
struct PlacedPod: Sendable {
  var key: NamespacedName
  var uid: String
  var labels: [String: String]
  var request: PodRequest
  var priority: Int64
  /// Nil until it has started; it counts as the youngest then.
  var startTime: WallTime?
  var hostPorts: [HostPort]
  var isBeingDeleted: Bool
  /// It goes because the scheduler made room.
  var isVictim: Bool
  var affinity: PodAffinity?

  init(_ pod: Pod) {
    key = pod.key
    uid = pod.metadata.uid
    labels = pod.metadata.labels
    request = PodRequest(pod.spec)
    priority = pod.spec.priority
    startTime = pod.status.startTime
    hostPorts = HostPort.all(of: pod.spec)
    isBeingDeleted = pod.metadata.isBeingDeleted
    isVictim = isBeingDeleted && pod.status.condition("DisruptionTarget")?.reason == "PreemptionByScheduler"
    affinity = PodAffinity(pod.spec.affinity, namespace: pod.namespace)
  }

  /// Higher priority first, then who has run longer (spec/6 §6.5); then by name, so that the order is one.
  static func mostImportantFirst(_ left: PlacedPod, _ right: PlacedPod) -> Bool {
    if left.priority != right.priority { return left.priority > right.priority }
    guard left.startTime != right.startTime else { return left.key < right.key }
    guard let start = left.startTime else { return false }
    return right.startTime.map { start < $0 } ?? true
  }
}

/// How full a node is.
struct NodeLoad: Sendable {
  var allocatable = Resources()
  var allowedPods: Int64 = 0
  private(set) var requested = Resources()
  private(set) var podCount: Int64 = 0
  private(set) var scoredMilliCPU: Int64 = 0
  private(set) var scoredMemory: Int64 = 0

  mutating func add(_ request: PodRequest) {
    podCount += 1
    requested += request.resources
    scoredMilliCPU += request.scoredMilliCPU
    scoredMemory += request.scoredMemory
  }

  mutating func remove(_ request: PodRequest) {
    podCount -= 1
    requested -= request.resources
    scoredMilliCPU -= request.scoredMilliCPU
    scoredMemory -= request.scoredMemory
  }

  /// What the node has too little of.
  func shortages(_ request: PodRequest) -> [Refusal] {
    let wanted = request.resources
    if podCount < allowedPods, wanted.extended.isEmpty, !lacks(wanted) { return [] }
    var refusals: [Refusal] = []
    func check(_ name: String, _ wanted: Int64, _ used: Int64, _ available: Int64) {
      if wanted > 0 && wanted > available - used {
        refusals.append(.insufficient(name, everEnough: wanted <= available))
      }
    }
    if podCount + 1 > allowedPods { refusals.append(.tooManyPods) }
    check("cpu", wanted.milliCPU, requested.milliCPU, allocatable.milliCPU)
    check("memory", wanted.memory, requested.memory, allocatable.memory)
    check("ephemeral-storage", wanted.ephemeralStorage, requested.ephemeralStorage, allocatable.ephemeralStorage)
    for (name, amount) in wanted.extended.sorted(by: { $0.key < $1.key }) {
      check(name, amount, requested.extended[name] ?? 0, allocatable.extended[name] ?? 0)
    }
    return refusals
  }

  private func lacks(_ wanted: Resources) -> Bool {
    (wanted.milliCPU > 0 && wanted.milliCPU > allocatable.milliCPU - requested.milliCPU)
      || (wanted.memory > 0 && wanted.memory > allocatable.memory - requested.memory)
      || (wanted.ephemeralStorage > 0
        && wanted.ephemeralStorage > allocatable.ephemeralStorage - requested.ephemeralStorage)
  }
}

struct NodeState: Sendable {
  let name: String
  private(set) var labels: [String: String]
  private(set) var taints: [Taint]
  private(set) var isUnschedulable: Bool
  /// NoSchedule or NoExecute, and PreferNoSchedule.
  private(set) var hasHardTaints: Bool
  private(set) var hasSoftTaints: Bool
  private(set) var images: [String: Int64]
  var load = NodeLoad()
  private(set) var pods: [String: PlacedPod] = [:]
  /// How many pods have each port.
  private var ports: [HostPort: Int] = [:]

  init(_ node: Node) {
    name = node.name
    labels = node.metadata.labels
    taints = node.taints
    isUnschedulable = node.isUnschedulable
    hasHardTaints = node.taints.contains { $0.effect != "PreferNoSchedule" }
    hasSoftTaints = node.taints.contains { $0.effect == "PreferNoSchedule" }
    images = node.images
    load.allocatable = Resources(node.allocatable)
    load.allowedPods = node.allocatable["pods"]?.value ?? 0
  }

  /// Takes over what the node says of itself now.
  mutating func update(_ node: Node) {
    let now = NodeState(node)
    labels = now.labels
    taints = now.taints
    isUnschedulable = now.isUnschedulable
    hasHardTaints = now.hasHardTaints
    hasSoftTaints = now.hasSoftTaints
    images = now.images
    load.allocatable = now.load.allocatable
    load.allowedPods = now.load.allowedPods
  }

  mutating func add(_ pod: PlacedPod) {
    precondition(pods.updateValue(pod, forKey: pod.uid) == nil, "a pod stands on a node once")
    load.add(pod.request)
    for port in pod.hostPorts { ports[port, default: 0] += 1 }
  }

  /// What changes of a pod while it stays where it is, and concerns only those that look for victims.
  mutating func refresh(_ pod: PlacedPod) {
    pods[pod.uid]?.startTime = pod.startTime
    pods[pod.uid]?.isVictim = pod.isVictim
  }

  mutating func remove(uid: String) -> PlacedPod? {
    guard let pod = pods.removeValue(forKey: uid) else { return nil }
    load.remove(pod.request)
    for port in pod.hostPorts { ports[port] = ports[port].flatMap { $0 > 1 ? $0 - 1 : nil } }
    return pod
  }

  func conflicts(with wanted: [HostPort]) -> Bool {
    ports.keys.contains { used in wanted.contains { $0.conflicts(with: used) } }
  }
}
