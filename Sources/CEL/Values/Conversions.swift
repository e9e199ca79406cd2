// int(x), string(x) and their kind.
import Schema

extension CELValue {
  func toInt() throws(CELError) -> CELValue {
    switch self {
    case .int: return self
    case .uint(let value):
      guard let integer = Int64(exactly: value) else { throw .integerOverflow }
      return .int(integer)
    case .double(let value):
      // Both ends of the range are beyond what a double tells apart.
      guard value > -9_223_372_036_854_775_808, value < 9_223_372_036_854_775_808 else { throw .integerOverflow }
      return .int(Int64(value))
    case .string(let text):
      guard text.utf8.first != 0x5f, let value = Int64(text) else { throw .conversion(.string, .int) }
      return .int(value)
    case .timestamp(let time): return .int(time.seconds)
    default: throw .noSuchOverload("int", [self])
    }
  }

  func toUint() throws(CELError) -> CELValue {
    switch self {
    case .uint: return self
    case .int(let value):
      guard let unsigned = UInt64(exactly: value) else { throw .unsignedOverflow }
      return .uint(unsigned)
    case .double(let value):
      guard value >= 0, value < 18_446_744_073_709_551_616 else { throw .unsignedOverflow }
      return .uint(UInt64(value))
    case .string(let text):
      guard text.utf8.first.map({ $0 != 0x2b && $0 != 0x2d }) ?? false, let value = UInt64(text) else {
        throw .conversion(.string, .uint)
      }
      return .uint(value)
    default: throw .noSuchOverload("uint", [self])
    }
  }

  func toDouble() throws(CELError) -> CELValue {
    switch self {
    case .double: return self
    case .int(let value): return .double(Double(value))
    case .uint(let value): return .double(Double(value))
    case .string(let text):
      guard let value = Double(text) else { throw .conversion(.string, .double) }
      return .double(value)
    default: throw .noSuchOverload("double", [self])
    }
  }

  func toText() throws(CELError) -> CELValue {
    switch self {
    case .string: return self
    case .bool, .int, .uint, .double, .timestamp, .duration: return .string(shown)
    case .bytes(let bytes):
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw CELError("invalid UTF-8 in bytes, cannot convert to string")
      }
      return .string(text)
    case .opaque(let value):
      guard let text = value.text else { throw .noSuchOverload("string", [self]) }
      return .string(text)
    default: throw .noSuchOverload("string", [self])
    }
  }

  func toBytes() throws(CELError) -> CELValue {
    switch self {
    case .bytes: return self
    case .string(let text): return .bytes(Array(text.utf8))
    default: throw .noSuchOverload("bytes", [self])
    }
  }

  func toBool() throws(CELError) -> CELValue {
    switch self {
    case .bool: return self
    case .string("1"), .string("t"), .string("T"), .string("true"), .string("TRUE"), .string("True"):
      return .bool(true)
    case .string("0"), .string("f"), .string("F"), .string("false"), .string("FALSE"), .string("False"):
      return .bool(false)
    case .string: throw .conversion(.string, .bool)
    default: throw .noSuchOverload("bool", [self])
    }
  }

  func toTimestamp() throws(CELError) -> CELValue {
    switch self {
    case .timestamp: return self
    case .int(let seconds):
      guard Self.timestampSeconds.contains(seconds) else { throw .timestampOverflow }
      return .timestamp(Timestamp(seconds: seconds))
    case .string(let text):
      guard let time = Timestamp(rfc3339: text) else { throw .conversion(.string, .timestamp) }
      guard Self.timestampSeconds.contains(time.seconds) else { throw .timestampOverflow }
      return .timestamp(time)
    default: throw .noSuchOverload("timestamp", [self])
    }
  }

  func toDuration() throws(CELError) -> CELValue {
    switch self {
    case .duration: return self
    case .string(let text):
      guard let nanoseconds = DurationText.nanoseconds(text) else { throw .conversion(.string, .duration) }
      return .duration(nanoseconds)
    default: throw .noSuchOverload("duration", [self])
    }
  }
}
