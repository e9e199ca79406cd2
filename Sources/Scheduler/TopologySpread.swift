// Topology spread: what it counts is counted once per pod, from the snapshot's tallies, before nodes are asked one by
// one (spec/6 §6.1, PodTopologySpread).
import Client
import Schema

struct SpreadState: Sendable {
  private struct Hard: Sendable {
    var constraint: SpreadConstraint
    var domains: TopologyDomains
    /// Matching pods in each domain that counts.
    var counts: DomainCounts
    /// The pod itself would count.
    var podMatches: Bool
    /// The fewest matching pods in any domain the pod could go to.
    var minimum: Int64
  }
  private struct Soft: Sendable {
    var constraint: SpreadConstraint
    /// Nil for host names: every node is a domain of its own.
    var domains: TopologyDomains?
    var counts: DomainCounts
  }
  private static let hostname = "kubernetes.io/hostname"

  private var hard: [Hard] = []
  private var soft: [Soft] = []
  /// Nodes that lack a label are not scored: unless the constraints are the system's own.
  private let needsEveryLabel: Bool

  /// Counts for the constraints that forbid; for those that only prefer too, if they are to be scored.
  init(_ pod: PodToSchedule, _ snapshot: inout ClusterSnapshot, scoring: Bool) {
    needsEveryLabel = !pod.spreadsByDefault
    let forbidding = pod.profile.has(.podTopologySpread, at: .filter) ? pod.spread.filter(\.isHard) : []
    let forbiddingKeys = Self.placesOf(forbidding, &snapshot)
    for constraint in forbidding {
      let domains = snapshot.know(constraint.topologyKey)
      let counting = Self.counting(constraint, among: forbiddingKeys, pod, &snapshot)
      hard.append(
        Hard(
          constraint: constraint, domains: domains, counts: counting.counts,
          podMatches: constraint.selector.matches(pod.labels),
          minimum: Int64(counting.domains) < constraint.minDomains ? 0 : counting.minimum))
    }
    guard scoring, pod.profile.weight(.podTopologySpread) > 0 else { return }
    let preferring = pod.spread.filter { !$0.isHard }
    // The system's own constraints do not ask for each other's labels.
    let preferringKeys = needsEveryLabel ? Self.placesOf(preferring, &snapshot) : Places()
    for constraint in preferring {
      let isHost = constraint.topologyKey == Self.hostname
      soft.append(
        Soft(
          constraint: constraint, domains: isHost ? nil : snapshot.know(constraint.topologyKey),
          counts: isHost
            ? snapshot.tally(Self.question(constraint, pod, nil))
            : Self.counting(constraint, among: preferringKeys, pod, &snapshot).counts))
    }
  }

  /// What the labels of several constraints leave of the nodes. Found once for all of them: each by itself, among a
  /// thousand, would look at a million.
  private struct Places {
    /// Keys that some node lacks.
    var incomplete: Set<String> = []
    /// By node index: has every label. Empty when all nodes have.
    var hasAll: [Bool] = []

    /// Whether every node that has this label has the others, too.
    func isComplete(beside key: String) -> Bool { incomplete.isEmpty || incomplete == [key] }
    func holds(_ node: NodeIndex) -> Bool { node >= hasAll.count || hasAll[node] }
  }

  private static func placesOf(_ constraints: [SpreadConstraint], _ snapshot: inout ClusterSnapshot) -> Places {
    var places = Places()
    for key in Set(constraints.map(\.topologyKey)) {
      let domains = snapshot.know(key)
      guard domains.nodesWithoutLabel > 0, places.incomplete.insert(key).inserted else { continue }
      if places.hasAll.isEmpty { places.hasAll = snapshot.table.map { _ in true } }
      for index in snapshot.order where domains.domain(of: index) < 0 { places.hasAll[index] = false }
    }
    return places
  }

  private static func question(
    _ constraint: SpreadConstraint, _ pod: PodToSchedule, _ key: String?
  ) -> Tallies.Question {
    .init(
      matchers: [PodMatcher(namespaces: [pod.key.namespace], selector: constraint.selector)], topologyKey: key,
      includingDeleted: false)
  }

  /// Matching pods in each domain, how many domains there are, and the least of their counts. Nodes that lack one of the
  /// labels, or that the pod could not go to as far as the constraint asks, are left out with what runs on them.
  private static func counting(
    _ constraint: SpreadConstraint, among places: Places, _ pod: PodToSchedule,
    _ snapshot: inout ClusterSnapshot
  ) -> (counts: DomainCounts, domains: Int, minimum: Int64) {
    let domains = snapshot.know(constraint.topologyKey)
    let everyNodeCounts =
      !(constraint.honorsNodeAffinity && pod.choosesNodes) && !constraint.honorsTaints
      && places.isComplete(beside: constraint.topologyKey)
    var count = 0
    var minimum = Int64.max
    if everyNodeCounts {
      let counts = snapshot.tally(question(constraint, pod, constraint.topologyKey))
      for (number, nodes) in domains.nodeCounts.enumerated() where nodes > 0 {
        count += 1
        minimum = min(minimum, counts[Int32(number)])
      }
      return (counts, count, count == 0 ? 0 : minimum)
    }
    let perNode = snapshot.tally(question(constraint, pod, nil))
    var counts = DomainCounts()
    var seen = domains.nodeCounts.map { _ in false }
    for index in snapshot.order {
      let domain = domains.domain(of: index)
      guard domain >= 0, places.holds(index) else { continue }
      let node = snapshot.table[index].facts
      if constraint.honorsNodeAffinity && !NodeFilters.matchesNodeAffinity(pod, node) { continue }
      if constraint.honorsTaints && NodeFilters.untoleratedTaint(pod, node) != nil { continue }
      seen[Int(domain)] = true
      counts.add(Int32(perNode[Int32(index)]), to: domain)
    }
    for (number, isSeen) in seen.enumerated() where isSeen {
      count += 1
      minimum = min(minimum, counts[Int32(number)])
    }
    return (counts, count, count == 0 ? 0 : minimum)
  }

  var mayRefuse: Bool { !hard.isEmpty }

  /// The first constraint that is not met; empty when all are.
  func refusals(_ node: NodeIndex) -> RefusalSet {
    for position in hard.indices {
      let domain = hard[position].domains.domain(of: node)
      guard domain >= 0 else { return .topologyLabelMissing }
      let here = hard[position].counts[domain] + (hard[position].podMatches ? 1 : 0)
      if here - hard[position].minimum > hard[position].constraint.maxSkew { return .topologySpread }
    }
    return []
  }

  /// 0…100 for each node, fewer matching pods being better; nil when the pod has no soft constraint.
  func scores(_ nodes: [NodeIndex]) -> [Int64]? {
    guard !soft.isEmpty else { return nil }
    let ignored = nodes.map { node in
      needsEveryLabel && soft.contains { $0.domains.map { $0.domain(of: node) < 0 } ?? false }
    }
    var raw = nodes.map { _ in 0.0 }
    for prepared in soft {
      let weight = Self.weight(of: domainCount(prepared, nodes, ignored))
      for (index, node) in nodes.enumerated() where !ignored[index] {
        let domain = prepared.domains.map { $0.domain(of: node) } ?? Int32(node)
        guard domain >= 0 else { continue }
        raw[index] += Double(prepared.counts[domain]) * weight + Double(prepared.constraint.maxSkew - 1)
      }
    }
    let scores = raw.map { Int64($0.rounded()) }
    let counted = scores.indices.filter { !ignored[$0] }.map { scores[$0] }
    let highest = counted.max() ?? 0
    let lowest = counted.min() ?? 0
    return scores.indices.map { index in
      if ignored[index] { return 0 }
      return highest > 0 ? NodeScores.maximum * (highest + lowest - scores[index]) / highest : NodeScores.maximum
    }
  }

  private func domainCount(_ prepared: Soft, _ nodes: [NodeIndex], _ ignored: [Bool]) -> Int {
    guard let domains = prepared.domains else { return ignored.count { !$0 } }
    var seen = domains.nodeCounts.map { _ in false }
    var count = 0
    for (index, node) in nodes.enumerated() where !ignored[index] {
      let domain = Int(domains.domain(of: node))
      if domain >= 0 && !seen[domain] {
        seen[domain] = true
        count += 1
      }
    }
    return count
  }

  /// Domains weigh by the logarithm of their number, so that many small ones do not drown a few large ones. By a series;
  /// the package has no mathematics library to import here.
  static func weight(of domains: Int) -> Double {
    let value = Double(domains) + 2
    let t = (value.significand - 1) / (value.significand + 1)
    var sum = 0.0
    var power = t
    // The significand is below 2, t therefore below 1/3: what follows is below 1e-17.
    for divisor in stride(from: 1.0, through: 33, by: 2) {
      sum += power / divisor
      power *= t * t
    }
    return Double(value.exponent) * 0.693_147_180_559_945_3 + 2 * sum
  }
}
