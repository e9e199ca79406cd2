// How well a node suits a pod: each plugin from 0 to 100, weighted as in the default profile (spec/6 §6.1).
import Client
import Schema

enum NodeScores {
  static let maximum: Int64 = 100

  private enum Weight {
    static let taintToleration: Int64 = 3
    static let nodeAffinity: Int64 = 2
    static let topologySpread: Int64 = 2
    static let interPodAffinity: Int64 = 2
    static let resourcesFit: Int64 = 1
    static let balancedAllocation: Int64 = 1
    static let imageLocality: Int64 = 1
  }

  /// The weighted sum for each of `nodes`, in their order.
  static func totals(
    _ pod: PodToSchedule, _ nodes: [NodeState], spread: SpreadState, affinity: AffinityState
  ) -> [Int64] {
    var totals = nodes.map { node in
      leastAllocated(pod, node) * Weight.resourcesFit + balanced(pod, node) * Weight.balancedAllocation
        + imageLocality(pod, node) * Weight.imageLocality
    }
    func add(_ scores: [Int64], weight: Int64) {
      for (index, score) in scores.enumerated() { totals[index] += score * weight }
    }
    add(normalized(nodes.map { untoleratedPreferences(pod, $0) }, reversed: true), weight: Weight.taintToleration)
    if !pod.nodeAffinity.preferred.isEmpty {
      add(normalized(nodes.map { preferredTerms(pod, $0) }, reversed: false), weight: Weight.nodeAffinity)
    }
    if let scores = spread.scores(nodes) { add(scores, weight: Weight.topologySpread) }
    if let scores = affinity.scores(nodes) { add(scores, weight: Weight.interPodAffinity) }
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

  private static func leastAllocated(_ pod: PodToSchedule, _ node: NodeState) -> Int64 {
    func free(_ used: Int64, _ capacity: Int64) -> Int64 {
      capacity <= 0 || used > capacity ? 0 : (capacity - used) * maximum / capacity
    }
    return
      (free(node.scoredMilliCPU + pod.request.scoredMilliCPU, node.allocatable.milliCPU)
      + free(node.scoredMemory + pod.request.scoredMemory, node.allocatable.memory)) / 2
  }

  /// CPU and memory used in equal parts leave room that fits more.
  private static func balanced(_ pod: PodToSchedule, _ node: NodeState) -> Int64 {
    func fraction(_ used: Int64, _ capacity: Int64) -> Double {
      capacity <= 0 ? 1 : min(1, Double(used) / Double(capacity))
    }
    let cpu = fraction(node.requested.milliCPU + pod.request.resources.milliCPU, node.allocatable.milliCPU)
    let memory = fraction(node.requested.memory + pod.request.resources.memory, node.allocatable.memory)
    return Int64((1 - (cpu - memory).magnitude / 2) * Double(maximum))
  }

  private static let smallImage: Int64 = 23 << 20
  private static let largeImage: Int64 = 1000 << 20

  /// Images that are there already need no pulling.
  private static func imageLocality(_ pod: PodToSchedule, _ node: NodeState) -> Int64 {
    guard !node.images.isEmpty, !pod.pod.spec.containers.isEmpty else { return 0 }
    var present: Int64 = 0
    for container in pod.pod.spec.containers {
      let name = container.image.contains(":") ? container.image : container.image + ":latest"
      if let size = node.images[name] { present += size }
    }
    let count = Int64(pod.pod.spec.containers.count)
    let bounded = min(max(present, smallImage), largeImage * count)
    return maximum * (bounded - smallImage) / (largeImage * count - smallImage)
  }

  private static func untoleratedPreferences(_ pod: PodToSchedule, _ node: NodeState) -> Int64 {
    node.taints.reduce(0) { count, taint in
      let isTolerated = pod.pod.spec.tolerations.contains { $0.tolerates(taint) }
      return taint.effect == "PreferNoSchedule" && !isTolerated ? count + 1 : count
    }
  }

  private static func preferredTerms(_ pod: PodToSchedule, _ node: NodeState) -> Int64 {
    pod.nodeAffinity.preferred.reduce(0) { $1.term.matches(node) ? $0 + $1.weight : $0 }
  }
}
