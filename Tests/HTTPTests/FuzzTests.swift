// Bytes that no honest peer sends. The seed is fixed; whatever fails here fails again.
import LoopSupport
import SeedSupport
import Testing

@testable import HTTP

@Suite struct FuzzTests {
  /// Bytes that mean something to the parsers are inserted more often than others.
  private static let meaningful: [[UInt8]] = [
    "\r\n", "\n", "\r", " ", ":", ",", ";", "0", "f", "GET ", "HTTP/1.1", "Content-Length: ",
    "Transfer-Encoding: chunked",
    "chunked", "Host: a\r\n", "\r\n\r\n", "0\r\n\r\n", "ffff", "100-continue", "\0", "\u{ff}", "5\r\nhello\r\n",
  ].map { Array($0.utf8) }

  private static func mutate(_ input: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var bytes = input
    for _ in 0..<Int.random(in: 0...4, using: &random) {
      let at = Int.random(in: 0...bytes.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0 where at < bytes.count: bytes[at] = UInt8.random(in: 0...255, using: &random)
      case 1 where at < bytes.count: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 2: bytes.insert(contentsOf: meaningful.randomElement(using: &random)!, at: at)
      case 3: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 0...8, using: &random)))
      case 4: bytes.removeSubrange(at...)
      default:
        let end = min(bytes.count, at + Int.random(in: 0...30, using: &random))
        bytes.insert(contentsOf: bytes[at..<end], at: at)
      }
    }
    return bytes
  }

  private static func cuts(_ count: Int, _ random: inout SeededRandom) -> [Int] {
    (0..<Int.random(in: 0...5, using: &random)).map { _ in Int.random(in: 0...count, using: &random) }
  }

  @Test func requestsMeanTheSameHoweverTheyAreCut() {
    var random = SeededRandom(seed: 1)
    let seeds = [
      "GET /api/v1/pods?limit=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: b\r\n\r\n",
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;e\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
      "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nleft over",
    ].map { Array($0.utf8) }
    var limits = HTTPLimits()
    limits.headerBytes = 300
    limits.requestBodyBytes = 64
    for _ in 0..<100_000 {
      let input = Self.mutate(seeds.randomElement(using: &random)!, &random)
      let whole = Decoded(input, limits: limits)
      let cut = Decoded(input, cuts: Self.cuts(input.count, &random), limits: limits)
      guard whole == cut else {
        Issue.record("\(String(decoding: input, as: UTF8.self).debugDescription): \(whole) but cut \(cut)")
        return
      }
    }
  }

  @Test func responsesNeverTrap() {
    var random = SeededRandom(seed: 2)
    let seeds = [
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "HTTP/1.0 404 Not Found\r\n\r\nto the end",
    ].map { Array($0.utf8) }
    for _ in 0..<100_000 {
      let input = Self.mutate(seeds.randomElement(using: &random)!, &random)
      var decoder = HTTP1ResponseDecoder()
      decoder.begin(method: "GET")
      var start = 0
      feeding: for end in Self.cuts(input.count, &random).sorted() + [input.count] {
        let piece = Array(input[start..<end])
        start = end
        var isOver = false
        piece.withUnsafeBytes { bytes in
          var at = 0
          while !isOver {
            switch try? decoder.consume(bytes, at: &at) {
            case nil, .end: isOver = true
            case .needMore: return
            default: break
            }
          }
        }
        if isOver { break feeding }
      }
    }
  }

  @Test func webSocketFramesMeanTheSameHoweverTheyAreCut() {
    var random = SeededRandom(seed: 3)
    func frames(_ count: Int) -> [UInt8] {
      (0..<count).flatMap { _ -> [UInt8] in
        let payload = [UInt8](repeating: 65, count: [0, 5, 125, 126, 300].randomElement(using: &random)!)
        let message: WebSocketMessage =
          [
            .binary(payload), .text(String(decoding: payload, as: UTF8.self)), .ping(Array(payload.prefix(100))),
            .close(code: 1000, reason: "bye"),
          ].randomElement(using: &random)!
        var frame = message.encoded(mask: UInt32.random(in: 0...UInt32.max, using: &random))
        if Bool.random(using: &random) { frame[0] &= 0x7f }
        if Int.random(in: 0..<4, using: &random) == 0 { frame[0] &= 0xf0 }
        return frame
      }
    }
    func decode(_ input: [UInt8], _ cuts: [Int]) -> String {
      var decoder = WebSocketDecoder(isServer: true, messageLimit: 400)
      var said = ""
      var start = 0
      for end in cuts.sorted() + [input.count] {
        var piece = input[start..<end]
        start = end
        do {
          while let message = try decoder.next(from: &piece) { said += "\(message) " }
        } catch {
          return said + "\(error)"
        }
      }
      return said
    }
    for _ in 0..<30_000 {
      let input = Self.mutate(frames(Int.random(in: 1...4, using: &random)), &random)
      let whole = decode(input, [])
      let cut = decode(input, Self.cuts(input.count, &random))
      guard whole == cut else {
        Issue.record("\(input): \(whole) but cut \(cut)")
        return
      }
    }
  }

  @Test func http2SessionsSurviveAnyBytes() throws {
    var random = SeededRandom(seed: 4)
    // What an honest client says: the preface, settings and three requests, one with a body.
    let client = HTTP2Session(role: .client, limits: HTTPLimits())
    for path in ["/a", "/b", "/c"] {
      let stream = try #require(
        client.submitRequest(
          [(":method", "POST"), (":scheme", "https"), (":authority", "a"), (":path", path), ("x-y", "z")],
          hasBody: path == "/c"))
      if path == "/c" {
        client.append([UInt8](repeating: 7, count: 100), to: stream)
        client.finish(stream)
      }
    }
    let honest = client.output
    for _ in 0..<10_000 {
      let input = Self.mutate(honest, &random)
      let session = HTTP2Session(role: .server, limits: HTTPLimits())
      let owner = AnsweringOwner { [unowned session] stream in
        session.submitResponse(stream, [(":status", "200")], hasBody: true)
        session.append(Array("hello".utf8), to: stream)
        session.finish(stream)
      } refuse: { [unowned session] stream in
        session.submitResponse(stream, [(":status", "431")], hasBody: false)
      }
      session.owner = owner
      var start = 0
      for end in Self.cuts(input.count, &random).sorted() + [input.count] {
        let piece = Array(input[start..<end])
        start = end
        guard (try? piece.withUnsafeBytes { try session.receive($0) }) != nil else { break }
        _ = session.output
      }
    }
  }
}
