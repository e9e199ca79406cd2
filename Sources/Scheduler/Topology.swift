// Filters and scores that look at other nodes: topology spread and inter-pod affinity. What they count is counted once
// per pod, from the snapshot's groups, before nodes are asked one by one.
import Client
import Schema

/// Topology spread, prepared for one pod (spec/6 §6.1, PodTopologySpread).
struct SpreadState: Sendable {
  private struct Prepared: Sendable {
    var constraint: SpreadConstraint
    /// The pod itself would count.
    var podMatches: Bool
    /// Matching pods by node, or by topology value where nodes share one.
    var counts: [String: Int64]
    /// Hard constraints: the fewest matching pods in any domain the pod could go to.
    var minimum: Int64 = 0
  }
  private static let hostname = "kubernetes.io/hostname"

  private let hard: [Prepared]
  private let soft: [Prepared]

  static let refusal = Refusal(
    "node(s) didn't match pod topology spread constraints", resolvable: true, dependsOnPods: true)
  static let missingLabel = Refusal("node(s) didn't match pod topology spread constraints (missing required label)")

  init(_ pod: PodToSchedule, _ snapshot: ClusterSnapshot) {
    let constraints = pod.spread
    let hardKeys = constraints.filter(\.isHard).map(\.topologyKey)
    func prepare(_ constraint: SpreadConstraint) -> Prepared {
      let perNode = snapshot.matching(
        constraint.selector, namespaces: [pod.pod.namespace], includingDeleted: false)
      var prepared = Prepared(
        constraint: constraint, podMatches: constraint.selector.matches(pod.pod.metadata.labels), counts: [:])
      if !constraint.isHard && constraint.topologyKey == Self.hostname {
        prepared.counts = perNode
        return prepared
      }
      for (name, count) in perNode {
        guard let node = snapshot.nodes[name], let value = node.labels[constraint.topologyKey],
          Self.counts(node, pod, hardKeys)
        else { continue }
        prepared.counts[value, default: 0] += count
      }
      guard constraint.isHard else { return prepared }
      // Domains without any matching pod count, too: they are where the pod should go.
      for node in snapshot.nodes.values where Self.counts(node, pod, hardKeys) {
        if let value = node.labels[constraint.topologyKey] { prepared.counts[value, default: 0] += 0 }
      }
      let tooFew = Int64(prepared.counts.count) < constraint.minDomains
      prepared.minimum = tooFew ? 0 : prepared.counts.values.min() ?? 0
      return prepared
    }
    hard = constraints.filter(\.isHard).map(prepare)
    soft = constraints.filter { !$0.isHard }.map(prepare)
  }

  /// Nodes the pod could never go to are no domains (nodeAffinityPolicy Honor).
  private static func counts(_ node: NodeState, _ pod: PodToSchedule, _ hardKeys: [String]) -> Bool {
    hardKeys.allSatisfy { node.labels[$0] != nil } && NodeFilters.matchesNodeAffinity(pod, node)
  }

  func refusal(_ node: NodeState) -> Refusal? {
    for prepared in hard {
      guard let value = node.labels[prepared.constraint.topologyKey] else { return Self.missingLabel }
      let here = (prepared.counts[value] ?? 0) + (prepared.podMatches ? 1 : 0)
      if here - prepared.minimum > prepared.constraint.maxSkew { return Self.refusal }
    }
    return nil
  }

  /// 0…100 for each node, fewer matching pods being better; nil when the pod has no soft constraint.
  func scores(_ nodes: [NodeState]) -> [Int64]? {
    guard !soft.isEmpty else { return nil }
    var raw = nodes.map { _ in 0.0 }
    for prepared in soft {
      let key = prepared.constraint.topologyKey
      let domains = key == Self.hostname ? nodes.count : Set(nodes.compactMap { $0.labels[key] }).count
      // Domains weigh by the logarithm of their number, so that many small ones do not drown a few large ones.
      let weight = Self.logarithm(Double(domains) + 2)
      for (index, node) in nodes.enumerated() {
        guard let value = node.labels[key] else { continue }
        let count = prepared.counts[key == Self.hostname ? node.name : value] ?? 0
        raw[index] += Double(count) * weight + Double(prepared.constraint.maxSkew - 1)
      }
    }
    let scores = raw.map { Int64($0.rounded()) }
    let highest = scores.max() ?? 0
    let lowest = scores.min() ?? 0
    guard highest > 0 else { return scores.map { _ in NodeScores.maximum } }
    return scores.map { NodeScores.maximum * (highest + lowest - $0) / highest }
  }

  /// Natural logarithm by a series; the package has no mathematics library to import here.
  private static func logarithm(_ value: Double) -> Double {
    let t = (value.significand - 1) / (value.significand + 1)
    let square = t * t
    let series = 2 * t * (1 + square / 3 + square * square / 5 + square * square * square / 7)
    return Double(value.exponent) * 0.693_147_180_559_945_3 + series
  }
}

/// Affinity and anti-affinity between pods, prepared for one pod (spec/6 §6.1, InterPodAffinity).
struct AffinityState: Sendable {
  private struct Topology: Hashable {
    var key: String
    var value: String
  }
  /// Required affinity of running pods pulls a little, too: hardPodAffinityWeight.
  private static let hardAffinityWeight: Int64 = 1

  /// Places where some running pod's anti-affinity forbids this pod.
  private var forbidden: Set<Topology> = []
  /// Per required term of this pod: places where matching pods run.
  private var near: [Set<Topology>] = []
  private var far: Set<Topology> = []
  private let affinity: PodAffinity?
  /// No pod anywhere matches, but the pod itself does: the first of a group that wants to be together may start it.
  private var mayStartGroup = false
  /// How much each place attracts (or, below zero, repels) the pod.
  private var attraction: [Topology: Int64] = [:]

  init(_ pod: PodToSchedule, _ snapshot: ClusterSnapshot) {
    affinity = pod.podAffinity
    for (other, name) in snapshot.podsWithAffinity.values {
      guard let theirs = other.affinity, let node = snapshot.nodes[name] else { continue }
      hear(theirs, on: node, about: pod)
    }
    guard let affinity else { return }
    func places(_ term: PodAffinityTerm) -> [Topology: Int64] {
      var places: [Topology: Int64] = [:]
      let counts = snapshot.matching(
        term.selector, namespaces: term.allNamespaces ? nil : term.namespaces, includingDeleted: true)
      for (name, count) in counts {
        guard let value = snapshot.nodes[name]?.labels[term.topologyKey] else { continue }
        places[Topology(key: term.topologyKey, value: value), default: 0] += count
      }
      return places
    }
    near = affinity.required.map { Set(places($0).keys) }
    for term in affinity.requiredAnti { far.formUnion(places(term).keys) }
    for (weight, term) in affinity.preferred {
      for (place, count) in places(term) { attraction[place, default: 0] += weight * count }
    }
    for (weight, term) in affinity.preferredAnti {
      for (place, count) in places(term) { attraction[place, default: 0] -= weight * count }
    }
    mayStartGroup =
      near.allSatisfy(\.isEmpty)
      && affinity.required.allSatisfy { $0.matches(namespace: pod.pod.namespace, labels: pod.pod.metadata.labels) }
  }

  /// Takes in what a running pod wishes about this one.
  private mutating func hear(_ theirs: PodAffinity, on node: NodeState, about pod: PodToSchedule) {
    func place(_ term: PodAffinityTerm) -> Topology? {
      guard let value = node.labels[term.topologyKey],
        term.matches(namespace: pod.pod.namespace, labels: pod.pod.metadata.labels)
      else { return nil }
      return Topology(key: term.topologyKey, value: value)
    }
    for term in theirs.requiredAnti { if let place = place(term) { forbidden.insert(place) } }
    for term in theirs.required {
      if let place = place(term) { attraction[place, default: 0] += Self.hardAffinityWeight }
    }
    for (weight, term) in theirs.preferred { if let place = place(term) { attraction[place, default: 0] += weight } }
    for (weight, term) in theirs.preferredAnti {
      if let place = place(term) { attraction[place, default: 0] -= weight }
    }
  }

  func refusal(_ node: NodeState) -> Refusal? {
    func place(_ key: String) -> Topology? { node.labels[key].map { Topology(key: key, value: $0) } }
    for (index, term) in (affinity?.required ?? []).enumerated() {
      guard let place = place(term.topologyKey), near[index].contains(place) || mayStartGroup else {
        return Refusal("node(s) didn't match pod affinity rules", dependsOnPods: true)
      }
    }
    for term in affinity?.requiredAnti ?? [] {
      if let place = place(term.topologyKey), far.contains(place) {
        return Refusal("node(s) didn't match pod anti-affinity rules", resolvable: true, dependsOnPods: true)
      }
    }
    if !forbidden.isEmpty, node.labels.contains(where: { forbidden.contains(Topology(key: $0.key, value: $0.value)) }) {
      return Refusal("node(s) didn't satisfy existing pods anti-affinity rules", resolvable: true, dependsOnPods: true)
    }
    return nil
  }

  /// 0…100 for each node; nil when no pod attracts or repels this one anywhere.
  func scores(_ nodes: [NodeState]) -> [Int64]? {
    guard !attraction.isEmpty else { return nil }
    let raw = nodes.map { node in attraction.reduce(0) { node.labels[$1.key.key] == $1.key.value ? $0 + $1.value : $0 }
    }
    let highest = raw.max() ?? 0
    let lowest = raw.min() ?? 0
    guard highest > lowest else { return nil }
    return raw.map { NodeScores.maximum * ($0 - lowest) / (highest - lowest) }
  }
}
