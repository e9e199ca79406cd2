// Reading and writing the wire's few shapes: fixed-width little-endian integers and counted bytes.

/// Why bytes could not be decoded. Whoever sent them speaks another language: close the connection.
public enum CodingError: Error, Sendable, Hashable {
  /// The first byte names a version that this build does not know.
  case unknownVersion(UInt8)
  /// The bytes end before the value does.
  case truncated
  /// A byte that names a kind, a flag or a choice has no meaning.
  case unknownValue(UInt8)
  /// Bytes are left over after the value.
  case trailingBytes
  /// A length or index that does not fit.
  case outOfRange
}

struct ByteWriter {
  var bytes: [UInt8]

  init(capacity: Int) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  mutating func write(_ value: UInt8) { bytes.append(value) }
  mutating func write(_ flag: Bool) { bytes.append(flag ? 1 : 0) }
  mutating func write(_ value: UInt64) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
  mutating func writeCount(_ count: Int) {
    precondition(count >= 0 && count <= UInt32.max, "a count of the wire has four bytes")
    withUnsafeBytes(of: UInt32(count).littleEndian) { bytes.append(contentsOf: $0) }
  }
  mutating func writeCounted(_ payload: [UInt8]) {
    writeCount(payload.count)
    bytes.append(contentsOf: payload)
  }
}

/// Reads from the front of a buffer that outlives it; never past its end.
struct ByteReader {
  private let buffer: UnsafeRawBufferPointer
  private var offset = 0

  init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }

  var remaining: Int { buffer.count - offset }

  mutating func readByte() throws(CodingError) -> UInt8 {
    if remaining < 1 { throw .truncated }
    defer { offset += 1 }
    return buffer[offset]
  }

  mutating func readFlag() throws(CodingError) -> Bool {
    switch try readByte() {
    case 0: return false
    case 1: return true
    case let other: throw .unknownValue(other)
    }
  }

  mutating func readInteger() throws(CodingError) -> UInt64 {
    if remaining < 8 { throw .truncated }
    defer { offset += 8 }
    return UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// The number of elements that follow, each of at least `minimumSize` bytes: never more than the bytes can hold.
  mutating func readCount(minimumSize: Int) throws(CodingError) -> Int {
    if remaining < 4 { throw .truncated }
    let count = Int(UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    offset += 4
    if count > remaining / minimumSize { throw .truncated }
    return count
  }

  mutating func readCounted() throws(CodingError) -> [UInt8] {
    let count = try readCount(minimumSize: 1)
    defer { offset += count }
    return Array(UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + count)]))
  }

  func finish() throws(CodingError) {
    if remaining > 0 { throw .trailingBytes }
  }

  /// Decodes one whole value.
  static func decode<Value>(
    _ bytes: [UInt8], _ body: (inout ByteReader) throws(CodingError) -> Value
  ) throws(CodingError) -> Value {
    let result: Result<Value, CodingError> = bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer)
      do throws(CodingError) {
        let value = try body(&reader)
        try reader.finish()
        return .success(value)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}
