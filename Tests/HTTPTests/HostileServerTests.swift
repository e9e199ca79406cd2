// Our HTTP/2 client, and a server that says what no honest one does: webhooks, aggregated servers and kubelets are
// somebody else's programs. The seed is fixed; whatever fails here fails again.
import EventLoop
import LoopSupport
import SeedSupport
import Testing

@testable import HTTP

@Suite struct HostileServerTests {
  /// What an honest server says to three requests, to each another kind of answer.
  private static func honestAnswers() throws -> [UInt8] {
    let client = HTTP2Session(role: .client, limits: HTTPLimits())
    for path in ["/a", "/b", "/c"] {
      _ = client.submitRequest(
        [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", path)], hasBody: false)
    }
    let server = HTTP2Session(role: .server, limits: HTTPLimits())
    let owner = AnsweringOwner { [unowned server] stream in
      switch stream.id {
      case 1: server.submitResponse(stream, [(":status", "200"), ("content-length", "5")], hasBody: true)
      case 3: server.submitResponse(stream, [(":status", "200"), ("x-y", "z")], hasBody: true)
      default: return server.submitResponse(stream, [(":status", "204")], hasBody: false)
      }
      server.append(Array("hello".utf8), to: stream)
      server.finish(stream)
    }
    server.owner = owner
    try client.output.withUnsafeBytes { try server.receive($0) }
    return server.output
  }

  /// Frames that a server may send at any time, and some that it may not: type, flags, stream, content.
  private static func frame(_ random: inout SeededRandom) -> [UInt8] {
    let length = random.next(below: 3) == 0 ? 0 : random.next(below: 40)
    let claimed = random.next(below: 8) == 0 ? random.next(below: 1 << 24) : length
    let content = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next() as UInt64) }
    let stream = UInt8(random.next(below: 8))
    return [
      UInt8(claimed >> 16 & 255), UInt8(claimed >> 8 & 255), UInt8(claimed & 255), UInt8(random.next(below: 12)),
      UInt8(truncatingIfNeeded: random.next() as UInt64), 0, 0, 0, stream,
    ] + content
  }

  private static func mutated(_ input: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var bytes = input
    for _ in 0..<random.next(below: 5) {
      let at = random.next(below: bytes.count + 1)
      switch random.next(below: 5) {
      case 0 where at < bytes.count: bytes[at] ^= 1 << UInt8(random.next(below: 8))
      case 1: bytes.removeSubrange(at..<min(bytes.count, at + random.next(below: 12)))
      case 2: bytes.removeSubrange(at...)
      case 3: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + random.next(below: 30))], at: at)
      default: bytes.insert(contentsOf: frame(&random), at: at)
      }
    }
    return bytes
  }

  /// Says its piece in parts, whatever it is asked, and hangs up or does not. Loop-confined.
  private final class Speaker: StreamHandler, @unchecked Sendable {
    private let stream: any Stream
    private let parts: [[UInt8]]
    private let hangsUp: Bool

    init(_ stream: any Stream, _ bytes: [UInt8], _ random: inout SeededRandom) {
      self.stream = stream
      let cut = random.next(below: bytes.count + 1)
      parts = [Array(bytes[..<cut]), Array(bytes[cut...])]
      hangsUp = random.next(below: 10) > 0
      stream.handler = self
    }

    func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
      for part in parts where !part.isEmpty { stream.write(part) }
      if hangsUp { stream.close() }
    }
    func streamDidDrain() {}
    func streamDidClose(_ error: StreamError?) {}
  }

  @Test func everyRequestEndsAndLeavesNothing() async throws {
    let honest = try Self.honestAnswers()
    let random = Shared(SeededRandom(seed: 5))
    let speakers = Shared<[Speaker]>([])
    let server = try await TestServer.start(
      tls: ["h2"],
      alpnHandlers: [
        "h2": { stream, _ in
          nonisolated(unsafe) let stream = stream
          random.update { random in
            let speaker = Speaker(stream, Self.mutated(honest, &random), &random)
            speakers.update { $0.append(speaker) }
          }
        }
      ]
    ) { _ in .text("not asked") }
    var limits = HTTPClientLimits()
    limits.responseHeaderTime = .milliseconds(100)
    var answers = 0
    for _ in 0..<400 {
      let client = try server.client(limits: limits)
      let endings = await withTaskGroup(of: Bool.self) { group in
        for path in ["/a", "/b", "/c"] {
          group.addTask {
            let request = HTTPRequest(method: "POST", target: path, body: .bytes(Array("x".utf8)))
            guard let response = try? await client.send(request, within: .milliseconds(100), isWhole: true) else {
              return false
            }
            return (try? await response.body.collect(upTo: 1 << 20)) != nil
          }
        }
        return await group.reduce(into: [Bool]()) { $0.append($1) }
      }
      #expect(endings.count == 3)
      answers += endings.count { $0 }
      client.close()
      try await eventually("a connection is left") { await client.connectionCount() == 0 }
    }
    #expect(answers > 100, "some are not hurt")
    await server.stop()
  }
}
