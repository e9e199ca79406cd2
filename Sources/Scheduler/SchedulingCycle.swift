// The decision for one pod, as a function of the snapshot.
import Client
import Schema

/// Walks the nodes, keeps those that will do, and takes the best.
struct SchedulingCycle: Sendable {
  /// All nodes below this number are looked at; beyond it only a part (spec/6 §6.3).
  private static let minimumFeasible = 100

  /// Where the next walk begins, so that all nodes get their turn in large clusters.
  private var startIndex = 0

  /// The node for a pod, or why there is none. Ties are broken by `chance`. What the snapshot holds is the same
  /// afterwards; it may count more.
  mutating func choose<Chance: RandomNumberGenerator>(
    _ pod: PodToSchedule, in snapshot: inout ClusterSnapshot, chance: inout Chance
  ) -> Result<String, FitError> {
    if let obstacle = obstacle(to: pod, snapshot) { return .failure(obstacle) }
    snapshot.forgetUnusedDomains()
    if let node = nominatedNode(of: pod, in: &snapshot) { return .success(node) }
    let fit = FitState(pod, &snapshot, scoring: true)
    let (feasible, error) = walk(fit, &snapshot)
    guard let first = feasible.first else { return .failure(error) }
    guard feasible.count > 1 else { return .success(snapshot.name(of: first)) }
    let totals = NodeScores.totals(pod, feasible, snapshot, spread: fit.spread, affinity: fit.affinity)
    let best = totals.max() ?? 0
    let winners = totals.indices.filter { totals[$0] == best }
    return .success(snapshot.name(of: feasible[winners.randomElement(using: &chance) ?? 0]))
  }

  /// What `choose` would choose from, for others to have a say.
  mutating func survey(_ pod: PodToSchedule, in snapshot: inout ClusterSnapshot) -> Survey {
    if let obstacle = obstacle(to: pod, snapshot) { return Survey(totals: [], error: obstacle) }
    let empty = FitError(nodeCount: snapshot.order.count)
    snapshot.forgetUnusedDomains()
    if let node = nominatedNode(of: pod, in: &snapshot) { return Survey(totals: [(node, 0)], error: empty) }
    let fit = FitState(pod, &snapshot, scoring: true)
    let (feasible, error) = walk(fit, &snapshot)
    let totals = NodeScores.totals(pod, feasible, snapshot, spread: fit.spread, affinity: fit.affinity)
    return Survey(totals: zip(feasible, totals).map { (snapshot.name(of: $0), $1) }, error: error)
  }

  private func obstacle(to pod: PodToSchedule, _ snapshot: ClusterSnapshot) -> FitError? {
    let count = snapshot.order.count
    if count == 0 { return FitError(nodeCount: 0) }
    if pod.namedNodes?.isEmpty == true { return FitError(nodeCount: count, obstacle: "pod affinity terms conflict") }
    return pod.volumes?.obstacle.map { FitError(nodeCount: count, obstacle: $0) }
  }

  /// As many nodes that will do as are to be scored, and why others will not.
  private mutating func walk(_ fit: FitState, _ snapshot: inout ClusterSnapshot) -> (feasible: [NodeIndex], FitError) {
    let count = snapshot.order.count
    let wanted = Self.feasibleNodesToFind(count, percentage: fit.pod.profile.percentageOfNodesToScore)
    var feasible: [NodeIndex] = []
    var error = FitError(nodeCount: count)
    if let names = fit.pod.namedNodes {
      let indices = names.sorted().compactMap { snapshot.index(of: $0) }
      for index in indices {
        let answer = fit.answer(index, &snapshot)
        if answer.fits { feasible.append(index) } else { error.add(answer, of: index) }
      }
      error.excluded = count - indices.count
      return (feasible, error)
    }
    var visited = 0
    while visited < count && feasible.count < wanted {
      let position = startIndex + visited
      let index = snapshot.order[position < count ? position : position - count]
      visited += 1
      if let refusals = fit.answerByNumbers(snapshot.rooms[index]) {
        if refusals.isEmpty { feasible.append(index) } else { error.add(refusals, of: index) }
        continue
      }
      let answer = fit.answer(index, &snapshot)
      if answer.fits { feasible.append(index) } else { error.add(answer, of: index) }
    }
    startIndex = (startIndex + visited) % count
    return (feasible, error)
  }

  /// The node where room has been made for the pod, if it will do: others need not be asked.
  private func nominatedNode(of pod: PodToSchedule, in snapshot: inout ClusterSnapshot) -> String? {
    guard let name = snapshot.nomination(of: pod.placed.uid), let index = snapshot.index(of: name) else { return nil }
    let fit = FitState(pod, &snapshot, scoring: false)
    return fit.answer(index, &snapshot).fits ? name : nil
  }

  /// `percentage` of the nodes; 0 is adaptive: 50 − nodes/125 percent, never under 5. Never under 100 nodes.
  static func feasibleNodesToFind(_ nodes: Int, percentage: Int64 = 0) -> Int {
    guard nodes > minimumFeasible, percentage < 100 else { return nodes }
    let percent = percentage > 0 ? Int(percentage) : max(5, 50 - nodes / 125)
    return max(minimumFeasible, nodes * percent / 100)
  }
}

/// Everything that decides whether nodes will do for one pod, while nothing moves. What the pod does not ask for is known
/// once and not looked for on every node.
struct FitState: Sendable {
  let pod: PodToSchedule
  let spread: SpreadState
  let affinity: AffinityState
  private let demand: RoomDemand
  private let checksCordon: Bool
  private let checksTaints: Bool
  private let checksRoom: Bool
  private let asksForExtended: Bool
  private let asksForPorts: Bool
  private let asksForNode: Bool
  private let choosesNodes: Bool
  private let onlyRoomIsAsked: Bool
  private let asksForDisks: Bool
  /// A claim that one pod at a time may use is another's.
  private let claimIsInUse: Bool

  init(_ pod: PodToSchedule, _ snapshot: inout ClusterSnapshot, scoring: Bool) {
    self.pod = pod
    spread = SpreadState(pod, &snapshot, scoring: scoring)
    affinity = AffinityState(pod, &snapshot, scoring: scoring)
    demand = pod.placed.demand
    let filters = pod.profile.enabled[.filter] ?? []
    checksCordon = filters.contains(.nodeUnschedulable) && !pod.toleratesUnschedulable
    checksTaints = filters.contains(.taintToleration)
    checksRoom = filters.contains(.nodeResourcesFit) && !SchedulerMutant.resourcesIgnored.isActive
    asksForExtended = checksRoom && !pod.extended.isEmpty
    asksForPorts = !pod.hostPorts.isEmpty && filters.contains(.nodePorts)
    asksForNode = !pod.nodeName.isEmpty && filters.contains(.nodeName)
    choosesNodes = pod.choosesNodes && filters.contains(.nodeAffinity)
    asksForDisks = !pod.placed.disks.isEmpty && filters.contains(.volumeRestrictions)
    claimIsInUse = pod.volumes?.exclusiveClaims.contains { snapshot.claimUsers[$0] != nil } ?? false
    onlyRoomMatters =
      checksRoom && !asksForDisks && !asksForPorts && !asksForExtended && pod.volumes == nil && !spread.mayRefuse
      && affinity.isIndifferent
    onlyRoomIsAsked = checksRoom && !asksForExtended && !asksForPorts && !asksForNode && !choosesNodes
  }

  /// Of what other pods hold, only `NodeRoom` can stand against this one.
  let onlyRoomMatters: Bool

  /// The answer of `answer`, where numbers alone give it; nil where more must be looked at.
  func answerByNumbers(_ room: NodeRoom) -> RefusalSet? {
    guard onlyRoomIsAsked, !room.isUnschedulable, !room.hasHardTaints else { return nil }
    let shortages = room.shortages(demand)
    return !shortages.isEmpty || (room.nominations == 0 && onlyRoomMatters) ? shortages : nil
  }

  /// What the node says as it is, and also when the pods have come for which room is being made there, if they are no less
  /// important (they may never come: what only they would make possible does not count).
  func answer(_ index: NodeIndex, _ snapshot: inout ClusterSnapshot) -> NodeAnswer {
    let answer = answerAsItIs(index, snapshot)
    guard answer.fits, snapshot.rooms[index].nominations > 0 else { return answer }
    let expected = (snapshot.nominations[snapshot.name(of: index)] ?? [:]).values.filter {
      $0.priority >= pod.placed.priority && $0.uid != pod.placed.uid
    }
    guard !expected.isEmpty else { return .fits }
    if onlyRoomMatters, expected.allSatisfy({ $0.affinity == nil }) {
      var room = snapshot.rooms[index]
      for other in expected { room.add(other.demand) }
      let refusals = room.shortages(demand)
      return refusals.isEmpty ? .fits : .refused(refusals)
    }
    for other in expected { snapshot.settle(other, on: index) }
    defer { for other in expected { snapshot.lift(other, from: index) } }
    return FitState(pod, &snapshot, scoring: false).answerAsItIs(index, snapshot)
  }

  /// The refusals of the first plugin that has any, in the default profile's order.
  func answerAsItIs(_ index: NodeIndex, _ snapshot: borrowing ClusterSnapshot) -> NodeAnswer {
    let room = snapshot.rooms[index]
    if room.isUnschedulable && checksCordon { return .refused(.unschedulable) }
    if asksForNode && pod.nodeName != snapshot.table[index].facts.name { return .refused(.otherNodeRequested) }
    if room.hasHardTaints, checksTaints, let taint = NodeFilters.untoleratedTaint(pod, snapshot.table[index].facts) {
      return .explained([.untolerated(Taint(key: taint.key, value: taint.value, effect: taint.effect))])
    }
    if choosesNodes {
      let node = snapshot.table[index].facts
      // What the scheduler itself adds comes first.
      if let added = pod.profile.addedAffinity?.required, !added.matches(node) { return .refused(.enforcedAffinity) }
      if !NodeFilters.matchesNodeAffinity(pod, node) { return .refused(.nodeAffinity) }
    }
    if asksForPorts && snapshot.table[index].conflicts(with: pod.hostPorts) { return .refused(.hostPorts) }
    let shortages = checksRoom ? room.shortages(demand) : []
    if asksForExtended {
      let more = snapshot.table[index].shortages(ofExtended: pod.extended)
      if !more.isEmpty { return .explained(NodeAnswer.refused(shortages).refusals + more) }
    }
    if !shortages.isEmpty { return .refused(shortages) }
    if asksForDisks {
      let used = snapshot.table[index].pods.lazy.flatMap(\.disks)
      if used.contains(where: { disk in pod.placed.disks.contains { $0.conflicts(with: disk) } }) {
        return .explained([.diskConflict])
      }
    }
    if claimIsInUse { return .explained([.claimInUse]) }
    if let volumes = pod.volumes, let refusal = volumes.refusal(snapshot.table[index].facts, snapshot.table[index].pods)
    {
      return .explained([refusal])
    }
    let refusals = spread.refusals(index)
    return refusals.isEmpty ? affinity.answer(index) : .refused(refusals)
  }
}
