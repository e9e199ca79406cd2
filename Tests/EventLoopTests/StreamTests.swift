import EventLoop
import Glibc
import LoopSupport
import Synchronization
import Testing
import World

/// Everything here is made and used on one loop; the box lets a test hold it.
private final class Link: @unchecked Sendable {
  let loop: EventLoop
  var listener: StreamListener?
  var client: (any Stream)?
  var server: (any Stream)?
  weak var forgottenClient: (any Stream)?
  weak var forgottenServer: (any Stream)?
  var hoard: [Int32] = []
  var remoteAddress = ""
  let clientHandler = RecordingHandler()
  let serverHandler = RecordingHandler()

  init(loop: EventLoop) { self.loop = loop }

  /// A listener and one connection to it.
  static func connected(on loop: EventLoop, at address: Address) async throws -> Link {
    let link = Link(loop: loop)
    try await loop.run {
      link.listener = try StreamListener(loop: loop, address: address) { stream, remote in
        link.server = stream
        link.remoteAddress = remote
        stream.handler = link.serverHandler
      }
      let target = link.listener!.localAddress
      StreamConnector.connect(to: target, on: loop, deadline: .seconds(10)) { result in
        link.client = try? result.get()
        link.client?.handler = link.clientHandler
      }
    }
    try await loop.wait { link.client != nil && link.server != nil }
    return link
  }
}

private let anyPort = Address.ip("127.0.0.1", port: 0)

@Suite struct StreamTests {
  @Test func aConnectionGoesOnOnAnotherLoop() async throws {
    try await withLoop { loop in
      let link = try await Link.connected(on: loop, at: anyPort)
      // Given bytes that have come before it moves, and some that come while no loop has it.
      try await loop.run { link.client!.write(Array("one ".utf8)) }
      try await loop.wait { link.serverHandler.received.count == 4 }
      let socket = try await loop.run { () -> DetachedSocket? in
        defer { link.client!.write(Array("two ".utf8)) }
        return link.server!.detach()
      }
      let moved = try #require(socket)
      try await withLoop { other in
        let away = Link(loop: other)
        try await other.run {
          away.server = moved.attach(to: other)
          away.server?.handler = away.serverHandler
          away.server?.write(Array("answer".utf8))
        }
        try await loop.run { link.client!.write(Array("three".utf8)) }
        try await other.wait { away.serverHandler.received.count == 9 }
        try await loop.wait { link.clientHandler.received.count == 6 }
        try await other.run {
          #expect(away.serverHandler.received == Array("two three".utf8))
          #expect(moved.attach(to: other) == nil)
          away.server!.close()
        }
        try await loop.wait { link.clientHandler.closes == 1 }
      }
      try await loop.run {
        #expect(link.serverHandler.closes == 0)
        #expect(link.server!.detach() == nil)
      }
    }
  }

  @Test func bytesArriveInBothDirections() async throws {
    try await withLoop { loop in
      let link = try await Link.connected(on: loop, at: anyPort)
      try await loop.run {
        link.client!.write(Array("hello".utf8))
        link.server!.write([Array("wo".utf8), [], Array("rld".utf8)])
      }
      try await loop.wait { link.serverHandler.received.count == 5 && link.clientHandler.received.count == 5 }
      try await loop.run {
        #expect(link.serverHandler.received == Array("hello".utf8))
        #expect(link.clientHandler.received == Array("world".utf8))
        #expect(link.remoteAddress.hasPrefix("127.0.0.1:"))
        #expect(link.listener!.acceptedConnections == 1)
      }
    }
  }

  @Test func aSlowReaderHoldsBackTenMegabytesAndGetsThemAll() async throws {
    try await withLoop { loop in
      let link = try await Link.connected(on: loop, at: anyPort)
      let chunk = (0..<100_003).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      let expected = Array(repeatElement(chunk, count: 100).joined())
      try await loop.run {
        link.clientHandler.onReceive = { _ in
          link.client!.pauseReading()
          loop.scheduleConfined(after: .microseconds(10)) { link.client!.resumeReading() }
        }
        link.client!.pauseReading()
        for number in 0..<50 {
          if number % 2 == 0 {
            link.server!.write([chunk, chunk])
          } else {
            chunk.withUnsafeBytes { link.server!.write($0) }
            for byte in stride(from: 0, to: chunk.count, by: 1000) {
              link.server!.write(Array(chunk[byte..<min(byte + 1000, chunk.count)]))
            }
          }
        }
        #expect(link.server!.bufferedBytes > 1_000_000)
        link.client!.resumeReading()
      }
      try await loop.wait(atMost: .seconds(60)) { link.clientHandler.received.count >= expected.count }
      try await loop.wait { link.serverHandler.drains > 0 }
      try await loop.run {
        #expect(link.clientHandler.received == expected)
        #expect(link.server!.bufferedBytes == 0)
        #expect(link.serverHandler.drains == 1)
      }
    }
  }

  @Test func closeSendsWhatIsQueuedFirst() async throws {
    try await withLoop { loop in
      let link = try await Link.connected(on: loop, at: anyPort)
      let bytes = [UInt8](repeating: 7, count: 20_000_000)
      try await loop.run {
        link.server!.write([bytes])
        link.server!.close()
        link.server!.write(Array("too late".utf8))
      }
      try await loop.wait { link.clientHandler.closes == 1 && link.serverHandler.closes == 1 }
      try await loop.run {
        #expect(link.clientHandler.received == bytes)
        #expect(link.clientHandler.closeError == nil)
        #expect(link.serverHandler.closeError == nil)
      }
    }
  }

  @Test func anAnswerReachesAClientWhoseRequestWasNotReadToItsEnd() async throws {
    try await withLoop { loop in
      let link = try await Link.connected(on: loop, at: anyPort)
      try await loop.run {
        link.serverHandler.onReceive = { _ in
          link.server!.write(Array("413".utf8))
          link.server!.close()
        }
        link.client!.write([[UInt8](repeating: 1, count: 600_000)])
      }
      try await loop.wait { link.clientHandler.closes == 1 }
      try await loop.run {
        #expect(link.clientHandler.received == Array("413".utf8))
        #expect(link.clientHandler.closeError == nil)
      }
    }
  }

  @Test func abortTellsBothSidesOnceAndFreesTheStreams() async throws {
    try await withLoop { loop in
      let link = try await Link.connected(on: loop, at: anyPort)
      try await loop.run {
        link.client!.abort()
        link.client!.abort()
        link.client!.close()
      }
      try await loop.wait { link.clientHandler.closes == 1 && link.serverHandler.closes == 1 }
      try await loop.run {
        link.forgottenClient = link.client
        link.forgottenServer = link.server
        link.client = nil
        link.server = nil
      }
      try await loop.wait { link.forgottenClient == nil && link.forgottenServer == nil }
    }
  }

  @Test func aStreamLivesByItsHandlerAloneUntilItCloses() async throws {
    try await withLoop { loop in
      let link = try await Link.connected(on: loop, at: anyPort)
      try await loop.run {
        link.serverHandler.onReceive = { [unowned link] bytes in link.client?.write(Array(bytes)) }
        let server = link.server!
        link.server = nil
        link.serverHandler.onReceive = { bytes in server.write(bytes) }
        link.client!.write(Array("echo".utf8))
      }
      try await loop.wait { link.clientHandler.received == Array("echo".utf8) }
    }
  }

  @Test func aHandlerSetAfterTheCloseIsStillTold() async throws {
    try await withLoop { loop in
      let link = try await Link.connected(on: loop, at: anyPort)
      let late = LateHandler()
      try await loop.run {
        link.client!.handler = nil
        link.client!.abort()
      }
      try await loop.run { link.client!.handler = late.handler }
      try await loop.wait { late.handler.closes == 1 }
    }
  }

  @Test func unixSocketsCarryBytesAndReplaceAbandonedOnes() async throws {
    let directory = try FileSystem.createTemporaryDirectory(prefix: "trireme-")
    defer { try? FileSystem.removeTree(directory) }
    let address = Address.unix(path: "\(directory)/socket")
    try await withLoop { loop in
      let link = try await Link.connected(on: loop, at: address)
      try await loop.run { link.client!.write(Array("hello".utf8)) }
      try await loop.wait { link.serverHandler.received == Array("hello".utf8) }
      await #expect(throws: StreamError.self) {
        try await loop.run { _ = try StreamListener(loop: loop, address: address) { _, _ in } }
      }
      // A socket file nobody listens on, as a killed process leaves it.
      try await loop.run { try FileSystem.rename("\(directory)/socket", to: "\(directory)/kept") }
      try await loop.run { link.listener!.close() }
      try await loop.run { try FileSystem.rename("\(directory)/kept", to: "\(directory)/socket") }
      try await loop.run { try StreamListener(loop: loop, address: address) { _, _ in }.close() }
      #expect(!FileSystem.exists("\(directory)/socket"))
    }
  }

  @Test func connectingWhereNobodyListensFails() async throws {
    try await withLoop { loop in
      let port = try await loop.run {
        let listener = try StreamListener(loop: loop, address: anyPort) { _, _ in }
        defer { listener.close() }
        return listener.localAddress
      }
      let error = await #expect(throws: StreamError.self) {
        _ = try await StreamConnector.connect(to: port, on: loop, deadline: .seconds(10))
      }
      #expect(error?.description == "connect to \(port): connection refused")
      await #expect(throws: StreamError.self) {
        _ = try await StreamConnector.connect(to: .unix(path: "/nonexistent"), on: loop, deadline: .seconds(10))
      }
      await #expect(throws: StreamError.unusableAddress("")) {
        _ = try await StreamConnector.connect(to: .unix(path: ""), on: loop, deadline: .seconds(10))
      }
    }
  }

  @Test func hostNamesAreResolved() async throws {
    try await withLoop { loop in
      let link = Link(loop: loop)
      let port = try await loop.run {
        link.listener = try StreamListener(loop: loop, address: anyPort) { stream, _ in link.server = stream }
        return link.listener!.localAddress.port
      }
      _ = try await StreamConnector.connect(to: .ip("localhost", port: port), on: loop, deadline: .seconds(10))
      try await loop.wait { link.server != nil }
    }
  }

  @Test func aConnectionThatIsNotAcceptedTimesOut() async throws {
    try await withLoop { loop in
      // A backlog of one that is full: the kernel drops further attempts.
      let link = Link(loop: loop)
      let address = try await loop.run {
        link.listener = try StreamListener(loop: loop, address: anyPort, backlog: 0) { _, _ in }
        link.listener!.pause()
        return link.listener!.localAddress
      }
      var timedOut = false
      for _ in 0..<4 where !timedOut {
        do {
          _ = try await StreamConnector.connect(to: address, on: loop, deadline: .milliseconds(100))
        } catch let error as StreamError {
          #expect(error == .timedOut(operation: "connect to \(address)"))
          timedOut = true
        }
      }
      #expect(timedOut)
    }
  }

  @Test func twoLoopsShareAPort() async throws {
    try await withLoop("one") { one in
      try await withLoop("two") { two in
        let accepted = Atomic<Int>(0)
        let address = try await one.run {
          try StreamListener(loop: one, address: anyPort, reusePort: true) { _, _ in
            accepted.wrappingAdd(1, ordering: .relaxed)
          }.localAddress
        }
        try await two.run {
          _ = try StreamListener(loop: two, address: address, reusePort: true) { _, _ in
            accepted.wrappingAdd(1, ordering: .relaxed)
          }
        }
        for _ in 0..<20 { _ = try await StreamConnector.connect(to: address, on: one, deadline: .seconds(10)) }
        try await one.wait { accepted.load(ordering: .relaxed) == 20 }
      }
    }
  }

  @Test func aConnectionGivesUpWhenTheOtherMachineAcknowledgesNothing() async throws {
    try await withLoop { loop in
      let link = Link(loop: loop)
      let address = try await loop.run {
        link.listener = try StreamListener(loop: loop, address: anyPort) { stream, _ in link.server = stream }
        StreamConnector.connect(
          to: link.listener!.localAddress, on: loop, deadline: .seconds(10), unacknowledgedLimit: .milliseconds(1500)
        ) { result in link.client = try? result.get() }
        return link.listener!.localAddress
      }
      try await loop.wait { link.client != nil }
      // Nothing is lost on loopback: what the system was told has to do.
      #expect(try await loop.run { userTimeouts(ofConnectionsTo: address) } == [1500])
    }
  }

  @Test func aListenerWithoutDescriptorsWaitsUntilThereAreSome() async throws {
    await #expect(processExitsWith: .success) {
      let loop = EventLoop.start(name: "test")
      let link = Link(loop: loop)
      let errors = Atomic<Int>(0)
      let address = try await loop.run {
        link.listener = try StreamListener(loop: loop, address: anyPort) { stream, _ in link.server = stream }
        link.listener!.onError = { _ in errors.wrappingAdd(1, ordering: .relaxed) }
        return link.listener!.localAddress
      }
      // One descriptor for the client's end and one that libuv keeps in reserve, none for the server's end.
      try await loop.run {
        StreamConnector.connect(to: address, on: loop, deadline: .seconds(10)) { result in
          link.client = try? result.get()
        }
        while case let descriptor = dup(0), descriptor >= 0 { link.hoard.append(descriptor) }
        for _ in 0..<2 { close(link.hoard.removeLast()) }
      }
      try await loop.wait { errors.load(ordering: .relaxed) > 0 }
      precondition(errors.load(ordering: .relaxed) < 5, "the listener spins")
      try await loop.run { for descriptor in link.hoard { close(descriptor) } }
      try await loop.wait { link.listener!.acceptedConnections == 1 }
    }
  }

  @Test func aStoppingLoopTellsItsStreams() async throws {
    let loop = EventLoop.start(name: "stopping")
    let link = try await Link.connected(on: loop, at: anyPort)
    loop.stop()
    loop.join()
    #expect(link.clientHandler.closes == 1)
    #expect(link.clientHandler.closeError == .loopStopped)
    #expect(link.serverHandler.closes == 1)
  }

  private final class LateHandler: @unchecked Sendable {
    let handler = RecordingHandler()
  }
}

@Suite struct AddressTests {
  @Test(arguments: [
    ("127.0.0.1:6443", Address.ip("127.0.0.1", port: 6443)), ("[::1]:1", .ip("::1", port: 1)),
    ("localhost:80", .ip("localhost", port: 80)), ("/run/x.sock", .unix(path: "/run/x.sock")),
    ("unix:///run/x.sock", .unix(path: "/run/x.sock")),
  ])
  func addressesAreReadFromText(text: String, address: Address) {
    #expect(Address(text) == address)
    if !text.hasPrefix("unix:") { #expect(address.description == text) }
  }

  @Test(arguments: ["", "127.0.0.1", "::1:80", ":80", "host:", "host:65536", "host:-1", "[host]:1", "[::1]"])
  func otherTextsAreRefused(text: String) { #expect(Address(text) == nil) }
}

/// Milliseconds after which the system gives up on this process's connections to an address.
private func userTimeouts(ofConnectionsTo address: Address) -> [UInt32] {
  guard case .ip(_, let port) = address else { return [] }
  return (0..<1024).compactMap { descriptor in
    var peer = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isConnected = withUnsafeMutablePointer(to: &peer) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(Int32(descriptor), $0, &size) == 0 }
    }
    guard isConnected, peer.sin_family == sa_family_t(AF_INET), UInt16(bigEndian: peer.sin_port) == port else {
      return nil
    }
    var milliseconds: UInt32 = 0
    var length = socklen_t(MemoryLayout<UInt32>.size)
    let code = getsockopt(Int32(descriptor), Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, &length)
    return code == 0 ? milliseconds : nil
  }
}
