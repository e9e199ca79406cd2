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
    let count = snapshot.order.count
    guard count > 0 else { return .failure(FitError(nodeCount: 0)) }
    if let obstacle = pod.volumes?.obstacle { return .failure(FitError(nodeCount: count, obstacle: obstacle)) }
    if let node = nominatedNode(of: pod, in: &snapshot) { return .success(node) }
    let fit = FitState(pod, &snapshot, scoring: true)
    let wanted = Self.feasibleNodesToFind(count)
    var feasible: [NodeIndex] = []
    var error = FitError(nodeCount: count)
    var visited = 0
    while visited < count && feasible.count < wanted {
      let position = startIndex + visited
      let index = snapshot.order[position < count ? position : position - count]
      visited += 1
      let refusals = fit.refusals(pod, index, &snapshot)
      if refusals.isEmpty { feasible.append(index) } else { error.add(refusals, of: index) }
    }
    startIndex = (startIndex + visited) % count
    guard let first = feasible.first else { return .failure(error) }
    guard feasible.count > 1 else { return .success(snapshot.table[first].name) }
    let totals = NodeScores.totals(pod, feasible, snapshot, spread: fit.spread, affinity: fit.affinity)
    let best = totals.max() ?? 0
    let winners = totals.indices.filter { totals[$0] == best }
    return .success(snapshot.table[feasible[winners.randomElement(using: &chance) ?? 0]].name)
  }

  /// The node where room has been made for the pod, if it will do: others need not be asked.
  private func nominatedNode(of pod: PodToSchedule, in snapshot: inout ClusterSnapshot) -> String? {
    guard let name = snapshot.nomination(of: pod.placed.uid), let index = snapshot.index(of: name) else { return nil }
    let fit = FitState(pod, &snapshot, scoring: false)
    return fit.refusals(pod, index, &snapshot).isEmpty ? name : nil
  }

  /// Adaptive: 50 − nodes/125 percent, never under 5, never under 100 nodes.
  static func feasibleNodesToFind(_ nodes: Int) -> Int {
    guard nodes > minimumFeasible else { return nodes }
    let percent = max(5, 50 - nodes / 125)
    return max(minimumFeasible, nodes * percent / 100)
  }
}

/// Everything that decides whether nodes will do for one pod, while nothing moves.
struct FitState: Sendable {
  let spread: SpreadState
  let affinity: AffinityState

  init(_ pod: PodToSchedule, _ snapshot: inout ClusterSnapshot, scoring: Bool) {
    spread = SpreadState(pod, &snapshot, scoring: scoring)
    affinity = AffinityState(pod, &snapshot, scoring: scoring)
  }

  /// Empty when the node will do: as it is, and also when the pods have come for which room is being made there, if
  /// they are no less important (they may never come: what only they would make possible does not count).
  func refusals(_ pod: PodToSchedule, _ index: NodeIndex, _ snapshot: inout ClusterSnapshot) -> [Refusal] {
    let refusals = refusalsAsItIs(pod, index, snapshot)
    guard refusals.isEmpty, !snapshot.nominations.isEmpty else { return refusals }
    let expected = (snapshot.nominations[snapshot.table[index].name] ?? [:]).values.filter {
      $0.priority >= pod.placed.priority && $0.uid != pod.placed.uid
    }
    guard !expected.isEmpty else { return [] }
    for other in expected { snapshot.settle(other, on: index) }
    defer { for other in expected { snapshot.lift(other.uid, from: index) } }
    return FitState(pod, &snapshot, scoring: false).refusalsAsItIs(pod, index, snapshot)
  }

  private func refusalsAsItIs(_ pod: PodToSchedule, _ index: NodeIndex, _ snapshot: ClusterSnapshot) -> [Refusal] {
    let refusals = NodeFilters.refusals(pod, snapshot.table[index])
    guard refusals.isEmpty else { return refusals }
    if let volumes = pod.volumes {
      let node = snapshot.table[index]
      if let refusal = volumes.refusal(node.name, node.labels) { return [refusal] }
    }
    return (spread.refusal(index) ?? affinity.refusal(index)).map { [$0] } ?? []
  }
}
