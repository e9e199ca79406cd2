// What goes wrong while an expression runs.

/// An error of evaluation, in the words of the reference.
public struct CELError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Kind: Sendable, Hashable {
    /// `&&` and `||` absorb it where the other side decides.
    case evaluation
    /// The cost limit is spent; evaluation ends.
    case costExceeded
    /// Something the expression asks for is not known yet; evaluation ends and may be repeated once it is.
    case suspended
  }
  public let message: String
  public let kind: Kind

  public init(_ message: String, kind: Kind = .evaluation) {
    self.message = message
    self.kind = kind
  }

  public var isCostExceeded: Bool { kind == .costExceeded }

  public var description: String { message }

  static let costExceeded = CELError("operation cancelled: actual cost limit exceeded", kind: .costExceeded)
  static let noSuchOverload = CELError("no such overload")

  /// "no such overload: size(int)".
  static func noSuchOverload(_ function: String, _ arguments: [CELValue]) -> CELError {
    CELError("no such overload: \(function)(\(arguments.map(\.type.name).joined(separator: ", ")))")
  }
  static func noSuchKey(_ key: CELValue) -> CELError { CELError("no such key: \(key.shown)") }
  static func noSuchKey(_ key: String) -> CELError { CELError("no such key: \(key)") }
  static func conversion(_ from: CELType, _ to: CELType) -> CELError {
    CELError("type conversion error from '\(from.name)' to '\(to.name)'")
  }
  static let integerOverflow = CELError("integer overflow")
  static let unsignedOverflow = CELError("unsigned integer overflow")
  static let durationOverflow = CELError("duration overflow")
  static let timestampOverflow = CELError("timestamp overflow")
}

extension CELValue {
  /// The value inside messages.
  var shown: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .int(let value): "\(value)"
    case .uint(let value): "\(value)"
    case .double(let value): GoNumber.text(value)
    case .string(let value): value
    case .timestamp(let value): value.rfc3339Nano
    case .duration(let value): DurationFormat.seconds(value)
    case .type(let type): type.name
    default: type.name
    }
  }
}
