// Bodies of HTTP/1.1 messages: by length, chunked (RFC 9112 §7.1), or to the end of the connection.

struct BodyDecoder {
  private enum State {
    case counted(remaining: Int)
    case chunkSize
    case chunkData(remaining: Int)
    /// The CRLF after a chunk's data; the number of its bytes seen.
    case chunkEnd(seen: Int)
    case trailers
    case untilClose
    case ended
  }
  private var state: State
  private var lines = LineReader()
  private var trailerCount = 0

  /// A chunk-size line with its extensions, which nobody reads: small, so that they cannot be a load of their own.
  private static let chunkLineLimit = 1024
  /// Trailer fields are checked and dropped.
  private static let trailerByteLimit = 8 << 10
  private static let trailerFieldLimit = 64

  init(_ framing: BodyFraming) {
    switch framing {
    case .none, .length(0): state = .ended
    case .length(let length): state = .counted(remaining: length)
    case .chunked: state = .chunkSize
    case .untilClose: state = .untilClose
    }
  }

  var isEnded: Bool { if case .ended = state { true } else { false } }

  /// The end of the connection is a proper end of this body.
  var mayEndByClose: Bool {
    switch state {
    case .ended, .untilClose: true
    default: false
    }
  }

  /// Appends body bytes from `at` on to `body`, which may hold `limit` bytes. Stops at the end of the body.
  mutating func consume(
    _ bytes: UnsafeRawBufferPointer, at: inout Int, into body: inout [UInt8], limit: Int
  ) throws {
    func take(_ remaining: Int) throws -> Int {
      let length = min(remaining, bytes.count - at)
      guard length <= limit - body.count else { throw MessageFailure.bodyTooLarge(limit: limit) }
      body.append(contentsOf: bytes.slice(at..<at + length))
      at += length
      return remaining - length
    }
    while at < bytes.count {
      switch state {
      case .ended: return
      case .untilClose: _ = try take(.max)
      case .counted(let remaining):
        let rest = try take(remaining)
        state = rest == 0 ? .ended : .counted(remaining: rest)
      case .chunkSize:
        guard let size = try nextChunkSize(bytes, at: &at) else { return }
        guard size <= limit - body.count else { throw MessageFailure.bodyTooLarge(limit: limit) }
        lines = LineReader()
        state = size == 0 ? .trailers : .chunkData(remaining: size)
      case .chunkData(let remaining):
        let rest = try take(remaining)
        state = rest == 0 ? .chunkEnd(seen: 0) : .chunkData(remaining: rest)
      case .chunkEnd(let seen):
        guard bytes[at] == (seen == 0 ? carriageReturn : lineFeed) else {
          throw MessageFailure.malformed("a chunk is longer than its size says")
        }
        at += 1
        state = seen == 0 ? .chunkEnd(seen: 1) : .chunkSize
      case .trailers:
        guard try takeTrailer(bytes, at: &at) else { return }
      }
    }
  }

  private mutating func nextChunkSize(_ bytes: UnsafeRawBufferPointer, at: inout Int) throws -> Int? {
    let line = try lines.next(in: bytes, at: &at)
    guard lines.size <= Self.chunkLineLimit else { throw MessageFailure.malformed("chunk size line too long") }
    switch line {
    case .incomplete: return nil
    case .inInput(let range): return try Self.parseChunkSize(bytes.slice(range))
    case .joined(let line): return try line.withUnsafeBytes { try Self.parseChunkSize($0) }
    }
  }

  private static func parseChunkSize(_ line: UnsafeRawBufferPointer) throws -> Int {
    var size = 0
    var digits = 0
    for byte in line {
      let digit: UInt8
      switch lowercased(byte) {
      case 48...57: digit = byte - 48
      case 97...102: digit = lowercased(byte) - 87
      case UInt8(ascii: ";") where digits > 0:
        guard line.dropFirst(digits).allSatisfy(isFieldByte) else {
          throw MessageFailure.malformed("invalid chunk extension")
        }
        return size
      default: throw MessageFailure.malformed("invalid chunk size")
      }
      digits += 1
      // 12 digits: far beyond any limit, far below overflow.
      guard digits <= 12 else { throw MessageFailure.malformed("chunk size too large") }
      size = size << 4 | Int(digit)
    }
    guard digits > 0 else { throw MessageFailure.malformed("invalid chunk size") }
    return size
  }

  private mutating func takeTrailer(_ bytes: UnsafeRawBufferPointer, at: inout Int) throws -> Bool {
    let line = try lines.next(in: bytes, at: &at)
    guard lines.size <= Self.trailerByteLimit, trailerCount <= Self.trailerFieldLimit else {
      throw MessageFailure.headerTooLarge(limit: Self.trailerByteLimit)
    }
    func check(_ line: UnsafeRawBufferPointer) throws {
      if line.isEmpty { state = .ended } else { _ = try FieldSection.parse(line) }
    }
    switch line {
    case .incomplete: return false
    case .inInput(let range): try check(bytes.slice(range))
    case .joined(let line): try line.withUnsafeBytes { try check($0) }
    }
    trailerCount += 1
    return true
  }
}
