import EventLoop
import Testing

@testable import HTTP

@Suite struct WebSocketFrameTests {
  private func decode(_ bytes: [UInt8], isServer: Bool = false, limit: Int = 1000) throws -> [WebSocketMessage] {
    var decoder = WebSocketDecoder(isServer: isServer, messageLimit: limit)
    var input = bytes[...]
    var messages: [WebSocketMessage] = []
    while let message = try decoder.next(from: &input) { messages.append(message) }
    return messages
  }

  /// RFC 6455 §5.7.
  @Test func theExamplesOfTheRFCAreUnderstood() throws {
    #expect(try decode([0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]) == [.text("Hello")])
    let masked: [UInt8] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
    #expect(try decode(masked, isServer: true) == [.text("Hello")])
    #expect(WebSocketMessage.text("Hello").encoded(mask: 0x37fa_213d) == masked)
    #expect(try decode([0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f]) == [.text("Hello")])
    #expect(try decode([0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]) == [.ping(Array("Hello".utf8))])
    let bytes = [UInt8](repeating: 7, count: 256)
    #expect(WebSocketMessage.binary(bytes).encoded().prefix(4) == [0x82, 0x7e, 0x01, 0x00])
    #expect(try decode([0x82, 0x7e, 0x01, 0x00] + bytes) == [.binary(bytes)])
  }

  @Test(arguments: [0, 1, 125, 126, 65_535, 65_536, 100_000])
  func everyLengthSurvivesTheRoundTrip(length: Int) throws {
    let message = WebSocketMessage.binary((0..<length).map { UInt8(truncatingIfNeeded: $0) })
    #expect(try decode(message.encoded(), limit: 1 << 20) == [message])
    #expect(try decode(message.encoded(mask: 0x0102_0304), isServer: true, limit: 1 << 20) == [message])
  }

  @Test func aPingMayComeBetweenFragments() throws {
    let messages = try decode([0x02, 0x01, 0x41, 0x89, 0x00, 0x00, 0x01, 0x42, 0x80, 0x01, 0x43])
    #expect(messages == [.ping([]), .binary([0x41, 0x42, 0x43])])
  }

  @Test(
    arguments: [
      ([0xc1, 0x00], 1002), ([0x83, 0x00], 1002), ([0x81, 0x80, 0, 0, 0, 0], 1002), ([0x09, 0x00], 1002),
      ([0x89, 0x7e, 0x00, 0x7e], 1002), ([0x80, 0x00], 1002), ([0x01, 0x00, 0x81, 0x00], 1002),
      ([0x82, 0x7e, 0x00, 0x05], 1002), ([0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0, 5], 1002),
      ([0x81, 0x01, 0xff], 1007), ([0x88, 0x01, 0x03], 1002), ([0x88, 0x02, 0x03, 0xed], 1002),
      ([0x82, 0x7e, 0x03, 0xe9], 1009), ([0x82, 0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0], 1009),
    ] as [([UInt8], UInt16)])
  func breachesOfTheProtocolHaveTheirCloseCode(bytes: [UInt8], code: UInt16) {
    let error = #expect(throws: WebSocketError.self) { try decode(bytes) }
    #expect(error?.closeCode == code)
  }

  @Test func theAcceptanceIsThatOfTheRFC() {
    // RFC 6455 §1.3.
    #expect(WebSocketHandshake.acceptance(of: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    #expect(sha1(Array("abc".utf8)).prefix(4) == [0xa9, 0x99, 0x3e, 0x36])
  }
}

@Suite struct WebSocketConnectionTests {
  @Test func bothSidesTalkUntilOneCloses() async throws {
    let server = try await TestServer.start(tls: ["h2", "http/1.1"]) { request in
      guard WebSocketHandshake.offeredProtocols(request) == ["v5.channel.k8s.io", "v4"],
        let (response, connection) = try? WebSocketHandshake.accept(request, subprotocol: "v5.channel.k8s.io")
      else { return .text("no", status: 400) }
      Task {
        while let message = try await connection.receive() { try await connection.send(message) }
      }
      return response
    }
    let client = try server.client()
    let connection = try await WebSocketHandshake.connect(
      HTTPRequest(method: "GET", target: "/exec"), subprotocols: ["v5.channel.k8s.io", "v4"], over: client,
      world: server.loop)
    #expect(connection.subprotocol == "v5.channel.k8s.io")
    for message in [WebSocketMessage.text("hello"), .binary([UInt8](repeating: 3, count: 70_000)), .binary([])] {
      try await connection.send(message)
      #expect(try await connection.receive() == message)
    }
    try await connection.send(.ping([1, 2]))
    try await connection.send(.text("after the ping"))
    #expect(try await connection.receive() == .text("after the ping"))
    connection.close()
    #expect(try await connection.receive() == nil)
    await #expect(throws: HTTPError.self) { try await connection.send(.text("too late")) }
    await #expect(throws: HTTPError.self) {
      _ = try await WebSocketHandshake.connect(
        HTTPRequest(method: "GET", target: "/"), over: client, world: server.loop)
    }
    client.close()
    await server.stop()
  }

  @Test func nodesWebSocketFramesAreOurs() async throws {
    // Node 22 has a WebSocket client, 20 hides it behind a flag.
    let server = try await TestServer.start { request in
      guard let (response, connection) = try? WebSocketHandshake.accept(request) else {
        return .text("no", status: 400)
      }
      Task {
        while let message = try await connection.receive() { try await connection.send(message) }
      }
      return response
    }
    var options = ChildProcessOptions(
      executable: "node",
      arguments: [
        "--experimental-websocket", "-e",
        """
        const w = new WebSocket('ws://127.0.0.1:\(server.address.port)/');
        w.onopen = () => w.send('x'.repeat(70000));
        w.onmessage = m => { console.log(m.data.length); w.close(1000, 'done'); };
        w.onclose = e => console.log(e.code, e.wasClean);
        """,
      ])
    options.standardOutput = .capture(limit: 10_000)
    let result = try? await ChildProcess.run(options, on: server.loop, deadline: .seconds(60))
    if let result, result.isSuccess {
      #expect(String(decoding: result.standardOutput, as: UTF8.self) == "70000\n1000 true\n")
    }
    await server.stop()
  }
}
