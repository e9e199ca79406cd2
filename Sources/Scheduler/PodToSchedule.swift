import Client
import Schema

/// A pending pod with everything compiled that filters and scores ask for once per node.
struct PodToSchedule: Sendable {
  let key: NamespacedName
  let labels: [String: String]
  let nodeName: String
  let nodeSelector: [String: String]
  let tolerations: [Toleration]
  let toleratesUnschedulable: Bool
  let request: PodRequest
  let hostPorts: [HostPort]
  let nodeAffinity: NodeAffinity
  let podAffinity: CompiledAffinity?
  let spread: [SpreadConstraint]
  /// The spread constraints are the system's own: nodes that lack a label are scored all the same.
  let spreadsByDefault: Bool
  /// Images of its containers by their full names, and how many containers there are.
  let images: [String]
  /// What its claims ask; nil when it has none.
  let volumes: VolumeNeeds?
  /// The pod as it will stand on a node.
  let placed: PlacedPod
  /// Who has a say about it.
  let profile: SchedulerProfile
  /// Resources other than cpu, memory and ephemeral-storage that nodes must have room for.
  let extended: [String: Int64]

  /// Some nodes are not for it, whatever runs on them.
  var choosesNodes: Bool {
    !nodeSelector.isEmpty || nodeAffinity.required != nil || profile.addedAffinity?.required != nil
  }

  /// The only nodes that its affinity names, where it names some (a DaemonSet's pods); others are not even asked.
  let namedNodes: Set<String>?

  /// Pods whose coming may make it fit.
  var awaited: [PodMatcher] {
    (podAffinity?.required.map(\.matcher) ?? [])
      + spread.filter(\.isHard).map { PodMatcher(namespaces: [key.namespace], selector: $0.selector) }
  }

  /// `defaultSpread`: the selector of the Service or workload the pod belongs to, for the system's own soft spreading of
  /// pods that ask for none (spec/6 §6.2). `namespaces` finds the namespaces whose labels match. `ignoredResources`: an
  /// extender looks after them.
  init(
    _ pod: Pod, defaultSpread: LabelSelector?, namespaces: (LabelSelector) -> Set<String> = { _ in [] },
    volumes: VolumeNeeds? = nil, profile: SchedulerProfile = .standard, ignoredResources: Set<String> = []
  ) {
    self.volumes = volumes
    self.profile = profile
    key = pod.key
    labels = pod.metadata.labels
    nodeName = pod.spec.nodeName
    nodeSelector = pod.spec.nodeSelector
    tolerations = pod.spec.tolerations
    let cordon = Taint(key: "node.kubernetes.io/unschedulable", effect: "NoSchedule")
    toleratesUnschedulable = tolerations.contains { $0.tolerates(cordon) }
    nodeAffinity = NodeAffinity(pod.spec.affinity)
    namedNodes = profile.has(.nodeAffinity, at: .preFilter) ? nodeAffinity.required?.namedNodes : nil
    placed = PlacedPod(pod)
    request = placed.request
    extended = request.resources.extended.filter {
      !ignoredResources.contains($0.key) && !profile.ignores(resource: $0.key)
    }
    hostPorts = placed.hostPorts
    podAffinity = placed.affinity.map { CompiledAffinity($0, namespaces) }
    images = (pod.spec.initContainers + pod.spec.containers).map { Self.fullName(ofImage: $0.image) }
    let asksForSpread = !pod.spec.topologySpreadConstraints.isEmpty
    spreadsByDefault = !asksForSpread && profile.defaultConstraints == nil
    if asksForSpread {
      spread = pod.spec.topologySpreadConstraints.map { SpreadConstraint(json: $0, podLabels: pod.metadata.labels) }
    } else if let selector = defaultSpread, let constraints = profile.defaultConstraints {
      spread = constraints.map {
        var constraint = SpreadConstraint(json: $0, podLabels: [:])
        constraint.selector = selector
        return constraint
      }
    } else if let selector = defaultSpread {
      spread = [
        SpreadConstraint(topologyKey: "kubernetes.io/hostname", maxSkew: 3, isHard: false, selector: selector),
        SpreadConstraint(topologyKey: "topology.kubernetes.io/zone", maxSkew: 5, isHard: false, selector: selector),
      ]
    } else {
      spread = []
    }
  }

  /// With the tag that is meant where none is written.
  private static func fullName(ofImage name: String) -> String {
    let lastPart = name.utf8.lastIndex(of: UInt8(ascii: "/")).map { name[$0...] } ?? name[...]
    return lastPart.utf8.contains(UInt8(ascii: ":")) ? name : name + ":latest"
  }
}

/// What a pod wants of others, its namespace selectors resolved.
struct CompiledAffinity: Sendable {
  struct Term: Sendable {
    var matcher: PodMatcher
    var topologyKey: String
  }
  var required: [Term]
  var requiredAnti: [Term]
  /// Anti-affinity has weights below zero.
  var preferred: [(weight: Int64, term: Term)]

  init(_ affinity: PodAffinity, _ namespaces: (LabelSelector) -> Set<String>) {
    func compile(_ term: PodAffinityTerm) -> Term {
      Term(matcher: term.matcher(namespaces), topologyKey: term.topologyKey)
    }
    required = affinity.required.map(compile)
    requiredAnti = affinity.requiredAnti.map(compile)
    preferred =
      affinity.preferred.map { ($0.weight, compile($0.term)) }
      + affinity.preferredAnti.map { (-$0.weight, compile($0.term)) }
  }
}
