// The cluster as the scheduler sees it: nodes, the pods placed on them (assumed ones included), the pods for which room
// is being made, and what is counted over all of them; kept by deltas.
import Client
import Schema

struct ClusterSnapshot: Sendable {
  private struct Place: Sendable {
    var node: String
    var pod: PlacedPod
  }
  private struct Member: Sendable {
    var node: NodeIndex
    var pod: PlacedPod
  }

  /// Where a node was, its last state is left until another takes the place. Filters walk both tables by `order`.
  private(set) var rooms: [NodeRoom] = []
  private(set) var table: [NodeState] = []
  private var lastVersion: UInt64 = 0
  /// In order of name: the round-robin of the filters walks it.
  private(set) var order: [NodeIndex] = []
  private var indices: [String: NodeIndex] = [:]
  private var free: [NodeIndex] = []
  /// By uid of the pod.
  private var placement: [String: Place] = [:]
  /// Pods whose node is not known yet (or any more) wait for it.
  private var homeless: [String: [String: PlacedPod]] = [:]
  /// Placed pods by namespace: where counting begins.
  private var members: [String: [String: Member]] = [:]

  private var domains: [String: TopologyDomains] = [:]
  /// As many as were in use when they were last looked over.
  private var domainsKept = 0
  private var tallies = Tallies()
  private(set) var wishes = Wishes()
  /// Nodes by the images that they have: image → node → bytes.
  private(set) var imageSizes: [String: [NodeIndex: Int64]] = [:]
  /// How many placed pods use a claim.
  private(set) var claimUsers: [NamespacedName: Int] = [:]
  /// What was found out about victims; kept here because it is about this snapshot.
  var victimMemo = VictimMemo()
  /// Labels of namespaces, for terms that choose namespaces by them.
  var namespaceLabels: [String: [String: String]] = [:]

  /// Pods for which room is being made, by the node where (status.nominatedNodeName), by uid.
  private(set) var nominations: [String: [String: PlacedPod]] = [:]
  private var nominatedNode: [String: String] = [:]

  var nodes: [NodeState] { order.map { table[$0] } }
  var nodeCount: Int { order.count }
  var podCount: Int { placement.count }

  func index(of name: String) -> NodeIndex? { indices[name] }
  func name(of index: NodeIndex) -> String { table[index].facts.name }

  private mutating func touch(_ index: NodeIndex) {
    lastVersion += 1
    rooms[index].version = lastVersion
  }

  // MARK: Nodes

  mutating func put(_ node: Node) {
    guard let index = indices[node.name] else {
      insert(node)
      return
    }
    let old = table[index].facts
    let new = NodeFacts(node)
    for image in old.images.keys { imageSizes[image]?[index] = nil }
    let moves = domains.keys.contains { old.labels[$0] != new.labels[$0] }
    // Pods are counted in the domains of their node: when those change, out there and in here.
    let pods = moves ? table[index].pods : []
    for pod in pods { count(pod, on: index, -1) }
    if moves { for key in domains.keys { domains[key]?.remove(index, old.labels[key]) } }
    table[index].facts = new
    rooms[index].update(node, new)
    touch(index)
    if moves { for key in domains.keys { domains[key]?.put(index, new.labels[key]) } }
    for pod in pods { count(pod, on: index, 1) }
    for (image, size) in new.images { imageSizes[image, default: [:]][index] = size }
    for image in old.images.keys where imageSizes[image]?.isEmpty == true { imageSizes[image] = nil }
  }

  private mutating func insert(_ node: Node) {
    let facts = NodeFacts(node)
    var room = NodeRoom()
    room.update(node, facts)
    room.nominations = Int32(nominations[facts.name]?.count ?? 0)
    let index = free.popLast() ?? table.count
    if index == table.count {
      table.append(NodeState(facts))
      rooms.append(room)
    } else {
      table[index] = NodeState(facts)
      rooms[index] = room
    }
    touch(index)
    indices[facts.name] = index
    order.insert(index, at: position(of: facts.name))
    for key in domains.keys { domains[key]?.put(index, facts.labels[key]) }
    for (image, size) in facts.images { imageSizes[image, default: [:]][index] = size }
    for pod in homeless.removeValue(forKey: facts.name)?.values ?? [:].values { settle(pod, on: index) }
  }

  mutating func remove(node name: String) {
    guard let index = indices[name] else { return }
    let state = table[index]
    for pod in state.pods {
      lift(pod, from: index)
      homeless[name, default: [:]][pod.uid] = pod
    }
    for key in domains.keys { domains[key]?.remove(index, state.facts.labels[key]) }
    for image in state.facts.images.keys {
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
    placement[pod.uid] = Place(node: node, pod: pod)
    if let index = indices[node] { settle(pod, on: index) } else { homeless[node, default: [:]][pod.uid] = pod }
  }

  /// The pod that left, nil when it had no place.
  @discardableResult
  mutating func remove(pod uid: String) -> PlacedPod? {
    guard let place = placement.removeValue(forKey: uid) else { return nil }
    if let index = indices[place.node] {
      lift(place.pod, from: index)
    } else {
      homeless[place.node]?[uid] = nil
      if homeless[place.node]?.isEmpty == true { homeless[place.node] = nil }
    }
    return place.pod
  }

  /// What changes of a pod while it stays where it is, and no question that is counted asks for.
  mutating func refresh(_ pod: PlacedPod) {
    guard let place = placement[pod.uid],
      place.pod.startTime != pod.startTime || place.pod.isVictim != pod.isVictim || place.pod.request != pod.request
    else { return }
    placement[pod.uid]?.pod = pod
    guard let index = indices[place.node] else {
      homeless[place.node]?[pod.uid] = pod
      return
    }
    table[index].remove(place.pod)
    table[index].add(pod)
    rooms[index].remove(place.pod.demand)
    rooms[index].add(pod.demand)
    touch(index)
    members[pod.key.namespace]?[pod.uid]?.pod = pod
  }

  func node(of uid: String) -> String? { placement[uid]?.node }
  func pod(_ uid: String) -> PlacedPod? { placement[uid]?.pod }

  /// Counts a pod in on a node. By itself only for a moment, to see what would be if it stood there.
  mutating func settle(_ pod: PlacedPod, on index: NodeIndex) {
    table[index].add(pod)
    rooms[index].add(pod.demand)
    touch(index)
    members[pod.key.namespace, default: [:]][pod.uid] = Member(node: index, pod: pod)
    countClaims(pod, 1)
    count(pod, on: index, 1)
  }

  /// Counts a pod out. By itself only for a moment, to see what would be if it were gone.
  mutating func lift(_ pod: PlacedPod, from index: NodeIndex) {
    table[index].remove(pod)
    rooms[index].remove(pod.demand)
    touch(index)
    members[pod.key.namespace]?[pod.uid] = nil
    countClaims(pod, -1)
    if members[pod.key.namespace]?.isEmpty == true { members[pod.key.namespace] = nil }
    count(pod, on: index, -1)
  }

  private mutating func countClaims(_ pod: PlacedPod, _ delta: Int) {
    for claim in pod.claims {
      let key = NamespacedName(namespace: pod.key.namespace, name: claim)
      let count = (claimUsers[key] ?? 0) + delta
      claimUsers[key] = count == 0 ? nil : count
    }
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

  /// Domains of more keys than this are looked over before each pod.
  private static let domainsMaximum = 4096

  /// Lets go of the domains of keys by which nothing is counted any more: pods may name a thousand keys each, and every
  /// node that comes or changes is entered under each of them. Not while somebody works with the domains.
  mutating func forgetUnusedDomains() {
    guard domains.count > domainsKept + Self.domainsMaximum else { return }
    var used = tallies.topologyKeys
    wishes.addTopologyKeys(to: &used)
    domains = domains.filter { used.contains($0.key) }
    domainsKept = domains.count
  }

  /// The keys that are known.
  var knownTopologyKeys: Int { domains.count }

  /// The domains of a topology key, from now on kept.
  mutating func know(_ key: String) -> TopologyDomains {
    if let known = domains[key] { return known }
    var fresh = TopologyDomains()
    for index in order { fresh.put(index, table[index].facts.labels[key]) }
    domains[key] = fresh
    return fresh
  }

  /// How many pods that match stand in each domain.
  mutating func tally(_ question: Tallies.Question) -> DomainCounts {
    if let known = tallies.answer(question) { return known }
    let domains = question.topologyKey.map { know($0) }
    var counts = DomainCounts()
    func add(_ pods: [String: Member]) {
      for member in pods.values where question.matches(member.pod) {
        counts.add(1, to: domains.map { $0.domain(of: member.node) } ?? Int32(member.node))
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
    if let index = indices[node] { rooms[index].nominations += 1 }
  }

  mutating func withdrawNomination(_ uid: String) {
    guard let node = nominatedNode.removeValue(forKey: uid) else { return }
    nominations[node]?[uid] = nil
    if nominations[node]?.isEmpty == true { nominations[node] = nil }
    if let index = indices[node] { rooms[index].nominations -= 1 }
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
      if table[order[middle]].facts.name < name { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
