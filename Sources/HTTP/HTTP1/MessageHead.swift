// Heads of HTTP/1.1 messages: start line and fields, out of a stream that may break anywhere.

/// Parsed start line and fields of a request (RFC 9112 §3).
struct RequestHead {
  var method: String
  /// Origin form ("/path?query") or "*".
  var target: String
  var headers: HTTPHeaders
  var framing: BodyFraming
  var keepAlive: Bool
  var expectsContinue: Bool
  /// The client offers to leave HTTP on this connection.
  var wantsUpgrade: Bool
  var isHTTP10: Bool
}

/// Parsed status line and fields of a response (RFC 9112 §4).
struct ResponseHead {
  var status: Int
  var headers: HTTPHeaders
  var framing: BodyFraming
  var keepAlive: Bool
}

/// What both kinds of head have in common: lines, limits, fields.
private struct HeadReader {
  let byteLimit: Int
  let fieldLimit: Int
  var lines = LineReader()
  var fields = FieldSection()

  init(byteLimit: Int, fieldLimit: Int) {
    self.byteLimit = byteLimit
    self.fieldLimit = fieldLimit
  }

  /// Hands the next whole line to `body`; nil when there is none yet.
  mutating func withLine<Result>(
    in bytes: UnsafeRawBufferPointer, at: inout Int,
    _ body: (UnsafeRawBufferPointer, inout FieldSection) throws -> Result
  ) throws -> Result? {
    let line = try lines.next(in: bytes, at: &at)
    guard lines.size <= byteLimit else { throw MessageFailure.headerTooLarge(limit: byteLimit) }
    switch line {
    case .incomplete: return nil
    case .inInput(let range): return try body(bytes.slice(range), &fields)
    case .joined(let line): return try line.withUnsafeBytes { try body($0, &fields) }
    }
  }

  /// Takes field lines up to the empty line that ends the head; false when more input is needed.
  mutating func takeFields(in bytes: UnsafeRawBufferPointer, at: inout Int) throws -> Bool {
    let limit = fieldLimit
    while true {
      let ended = try withLine(in: bytes, at: &at) { line, fields in
        if line.isEmpty { return true }
        try fields.add(line, limit: limit)
        return false
      }
      guard let ended else { return false }
      if ended { return true }
    }
  }
}

/// "HTTP/1.1" or "HTTP/1.0" at `at`; returns whether it is 1.0.
private func parseVersion(_ line: UnsafeRawBufferPointer, at: Int) throws -> Bool {
  let prefix: StaticString = "HTTP/"
  guard line.count >= at + 8 else { throw MessageFailure.malformed("no HTTP version in the start line") }
  for index in 0..<5 where line[at + index] != prefix.utf8Start[index] {
    throw MessageFailure.malformed("no HTTP version in the start line")
  }
  guard line[at + 5] == UInt8(ascii: "1"), line[at + 6] == UInt8(ascii: "."), line[at + 7] & 0xfe == 48 else {
    throw MessageFailure(
      status: 505, reason: "HTTPVersionNotSupported", message: "this connection speaks HTTP/1.1 only")
  }
  return line[at + 7] == 48
}

struct RequestHeadParser {
  private var reader: HeadReader
  private var start: (method: String, target: String, isHTTP10: Bool)?
  private var blankLines = 0

  /// Empty lines that are overlooked before a request (RFC 9112 §2.2 asks for at least one).
  private static let blankLineLimit = 2

  init(byteLimit: Int, fieldLimit: Int) { reader = HeadReader(byteLimit: byteLimit, fieldLimit: fieldLimit) }

  /// A byte of a head has arrived: the peer is in the middle of a request.
  var hasBegun: Bool { reader.lines.size > 0 }

  /// Takes bytes from `at` on; returns the head once it is whole.
  mutating func consume(_ bytes: UnsafeRawBufferPointer, at: inout Int) throws -> RequestHead? {
    while start == nil {
      let line = try reader.withLine(in: bytes, at: &at) { line, _ in
        line.isEmpty ? nil : try Self.parseStart(line)
      }
      guard let line else { return nil }
      if let line {
        start = line
      } else {
        blankLines += 1
        guard blankLines <= Self.blankLineLimit else { throw MessageFailure.malformed("empty request line") }
      }
    }
    guard try reader.takeFields(in: bytes, at: &at), let (method, target, isHTTP10) = start else { return nil }
    let fields = reader.fields
    guard fields.hostCount == 1 || (isHTTP10 && fields.hostCount == 0) else {
      throw MessageFailure.malformed("a request needs exactly one Host header field")
    }
    return RequestHead(
      method: method, target: target, headers: fields.headers,
      framing: try fields.framing(isHTTP10: isHTTP10) ?? .none,
      keepAlive: fields.keepAlive(isHTTP10: isHTTP10), expectsContinue: fields.expectsContinue && !isHTTP10,
      wantsUpgrade: fields.hasUpgrade && fields.connectionUpgrade && !isHTTP10, isHTTP10: isHTTP10)
  }

  private static func parseStart(
    _ line: UnsafeRawBufferPointer
  ) throws -> (method: String, target: String, isHTTP10: Bool)? {
    var space = 0
    while space < line.count, isTokenByte(line[space]) { space += 1 }
    guard space > 0, space < line.count, line[space] == 32 else {
      throw MessageFailure.malformed("invalid method in the request line")
    }
    var end = space + 1
    while end < line.count, line[end] > 32, line[end] < 127, line[end] != UInt8(ascii: "#") { end += 1 }
    guard end > space + 1, end < line.count, line[end] == 32 else {
      throw MessageFailure.malformed("invalid target in the request line")
    }
    let isHTTP10 = try parseVersion(line, at: end + 1)
    guard line.count == end + 9 else { throw MessageFailure.malformed("bytes after the HTTP version") }
    let method = line.slice(0..<space).text
    return (method, try originForm(line.slice(space + 1..<end), method: method), isHTTP10)
  }

  /// The target without scheme and authority, where a client sent them (RFC 9112 §3.2.2).
  private static func originForm(_ target: UnsafeRawBufferPointer, method: String) throws -> String {
    let text = target.text
    if target[0] == UInt8(ascii: "/") { return text }
    if text == "*", method == "OPTIONS" { return text }
    guard method != "CONNECT", let scheme = ["http://", "https://"].first(where: { text.lowercased().hasPrefix($0) })
    else { throw MessageFailure.malformed("the request target must be a path") }
    let rest = text.dropFirst(scheme.utf8.count)
    guard let slash = rest.firstIndex(where: { $0 == "/" || $0 == "?" }) else { return "/" }
    return rest[slash] == "/" ? String(rest[slash...]) : "/" + rest[slash...]
  }
}

struct ResponseHeadParser {
  private var reader: HeadReader
  private var start: (status: Int, isHTTP10: Bool)?

  init(byteLimit: Int, fieldLimit: Int) { reader = HeadReader(byteLimit: byteLimit, fieldLimit: fieldLimit) }

  /// A byte of the head has arrived.
  var hasBegun: Bool { reader.lines.size > 0 }

  /// Takes bytes from `at` on; returns the head once it is whole. `method` is that of the request being answered.
  mutating func consume(_ bytes: UnsafeRawBufferPointer, at: inout Int, method: String) throws -> ResponseHead? {
    if start == nil {
      start = try reader.withLine(in: bytes, at: &at) { line, _ in try Self.parseStart(line) }
    }
    guard let (status, isHTTP10) = start, try reader.takeFields(in: bytes, at: &at) else { return nil }
    let fields = reader.fields
    var framing = try fields.framing(isHTTP10: isHTTP10) ?? .untilClose
    if method == "HEAD" || status < 200 || status == 204 || status == 304 { framing = .none }
    return ResponseHead(
      status: status, headers: fields.headers, framing: framing,
      keepAlive: fields.keepAlive(isHTTP10: isHTTP10) && framing != .untilClose)
  }

  private static func parseStart(_ line: UnsafeRawBufferPointer) throws -> (status: Int, isHTTP10: Bool) {
    let isHTTP10 = try parseVersion(line, at: 0)
    guard line.count >= 12, line[8] == 32, line.count == 12 || line[12] == 32 else {
      throw MessageFailure.malformed("invalid status line")
    }
    var status = 0
    for at in 9..<12 {
      guard line[at] >= 48, line[at] <= 57 else { throw MessageFailure.malformed("invalid status code") }
      status = status * 10 + Int(line[at] - 48)
    }
    guard status >= 100, line.dropFirst(12).allSatisfy(isFieldByte) else {
      throw MessageFailure.malformed("invalid status line")
    }
    return (status, isHTTP10)
  }
}
