// How well a node suits a pod: each plugin from 0 to 100, weighted as in the default profile (spec/6 §6.1).
import Client
import Schema

enum NodeScores {
  static let maximum: Int64 = 100

  /// The weighted sum for each of `nodes`, in their order.
  static func totals(
    _ pod: PodToSchedule, _ nodes: [NodeIndex], _ snapshot: ClusterSnapshot, spread: SpreadState,
    affinity: AffinityState
  ) -> [Int64] {
    let profile = pod.profile
    var totals = roomScores(pod, nodes, snapshot)
    func add(_ plugin: SchedulerPlugin, _ scores: @autoclosure () -> [Int64]?) {
      let weight = profile.weight(plugin)
      guard weight > 0, let scores = scores() else { return }
      for (index, score) in scores.enumerated() { totals[index] += score * weight }
    }
    add(.imageLocality, imageLocality(pod, nodes, snapshot))
    if nodes.contains(where: { snapshot.rooms[$0].hasSoftTaints }) {
      let taints = nodes.map { untoleratedPreferences(pod, snapshot.table[$0].facts) }
      add(.taintToleration, normalized(taints, reversed: true))
    }
    let preferred = pod.nodeAffinity.preferred + (profile.addedAffinity?.preferred ?? [])
    if !preferred.isEmpty {
      let terms = nodes.map { preferredTerms(preferred, snapshot.table[$0].facts) }
      add(.nodeAffinity, normalized(terms, reversed: false))
    }
    add(.podTopologySpread, spread.scores(nodes))
    add(.interPodAffinity, affinity.scores(nodes))
    return totals
  }

  /// Brought to 0…100: the best gets 100. Reversed: the least gets 100, and all equal get 100.
  static func normalized(_ raw: [Int64], reversed: Bool) -> [Int64] {
    let high = raw.max() ?? 0
    guard high > 0 else { return raw.map { _ in reversed ? maximum : 0 } }
    return raw.map { value in
      let scaled = value * maximum / high
      return reversed ? maximum - scaled : scaled
    }
  }

  private static let smallImage: Int64 = 23 << 20
  private static let largeImage: Int64 = 1000 << 20

  /// Images that are there already need no pulling; one that is on few nodes counts less, or all pods would go to these.
  /// Nil when no node has any.
  private static func imageLocality(
    _ pod: PodToSchedule, _ nodes: [NodeIndex], _ snapshot: ClusterSnapshot
  ) -> [Int64]? {
    let known = pod.images.compactMap { snapshot.imageSizes[$0] }
    guard !known.isEmpty else { return nil }
    let largest = largeImage * Int64(pod.images.count)
    let total = Double(snapshot.order.count)
    return nodes.map { node in
      let present = known.reduce(Int64(0)) { sum, sizes in
        sum + Int64(Double(sizes[node] ?? 0) * (Double(sizes.count) / total))
      }
      return maximum * (min(max(present, smallImage), largest) - smallImage) / (largest - smallImage)
    }
  }

  private static func untoleratedPreferences(_ pod: PodToSchedule, _ node: NodeFacts) -> Int64 {
    node.taints.reduce(0) { count, taint in
      let isTolerated = pod.tolerations.contains { $0.tolerates(taint) }
      return taint.effect == "PreferNoSchedule" && !isTolerated ? count + 1 : count
    }
  }

  private static func preferredTerms(
    _ preferred: [(weight: Int64, term: NodeSelector.Term)], _ node: NodeFacts
  ) -> Int64 {
    preferred.reduce(0) { $1.term.matches(node) ? $0 + $1.weight : $0 }
  }
}
