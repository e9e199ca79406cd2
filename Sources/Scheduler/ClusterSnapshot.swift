// The cluster as the scheduler sees it: nodes, the pods placed on them (assumed ones included), the pods for which room
// is being made, and what is counted over all of them; kept by deltas.
import Client
import Schema

struct ClusterSnapshot: Sendable {
  /// Where a node was, its last state is left until another takes the place. Filters walk the table by `order`.
  private(set) var table: [NodeState] = []
  /// In order of name: the round-robin of the filters walks it.
  private(set) var order: [NodeIndex] = []
  private var indices: [String: NodeIndex] = [:]
  private var free: [NodeIndex] = []
  /// Pod uid → node name.
  private var placement: [String: String] = [:]
  /// Pods whose node is not known yet (or any more) wait for it.
  private var homeless: [String: [String: PlacedPod]] = [:]
  /// Placed pods by namespace: where counting begins.
  private var members: [String: [String: NodeIndex]] = [:]

  private var domains: [String: TopologyDomains] = [:]
  private var tallies = Tallies()
  private(set) var wishes = Wishes()
  /// Nodes by the images that they have: image → node → bytes.
  private(set) var imageSizes: [String: [NodeIndex: Int64]] = [:]
  /// Labels of namespaces, for terms that choose namespaces by them.
  var namespaceLabels: [String: [String: String]] = [:]

  /// Pods for which room is being made, by the node where (status.nominatedNodeName), by uid.
  private(set) var nominations: [String: [String: PlacedPod]] = [:]
  private var nominatedNode: [String: String] = [:]

  var nodes: [NodeState] { order.map { table[$0] } }

  func index(of name: String) -> NodeIndex? { indices[name] }

  // MARK: Nodes

  mutating func put(_ node: Node) {
    guard let index = indices[node.name] else {
      insert(node)
      return
    }
    let old = table[index]
    for image in old.images.keys { imageSizes[image]?[index] = nil }
    let moves = domains.keys.contains { old.labels[$0] != node.metadata.labels[$0] }
    // Pods are counted in the domains of their node: when those change, out there and in here.
    if moves {
      for pod in old.pods.values { count(pod, on: index, -1) }
      for key in domains.keys { domains[key]?.remove(index, old.labels[key]) }
    }
    table[index].update(node)
    if moves {
      for key in domains.keys { domains[key]?.put(index, node.metadata.labels[key]) }
      for pod in old.pods.values { count(pod, on: index, 1) }
    }
    for (image, size) in node.images { imageSizes[image, default: [:]][index] = size }
    for image in old.images.keys where imageSizes[image]?.isEmpty == true { imageSizes[image] = nil }
  }

  private mutating func insert(_ node: Node) {
    let index = free.popLast() ?? table.count
    if index == table.count { table.append(NodeState(node)) } else { table[index] = NodeState(node) }
    indices[node.name] = index
    order.insert(index, at: position(of: node.name))
    for key in domains.keys { domains[key]?.put(index, node.metadata.labels[key]) }
    for (image, size) in node.images { imageSizes[image, default: [:]][index] = size }
    for pod in homeless.removeValue(forKey: node.name)?.values ?? [:].values { settle(pod, on: index) }
  }

  mutating func remove(node name: String) {
    guard let index = indices[name] else { return }
    let state = table[index]
    for pod in state.pods.values { lift(pod.uid, from: index) }
    if !state.pods.isEmpty { homeless[name] = state.pods }
    for key in domains.keys { domains[key]?.remove(index, state.labels[key]) }
    for image in state.images.keys {
      imageSizes[image]?[index] = nil
      if imageSizes[image]?.isEmpty == true { imageSizes[image] = nil }
    }
    order.remove(at: position(of: name))
    indices[name] = nil
    free.append(index)
  }

  // MARK: Pods

  mutating func place(_ pod: PlacedPod, on node: String) {
    remove(pod: pod.uid)
    withdrawNomination(pod.uid)
    placement[pod.uid] = node
    if let index = indices[node] { settle(pod, on: index) } else { homeless[node, default: [:]][pod.uid] = pod }
  }

  /// The pod that left, nil when it had no place.
  @discardableResult
  mutating func remove(pod uid: String) -> PlacedPod? {
    guard let node = placement.removeValue(forKey: uid) else { return nil }
    if let index = indices[node] { return lift(uid, from: index) }
    let pod = homeless[node]?.removeValue(forKey: uid)
    if homeless[node]?.isEmpty == true { homeless[node] = nil }
    return pod
  }

  mutating func refresh(_ pod: PlacedPod) {
    if let index = placement[pod.uid].flatMap({ indices[$0] }) { table[index].refresh(pod) }
  }

  func node(of uid: String) -> String? { placement[uid] }

  func pod(_ uid: String) -> PlacedPod? {
    guard let name = placement[uid] else { return nil }
    return indices[name].map { table[$0].pods[uid] } ?? homeless[name]?[uid]
  }

  /// Counts a pod in on a node. By itself only for a moment, to see what would be if it stood there.
  mutating func settle(_ pod: PlacedPod, on index: NodeIndex) {
    table[index].add(pod)
    members[pod.key.namespace, default: [:]][pod.uid] = index
    count(pod, on: index, 1)
  }

  /// Counts a pod out. By itself only for a moment, to see what would be if it were gone.
  @discardableResult
  mutating func lift(_ uid: String, from index: NodeIndex) -> PlacedPod? {
    guard let pod = table[index].remove(uid: uid) else { return nil }
    members[pod.key.namespace]?[uid] = nil
    if members[pod.key.namespace]?.isEmpty == true { members[pod.key.namespace] = nil }
    count(pod, on: index, -1)
    return pod
  }

  private mutating func count(_ pod: PlacedPod, on index: NodeIndex, _ delta: Int32) {
    if let affinity = pod.affinity {
      for key in affinity.topologyKeys { _ = know(key) }
      wishes.count(affinity, delta) { [domains] key in Self.domain(of: index, key, domains) }
    }
    tallies.count(pod, delta) { [domains] key in Self.domain(of: index, key, domains) }
  }

  private static func domain(of node: NodeIndex, _ key: String?, _ domains: [String: TopologyDomains]) -> Int32 {
    guard let key else { return Int32(node) }
    return domains[key]?.domain(of: node) ?? TopologyDomains.none
  }

  // MARK: Counting

  /// The domains of a topology key, from now on kept.
  mutating func know(_ key: String) -> TopologyDomains {
    if let known = domains[key] { return known }
    var fresh = TopologyDomains()
    for index in order { fresh.put(index, table[index].labels[key]) }
    domains[key] = fresh
    return fresh
  }

  /// How many pods that match stand in each domain.
  mutating func tally(_ question: Tallies.Question) -> DomainCounts {
    if let known = tallies.answer(question) { return known }
    let domains = question.topologyKey.map { know($0) }
    var counts = DomainCounts()
    func add(_ pods: [String: NodeIndex]) {
      for (uid, index) in pods {
        guard let pod = table[index].pods[uid], question.matches(pod) else { continue }
        counts.add(1, to: domains.map { $0.domain(of: index) } ?? Int32(index))
      }
    }
    if let namespaces = question.matchers.first?.namespaces {
      for namespace in namespaces { if let pods = members[namespace] { add(pods) } }
    } else {
      for pods in members.values { add(pods) }
    }
    tallies.keep(question, counts)
    return counts
  }

  func namespaces(_ selector: LabelSelector) -> Set<String> {
    Set(namespaceLabels.lazy.filter { selector.matches($0.value) }.map(\.key))
  }

  // MARK: Nominations

  mutating func nominate(_ pod: PlacedPod, to node: String) {
    withdrawNomination(pod.uid)
    nominations[node, default: [:]][pod.uid] = pod
    nominatedNode[pod.uid] = node
  }

  mutating func withdrawNomination(_ uid: String) {
    guard let node = nominatedNode.removeValue(forKey: uid) else { return }
    nominations[node]?[uid] = nil
    if nominations[node]?.isEmpty == true { nominations[node] = nil }
  }

  func nomination(of uid: String) -> String? { nominatedNode[uid] }

  /// Takes back the nominations of less important pods to a node that a more important one is to have.
  mutating func withdrawNominations(to node: String, below priority: Int64) -> [PlacedPod] {
    let displaced = (nominations[node] ?? [:]).values.filter { $0.priority < priority }
    for pod in displaced { withdrawNomination(pod.uid) }
    return displaced.sorted { $0.key < $1.key }
  }

  /// Where `name` stands in `order`, or would.
  private func position(of name: String) -> Int {
    var low = 0
    var high = order.count
    while low < high {
      let middle = (low + high) / 2
      if table[order[middle]].name < name { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
