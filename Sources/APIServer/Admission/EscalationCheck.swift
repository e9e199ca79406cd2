import JSON
import Schema

/// Nobody hands out what he does not have: roles and bindings (spec/8 §8.3, escalation and binding).
public struct EscalationCheck: ValidatingAdmission {
  public let name = "RBACEscalation"
  private let rbac: RBACAuthorizer
  private let authorizer: any Authorizer

  public init(rbac: RBACAuthorizer, authorizer: any Authorizer) {
    self.rbac = rbac
    self.authorizer = authorizer
  }

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    resource.group == RBACPolicy.group && (operation == .create || operation == .update)
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    if request.user.groups.contains("system:masters") { return .allowed }
    switch request.resource.resource {
    case "roles", "clusterroles": try await checkRole(request)
    case "rolebindings", "clusterrolebindings": try await checkBinding(request, objects)
    default: break
    }
    return .allowed
  }

  /// An update that leaves alone what the garbage collector edits must be covered like a new object: the labels of a
  /// role decide who else gets its rules.
  private func changesNothing(_ request: AdmissionRequest) -> Bool {
    guard request.operation == .update else { return false }
    var (new, old) = (request.object, request.oldObject)
    for member in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
      new["metadata"][member] = .null
      old["metadata"][member] = .null
    }
    return new == old
  }

  private func checkRole(_ request: AdmissionRequest) async throws(APIStatus) {
    let object = request.object
    if changesNothing(request) { return }
    if await has("escalate", request, name: request.name) { return }
    var rules = object["rules"].elements.map(PolicyRule.init(json:))
    // Who chooses what is aggregated chooses everything.
    if !object["aggregationRule"].isNull, object["aggregationRule"] != request.oldObject["aggregationRule"] {
      rules += [
        PolicyRule(verbs: ["*"], apiGroups: ["*"], resources: ["*"]), PolicyRule(verbs: ["*"], nonResourceURLs: ["*"]),
      ]
    }
    try require(rules, request)
  }

  private func checkBinding(_ request: AdmissionRequest, _ objects: ObjectLookup) async throws(APIStatus) {
    let reference = request.object["roleRef"]
    if changesNothing(request) { return }
    let resource = reference["kind"].string == "Role" ? "roles" : "clusterroles"
    let roleName = reference["name"].string ?? ""
    if await has("bind", request, resource: resource, name: roleName) { return }
    let namespace = request.namespace.isEmpty ? nil : request.namespace
    guard let rules = try await rules(of: reference, namespace: namespace, objects) else {
      throw .notFound(GroupResource(group: RBACPolicy.group, resource: resource), roleName)
    }
    try require(rules, request)
  }

  /// The rules of the role; one that is not known here may have been made through another server a moment ago.
  private func rules(
    of reference: JSONValue, namespace: String?, _ objects: ObjectLookup
  ) async throws(APIStatus) -> [PolicyRule]? {
    if let known = rbac.currentPolicy.rules(of: reference, namespace: namespace) { return known }
    return RBACPolicy(try await objects.fresh().state).rules(of: reference, namespace: namespace)
  }

  private func has(_ verb: String, _ request: AdmissionRequest, resource: String? = nil, name: String) async -> Bool {
    await authorizer.authorize(
      AuthorizationAttributes(
        user: request.user, verb: verb, namespace: request.namespace, apiGroup: RBACPolicy.group, apiVersion: "v1",
        resource: resource ?? request.resource.resource, name: name)
    ).isAllowed
  }

  private func require(_ rules: [PolicyRule], _ request: AdmissionRequest) throws(APIStatus) {
    let own = rbac.currentPolicy.rules(for: request.user, namespace: request.namespace)
    let excess = PolicyRule.excess(of: rules, over: own)
    guard !excess.missing.isEmpty || excess.isCutShort else { return }
    let groups = request.user.groups.map { "\"\($0)\"" }.joined(separator: " ")
    let problem = rbac.currentPolicy.problem(for: request.user, namespace: request.namespace)
    throw request.forbidden(
      "user \"\(request.user.name)\" (groups=[\(groups)]) is attempting to grant RBAC permissions not currently held:\n"
        + Set(PolicyRule.compacted(excess.missing).map(\.text)).sorted().joined(separator: "\n")
        + (excess.isCutShort ? "\nand more: the rules are too many to be checked one by one" : "")
        + (problem.map { "; resolution errors: [\($0)]" } ?? ""))
  }
}
