// Who this server is to the servers behind it: a client certificate of an authority that they trust for nothing else.
// The authority is the cluster's own, kept in a Secret, so that all servers show certificates of the same one.
import EventLoop
import HTTP
import JSON
import Replica
import Schema
import Synchronization
import TLS
import World

/// Sends requests to aggregated servers.
public protocol AggregationTransport: Sendable {
  /// `isWhole`: the limit is for all of the answer, else for its head: what is passed on may go on for hours.
  /// `authority`: the Secret of the front proxy's authority, if there is one.
  func send(
    _ request: HTTPRequest, to target: WebhookTarget, within limit: Duration, isWhole: Bool, authority: StoredObject?
  ) async throws -> HTTPResponse
}

/// Reaches nobody.
public struct UnreachableAPIs: AggregationTransport {
  public init() {}
  public func send(
    _ request: HTTPRequest, to target: WebhookTarget, within limit: Duration, isWhole: Bool, authority: StoredObject?
  ) async throws -> HTTPResponse {
    throw HTTPError.connectFailed("dial tcp \(target.host):\(target.port): connect: connection refused")
  }
}

/// The front proxy's authority, as the cluster keeps it.
public enum FrontProxyAuthority {
  /// What the certificates of the servers say; extension servers are told to accept no other.
  public static let commonName = "front-proxy-client"
  static let secret = ObjectKey(resource: "secrets", namespace: "kube-system", name: "front-proxy-ca")
  private static let lifetime = Duration.seconds(10 * 365 * 86_400)

  /// The Secret of a new authority.
  static func newSecret(now: WallTime) throws(TLSError) -> JSONValue {
    let authority = try CertificateAuthority.generate(commonName: "front-proxy-ca", lifetime: lifetime, now: now)
    func encoded(_ text: String) -> JSONValue { .string(Base64.encode(Array(text.utf8))) }
    return [
      "kind": "Secret", "apiVersion": "v1", "type": "kubernetes.io/tls",
      "metadata": ["name": .string(secret.name), "namespace": .string(secret.namespace)],
      "data": ["tls.crt": encoded(authority.certificate.pem), "tls.key": encoded(authority.privateKey.pem)],
    ]
  }

  static func certificatePEM(_ secret: JSONValue) -> String? { text("tls.crt", secret) }

  private static func text(_ name: String, _ secret: JSONValue) -> String? {
    (try? Base64.decode(secret["data"][name].string ?? "")).map { String(decoding: $0, as: UTF8.self) }
  }

  static func authority(_ secret: StoredObject) throws -> CertificateAuthority {
    let tree = secret.tree
    return try CertificateAuthority(
      certificatePEM: text("tls.crt", tree) ?? "", privateKeyPEM: text("tls.key", tree) ?? "")
  }
}

/// Over TLS, showing the front proxy's certificate.
public final class FrontProxyConnections: AggregationTransport {
  private struct State {
    var authority: Revision?
    var connections: WebhookConnections
    var expires: WallTime?
  }
  private static let lifetime = Duration.seconds(30 * 86_400)

  private let loop: EventLoop
  private let state: Mutex<State>

  public init(loop: EventLoop) {
    self.loop = loop
    state = Mutex(State(connections: WebhookConnections(loop: loop)))
  }

  public func send(
    _ request: HTTPRequest, to target: WebhookTarget, within limit: Duration, isWhole: Bool, authority: StoredObject?
  ) async throws -> HTTPResponse {
    try await connections(authority).send(request, to: target, within: limit, isWhole: isWhole)
  }

  /// Those with a certificate of this authority; a new certificate is made when half of its time is over.
  private func connections(_ secret: StoredObject?) throws -> WebhookConnections {
    let now = loop.wallClock
    return try state.withLock { state in
      if state.authority == secret?.revision, state.expires.map({ now < $0 }) ?? true { return state.connections }
      guard let secret else { return state.connections }
      let identity = try FrontProxyAuthority.authority(secret).issue(
        CertificateTemplate(
          commonName: FrontProxyAuthority.commonName, usages: [.clientAuthentication], lifetime: Self.lifetime),
        now: now)
      let former = state.connections
      state = State(
        authority: secret.revision, connections: WebhookConnections(loop: loop, identity: identity),
        expires: now + Self.lifetime / 2)
      former.close()
      return state.connections
    }
  }
}
