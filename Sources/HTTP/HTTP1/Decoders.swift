// Whole HTTP/1.1 messages out of a stream of bytes that may break anywhere. No I/O: bytes in, events out.

/// Requests as a server reads them: a head and its whole body.
struct HTTP1RequestDecoder {
  enum Event {
    /// All bytes are taken and the request is not whole yet.
    case needMore
    /// The peer waits for "100 Continue" before it sends the body; go on consuming.
    case expectsContinue
    case request(RequestHead, body: [UInt8])
  }
  private enum State {
    case head(RequestHeadParser)
    case body(RequestHead, BodyDecoder, [UInt8])
  }

  private let limits: HTTPLimits
  private var state: State

  init(limits: HTTPLimits) {
    self.limits = limits
    state = .head(Self.headParser(limits))
  }

  /// Between two requests: nothing of the next one has arrived.
  var isIdle: Bool { if case .head(let parser) = state { !parser.hasBegun } else { false } }
  var isInBody: Bool { if case .body = state { true } else { false } }

  /// Takes bytes from `at` on, up to the end of one request at most. Throws `MessageFailure`.
  mutating func consume(_ bytes: UnsafeRawBufferPointer, at: inout Int) throws -> Event {
    if case .head(var parser) = state {
      state = .head(Self.headParser(limits))
      guard let head = try parser.consume(bytes, at: &at) else {
        state = .head(parser)
        return .needMore
      }
      switch head.framing {
      case .none, .untilClose: return .request(head, body: [])
      case .length(let length):
        guard length <= limits.requestBodyBytes else {
          throw MessageFailure.bodyTooLarge(limit: limits.requestBodyBytes)
        }
        if length == 0 { return .request(head, body: []) }
        var body: [UInt8] = []
        // What the peer announces is not yet what it sends: reserve what has arrived, or a little ahead of it.
        body.reserveCapacity(min(length, max(bytes.count - at, 16 << 10)))
        state = .body(head, BodyDecoder(head.framing), body)
      case .chunked: state = .body(head, BodyDecoder(.chunked), [])
      }
      if head.expectsContinue, at == bytes.count { return .expectsContinue }
    }
    return try consumeBody(bytes, at: &at)
  }

  private mutating func consumeBody(_ bytes: UnsafeRawBufferPointer, at: inout Int) throws -> Event {
    guard case .body(let head, var decoder, var body) = state else { return .needMore }
    state = .head(Self.headParser(limits))
    try decoder.consume(bytes, at: &at, into: &body, limit: limits.requestBodyBytes)
    if decoder.isEnded { return .request(head, body: body) }
    state = .body(head, decoder, body)
    return .needMore
  }

  private static func headParser(_ limits: HTTPLimits) -> RequestHeadParser {
    RequestHeadParser(byteLimit: limits.headerBytes, fieldLimit: limits.headerFields)
  }
}

/// Responses as a client reads them: a head, then its body in pieces.
struct HTTP1ResponseDecoder {
  enum Event {
    case needMore
    /// 1xx other than 101: another head follows.
    case informational(ResponseHead)
    case head(ResponseHead)
    case body([UInt8])
    case end
  }
  private enum State {
    case idle
    case head(ResponseHeadParser)
    case body(BodyDecoder)
  }

  /// A response's header section: a server that we chose to talk to, yet bounded.
  private static let headerByteLimit = 256 << 10
  private static let headerFieldLimit = 1024
  /// 1xx heads before the final one.
  private static let informationalLimit = 16

  private var state: State = .idle
  private var method = ""
  private var informationalCount = 0

  /// A request was sent: its response comes next.
  mutating func begin(method: String) {
    self.method = method
    informationalCount = 0
    state = .head(Self.headParser)
  }

  var isIdle: Bool { if case .idle = state { true } else { false } }
  /// Bytes of the awaited response have arrived.
  var hasBegun: Bool {
    switch state {
    case .idle: false
    case .head(let parser): parser.hasBegun
    case .body: true
    }
  }

  /// Takes bytes from `at` on, up to the next event. Throws `MessageFailure`.
  mutating func consume(_ bytes: UnsafeRawBufferPointer, at: inout Int) throws -> Event {
    switch state {
    case .idle:
      guard at == bytes.count else { throw MessageFailure.malformed("bytes that answer no request") }
      return .needMore
    case .head(var parser):
      state = .idle
      guard let head = try parser.consume(bytes, at: &at, method: method) else {
        state = .head(parser)
        return .needMore
      }
      if head.status < 200, head.status != 101 {
        informationalCount += 1
        guard informationalCount <= Self.informationalLimit else {
          throw MessageFailure.malformed("too many informational responses")
        }
        state = .head(Self.headParser)
        return .informational(head)
      }
      state = .body(BodyDecoder(head.framing))
      return .head(head)
    case .body(var decoder):
      state = .idle
      if decoder.isEnded { return .end }
      guard at < bytes.count else {
        state = .body(decoder)
        return .needMore
      }
      var piece: [UInt8] = []
      try decoder.consume(bytes, at: &at, into: &piece, limit: .max)
      state = .body(decoder)
      if !piece.isEmpty { return .body(piece) }
      if decoder.isEnded {
        state = .idle
        return .end
      }
      return .needMore
    }
  }

  /// The connection has ended. Returns whether that is a proper end of the response being read.
  mutating func finish() -> Bool {
    defer { state = .idle }
    if case .body(let decoder) = state { return decoder.mayEndByClose }
    return false
  }

  private static var headParser: ResponseHeadParser {
    ResponseHeadParser(byteLimit: headerByteLimit, fieldLimit: headerFieldLimit)
  }
}
