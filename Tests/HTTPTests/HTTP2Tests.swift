// What only HTTP/2 has: windows, pings, GOAWAY, header lists.
import EventLoop
import LoopSupport
import TLS
import Testing

@testable import HTTP

@Suite struct HTTP2Tests {
  @Test func aHeaderListBeyondTheLimitIsAnswered() async throws {
    let server = try await TestServer.start(tls: ["h2"]) { _ in .text("ok") }
    let client = try server.client()
    var headers = HTTPHeaders()
    // Little on the wire, much by the count of RFC 9113 §6.5.2.
    for _ in 0..<600 { headers.add("x-again", String(repeating: "v", count: 80)) }
    let response = try await client.send(HTTPRequest(method: "GET", target: "/", headers: headers))
    #expect(response.status == 431)
    #expect(String(decoding: try await response.body.collect(), as: UTF8.self).contains("limit is 65536 bytes"))
    // More than can be sent at all is an error, not silence.
    let huge: HTTPHeaders = ["x-huge": String(repeating: "\u{1}\u{2}", count: 100_000)]
    await #expect(throws: HTTPError.self) {
      _ = try await client.send(HTTPRequest(method: "GET", target: "/", headers: huge))
    }
    client.close()
    await server.stop()
  }

  @Test func aReaderThatKeepsItsWindowShutLosesItsStream() async throws {
    var limits = HTTPLimits()
    limits.writeStallTime = .milliseconds(200)
    let server = try await TestServer.start(tls: ["h2"], limits: limits) { request in
      request.target == "/quick"
        ? .text("ok") : HTTPResponse(status: 200, body: .bytes([UInt8](repeating: 1, count: 8 << 20)))
    }
    let client = try server.client()
    let response = try await client.send(HTTPRequest(method: "GET", target: "/"))
    try await eventually("the stream lives on") { server.events.texts.contains { $0.contains("stream took none of") } }
    await #expect(throws: HTTPError.self) { try await response.body.collect() }
    let quick = try await client.send(HTTPRequest(method: "GET", target: "/quick"))
    #expect(quick.status == 200)
    #expect(await client.connectionCount() == 1)
    client.close()
    await server.stop()
  }

  @Test func aTransportThatFallsSilentIsGivenUp() async throws {
    let server = try await TestServer.start(tls: ["h2"]) { _ in HTTPResponse(status: 200, body: .stream(BytePipe())) }
    let proxy = try await FreezingProxy(server)
    var limits = HTTPClientLimits()
    limits.pingAfter = .milliseconds(50)
    limits.pingTime = .seconds(2)
    let client = HTTPClient(
      loop: server.loop, endpoint: proxy.address, tls: try TestCertificates.shared.clientTLS(), serverName: "127.0.0.1",
      limits: limits)
    let watch = try await client.send(HTTPRequest(method: "GET", target: "/watch"))
    // While pings are answered the watch may be silent for as long as it likes.
    let before = proxy.passed.value
    try await eventually("no pings") { proxy.passed.value >= before + 20 }
    #expect(await client.connectionCount() == 1)
    proxy.freeze()
    let failure = await #expect(throws: HTTPError.self) { try await watch.body.collect() }
    #expect(failure?.description.contains("did not answer a ping") == true)
    client.close()
    await server.stop()
  }

  @Test func certificatesAreReplacedForConnectionsToCome() async throws {
    let server = try await TestServer.start(tls: ["h2"]) { _ in .text("ok") }
    let first = try server.client()
    #expect(try await first.send(HTTPRequest(method: "GET", target: "/")).status == 200)
    let stranger = try CertificateAuthority.generate(
      commonName: "stranger", lifetime: .seconds(1000), now: server.loop.wallClock)
    let identity = try stranger.issue(
      CertificateTemplate(
        commonName: "server", ipAddresses: ["127.0.0.1"], usages: [.serverAuthentication], lifetime: .seconds(1000)),
      now: server.loop.wallClock)
    server.server.setTLS(try .server(identity: identity, protocols: ["h2"]))
    #expect(try await first.send(HTTPRequest(method: "GET", target: "/")).status == 200)
    let second = try server.client()
    let failure = await #expect(throws: HTTPError.self) {
      try await second.send(HTTPRequest(method: "GET", target: "/"))
    }
    #expect(failure?.description.contains("certificate") == true)
    first.close()
    second.close()
    await server.stop()
  }

  @Test(arguments: ["/a b", "/a\r\nX: y", "a", "/ü"])
  func aTargetThatWouldBecomeTwoRequestsIsNotSent(target: String) async throws {
    let server = try await TestServer.start { _ in .text("ok") }
    let client = try server.client(tls: false)
    await #expect(throws: HTTPError.self) { try await client.send(HTTPRequest(method: "GET", target: target)) }
    #expect(server.server.connectionCount == 0)
    client.close()
    await server.stop()
  }
}

/// Passes bytes between a client and the server until it is told to stop; the connections stay open.
private final class FreezingProxy: Sendable {
  let address: Address
  private let isFrozen = Shared(false)
  /// How often it has passed something on, either way.
  let passed = Shared(0)

  private final class Side: StreamHandler {
    let other: any Stream
    let isFrozen: Shared<Bool>
    let passed: Shared<Int>
    init(_ other: any Stream, _ isFrozen: Shared<Bool>, _ passed: Shared<Int>) {
      self.other = other
      self.isFrozen = isFrozen
      self.passed = passed
    }
    func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
      guard !isFrozen.value else { return }
      passed.update { $0 += 1 }
      other.write(bytes)
    }
    func streamDidClose(_ error: StreamError?) { other.close() }
  }

  init(_ server: TestServer) async throws {
    let (loop, target, isFrozen, passed) = (server.loop, server.address, isFrozen, passed)
    address = try await withCheckedThrowingContinuation { continuation in
      loop.execute {
        continuation.resume(
          with: Result {
            try StreamListener(loop: loop, address: .ip("127.0.0.1", port: 0)) { stream, _ in
              StreamConnector.connect(to: target, on: loop, deadline: .seconds(5)) { result in
                guard case .success(let other) = result else { return stream.abort() }
                stream.handler = Side(other, isFrozen, passed)
                other.handler = Side(stream, isFrozen, passed)
              }
            }.localAddress
          })
      }
    }
  }

  func freeze() { isFrozen.update { $0 = true } }
}
