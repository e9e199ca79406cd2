// The way to webhooks: connections that are kept, one pool for every place with its own trust.
import EventLoop
import HTTP
import Synchronization
import TLS

/// Where a webhook listens, and by which authorities its certificate must be signed.
public struct WebhookTarget: Hashable, Sendable {
  /// An address or a host name.
  public var host: String
  public var port: UInt16
  /// What the certificate must be good for.
  public var serverName: String
  /// PEM; empty: the operating system's authorities.
  public var authorityPEM: String
  /// Whatever the certificate says (`insecureSkipTLSVerify` of API services).
  public var acceptsAnyCertificate = false

  public init(host: String, port: UInt16, serverName: String, authorityPEM: String) {
    self.host = host
    self.port = port
    self.serverName = serverName
    self.authorityPEM = authorityPEM
  }
}

/// Sends requests to webhooks.
public protocol WebhookTransport: Sendable {
  /// `limit`: for all of the answer. One that comes byte by byte must not hold who waits for it.
  func send(_ request: HTTPRequest, to target: WebhookTarget, within limit: Duration) async throws -> HTTPResponse
}

/// Reaches nobody: a server that was given no loop to connect on.
public struct UnreachableWebhooks: WebhookTransport {
  public init() {}
  public func send(_ request: HTTPRequest, to target: WebhookTarget, within limit: Duration) async throws
    -> HTTPResponse
  {
    throw HTTPError.connectFailed("dial tcp \(target.host):\(target.port): connect: connection refused")
  }
}

/// Over TLS.
public final class WebhookConnections: WebhookTransport {
  /// Places with connections at one time; beyond that those of all others are closed.
  private static let clientsMaximum = 64

  private let loop: EventLoop
  private let identity: Identity?
  private let clients = Mutex<[WebhookTarget: HTTPClient]>([:])

  /// `identity`: what is shown to servers that ask (aggregated servers know their front proxy by it).
  public init(loop: EventLoop, identity: Identity? = nil) {
    self.loop = loop
    self.identity = identity
  }

  public func send(_ request: HTTPRequest, to target: WebhookTarget, within limit: Duration) async throws
    -> HTTPResponse
  {
    try await send(request, to: target, within: limit, isWhole: true)
  }

  /// `isWhole`: the limit is for all of the answer, else for its head.
  func send(
    _ request: HTTPRequest, to target: WebhookTarget, within limit: Duration, isWhole: Bool
  ) async throws -> HTTPResponse {
    try await client(target).send(request, within: limit, isWhole: isWhole)
  }

  /// Closes what is idle, the rest when it is done.
  func close() {
    let all = clients.withLock { clients in
      defer { clients = [:] }
      return Array(clients.values)
    }
    for client in all { client.close() }
  }

  private func client(_ target: WebhookTarget) throws -> HTTPClient {
    if let known = clients.withLock({ $0[target] }) { return known }
    let trust: TLSConfiguration.Trust =
      if target.acceptsAnyCertificate {
        .anything
      } else if target.authorityPEM.isEmpty {
        .system
      } else {
        .certificates(try Certificate.all(inPEM: target.authorityPEM))
      }
    // The newest version that others speak may be 1.2: webhooks are not ours.
    let tls = try TLSConfiguration.client(trust: trust, identity: identity, minimumVersion: .tls12)
    let client = HTTPClient(
      loop: loop, endpoint: .ip(target.host, port: target.port), tls: tls, serverName: target.serverName)
    let surplus: [HTTPClient] = clients.withLock { clients in
      var surplus: [HTTPClient] = []
      if clients.count >= Self.clientsMaximum {
        surplus = Array(clients.values)
        clients = [:]
      }
      clients[target] = client
      return surplus
    }
    for client in surplus { client.close() }
    return client
  }
}
