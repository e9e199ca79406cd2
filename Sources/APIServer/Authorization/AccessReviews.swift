// May somebody do something: the four review resources (spec/8 §8.3).
import JSON
import Schema

/// SubjectAccessReview, LocalSubjectAccessReview and SelfSubjectAccessReview.
public struct AccessReviewResource: ComputedResource {
  public enum Kind: String, Sendable {
    case subject = "SubjectAccessReview"
    case local = "LocalSubjectAccessReview"
    case own = "SelfSubjectAccessReview"
  }
  private let kind: Kind
  private let authorizer: any Authorizer

  public init(_ kind: Kind, authorizer: any Authorizer) {
    self.kind = kind
    self.authorizer = authorizer
  }

  public func create(_ object: JSONValue, context: RequestContext, objects: ObjectLookup) async throws(APIStatus)
    -> JSONValue
  {
    let spec = object["spec"]
    let errors = validate(spec, context)
    let gvk = GroupVersionKind(group: "authorization.k8s.io", version: "v1", kind: kind.rawValue)
    guard errors.isEmpty else { throw .invalid(gvk, "", errors) }
    let decision = await authorizer.authorize(attributes(spec, user: user(spec, context)))
    var status: JSONValue = ["allowed": .bool(decision.isAllowed)]
    if case .deny = decision { status["denied"] = true }
    if !decision.reason.isEmpty { status["reason"] = .string(decision.reason) }
    var answer = object
    answer["status"] = status
    return answer
  }

  private func validate(_ spec: JSONValue, _ context: RequestContext) -> [FieldError] {
    var errors: [FieldError] = []
    let hasResource = !spec["resourceAttributes"].isNull
    let hasPath = !spec["nonResourceAttributes"].isNull
    if hasResource && hasPath {
      errors.append(
        .invalid(
          "spec.nonResourceAttributes", spec["nonResourceAttributes"],
          "cannot be specified in combination with resourceAttributes"))
    }
    if !hasResource && !hasPath {
      errors.append(
        .invalid(
          "spec.resourceAttributes", .null,
          "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
    }
    if kind != .own, (spec["user"].string ?? "").isEmpty, spec["groups"].elements.isEmpty {
      errors.append(.invalid("spec.user", "", "at least one of user or group must be specified"))
    }
    if kind == .local {
      let namespace = spec["resourceAttributes"]["namespace"].string ?? ""
      if namespace != context.namespace {
        errors.append(
          .invalid("spec.resourceAttributes.namespace", .string(namespace), "must match metadata.namespace"))
      }
      if hasPath {
        errors.append(
          .invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"], "disallowed on this kind of request"))
      }
    }
    return errors
  }

  private func user(_ spec: JSONValue, _ context: RequestContext) -> RequestUser {
    guard kind != .own else { return context.user }
    var extra: [String: [String]] = [:]
    for (key, values) in spec["extra"].object ?? JSONObject() { extra[key] = values.elements.compactMap(\.string) }
    return RequestUser(
      name: spec["user"].string ?? "", uid: spec["uid"].string ?? "",
      groups: spec["groups"].elements.compactMap(\.string), extra: extra)
  }

  private func attributes(_ spec: JSONValue, user: RequestUser) -> AuthorizationAttributes {
    let path = spec["nonResourceAttributes"]
    if !path.isNull {
      return AuthorizationAttributes(
        user: user, verb: path["verb"].string ?? "", isResourceRequest: false, path: path["path"].string ?? "")
    }
    let resource = spec["resourceAttributes"]
    return AuthorizationAttributes(
      user: user, verb: resource["verb"].string ?? "", namespace: resource["namespace"].string ?? "",
      apiGroup: resource["group"].string ?? "", apiVersion: resource["version"].string ?? "",
      resource: resource["resource"].string ?? "", subresource: resource["subresource"].string ?? "",
      name: resource["name"].string ?? "", fieldSelector: resource["fieldSelector"]["rawSelector"].string ?? "",
      labelSelector: resource["labelSelector"]["rawSelector"].string ?? "")
  }
}

/// SelfSubjectRulesReview: kubectl auth can-i --list.
public struct RulesReviewResource: ComputedResource {
  private let rbac: RBACAuthorizer
  public init(rbac: RBACAuthorizer) { self.rbac = rbac }

  public func create(_ object: JSONValue, context: RequestContext, objects: ObjectLookup) async throws(APIStatus)
    -> JSONValue
  {
    let namespace = object["spec"]["namespace"].string ?? ""
    guard !namespace.isEmpty else { throw .badRequest("no namespace on request") }
    var rules = rbac.currentPolicy.rules(for: context.user, namespace: namespace)
    if context.user.groups.contains("system:masters") {
      rules.insert(PolicyRule(verbs: ["*"], nonResourceURLs: ["*"]), at: 0)
      rules.insert(PolicyRule(verbs: ["*"], apiGroups: ["*"], resources: ["*"]), at: 0)
    }
    var answer = object
    answer["status"] = [
      "resourceRules": .array(rules.filter { $0.nonResourceURLs.isEmpty }.map(\.json)),
      "nonResourceRules": .array(rules.filter { !$0.nonResourceURLs.isEmpty }.map(\.json)),
      "incomplete": false,
    ]
    return answer
  }
}
