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
    var errors = validate(spec, context)
    checkMetadata(object["metadata"], &errors)
    // The reference has lost the kind when it comes to tell what is wrong.
    let kind = GroupVersionKind(group: "authorization.k8s.io", version: "v1", kind: "")
    guard errors.isEmpty else { throw .invalid(kind, "", errors) }
    var problems: [String] = []
    let decision = await authorizer.authorize(attributes(spec, user: user(spec, context), &problems))
    var status: JSONValue = ["allowed": .bool(decision.isAllowed)]
    if case .deny = decision { status["denied"] = true }
    if !decision.reason.isEmpty { status["reason"] = .string(decision.reason) }
    if !problems.isEmpty { status["evaluationError"] = .string(problems.joined(separator: "; ")) }
    var answer = object
    answer["status"] = status
    return answer
  }

  private func validate(_ spec: JSONValue, _ context: RequestContext) -> [FieldError] {
    var errors: [FieldError] = []
    let (resource, path) = (spec["resourceAttributes"], spec["nonResourceAttributes"])
    if !resource.isNull && !path.isNull {
      errors.append(
        pathError(path, "cannot be specified in combination with resourceAttributes"))
    }
    if resource.isNull && path.isNull {
      errors.append(
        .invalid(
          "spec.resourceAttributes", "null",
          "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
    }
    for name in ["fieldSelector", "labelSelector"] where !resource[name].isNull {
      validate(selector: resource[name], "spec.resourceAttributes.\(name)", &errors)
    }
    if kind != .own, (spec["user"].string ?? "").isEmpty, spec["groups"].elements.isEmpty {
      errors.append(.invalid("spec.user", "", "at least one of user or group must be specified"))
    }
    if kind == .local {
      let namespace = resource["namespace"].string ?? ""
      if !resource.isNull, namespace != context.namespace {
        errors.append(
          .invalid("spec.resourceAttributes.namespace", .string(namespace), "must match metadata.namespace"))
      }
      if !path.isNull { errors.append(pathError(path, "disallowed on this kind of request")) }
    }
    return errors
  }

  private func pathError(_ path: JSONValue, _ why: String) -> FieldError {
    let (text, verb) = (path["path"].string ?? "", path["verb"].string ?? "")
    let value =
      "authorization.NonResourceAttributes{Path:\(JSONValue.string(text)), Verb:\(JSONValue.string(verb))}"
    return FieldError(.invalid, field: "spec.nonResourceAttributes", message: "Invalid value: \(value): \(why)")
  }

  /// Requirements or a text, not both; operators that are not known yet may come from newer clients.
  private func validate(selector: JSONValue, _ place: String, _ errors: inout [FieldError]) {
    let raw = selector["rawSelector"].string ?? ""
    let requirements = selector["requirements"].elements
    if !raw.isEmpty, !requirements.isEmpty {
      errors.append(
        .invalid("\(place).rawSelector", .string(raw), "may not specified at the same time as requirements"))
    }
    if raw.isEmpty, requirements.isEmpty {
      errors.append(
        .required(
          "\(place).requirements", "when \(place) is specified, requirements or rawSelector is required"))
    }
    for (index, requirement) in requirements.enumerated() {
      let field = "\(place).requirements[\(index)]"
      if (requirement["key"].string ?? "").isEmpty { errors.append(.required("\(field).key", "must be specified")) }
      let hasValues = !requirement["values"].elements.isEmpty
      switch requirement["operator"].string {
      case "In", "NotIn":
        if !hasValues {
          errors.append(.required("\(field).values", "must be specified when `operator` is 'In' or 'NotIn'"))
        }
      case "Exists", "DoesNotExist":
        if hasValues {
          errors.append(
            .forbidden("\(field).values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
        }
      default: break
      }
    }
  }

  private func checkMetadata(_ metadata: JSONValue, _ errors: inout [FieldError]) {
    let allowed: Set<String> = kind == .local ? ["namespace", "managedFields"] : ["managedFields"]
    let isEmpty = (metadata.object ?? [:]).allSatisfy { member in
      allowed.contains(member.key) || member.value.isNull || member.value == "" || member.value == [:]
        || member.value == []
    }
    if isEmpty { return }
    errors.append(
      .invalid("metadata", metadata, kind == .local ? "must be empty except for namespace" : "must be empty"))
  }

  private func user(_ spec: JSONValue, _ context: RequestContext) -> RequestUser {
    guard kind != .own else { return context.user }
    var extra: [String: [String]] = [:]
    for (key, values) in spec["extra"].object ?? JSONObject() { extra[key] = values.elements.compactMap(\.string) }
    return RequestUser(
      name: spec["user"].string ?? "", uid: spec["uid"].string ?? "",
      groups: spec["groups"].elements.compactMap(\.string), extra: extra)
  }

  /// `problems`: what of the selectors could not be understood and is left out, which asks for more than was wanted.
  private func attributes(
    _ spec: JSONValue, user: RequestUser, _ problems: inout [String]
  ) -> AuthorizationAttributes {
    let path = spec["nonResourceAttributes"]
    if !path.isNull {
      return AuthorizationAttributes(
        user: user, verb: path["verb"].string ?? "", isResourceRequest: false, path: path["path"].string ?? "")
    }
    let resource = spec["resourceAttributes"]
    var attributes = AuthorizationAttributes(
      user: user, verb: resource["verb"].string ?? "", namespace: resource["namespace"].string ?? "",
      apiGroup: resource["group"].string ?? "", apiVersion: resource["version"].string ?? "",
      resource: resource["resource"].string ?? "", subresource: resource["subresource"].string ?? "",
      name: resource["name"].string ?? "")
    if attributes.apiVersion.isEmpty { attributes.apiVersion = "*" }
    let fields = SelectorAttributes(resource["fieldSelector"], ofFields: true)
    let labels = SelectorAttributes(resource["labelSelector"], ofFields: false)
    attributes.fieldSelector = fields.text
    attributes.labelSelector = labels.text
    for (selector, name) in [(fields, "fieldSelector"), (labels, "labelSelector")] where selector.isIncomplete {
      let extent = selector.text.isEmpty ? "ignored" : "partially ignored"
      problems.append("spec.resourceAttributes.\(name) \(extent) due to parse error")
    }
    return attributes
  }
}

/// A selector of a review as the text that requests carry.
private struct SelectorAttributes {
  private(set) var text = ""
  /// Something of it was not understood.
  private(set) var isIncomplete = false

  init(_ selector: JSONValue, ofFields: Bool) {
    let raw = selector["rawSelector"].string ?? ""
    if !raw.isEmpty {
      let isGood = ofFields ? (try? FieldSelector(parsing: raw)) != nil : (try? LabelSelector(parsing: raw)) != nil
      text = isGood ? raw : ""
      isIncomplete = !isGood
      return
    }
    let all = selector["requirements"].elements
    let terms = all.compactMap { ofFields ? Self.field($0) : Self.label($0) }
    text = terms.joined(separator: ",")
    isIncomplete = terms.count < all.count
  }

  private static func field(_ requirement: JSONValue) -> String? {
    let values = requirement["values"].elements.compactMap(\.string)
    let name = requirement["operator"].string
    guard values.count == 1, let key = requirement["key"].string, name == "In" || name == "NotIn" else { return nil }
    let requirement = FieldSelector.Requirement(field: key, isNegated: name == "NotIn", value: values[0])
    return FieldSelector(requirements: [requirement]).description
  }

  private static func label(_ requirement: JSONValue) -> String? {
    let operators: [String: LabelSelector.Operator] = [
      "In": .in, "NotIn": .notIn, "Exists": .exists, "DoesNotExist": .doesNotExist,
    ]
    guard let name = operators[requirement["operator"].string ?? ""] else { return nil }
    let made = try? LabelSelector.Requirement(
      key: requirement["key"].string ?? "", operator: name,
      values: requirement["values"].elements.compactMap(\.string))
    return made?.description
  }
}

/// SelfSubjectRulesReview: kubectl auth can-i --list.
public struct RulesReviewResource: ComputedResource {
  private let rbac: RBACAuthorizer?
  private let hasNodes: Bool
  private let hasWebhooks: Bool

  /// `rbac`: nil where roles count for nothing. `hasNodes`, `hasWebhooks`: these decide too, and cannot be asked for all
  /// they allow.
  public init(rbac: RBACAuthorizer?, hasNodes: Bool, hasWebhooks: Bool) {
    self.rbac = rbac
    self.hasNodes = hasNodes
    self.hasWebhooks = hasWebhooks
  }

  public func create(_ object: JSONValue, context: RequestContext, objects: ObjectLookup) async throws(APIStatus)
    -> JSONValue
  {
    let namespace = object["spec"]["namespace"].string ?? ""
    guard !namespace.isEmpty else { throw .badRequest("no namespace on request") }
    var rules = rbac?.currentPolicy.rules(for: context.user, namespace: namespace) ?? []
    if context.user.groups.contains("system:masters") {
      // Also where the store holds no roles yet.
      for rule in [PolicyRule(verbs: ["*"], nonResourceURLs: ["*"]), PolicyRule.everything] where !rules.contains(rule)
      {
        rules.insert(rule, at: 0)
      }
    }
    var silent: [String] = []
    if hasNodes, NodeAuthorizer.nodeName(context.user) != nil { silent.append("node") }
    if hasWebhooks { silent.append("webhook") }
    let unresolved = rbac?.currentPolicy.problem(for: context.user, namespace: namespace)
    let problem = RBACPolicy.joined(
      silent.map { "\($0) authorizer does not support user rule resolution" } + [unresolved].compactMap { $0 })
    var status: JSONValue = [
      "resourceRules": .array(rules.filter { !$0.resources.isEmpty }.map(\.resourceJSON)),
      "nonResourceRules": .array(rules.filter { !$0.nonResourceURLs.isEmpty }.map(\.pathJSON)),
      "incomplete": .bool(!silent.isEmpty),
    ]
    if let problem { status["evaluationError"] = .string(problem) }
    // The answer tells nothing of what was asked, as in the reference.
    return [
      "kind": object["kind"], "apiVersion": object["apiVersion"], "metadata": ["creationTimestamp": .null], "spec": [:],
      "status": status,
    ]
  }
}

extension PolicyRule {
  fileprivate static let everything = PolicyRule(verbs: ["*"], apiGroups: ["*"], resources: ["*"])

  private static func list(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }

  /// authorization.k8s.io ResourceRule.
  fileprivate var resourceJSON: JSONValue {
    var value: JSONValue = ["verbs": Self.list(verbs)]
    if !apiGroups.isEmpty { value["apiGroups"] = Self.list(apiGroups) }
    if !resources.isEmpty { value["resources"] = Self.list(resources) }
    if !resourceNames.isEmpty { value["resourceNames"] = Self.list(resourceNames) }
    return value
  }
  /// authorization.k8s.io NonResourceRule.
  fileprivate var pathJSON: JSONValue {
    ["verbs": Self.list(verbs), "nonResourceURLs": Self.list(nonResourceURLs)]
  }
}
