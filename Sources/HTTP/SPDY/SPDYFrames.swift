// SPDY/3.1 framing as values, as far as a side needs it that only opens streams: what kubelets speak for exec, attach and
// port forwarding. Bytes in, frames out, and back. No I/O.
//
// Blocks of headers are one zlib stream each way. What is sent is stored, not compressed (RFC 1950 and 1951 allow it, the
// few bytes do not matter), so that no compressor is needed; what the peer answers in them says nothing that counts, and is
// skipped. Windows are neither kept nor announced: the peers have never minded them, and TCP holds back either side.

/// A frame from the peer.
public enum SPDYFrame: Sendable, Hashable {
  /// The peer has taken the stream.
  case reply(stream: UInt32, isFinal: Bool)
  case data(stream: UInt32, bytes: [UInt8], isFinal: Bool)
  /// The peer has given the stream up.
  case reset(stream: UInt32, status: UInt32)
  /// To be sent back as it is.
  case ping(UInt32)
  case goAway(status: UInt32)
  /// Nothing to act on: settings, windows, headers that follow.
  case other(type: UInt16)
}

/// A breach of the protocol.
public struct SPDYError: Error, Hashable, CustomStringConvertible {
  public let reason: String
  public var description: String { "SPDY protocol error: \(reason)" }
}

private enum Layout {
  static let version: UInt16 = 3
  static let control: UInt32 = 0x8000_0000
  static let headerBytes = 8
  static let finalFlag: UInt8 = 1
}

private enum FrameType {
  static let synStream: UInt16 = 1
  static let synReply: UInt16 = 2
  static let rstStream: UInt16 = 3
  static let ping: UInt16 = 6
  static let goAway: UInt16 = 7
}

/// Takes frames out of a stream of bytes that may break anywhere.
public struct SPDYDecoder: Sendable {
  /// Bytes of one frame; what is known to be sent is 32 KiB at most.
  public static let frameLimit = 4 << 20
  private var buffer: [UInt8] = []
  private var start = 0

  public init() {}

  public mutating func append(_ bytes: [UInt8]) {
    if start == buffer.count {
      buffer = bytes
    } else {
      buffer.removeFirst(start)
      buffer += bytes
    }
    start = 0
  }

  /// The next frame; nil when none is whole. Throws `SPDYError`.
  public mutating func next() throws -> SPDYFrame? {
    guard buffer.count - start >= Layout.headerBytes else { return nil }
    let first = word(start)
    let flags = buffer[start + 4]
    let length = Int(word(start + 4) & 0xFF_FFFF)
    guard length <= Self.frameLimit else { throw SPDYError(reason: "a frame of \(length) bytes") }
    let payload = start + Layout.headerBytes
    guard buffer.count - payload >= length else { return nil }
    start = payload + length
    let isFinal = flags & Layout.finalFlag != 0
    guard first & Layout.control != 0 else {
      return .data(stream: first, bytes: Array(buffer[payload..<payload + length]), isFinal: isFinal)
    }
    let version = UInt16(truncatingIfNeeded: first >> 16) & 0x7FFF
    guard version == Layout.version else { throw SPDYError(reason: "version \(version)") }
    return try control(UInt16(truncatingIfNeeded: first), isFinal: isFinal, payload, length)
  }

  private func control(_ type: UInt16, isFinal: Bool, _ payload: Int, _ length: Int) throws -> SPDYFrame {
    func field(_ number: Int) throws -> UInt32 {
      guard length >= (number + 1) * 4 else { throw SPDYError(reason: "a frame of type \(type) is too short") }
      return word(payload + number * 4)
    }
    switch type {
    case FrameType.synStream: throw SPDYError(reason: "the peer opens a stream of its own")
    case FrameType.synReply: return .reply(stream: try field(0) & ~Layout.control, isFinal: isFinal)
    case FrameType.rstStream: return .reset(stream: try field(0) & ~Layout.control, status: try field(1))
    case FrameType.ping: return .ping(try field(0))
    case FrameType.goAway: return .goAway(status: try field(1))
    default: return .other(type: type)
    }
  }

  private func word(_ at: Int) -> UInt32 {
    UInt32(buffer[at]) << 24 | UInt32(buffer[at + 1]) << 16 | UInt32(buffer[at + 2]) << 8 | UInt32(buffer[at + 3])
  }
}

/// Makes the frames of a side that opens streams.
public struct SPDYEncoder: Sendable {
  /// Adler-32 of the dictionary that SPDY/3 sets for blocks of headers, by which a decompressor asks for it.
  private static let dictionaryID: UInt32 = 0xE3C6_A7C2
  /// Deflate, the largest window, a dictionary (RFC 1950 §2.2).
  private static let zlibHeader: [UInt8] = [0x78, 0x20]
  /// A block of nothing: decompressors hand out all that came before (RFC 1951 §3.2.4).
  private static let emptyBlock: [UInt8] = [0, 0, 0, 0xFF, 0xFF]

  /// Clients' streams have odd numbers.
  private var nextStream: UInt32 = 1
  private var isFirstBlock = true

  public init() {}

  /// A new stream with these headers (names in lower case), to be written in the order of the calls.
  public mutating func open(_ headers: [(name: String, value: String)]) -> (stream: UInt32, frame: [UInt8]) {
    let stream = nextStream
    nextStream += 2
    var payload: [UInt8] = []
    Self.put(stream, &payload)
    Self.put(0, &payload)  // Belongs to no other stream.
    payload += [0, 0]  // Priority, credential.
    payload += headerBlock(headers)
    return (stream, Self.control(FrameType.synStream, payload))
  }

  /// Bytes on a stream; `isFinal`: nothing more comes on it.
  public static func data(_ bytes: ArraySlice<UInt8>, on stream: UInt32, isFinal: Bool = false) -> [UInt8] {
    var frame: [UInt8] = []
    frame.reserveCapacity(Layout.headerBytes + bytes.count)
    put(stream, &frame)
    put(UInt32(isFinal ? Layout.finalFlag : 0) << 24 | UInt32(bytes.count), &frame)
    return frame + bytes
  }

  public static func ping(_ id: UInt32) -> [UInt8] {
    var payload: [UInt8] = []
    put(id, &payload)
    return control(FrameType.ping, payload)
  }

  private mutating func headerBlock(_ headers: [(name: String, value: String)]) -> [UInt8] {
    var plain: [UInt8] = []
    Self.put(UInt32(headers.count), &plain)
    for header in headers {
      for text in [header.name, header.value] {
        Self.put(UInt32(text.utf8.count), &plain)
        plain += text.utf8
      }
    }
    precondition(plain.count <= UInt16.max, "headers of a stream fit a stored block")
    var block: [UInt8] = []
    if isFirstBlock {
      block += Self.zlibHeader
      Self.put(Self.dictionaryID, &block)
      isFirstBlock = false
    }
    let length = UInt16(plain.count)
    block.append(0)
    for half in [length, ~length] { block += [UInt8(truncatingIfNeeded: half), UInt8(truncatingIfNeeded: half >> 8)] }
    return block + plain + Self.emptyBlock
  }

  private static func control(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
    var frame: [UInt8] = []
    put(Layout.control | UInt32(Layout.version) << 16 | UInt32(type), &frame)
    put(UInt32(payload.count), &frame)
    return frame + payload
  }

  private static func put(_ word: UInt32, _ bytes: inout [UInt8]) {
    withUnsafeBytes(of: word.bigEndian) { bytes += $0 }
  }
}
