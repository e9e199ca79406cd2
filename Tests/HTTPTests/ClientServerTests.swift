// Our client and our server together, over TLS, in both versions of HTTP.
import EventLoop
import LoopSupport
import TLS
import Testing

@testable import HTTP

@Suite struct ClientServerTests {
  static let versions: [[String]] = [["h2", "http/1.1"], ["http/1.1"]]

  @Test(arguments: versions)
  func requestsAndResponsesArriveWhole(protocols: [String]) async throws {
    let server = try await TestServer.start(tls: protocols) { request in
      let body = (try? await request.body.collect()) ?? []
      var response = HTTPResponse(
        status: 201,
        headers: [
          "x-method": request.method, "x-target": request.target, "x-user": request.peer?.commonName ?? "-",
          "x-groups": request.peer?.organizations.joined(separator: ",") ?? "-",
          "x-host": request.headers["host"] ?? "-",
          "x-version": "\(request.version)",
        ])
      if !body.isEmpty { response.body = .pieces(BodyPieces([Array("got ".utf8), body])) }
      return response
    }
    let client = try server.client()
    let response = try await client.send(
      HTTPRequest(method: "POST", target: "/a?b=c", headers: ["x-y": "z"], body: .bytes(Array("hello".utf8))))
    #expect(response.status == 201)
    #expect(response.headers["x-method"] == "POST" && response.headers["x-target"] == "/a?b=c")
    #expect(response.headers["x-user"] == "alice" && response.headers["x-groups"] == "devs")
    #expect(response.headers["x-host"] == "127.0.0.1:\(server.address.port)")
    #expect(response.headers["x-version"] == (protocols[0] == "h2" ? "http2" : "http1"))
    #expect(response.headers["date"] != nil)
    #expect(try await response.body.collect() == Array("got hello".utf8))
    let empty = try await client.send(HTTPRequest(method: "GET", target: "/"))
    #expect(try await empty.body.collect() == [])
    let head = try await client.send(HTTPRequest(method: "HEAD", target: "/"))
    #expect(head.status == 201)
    #expect(await client.connectionCount() == 1)
    client.close()
    await server.stop()
  }

  @Test(arguments: versions)
  func largeBodiesPassInBothDirections(protocols: [String]) async throws {
    let server = try await TestServer.start(tls: protocols) { request in
      let body = (try? await request.body.collect()) ?? []
      return HTTPResponse(status: 200, body: .pieces(BodyPieces([body, body, body, body])))
    }
    let client = try server.client()
    let body = (0..<(2 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let response = try await client.send(HTTPRequest(method: "PUT", target: "/", body: .bytes(body)))
    #expect(try await response.body.collect() == body + body + body + body)
    // The same as a stream of unknown length.
    let pipe = BytePipe()
    let writer = Task {
      for start in stride(from: 0, to: body.count, by: 100_000) {
        try await pipe.write(Array(body[start..<min(start + 100_000, body.count)]))
      }
      pipe.finish()
    }
    let second = try await client.send(HTTPRequest(method: "PUT", target: "/", body: .stream(pipe)))
    try await writer.value
    #expect(try await second.body.collect().count == 4 * body.count)
    client.close()
    await server.stop()
  }

  @Test(arguments: versions)
  func aBodyInPiecesIsMadeAsItIsTaken(protocols: [String]) async throws {
    // 128 MiB; what client, server and the kernel's buffers hold while nobody reads is a part of it.
    let (count, length) = (2048, 64 << 10)
    let made = Shared(0)
    let server = try await TestServer.start(tls: protocols) { _ in
      let pieces = BodyPieces(count: count, byteCount: count * length) { at in
        made.update { $0 += 1 }
        return [UInt8](repeating: UInt8(truncatingIfNeeded: at), count: length)
      }
      return HTTPResponse(status: 200, body: .pieces(pieces))
    }
    let client = try server.client()
    let response = try await client.send(HTTPRequest(method: "GET", target: "/"))
    guard case .stream(let pipe) = response.body else {
      Issue.record("not a stream")
      return
    }
    #expect(made.value < count * 3 / 4)
    var total = 0
    while let chunk = try await pipe.next() {
      #expect(chunk.first == UInt8(truncatingIfNeeded: total / length))
      total += chunk.count
    }
    #expect(total == count * length && made.value == count)
    client.close()
    await server.stop()
  }

  @Test(arguments: versions)
  func manyRequestsAtOnceAreAllAnswered(protocols: [String]) async throws {
    let server = try await TestServer.start(tls: protocols, loops: 2) { request in
      for _ in 0..<10 { await Task.yield() }
      return .text(request.target)
    }
    let client = try server.client()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<600 {
        group.addTask {
          let response = try await client.send(HTTPRequest(method: "GET", target: "/\(number)"))
          #expect(try await response.body.collect() == Array("/\(number)".utf8))
        }
      }
      try await group.waitForAll()
    }
    client.close()
    await server.stop()
  }

  @Test(arguments: versions)
  func aWatchDeliversEventsAsTheyAreWrittenAndEndsWithItsReader(protocols: [String]) async throws {
    let watch = BytePipe()
    let isCancelled = Shared(false)
    watch.onCancel { isCancelled.update { $0 = true } }
    let server = try await TestServer.start(tls: protocols) { _ in HTTPResponse(status: 200, body: .stream(watch)) }
    let client = try server.client()
    let response = try await client.send(HTTPRequest(method: "GET", target: "/watch"))
    guard case .stream(let events) = response.body else {
      Issue.record("not a stream")
      return
    }
    for number in 0..<100 {
      try await watch.write(Array("event \(number)\n".utf8))
      #expect(try await events.next() == Array("event \(number)\n".utf8))
    }
    events.cancel()
    try await eventually("the watch goes on") { isCancelled.value }
    client.close()
    await server.stop()
  }

  @Test(arguments: versions)
  func aSlowReaderHoldsTheServerBack(protocols: [String]) async throws {
    let source = BytePipe()
    let server = try await TestServer.start(tls: protocols) { request in
      request.target == "/slow" ? HTTPResponse(status: 200, body: .stream(source)) : .text("quick")
    }
    let client = try server.client()
    let response = try await client.send(HTTPRequest(method: "GET", target: "/slow"))
    guard case .stream(let pipe) = response.body else {
      Issue.record("not a stream")
      return
    }
    // It writes until it is told to end: whoever is not held back writes on until this test gives up.
    let written = Shared(0)
    let isOver = Shared(false)
    let writer = Task {
      while !isOver.value {
        try await source.write([UInt8](repeating: 7, count: 64 << 10))
        written.update { $0 += 64 << 10 }
      }
      source.finish()
    }
    try await heldBack(written)
    // Kernels buffer some on their own: up to 36 MiB on those that let a receive buffer grow to 32.
    #expect(written.value < 48 << 20)
    // One that does not read does not hold up the others.
    let quick = try await client.send(HTTPRequest(method: "GET", target: "/quick"))
    #expect(try await quick.body.collect() == Array("quick".utf8))
    isOver.update { $0 = true }
    var read = 0
    while let chunk = try await pipe.next() { read += chunk.count }
    try await writer.value
    #expect(read == written.value)
    client.close()
    await server.stop()
  }

  @Test(arguments: versions)
  func cancellingTheTaskCancelsTheHandler(protocols: [String]) async throws {
    let begun = Shared(false)
    let isCancelled = Shared(false)
    let server = try await TestServer.start(tls: protocols) { request in
      guard request.target == "/slow" else { return .text("ok") }
      begun.update { $0 = true }
      while !Task.isCancelled { await Task.yield() }
      isCancelled.update { $0 = true }
      return .text("never seen")
    }
    let client = try server.client()
    let request = Task { try await client.send(HTTPRequest(method: "GET", target: "/slow")) }
    try await eventually("not begun") { begun.value }
    request.cancel()
    await #expect(throws: HTTPError.self) { try await request.value }
    try await eventually("not cancelled") { isCancelled.value }
    let next = try await client.send(HTTPRequest(method: "GET", target: "/"))
    #expect(next.status == 200)
    client.close()
    await server.stop()
  }

  @Test(arguments: versions)
  func aResponseThatDoesNotComeTimesOut(protocols: [String]) async throws {
    let server = try await TestServer.start(tls: protocols) { _ in
      while !Task.isCancelled { await Task.yield() }
      return .text("never seen")
    }
    var limits = HTTPClientLimits()
    limits.responseHeaderTime = .milliseconds(200)
    let client = try server.client(limits: limits)
    let failure = await #expect(throws: HTTPError.self) {
      try await client.send(HTTPRequest(method: "GET", target: "/slow"))
    }
    #expect(failure?.description.contains("no response to GET /slow within 0.2 seconds") == true)
    client.close()
    await server.stop()
  }

  /// A server that sends a byte now and then never exceeds a limit between two of them.
  @Test(.timeLimit(.minutes(1)), arguments: versions)
  func aBodyThatComesByteByByteBreaksOffWhereAllOfItIsTimed(protocols: [String]) async throws {
    let server = try await TestServer.start(tls: protocols) { _ in
      let pipe = BytePipe()
      Task {
        while (try? await pipe.write([32])) != nil { try await Task.sleep(for: .milliseconds(20)) }
      }
      return HTTPResponse(status: 200, body: .stream(pipe))
    }
    let client = try server.client()
    let request = HTTPRequest(method: "GET", target: "/drip")
    let whole = try await client.send(request, within: .milliseconds(300), isWhole: true)
    let failure = await #expect(throws: HTTPError.self) { try await whole.body.collect() }
    guard case .timedOut? = failure else {
      Issue.record("the body ended with \(String(describing: failure))")
      return await server.stop()
    }
    // Where the head alone is timed, it goes on.
    let streamed = try await client.send(request, within: .milliseconds(300))
    guard case .stream(let pipe) = streamed.body else { throw HTTPError.malformed("no stream") }
    let end = ContinuousClock.now + .milliseconds(1600)
    while ContinuousClock.now < end { #expect(try await pipe.next()?.isEmpty == false) }
    pipe.cancel()
    client.close()
    await server.stop()
  }

  @Test(arguments: versions)
  func aBodyTooLargeIsRefusedInBothVersions(protocols: [String]) async throws {
    var limits = HTTPLimits()
    limits.requestBodyBytes = 100_000
    let server = try await TestServer.start(tls: protocols, limits: limits) { _ in .text("ok") }
    let client = try server.client()
    let announced = try await client.send(
      HTTPRequest(method: "POST", target: "/", body: .bytes([UInt8](repeating: 1, count: 100_001))))
    #expect(announced.status == 413)
    let pipe = BytePipe(highWater: 1 << 20)
    for _ in 0..<30 { try pipe.offer([UInt8](repeating: 1, count: 10_000)) }
    pipe.finish()
    let streamed = try await client.send(HTTPRequest(method: "POST", target: "/", body: .stream(pipe)))
    #expect(streamed.status == 413)
    #expect(try await streamed.body.collect() == announced.body.collect())
    let next = try await client.send(HTTPRequest(method: "GET", target: "/"))
    #expect(next.status == 200)
    client.close()
    await server.stop()
  }

  @Test func anUpgradeGetsAnHTTP1ConnectionAndATunnel() async throws {
    let server = try await TestServer.start(tls: ["h2", "http/1.1"]) { request in
      guard request.headers["upgrade"] == "echo" else { return .text("\(request.version)") }
      let tunnel = HTTPTunnel(inbound: BytePipe(), outbound: BytePipe())
      Task {
        while let bytes = try await tunnel.inbound.next() { try await tunnel.outbound.write(bytes) }
        tunnel.outbound.finish()
      }
      return HTTPResponse(status: 101, headers: ["upgrade": "echo"], tunnel: tunnel)
    }
    let client = try server.client()
    let plain = try await client.send(HTTPRequest(method: "GET", target: "/"))
    #expect(try await plain.body.collect() == Array("http2".utf8))
    let response = try await client.send(HTTPRequest(method: "GET", target: "/", headers: ["upgrade": "echo"]))
    #expect(response.status == 101)
    let tunnel = try #require(response.tunnel)
    var echoed: [UInt8] = []
    let message = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
    let writer = Task {
      for start in stride(from: 0, to: message.count, by: 10_000) {
        try await tunnel.outbound.write(Array(message[start..<start + 10_000]))
      }
    }
    while echoed.count < message.count, let bytes = try await tunnel.inbound.next() { echoed += bytes }
    #expect(echoed == message)
    try await writer.value
    tunnel.outbound.finish()
    #expect(try await tunnel.inbound.next() == nil)
    client.close()
    await server.stop()
  }

  @Test func aServerThatShutsDownSendsClientsElsewhereAndFinishesTheirStreams() async throws {
    let watch = BytePipe()
    let release = Shared(false)
    let server = try await TestServer.start(tls: ["h2"]) { request in
      if request.target == "/watch" { return HTTPResponse(status: 200, body: .stream(watch)) }
      while !release.value { try? await Task.sleep(for: .milliseconds(1)) }
      return .text("finished")
    }
    let client = try server.client()
    let response = try await client.send(HTTPRequest(method: "GET", target: "/watch"))
    let slow = Task { try await client.send(HTTPRequest(method: "GET", target: "/slow")) }
    try await eventually("not begun") { server.server.requestCount == 2 }
    let shutdown = Task { await server.server.shutdown(deadline: .seconds(10)) }
    // The watch ends in order, without an error.
    #expect(try await response.body.collect() == [])
    release.update { $0 = true }
    #expect(try await slow.value.body.collect() == Array("finished".utf8))
    await shutdown.value
    await #expect(throws: HTTPError.self) { try await client.send(HTTPRequest(method: "GET", target: "/")) }
    client.close()
    await server.stop()
  }

  @Test func requestsGoOnAfterTheServerHasClosedAnIdleConnection() async throws {
    var limits = HTTPLimits()
    limits.idleTime = .milliseconds(40)
    for protocols in Self.versions {
      let server = try await TestServer.start(tls: protocols, limits: limits) { _ in .text("ok") }
      let client = try server.client()
      for pause in 0..<8 {
        let response = try await client.send(HTTPRequest(method: "GET", target: "/"))
        #expect(response.status == 200)
        try await Task.sleep(for: .milliseconds(10 * pause))
      }
      client.close()
      await server.stop()
    }
  }

  @Test func aFurtherConnectionIsOpenedWhenTheServersStreamsAreUsedUp() async throws {
    var limits = HTTPLimits()
    limits.concurrentStreams = 4
    let server = try await TestServer.start(tls: ["h2"], limits: limits) { _ in
      HTTPResponse(status: 200, body: .stream(BytePipe()))
    }
    let client = try server.client()
    var watches: [HTTPResponse] = []
    for _ in 0..<10 { watches.append(try await client.send(HTTPRequest(method: "GET", target: "/watch"))) }
    #expect(await client.connectionCount() == 3)
    client.close()
    await server.stop()
  }

  @Test func aConnectionOfAnotherProtocolIsHandedOver() async throws {
    let seen = Shared<[String]>([])
    let server = try await TestServer.start(
      tls: ["trireme-raft", "h2"],
      alpnHandlers: [
        "trireme-raft": { stream, peer in
          let name = peer?.commonName ?? "-"
          seen.update { $0.append(name) }
          stream.write(Array("hello raft".utf8))
          stream.close()
        }
      ]
    ) { _ in .text("http") }
    let received = Shared<[UInt8]>([])
    let closed = Shared(false)
    let tls = try TestCertificates.shared.clientTLS()
    let transport = try await StreamConnector.connect(to: server.address, on: server.loop, deadline: .seconds(5))
    transport.execute { transport in
      var stream: TLSStream?
      stream = TLSStream(client: tls, over: transport, serverName: "localhost", protocols: ["trireme-raft"]) { _ in
        stream?.handler = Collector(received, closed)
        stream = nil
      }
    }
    try await eventually("nothing came") { closed.value }
    #expect(received.value == Array("hello raft".utf8))
    #expect(seen.value == ["alice"])
    let client = try server.client()
    let response = try await client.send(HTTPRequest(method: "GET", target: "/"))
    #expect(try await response.body.collect() == Array("http".utf8))
    client.close()
    await server.stop()
  }

  @Test func nothingListeningIsAFailureToConnect() async throws {
    let server = try await TestServer.start { _ in .text("ok") }
    let client = try server.client(tls: false)
    await server.server.shutdown(deadline: .zero)
    do {
      _ = try await client.send(HTTPRequest(method: "POST", target: "/"))
      Issue.record("sent to nobody")
    } catch HTTPError.connectFailed(let reason) {
      #expect(reason.contains("\(server.address)"))
    }
    await server.stop()
  }
}
