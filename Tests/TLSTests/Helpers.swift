import EventLoop
import LoopSupport
import TLS
import World

/// One side of a TLS connection under test; used on its loop only.
final class Side: @unchecked Sendable {
  var transport: (any Stream)?
  var stream: TLSStream?
  var result: Result<TLSHandshake, TLSError>?
  let handler = RecordingHandler()

  var handshake: TLSHandshake? { try? result?.get() }
  var error: TLSError? {
    if case .failure(let error)? = result { error } else { nil }
  }

  func finish(_ result: Result<TLSHandshake, TLSError>) {
    precondition(self.result == nil, "a handshake ends once")
    self.result = result
    if case .success = result { stream?.handler = handler }
  }
}

/// A TLS client and server joined by a loopback connection.
final class Pair: @unchecked Sendable {
  let loop: EventLoop
  var listener: StreamListener?
  let server = Side()
  let client = Side()

  init(loop: EventLoop) { self.loop = loop }

  /// Connects, and lets both sides shake hands until both know how it ended.
  static func made(
    on loop: EventLoop, server: TLSConfiguration, client: TLSConfiguration, name: String? = "localhost"
  ) async throws -> Pair {
    let pair = try await listening(on: loop, server: server)
    try await loop.run {
      StreamConnector.connect(to: pair.listener!.localAddress, on: loop, deadline: .seconds(10)) { result in
        guard let transport = try? result.get() else { return }
        pair.client.transport = transport
        pair.client.stream = TLSStream(client: client, over: transport, serverName: name) { pair.client.finish($0) }
      }
    }
    try await loop.wait { pair.client.result != nil && pair.server.result != nil }
    return pair
  }

  /// A server that waits for one client.
  static func listening(
    on loop: EventLoop, server: TLSConfiguration, deadline: Duration = .seconds(10)
  ) async throws -> Pair {
    let pair = Pair(loop: loop)
    try await loop.run {
      pair.listener = try StreamListener(loop: loop, address: .ip("127.0.0.1", port: 0)) { transport, _ in
        pair.server.transport = transport
        pair.server.stream = TLSStream(server: server, over: transport, handshakeDeadline: deadline) {
          pair.server.finish($0)
        }
      }
    }
    return pair
  }
}

/// Authorities and certificates around the real time, which OpenSSL asks the system for.
struct Papers: Sendable {
  let now: WallTime
  let authority: CertificateAuthority
  let stranger: CertificateAuthority

  init(now: WallTime) throws {
    self.now = now
    authority = try .generate(commonName: "cluster-ca", lifetime: .seconds(86_400), now: now)
    stranger = try .generate(commonName: "stranger-ca", lifetime: .seconds(86_400), now: now)
  }

  func server(lifetime: Duration = .seconds(3600)) throws -> Identity {
    try authority.issue(
      CertificateTemplate(
        commonName: "server", dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"], usages: [.serverAuthentication],
        lifetime: lifetime), now: now)
  }

  func client(
    by authority: CertificateAuthority? = nil, usages: [ExtendedKeyUsage] = [.clientAuthentication],
    issued: WallTime? = nil
  ) throws -> Identity {
    try (authority ?? self.authority).issue(
      CertificateTemplate(
        commonName: "alice", organizations: ["dev", "ops"], usages: usages, lifetime: .seconds(60)),
      now: issued ?? now)
  }

  func serverConfiguration(protocols: [String] = []) throws -> TLSConfiguration {
    try .server(identity: server(), clientTrust: [authority.certificate], protocols: protocols)
  }

  func clientConfiguration(identity: Identity? = nil, protocols: [String] = []) throws -> TLSConfiguration {
    try .client(trust: .certificates([authority.certificate]), identity: identity, protocols: protocols)
  }
}
