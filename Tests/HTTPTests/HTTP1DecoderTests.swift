// What the HTTP/1.1 decoders accept, and what they refuse (RFC 9112).
import Testing
import World

@testable import HTTP

/// The whole outcome of feeding bytes to a request decoder.
struct Decoded: Equatable, CustomStringConvertible {
  var requests: [String] = []
  var failure: MessageFailure?
  var needsMore = false

  var description: String { "\(requests) \(failure.map { "\($0)" } ?? "") \(needsMore ? "needs more" : "")" }

  /// Feeds `input` in pieces that end at `cuts`.
  init(_ input: [UInt8], cuts: [Int] = [], limits: HTTPLimits = HTTPLimits()) {
    var decoder = HTTP1RequestDecoder(limits: limits)
    var start = 0
    for end in cuts.sorted() + [input.count] {
      let piece = Array(input[start..<end])
      start = end
      do {
        try piece.withUnsafeBytes { bytes in
          var at = 0
          while at < bytes.count {
            guard case .request(let head, let body) = try decoder.consume(bytes, at: &at) else { continue }
            let fields = head.headers.fields.map { "\($0.name)=\($0.value)" }.joined(separator: ";")
            requests.append(
              "\(head.method) \(head.target) \(fields) \(head.keepAlive) \(String(decoding: body, as: UTF8.self))")
          }
        }
      } catch {
        failure = error as? MessageFailure
        return
      }
    }
    needsMore = !decoder.isIdle
  }

  init(_ text: String, cuts: [Int] = [], limits: HTTPLimits = HTTPLimits()) {
    self.init(Array(text.utf8), cuts: cuts, limits: limits)
  }
}

@Suite struct HTTP1RequestDecoderTests {
  @Test func aRequestIsReadWithItsFieldsInLowerCaseAndItsBody() {
    let decoded = Decoded("POST /api?x=1 HTTP/1.1\r\nHost: a\r\nX-Thing:  two words \r\nContent-Length: 5\r\n\r\nhello")
    #expect(decoded.requests == ["POST /api?x=1 host=a;x-thing=two words;content-length=5 true hello"])
    #expect(decoded.failure == nil && !decoded.needsMore)
  }

  @Test func pipelinedRequestsComeOutInOrder() {
    let decoded = Decoded(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n")
    #expect(decoded.requests == ["GET /1 host=a true ", "GET /2 host=a;connection=Close false "])
  }

  @Test func aChunkedBodyIsJoinedAndItsTrailersDropped() {
    let decoded = Decoded(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "5;name=value\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(decoded.requests.count == 2)
    #expect(decoded.requests.first?.hasSuffix("true hello!") == true)
  }

  @Test func anAbsoluteTargetIsReducedToItsPath() {
    let decoded = Decoded("GET http://host:1/p?q HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(decoded.requests == ["GET /p?q host=a true ", "OPTIONS * host=a true "])
  }

  @Test func http10ClosesUnlessItAsksNotTo() {
    let decoded = Decoded("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    #expect(decoded.requests == ["GET /  false ", "GET / connection=keep-alive true "])
  }

  @Test(arguments: [
    (
      "content-length and transfer-encoding",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    ("the same, other order", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
    ("two content-lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n"),
    ("a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n"),
    ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    ("an overflowing length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    ("chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("a folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n"),
    ("a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("a bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n"),
    ("a bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"),
    ("a NUL in a value", "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
    ("white space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    ("a field without a name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n"),
    ("a field without a colon", "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\nX: a\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("two spaces after the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a tab after the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no version", "GET /\r\nHost: a\r\n\r\n"),
    ("bytes after the version", "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n"),
    ("a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target that is no path", "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("three empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a chunk size that is no number", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    ("a chunk size with a prefix", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n"),
    ("a negative chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n"),
    ("a chunk size with a space", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n"),
    ("an empty chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n"),
    (
      "an overflowing chunk size",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"
    ),
    (
      "a chunk that is longer than its size",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n"
    ),
    ("a chunk size ended by LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n"),
    ("a bad trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n folded\r\n\r\n"),
  ])
  func whatTwoReadersCouldUnderstandDifferentlyIsRefused(what: String, text: String) {
    let decoded = Decoded(text)
    #expect(decoded.failure?.status == 400, "\(what): \(decoded)")
    #expect(decoded.requests.isEmpty, "\(what)")
  }

  @Test func otherRefusalsHaveStatusesOfTheirOwn() {
    #expect(Decoded("GET / HTTP/2.0\r\nHost: a\r\n\r\n").failure?.status == 505)
    #expect(Decoded("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").failure?.status == 501)
    #expect(Decoded("GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n").failure?.status == 417)
  }

  @Test func limitsHoldWhateverTheCuts() {
    var limits = HTTPLimits()
    limits.headerBytes = 100
    limits.headerFields = 3
    limits.requestBodyBytes = 10
    let long = "GET /\(String(repeating: "a", count: 100)) HTTP/1.1\r\nHost: a\r\n\r\n"
    let many = "GET / HTTP/1.1\r\nHost: a\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n"
    let counted = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world"
    let chunked =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
    for (text, status) in [(long, 431), (many, 431), (counted, 413), (chunked, 413)] {
      for cuts in [[], Array(1..<text.utf8.count)] {
        #expect(Decoded(text, cuts: cuts, limits: limits).failure?.status == status)
      }
    }
  }

  @Test func expectationIsToldOnceTheHeadIsWhole() throws {
    var decoder = HTTP1RequestDecoder(limits: HTTPLimits())
    func feed(_ text: String) throws -> HTTP1RequestDecoder.Event {
      try Array(text.utf8).withUnsafeBytes { bytes in
        var at = 0
        return try decoder.consume(bytes, at: &at)
      }
    }
    guard
      case .expectsContinue = try feed(
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    else {
      Issue.record("no expectation")
      return
    }
    guard case .request(_, let body) = try feed("ok") else {
      Issue.record("no request")
      return
    }
    #expect(body == Array("ok".utf8))
  }
}

@Suite struct HTTP1ResponseDecoderTests {
  /// Feeds a response in pieces of `size` bytes and writes down what comes out.
  private func decode(_ text: String, method: String = "GET", size: Int) throws -> String {
    var decoder = HTTP1ResponseDecoder()
    decoder.begin(method: method)
    var said = ""
    let input = Array(text.utf8)
    for start in stride(from: 0, to: input.count, by: size) {
      try Array(input[start..<min(start + size, input.count)]).withUnsafeBytes { bytes in
        var at = 0
        feeding: while true {
          switch try decoder.consume(bytes, at: &at) {
          case .needMore: break feeding
          case .informational(let head): said += "i\(head.status) "
          case .head(let head): said += "h\(head.status)\(head.keepAlive ? "+" : "-") "
          case .body(let bytes): said += String(decoding: bytes, as: UTF8.self)
          case .end:
            said += "."
            break feeding
          }
        }
      }
    }
    if !decoder.isIdle { said += decoder.finish() ? "|" : "!" }
    return said
  }

  @Test(arguments: [1, 2, 3, 7, 1000])
  func responsesAreReadHoweverTheyAreCut(size: Int) throws {
    #expect(try decode("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", size: size) == "h200+ hello.")
    #expect(try decode("HTTP/1.1 204 No Content\r\n\r\n", size: size) == "h204+ .")
    #expect(try decode("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", method: "HEAD", size: size) == "h200+ .")
    #expect(
      try decode("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", size: size)
        == "h200+ hello.")
    #expect(
      try decode("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", size: size)
        == "i100 h404+ .")
    #expect(try decode("HTTP/1.1 200 OK\r\n\r\nuntil the end", size: size) == "h200- until the end|")
    #expect(try decode("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut", size: size) == "h200+ cut!")
  }

  @Test(arguments: [
    "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/3 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "junk\r\n",
  ])
  func malformedResponsesAreRefused(text: String) {
    #expect(throws: MessageFailure.self) { try decode(text, size: 1000) }
  }
}

@Suite struct HTTP1EncoderTests {
  @Test func valuesCannotBreakOutOfTheirField() {
    let response = HTTPResponse(status: 200, headers: ["x": "a\r\nset-cookie: b"])
    let head = HTTP1Encoder.responseHead(response, framing: .length(0), date: "D", keepAlive: true, isHTTP10: false)
    #expect(
      String(decoding: head, as: UTF8.self)
        == "HTTP/1.1 200 OK\r\nx: a  set-cookie: b\r\ndate: D\r\ncontent-length: 0\r\n\r\n")
  }

  @Test func datesAreWrittenAsTheRFCWritesThem() {
    // RFC 9110 §5.6.7.
    #expect(DateCache.format(.init(secondsSinceEpoch: 784_111_777)) == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(DateCache.format(.init(secondsSinceEpoch: 951_782_400)) == "Tue, 29 Feb 2000 00:00:00 GMT")
  }

  @Test func aChunkCarriesItsSizeInHexadecimal() {
    let chunk = HTTP1Encoder.chunk([Array(repeating: 97, count: 20), Array("b".utf8)])
    #expect(String(decoding: Array(chunk.joined()), as: UTF8.self) == "15\r\n\(String(repeating: "a", count: 20))b\r\n")
  }
}
