// The seams of authentication and authorization: who asks, and may they. Mechanism stands behind the protocols.
import HTTP
import JSON
import Schema

/// Finds out who asks. Impersonation is part of it: the user returned is the one the request acts as.
public protocol Authenticator: Sendable {
  /// The user of the request with every group, system:authenticated or system:unauthenticated included.
  /// Throws 401 for credentials that are wrong, 403 for an impersonation that is not allowed.
  func authenticate(_ request: HTTPRequest) async throws(APIStatus) -> RequestUser
}

/// What an authorizer decides about.
public struct AuthorizationAttributes: Sendable {
  public var user: RequestUser
  /// "get", "list", "create", …; for paths that are no resources the method in lower case.
  public var verb: String
  public var isResourceRequest: Bool
  public var namespace: String
  public var apiGroup: String
  public var apiVersion: String
  public var resource: String
  public var subresource: String
  public var name: String
  /// The path of a request that is not for a resource.
  public var path: String
  /// As the client sent them, for authorizers that look at selectors (nodes may list only their own pods).
  public var fieldSelector: String
  public var labelSelector: String

  public init(
    user: RequestUser, verb: String, isResourceRequest: Bool = true, namespace: String = "", apiGroup: String = "",
    apiVersion: String = "", resource: String = "", subresource: String = "", name: String = "", path: String = "",
    fieldSelector: String = "", labelSelector: String = ""
  ) {
    self.user = user
    self.verb = verb
    self.isResourceRequest = isResourceRequest
    self.namespace = namespace
    self.apiGroup = apiGroup
    self.apiVersion = apiVersion
    self.resource = resource
    self.subresource = subresource
    self.name = name
    self.path = path
    self.fieldSelector = fieldSelector
    self.labelSelector = labelSelector
  }

  /// The 403 that a refusal becomes (spec/8 §8.3).
  public func forbidden(reason: String = "") -> APIStatus {
    let why = reason.isEmpty ? "" : ": \(reason)"
    let who = "User \(Self.quoted(user.name)) cannot \(verb)"
    guard isResourceRequest else {
      return .generic(
        code: 403, reason: "Forbidden",
        message: "forbidden: " + Self.harmless("\(who) path \(Self.quoted(path))") + why)
    }
    let part = Self.quoted(subresource.isEmpty ? resource : "\(resource)/\(subresource)")
    let place = namespace.isEmpty ? "at the cluster scope" : "in the namespace \(Self.quoted(namespace))"
    return .forbidden(
      GroupResource(group: apiGroup, resource: resource), name,
      Self.harmless("\(who) resource \(part) in API group \(Self.quoted(apiGroup)) \(place)") + why)
  }

  private static func quoted(_ text: String) -> String { JSONValue.string(text).description }

  /// A browser that is shown the message finds no HTML in it.
  private static func harmless(_ text: String) -> String {
    guard text.utf8.contains(where: { [0x26, 0x3c, 0x3e].contains($0) }) else { return text }
    return text.map { $0 == "&" ? "&amp;" : $0 == "<" ? "&lt;" : $0 == ">" ? "&gt;" : String($0) }.joined()
  }
}

public enum AuthorizationDecision: Sendable, Hashable {
  case allow(reason: String = "")
  case deny(reason: String = "")
  /// The next authorizer is asked; the end of the chain denies.
  case noOpinion(reason: String = "")

  public var isAllowed: Bool { if case .allow = self { true } else { false } }
  public var reason: String {
    switch self {
    case .allow(let reason), .deny(let reason), .noOpinion(let reason): reason
    }
  }
}

/// Decides whether a user may do something. Must not block; it is asked on the loop of the connection.
public protocol Authorizer: Sendable {
  func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision
}

/// Believes in-process callers and, failing that, takes everybody for the user it was made with. For tests.
public struct FixedAuthenticator: Authenticator {
  public var user: RequestUser
  public init(
    user: RequestUser = RequestUser(name: "system:admin", groups: ["system:masters", "system:authenticated"])
  ) {
    self.user = user
  }
  public func authenticate(_ request: HTTPRequest) async throws(APIStatus) -> RequestUser {
    guard let trusted = request.trusted else { return user }
    return RequestUser(name: trusted.user, groups: trusted.groups + ["system:authenticated"])
  }
}

/// Allows everything. For tests.
public struct AlwaysAllow: Authorizer {
  public init() {}
  public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision { .allow() }
}
