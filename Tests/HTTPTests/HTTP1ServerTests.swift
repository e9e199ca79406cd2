// The server on HTTP/1.1, spoken to byte by byte.
import EventLoop
import LoopSupport
import Testing

@testable import HTTP

@Suite struct HTTP1ServerTests {
  private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  @Test func aConnectionServesRequestAfterRequest() async throws {
    let server = try await TestServer.start { request in .text("\(request.method) \(request.target)") }
    let connection = try await RawConnection(server)
    connection.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    let first = try await connection.text { $0.hasSuffix("GET /1") }
    #expect(first.hasPrefix("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: "))
    #expect(first.contains("\r\ncontent-length: 6\r\n\r\n"))
    connection.send("GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    let all = try await connection.textAtClose()
    #expect(all.hasSuffix("connection: close\r\n\r\nGET /2"))
    await server.stop()
  }

  @Test func pipelinedRequestsAreAnsweredInTheirOrder() async throws {
    let server = try await TestServer.start { request in
      // The earlier the request, the longer it takes.
      let turns = request.target == "/1" ? 2000 : 0
      for _ in 0..<turns { await Task.yield() }
      return .text("[\(request.target)]")
    }
    let connection = try await RawConnection(server)
    connection.send((1...3).map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
    let text = try await connection.text { $0.contains("[/3]") }
    let bodies = text.split(separator: "[").dropFirst().map { $0.prefix { $0 != "]" } }
    #expect(bodies == ["/1", "/2", "/3"])
    await server.stop()
  }

  @Test func headGetsTheLengthAndNoBody() async throws {
    let server = try await TestServer.start { _ in .text("hello") }
    let connection = try await RawConnection(server)
    connection.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    let text = try await connection.text { $0.hasSuffix("hello") }
    #expect(text.components(of: "content-length: 5\r\n\r\n") == 3)
    #expect(text.components(of: "hello") == 2)
    await server.stop()
  }

  @Test func aBodyIsAskedForWhenTheClientWaits() async throws {
    let server = try await TestServer.start { request in
      .text(String(decoding: (try? await request.body.collect()) ?? [], as: UTF8.self))
    }
    let connection = try await RawConnection(server)
    connection.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    let text = try await connection.text { $0 == "HTTP/1.1 100 Continue\r\n\r\n" }
    #expect(text == "HTTP/1.1 100 Continue\r\n\r\n")
    connection.send("hello")
    #expect(try await connection.text { $0.hasSuffix("hello") }.contains("HTTP/1.1 200 OK"))
    await server.stop()
  }

  @Test func aStreamIsSentChunkByChunkAsItIsWritten() async throws {
    let pipe = BytePipe()
    let server = try await TestServer.start { _ in HTTPResponse(status: 200, body: .stream(pipe)) }
    let connection = try await RawConnection(server)
    connection.send(Self.get)
    // The head comes before there is anything to send.
    let head = try await connection.text { $0.hasSuffix("\r\n\r\n") }
    #expect(head.contains("transfer-encoding: chunked"))
    try await pipe.write(Array("one".utf8))
    _ = try await connection.text { $0.hasSuffix("3\r\none\r\n") }
    try await pipe.write(Array("twelve bytes".utf8))
    _ = try await connection.text { $0.hasSuffix("c\r\ntwelve bytes\r\n") }
    pipe.finish()
    _ = try await connection.text { $0.hasSuffix("0\r\n\r\n") }
    connection.send(Self.get)
    await server.stop()
  }

  @Test func aStreamThatBreaksOffIsSeenToBeIncomplete() async throws {
    let server = try await TestServer.start { _ in
      let pipe = BytePipe()
      _ = try? pipe.offer(Array("half".utf8))
      pipe.finish(throwing: HTTPError.connectionClosed("backend"))
      return HTTPResponse(status: 200, body: .stream(pipe))
    }
    let connection = try await RawConnection(server)
    connection.send(Self.get)
    let text = try await connection.textAtClose()
    #expect(text.hasSuffix("4\r\nhalf\r\n"))
    await server.stop()
  }

  @Test func aClientThatGoesAwayCancelsItsRequest() async throws {
    let isCancelled = Shared(false)
    let hasBegun = Shared(false)
    let server = try await TestServer.start { _ in
      hasBegun.update { $0 = true }
      await withTaskCancellationHandler {
        while !Task.isCancelled { await Task.yield() }
      } onCancel: {
        isCancelled.update { $0 = true }
      }
      return .text("too late")
    }
    let connection = try await RawConnection(server)
    connection.send(Self.get)
    try await eventually("the handler was not called") { hasBegun.value }
    connection.abort()
    try await eventually("the handler was not cancelled") { isCancelled.value }
    try await eventually("the request is still counted") { server.server.requestCount == 0 }
    #expect(server.server.connectionCount == 0)
    await server.stop()
  }

  @Test func aClientThatGoesAwayCancelsItsStream() async throws {
    let pipe = BytePipe()
    let server = try await TestServer.start { _ in HTTPResponse(status: 200, body: .stream(pipe)) }
    let isCancelled = Shared(false)
    pipe.onCancel { isCancelled.update { $0 = true } }
    let connection = try await RawConnection(server)
    connection.send(Self.get)
    _ = try await connection.text { $0.hasSuffix("\r\n\r\n") }
    connection.abort()
    try await eventually("the stream was not cancelled") { isCancelled.value }
    #expect(throws: HTTPError.self) { try pipe.offer([1]) }
    await server.stop()
  }

  @Test func aSlowReaderHoldsTheWriterBack() async throws {
    let pipe = BytePipe()
    let server = try await TestServer.start { _ in HTTPResponse(status: 200, body: .stream(pipe)) }
    let connection = try await RawConnection(server)
    connection.send(Self.get)
    _ = try await connection.text { $0.hasSuffix("\r\n\r\n") }
    connection.pauseReading()
    let written = Shared(0)
    let isOver = Shared(false)
    let writer = Task {
      while !isOver.value {
        try await pipe.write([UInt8](repeating: 7, count: 64 << 10))
        written.update { $0 += 64 << 10 }
      }
      pipe.finish()
    }
    // What fits into sockets, queue and pipe; then nothing more.
    try await heldBack(written)
    #expect(written.value < 16 << 20)
    isOver.update { $0 = true }
    connection.resumeReading()
    _ = try await writer.value
    try await eventually("not all arrived") { connection.bytes.suffix(5) == Array("0\r\n\r\n".utf8) }
    #expect(connection.bytes.count > written.value)
    await server.stop()
  }

  @Test func aReaderThatTakesNothingIsCutOff() async throws {
    var limits = HTTPLimits()
    limits.writeStallTime = .milliseconds(200)
    let server = try await TestServer.start(limits: limits) { _ in
      HTTPResponse(
        status: 200,
        body: .pieces(BodyPieces([[UInt8]](repeating: [UInt8](repeating: 1, count: 1 << 20), count: 64))))
    }
    let connection = try await RawConnection(server)
    connection.send("")
    connection.pauseReading()
    connection.send(Self.get)
    try await eventually("not cut off") { server.server.connectionCount == 0 && !server.events.texts.isEmpty }
    #expect(server.events.texts.contains { $0.contains("took none of") })
    await server.stop()
  }

  @Test func anUpgradeLeavesHTTPAndKeepsWhatCameBehindIt() async throws {
    let server = try await TestServer.start { request in
      guard request.headers["upgrade"] == "echo" else { return .text("no", status: 400) }
      let tunnel = HTTPTunnel(inbound: BytePipe(), outbound: BytePipe())
      Task {
        while let bytes = try await tunnel.inbound.next() { try await tunnel.outbound.write(bytes) }
        tunnel.outbound.finish()
      }
      return HTTPResponse(status: 101, headers: ["upgrade": "echo"], tunnel: tunnel)
    }
    let connection = try await RawConnection(server)
    connection.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nbehind ")
    let text = try await connection.text { $0.hasSuffix("behind ") }
    #expect(text.hasPrefix("HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\n"))
    #expect(text.contains("connection: Upgrade\r\n"))
    connection.send("the head")
    _ = try await connection.text { $0.hasSuffix("\r\n\r\nbehind the head") }
    await server.stop()
  }

  @Test func shutdownFinishesWhatIsInFlightAndEndsWatches() async throws {
    let release = Shared(false)
    let begun = Shared(0)
    let watch = BytePipe()
    let server = try await TestServer.start { request in
      begun.update { $0 += 1 }
      if request.target == "/watch" { return HTTPResponse(status: 200, body: .stream(watch)) }
      while !release.value { try? await Task.sleep(for: .milliseconds(1)) }
      return .text("finished")
    }
    let idle = try await RawConnection(server)
    let working = try await RawConnection(server)
    let watching = try await RawConnection(server)
    working.send(Self.get)
    watching.send("GET /watch HTTP/1.1\r\nHost: a\r\n\r\n")
    _ = try await watching.text { $0.hasSuffix("\r\n\r\n") }
    try await eventually("not begun") { begun.value == 2 && server.server.connectionCount == 3 }
    let shutdown = Task { await server.server.shutdown(deadline: .seconds(10)) }
    #expect(try await idle.textAtClose() == "")
    #expect(try await watching.textAtClose().hasSuffix("\r\n\r\n0\r\n\r\n"))
    #expect(!working.isClosed)
    release.update { $0 = true }
    let text = try await working.textAtClose()
    #expect(text.contains("connection: close") && text.hasSuffix("finished"))
    await shutdown.value
    await #expect(throws: (any Error).self) { _ = try await RawConnection(server) }
    await server.stop()
  }

  @Test func shutdownCutsOffWhatDoesNotEnd() async throws {
    let server = try await TestServer.start { _ in
      while !Task.isCancelled { await Task.yield() }
      return .text("cancelled")
    }
    let connection = try await RawConnection(server)
    connection.send(Self.get)
    try await eventually("not begun") { server.server.requestCount == 1 }
    await server.server.shutdown(deadline: .milliseconds(50))
    _ = try await connection.textAtClose()
    await server.stop()
  }
}

extension String {
  /// One more than the number of times that `separator` occurs.
  func components(of separator: String) -> Int {
    var count = 1
    var rest = self[...]
    while let range = rest.firstRange(of: separator) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}
