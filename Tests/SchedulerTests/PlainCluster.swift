// Decisions as one would make them with a pencil: every question is answered from the objects themselves, pod by pod and
// node by node, and nothing is kept from one question to the next. What the scheduler decides must be the same.
import Client
import JSON
import Schema

@testable import Scheduler

struct PlainCluster {
  var nodes: [String: Node] = [:]
  var pods: [String: (pod: Pod, node: String)] = [:]
  var namespaceLabels: [String: [String: String]] = [:]
  /// By uid.
  var nominations: [String: (pod: Pod, node: String)] = [:]

  // MARK: May it run there

  /// The reasons against a node: as it is, then with those that are expected there.
  func refusals(_ pod: Pod, _ node: Node) -> [Refusal] {
    let now = refusalsAsItIs(pod, node)
    let expected = nominations.values.filter {
      $0.node == node.name && $0.pod.spec.priority >= pod.spec.priority && $0.pod.metadata.uid != pod.metadata.uid
    }
    guard now.isEmpty, !expected.isEmpty else { return now }
    var later = self
    for other in expected { later.pods[other.pod.metadata.uid] = other }
    return later.refusalsAsItIs(pod, node)
  }

  private func refusalsAsItIs(_ pod: Pod, _ node: Node) -> [Refusal] {
    let cordon = Taint(key: "node.kubernetes.io/unschedulable", effect: "NoSchedule")
    if node.isUnschedulable, !pod.spec.tolerations.contains(where: { $0.tolerates(cordon) }) { return [.unschedulable] }
    for taint in node.taints where taint.effect != "PreferNoSchedule" {
      if !pod.spec.tolerations.contains(where: { $0.tolerates(taint) }) { return [.untolerated(taint)] }
    }
    if !mayChoose(pod, node) { return [.nodeAffinity] }
    let wanted = HostPort.all(of: pod.spec)
    if on(node.name).flatMap({ HostPort.all(of: $0.spec) }).contains(where: { used in
      wanted.contains { $0.conflicts(with: used) }
    }) {
      return [.hostPorts]
    }
    let short = shortages(pod, node)
    if !short.isEmpty { return short }
    if let refusal = spreadRefusal(pod, node) { return [refusal] }
    return affinityRefusal(pod, node).map { [$0] } ?? []
  }

  private func on(_ node: String) -> [Pod] { pods.values.filter { $0.node == node }.map(\.pod) }

  private func mayChoose(_ pod: Pod, _ node: Node) -> Bool {
    pod.spec.nodeSelector.allSatisfy { node.metadata.labels[$0.key] == $0.value }
      && (NodeAffinity(pod.spec.affinity).required?.matches(name: node.name, labels: node.metadata.labels) ?? true)
  }

  private func shortages(_ pod: Pod, _ node: Node) -> [Refusal] {
    let requests = on(node.name).map { PodRequest($0.spec).resources }
    let wanted = PodRequest(pod.spec).resources
    let all = Resources(node.allocatable)
    var short: [Refusal] = []
    if Int64(requests.count) + 1 > node.allocatable["pods"]?.value ?? 0 { short.append(.tooManyPods) }
    func check(_ name: String, _ amount: (Resources) -> Int64) {
      let used = requests.reduce(0) { $0 + amount($1) }
      guard amount(wanted) > 0, used + amount(wanted) > amount(all) else { return }
      short.append(.insufficient(name, everEnough: amount(wanted) <= amount(all)))
    }
    check("cpu", \.milliCPU)
    check("memory", \.memory)
    check("ephemeral-storage", \.ephemeralStorage)
    for name in wanted.extended.keys { check(name) { $0.extended[name] ?? 0 } }
    return short
  }

  // MARK: Spread

  private func matching(_ constraint: SpreadConstraint, _ pod: Pod) -> [(pod: Pod, node: String)] {
    pods.values.filter {
      $0.pod.namespace == pod.namespace && !$0.pod.metadata.isBeingDeleted
        && constraint.selector.matches($0.pod.metadata.labels)
    }
  }

  private func constraints(_ pod: Pod, hard: Bool) -> [SpreadConstraint] {
    pod.spec.topologySpreadConstraints.map { SpreadConstraint(json: $0, podLabels: pod.metadata.labels) }
      .filter { $0.isHard == hard }
  }

  /// Pods that match, by domain, over the nodes that count.
  private func counts(_ constraint: SpreadConstraint, among: [SpreadConstraint], _ pod: Pod) -> [String: Int] {
    var counts: [String: Int] = [:]
    let matching = matching(constraint, pod)
    for node in nodes.values {
      guard among.allSatisfy({ node.metadata.labels[$0.topologyKey] != nil }),
        let domain = node.metadata.labels[constraint.topologyKey]
      else { continue }
      if constraint.honorsNodeAffinity && !mayChoose(pod, node) { continue }
      let isTolerated = node.taints.allSatisfy { taint in
        taint.effect == "PreferNoSchedule" || pod.spec.tolerations.contains { $0.tolerates(taint) }
      }
      if constraint.honorsTaints && !isTolerated { continue }
      counts[domain, default: 0] += matching.count { $0.node == node.name }
    }
    return counts
  }

  private func spreadRefusal(_ pod: Pod, _ node: Node) -> Refusal? {
    let hard = constraints(pod, hard: true)
    for constraint in hard {
      guard let domain = node.metadata.labels[constraint.topologyKey] else { return .topologyLabelMissing }
      let counts = counts(constraint, among: hard, pod)
      let least = counts.count < constraint.minDomains ? 0 : counts.values.min() ?? 0
      let own = constraint.selector.matches(pod.metadata.labels) ? 1 : 0
      if (counts[domain] ?? 0) + own - least > constraint.maxSkew { return .topologySpread }
    }
    return nil
  }

  // MARK: Affinity

  private func means(_ term: PodAffinityTerm, _ other: Pod) -> Bool {
    term.matches(
      namespace: other.namespace, namespaceLabels: namespaceLabels[other.namespace] ?? [:],
      labels: other.metadata.labels)
  }

  /// Pods for which `test` holds, in the domain of the node.
  private func near(_ node: Node, _ key: String, _ test: (Pod) -> Bool) -> Int {
    guard let domain = node.metadata.labels[key] else { return 0 }
    return pods.values.count { nodes[$0.node]?.metadata.labels[key] == domain && test($0.pod) }
  }

  private func affinityRefusal(_ pod: Pod, _ node: Node) -> Refusal? {
    let own = PodAffinity(pod.spec.affinity, namespace: pod.namespace)
    if let required = own?.required, !required.isEmpty {
      guard required.allSatisfy({ node.metadata.labels[$0.topologyKey] != nil }) else { return .podAffinity }
      func matchesAll(_ other: Pod) -> Bool { required.allSatisfy { means($0, other) } }
      let somebody = required.contains { term in
        pods.values.contains { nodes[$0.node]?.metadata.labels[term.topologyKey] != nil && matchesAll($0.pod) }
      }
      if somebody || !matchesAll(pod) {
        guard required.allSatisfy({ near(node, $0.topologyKey, matchesAll) > 0 }) else { return .podAffinity }
      }
    }
    for term in own?.requiredAnti ?? [] {
      if near(node, term.topologyKey, { means(term, $0) }) > 0 { return .podAntiAffinity }
    }
    for other in pods.values {
      for term in PodAffinity(other.pod.spec.affinity, namespace: other.pod.namespace)?.requiredAnti ?? [] {
        let domain = nodes[other.node]?.metadata.labels[term.topologyKey]
        if means(term, pod), domain != nil, domain == node.metadata.labels[term.topologyKey] {
          return .othersAntiAffinity
        }
      }
    }
    return nil
  }

  // MARK: How well it would do

  /// The nodes that suit the pod best.
  func best(_ pod: Pod) -> Set<String> {
    let fitting = nodes.values.filter { refusals(pod, $0).isEmpty }.sorted { $0.name < $1.name }
    guard fitting.count > 1 else { return Set(fitting.map(\.name)) }
    var totals = fitting.map { leastAllocated(pod, $0) + balanced(pod, $0) }
    func add(_ scores: [Int64], _ weight: Int64) {
      for index in totals.indices { totals[index] += scores[index] * weight }
    }
    let soft = fitting.map { node in
      Int64(
        node.taints.count { taint in
          taint.effect == "PreferNoSchedule" && !pod.spec.tolerations.contains { $0.tolerates(taint) }
        })
    }
    let worst = soft.max() ?? 0
    add(soft.map { worst == 0 ? 100 : 100 - $0 * 100 / worst }, 3)
    let preferred = fitting.map { node in
      NodeAffinity(pod.spec.affinity).preferred.reduce(Int64(0)) {
        $1.term.matches(name: node.name, labels: node.metadata.labels) ? $0 + $1.weight : $0
      }
    }
    let dearest = preferred.max() ?? 0
    if dearest > 0 { add(preferred.map { $0 * 100 / dearest }, 2) }
    add(spreadScores(pod, fitting), 2)
    add(affinityScores(pod, fitting), 2)
    let highest = totals.max()
    return Set(fitting.indices.filter { totals[$0] == highest }.map { fitting[$0].name })
  }

  private func leastAllocated(_ pod: Pod, _ node: Node) -> Int64 {
    let requests = (on(node.name) + [pod]).map { PodRequest($0.spec) }
    func free(_ used: Int64, _ all: Int64) -> Int64 { all == 0 || used > all ? 0 : (all - used) * 100 / all }
    return
      (free(requests.reduce(0) { $0 + $1.scoredMilliCPU }, Resources(node.allocatable).milliCPU)
      + free(requests.reduce(0) { $0 + $1.scoredMemory }, Resources(node.allocatable).memory)) / 2
  }

  private func balanced(_ pod: Pod, _ node: Node) -> Int64 {
    let requests = (on(node.name) + [pod]).map { PodRequest($0.spec).resources }
    let all = Resources(node.allocatable)
    let cpu = min(1, Double(requests.reduce(0) { $0 + $1.milliCPU }) / Double(all.milliCPU))
    let memory = min(1, Double(requests.reduce(0) { $0 + $1.memory }) / Double(all.memory))
    return Int64((1 - (cpu - memory).magnitude / 2) * 100)
  }

  private func spreadScores(_ pod: Pod, _ fitting: [Node]) -> [Int64] {
    let soft = constraints(pod, hard: false)
    guard !soft.isEmpty else { return fitting.map { _ in 0 } }
    func isIgnored(_ node: Node) -> Bool { soft.contains { node.metadata.labels[$0.topologyKey] == nil } }
    let scored = fitting.filter { !isIgnored($0) }
    var raw = fitting.map { _ in 0.0 }
    for constraint in soft {
      let isHost = constraint.topologyKey == "kubernetes.io/hostname"
      let domains = Set(scored.compactMap { $0.metadata.labels[constraint.topologyKey] }).count
      let weight = SpreadState.weight(of: isHost ? scored.count : domains)
      let byDomain = counts(constraint, among: soft, pod)
      let matching = matching(constraint, pod)
      for (index, node) in fitting.enumerated() where !isIgnored(node) {
        let here =
          isHost
          ? matching.count { $0.node == node.name } : byDomain[node.metadata.labels[constraint.topologyKey] ?? ""] ?? 0
        raw[index] += Double(here) * weight + Double(constraint.maxSkew - 1)
      }
    }
    let scores = raw.map { Int64($0.rounded()) }
    let counted = fitting.indices.filter { !isIgnored(fitting[$0]) }.map { scores[$0] }
    let (most, least) = (counted.max() ?? 0, counted.min() ?? 0)
    return fitting.indices.map {
      isIgnored(fitting[$0]) ? 0 : most == 0 ? 100 : 100 * (most + least - scores[$0]) / most
    }
  }

  private func affinityScores(_ pod: Pod, _ fitting: [Node]) -> [Int64] {
    let own = PodAffinity(pod.spec.affinity, namespace: pod.namespace)
    let wishes =
      (own?.preferred ?? []) + (own?.preferredAnti ?? []).map { (weight: -$0.weight, term: $0.term) }
    let raw = fitting.map { node in
      var sum = wishes.reduce(Int64(0)) { sum, wish in
        sum + wish.weight * Int64(near(node, wish.term.topologyKey) { means(wish.term, $0) })
      }
      for other in pods.values {
        guard let theirs = PodAffinity(other.pod.spec.affinity, namespace: other.pod.namespace) else { continue }
        let pull =
          theirs.required.map { (weight: Int64(1), term: $0) } + theirs.preferred
          + theirs.preferredAnti.map { (weight: -$0.weight, term: $0.term) }
        for (weight, term) in pull where means(term, pod) {
          let domain = nodes[other.node]?.metadata.labels[term.topologyKey]
          if domain != nil, domain == node.metadata.labels[term.topologyKey] { sum += weight }
        }
      }
      return sum
    }
    let (most, least) = (raw.max() ?? 0, raw.min() ?? 0)
    return raw.map { most > least ? 100 * ($0 - least) / (most - least) : 0 }
  }

  // MARK: Who would have to go

  /// For each node where removing pods would help, the victims, the most important first.
  func victims(_ pod: Pod) -> [String: [String]] {
    var victims: [String: [String]] = [:]
    for node in nodes.values {
      let why = refusals(pod, node)
      guard !why.isEmpty, why.allSatisfy(\.isResolvable) else { continue }
      let lower = on(node.name).filter { $0.spec.priority < pod.spec.priority }
        .sorted { PlacedPod.mostImportantFirst(PlacedPod($0), PlacedPod($1)) }
      var without = self
      for other in lower { without.pods[other.metadata.uid] = nil }
      guard !lower.isEmpty, without.refusals(pod, node).isEmpty else { continue }
      var gone: [String] = []
      for other in lower {
        without.pods[other.metadata.uid] = (other, node.name)
        guard !without.refusals(pod, node).isEmpty else { continue }
        without.pods[other.metadata.uid] = nil
        gone.append(other.metadata.uid)
      }
      if !gone.isEmpty { victims[node.name] = gone }
    }
    return victims
  }

  /// The message of a pod that fits nowhere, without what follows of preemption.
  func message(_ pod: Pod) -> String {
    guard !nodes.isEmpty else { return "no nodes available to schedule pods" }
    var histogram: [String: Int] = [:]
    for node in nodes.values { for refusal in refusals(pod, node) { histogram[refusal.reason, default: 0] += 1 } }
    return "0/\(nodes.count) nodes are available: "
      + histogram.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ") + "."
  }
}
