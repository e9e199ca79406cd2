import EventLoop
import LoopSupport
import TLS
import Testing
import World

@Suite struct HandshakeTests {
  @Test func aClientWithACertificateIsKnownByItsNameAndGroups() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let identity = try papers.client()
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration(identity: identity))
      let (server, client) = try await loop.run { (pair.server.handshake, pair.client.handshake) }
      #expect(server?.peer?.commonName == "alice")
      #expect(server?.peer?.organizations == ["dev", "ops"])
      #expect(server?.peer?.fingerprint == identity.certificate.fingerprint)
      #expect(client?.peer?.commonName == "server")
      #expect(client?.peer?.dnsNames == ["localhost"])
      #expect(client?.isResumed == false)
    }
  }

  @Test func aClientWithoutACertificateIsLetInUnknown() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration())
      let (server, client) = try await loop.run { (pair.server.handshake, pair.client.handshake) }
      #expect(server != nil && server?.peer == nil)
      #expect(client != nil)
    }
  }

  @Test(arguments: ["unknown CA", "certificate has expired", "unsupported certificate"])
  func aClientsBadCertificateIsRefusedAndBothSidesSayWhy(reason: String) async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let identity =
        switch reason {
        case "unknown CA": try papers.client(by: papers.stranger)
        case "certificate has expired": try papers.client(issued: papers.now + .seconds(-3600))
        default: try papers.client(usages: [.serverAuthentication])
        }
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration(identity: identity))
      let error = try await loop.run { pair.server.error }
      let text = [
        "unknown CA": "unknown CA", "certificate has expired": "certificate has expired",
        "unsupported certificate": "its extended key usage does not allow this use",
      ][reason]!
      #expect(error == .peerCertificateRejected(text))
      // In TLS 1.3 the client has finished before the server looks: it hears of it as the end of the stream.
      try await loop.wait { pair.client.handler.closes == 1 }
      let heard = try await loop.run { pair.client.handler.closeError }
      #expect(heard == .protocolViolation("the peer refused our certificate: \(reason)"))
    }
  }

  @Test func aServerOfAnotherAuthorityIsNotBelieved() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(),
        client: .client(trust: .certificates([papers.stranger.certificate])))
      let (client, server) = try await loop.run { (pair.client.error, pair.server.error) }
      #expect(client == .peerCertificateRejected("unknown CA"))
      #expect(server == .ownCertificateRejected("unknown CA"))
    }
  }

  @Test(arguments: [
    ("localhost", true), ("127.0.0.1", true), (nil, true), ("example.com", false), ("127.0.0.2", false),
  ])
  func aServersCertificateMustBeGoodForItsName(name: String?, isGood: Bool) async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration(), name: name)
      let error = try await loop.run { pair.client.error }
      if isGood {
        #expect(error == nil)
      } else {
        #expect(error?.description.contains("mismatch") == true, "\(error?.description ?? "no error")")
      }
    }
  }

  @Test func anExpiredServerIsNotBelievedExceptByThoseWhoBelieveAnything() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock + .seconds(-7200))
      let server = try TLSConfiguration.server(identity: papers.server())
      let strict = try await Pair.made(on: loop, server: server, client: papers.clientConfiguration())
      #expect(
        try await loop.run { strict.client.error } == .peerCertificateRejected("certificate has expired"))
      let lax = try await Pair.made(on: loop, server: server, client: .client(trust: .anything))
      let handshake = try await loop.run { lax.client.handshake }
      #expect(handshake != nil && handshake?.peer == nil)
    }
  }

  @Test(arguments: [
    (["h2", "http/1.1"], ["http/1.1", "h2"], "h2"), (["h2", "http/1.1"], ["http/1.1"], "http/1.1"),
    (["h2"], [], nil), ([], ["h2"], nil),
  ])
  func theServersPreferenceChoosesTheProtocol(server: [String], client: [String], chosen: String?) async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(protocols: server),
        client: papers.clientConfiguration(protocols: client))
      let (onServer, onClient) = try await loop.run { (pair.server.handshake, pair.client.handshake) }
      #expect(onServer != nil && onClient != nil)
      #expect(onServer?.applicationProtocol == chosen)
      #expect(onClient?.applicationProtocol == chosen)
    }
  }

  @Test func noProtocolInCommonEndsTheHandshake() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(protocols: ["h2"]),
        client: papers.clientConfiguration(protocols: ["trireme-raft"]))
      let (server, client) = try await loop.run { (pair.server.error, pair.client.error) }
      #expect(server == .handshakeFailed("no application protocol (ALPN) in common"))
      #expect(client == .handshakeFailed("no application protocol (ALPN) in common"))
    }
  }

  @Test func plainHTTPIsAnsweredInPlainHTTP() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.listening(on: loop, server: papers.serverConfiguration())
      let handler = try await loop.run { () -> LoopConfined<RecordingHandler> in
        let handler = RecordingHandler()
        StreamConnector.connect(to: pair.listener!.localAddress, on: loop, deadline: .seconds(10)) { result in
          pair.client.transport = try? result.get()
          pair.client.transport?.handler = handler
          pair.client.transport?.write(Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        }
        return LoopConfined(handler, on: loop)
      }
      try await loop.wait { handler.value.closes == 1 }
      let (answer, error) = try await loop.run { (handler.value.received, pair.server.error) }
      #expect(String(decoding: answer, as: UTF8.self).hasSuffix("Client sent an HTTP request to an HTTPS server.\n"))
      #expect(error == .plainHTTPRequest)
      #expect(error?.description == "plain HTTP request sent to TLS port")
    }
  }

  @Test func aClientThatSaysNothingIsTimedOut() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.listening(
        on: loop, server: papers.serverConfiguration(), deadline: .milliseconds(20))
      let stream = try await StreamConnector.connect(
        to: loop.run { pair.listener!.localAddress }, on: loop, deadline: .seconds(10))
      try await loop.wait { pair.server.result != nil }
      #expect(try await loop.run { pair.server.error } == .timedOut)
      stream.execute { $0.abort() }
    }
  }

  @Test func aClientThatLeavesDuringTheHandshakeIsReported() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.listening(on: loop, server: papers.serverConfiguration())
      let stream = try await StreamConnector.connect(
        to: loop.run { pair.listener!.localAddress }, on: loop, deadline: .seconds(10))
      stream.execute {
        $0.write([22, 3, 1, 0, 100, 1])
        $0.close()
      }
      try await loop.wait { pair.server.result != nil }
      #expect(try await loop.run { pair.server.error } == .connectionLost(nil))
    }
  }

  @Test func garbageEndsTheHandshake() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.listening(on: loop, server: papers.serverConfiguration())
      let stream = try await StreamConnector.connect(
        to: loop.run { pair.listener!.localAddress }, on: loop, deadline: .seconds(10))
      stream.execute { $0.write([UInt8](repeating: 0xaa, count: 1000)) }
      try await loop.wait { pair.server.result != nil }
      let error = try await loop.run { pair.server.error }
      #expect(error != nil)
    }
  }
}

@Suite struct TLSStreamTests {
  @Test func tenMegabytesGoBothWaysPastSlowReaders() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration())
      let chunk = (0..<100_003).map { UInt8(truncatingIfNeeded: $0 &* 17 &+ $0 >> 7) }
      let expected = Array(repeatElement(chunk, count: 100).joined())
      try await loop.run {
        for side in [pair.client, pair.server] {
          side.handler.onReceive = { _ in
            side.stream!.pauseReading()
            loop.scheduleConfined(after: .microseconds(10)) { side.stream!.resumeReading() }
          }
          side.stream!.pauseReading()
        }
        for side in [pair.client, pair.server] {
          for _ in 0..<50 { side.stream!.write([chunk]) }
          for _ in 0..<25 {
            side.stream!.write(
              stride(from: 0, to: chunk.count, by: 777).map { Array(chunk[$0..<min($0 + 777, chunk.count)]) })
            chunk.withUnsafeBytes { side.stream!.write($0) }
          }
          #expect(side.stream!.bufferedBytes > 1_000_000)
        }
        for side in [pair.client, pair.server] { side.stream!.resumeReading() }
      }
      try await loop.wait(atMost: .seconds(60)) {
        [pair.client, pair.server].allSatisfy { $0.handler.received.count >= expected.count && $0.handler.drains > 0 }
      }
      try await loop.run {
        for side in [pair.client, pair.server] {
          #expect(side.handler.received == expected)
          #expect(side.handler.drains == 1)
          #expect(side.stream!.bufferedBytes == 0)
          // What waits for a slow peer waits as plain chunks; little of it is encrypted.
          #expect(side.transport!.bufferedBytes == 0)
        }
      }
    }
  }

  @Test func closeSendsWhatIsQueuedAndSaysFarewell() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration())
      let bytes = [UInt8](repeating: 9, count: 5_000_000)
      try await loop.run {
        pair.server.stream!.write([bytes])
        pair.server.stream!.close()
        pair.server.stream!.write(Array("too late".utf8))
      }
      try await loop.wait { pair.client.handler.closes == 1 && pair.server.handler.closes == 1 }
      try await loop.run {
        #expect(pair.client.handler.received == bytes)
        #expect(pair.client.handler.closeError == nil)
        #expect(pair.server.handler.closeError == nil)
      }
    }
  }

  @Test func aConnectionCutWithoutFarewellIsReportedAsTruncated() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration())
      try await loop.run { pair.server.transport!.close() }
      try await loop.wait { pair.client.handler.closes == 1 }
      #expect(try await loop.run { pair.client.handler.closeError } == .truncated)
      #expect(StreamError.truncated.isPeerGone)
    }
  }

  @Test func bytesThatCameWithTheHandshakeWaitForTheHandler() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration())
      try await loop.run {
        pair.server.stream!.handler = nil
        pair.client.stream!.write(Array("early".utf8))
      }
      try await loop.sleep(for: .milliseconds(10))
      try await loop.run { pair.server.stream!.handler = pair.server.handler }
      try await loop.wait { pair.server.handler.received == Array("early".utf8) }
    }
  }

  @Test func whatIsWrittenBeforeTheHandshakeFollowsIt() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.listening(on: loop, server: papers.serverConfiguration())
      let configuration = try papers.clientConfiguration()
      try await loop.run {
        StreamConnector.connect(to: pair.listener!.localAddress, on: loop, deadline: .seconds(10)) { result in
          guard let transport = try? result.get() else { return }
          let stream = TLSStream(client: configuration, over: transport, serverName: "localhost") {
            pair.client.finish($0)
          }
          pair.client.stream = stream
          stream.write(Array("first words".utf8))
        }
      }
      try await loop.wait { pair.server.handler.received == Array("first words".utf8) }
      try await loop.wait { pair.client.handler.drains == 1 }
    }
  }

  @Test func tlsRunsInsideTLS() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let (serverSide, clientSide) = (try papers.serverConfiguration(), try papers.clientConfiguration())
      let outer = try await Pair.made(on: loop, server: serverSide, client: clientSide)
      let inner = Pair(loop: loop)
      let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      try await loop.run {
        inner.server.stream = TLSStream(server: serverSide, over: outer.server.stream!) { inner.server.finish($0) }
        inner.client.stream = TLSStream(client: clientSide, over: outer.client.stream!, serverName: "localhost") {
          inner.client.finish($0)
          inner.client.stream!.write([bytes])
        }
        inner.server.handler.onReceive = { inner.server.stream!.write($0) }
      }
      try await loop.wait { inner.client.handler.received.count >= bytes.count }
      #expect(try await loop.run { inner.client.handler.received == bytes })
    }
  }

  @Test func streamsAreFreedWhenTheyAreClosed() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration())
      let forgotten = try await loop.run { () -> LoopConfined<Forgotten> in
        let forgotten = Forgotten()
        forgotten.streams = [pair.client.stream!, pair.server.stream!].map { Weak(object: $0) }
        forgotten.streams += [pair.client.transport!, pair.server.transport!].map { Weak(object: $0) }
        pair.client.stream!.close()
        for side in [pair.client, pair.server] {
          side.stream = nil
          side.transport = nil
        }
        return LoopConfined(forgotten, on: loop)
      }
      try await loop.wait { forgotten.value.streams.allSatisfy { $0.object == nil } }
    }
  }

  private final class Forgotten {
    var streams: [Weak] = []
  }
  private struct Weak {
    weak var object: AnyObject?
  }
}
