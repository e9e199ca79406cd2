// Every bound of the server ends in an answer or an event that names it.
import EventLoop
import LoopSupport
import Testing

@testable import HTTP

@Suite struct LimitTests {
  @Test func aBodyBeyondTheLimitIsRefusedAsKubernetesRefusesIt() async throws {
    let server = try await TestServer.start { _ in .text("never") }
    let connection = try await RawConnection(server)
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3145729\r\n\r\n")
    // The client goes on sending for a while, as clients do.
    connection.send([UInt8](repeating: 1, count: 300_000))
    let text = try await connection.textAtClose()
    #expect(text.hasPrefix("HTTP/1.1 413 "))
    #expect(
      text.hasSuffix(
        #"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"#
          + #""Request entity too large: limit is 3145728","reason":"RequestEntityTooLarge","code":413}"#))
    await server.stop()
  }

  @Test func malformedAndTooLongHeadersAreAnsweredWithAStatus() async throws {
    var limits = HTTPLimits()
    limits.headerBytes = 1000
    let server = try await TestServer.start(limits: limits) { _ in .text("never") }
    for (text, status) in [
      ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"),
      ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 1000))\r\n\r\n", "431"),
      ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
    ] {
      let connection = try await RawConnection(server)
      connection.send(text)
      let answer = try await connection.textAtClose()
      #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
      #expect(answer.contains(#""kind":"Status""#) && answer.hasSuffix(#""code":\#(status)}"#))
    }
    await server.stop()
  }

  @Test func slowHeadersAndBodiesTimeOut() async throws {
    var limits = HTTPLimits()
    // Long enough for what is sent to be read first, on a busy machine too.
    limits.headerTime = .seconds(1)
    limits.bodyTime = .seconds(1)
    let server = try await TestServer.start(limits: limits) { _ in .text("ok") }
    let silent = try await RawConnection(server)
    let slow = try await RawConnection(server, saying: "GET / HTT")
    let second = try await RawConnection(server, saying: "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET ")
    let body = try await RawConnection(
      server, saying: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
    #expect(try await silent.textAtClose() == "")
    #expect(try await slow.textAtClose().hasPrefix("HTTP/1.1 408 "))
    let two = try await second.textAtClose()
    #expect(two.hasPrefix("HTTP/1.1 200 ") && two.contains("HTTP/1.1 408 "))
    #expect(try await body.textAtClose().contains("the request body did not arrive within"))
    await server.stop()
  }

  @Test func anIdleConnectionIsClosedWithoutAWord() async throws {
    var limits = HTTPLimits()
    limits.idleTime = .milliseconds(100)
    let server = try await TestServer.start(limits: limits) { _ in .text("ok") }
    let connection = try await RawConnection(server, saying: "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(try await connection.textAtClose().hasSuffix("ok"))
    await server.stop()
  }

  @Test func aFloodOfSilentConnectionsEvictsItsOwn() async throws {
    var limits = HTTPLimits()
    limits.unprovenConnections = 3
    // Connections that say nothing stay, however slow the machine.
    limits.headerTime = .seconds(3600)
    let server = try await TestServer.start(limits: limits) { _ in .text("ok") }
    let proven = try await RawConnection(server)
    proven.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    _ = try await proven.text { $0.hasSuffix("ok") }
    var silent: [RawConnection] = []
    for count in 1...5 {
      silent.append(try await RawConnection(server))
      try await eventually("not accepted") { server.server.connectionCount == 1 + min(count, 3) }
    }
    try await eventually("the oldest are not gone") { silent[0].isClosed && silent[1].isClosed }
    #expect(!silent[4].isClosed && !proven.isClosed)
    silent[4].send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    _ = try await silent[4].text { $0.hasSuffix("ok") }
    await server.stop()
  }

  @Test func connectionsBeyondTheTotalAreRefused() async throws {
    var limits = HTTPLimits()
    limits.connections = 2
    // Connections that say nothing stay, however slow the machine.
    limits.headerTime = .seconds(3600)
    let server = try await TestServer.start(limits: limits) { _ in .text("ok") }
    let kept = [try await RawConnection(server), try await RawConnection(server)]
    try await eventually("not accepted") { server.server.connectionCount == 2 }
    let refused = try await RawConnection(server)
    _ = try await refused.textAtClose()
    #expect(!kept[0].isClosed && !kept[1].isClosed)
    #expect(server.events.texts.contains { $0.contains("too many connections: limit is 2") })
    await server.stop()
  }

  @Test func aHandshakeThatDoesNotComeTimesOut() async throws {
    var limits = HTTPLimits()
    limits.handshakeTime = .milliseconds(100)
    let server = try await TestServer.start(tls: ["h2"], limits: limits) { _ in .text("ok") }
    let connection = try await RawConnection(server)
    _ = try await connection.textAtClose()
    try await eventually("still counted") { server.server.connectionCount == 0 }
    #expect(server.events.texts.contains { $0.contains("timed out") })
    await server.stop()
  }

  @Test func streamsThatAreResetTooOftenEndTheConnection() async throws {
    var limits = HTTPLimits()
    limits.resetBurst = 20
    limits.resetsPerSecond = 1
    let begun = Shared(0)
    let server = try await TestServer.start(tls: ["h2"], limits: limits) { _ in
      begun.update { $0 += 1 }
      while !Task.isCancelled { try? await Task.sleep(for: .milliseconds(1)) }
      return .text("cancelled")
    }
    let client = try server.client()
    func isEnded() -> Bool { server.events.texts.contains { $0.contains("too many streams were reset") } }
    // However slow the machine: one a second is borne, this is faster.
    for count in 1...1000 where !isEnded() {
      let request = Task { try await client.send(HTTPRequest(method: "GET", target: "/")) }
      try await eventually("not begun") { begun.value >= count || isEnded() }
      request.cancel()
      _ = await request.result
    }
    #expect(isEnded())
    client.close()
    await server.stop()
  }
}
