// The wire format of protobuf: tags, varints, lengths. Knows no types.

/// Why bytes are no message.
public struct ProtobufError: Error, Sendable, Hashable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }

  static let truncated = ProtobufError("unexpected EOF")
  static let overflow = ProtobufError("proto: integer overflow")
}

enum WireType: UInt64 {
  case varint = 0
  case fixed64 = 1
  case lengthDelimited = 2
  case fixed32 = 5
}

/// Walks over the fields of one message. The owner keeps the memory alive.
struct ProtobufReader {
  private let bytes: UnsafeRawBufferPointer
  private var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var atEnd: Bool { offset >= bytes.count }

  /// The next field's number and wire type.
  mutating func tag() throws(ProtobufError) -> (number: Int, wire: WireType) {
    let tag = try varint()
    let number = tag >> 3
    guard number > 0, number <= 0x1fff_ffff else { throw ProtobufError("proto: illegal tag \(number)") }
    guard let wire = WireType(rawValue: tag & 7) else {
      throw ProtobufError("proto: illegal wireType \(tag & 7)")
    }
    return (Int(number), wire)
  }

  mutating func varint() throws(ProtobufError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard offset < bytes.count else { throw .truncated }
      guard shift < 64 else { throw .overflow }
      let byte = bytes[offset]
      offset += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }

  mutating func fixed64() throws(ProtobufError) -> UInt64 {
    guard bytes.count - offset >= 8 else { throw .truncated }
    defer { offset += 8 }
    return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// A length and as many bytes.
  mutating func lengthDelimited() throws(ProtobufError) -> UnsafeRawBufferPointer {
    let length = try varint()
    guard length <= UInt64(bytes.count - offset) else { throw .truncated }
    defer { offset += Int(length) }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(length)])
  }

  mutating func skip(_ wire: WireType) throws(ProtobufError) {
    switch wire {
    case .varint: _ = try varint()
    case .fixed64: _ = try fixed64()
    case .lengthDelimited: _ = try lengthDelimited()
    case .fixed32:
      guard bytes.count - offset >= 4 else { throw .truncated }
      offset += 4
    }
  }
}
