// Bytes of HTTP/1.1: character classes, lines out of a stream that may break anywhere.

let carriageReturn: UInt8 = 13
let lineFeed: UInt8 = 10

/// Token characters of RFC 9110 §5.6.2, as a set of 128 bits.
private let tokenLow: UInt64 = 0x03ff_6cfa_0000_0000
private let tokenHigh: UInt64 = 0x57ff_ffff_c7ff_fffe

@inline(__always) func isTokenByte(_ byte: UInt8) -> Bool {
  let half = byte < 64 ? tokenLow : tokenHigh
  return byte < 128 && (half >> UInt64(byte & 63)) & 1 == 1
}

@inline(__always) func lowercased(_ byte: UInt8) -> UInt8 { (byte &- 65) < 26 ? byte | 0x20 : byte }

/// Field values hold visible characters, space, tab and anything above 127 (RFC 9110 §5.5); never CR, LF or NUL.
@inline(__always) func isFieldByte(_ byte: UInt8) -> Bool { (byte >= 32 && byte != 127) || byte == 9 }

extension UnsafeRawBufferPointer {
  /// Where the first line feed at or after `start` lies. Eight bytes a step: most of a header is passed over here.
  func firstLineFeed(from start: Int) -> Int? {
    var at = start
    let ones: UInt64 = 0x0101_0101_0101_0101
    while at + 8 <= count {
      let word = loadUnaligned(fromByteOffset: at, as: UInt64.self).littleEndian ^ (ones &* 10)
      let zeros = (word &- ones) & ~word & (ones &* 0x80)
      if zeros != 0 { return at + zeros.trailingZeroBitCount / 8 }
      at += 8
    }
    while at < count {
      if self[at] == lineFeed { return at }
      at += 1
    }
    return nil
  }

  @inline(__always) func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: self[range])
  }

  var text: String { String(decoding: self, as: UTF8.self) }
}

/// Takes lines that end in CRLF out of a stream; the part of a line that has arrived is kept here, so no byte is looked
/// at twice however the stream is cut.
struct LineReader {
  private var partial: [UInt8] = []
  /// Bytes taken so far, line ends included.
  private(set) var size = 0

  enum Line {
    /// The line lies in the input, without its CRLF.
    case inInput(Range<Int>)
    /// The line was put together from several inputs.
    case joined([UInt8])
    /// All input is taken and the line has no end yet.
    case incomplete
  }

  mutating func next(in bytes: UnsafeRawBufferPointer, at: inout Int) throws -> Line {
    guard let end = bytes.firstLineFeed(from: at) else {
      partial.append(contentsOf: bytes.slice(at..<bytes.count))
      size += bytes.count - at
      at = bytes.count
      return .incomplete
    }
    size += end + 1 - at
    defer { at = end + 1 }
    if partial.isEmpty {
      guard end > at, bytes[end - 1] == carriageReturn else { throw Self.bareLineFeed }
      return .inInput(at..<end - 1)
    }
    partial.append(contentsOf: bytes.slice(at..<end))
    guard partial.last == carriageReturn else { throw Self.bareLineFeed }
    partial.removeLast()
    defer { partial = [] }
    return .joined(partial)
  }

  private static var bareLineFeed: MessageFailure { .malformed("a line ends in LF without CR") }
}
