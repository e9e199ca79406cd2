// The decision for one pod, as a function of the snapshot.
import Client
import Schema

/// Walks the nodes, keeps those that will do, and takes the best.
struct SchedulingCycle: Sendable {
  /// All nodes below this number are looked at; beyond it only a part (spec/6 §6.3).
  private static let minimumFeasible = 100

  /// Where the next walk begins, so that all nodes get their turn in large clusters.
  private var startIndex = 0

  /// The node for a pod, or why there is none. Ties are broken by `chance`.
  mutating func choose<Chance: RandomNumberGenerator>(
    _ pod: PodToSchedule, in snapshot: ClusterSnapshot, chance: inout Chance
  ) -> Result<String, FitError> {
    let count = snapshot.order.count
    guard count > 0 else { return .failure(FitError(nodeCount: 0, refusals: [:])) }
    let spread = SpreadState(pod, snapshot)
    let affinity = AffinityState(pod, snapshot)
    let wanted = Self.feasibleNodesToFind(count)
    var feasible: [NodeState] = []
    var refusals: [String: [Refusal]] = [:]
    var visited = 0
    while visited < count && feasible.count < wanted {
      let name = snapshot.order[(startIndex + visited) % count]
      visited += 1
      guard let node = snapshot.nodes[name] else { continue }
      var why = NodeFilters.refusals(pod, node)
      if why.isEmpty, let refusal = spread.refusal(node) ?? affinity.refusal(node) { why = [refusal] }
      if why.isEmpty { feasible.append(node) } else { refusals[name] = why }
    }
    startIndex = (startIndex + visited) % count
    guard !feasible.isEmpty else { return .failure(FitError(nodeCount: count, refusals: refusals)) }
    guard feasible.count > 1 else { return .success(feasible[0].name) }
    let totals = NodeScores.totals(pod, feasible, spread: spread, affinity: affinity)
    let best = totals.max() ?? 0
    let winners = totals.indices.filter { totals[$0] == best }
    return .success(feasible[winners.randomElement(using: &chance) ?? 0].name)
  }

  /// Adaptive: 50 − nodes/125 percent, never under 5, never under 100 nodes.
  static func feasibleNodesToFind(_ nodes: Int) -> Int {
    guard nodes > minimumFeasible else { return nodes }
    let percent = max(5, 50 - nodes / 125)
    return max(minimumFeasible, nodes * percent / 100)
  }
}
