// As much of HTTP/2 (RFC 9113, RFC 7541) as a load generator needs: requests whose bytes are made once, answers of which
// the status and the length are read.

/// Requests as frames.
public enum HTTP2Requests {
  private static let maximumFrameBytes = 16_384
  /// The first index of the dynamic table.
  private static let firstDynamicIndex = 62
  private static let maximumWindow = (1 << 31) - 1
  private static let initialWindow = 65_535

  /// What a connection begins with: no dynamic table for answers (so that each is read by itself), and windows that
  /// never close.
  public static let preface: [UInt8] = {
    var bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    bytes += frameHead(length: 18, type: 4, flags: 0, stream: 0)
    for (setting, value) in [(1, 0), (2, 0), (4, maximumWindow)] {
      bytes += [0, UInt8(setting)] + bigEndian(UInt32(value))
    }
    return bytes + windowUpdate(maximumWindow - initialWindow)
  }()

  public static let settingsAcknowledgement = frameHead(length: 0, type: 4, flags: 1, stream: 0)

  /// More room for the whole connection.
  public static func windowUpdate(_ bytes: Int) -> [UInt8] {
    frameHead(length: 4, type: 8, flags: 0, stream: 0) + bigEndian(UInt32(bytes))
  }

  public static func pingAnswer(_ payload: [UInt8]) -> [UInt8] {
    frameHead(length: payload.count, type: 6, flags: 1, stream: 0) + payload
  }

  public static func reset(stream: UInt32) -> [UInt8] {
    frameHead(length: 4, type: 3, flags: 0, stream: stream) + bigEndian(8)
  }

  /// The bytes of a request. `shared` headers are the same for all requests of a connection: the connection's first
  /// request (`isFirst`) puts them into the server's table, later ones name their places there.
  public static func encode(
    _ template: RequestTemplate, authority: String, shared: [(name: String, value: String)], isFirst: Bool
  ) -> EncodedRequest {
    var request = EncodedRequest()
    var block: [UInt8] = []
    let shared = [(name: ":authority", value: authority)] + shared
    switch template.method {
    case "GET": block.append(0x82)
    case "POST": block.append(0x83)
    default: literal(nameIndex: 2, template.method, &block)
    }
    block.append(0x87)
    let pathMarks = template.path
    block.append(0x04)
    var pathSlots: [NumberSlot] = []
    let path = RequestTemplate.fill(Array(pathMarks.utf8), origin: 0, &pathSlots)
    integer(path.count, prefix: 7, flags: 0, &block)
    let pathOffset = block.count
    block += path
    for (place, header) in shared.enumerated() {
      if isFirst {
        block.append(0x40)
        string(header.name, &block)
        string(header.value, &block)
      } else {
        // The newest entry has the lowest index.
        integer(firstDynamicIndex + shared.count - 1 - place, prefix: 7, flags: 0x80, &block)
      }
    }
    for header in template.headers {
      block.append(0)
      string(header.name, &block)
      string(header.value, &block)
    }
    precondition(block.count <= maximumFrameBytes, "a header block of one frame")
    request.slots = pathSlots.map { NumberSlot(offset: 9 + pathOffset + $0.offset, source: $0.source) }
    request.bytes = frameHead(length: block.count, type: 1, flags: template.body.isEmpty ? 5 : 4, stream: 0) + block
    request.streamOffsets = [5]
    appendBody(template.body, to: &request)
    return request
  }

  private static func appendBody(_ text: [UInt8], to request: inout EncodedRequest) {
    guard !text.isEmpty else { return }
    var slots: [NumberSlot] = []
    let body = RequestTemplate.fill(text, origin: 0, &slots)
    precondition(
      slots.isEmpty || body.count <= maximumFrameBytes, "numbers stand in bodies of one frame")
    request.bodyBytes = body.count
    var sent = 0
    while sent < body.count {
      let count = min(maximumFrameBytes, body.count - sent)
      let isLast = sent + count == body.count
      let start = request.bytes.count
      request.streamOffsets.append(start + 5)
      request.bytes += frameHead(length: count, type: 0, flags: isLast ? 1 : 0, stream: 0)
      if sent == 0 {
        request.slots += slots.map { NumberSlot(offset: start + 9 + $0.offset, source: $0.source) }
      }
      request.bytes += body[sent..<sent + count]
      sent += count
    }
  }

  private static func literal(nameIndex: Int, _ value: String, _ block: inout [UInt8]) {
    integer(nameIndex, prefix: 4, flags: 0, &block)
    string(value, &block)
  }

  private static func string(_ text: String, _ block: inout [UInt8]) {
    let bytes = Array(text.utf8)
    integer(bytes.count, prefix: 7, flags: 0, &block)
    block += bytes
  }

  /// RFC 7541 §5.1.
  static func integer(_ value: Int, prefix: Int, flags: UInt8, _ block: inout [UInt8]) {
    let limit = (1 << prefix) - 1
    guard value >= limit else { return block.append(flags | UInt8(value)) }
    block.append(flags | UInt8(limit))
    var rest = value - limit
    while rest >= 128 {
      block.append(UInt8(rest & 127) | 128)
      rest >>= 7
    }
    block.append(UInt8(rest))
  }

  private static func frameHead(length: Int, type: UInt8, flags: UInt8, stream: UInt32) -> [UInt8] {
    [UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255), type, flags] + bigEndian(stream)
  }

  private static func bigEndian(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
  }
}

/// One frame of a server; the payload is valid during the call it is given to.
public struct HTTP2Frame {
  public enum Kind: UInt8 {
    case data = 0, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
  }

  public var kind: UInt8
  public var flags: UInt8
  public var stream: UInt32
  public var payload: UnsafeRawBufferPointer

  public var endsStream: Bool { flags & 1 != 0 }

  /// The four bytes at `offset` as a number.
  public func number(at offset: Int) -> UInt32 {
    guard payload.count >= offset + 4 else { return 0 }
    return (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(payload[offset + $1]) }
  }

  /// The status that a block of response headers begins with, without a dynamic table; 0 for trailers.
  public var status: Int {
    var bytes = payload[...]
    if flags & 0x08 != 0 { bytes = bytes.dropFirst() }
    if flags & 0x20 != 0 { bytes = bytes.dropFirst(5) }
    // Changes of the table's size come first.
    while let byte = bytes.first, byte & 0xe0 == 0x20 {
      var isLong = byte & 0x1f == 0x1f
      bytes = bytes.dropFirst()
      while isLong, let more = bytes.first {
        isLong = more & 0x80 != 0
        bytes = bytes.dropFirst()
      }
    }
    guard let byte = bytes.first else { return 0 }
    if (0x88...0x8e).contains(byte) { return [200, 204, 206, 304, 400, 404, 500][Int(byte) - 0x88] }
    // A literal whose name is one of the static table's `:status`.
    let index = byte & 0x40 != 0 ? byte & 0x3f : byte & 0x0f
    guard byte & 0x80 == 0, (8...14).contains(index), let length = bytes.dropFirst().first else { return 0 }
    let value = bytes.dropFirst(2)
    return length & 0x80 == 0
      ? value.prefix(Int(length)).reduce(0) { $0 * 10 + Int($1) - 48 } : Self.huffmanDigits(value)
  }

  /// Three digits in the code of RFC 7541, appendix B: 0, 1 and 2 have five bits, the others six from 011001 on.
  private static func huffmanDigits(_ bytes: Slice<UnsafeRawBufferPointer>) -> Int {
    let bits = bytes.prefix(3).reduce(0) { $0 << 8 | Int($1) } << (8 * max(0, 3 - bytes.count))
    var place = 24
    var number = 0
    for _ in 0..<3 {
      let five = bits >> (place - 5) & 31
      if five <= 2 {
        number = number * 10 + five
        place -= 5
      } else {
        number = number * 10 + (bits >> (place - 6) & 63) - 0x19 + 3
        place -= 6
      }
    }
    return number
  }
}

/// Cuts what a connection brings into frames.
public struct HTTP2FrameReader {
  private static let headBytes = 9
  private var partial: [UInt8] = []

  public init() {}

  public mutating func read(_ bytes: UnsafeRawBufferPointer, _ body: (HTTP2Frame) -> Void) {
    var rest = bytes
    while !partial.isEmpty, !rest.isEmpty {
      let wanted = partial.count < Self.headBytes ? Self.headBytes : Self.headBytes + Self.length(partial)
      let taken = min(wanted - partial.count, rest.count)
      partial.append(contentsOf: rest[..<taken])
      rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
      guard partial.count >= Self.headBytes, partial.count == Self.headBytes + Self.length(partial) else { continue }
      partial.withUnsafeBytes { body(Self.frame($0)) }
      partial.removeAll(keepingCapacity: true)
    }
    while rest.count >= Self.headBytes {
      let length = Int(rest[0]) << 16 | Int(rest[1]) << 8 | Int(rest[2])
      guard rest.count >= Self.headBytes + length else { break }
      body(Self.frame(UnsafeRawBufferPointer(rebasing: rest[..<(Self.headBytes + length)])))
      rest = UnsafeRawBufferPointer(rebasing: rest[(Self.headBytes + length)...])
    }
    partial.append(contentsOf: rest)
  }

  private static func length(_ bytes: [UInt8]) -> Int { Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2]) }

  @inline(__always)
  private static func frame(_ bytes: UnsafeRawBufferPointer) -> HTTP2Frame {
    let stream = UInt32(bytes[5] & 0x7f) << 24 | UInt32(bytes[6]) << 16 | UInt32(bytes[7]) << 8 | UInt32(bytes[8])
    return HTTP2Frame(
      kind: bytes[3], flags: bytes[4], stream: stream, payload: UnsafeRawBufferPointer(rebasing: bytes[headBytes...]))
  }
}
