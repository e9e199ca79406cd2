// Optional values: optional.of, hasValue, orValue, …
import Schema

enum OptionalFunctions {
  private static let v = CELType.parameter("V")
  private static let optionalV = CELType.optional(.parameter("V"))

  static let all: [CELFunction] = [
    CELFunction("optional.of", [CELOverload("optional_of", [v], optionalV)]) { arguments throws(CELError) in
      .optional(arguments[0])
    },
    CELFunction("optional.ofNonZeroValue", [CELOverload("optional_ofNonZeroValue", [v], optionalV)]) {
      arguments throws(CELError) in .optional(arguments[0].isZero ? nil : arguments[0])
    },
    CELFunction("optional.none", [CELOverload("optional_none", [], optionalV)]) { _ throws(CELError) in
      .optional(nil)
    },
    CELFunction("value", [.member("optional_value", [optionalV], v)]) { arguments throws(CELError) in
      guard case .optional(let content) = arguments[0] else { throw .noSuchOverload("value", arguments) }
      guard let content else { throw CELError("optional.none() dereference") }
      return content
    },
    CELFunction("hasValue", [.member("optional_hasValue", [optionalV], .bool)]) { arguments throws(CELError) in
      guard case .optional(let content) = arguments[0] else { throw .noSuchOverload("hasValue", arguments) }
      return .bool(content != nil)
    },
    CELFunction("or", [.member("optional_or_optional", [optionalV, optionalV], optionalV)]) {
      arguments throws(CELError) in
      guard case .optional(let content) = arguments[0], case .optional = arguments[1] else {
        throw .noSuchOverload("or", arguments)
      }
      return content == nil ? arguments[1] : arguments[0]
    },
    CELFunction("orValue", [.member("optional_orValue_value", [optionalV, v], v)]) { arguments throws(CELError) in
      guard case .optional(let content) = arguments[0] else { throw .noSuchOverload("orValue", arguments) }
      return content ?? arguments[1]
    },
  ]
}

extension CELValue {
  /// Whether it is the value a variable of its type begins with.
  fileprivate var isZero: Bool {
    switch self {
    case .null: true
    case .bool(let value): !value
    case .int(let value): value == 0
    case .uint(let value): value == 0
    case .double(let value): value == 0
    case .string(let value): value.isEmpty
    case .bytes(let value): value.isEmpty
    case .list(let value): value.count == 0
    case .map(let value): value.count == 0
    case .duration(let value): value == 0
    case .timestamp(let value): value.seconds == Self.timestampSeconds.lowerBound && value.nanoseconds == 0
    case .optional(let content): content == nil
    case .type, .opaque: false
    }
  }
}
