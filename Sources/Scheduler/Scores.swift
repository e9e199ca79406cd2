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
    _ pod: PodToSchedule, _ nodes: [NodeState], _ snapshot: ClusterSnapshot, spread: SpreadState
  ) -> [Int64] {
    var totals = nodes.map { node in
      leastAllocated(pod, node) * Weight.resourcesFit + balanced(pod, node) * Weight.balancedAllocation
        + imageLocality(pod, node, snapshot) * Weight.imageLocality
    }
    func add(_ raw: [Int64], weight: Int64, reversed: Bool) {
      for (index, score) in normalized(raw, reversed: reversed).enumerated() { totals[index] += score * weight }
    }
    add(nodes.map { untoleratedPreferences(pod, $0) }, weight: Weight.taintToleration, reversed: true)
    if !pod.nodeAffinity.preferred.isEmpty {
      add(nodes.map { preferredTerms(pod, $0) }, weight: Weight.nodeAffinity, reversed: false)
    }
    let spreadScores = nodes.map { spread.score($0) }
    if spreadScores.contains(where: { $0 != nil }) {
      let worst = spreadScores.compactMap { $0 }.max() ?? 0
      add(spreadScores.map { $0 ?? worst }, weight: Weight.topologySpread, reversed: true)
    }
    if pod.podAffinity?.preferred.isEmpty == false || pod.podAffinity?.preferredAnti.isEmpty == false {
      add(preferredNeighbours(pod, nodes, snapshot), weight: Weight.interPodAffinity, reversed: false)
    }
    return totals
  }

  /// Brought to 0…100: the best gets 100. Reversed: the least gets 100, and all equal get 100.
  static func normalized(_ raw: [Int64], reversed: Bool) -> [Int64] {
    let low = min(0, raw.min() ?? 0)
    let high = (raw.max() ?? 0) - low
    guard high > 0 else { return raw.map { _ in reversed ? maximum : 0 } }
    return raw.map { value in
      let scaled = (value - low) * maximum / high
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

  /// Images that are there already need no pulling; one that every node has attracts nobody.
  private static func imageLocality(_ pod: PodToSchedule, _ node: NodeState, _ snapshot: ClusterSnapshot) -> Int64 {
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

  private static func preferredNeighbours(_ pod: PodToSchedule, _ nodes: [NodeState], _ snapshot: ClusterSnapshot)
    -> [Int64]
  {
    guard let affinity = pod.podAffinity else { return nodes.map { _ in 0 } }
    var weights: [String: Int64] = [:]
    func count(_ term: PodAffinityTerm, _ weight: Int64, _ node: NodeState) {
      guard let value = node.labels[term.topologyKey] else { return }
      let matching = Int64(node.pods.values.reduce(0) { term.matches($1) ? $0 + 1 : $0 })
      if matching > 0 { weights["\(term.topologyKey)=\(value)", default: 0] += weight * matching }
    }
    for node in snapshot.nodes.values {
      for (weight, term) in affinity.preferred { count(term, weight, node) }
      for (weight, term) in affinity.preferredAnti { count(term, -weight, node) }
    }
    let keys = Set((affinity.preferred + affinity.preferredAnti).map(\.term.topologyKey))
    return nodes.map { node in
      keys.reduce(0) { sum, key in sum + (node.labels[key].flatMap { weights["\(key)=\($0)"] } ?? 0) }
    }
  }
}
