// As much of HTTP/1.1 as a load generator needs: requests whose bytes are made once, answers of which the status and the
// body are read.

public enum HTTP1Requests {
  public static func encode(
    _ template: RequestTemplate, authority: String, shared: [(name: String, value: String)]
  ) -> EncodedRequest {
    var request = EncodedRequest()
    var slots: [NumberSlot] = []
    let body = RequestTemplate.fill(template.body, origin: 0, &slots)
    var head = "\(template.method) \(template.path) HTTP/1.1\r\nhost: \(authority)\r\n"
    for header in shared + template.headers { head += "\(header.name): \(header.value)\r\n" }
    if !body.isEmpty { head += "content-length: \(body.count)\r\n" }
    request.bytes = RequestTemplate.fill(Array((head + "\r\n").utf8), origin: 0, &request.slots)
    request.slots += slots.map { NumberSlot(offset: request.bytes.count + $0.offset, source: $0.source) }
    request.bytes += body
    request.bodyBytes = body.count
    return request
  }
}

/// Reads the answers of one connection, one after the other.
public struct HTTP1ResponseReader {
  public enum Event {
    /// The status, when all of the head is there.
    case head(Int)
    /// A part of the body; valid during the call.
    case body(UnsafeRawBufferPointer)
    case end
    case malformed
  }

  private enum State {
    case head
    case fixed(Int)
    case chunkSize
    case chunk(Int)
    case chunkEnd
    case trailer
  }
  private static let maximumLine = 64 << 10

  private var state = State.head
  /// The line that is not whole yet.
  private var line: [UInt8] = []
  private var status = 0
  private var length: Int?
  private var isChunked = false

  public init() {}

  public mutating func read(_ bytes: UnsafeRawBufferPointer, _ body: (Event) -> Void) {
    var rest = bytes
    while !rest.isEmpty {
      switch state {
      case .fixed(let count): take(count, &rest, body) { $0 == 0 ? nil : .fixed($0) }
      case .chunk(let count): take(count, &rest, body) { $0 == 0 ? .chunkEnd : .chunk($0) }
      default:
        guard let end = rest.firstIndex(of: 10) else {
          line.append(contentsOf: rest)
          if line.count > Self.maximumLine { body(.malformed) }
          return
        }
        line.append(contentsOf: rest[..<end])
        rest = UnsafeRawBufferPointer(rebasing: rest[(end + 1)...])
        if line.last == 13 { line.removeLast() }
        takeLine(body)
        line.removeAll(keepingCapacity: true)
      }
    }
  }

  /// Up to `count` bytes of the body; `next` says what follows when so many are left (nil: the end of the answer).
  private mutating func take(
    _ count: Int, _ rest: inout UnsafeRawBufferPointer, _ body: (Event) -> Void, _ next: (Int) -> State?
  ) {
    let taken = min(count, rest.count)
    body(.body(UnsafeRawBufferPointer(rebasing: rest[..<taken])))
    rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
    if let next = next(count - taken) { state = next } else { finish(body) }
  }

  private mutating func finish(_ body: (Event) -> Void) {
    state = .head
    status = 0
    length = nil
    isChunked = false
    body(.end)
  }

  private mutating func takeLine(_ body: (Event) -> Void) {
    switch state {
    case .head: takeHeadLine(body)
    case .chunkSize:
      guard let count = Int(String(decoding: line.prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self), radix: 16) else {
        return body(.malformed)
      }
      state = count == 0 ? .trailer : .chunk(count)
    case .chunkEnd: state = .chunkSize
    case .trailer: if line.isEmpty { finish(body) }
    case .fixed, .chunk: break
    }
  }

  private mutating func takeHeadLine(_ body: (Event) -> Void) {
    if status == 0 {
      guard line.starts(with: Array("HTTP/1.".utf8)), line.count >= 12 else { return body(.malformed) }
      status = line[9..<12].reduce(0) { $0 * 10 + Int($1) - 48 }
      return
    }
    guard line.isEmpty else {
      let text = String(decoding: line, as: UTF8.self).lowercased()
      if text.hasPrefix("content-length:") {
        length = Int(text.dropFirst("content-length:".count).filter { $0 != " " })
      } else if text.hasPrefix("transfer-encoding:"), text.hasSuffix("chunked") {
        isChunked = true
      }
      return
    }
    body(.head(status))
    if isChunked {
      state = .chunkSize
    } else if let length, length > 0, status != 204, status != 304 {
      state = .fixed(length)
    } else {
      finish(body)
    }
  }
}
