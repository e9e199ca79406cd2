// Filters and scores that look at other nodes: topology spread and inter-pod affinity. What they count is counted once
// per pod, before nodes are asked one by one.
import Client
import Schema

/// Topology spread, prepared for one pod (spec/6 §6.1, PodTopologySpread).
struct SpreadState: Sendable {
  /// Per constraint: matching pods by topology value, over the nodes the pod could go to at all.
  private var counts: [[String: Int64]]
  private let constraints: [SpreadConstraint]
  private let podMatches: [Bool]

  static let refusal = Refusal("node(s) didn't match pod topology spread constraints", resolvable: true)
  static let missingLabel = Refusal("node(s) didn't match pod topology spread constraints (missing required label)")

  init(_ pod: PodToSchedule, _ snapshot: ClusterSnapshot) {
    constraints = pod.spread
    podMatches = constraints.map { $0.selector.matches(pod.pod.metadata.labels) }
    counts = constraints.map { _ in [:] }
    guard !constraints.isEmpty else { return }
    let hardKeys = constraints.filter(\.isHard).map(\.topologyKey)
    for node in snapshot.nodes.values
    where NodeFilters.matchesNodeAffinity(pod, node) && hardKeys.allSatisfy({ node.labels[$0] != nil }) {
      for (index, constraint) in constraints.enumerated() {
        guard let value = node.labels[constraint.topologyKey] else { continue }
        let matching = node.pods.values.reduce(into: Int64(0)) { count, other in
          if !other.isBeingDeleted, other.key.namespace == pod.pod.namespace, constraint.selector.matches(other.labels)
          {
            count += 1
          }
        }
        counts[index][value, default: 0] += matching
      }
    }
  }

  func refusal(_ node: NodeState) -> Refusal? {
    for (index, constraint) in constraints.enumerated() where constraint.isHard {
      guard let value = node.labels[constraint.topologyKey] else { return Self.missingLabel }
      let domains = counts[index]
      let minimum = Int64(domains.count) < constraint.minDomains ? 0 : domains.values.min() ?? 0
      let here = (domains[value] ?? 0) + (podMatches[index] ? 1 : 0)
      if here - minimum > constraint.maxSkew { return Self.refusal }
    }
    return nil
  }

  /// More matching pods where the node stands is worse; the caller reverses. Nil when there is nothing to score.
  func score(_ node: NodeState) -> Int64? {
    var score = 0.0
    var scored = false
    for (index, constraint) in constraints.enumerated() where !constraint.isHard {
      guard let value = node.labels[constraint.topologyKey] else { continue }
      scored = true
      // Domains weigh by the logarithm of their number, so that many small ones do not drown a few large ones.
      let weight = logarithm(Double(counts[index].count) + 2)
      score += Double(counts[index][value] ?? 0) * weight + Double(constraint.maxSkew - 1)
    }
    return scored ? Int64(score.rounded()) : nil
  }

  /// Natural logarithm by halving; the package has no mathematics library to import below the node.
  private func logarithm(_ value: Double) -> Double {
    let exponent = value.exponent
    let t = (value.significand - 1) / (value.significand + 1)
    let square = t * t
    let series = 2 * t * (1 + square / 3 + square * square / 5 + square * square * square / 7)
    return Double(exponent) * 0.693_147_180_559_945_3 + series
  }
}

/// Required affinity and anti-affinity between pods, prepared for one pod (spec/6 §6.1, InterPodAffinity).
struct AffinityState: Sendable {
  private struct Topology: Hashable {
    var key: String
    var value: String
  }
  /// Places where some running pod's anti-affinity forbids this pod.
  private var forbidden: Set<Topology> = []
  /// Per required term of this pod: places where matching pods run.
  private var near: [Set<Topology>] = []
  private var far: Set<Topology> = []
  private let affinity: PodAffinity?
  /// No pod anywhere matches, but the pod itself does: the first of a group that wants to be together may start it.
  private var mayStartGroup = false

  init(_ pod: PodToSchedule, _ snapshot: ClusterSnapshot) {
    affinity = pod.podAffinity
    guard affinity != nil || snapshot.podsWithAffinity > 0 else { return }
    near = (affinity?.required ?? []).map { _ in [] }
    for node in snapshot.nodes.values {
      for other in node.pods.values {
        for term in other.affinity?.requiredAnti ?? [] {
          if let value = node.labels[term.topologyKey],
            term.matches(namespace: pod.pod.namespace, labels: pod.pod.metadata.labels)
          {
            forbidden.insert(Topology(key: term.topologyKey, value: value))
          }
        }
        guard let affinity else { continue }
        for (index, term) in affinity.required.enumerated() where term.matches(other) {
          if let value = node.labels[term.topologyKey] {
            near[index].insert(Topology(key: term.topologyKey, value: value))
          }
        }
        for term in affinity.requiredAnti where term.matches(other) {
          if let value = node.labels[term.topologyKey] { far.insert(Topology(key: term.topologyKey, value: value)) }
        }
      }
    }
    mayStartGroup =
      near.allSatisfy(\.isEmpty)
      && (affinity?.required ?? []).allSatisfy {
        $0.matches(namespace: pod.pod.namespace, labels: pod.pod.metadata.labels)
      }
  }

  func refusal(_ node: NodeState) -> Refusal? {
    func place(_ key: String) -> Topology? { node.labels[key].map { Topology(key: key, value: $0) } }
    for (index, term) in (affinity?.required ?? []).enumerated() {
      guard let place = place(term.topologyKey), near[index].contains(place) || mayStartGroup else {
        return Refusal("node(s) didn't match pod affinity rules")
      }
    }
    for term in affinity?.requiredAnti ?? [] {
      if let place = place(term.topologyKey), far.contains(place) {
        return Refusal("node(s) didn't match pod anti-affinity rules", resolvable: true)
      }
    }
    if !forbidden.isEmpty, node.labels.contains(where: { forbidden.contains(Topology(key: $0.key, value: $0.value)) }) {
      return Refusal("node(s) didn't satisfy existing pods anti-affinity rules", resolvable: true)
    }
    return nil
  }
}
