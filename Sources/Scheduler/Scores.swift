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
    _ pod: PodToSchedule, _ nodes: [NodeIndex], _ snapshot: ClusterSnapshot, spread: SpreadState,
    affinity: AffinityState
  ) -> [Int64] {
    let demand = pod.request.demand
    var hasSoftTaints = false
    var totals = nodes.map { index in
      let room = snapshot.rooms[index]
      if room.hasSoftTaints { hasSoftTaints = true }
      return leastAllocated(demand, room) * Weight.resourcesFit + balanced(demand, room) * Weight.balancedAllocation
    }
    func add(_ scores: [Int64], weight: Int64) {
      for (index, score) in scores.enumerated() { totals[index] += score * weight }
    }
    if let scores = imageLocality(pod, nodes, snapshot) { add(scores, weight: Weight.imageLocality) }
    if hasSoftTaints {
      let taints = nodes.map { untoleratedPreferences(pod, snapshot.table[$0].facts) }
      add(normalized(taints, reversed: true), weight: Weight.taintToleration)
    }
    if !pod.nodeAffinity.preferred.isEmpty {
      let terms = nodes.map { preferredTerms(pod, snapshot.table[$0].facts) }
      add(normalized(terms, reversed: false), weight: Weight.nodeAffinity)
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

  private static func leastAllocated(_ demand: RoomDemand, _ room: NodeRoom) -> Int64 {
    func free(_ used: Int64, _ capacity: Int64) -> Int64 {
      capacity <= 0 || used > capacity ? 0 : (capacity - used) * maximum / capacity
    }
    return
      (free(room.scoredMilliCPU + demand.scoredMilliCPU, room.milliCPU)
      + free(room.scoredMemory + demand.scoredMemory, room.memory)) / 2
  }

  /// CPU and memory used in equal parts leave room that fits more.
  private static func balanced(_ demand: RoomDemand, _ room: NodeRoom) -> Int64 {
    guard room.milliCPU > 0, room.memory > 0 else { return maximum }
    let cpu = min(1, Double(room.requestedMilliCPU + demand.milliCPU) / Double(room.milliCPU))
    let memory = min(1, Double(room.requestedMemory + demand.memory) / Double(room.memory))
    return Int64((1 - (cpu - memory).magnitude / 2) * Double(maximum))
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

  private static func preferredTerms(_ pod: PodToSchedule, _ node: NodeFacts) -> Int64 {
    pod.nodeAffinity.preferred.reduce(0) { $1.term.matches(node) ? $0 + $1.weight : $0 }
  }
}
