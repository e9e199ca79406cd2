// HTTP/1.1 messages as bytes: heads, chunks, the Date field.
import World

/// The Date field, rendered once a second (RFC 9110 §6.6.1).
struct DateCache {
  private var second = Int64.min
  /// "Sun, 06 Nov 1994 08:49:37 GMT"
  private(set) var text = ""

  mutating func update(_ now: WallTime) {
    let seconds = now.secondsSinceEpoch
    guard seconds != second else { return }
    second = seconds
    text = Self.format(now)
  }

  static func format(_ time: WallTime) -> String {
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let parts = time.civil
    let day = (time.secondsSinceEpoch - parts.hour * 3600 - parts.minute * 60 - parts.second) / 86_400
    return "\(days[Int((day % 7 + 7) % 7)]), \(two(parts.day)) \(months[Int(parts.month - 1)]) \(parts.year) "
      + "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) GMT"
  }
}

/// Reason phrases of the status codes that the API uses; the phrase may be empty (RFC 9112 §4).
func reasonPhrase(_ status: Int) -> StaticString {
  switch status {
  case 100: "Continue"
  case 101: "Switching Protocols"
  case 200: "OK"
  case 201: "Created"
  case 202: "Accepted"
  case 204: "No Content"
  case 206: "Partial Content"
  case 301: "Moved Permanently"
  case 302: "Found"
  case 304: "Not Modified"
  case 307: "Temporary Redirect"
  case 308: "Permanent Redirect"
  case 400: "Bad Request"
  case 401: "Unauthorized"
  case 403: "Forbidden"
  case 404: "Not Found"
  case 405: "Method Not Allowed"
  case 406: "Not Acceptable"
  case 408: "Request Timeout"
  case 409: "Conflict"
  case 410: "Gone"
  case 413: "Content Too Large"
  case 415: "Unsupported Media Type"
  case 417: "Expectation Failed"
  case 422: "Unprocessable Content"
  case 429: "Too Many Requests"
  case 431: "Request Header Fields Too Large"
  case 500: "Internal Server Error"
  case 501: "Not Implemented"
  case 502: "Bad Gateway"
  case 503: "Service Unavailable"
  case 504: "Gateway Timeout"
  case 505: "HTTP Version Not Supported"
  default: ""
  }
}

extension [UInt8] {
  mutating func append(_ text: StaticString) {
    append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func append(_ text: String) { append(contentsOf: text.utf8) }

  mutating func append(decimal value: Int) {
    if value >= 10 { append(decimal: value / 10) }
    append(UInt8(48 + value % 10))
  }

  mutating func append(hexadecimal value: Int) {
    if value >= 16 { append(hexadecimal: value >> 4) }
    let digit = UInt8(value & 15)
    append(digit < 10 ? 48 + digit : 87 + digit)
  }

  /// A field line. A CR, LF or NUL in the value would end the field and begin one of an attacker's choice: spaces instead.
  mutating func append(field name: String, _ value: String) {
    append(name)
    append(UInt8(ascii: ":"))
    append(UInt8(ascii: " "))
    let start = count
    append(value)
    for at in start..<count where !isFieldByte(self[at]) { self[at] = 32 }
    append(carriageReturn)
    append(lineFeed)
  }
}

/// How the bytes after a head are framed.
enum OutgoingFraming: Equatable {
  /// No body and no field that speaks of one (1xx, 204, 304, requests without a body).
  case none
  case length(Int)
  case chunked
}

enum HTTP1Encoder {
  static let continueResponse: [UInt8] = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
  static let lastChunk: [UInt8] = Array("0\r\n\r\n".utf8)
  static let chunkEnd: [UInt8] = [carriageReturn, lineFeed]

  /// Fields that say how a message is framed: the connection's business, dropped from what a caller supplies.
  private static func isFramingField(_ name: String) -> Bool {
    switch name.utf8.count {
    case 10: name == "connection" || name == "keep-alive"
    case 14: name == "content-length"
    case 17: name == "transfer-encoding"
    default: false
    }
  }

  static func responseHead(
    _ response: HTTPResponse, framing: OutgoingFraming, date: String, keepAlive: Bool, isHTTP10: Bool
  ) -> [UInt8] {
    var head: [UInt8] = []
    head.reserveCapacity(512)
    head.append("HTTP/1.1 " as StaticString)
    head.append(decimal: response.status)
    head.append(UInt8(ascii: " "))
    head.append(reasonPhrase(response.status))
    head.append("\r\n" as StaticString)
    for (name, value) in response.headers.fields
    where !isFramingField(name) || (response.status == 101 && name == "connection") {
      head.append(field: name, value)
    }
    if response.headers["date"] == nil {
      head.append(field: "date", date)
    }
    append(framing, to: &head)
    if !keepAlive, response.status != 101 {
      head.append("connection: close\r\n" as StaticString)
    } else if isHTTP10 {
      head.append("connection: keep-alive\r\n" as StaticString)
    }
    head.append("\r\n" as StaticString)
    return head
  }

  static func requestHead(_ request: HTTPRequest, framing: OutgoingFraming, host: String, upgrade: Bool) -> [UInt8] {
    var head: [UInt8] = []
    head.reserveCapacity(512)
    head.append(request.method)
    head.append(UInt8(ascii: " "))
    head.append(request.target)
    head.append(" HTTP/1.1\r\n" as StaticString)
    if request.headers["host"] == nil { head.append(field: "host", host) }
    for (name, value) in request.headers.fields where !isFramingField(name) || (upgrade && name == "connection") {
      head.append(field: name, value)
    }
    if upgrade, request.headers["connection"] == nil { head.append("connection: Upgrade\r\n" as StaticString) }
    append(framing, to: &head)
    head.append("\r\n" as StaticString)
    return head
  }

  private static func append(_ framing: OutgoingFraming, to head: inout [UInt8]) {
    switch framing {
    case .none: break
    case .length(let length):
      head.append("content-length: " as StaticString)
      head.append(decimal: length)
      head.append("\r\n" as StaticString)
    case .chunked: head.append("transfer-encoding: chunked\r\n" as StaticString)
    }
  }

  /// The pieces as one chunk, without joining them.
  static func chunk(_ pieces: [[UInt8]]) -> [[UInt8]] {
    var size: [UInt8] = []
    size.append(hexadecimal: pieces.reduce(0) { $0 + $1.count })
    size += chunkEnd
    return [size] + pieces + [chunkEnd]
  }
}
