// Who asks: in-process loops, client certificates, bearer tokens, in this order; else nobody (spec/8 §8.1).
import HTTP
import Replica
import Schema
import TLS
import World

/// The authenticators of a server in their order, and impersonation.
public struct RequestAuthenticator: Authenticator {
  /// Paths where nobody is somebody: load balancers ask them, and kubectl chooses its version by the last.
  private static let anonymousPaths = HealthAuthorizer.paths.union(["/version"])

  private let store: any ObjectStore
  private let tokens: ServiceAccountTokens
  private let others: TokenAuthenticators
  private let authorizer: any Authorizer
  private let wallClock: @Sendable () -> WallTime

  /// `others`: asked for tokens that are not the cluster's own, in their order.
  public init(
    store: any ObjectStore, tokens: ServiceAccountTokens, others: [any TokenAuthenticator] = [],
    authorizer: any Authorizer, wallClock: @escaping @Sendable () -> WallTime
  ) {
    self.store = store
    self.tokens = tokens
    self.others = TokenAuthenticators(all: others)
    self.authorizer = authorizer
    self.wallClock = wallClock
  }

  public func authenticate(_ request: HTTPRequest) async throws(APIStatus) -> RequestUser {
    let user = try await identify(request)
    AuditRecord.current?.authenticated(as: user)
    return try await Impersonation(request.headers).apply(to: user, authorizer: authorizer)
  }

  private func identify(_ request: HTTPRequest) async throws(APIStatus) -> RequestUser {
    if let trusted = request.trusted {
      return RequestUser(name: trusted.user, groups: trusted.groups + ["system:authenticated"])
    }
    if let peer = request.peer, !peer.commonName.isEmpty {
      return RequestUser(
        name: peer.commonName, groups: peer.organizations + ["system:authenticated"],
        extra: ["authentication.kubernetes.io/credential-id": ["X509SHA256=\(peer.fingerprint)"]])
    }
    if let token = Self.bearerToken(request.headers) { return try await user(ofToken: token) }
    guard request.headers["authorization"] == nil else { throw .unauthorized }
    let path = request.target.prefix { $0 != "?" }
    let isPublic =
      Self.anonymousPaths.contains(String(path)) || path.hasPrefix("/livez/") || path.hasPrefix("/readyz/")
    guard isPublic else { throw .unauthorized }
    return RequestUser(name: "system:anonymous", groups: ["system:unauthenticated"])
  }

  private func user(ofToken token: String) async throws(APIStatus) -> RequestUser {
    let now = wallClock()
    if let user = BootstrapTokens.user(of: token, now: now, state: store.current) { return user }
    do throws(ServiceAccountTokens.Refusal) {
      return try tokens.verify(
        token, audiences: [ServiceAccountTokens.issuer], now: now, state: store.current
      ).user
    } catch {
      switch error {
      case .foreign: return try await foreignUser(ofToken: token, now)
      // What it is bound to may have been made through another server a moment ago.
      case .objectGone: break
      default: throw .unauthorized
      }
    }
    do {
      let state = try await store.linearizableState()
      return try tokens.verify(token, audiences: [ServiceAccountTokens.issuer], now: now, state: state).user
    } catch {
      throw .unauthorized
    }
  }

  private func foreignUser(ofToken token: String, _ now: WallTime) async throws(APIStatus) -> RequestUser {
    let verdict = await others.verdict(on: token, audiences: [ServiceAccountTokens.issuer], now: now)
    guard case .user(let user, _) = verdict else { throw .unauthorized }
    return user
  }

  /// From the Authorization header, or from a WebSocket's subprotocol, where browsers cannot set headers.
  static func bearerToken(_ headers: HTTPHeaders) -> String? {
    if let value = headers["authorization"] {
      let parts = value.split(separator: " ", maxSplits: 1)
      guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
      return String(parts[1].drop { $0 == " " })
    }
    let prefix = "base64url.bearer.authorization.k8s.io."
    for value in headers.values("sec-websocket-protocol") {
      for part in value.split(separator: ",") {
        let name = part.drop { $0 == " " }
        guard name.hasPrefix(prefix), let bytes = Crypto.decodeBase64URL(name.dropFirst(prefix.count)) else { continue }
        return String(decoding: bytes, as: UTF8.self)
      }
    }
    return nil
  }
}
