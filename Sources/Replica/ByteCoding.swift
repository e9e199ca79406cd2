// Reading and writing the byte formats of entries, peer frames and snapshots: little-endian fixed words, LEB128
// lengths, strings and byte arrays behind their length. The reader checks every bound; it trusts nothing.

/// Bytes that are not what the format says. An entry or a message with this error was damaged or comes from a version
/// that this server does not know.
public struct CodecError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

/// Appends values to an array of bytes.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  mutating func byte(_ value: UInt8) { bytes.append(value) }
  mutating func flag(_ value: Bool) { bytes.append(value ? 1 : 0) }
  mutating func word(_ value: UInt64) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
  mutating func word32(_ value: UInt32) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }

  /// Unsigned LEB128: seven bits a byte, lowest first.
  mutating func number(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
  mutating func number(_ value: Int) { number(UInt64(value)) }

  mutating func string(_ value: String) {
    var value = value
    value.withUTF8 { utf8 in
      number(utf8.count)
      bytes.append(contentsOf: utf8)
    }
  }
  /// Bytes without their length: the last value, or one that knows its own end.
  mutating func append(_ value: [UInt8]) { bytes.append(contentsOf: value) }
  mutating func blob(_ value: [UInt8]) {
    number(value.count)
    bytes.append(contentsOf: value)
  }
}

/// Takes values from the front of an array of bytes.
struct ByteReader {
  let bytes: [UInt8]
  private(set) var position: Int
  private let end: Int

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    position = 0
    end = bytes.count
  }

  var isAtEnd: Bool { position == end }

  mutating func byte() throws(CodecError) -> UInt8 {
    guard position < end else { throw CodecError("ends after \(end) bytes, more expected") }
    defer { position += 1 }
    return bytes[position]
  }
  mutating func flag() throws(CodecError) -> Bool {
    switch try byte() {
    case 0: return false
    case 1: return true
    case let other: throw CodecError("\(other) is no truth value")
    }
  }
  mutating func word() throws(CodecError) -> UInt64 {
    let range = try span(8)
    return bytes.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: range.lowerBound, as: UInt64.self))
    }
  }
  mutating func number() throws(CodecError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let next = try byte()
      guard shift < 63 || next <= 1 else { throw CodecError("a number of more than 64 bits") }
      value |= UInt64(next & 0x7f) << shift
      if next < 0x80 { return value }
      shift += 7
    }
  }
  /// A number of things that each take a byte at least, so that no lie in it reserves memory.
  mutating func count() throws(CodecError) -> Int {
    let value = try number()
    guard value <= UInt64(end - position) else {
      throw CodecError("a count of \(value) with \(end - position) bytes left")
    }
    return Int(value)
  }
  mutating func string() throws(CodecError) -> String {
    let range = try span(try count())
    guard let text = String(validating: bytes[range], as: UTF8.self) else { throw CodecError("text that is not UTF-8") }
    return text
  }
  /// Everything that is left.
  mutating func rest() -> [UInt8] {
    defer { position = end }
    return Array(bytes[position..<end])
  }
  mutating func blob() throws(CodecError) -> [UInt8] { Array(bytes[try blobRange()]) }

  /// Where in `bytes` the next byte array lies, without copying it.
  mutating func blobRange() throws(CodecError) -> Range<Int> { try span(try count()) }

  private mutating func span(_ length: Int) throws(CodecError) -> Range<Int> {
    guard length <= end - position else { throw CodecError("ends after \(end) bytes, \(length) more expected") }
    defer { position += length }
    return position..<position + length
  }
}
