// A server that ends serves what its clients sent before they knew.
import EventLoop
import LoopSupport
import TLS
import Testing

@testable import HTTP

@Suite struct DrainTests {
  /// Given a client that hears of the server's end late, when it sends a request meanwhile, then that is answered; only
  /// then the connection ends.
  @Test func whatIsSentBeforeTheEndIsHeardOfIsAnswered() async throws {
    let server = try await TestServer.start(tls: ["h2"]) { request in .text(request.target) }
    let proxy = try await DelayingProxy(server)
    let client = HTTPClient(
      loop: server.loop, endpoint: proxy.address, tls: try TestCertificates.shared.clientTLS(), serverName: "127.0.0.1")
    let first = try await client.send(HTTPRequest(method: "GET", target: "/first"))
    #expect(try await first.body.collect() == Array("/first".utf8))
    await proxy.hold()
    let shutdown = Task { await server.server.shutdown(deadline: .seconds(10)) }
    try await eventually("nothing is said of the end") { proxy.heldBytes.value > 0 }
    let second = Task { try await client.send(HTTPRequest(method: "GET", target: "/second")) }
    try await eventually("the request does not come") { server.server.requestCount == 1 || proxy.passed.value > 0 }
    await proxy.release()
    #expect(try await second.value.body.collect() == Array("/second".utf8))
    await shutdown.value
    #expect(server.server.connectionCount == 0)
    client.close()
    await server.stop()
  }

  /// Given a connection on which nothing was ever said, when the server ends, then it does not wait for it for long.
  @Test func whoNeverSaysAnythingIsNotWaitedFor() async throws {
    let server = try await TestServer.start(tls: ["h2"]) { _ in .text("ok") }
    let proxy = try await DelayingProxy(server)
    let client = HTTPClient(
      loop: server.loop, endpoint: proxy.address, tls: try TestCertificates.shared.clientTLS(), serverName: "127.0.0.1")
    _ = try await client.send(HTTPRequest(method: "GET", target: "/")).body.collect()
    await proxy.hold()
    await server.server.shutdown(deadline: .seconds(100))
    #expect(server.server.connectionCount == 0)
    client.close()
    await server.stop()
  }
}

/// Passes the bytes of one connection; those of the server wait while they are held.
private final class DelayingProxy: Sendable {
  let address: Address
  /// How much of the server's waits.
  let heldBytes: Shared<Int>
  /// How much has come from the client since the server's waits.
  let passed: Shared<Int>
  private let loop: EventLoop
  private let gate: LoopConfined<Gate>

  /// What the server says goes through here.
  private final class Gate {
    var client: (any Stream)?
    var isShut = false
    var waiting: [UInt8] = []
    var isOver = false
    let heldBytes: Shared<Int>
    init(_ heldBytes: Shared<Int>) { self.heldBytes = heldBytes }

    func pass(_ bytes: UnsafeRawBufferPointer) {
      guard isShut else {
        client?.write(bytes)
        return
      }
      waiting += bytes
      heldBytes.update { $0 = self.waiting.count }
    }
    func end() {
      isOver = true
      if !isShut { client?.close() }
    }
    func open() {
      isShut = false
      client?.write(waiting)
      if isOver { client?.close() }
    }
  }

  private final class Side: StreamHandler {
    let take: (UnsafeRawBufferPointer) -> Void
    let end: () -> Void
    init(_ take: @escaping (UnsafeRawBufferPointer) -> Void, _ end: @escaping () -> Void) {
      self.take = take
      self.end = end
    }
    func streamDidReceive(_ bytes: UnsafeRawBufferPointer) { take(bytes) }
    func streamDidClose(_ error: StreamError?) { end() }
  }

  init(_ server: TestServer) async throws {
    let (loop, target) = (server.loop, server.address)
    let (heldBytes, passed) = (Shared(0), Shared(0))
    (self.loop, self.heldBytes, self.passed) = (loop, heldBytes, passed)
    let gate = LoopConfined(Gate(heldBytes), on: loop)
    self.gate = gate
    address = try await withCheckedThrowingContinuation { continuation in
      loop.execute {
        continuation.resume(
          with: Result {
            try StreamListener(loop: loop, address: .ip("127.0.0.1", port: 0)) { client, _ in
              StreamConnector.connect(to: target, on: loop, deadline: .seconds(5)) { result in
                guard case .success(let other) = result else { return client.abort() }
                let gate = gate.value
                gate.client = client
                client.handler = Side(
                  { bytes in
                    if gate.isShut { passed.update { $0 += 1 } }
                    other.write(bytes)
                  }, { other.close() })
                other.handler = Side(gate.pass, gate.end)
              }
            }.localAddress
          })
      }
    }
  }

  func hold() async { await onLoop { $0.isShut = true } }
  func release() async { await onLoop { $0.open() } }

  private func onLoop(_ body: @escaping @Sendable (Gate) -> Void) async {
    let gate = gate
    await withCheckedContinuation { done in
      loop.execute {
        body(gate.value)
        done.resume()
      }
    }
  }
}
