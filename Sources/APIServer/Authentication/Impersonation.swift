import HTTP
import Schema

/// Acting as somebody else: the Impersonate-* headers (spec/8 §8.1). Each part needs a permission of its own.
struct Impersonation {
  private var user: String?
  private var uid: String?
  private var groups: [String] = []
  private var extra: [String: [String]] = [:]

  init(_ headers: HTTPHeaders) {
    // Hardly anybody does: one look for every request, not one for each of the names.
    guard headers.fields.contains(where: { $0.name.utf8.starts(with: "impersonate-".utf8) }) else { return }
    user = headers["impersonate-user"]
    uid = headers["impersonate-uid"]
    groups = headers.values("impersonate-group")
    let prefix = "impersonate-extra-"
    for field in headers.fields where field.name.hasPrefix(prefix) {
      let key = Self.percentDecoded(field.name.dropFirst(prefix.count))
      extra[key, default: []].append(field.value)
    }
  }

  func apply(to original: RequestUser, authorizer: any Authorizer) async throws(APIStatus) -> RequestUser {
    guard let user else {
      guard uid == nil, groups.isEmpty, extra.isEmpty else {
        throw .badRequest("requested \(requested) without impersonating a user")
      }
      return original
    }
    for attributes in permissions(original, user) {
      let decision = await authorizer.authorize(attributes)
      guard decision.isAllowed else { throw attributes.forbidden(reason: decision.reason) }
    }
    return RequestUser(name: user, uid: uid ?? "", groups: effectiveGroups(user), extra: extra)
  }

  private var requested: String {
    if !groups.isEmpty { return "group" }
    return uid != nil ? "uid" : "extra"
  }

  private func permissions(_ original: RequestUser, _ user: String) -> [AuthorizationAttributes] {
    func permission(
      _ group: String, _ resource: String, _ name: String, namespace: String = "", subresource: String = ""
    )
      -> AuthorizationAttributes
    {
      AuthorizationAttributes(
        user: original, verb: "impersonate", namespace: namespace, apiGroup: group, apiVersion: "v1",
        resource: resource, subresource: subresource, name: name)
    }
    var all: [AuthorizationAttributes] = []
    if let (namespace, account) = Self.serviceAccount(user) {
      all.append(permission("", "serviceaccounts", account, namespace: namespace))
    } else {
      all.append(permission("", "users", user))
    }
    all += groups.map { permission("", "groups", $0) }
    for (key, values) in extra.sorted(by: { $0.key < $1.key }) {
      all += values.map { permission("authentication.k8s.io", "userextras", $0, subresource: key) }
    }
    if let uid { all.append(permission("authentication.k8s.io", "uids", uid)) }
    return all
  }

  private func effectiveGroups(_ user: String) -> [String] {
    var groups = groups
    if groups.isEmpty, let (namespace, _) = Self.serviceAccount(user) {
      groups = ["system:serviceaccounts", "system:serviceaccounts:\(namespace)"]
    }
    let (authenticated, unauthenticated) = ("system:authenticated", "system:unauthenticated")
    if groups.contains(unauthenticated) { return groups }
    // Whoever asks to be taken for one that is not known is.
    if user == "system:anonymous" { return groups + [unauthenticated] }
    return groups.contains(authenticated) ? groups : groups + [authenticated]
  }

  /// Extra keys travel as header names: what a name may not hold is percent-encoded.
  private static func percentDecoded(_ text: Substring) -> String {
    RequestTarget(parsing: "/" + text)?.segments.first ?? String(text)
  }

  /// Namespace and name of "system:serviceaccount:namespace:name".
  static func serviceAccount(_ user: String) -> (namespace: String, name: String)? {
    let parts = user.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "system", parts[1] == "serviceaccount" else { return nil }
    return (String(parts[2]), String(parts[3]))
  }
}
