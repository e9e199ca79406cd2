// Which requests are recorded, and how much of them (spec/8 §8.5): audit.k8s.io/v1 Policy.
import JSON
import Schema

/// How much of a request is recorded.
public enum AuditLevel: String, Sendable, Hashable, Comparable {
  case none = "None"
  case metadata = "Metadata"
  case request = "Request"
  case requestResponse = "RequestResponse"

  private var rank: Int {
    switch self {
    case .none: 0
    case .metadata: 1
    case .request: 2
    case .requestResponse: 3
    }
  }
  public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }
}

/// A moment in the life of a request at which an event may be written.
public enum AuditStage: String, Sendable, Hashable, CaseIterable {
  case requestReceived = "RequestReceived"
  /// Headers are out, the body lasts: watches and tunnels only.
  case responseStarted = "ResponseStarted"
  case responseComplete = "ResponseComplete"
  case panic = "Panic"
}

/// An audit policy: the first rule that matches decides.
public struct AuditPolicy: Sendable {
  /// What a policy decides about one request.
  struct Decision: Sendable, Hashable {
    var level = AuditLevel.none
    var omittedStages: Set<AuditStage> = []
    var omitsManagedFields = false
  }

  /// Why a file is no policy: the field and what is wrong with it.
  public struct Invalid: Error, Sendable, CustomStringConvertible {
    public var description: String
  }

  private var rules: [Rule]

  /// Everything, by its metadata.
  public static let metadata = AuditPolicy(rules: [Rule(level: .metadata)])

  private init(rules: [Rule]) { self.rules = rules }

  /// Reads a policy file (YAML or JSON).
  public init(parsing bytes: [UInt8]) throws(Invalid) {
    let tree: JSONValue
    do { tree = try YAML.parse(bytes) } catch { throw Invalid(description: "the audit policy is not YAML: \(error)") }
    guard tree["kind"] == "Policy", tree["apiVersion"] == "audit.k8s.io/v1" else {
      throw Invalid(description: "the audit policy must be of apiVersion audit.k8s.io/v1 and kind Policy")
    }
    let list = tree["rules"].elements
    guard !list.isEmpty else {
      throw Invalid(description: "rules: Required value: a policy without rules records nothing")
    }
    let stages = try Self.stages(tree["omitStages"], "omitStages")
    let omitsManagedFields = tree["omitManagedFields"].bool ?? false
    rules = []
    for (index, rule) in list.enumerated() {
      rules.append(
        try Rule(rule, path: "rules[\(index)]", omittedStages: stages, omitsManagedFields: omitsManagedFields))
    }
  }

  fileprivate static func stages(_ list: JSONValue, _ path: String) throws(Invalid) -> Set<AuditStage> {
    var stages: Set<AuditStage> = []
    for item in list.elements {
      guard let stage = AuditStage(rawValue: item.string ?? "") else {
        throw Invalid(
          description: "\(path): Unsupported value: \(item): supported values: RequestReceived, ResponseStarted, "
            + "ResponseComplete, Panic")
      }
      stages.insert(stage)
    }
    return stages
  }

  func decide(_ request: AuthorizationAttributes) -> Decision {
    rules.first { $0.matches(request) }?.decision ?? Decision()
  }
}

extension AuditPolicy {
  private struct Resources: Sendable {
    var group: String
    var resources: [String]
    var names: [String]

    func matches(_ request: AuthorizationAttributes) -> Bool {
      guard group == request.apiGroup else { return false }
      guard names.isEmpty || names.contains(request.name) else { return false }
      if resources.isEmpty { return true }
      let whole = request.subresource.isEmpty ? request.resource : "\(request.resource)/\(request.subresource)"
      return resources.contains { pattern in
        pattern == "*" || pattern == whole
          || (!request.subresource.isEmpty
            && (pattern == "*/\(request.subresource)" || pattern == "\(request.resource)/*"))
      }
    }
  }

  private struct Rule: Sendable {
    var decision = Decision()
    var users: [String] = []
    var groups: [String] = []
    var verbs: [String] = []
    var resources: [Resources] = []
    var namespaces: [String] = []
    var paths: [String] = []

    init(level: AuditLevel) { decision.level = level }

    init(
      _ rule: JSONValue, path: String, omittedStages: Set<AuditStage>, omitsManagedFields: Bool
    ) throws(Invalid) {
      func words(_ key: String) -> [String] { rule[key].elements.compactMap(\.string) }
      guard let level = AuditLevel(rawValue: rule["level"].string ?? "") else {
        throw Invalid(
          description: "\(path).level: Unsupported value: \(rule["level"]): supported values: None, Metadata, Request, "
            + "RequestResponse")
      }
      decision.level = level
      decision.omittedStages = omittedStages.union(try stages(rule["omitStages"], "\(path).omitStages"))
      decision.omitsManagedFields = rule["omitManagedFields"].bool ?? omitsManagedFields
      users = words("users")
      groups = words("userGroups")
      verbs = words("verbs")
      namespaces = words("namespaces")
      paths = words("nonResourceURLs")
      resources = rule["resources"].elements.map { item in
        Resources(
          group: item["group"].string ?? "", resources: item["resources"].elements.compactMap(\.string),
          names: item["resourceNames"].elements.compactMap(\.string))
      }
      guard paths.isEmpty || (resources.isEmpty && namespaces.isEmpty) else {
        throw Invalid(
          description: "\(path).nonResourceURLs: Invalid value: rules cannot apply to both regular resources and "
            + "non-resource URLs")
      }
    }

    func matches(_ request: AuthorizationAttributes) -> Bool {
      guard users.isEmpty || users.contains(request.user.name) else { return false }
      guard groups.isEmpty || groups.contains(where: { request.user.groups.contains($0) }) else { return false }
      guard verbs.isEmpty || verbs.contains(request.verb) else { return false }
      if !namespaces.isEmpty || !resources.isEmpty {
        guard request.isResourceRequest else { return false }
        guard namespaces.isEmpty || namespaces.contains(request.namespace) else { return false }
        return resources.isEmpty || resources.contains { $0.matches(request) }
      }
      guard !paths.isEmpty else { return true }
      guard !request.isResourceRequest else { return false }
      return paths.contains { pattern in
        pattern == "*" || pattern == request.path
          || (pattern.hasSuffix("*") && request.path.hasPrefix(pattern.dropLast()))
      }
    }
  }
}
