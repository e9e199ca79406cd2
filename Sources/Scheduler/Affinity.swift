// Affinities compiled from a pod's spec: nodes, and pods that attract or repel.
import Client
import JSON
import Schema

extension NodeSelector {
  func matches(_ node: NodeFacts) -> Bool { matches(name: node.name, labels: node.labels) }
}

extension NodeSelector {
  /// The nodes that it names, where every term names some; none where what is named excludes itself.
  var namedNodes: Set<String>? {
    var names: Set<String>?
    for term in terms {
      let lists = term.fields.filter { $0.key == "metadata.name" && $0.operation == .isIn }.map { Set($0.values) }
      guard let first = lists.first else { return nil }
      names = (names ?? []).union(lists.dropFirst().reduce(first) { $0.intersection($1) })
    }
    return names
  }
}

extension NodeSelector.Term {
  func matches(_ node: NodeFacts) -> Bool { matches(name: node.name, labels: node.labels) }
}

/// The node affinity of a pod.
struct NodeAffinity: Sendable {
  var required: NodeSelector?
  var preferred: [(weight: Int64, term: NodeSelector.Term)]

  init(_ affinity: JSONValue) {
    let node = affinity["nodeAffinity"]
    required = NodeSelector(json: node["requiredDuringSchedulingIgnoredDuringExecution"])
    preferred = node["preferredDuringSchedulingIgnoredDuringExecution"].elements.map {
      ($0["weight"].integer ?? 0, NodeSelector.Term(json: $0["preference"]))
    }
  }
}

/// Which pods are meant: those of these namespaces (nil: of all) whose labels match.
struct PodMatcher: Hashable, Sendable {
  var namespaces: Set<String>?
  var selector: LabelSelector

  func matches(namespace: String, labels: [String: String]) -> Bool {
    (namespaces?.contains(namespace) ?? true) && selector.matches(labels)
  }
}

/// One term of pod affinity or anti-affinity.
struct PodAffinityTerm: Hashable, Sendable {
  var selector: LabelSelector
  /// By name, and by their labels: a pod of any of them is meant.
  var namespaces: Set<String>
  var namespaceSelector: LabelSelector
  var topologyKey: String

  init(json: JSONValue, namespace: String) {
    selector = json["labelSelector"].isNull ? .nothing : (try? LabelSelector(json["labelSelector"])) ?? .nothing
    let listed = json["namespaces"].elements.compactMap(\.string)
    let hasSelector = !json["namespaceSelector"].isNull
    namespaceSelector = hasSelector ? (try? LabelSelector(json["namespaceSelector"])) ?? .nothing : .nothing
    namespaces = Set(listed.isEmpty && !hasSelector ? [namespace] : listed)
    topologyKey = json["topologyKey"].string ?? ""
  }

  /// The pods it means, `found` naming the namespaces whose labels match.
  func matcher(_ found: (LabelSelector) -> Set<String>) -> PodMatcher {
    if namespaceSelector.isEverything { return PodMatcher(namespaces: nil, selector: selector) }
    let more = namespaceSelector.matchesNothing ? [] : found(namespaceSelector)
    return PodMatcher(namespaces: namespaces.union(more), selector: selector)
  }

  func matches(namespace: String, namespaceLabels: [String: String], labels: [String: String]) -> Bool {
    (namespaces.contains(namespace) || namespaceSelector.matches(namespaceLabels)) && selector.matches(labels)
  }
}

/// Pods that a pod wants near, or far.
struct PodAffinity: Sendable {
  var required: [PodAffinityTerm]
  var preferred: [(weight: Int64, term: PodAffinityTerm)]
  var requiredAnti: [PodAffinityTerm]
  var preferredAnti: [(weight: Int64, term: PodAffinityTerm)]

  /// Nil when the pod has none.
  init?(_ affinity: JSONValue, namespace: String) {
    let near = affinity["podAffinity"]
    let far = affinity["podAntiAffinity"]
    guard !near.isNull || !far.isNull else { return nil }
    func required(_ json: JSONValue) -> [PodAffinityTerm] {
      json["requiredDuringSchedulingIgnoredDuringExecution"].elements
        .map { PodAffinityTerm(json: $0, namespace: namespace) }
    }
    func preferred(_ json: JSONValue) -> [(weight: Int64, term: PodAffinityTerm)] {
      json["preferredDuringSchedulingIgnoredDuringExecution"].elements
        .map { ($0["weight"].integer ?? 0, PodAffinityTerm(json: $0["podAffinityTerm"], namespace: namespace)) }
    }
    self.required = required(near)
    self.preferred = preferred(near)
    requiredAnti = required(far)
    preferredAnti = preferred(far)
  }

  var topologyKeys: Set<String> {
    Set((required + requiredAnti + (preferred + preferredAnti).map(\.term)).map(\.topologyKey))
  }
}

/// One topology spread constraint.
struct SpreadConstraint: Sendable {
  var topologyKey: String
  var maxSkew: Int64
  var isHard: Bool
  var selector: LabelSelector
  var minDomains: Int64
  /// Nodes that the pod's node selector and affinity exclude are no domains (nodeAffinityPolicy Honor, the default).
  var honorsNodeAffinity: Bool
  /// Nor are nodes whose taints it does not tolerate (nodeTaintsPolicy Honor; the default is Ignore).
  var honorsTaints: Bool

  init(json: JSONValue, podLabels: [String: String]) {
    topologyKey = json["topologyKey"].string ?? ""
    maxSkew = json["maxSkew"].integer ?? 1
    isHard = json["whenUnsatisfiable"].string != "ScheduleAnyway"
    minDomains = json["minDomains"].integer ?? 1
    honorsNodeAffinity = json["nodeAffinityPolicy"].string != "Ignore"
    honorsTaints = json["nodeTaintsPolicy"].string == "Honor"
    var selectorJSON = json["labelSelector"]
    // matchLabelKeys narrow the selector to pods that share the incoming pod's values.
    for key in json["matchLabelKeys"].elements.compactMap(\.string) {
      if let value = podLabels[key] { selectorJSON["matchLabels"][key] = .string(value) }
    }
    selector = selectorJSON.isNull ? .nothing : (try? LabelSelector(selectorJSON)) ?? .nothing
  }

  init(topologyKey: String, maxSkew: Int64, isHard: Bool, selector: LabelSelector) {
    self.topologyKey = topologyKey
    self.maxSkew = maxSkew
    self.isHard = isHard
    self.selector = selector
    minDomains = 1
    honorsNodeAffinity = true
    honorsTaints = false
  }
}
