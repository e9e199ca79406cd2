// All roles and bindings of one state, indexed by who they speak of. Immutable; made anew when any of them changes.
import JSON
import Replica
import Schema

struct RBACPolicy: Sendable {
  static let group = "rbac.authorization.k8s.io"
  static let resources = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"]
    .map { GroupResource(group: group, resource: $0).description }

  /// Rules that somebody has, everywhere or in one namespace.
  struct Grant: Sendable {
    /// nil: everywhere.
    var namespace: String?
    /// `ClusterRoleBinding "x" of ClusterRole "y" to Group "z"`: for reviews and the audit log.
    var source: String
    var rules: [PolicyRule]
    /// Why there are no rules: the role is not there.
    var problem: String?
  }

  private var byUser: [String: [Grant]] = [:]
  private var byGroup: [String: [Grant]] = [:]
  private var clusterRoles: [String: [PolicyRule]] = [:]
  private var roles: [String: [PolicyRule]] = [:]

  init(_ state: any StateView) {
    readRoles(state)
    for object in Self.objects("clusterrolebindings", state) { bind(object, namespace: nil) }
    for object in Self.objects("rolebindings", state) {
      bind(object, namespace: object["metadata"]["namespace"].string ?? "")
    }
  }

  private static func objects(_ resource: String, _ state: any StateView) -> [JSONValue] {
    let name = GroupResource(group: group, resource: resource).description
    return state.objects(resource: name, namespace: "", after: nil, limit: 0).objects
      .compactMap { try? JSONValue(parsing: $0.bytes) }
  }

  private mutating func readRoles(_ state: any StateView) {
    let all = Self.objects("clusterroles", state)
    func rules(_ role: JSONValue) -> [PolicyRule] { role["rules"].elements.map(PolicyRule.init(json:)) }
    for role in all { clusterRoles[role["metadata"]["name"].string ?? ""] = rules(role) }
    // Aggregated roles have what the roles they select have, also before the controller has written it down. Roles
    // that select aggregated ones (admin ⊃ edit ⊃ view) settle within as many rounds as they are deep.
    let aggregated = all.filter { !$0["aggregationRule"].isNull }
    for _ in 0..<4 {
      for role in aggregated {
        let selectors = role["aggregationRule"]["clusterRoleSelectors"].elements.compactMap { try? LabelSelector($0) }
        let name = role["metadata"]["name"].string ?? ""
        var union: [PolicyRule] = []
        for other in all where other["metadata"]["name"].string != name {
          let labels = other["metadata"]["labels"].stringMap
          guard selectors.contains(where: { $0.matches(labels) }) else { continue }
          for rule in clusterRoles[other["metadata"]["name"].string ?? ""] ?? [] where !union.contains(rule) {
            union.append(rule)
          }
        }
        clusterRoles[name] = union
      }
    }
    for role in Self.objects("roles", state) {
      roles["\(role["metadata"]["namespace"].string ?? "")/\(role["metadata"]["name"].string ?? "")"] = rules(role)
    }
  }

  private mutating func bind(_ binding: JSONValue, namespace: String?) {
    let reference = binding["roleRef"]
    let rules = rules(of: reference, namespace: namespace)
    let roleKind = (reference["kind"].string ?? "").lowercased()
    let problem =
      rules == nil ? "\(roleKind).\(Self.group) \"\(Self.told(reference["name"].string ?? ""))\" not found" : nil
    let kind = namespace == nil ? "ClusterRoleBinding" : "RoleBinding"
    let name = [namespace, binding["metadata"]["name"].string].compactMap { $0 }.reversed().joined(separator: "/")
    for subject in binding["subjects"].elements {
      let subjectName = subject["name"].string ?? ""
      let subjectKind = subject["kind"].string ?? ""
      let grant = Grant(
        namespace: namespace,
        source: "RBAC: allowed by \(kind) \"\(name)\" of \(reference["kind"].string ?? "") "
          + "\"\(reference["name"].string ?? "")\" to \(subjectKind) \"\(subjectName)"
          + (subjectKind == "ServiceAccount" ? "/\(subject["namespace"].string ?? namespace ?? "")\"" : "\""),
        rules: rules ?? [], problem: problem)
      switch subjectKind {
      case "User": byUser[subjectName, default: []].append(grant)
      case "Group": byGroup[subjectName, default: []].append(grant)
      case "ServiceAccount":
        let home = subject["namespace"].string ?? namespace ?? ""
        byUser["system:serviceaccount:\(home):\(subjectName)", default: []].append(grant)
      default: break
      }
    }
  }

  /// The rules of the role that a binding refers to; nil when there is no such role.
  func rules(of reference: JSONValue, namespace: String?) -> [PolicyRule]? {
    let name = reference["name"].string ?? ""
    return reference["kind"].string == "Role" ? roles["\(namespace ?? "")/\(name)"] : clusterRoles[name]
  }

  /// Everything that speaks of the user, in no order.
  func grants(to user: RequestUser) -> [Grant] {
    user.groups.reduce(byUser[user.name] ?? []) { $0 + (byGroup[$1] ?? []) }
  }

  /// The rules a user has in a namespace ("" for those that hold everywhere only).
  func rules(for user: RequestUser, namespace: String) -> [PolicyRule] {
    grants(to: user).filter { $0.namespace == nil || $0.namespace == namespace }.flatMap(\.rules)
  }

  /// What keeps those rules from being all: bindings whose role is not there. As one text; nil when there are none.
  func problem(for user: RequestUser, namespace: String) -> String? {
    Self.joined(grants(to: user).filter { $0.namespace == nil || $0.namespace == namespace }.compactMap(\.problem))
  }

  /// Nobody reads more of a name; that of a role may be a megabyte long, and every refusal tells it.
  private static let toldNameMaximum = 1024
  /// More bindings without a role are not named.
  private static let toldProblemsMaximum = 100

  private static func told(_ name: String) -> String {
    guard name.utf8.count > toldNameMaximum else { return name }
    return String(decoding: name.utf8.prefix(toldNameMaximum), as: UTF8.self) + "…"
  }

  /// Several errors as one, each once.
  static func joined(_ problems: [String]) -> String? {
    var seen: Set<String> = []
    var unique = problems.filter { seen.insert($0).inserted }
    if unique.count > toldProblemsMaximum {
      let more = unique.count - toldProblemsMaximum
      unique.removeLast(more)
      unique.append("\(more) more")
    }
    return unique.count > 1 ? "[\(unique.joined(separator: ", "))]" : unique.first
  }

  func decide(_ request: AuthorizationAttributes) -> AuthorizationDecision {
    var problems: [String] = []
    func ask(_ grants: [Grant]?) -> AuthorizationDecision? {
      for grant in grants ?? [] where grant.namespace == nil || grant.namespace == request.namespace {
        if grant.namespace != nil && !request.isResourceRequest { continue }
        if grant.rules.contains(where: { $0.allows(request) }) { return .allow(reason: grant.source) }
        if let problem = grant.problem, !problems.contains(problem) { problems.append(problem) }
      }
      return nil
    }
    if let decision = ask(byUser[request.user.name]) { return decision }
    for group in request.user.groups { if let decision = ask(byGroup[group]) { return decision } }
    return Self.joined(problems).map { .noOpinion(reason: "RBAC: \($0)") } ?? .noOpinion()
  }
}
