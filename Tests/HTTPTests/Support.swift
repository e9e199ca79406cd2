// A server, certificates and raw connections for the tests of this target.
import EventLoop
import LoopSupport
import Synchronization
import TLS
import Testing
import World

@testable import HTTP

struct ClosureHandler: HTTPHandler {
  let body: @Sendable (HTTPRequest) async -> HTTPResponse
  func respond(to request: HTTPRequest) async -> HTTPResponse { await body(request) }
}

extension HTTPResponse {
  static func text(_ text: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(status: status, headers: ["content-type": "text/plain"], body: .bytes(Array(text.utf8)))
  }
}

/// One authority for all tests of the process, with a server's and a client's certificate.
struct TestCertificates: Sendable {
  let authority: CertificateAuthority
  let server: Identity
  let client: Identity

  static let shared: TestCertificates = {
    let now = WallTime(secondsSinceEpoch: 1_700_000_000)
    do {
      let authority = try CertificateAuthority.generate(
        commonName: "test authority", lifetime: .seconds(3_000_000_000), now: now)
      return TestCertificates(
        authority: authority,
        server: try authority.issue(
          CertificateTemplate(
            commonName: "server", dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"],
            usages: [.serverAuthentication], lifetime: .seconds(2_000_000_000)), now: now),
        client: try authority.issue(
          CertificateTemplate(
            commonName: "alice", organizations: ["devs"], usages: [.clientAuthentication],
            lifetime: .seconds(2_000_000_000)), now: now))
    } catch {
      preconditionFailure("\(error)")
    }
  }()

  func serverTLS(protocols: [String] = ["h2", "http/1.1"]) throws -> TLSConfiguration {
    try .server(identity: server, clientTrust: [authority.certificate], protocols: protocols)
  }
  func clientTLS(withCertificate: Bool = true) throws -> TLSConfiguration {
    try .client(trust: .certificates([authority.certificate]), identity: withCertificate ? client : nil)
  }
}

/// A running server on loops of its own.
final class TestServer: Sendable {
  let loops: [EventLoop]
  let server: HTTPServer
  let address: Address
  let events: EventLog

  static func start(
    tls: [String]? = nil, loops: Int = 1, limits: HTTPLimits = HTTPLimits(), alpnHandlers: [String: ALPNHandler] = [:],
    openProbes: [String: OpenProbe] = [:],
    _ handler: @escaping @Sendable (HTTPRequest) async -> HTTPResponse
  ) async throws -> TestServer {
    let loops = (0..<loops).map { EventLoop.start(name: "test-\($0)") }
    let events = EventLog()
    let server = HTTPServer(
      loops: loops, address: .ip("127.0.0.1", port: 0),
      tls: try tls.map { try TestCertificates.shared.serverTLS(protocols: $0) }, handler: ClosureHandler(body: handler),
      limits: limits, alpnHandlers: alpnHandlers, openProbes: openProbes, onEvent: { events.add($0) })
    return TestServer(loops: loops, server: server, address: try await server.start(), events: events)
  }

  private init(loops: [EventLoop], server: HTTPServer, address: Address, events: EventLog) {
    self.loops = loops
    self.server = server
    self.address = address
    self.events = events
  }

  var loop: EventLoop { loops[0] }
  var url: String { "https://127.0.0.1:\(address.port)" }
  var plainURL: String { "http://127.0.0.1:\(address.port)" }

  func client(tls: Bool = true, limits: HTTPClientLimits = HTTPClientLimits()) throws -> HTTPClient {
    HTTPClient(
      loop: loop, endpoint: address, tls: tls ? try TestCertificates.shared.clientTLS() : nil, serverName: "127.0.0.1",
      limits: limits)
  }

  func stop() async {
    await server.shutdown(deadline: .milliseconds(100))
    for loop in loops {
      loop.stop()
      loop.join()
    }
  }
}

final class EventLog: Sendable {
  private let events = Mutex<[HTTPServerEvent]>([])
  func add(_ event: HTTPServerEvent) { events.withLock { $0.append(event) } }
  var texts: [String] { events.withLock { $0.map(\.description) } }
}

/// Waits until a writer that would write for ever has written something and nothing more for a tenth of a second. How much
/// that is the kernel's buffers decide, which take tens of megabytes on some machines.
func heldBack(_ written: Shared<Int>) async throws {
  var before = -1
  try await eventually("the writer was never held back") {
    defer { before = written.value }
    try await Task.sleep(for: .milliseconds(100))
    return before == written.value && before > 0
  }
}

/// Keeps what a stream says.
final class Collector: StreamHandler {
  private let received: Shared<[UInt8]>
  private let closed: Shared<Bool>
  init(_ received: Shared<[UInt8]>, _ closed: Shared<Bool>) {
    self.received = received
    self.closed = closed
  }
  func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
    let bytes = Array(bytes)
    received.update { $0 += bytes }
  }
  func streamDidClose(_ error: StreamError?) { closed.update { $0 = true } }
}

/// A TCP connection that says exactly what a test wants said.
final class RawConnection: Sendable {
  private let stream: LoopConfined<any Stream>
  private let received = Shared<[UInt8]>([])
  private let closed = Shared(false)

  /// Connects, and says `first` in the same turn of the loop: no deadline of the server's passes in between, however
  /// busy the machine.
  init(_ server: TestServer, saying first: String = "") async throws {
    let (loop, address) = (server.loop, server.address)
    stream = try await withCheckedThrowingContinuation { [received, closed] continuation in
      loop.execute {
        StreamConnector.connect(to: address, on: loop, deadline: .seconds(5)) { result in
          continuation.resume(
            with: result.map { stream in
              stream.handler = Collector(received, closed)
              stream.write(Array(first.utf8))
              return LoopConfined(stream, on: loop)
            })
        }
      }
    }
  }

  func send(_ text: String) { send(Array(text.utf8)) }
  func send(_ bytes: [UInt8]) { stream.execute { $0.write(bytes) } }
  func pauseReading() { stream.execute { $0.pauseReading() } }
  func resumeReading() { stream.execute { $0.resumeReading() } }
  func abort() { stream.execute { $0.abort() } }

  var text: String { String(decoding: received.value, as: UTF8.self) }
  var bytes: [UInt8] { received.value }
  var isClosed: Bool { closed.value }

  /// Everything received once it satisfies `condition`.
  func text(
    until condition: @escaping (String) -> Bool, file: String = #fileID, line: Int = #line
  ) async throws -> String {
    try await eventually("received only: \(text.prefix(2000))", file: file, line: line) { condition(text) }
    return text
  }

  /// Everything received when the server has closed the connection.
  func textAtClose(file: String = #fileID, line: Int = #line) async throws -> String {
    try await eventually("not closed; received: \(text.prefix(2000))", file: file, line: line) { isClosed }
    return text
  }
}

/// Answers every request of a session at once, as `answer` has it; one whose header is too large as `refuse` has it.
final class AnsweringOwner: HTTP2SessionOwner {
  private let answer: (HTTP2Stream) -> Void
  private let refuse: (HTTP2Stream) -> Void
  init(_ answer: @escaping (HTTP2Stream) -> Void, refuse: @escaping (HTTP2Stream) -> Void = { _ in }) {
    self.answer = answer
    self.refuse = refuse
  }
  func sessionDidReceiveHead(_ stream: HTTP2Stream) {}
  func sessionDidReceiveData(_ stream: HTTP2Stream, _ bytes: UnsafeRawBufferPointer) {}
  func sessionDidReceiveEnd(_ stream: HTTP2Stream) { answer(stream) }
  func sessionHeaderTooLarge(_ stream: HTTP2Stream) { refuse(stream) }
  func sessionDidTakeBody(_ stream: HTTP2Stream) {}
  func sessionDidClose(_ stream: HTTP2Stream, errorCode: UInt32) {}
  func sessionDidReset(_ stream: HTTP2Stream?) {}
  func sessionDidReceiveGoAway(lastStream: Int32, errorCode: UInt32) {}
  func sessionDidReceivePingAcknowledgement() {}
}

extension HTTP2Session {
  /// All that it has to say now.
  var output: [UInt8] {
    var all: [UInt8] = []
    while let bytes = nextOutput() { all += bytes }
    return all
  }
}
