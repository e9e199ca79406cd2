// What a server says to those who ask without TLS.
import EventLoop
import LoopSupport
import Testing

@testable import HTTP

@Suite struct OpenProbeTests {
  private func server(_ isWell: Shared<Bool>, limits: HTTPLimits = HTTPLimits()) async throws -> TestServer {
    try await TestServer.start(tls: ["h2"], limits: limits, openProbes: ["/readyz": { isWell.value ? .well : .unwell }])
    { request in
      .text(request.target)
    }
  }

  @Test func aLoadBalancerLearnsWithoutTLSWhetherTheServerIsWell() async throws {
    let isWell = Shared(true)
    let server = try await server(isWell)
    let question = "GET /readyz HTTP/1.0\r\n\r\n"
    let good = try await RawConnection(server, saying: question).textAtClose()
    #expect(good.hasPrefix("HTTP/1.0 200 OK\r\n") && good.hasSuffix("\r\n\r\nok"))
    isWell.update { $0 = false }
    let bad = try await RawConnection(server, saying: question).textAtClose()
    #expect(bad.hasPrefix("HTTP/1.0 500 ") && bad.hasSuffix("\r\n\r\nnot well\n"))
    try await eventually("connections are still counted") { server.server.connectionCount == 0 }
    #expect(server.events.texts.isEmpty)
    await server.stop()
  }

  /// Given a load balancer that asks, when the server ends, then it is answered as long as a request is, and nobody else is
  /// let in.
  @Test func whoAsksIsAnsweredWhileRequestsAre() async throws {
    let (isLeaving, release) = (Shared(false), Shared(false))
    let server = try await TestServer.start(
      tls: ["h2"], openProbes: ["/readyz": { isLeaving.value ? .leaving : .well }]
    ) { request in
      while request.target == "/slow", !release.value { try? await Task.sleep(for: .milliseconds(1)) }
      return .text("served")
    }
    let question = "GET /readyz HTTP/1.0\r\n\r\n"
    #expect(try await RawConnection(server, saying: question).textAtClose().hasPrefix("HTTP/1.0 200 OK\r\n"))
    let client = try server.client()
    let slow = Task { try await client.send(HTTPRequest(method: "GET", target: "/slow")).body.collect() }
    try await eventually("not begun") { server.server.requestCount == 1 }
    isLeaving.update { $0 = true }
    let shutdown = Task { await server.server.shutdown(deadline: .seconds(100)) }
    try await eventually("it goes on") {
      let other = try server.client()
      defer { other.close() }
      return (try? await other.send(HTTPRequest(method: "GET", target: "/other"))) == nil
    }
    for _ in 0..<3 {
      let answer = try await RawConnection(server, saying: question).textAtClose()
      #expect(answer.hasPrefix("HTTP/1.0 404 ") && answer.hasSuffix("\r\n\r\nleaving\n"))
    }
    release.update { $0 = true }
    #expect(try await slow.value == Array("served".utf8))
    await shutdown.value
    await #expect(throws: (any Error).self) { _ = try await RawConnection(server, saying: question).textAtClose() }
    client.close()
    await server.stop()
  }

  @Test(arguments: ["GET / HTTP/1.1", "GET /readyz?verbose HTTP/1.1", "POST /readyz HTTP/1.1", "GET /readyzz HTTP/1.1"])
  func everythingElseIsRefusedWithoutTLS(line: String) async throws {
    let server = try await server(Shared(true))
    let text = try await RawConnection(server, saying: "\(line)\r\nHost: a\r\n\r\n").textAtClose()
    #expect(text.hasPrefix("HTTP/1.0 400 "))
    await server.stop()
  }

  @Test func requestsOverTLSAreServedAsBefore() async throws {
    let server = try await server(Shared(true))
    let client = try server.client()
    for path in ["/readyz", "/other"] {
      let response = try await client.send(HTTPRequest(method: "GET", target: path))
      #expect(response.status == 200)
    }
    client.close()
    await server.stop()
  }

  @Test func aClientThatSaysNothingIsTimedOut() async throws {
    var limits = HTTPLimits()
    limits.handshakeTime = .milliseconds(100)
    let server = try await server(Shared(true), limits: limits)
    _ = try await RawConnection(server).textAtClose()
    try await eventually("still counted") { server.server.connectionCount == 0 }
    #expect(server.events.texts.contains { $0.contains("timed out") })
    await server.stop()
  }

  @Test func aClientThatGoesBeforeItHasSpokenIsForgotten() async throws {
    let server = try await server(Shared(true))
    let connection = try await RawConnection(server)
    try await eventually("not accepted") { server.server.connectionCount == 1 }
    connection.abort()
    try await eventually("still counted") { server.server.connectionCount == 0 }
    await server.stop()
  }
}
