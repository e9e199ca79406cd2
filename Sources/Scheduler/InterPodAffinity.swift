// Affinity and anti-affinity between pods, prepared for one pod from the snapshot's tallies and wishes (spec/6 §6.1,
// InterPodAffinity).
import Client
import Schema

struct AffinityState: Sendable {
  /// A topology with what is counted in its domains.
  private struct Counted: Sendable {
    var domains: TopologyDomains
    var counts: DomainCounts
    var weight: Int64 = 1

    func count(on node: NodeIndex) -> Int64 { counts[domains.domain(of: node)] }
  }
  /// Places where some running pod's anti-affinity forbids this pod.
  private var forbidden: [Counted] = []
  /// Per required term of this pod: pods that match all of its terms.
  private var near: [Counted] = []
  /// Per required term of its anti-affinity.
  private var far: [Counted] = []
  /// No pod anywhere matches, but the pod itself does: the first of a group that wants to be together may start it.
  private var mayStartGroup = false
  /// How much places attract (or, below zero, repel) the pod.
  private var attraction: [Counted] = []

  /// Nothing that stands on other nodes can forbid the pod a node.
  var isIndifferent: Bool { forbidden.isEmpty && near.isEmpty && far.isEmpty }

  init(_ pod: PodToSchedule, _ snapshot: inout ClusterSnapshot, scoring: Bool) {
    let filters = pod.profile.has(.interPodAffinity, at: .filter)
    let scoring = scoring && pod.profile.weight(.interPodAffinity) > 0
    let (hardWeight, ignoresPreferred) =
      (pod.profile.hardPodAffinityWeight, pod.profile.ignoresPreferredTermsOfExistingPods && pod.podAffinity == nil)
    let labels = snapshot.namespaceLabels[pod.key.namespace] ?? [:]
    for (wish, counts) in snapshot.wishes.about(pod, namespaceLabels: labels) {
      let domains = snapshot.know(wish.term.topologyKey)
      switch wish.kind {
      case .requiredAnti where filters: forbidden.append(Counted(domains: domains, counts: counts))
      case .required where scoring && hardWeight > 0:
        attraction.append(Counted(domains: domains, counts: counts, weight: hardWeight))
      case .preferred(let weight) where scoring && !ignoresPreferred:
        attraction.append(Counted(domains: domains, counts: counts, weight: weight))
      default: break
      }
    }
    guard let affinity = pod.podAffinity else { return }
    func count(_ matchers: [PodMatcher], _ key: String, weight: Int64 = 1) -> Counted {
      let counts = snapshot.tally(.init(matchers: matchers, topologyKey: key, includingDeleted: true))
      return Counted(domains: snapshot.know(key), counts: counts, weight: weight)
    }
    if filters {
      let all = affinity.required.map(\.matcher)
      near = affinity.required.map { count(all, $0.topologyKey) }
      far = affinity.requiredAnti.map { count([$0.matcher], $0.topologyKey) }
      mayStartGroup =
        near.allSatisfy { $0.counts.total == 0 }
        && all.allSatisfy { $0.matches(namespace: pod.key.namespace, labels: pod.labels) }
    }
    guard scoring else { return }
    attraction += affinity.preferred.map { count([$0.term.matcher], $0.term.topologyKey, weight: $0.weight) }
  }

  func answer(_ node: NodeIndex) -> NodeAnswer {
    if isIndifferent { return .fits }
    for position in near.indices where near[position].domains.domain(of: node) < 0 { return .refused(.podAffinity) }
    if !mayStartGroup {
      for position in near.indices where near[position].count(on: node) == 0 { return .refused(.podAffinity) }
    }
    for position in far.indices where far[position].count(on: node) > 0 { return .refused(.podAntiAffinity) }
    for position in forbidden.indices where forbidden[position].count(on: node) > 0 {
      return .refused(.othersAntiAffinity)
    }
    return .fits
  }

  /// 0…100 for each node; nil when no pod attracts or repels this one anywhere.
  func scores(_ nodes: [NodeIndex]) -> [Int64]? {
    guard !attraction.isEmpty else { return nil }
    let raw = nodes.map { node in attraction.reduce(0) { $0 + $1.count(on: node) * $1.weight } }
    let highest = raw.max() ?? 0
    let lowest = raw.min() ?? 0
    guard highest > lowest else { return nil }
    return raw.map { NodeScores.maximum * ($0 - lowest) / (highest - lowest) }
  }
}
