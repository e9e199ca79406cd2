// The parameters a binding gives to its policy.
import JSON
import Kinds
import Replica
import Schema

struct PolicyParameters {
  struct Problem: Error {
    let message: String
    /// The policy is wrong, not the binding.
    var isOfPolicy = false
  }

  let policy: CompiledPolicy
  let request: AdmissionRequest
  let objects: ObjectLookup

  /// The parameters, `.null` where the policy runs without; none when there is nothing to do.
  func find(for binding: PolicyBinding) -> Result<[JSONValue], Problem> {
    guard !policy.paramKind.isNull else { return .success([.null]) }
    guard let (resource, isNamespaced) = Self.resource(of: policy.paramKind, objects) else {
      let kind = policy.paramKind["kind"].string ?? ""
      let version = policy.paramKind["apiVersion"].string ?? ""
      let message =
        "failed to configure policy: failed to find resource referenced by paramKind: '\(version), Kind=\(kind)'"
      return .failure(Problem(message: message, isOfPolicy: true))
    }
    let reference = binding.paramReference
    guard !reference.isNull else { return .success([.null]) }
    var namespace = reference["namespace"].string ?? ""
    if isNamespaced {
      if namespace.isEmpty { namespace = request.namespace }
      if namespace.isEmpty {
        return configuration("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
      }
    } else if !namespace.isEmpty {
      return configuration("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    }
    let found = parameters(resource, namespace, reference)
    if found.isEmpty, reference["parameterNotFoundAction"].string != "Allow" {
      return configuration("no params found for policy binding with `Deny` parameterNotFoundAction")
    }
    return .success(found)
  }

  private func configuration(_ why: String) -> Result<[JSONValue], Problem> {
    .failure(Problem(message: "failed to configure binding: \(why)"))
  }

  private func parameters(_ resource: GroupResource, _ namespace: String, _ reference: JSONValue) -> [JSONValue] {
    if let name = reference["name"].string, !name.isEmpty {
      return objects.object(resource, namespace: namespace, name: name).map { [$0] } ?? []
    }
    guard let selector = try? LabelSelector(reference["selector"]) else { return [] }
    return objects.stored(resource, namespace: namespace).filter { selector.matches($0.labels) }.map(\.tree)
  }

  /// The resource of `paramKind`, built in or defined.
  static func resource(of paramKind: JSONValue, _ objects: ObjectLookup) -> (GroupResource, isNamespaced: Bool)? {
    let version = paramKind["apiVersion"].string ?? ""
    let kind = paramKind["kind"].string ?? ""
    if let builtIn = KindRegistry.builtIn.kind(apiVersion: version, kind: kind) {
      return (builtIn.groupResource, builtIn.isNamespaced)
    }
    let group = String(version.prefix { $0 != "/" })
    let definitions = GroupResource(group: "apiextensions.k8s.io", resource: "customresourcedefinitions")
    for stored in objects.stored(definitions) where stored.key.name.hasSuffix(".\(group)") {
      let spec = stored.tree["spec"]
      guard spec["group"].string == group, spec["names"]["kind"].string == kind,
        let plural = spec["names"]["plural"].string
      else { continue }
      return (GroupResource(group: group, resource: plural), spec["scope"].string != "Cluster")
    }
    return nil
  }
}
