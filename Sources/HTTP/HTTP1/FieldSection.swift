// Header fields of HTTP/1.1 (RFC 9112 §5) and what they say about the body's end (§6) and the connection (§9).
// Strict: whatever two implementations could read in two ways is refused, for that is what request smuggling lives on.

/// How the end of a body is found.
enum BodyFraming: Equatable {
  case none
  case length(Int)
  case chunked
  case untilClose
}

struct FieldSection {
  private(set) var headers = HTTPHeaders()
  private(set) var contentLength: Int?
  private(set) var isChunked = false
  private(set) var hostCount = 0
  private(set) var connectionClose = false
  private(set) var connectionKeepAlive = false
  private(set) var connectionUpgrade = false
  private(set) var hasUpgrade = false
  private(set) var expectsContinue = false
  private var count = 0

  /// Adds one field line (without CRLF).
  mutating func add(_ line: UnsafeRawBufferPointer, limit: Int) throws {
    if count == 0 { headers.reserveCapacity(12) }
    count += 1
    guard count <= limit else { throw MessageFailure.tooManyFields(limit: limit) }
    let (name, value) = try Self.parse(line)
    try interpret(name, value)
    headers.add(name, value)
  }

  /// Splits a field line into its name in lower case and its value without surrounding white space.
  static func parse(_ line: UnsafeRawBufferPointer) throws -> (name: String, value: String) {
    var colon = 0
    while colon < line.count, isTokenByte(line[colon]) { colon += 1 }
    guard colon > 0, colon < line.count, line[colon] == UInt8(ascii: ":") else {
      // Covers white space before the colon and folded lines (which begin with white space).
      throw MessageFailure.malformed("invalid header field name")
    }
    var start = colon + 1
    var end = line.count
    while start < end, line[start] == 32 || line[start] == 9 { start += 1 }
    while end > start, line[end - 1] == 32 || line[end - 1] == 9 { end -= 1 }
    for at in start..<end where !isFieldByte(line[at]) {
      throw MessageFailure.malformed("invalid character in a header field value")
    }
    let name = String(unsafeUninitializedCapacity: colon) { buffer in
      for at in 0..<colon { buffer[at] = lowercased(line[at]) }
      return colon
    }
    return (name, line.slice(start..<end).text)
  }

  private mutating func interpret(_ name: String, _ value: String) throws {
    switch name.utf8.count {
    case 4 where name == "host": hostCount += 1
    case 6 where name == "expect":
      guard value.lowercased() == "100-continue" else {
        throw MessageFailure(status: 417, reason: "ExpectationFailed", message: "unknown expectation")
      }
      expectsContinue = true
    case 7 where name == "upgrade": hasUpgrade = true
    case 10 where name == "connection":
      for option in value.split(separator: ",") {
        switch option.filter({ $0 != " " && $0 != "\t" }).lowercased() {
        case "close": connectionClose = true
        case "keep-alive": connectionKeepAlive = true
        case "upgrade": connectionUpgrade = true
        default: break
        }
      }
    case 14 where name == "content-length":
      guard contentLength == nil else { throw MessageFailure.malformed("more than one Content-Length") }
      // 15 digits: far beyond any limit, far below overflow.
      guard (1...15).contains(value.utf8.count), value.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
        let length = Int(value)
      else { throw MessageFailure.malformed("invalid Content-Length") }
      contentLength = length
    case 17 where name == "transfer-encoding":
      guard !isChunked else { throw MessageFailure.malformed("more than one Transfer-Encoding") }
      guard value.lowercased() == "chunked" else {
        throw MessageFailure(
          status: 501, reason: "NotImplemented", message: "the only Transfer-Encoding supported is chunked")
      }
      isChunked = true
    default: break
    }
  }

  /// What the fields say about the body; nil when they say nothing.
  func framing(isHTTP10: Bool) throws -> BodyFraming? {
    if isChunked {
      guard contentLength == nil else {
        throw MessageFailure.malformed("both Content-Length and Transfer-Encoding")
      }
      guard !isHTTP10 else { throw MessageFailure.malformed("Transfer-Encoding in an HTTP/1.0 message") }
      return .chunked
    }
    return contentLength.map { .length($0) }
  }

  /// Whether the connection outlives this message.
  func keepAlive(isHTTP10: Bool) -> Bool {
    if connectionClose { return false }
    return !isHTTP10 || connectionKeepAlive
  }
}
