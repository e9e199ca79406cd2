// + - * / % and negation, with overflow as an error.
import Schema

extension CELValue {
  private static let nanosecondsPerSecond: Int64 = 1_000_000_000
  /// Years 1 to 9999.
  static let timestampSeconds: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

  private static func integer(_ result: (partialValue: Int64, overflow: Bool)) throws(CELError) -> CELValue {
    guard !result.overflow else { throw .integerOverflow }
    return .int(result.partialValue)
  }

  private static func unsigned(_ result: (partialValue: UInt64, overflow: Bool)) throws(CELError) -> CELValue {
    guard !result.overflow else { throw .unsignedOverflow }
    return .uint(result.partialValue)
  }

  private static func duration(_ result: (partialValue: Int64, overflow: Bool)) throws(CELError) -> CELValue {
    guard !result.overflow else { throw .durationOverflow }
    return .duration(result.partialValue)
  }

  func adding(_ other: CELValue) throws(CELError) -> CELValue {
    switch (self, other) {
    case (.int(let left), .int(let right)): return try Self.integer(left.addingReportingOverflow(right))
    case (.uint(let left), .uint(let right)): return try Self.unsigned(left.addingReportingOverflow(right))
    case (.double(let left), .double(let right)): return .double(left + right)
    case (.string(let left), .string(let right)):
      guard left.utf8.count + right.utf8.count <= CELLimits.textBytesMaximum else { throw .costExceeded }
      return .string(left + right)
    case (.bytes(let left), .bytes(let right)):
      guard left.count + right.count <= CELLimits.textBytesMaximum else { throw .costExceeded }
      return .bytes(left + right)
    case (.list(let left), .list(let right)): return .list(try left.adding(right))
    case (.duration(let left), .duration(let right)): return try Self.duration(left.addingReportingOverflow(right))
    case (.timestamp(let time), .duration(let change)), (.duration(let change), .timestamp(let time)):
      return try Self.moved(time, by: Int128(change))
    case (.int, _), (.uint, _), (.double, _), (.string, _), (.bytes, _), (.list, _), (.duration, _), (.timestamp, _):
      throw .noSuchOverload
    default: throw CELError("no such overload: \(Operator.add)")
    }
  }

  func subtracting(_ other: CELValue) throws(CELError) -> CELValue {
    switch (self, other) {
    case (.int(let left), .int(let right)): return try Self.integer(left.subtractingReportingOverflow(right))
    case (.uint(let left), .uint(let right)): return try Self.unsigned(left.subtractingReportingOverflow(right))
    case (.double(let left), .double(let right)): return .double(left - right)
    case (.duration(let left), .duration(let right)):
      return try Self.duration(left.subtractingReportingOverflow(right))
    case (.timestamp(let time), .duration(let change)): return try Self.moved(time, by: -Int128(change))
    case (.timestamp(let left), .timestamp(let right)):
      let difference = Self.nanoseconds(left) - Self.nanoseconds(right)
      guard let nanoseconds = Int64(exactly: difference) else { throw .durationOverflow }
      return .duration(nanoseconds)
    case (.int, _), (.uint, _), (.double, _), (.duration, _), (.timestamp, _): throw .noSuchOverload
    default: throw CELError("no such overload: \(Operator.subtract)")
    }
  }

  private static func nanoseconds(_ time: Timestamp) -> Int128 {
    Int128(time.seconds) * Int128(nanosecondsPerSecond) + Int128(time.nanoseconds)
  }

  private static func moved(_ time: Timestamp, by change: Int128) throws(CELError) -> CELValue {
    let total = nanoseconds(time) + change
    var (seconds, rest) = total.quotientAndRemainder(dividingBy: Int128(nanosecondsPerSecond))
    if rest < 0 {
      rest += Int128(nanosecondsPerSecond)
      seconds -= 1
    }
    guard let whole = Int64(exactly: seconds), timestampSeconds.contains(whole) else { throw .timestampOverflow }
    return .timestamp(Timestamp(seconds: whole, nanoseconds: Int32(rest)))
  }

  func multiplied(by other: CELValue) throws(CELError) -> CELValue {
    switch (self, other) {
    case (.int(let left), .int(let right)): return try Self.integer(left.multipliedReportingOverflow(by: right))
    case (.uint(let left), .uint(let right)): return try Self.unsigned(left.multipliedReportingOverflow(by: right))
    case (.double(let left), .double(let right)): return .double(left * right)
    case (.int, _), (.uint, _), (.double, _): throw .noSuchOverload
    default: throw CELError("no such overload: \(Operator.multiply)")
    }
  }

  func divided(by other: CELValue) throws(CELError) -> CELValue {
    switch (self, other) {
    case (.int, .int(0)), (.uint, .uint(0)): throw CELError("division by zero")
    case (.int(let left), .int(let right)): return try Self.integer(left.dividedReportingOverflow(by: right))
    case (.uint(let left), .uint(let right)): return .uint(left / right)
    case (.double(let left), .double(let right)): return .double(left / right)
    case (.int, _), (.uint, _), (.double, _): throw .noSuchOverload
    default: throw CELError("no such overload: \(Operator.divide)")
    }
  }

  func remainder(dividingBy other: CELValue) throws(CELError) -> CELValue {
    switch (self, other) {
    case (.int, .int(0)), (.uint, .uint(0)): throw CELError("modulus by zero")
    case (.int(let left), .int(let right)):
      return try Self.integer(left.remainderReportingOverflow(dividingBy: right))
    case (.uint(let left), .uint(let right)): return .uint(left % right)
    case (.int, _), (.uint, _): throw .noSuchOverload
    default: throw CELError("no such overload: \(Operator.modulo)")
    }
  }

  func negated() throws(CELError) -> CELValue {
    switch self {
    case .int(let value): return try Self.integer(Int64(0).subtractingReportingOverflow(value))
    case .double(let value): return .double(-value)
    case .duration(let value): return try Self.duration(Int64(0).subtractingReportingOverflow(value))
    default: throw CELError("no such overload: \(Operator.negate)")
    }
  }
}
