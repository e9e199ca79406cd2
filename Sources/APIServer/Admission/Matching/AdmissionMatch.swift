// Which requests a webhook or a policy is asked about: rules, and selectors of namespaces and objects.
import JSON
import Schema

/// `resourceRules`, `excludeResourceRules`, `namespaceSelector` and `objectSelector` of a policy or a webhook.
struct AdmissionMatch: Sendable {
  /// One of `rules`.
  struct Rule: Sendable {
    private let operations: Set<String>
    private let groups: Set<String>
    private let versions: Set<String>
    private let resources: [String]
    private let names: Set<String>
    private let scope: String

    init(_ rule: JSONValue) {
      func texts(_ member: String) -> [String] { rule[member].elements.compactMap(\.string) }
      operations = Set(texts("operations"))
      groups = Set(texts("apiGroups"))
      versions = Set(texts("apiVersions"))
      resources = texts("resources")
      names = Set(texts("resourceNames"))
      scope = rule["scope"].string ?? "*"
    }

    func matches(_ request: AdmissionRequest) -> Bool {
      let kind = request.descriptor.kind
      guard groups.contains("*") || groups.contains(kind.group),
        versions.contains("*") || versions.contains(kind.version),
        operations.contains("*") || operations.contains(request.operation.rawValue),
        names.isEmpty || names.contains(request.name)
      else { return false }
      let isClusterScoped = request.namespace.isEmpty
      guard scope == "*" || scope == (isClusterScoped ? "Cluster" : "Namespaced") else { return false }
      return resources.contains { Self.matches($0, request) }
    }

    /// "pods", "pods/status", "pods/*", "*", "*/*", "*/scale".
    private static func matches(_ pattern: String, _ request: AdmissionRequest) -> Bool {
      let parts = pattern.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts[0] == "*" || parts[0] == request.resource.resource else { return false }
      let subresource = parts.count > 1 ? parts[1] : ""
      return subresource == request.subresource || subresource == "*"
    }
  }

  private let rules: [Rule]
  private let excluded: [Rule]
  private let namespaces: LabelSelector
  private let labels: LabelSelector
  /// A binding without rules leaves the choice to its policy.
  private let matchesWithoutRules: Bool

  private static let everything = LabelSelector(requirements: [])

  /// From `MatchResources`; null matches everything.
  init(_ match: JSONValue, matchesWithoutRules: Bool = false) {
    rules = match["resourceRules"].elements.map(Rule.init)
    excluded = match["excludeResourceRules"].elements.map(Rule.init)
    namespaces = Self.selector(match["namespaceSelector"])
    labels = Self.selector(match["objectSelector"])
    self.matchesWithoutRules = matchesWithoutRules
  }

  private static func selector(_ selector: JSONValue) -> LabelSelector {
    selector.isNull ? everything : (try? LabelSelector(selector)) ?? .nothing
  }

  func matches(_ request: AdmissionRequest, namespaceLabels: [String: String]?) -> Bool {
    guard rules.isEmpty ? matchesWithoutRules : rules.contains(where: { $0.matches(request) }) else { return false }
    if excluded.contains(where: { $0.matches(request) }) { return false }
    if let namespaceLabels, !namespaces.matches(namespaceLabels) { return false }
    if labels.requirements.isEmpty, !labels.matchesNothing { return true }
    return [request.object, request.oldObject].contains {
      !$0.isNull && labels.matches($0["metadata"]["labels"].stringMap)
    }
  }

  /// The labels a namespace selector looks at: those of the request's namespace, of the object where it is a namespace
  /// itself, and none for other objects of the cluster, which every selector of namespaces matches.
  static func namespaceLabels(_ request: AdmissionRequest, _ namespace: JSONValue) -> [String: String]? {
    if request.resource == GroupResource(group: "", resource: "namespaces") {
      let object = request.object.isNull ? request.oldObject : request.object
      return object["metadata"]["labels"].stringMap
    }
    return request.namespace.isEmpty ? nil : namespace["metadata"]["labels"].stringMap
  }
}
