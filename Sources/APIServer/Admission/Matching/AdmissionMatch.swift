// Which requests a policy or a binding is about: rules, and selectors of namespaces and objects.
import JSON
import Replica
import Schema

/// `resourceRules`, `excludeResourceRules`, `namespaceSelector` and `objectSelector` of a policy or a binding.
struct AdmissionMatch: Sendable {
  private let rules: AdmissionRules
  private let excluded: AdmissionRules
  private let selectors: AdmissionSelectors
  /// A binding without rules leaves the choice to its policy.
  private let matchesWithoutRules: Bool

  /// From `MatchResources`; null matches everything.
  init(_ match: JSONValue, matchesWithoutRules: Bool = false) {
    let matchesEquivalent = match["matchPolicy"] != "Exact"
    func rules(_ member: String) -> AdmissionRules {
      AdmissionRules(rules: match[member].elements.map(AdmissionRule.init), matchesEquivalent: matchesEquivalent)
    }
    self.rules = rules("resourceRules")
    excluded = rules("excludeResourceRules")
    selectors = AdmissionSelectors(match)
    self.matchesWithoutRules = matchesWithoutRules
  }

  /// The kind as which the request is judged; nil when it is not.
  func kind(for request: AdmissionRequest, _ objects: ObjectLookup) -> GroupVersionKind? {
    let kind = rules.rules.isEmpty && matchesWithoutRules ? request.kind : rules.kind(for: request)
    guard let kind, excluded.kind(for: request) == nil, selectors.select(request, objects) else { return nil }
    return kind
  }
}

/// `namespaceSelector` and `objectSelector`.
struct AdmissionSelectors: Sendable {
  private static let namespaces = GroupResource(group: "", resource: "namespaces")
  private let ofNamespaces: LabelSelector
  private let ofObjects: LabelSelector

  init(_ owner: JSONValue) {
    func selector(_ member: String) -> LabelSelector {
      owner[member].isNull ? .everything : (try? LabelSelector(owner[member])) ?? .nothing
    }
    ofNamespaces = selector("namespaceSelector")
    ofObjects = selector("objectSelector")
  }

  func select(_ request: AdmissionRequest, _ objects: ObjectLookup) -> Bool {
    if !ofNamespaces.isEverything, let labels = namespaceLabels(request, objects), !ofNamespaces.matches(labels) {
      return false
    }
    if ofObjects.isEverything { return true }
    return [request.object, request.oldObject].contains {
      $0.object != nil && ofObjects.matches($0["metadata"]["labels"].stringMap)
    }
  }

  /// The labels of the request's namespace, of the object where it is a namespace itself; nil for other objects of the
  /// cluster, which every selector of namespaces lets through.
  private func namespaceLabels(_ request: AdmissionRequest, _ objects: ObjectLookup) -> [String: String]? {
    if request.resource == Self.namespaces {
      if request.subresource.isEmpty, request.operation == .create || request.operation == .update {
        return request.object["metadata"]["labels"].stringMap
      }
      return objects.stored(Self.namespaces, name: request.name)?.labels ?? [:]
    }
    if request.namespace.isEmpty { return nil }
    return objects.stored(Self.namespaces, name: request.namespace)?.labels ?? [:]
  }
}
