// The filters that look at one node alone, and the message that tells what became of all (spec/6 §6.1, §6.6).
import Client
import Schema

enum NodeFilters {
  static func untoleratedTaint(_ pod: PodToSchedule, _ node: NodeFacts) -> Taint? {
    node.taints.first { taint in
      taint.effect != "PreferNoSchedule" && !pod.tolerations.contains { $0.tolerates(taint) }
    }
  }

  static func matchesNodeAffinity(_ pod: PodToSchedule, _ node: NodeFacts) -> Bool {
    pod.nodeSelector.allSatisfy { node.labels[$0.key] == $0.value }
      && (pod.nodeAffinity.required?.matches(node) ?? true)
  }
}

/// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: …"
struct FitError: Error, Sendable {
  var nodeCount: Int
  /// How many nodes refuse for each reason of `RefusalSet`; a node may have several.
  private var counts = [Int](repeating: 0, count: RefusalSet.refusals.count)
  private var explained: [Refusal: Int] = [:]
  /// Nodes where removing pods may help.
  var resolvable: [NodeIndex] = []
  /// Nodes that were not asked: the pod's affinity names others.
  var excluded = 0
  /// Why no node was even asked.
  var obstacle: String?
  /// What became of the attempt to make room, as the tail of the message.
  var preemption = ""

  init(nodeCount: Int, obstacle: String? = nil) {
    self.nodeCount = nodeCount
    self.obstacle = obstacle
  }

  mutating func add(_ answer: NodeAnswer, of node: NodeIndex) {
    switch answer {
    case .fits: return
    case .refused(let set): add(set, of: node)
    case .explained(let refusals):
      for refusal in refusals { explained[refusal, default: 0] += 1 }
      if refusals.allSatisfy(\.isResolvable) { resolvable.append(node) }
    }
  }

  mutating func add(_ refusals: RefusalSet, of node: NodeIndex) {
    refusals.forEach { counts[$0] += 1 }
    if refusals.isResolvable { resolvable.append(node) }
  }

  /// How many nodes refuse for each reason.
  var reasons: [Refusal: Int] {
    var reasons = explained
    for (bit, count) in counts.enumerated() where count > 0 { reasons[RefusalSet.refusals[bit], default: 0] += count }
    return reasons
  }

  /// The changes after which the pod should be tried again.
  var cures: ClusterChange {
    obstacle == nil ? reasons.keys.reduce(.nodes) { $0.union($1.cures) } : .volumes
  }

  var message: String {
    guard nodeCount > 0 else { return "no nodes available to schedule pods" }
    let tail = preemption.isEmpty ? "" : " preemption: \(preemption)"
    if let obstacle { return "0/\(nodeCount) nodes are available: \(obstacle)." + tail }
    return Self.text(nodeCount: nodeCount, reasons, more: [Self.exclusion: excluded]) + tail
  }

  private static let exclusion = "node(s) didn't satisfy plugin(s) [NodeAffinity]"

  /// "0/3 nodes are available: 1 Insufficient cpu, …."
  static func text(nodeCount: Int, _ reasons: [Refusal: Int], more: [String: Int] = [:]) -> String {
    var histogram = more.filter { $0.value > 0 }
    for (refusal, count) in reasons { histogram[refusal.reason, default: 0] += count }
    let list = histogram.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ")
    return "0/\(nodeCount) nodes are available: \(list)."
  }
}
