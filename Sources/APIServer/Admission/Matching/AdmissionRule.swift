// One rule of a webhook or a policy: which operations on which resources it speaks of.
import JSON
import Kinds
import Schema

/// `RuleWithOperations`, and `resourceNames` where policies have them.
struct AdmissionRule: Sendable {
  private let operations: Set<String>
  private let groups: Set<String>
  private let versions: Set<String>
  private let resources: [(resource: Substring, subresource: Substring)]
  private let names: Set<String>
  private let scope: String

  init(_ rule: JSONValue) {
    func texts(_ member: String) -> Set<String> { Set(rule[member].elements.compactMap(\.string)) }
    operations = texts("operations")
    groups = texts("apiGroups")
    versions = texts("apiVersions")
    // "pods", "pods/status", "pods/*", "*", "*/*", "*/scale".
    resources = rule["resources"].elements.compactMap(\.string).map { text in
      let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      return (parts[0], parts.count == 2 ? parts[1] : "")
    }
    names = texts("resourceNames")
    scope = rule["scope"].string ?? "*"
  }

  /// Whether the rule speaks of the request as a request for that kind.
  func matches(_ request: AdmissionRequest, as kind: GroupVersionKind) -> Bool {
    func holds(_ set: Set<String>, _ text: String) -> Bool { set.contains("*") || set.contains(text) }
    guard holds(operations, request.operation.rawValue), holds(groups, kind.group), holds(versions, kind.version),
      names.isEmpty || names.contains(request.name),
      scope == "*" || scope == (request.isOfCluster ? "Cluster" : "Namespaced")
    else { return false }
    return resources.contains {
      ($0.resource == "*" || $0.resource == request.resource.resource)
        && ($0.subresource == "*" || $0.subresource == request.subresource)
    }
  }
}

extension AdmissionRequest {
  /// Namespaces belong to the cluster though their requests carry a namespace, in the reference.
  fileprivate var isOfCluster: Bool {
    namespace.isEmpty || resource == GroupResource(group: "", resource: "namespaces")
  }
}

/// Rules and whether other versions of a resource count as well (`matchPolicy`).
struct AdmissionRules: Sendable {
  let rules: [AdmissionRule]
  let matchesEquivalent: Bool

  /// The kind as which the rules speak of the request's object: its own, or one it is served as besides; nil when they
  /// do not speak of it at all.
  func kind(for request: AdmissionRequest) -> GroupVersionKind? {
    let own = request.descriptor.kind
    if rules.contains(where: { $0.matches(request, as: own) }) { return own }
    guard matchesEquivalent else { return nil }
    return EquivalentKinds.others(request.descriptor).first { other in
      rules.contains { $0.matches(request, as: other) }
    }
  }
}

/// One object served under several groups or versions: horizontal pod autoscalers, events, custom resources.
enum EquivalentKinds {
  /// By the kind that is stored.
  private static let builtIn: [GroupVersionKind: [GroupVersionKind]] = Dictionary(
    grouping: KindRegistry.builtIn.kinds.map { (stored: $0.storage, kind: $0.kind) }, by: \.stored
  ).mapValues { $0.map(\.kind) }.filter { $0.value.count > 1 }

  static func others(_ descriptor: KindDescriptor) -> [GroupVersionKind] {
    let all: [GroupVersionKind]
    if let custom = descriptor.custom {
      all = custom.schemas.keys.sorted(by: APIVersionOrder.precedes).map { version in
        var kind = descriptor.kind
        kind.version = version
        return kind
      }
    } else {
      all = builtIn[descriptor.storage] ?? []
    }
    return all.filter { $0 != descriptor.kind }
  }

  /// An object of the request as another of its kinds, or back; what is of no such kind (bodies of subresources) stays.
  static func converted(
    _ object: JSONValue, from source: GroupVersionKind, to target: GroupVersionKind, _ descriptor: KindDescriptor
  ) -> JSONValue {
    guard source != target, object.object != nil, object["kind"].string == source.kind else { return object }
    if let custom = descriptor.custom { return CustomConversion.renamed(object, to: target, custom) }
    return KindConversion.convert(object, from: source, to: target)
  }
}
