// One node: what it says of itself, how full it is, and what runs on it. Three parts, because filters and scores walk
// thousands of nodes for every pod: the numbers that all of them ask for lie side by side and cost nothing to look at.
import Client
import Schema

/// Where a node stands in the snapshot's tables, for as long as the node lives.
typealias NodeIndex = Int

/// What a node says of itself. Replaced as a whole when it says something else.
final class NodeFacts: Sendable {
  let name: String
  let labels: [String: String]
  let taints: [Taint]
  let images: [String: Int64]
  let allocatable: Resources

  /// Nodes say any number of bytes; what is larger counts no more.
  private static let largestImage: Int64 = 1 << 40

  init(_ node: Node) {
    name = node.name
    labels = node.metadata.labels
    taints = node.taints
    images = node.images.mapValues { min(max($0, 0), Self.largestImage) }
    // One less than what a pod may ask for at most: that must not fit.
    allocatable = Resources(node.allocatable, most: Resources.most - 1)
  }
}

/// How full a node is, and what else of it is asked for every pod: numbers only.
struct NodeRoom: Sendable, BitwiseCopyable {
  private(set) var milliCPU: Int64 = 0
  private(set) var memory: Int64 = 0
  private(set) var ephemeralStorage: Int64 = 0
  private(set) var allowedPods: Int64 = 0
  private(set) var requestedMilliCPU: Int64 = 0
  private(set) var requestedMemory: Int64 = 0
  private(set) var requestedEphemeralStorage: Int64 = 0
  private(set) var podCount: Int64 = 0
  private(set) var scoredMilliCPU: Int64 = 0
  private(set) var scoredMemory: Int64 = 0
  /// Pods for which room is being made here.
  var nominations: Int32 = 0
  /// Another one whenever anything of the node or of the pods on it changed; no two nodes ever had the same.
  var version: UInt64 = 0
  private(set) var isUnschedulable = false
  /// NoSchedule or NoExecute, and PreferNoSchedule.
  private(set) var hasHardTaints = false
  private(set) var hasSoftTaints = false

  /// Takes over what the node says of itself now.
  mutating func update(_ node: Node, _ facts: NodeFacts) {
    milliCPU = facts.allocatable.milliCPU
    memory = facts.allocatable.memory
    ephemeralStorage = facts.allocatable.ephemeralStorage
    allowedPods = node.allocatable["pods"]?.value ?? 0
    isUnschedulable = node.isUnschedulable
    hasHardTaints = facts.taints.contains { $0.effect != "PreferNoSchedule" }
    hasSoftTaints = facts.taints.contains { $0.effect == "PreferNoSchedule" }
  }

  // (Of `Resources.most` two thousand fit a number. More can stand on a node only where somebody has put them there by
  // name; then sums wrap, as the reference's do, and come back when the pods go.)

  mutating func add(_ demand: RoomDemand) {
    podCount += 1
    requestedMilliCPU &+= demand.milliCPU
    requestedMemory &+= demand.memory
    requestedEphemeralStorage &+= demand.ephemeralStorage
    scoredMilliCPU &+= demand.scoredMilliCPU
    scoredMemory &+= demand.scoredMemory
  }

  mutating func remove(_ demand: RoomDemand) {
    podCount -= 1
    requestedMilliCPU &-= demand.milliCPU
    requestedMemory &-= demand.memory
    requestedEphemeralStorage &-= demand.ephemeralStorage
    scoredMilliCPU &-= demand.scoredMilliCPU
    scoredMemory &-= demand.scoredMemory
  }

  /// Of what a pod asks, what there is too little of.
  func shortages(_ demand: RoomDemand) -> RefusalSet {
    var refusals: RefusalSet = []
    if podCount + 1 > allowedPods { refusals.insert(.tooManyPods) }
    if demand.milliCPU > 0, demand.milliCPU > milliCPU &- requestedMilliCPU {
      refusals.insert(demand.milliCPU <= milliCPU ? .insufficientCPU : .neverEnoughCPU)
    }
    if demand.memory > 0, demand.memory > memory &- requestedMemory {
      refusals.insert(demand.memory <= memory ? .insufficientMemory : .neverEnoughMemory)
    }
    if demand.ephemeralStorage > 0, demand.ephemeralStorage > ephemeralStorage &- requestedEphemeralStorage {
      refusals.insert(
        demand.ephemeralStorage <= ephemeralStorage ? .insufficientEphemeralStorage : .neverEnoughEphemeralStorage)
    }
    return refusals
  }
}

/// The pods of a node, and what they hold beside what `NodeRoom` counts.
struct NodeState: Sendable {
  var facts: NodeFacts
  /// The most important first: who may have to go stands at the end.
  private(set) var pods: [PlacedPod] = []
  /// Requested amounts of resources other than cpu, memory and ephemeral-storage.
  private(set) var extended: [String: Int64] = [:]
  /// How many pods have each port.
  private var ports: [HostPort: Int] = [:]

  init(_ facts: NodeFacts) { self.facts = facts }

  mutating func add(_ pod: PlacedPod) {
    let position = position(of: pod)
    precondition(position == pods.count || pods[position] !== pod, "a pod stands on a node once")
    pods.insert(pod, at: position)
    for (name, amount) in pod.request.resources.extended { extended[name, default: 0] &+= amount }
    for port in pod.hostPorts { ports[port, default: 0] += 1 }
  }

  mutating func remove(_ pod: PlacedPod) {
    let position = position(of: pod)
    precondition(position < pods.count && pods[position] === pod, "a pod goes from where it stands")
    pods.remove(at: position)
    for (name, amount) in pod.request.resources.extended {
      let left = (extended[name] ?? 0) &- amount
      extended[name] = left == 0 ? nil : left
    }
    for port in pod.hostPorts { ports[port] = ports[port].flatMap { $0 > 1 ? $0 - 1 : nil } }
  }

  func conflicts(with wanted: [HostPort]) -> Bool {
    ports.keys.contains { used in wanted.contains { $0.conflicts(with: used) } }
  }

  /// Of the other resources that a pod asks for, those that there are too few of.
  func shortages(ofExtended wanted: [String: Int64]) -> [Refusal] {
    wanted.sorted { $0.key < $1.key }.compactMap { name, amount in
      let available = facts.allocatable.extended[name] ?? 0
      guard amount > 0, amount > available &- (extended[name] ?? 0) else { return nil }
      return .insufficient(name, everEnough: amount <= available)
    }
  }

  /// Where the pod stands among `pods`, or would.
  private func position(of pod: PlacedPod) -> Int {
    var low = 0
    var high = pods.count
    while low < high {
      let middle = (low + high) / 2
      if PlacedPod.mostImportantFirst(pods[middle], pod) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
