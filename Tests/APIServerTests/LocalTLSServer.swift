// A server of others: its own authority, its own certificate, real TLS on a loopback port.
import EventLoop
import HTTP
import TLS
import World

final class LocalTLSServer: Sendable {
  let authority: CertificateAuthority
  let port: UInt16
  private let server: HTTPServer
  private let loop: EventLoop

  private struct Handler: HTTPHandler {
    let body: @Sendable (HTTPRequest) async -> HTTPResponse
    func respond(to request: HTTPRequest) async -> HTTPResponse { await body(request) }
  }

  /// `dnsNames`, `ipAddresses`: what its certificate is good for.
  init(
    dnsNames: [String] = ["localhost"], ipAddresses: [String] = ["127.0.0.1"],
    _ handler: @escaping @Sendable (HTTPRequest) async -> HTTPResponse
  ) async throws {
    let now = testLoop.wallClock
    authority = try CertificateAuthority.generate(commonName: "somebody else", lifetime: .seconds(3600), now: now)
    let identity = try authority.issue(
      CertificateTemplate(
        commonName: "somebody", dnsNames: dnsNames, ipAddresses: ipAddresses, usages: [.serverAuthentication],
        lifetime: .seconds(3600)), now: now)
    loop = EventLoop.start(name: "somebody")
    server = HTTPServer(
      loops: [loop], address: .ip("127.0.0.1", port: 0),
      tls: try .server(identity: identity, protocols: ["h2", "http/1.1"], minimumVersion: .tls12),
      handler: Handler(body: handler))
    port = try await server.start().port
  }

  var authorityPEM: String { authority.certificate.pem }
  var url: String { "https://127.0.0.1:\(port)" }

  func stop() async {
    await server.shutdown(deadline: .milliseconds(100))
    loop.stop()
    loop.join()
  }
}
