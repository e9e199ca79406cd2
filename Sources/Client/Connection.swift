// From a kubeconfig, or from addresses and certificates, to a transport.
import EventLoop
import HTTP
import Logging
import TLS

/// What a client shows and trusts.
public struct ClientCredentials: Sendable {
  public var tls: TLSConfiguration
  /// Sent as a bearer token where there is no certificate.
  public var token: String

  public init(tls: TLSConfiguration, token: String = "") {
    self.tls = tls
    self.token = token
  }

  public init(_ kubeconfig: Kubeconfig) throws {
    let identity =
      kubeconfig.clientCertificatePEM.isEmpty
      ? nil
      : try Identity(certificatePEM: kubeconfig.clientCertificatePEM, privateKeyPEM: kubeconfig.clientKeyPEM)
    tls = try .client(
      trust: .certificates(try Certificate.all(inPEM: kubeconfig.certificateAuthorityPEM)), identity: identity)
    token = kubeconfig.token
  }
}

/// Adds the bearer token to requests, if there is one.
struct AuthorizedTransport: HTTPTransport {
  let base: any HTTPTransport
  let token: String

  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    guard !token.isEmpty else { return try await base.send(request) }
    var request = request
    request.headers["authorization"] = "Bearer \(token)"
    return try await base.send(request)
  }
}

extension BalancedTransport {
  /// A balancer over servers given as "host:port".
  public convenience init(servers: [String], credentials: ClientCredentials, loop: EventLoop) {
    self.init(servers: servers, world: loop) { address in
      guard let endpoint = Address(address) else { return UnreachableTransport(address: address) }
      let host = String(address[..<(address.lastIndex(of: ":") ?? address.endIndex)])
      let name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
      return AuthorizedTransport(
        base: HTTPClient(loop: loop, endpoint: endpoint, tls: credentials.tls, serverName: name),
        token: credentials.token)
    }
  }
}

/// Stands for an address that cannot be one.
private struct UnreachableTransport: HTTPTransport {
  let address: String
  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    throw HTTPError.connectFailed("\"\(address)\" is no address of the form host:port")
  }
}
