// The cluster as the scheduler sees it, indexed, and kept by deltas: the cost of one pod does not grow with the number
// of pods that run already.
import Client
import Schema

/// A pod that holds a place on a node.
struct PlacedPod: Sendable {
  var key: NamespacedName
  var uid: String
  var labels: [String: String]
  var request: PodRequest
  var priority: Int64
  var hostPorts: [HostPort]
  var isBeingDeleted: Bool
  /// Uid of the controlling owner, or "".
  var controllerUID: String
  var affinity: PodAffinity?

  init(_ pod: Pod, request: PodRequest) {
    key = pod.key
    uid = pod.metadata.uid
    labels = pod.metadata.labels
    self.request = request
    priority = pod.spec.priority
    hostPorts = HostPort.all(of: pod.spec)
    isBeingDeleted = pod.metadata.isBeingDeleted
    controllerUID = pod.metadata.controller?.uid ?? ""
    affinity = PodAffinity(pod.spec.affinity, namespace: pod.namespace)
  }
}

struct HostPort: Hashable, Sendable {
  var ip: String
  var protocolName: String
  var port: Int64

  static func all(of spec: PodSpec) -> [HostPort] {
    spec.containers.flatMap(\.ports).filter { $0.hostPort > 0 }.map {
      HostPort(ip: $0.hostIP.isEmpty ? "0.0.0.0" : $0.hostIP, protocolName: $0.protocolName, port: $0.hostPort)
    }
  }

  /// 0.0.0.0 clashes with every address.
  func conflicts(with other: HostPort) -> Bool {
    port == other.port && protocolName == other.protocolName
      && (ip == other.ip || ip == "0.0.0.0" || other.ip == "0.0.0.0")
  }
}

/// One node with what runs on it.
struct NodeState: Sendable {
  var name: String
  var labels: [String: String]
  var taints: [Taint]
  var isUnschedulable: Bool
  var allocatable: Resources
  var allowedPods: Int64
  var images: [String: Int64]
  private(set) var pods: [String: PlacedPod] = [:]
  private(set) var requested = Resources()
  private(set) var scoredMilliCPU: Int64 = 0
  private(set) var scoredMemory: Int64 = 0

  init(_ node: Node) {
    name = node.name
    labels = node.metadata.labels
    taints = node.taints
    isUnschedulable = node.isUnschedulable
    allocatable = Resources(node.allocatable)
    allowedPods = node.allocatable["pods"]?.value ?? 0
    images = node.images
  }

  /// Takes over what runs on the node from its earlier state.
  mutating func adopt(_ old: NodeState) {
    pods = old.pods
    requested = old.requested
    scoredMilliCPU = old.scoredMilliCPU
    scoredMemory = old.scoredMemory
  }

  mutating func add(_ pod: PlacedPod) {
    remove(uid: pod.uid)
    pods[pod.uid] = pod
    requested += pod.request.resources
    scoredMilliCPU += pod.request.scoredMilliCPU
    scoredMemory += pod.request.scoredMemory
  }

  mutating func remove(uid: String) {
    guard let pod = pods.removeValue(forKey: uid) else { return }
    requested -= pod.request.resources
    scoredMilliCPU -= pod.request.scoredMilliCPU
    scoredMemory -= pod.request.scoredMemory
  }
}

/// Pods that no selector can tell apart. Counting them together makes the cost of spreading and affinity independent of
/// how many pods run: a thousand pods of one ReplicaSet are one group.
struct LabelGroup: Hashable, Sendable {
  var namespace: String
  var labels: [String: String]
  var isBeingDeleted: Bool

  init(_ pod: PlacedPod) {
    namespace = pod.key.namespace
    labels = pod.labels
    isBeingDeleted = pod.isBeingDeleted
  }
}

/// All nodes and the pods placed on them, assumed ones included. Pods whose node is not known yet wait for it.
struct ClusterSnapshot: Sendable {
  private(set) var nodes: [String: NodeState] = [:]
  /// In order of name: the round-robin of the filters walks it.
  private(set) var order: [String] = []
  /// Pod uid → node name.
  private var placement: [String: String] = [:]
  private var homeless: [String: [String: PlacedPod]] = [:]
  /// Namespace → group → node → number of pods.
  private var groups: [String: [LabelGroup: [String: Int64]]] = [:]
  /// Pods with affinity or anti-affinity of their own, by uid: none, and the others' wishes need not be looked at.
  private(set) var podsWithAffinity: [String: (pod: PlacedPod, node: String)] = [:]

  mutating func put(_ node: Node) {
    var state = NodeState(node)
    if let old = nodes[node.name] {
      state.adopt(old)
    } else {
      order.insert(node.name, at: position(of: node.name))
      for pod in homeless.removeValue(forKey: node.name)?.values ?? [:].values { state.add(pod) }
    }
    nodes[node.name] = state
  }

  mutating func remove(node name: String) {
    guard let state = nodes.removeValue(forKey: name) else { return }
    order.remove(at: position(of: name))
    if !state.pods.isEmpty { homeless[name] = state.pods }
  }

  mutating func place(_ pod: PlacedPod, on node: String) {
    remove(pod: pod.uid)
    placement[pod.uid] = node
    if pod.affinity != nil { podsWithAffinity[pod.uid] = (pod, node) }
    groups[pod.key.namespace, default: [:]][LabelGroup(pod), default: [:]][node, default: 0] += 1
    if nodes[node] != nil { nodes[node]?.add(pod) } else { homeless[node, default: [:]][pod.uid] = pod }
  }

  @discardableResult
  mutating func remove(pod uid: String) -> Bool {
    guard let node = placement.removeValue(forKey: uid) else { return false }
    podsWithAffinity[uid] = nil
    if let pod = nodes[node]?.pods[uid] ?? homeless[node]?[uid] { leave(LabelGroup(pod), node) }
    nodes[node]?.remove(uid: uid)
    if homeless[node]?.removeValue(forKey: uid) != nil, homeless[node]?.isEmpty == true { homeless[node] = nil }
    return true
  }

  func node(of uid: String) -> String? { placement[uid] }
  func pod(_ uid: String) -> PlacedPod? { placement[uid].flatMap { nodes[$0]?.pods[uid] ?? homeless[$0]?[uid] } }

  /// How many pods that match stand on each node; nodes without any are left out. `namespaces`: nil for all.
  func matching(
    _ selector: LabelSelector, namespaces: Set<String>?, includingDeleted: Bool
  ) -> [String: Int64] {
    var counts: [String: Int64] = [:]
    func add(_ groups: [LabelGroup: [String: Int64]]) {
      for (group, perNode) in groups
      where (includingDeleted || !group.isBeingDeleted) && selector.matches(group.labels) {
        if counts.isEmpty { counts = perNode } else { counts.merge(perNode, uniquingKeysWith: +) }
      }
    }
    if let namespaces {
      for namespace in namespaces { if let groups = groups[namespace] { add(groups) } }
    } else {
      for groups in groups.values { add(groups) }
    }
    return counts
  }

  private mutating func leave(_ group: LabelGroup, _ node: String) {
    guard let count = groups[group.namespace]?[group]?[node] else { return }
    groups[group.namespace]?[group]?[node] = count > 1 ? count - 1 : nil
    guard groups[group.namespace]?[group]?.isEmpty == true else { return }
    groups[group.namespace]?[group] = nil
    if groups[group.namespace]?.isEmpty == true { groups[group.namespace] = nil }
  }

  /// Where `name` stands in `order`, or would.
  private func position(of name: String) -> Int {
    var low = 0
    var high = order.count
    while low < high {
      let middle = (low + high) / 2
      if order[middle] < name { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
