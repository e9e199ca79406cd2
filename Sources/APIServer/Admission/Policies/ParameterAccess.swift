// Nobody reads through a policy what he may not read himself: who names parameters must be able to get them.
import JSON
import Schema

/// Checks `paramKind` of policies and `paramRef` of bindings when they are written.
public struct ParameterAccess: ValidatingAdmission {
  public let name = "ParameterAccess"
  private let authorizer: any Authorizer

  public init(authorizer: any Authorizer) { self.authorizer = authorizer }

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    (resource == ValidatingAdmissionPolicies.policies || resource == ValidatingAdmissionPolicies.bindings)
      && subresource.isEmpty && (operation == .create || operation == .update)
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    if request.user.groups.contains("system:masters") { return .allowed }
    let (new, old) = (request.object["spec"], request.oldObject["spec"])
    let problem: FieldError?
    if request.resource == ValidatingAdmissionPolicies.policies {
      guard !new["paramKind"].isNull, new["paramKind"] != old["paramKind"] else { return .allowed }
      problem = await policy(new["paramKind"], request, objects)
    } else {
      guard !new["paramRef"].isNull, new["paramRef"] != old["paramRef"] || new["policyName"] != old["policyName"]
      else { return .allowed }
      problem = await binding(new, request, objects)
    }
    guard let problem else { return .allowed }
    throw .invalid(request.kind, request.object["metadata"]["name"].string ?? request.name, [problem])
  }

  private func policy(_ kind: JSONValue, _ request: AdmissionRequest, _ objects: ObjectLookup) async -> FieldError? {
    if await mayGet(kind, namespace: "*", name: "*", request, objects) { return nil }
    return .forbidden(
      "spec.paramKind",
      "user \(Self.text(request.user)) must have \"get\" permission on all objects of the referenced paramKind "
        + "(kind=\(kind["kind"].string ?? ""), apiVersion=\(kind["apiVersion"].string ?? ""))")
  }

  private func binding(_ spec: JSONValue, _ request: AdmissionRequest, _ objects: ObjectLookup) async -> FieldError? {
    let policy = objects.object(ValidatingAdmissionPolicies.policies, name: spec["policyName"].string ?? "") ?? .null
    let reference = spec["paramRef"]
    let isAllowed = await mayGet(
      policy["spec"]["paramKind"], namespace: reference["namespace"].string ?? "",
      name: reference["name"].string ?? "", request, objects)
    if isAllowed { return nil }
    return .forbidden(
      "spec.paramRef",
      "user \(Self.text(request.user)) does not have \"get\" permission on the object referenced by paramRef")
  }

  private func mayGet(
    _ kind: JSONValue, namespace: String, name: String, _ request: AdmissionRequest, _ objects: ObjectLookup
  ) async -> Bool {
    var attributes = AuthorizationAttributes(
      user: request.user, verb: "get", namespace: namespace, apiGroup: "*", apiVersion: "*", resource: "*", name: name)
    if !kind.isNull {
      let parsed = GroupVersionKind(apiVersion: kind["apiVersion"].string ?? "", kind: "")
      attributes.apiGroup = parsed.group
      attributes.apiVersion = parsed.version
      if let (resource, _) = PolicyParameters.resource(of: kind, objects) { attributes.resource = resource.resource }
    }
    return await authorizer.authorize(attributes).isAllowed
  }

  /// A user as the reference prints one.
  private static func text(_ user: RequestUser) -> String {
    let extra = user.extra.sorted { $0.key < $1.key }.map { "\($0.key):[\($0.value.joined(separator: " "))]" }
    return "&{\(user.name) \(user.uid) [\(user.groups.joined(separator: " "))] map[\(extra.joined(separator: " "))]}"
  }
}
