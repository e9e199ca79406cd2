// How full nodes would be with the pod on them, as a score (spec/6 §6.1: NodeResourcesFit and
// NodeResourcesBalancedAllocation), with the strategies of configuration files.
import Client
import Schema

extension NodeScores {
  /// Both plugins' scores for each of `nodes`, weighted.
  static func roomScores(_ pod: PodToSchedule, _ nodes: [NodeIndex], _ snapshot: ClusterSnapshot) -> [Int64] {
    let profile = pod.profile
    let (fit, balance) = (profile.weight(.nodeResourcesFit), profile.weight(.balancedAllocation))
    let demand = pod.placed.demand
    let isStandard =
      profile.strategy == .leastAllocated && profile.scoredResources == SchedulerProfile.cpuAndMemory
      && profile.balancedResources == ["cpu", "memory"]
    return nodes.map { index in
      let room = snapshot.rooms[index]
      if isStandard { return leastAllocated(demand, room) * fit + balanced(demand, room) * balance }
      let node = snapshot.table[index]
      return (fit > 0 ? strategyScore(pod, room, node) * fit : 0)
        + (balance > 0 ? balanced(pod, room, node) * balance : 0)
    }
  }

  // MARK: By default

  private static func leastAllocated(_ demand: RoomDemand, _ room: NodeRoom) -> Int64 {
    let cpu = room.milliCPU > 0 ? least(room.scoredMilliCPU &+ demand.scoredMilliCPU, room.milliCPU) : nil
    let memory = room.memory > 0 ? least(room.scoredMemory &+ demand.scoredMemory, room.memory) : nil
    // What a node has none of has no say.
    switch (cpu, memory) {
    case (let cpu?, let memory?): return (cpu + memory) / 2
    case (let one?, nil), (nil, let one?): return one
    case (nil, nil): return 0
    }
  }

  /// CPU and memory used in equal parts leave room that fits more.
  private static func balanced(_ demand: RoomDemand, _ room: NodeRoom) -> Int64 {
    guard room.milliCPU > 0, room.memory > 0 else { return maximum }
    let cpu = part(room.requestedMilliCPU &+ demand.milliCPU, room.milliCPU)
    let memory = part(room.requestedMemory &+ demand.memory, room.memory)
    return Int64((1 - (cpu - memory).magnitude / 2) * Double(maximum))
  }

  // (`used` may have wrapped: see NodeRoom.)

  private static func least(_ used: Int64, _ capacity: Int64) -> Int64 {
    used > capacity ? 0 : (capacity - max(0, used)) * maximum / capacity
  }

  private static func part(_ used: Int64, _ capacity: Int64) -> Double {
    min(1, Double(max(0, used)) / Double(capacity))
  }

  // MARK: By configuration

  /// What would be used of a resource, and what there is; nil when it has no say. `isScored`: pods that ask for no cpu or
  /// memory count as if they asked for a little.
  private static func use(
    _ name: String, _ pod: PodToSchedule, _ room: NodeRoom, _ node: NodeState, isScored: Bool
  ) -> (used: Int64, capacity: Int64)? {
    let demand = pod.placed.demand
    let use: (used: Int64, capacity: Int64)
    switch name {
    case "cpu":
      let used =
        isScored ? room.scoredMilliCPU &+ demand.scoredMilliCPU : room.requestedMilliCPU &+ demand.milliCPU
      use = (used, room.milliCPU)
    case "memory":
      use = (isScored ? room.scoredMemory &+ demand.scoredMemory : room.requestedMemory &+ demand.memory, room.memory)
    case "ephemeral-storage":
      use = (room.requestedEphemeralStorage &+ demand.ephemeralStorage, room.ephemeralStorage)
    default:
      // Other resources have a say only for pods that ask for them.
      guard let wanted = pod.request.resources.extended[name], wanted > 0 else { return nil }
      use = ((node.extended[name] ?? 0) &+ wanted, node.facts.allocatable.extended[name] ?? 0)
    }
    return use.capacity > 0 ? (max(0, use.used), use.capacity) : nil
  }

  private static func strategyScore(_ pod: PodToSchedule, _ room: NodeRoom, _ node: NodeState) -> Int64 {
    var sum: Int64 = 0
    var weights: Int64 = 0
    for resource in pod.profile.scoredResources {
      guard let (used, capacity) = use(resource.name, pod, room, node, isScored: true) else { continue }
      let score: Int64
      switch pod.profile.strategy {
      case .leastAllocated: score = least(used, capacity)
      case .mostAllocated: score = min(used, capacity) * maximum / capacity
      case .requestedToCapacityRatio(let shape):
        score = value(of: shape, at: used > capacity ? maximum : used * maximum / capacity)
        // A resource that scores nothing has no say.
        if score <= 0 { continue }
      }
      sum += score * resource.weight
      weights += resource.weight
    }
    guard weights > 0 else { return 0 }
    if case .requestedToCapacityRatio = pod.profile.strategy {
      return Int64((Double(sum) / Double(weights)).rounded())
    }
    return sum / weights
  }

  /// The function through the points; beyond the outer ones it stays as it is there.
  static func value(of shape: [ScoringStrategy.ShapePoint], at utilization: Int64) -> Int64 {
    guard let first = shape.first, let last = shape.last else { return 0 }
    if utilization <= first.utilization { return first.score }
    for (left, right) in zip(shape, shape.dropFirst()) where utilization <= right.utilization {
      return left.score
        + (right.score - left.score) * (utilization - left.utilization) / (right.utilization - left.utilization)
    }
    return last.score
  }

  /// The less the used parts of the resources differ, the better: by their standard deviation.
  private static func balanced(_ pod: PodToSchedule, _ room: NodeRoom, _ node: NodeState) -> Int64 {
    let parts = pod.profile.balancedResources.compactMap { name in
      use(name, pod, room, node, isScored: false).map { min(1, Double($0.used) / Double($0.capacity)) }
    }
    guard parts.count > 1 else { return maximum }
    if parts.count == 2 { return Int64((1 - (parts[0] - parts[1]).magnitude / 2) * Double(maximum)) }
    let mean = parts.reduce(0, +) / Double(parts.count)
    let variance = parts.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(parts.count)
    return Int64((1 - variance.squareRoot()) * Double(maximum))
  }
}
