// Trees as Go's fmt prints them with %v. The reference puts them in its messages, and people search for those messages.
import JSON

extension JSONValue {
  /// `map[metadata:map[name:web] spec:map[replicas:two]]`: keys sorted, text bare, `[a b]` for lists.
  public var goText: String {
    switch self {
    case .null: "<nil>"
    case .string(let text): text
    case .bool, .integer, .double: description
    case .array(let items): "[\(items.map(\.goText).joined(separator: " "))]"
    case .object(let object):
      "map["
        + object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        .map { "\($0.key):\($0.value.goText)" }.joined(separator: " ") + "]"
    }
  }

  /// What the value is to Go's decoder of JSON.
  public var jsonKind: String {
    switch self {
    case .null: "null"
    case .bool: "bool"
    case .integer, .double: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  /// What the value is in a tree of Go: `reflect.Kind` in words.
  var goKind: String {
    switch self {
    case .null: "invalid"
    case .bool: "bool"
    case .integer: "int64"
    case .double: "float64"
    case .string: "string"
    case .array: "slice"
    case .object: "map"
    }
  }
}

extension Double {
  /// As %f prints it: six digits after the point, and all of them before it.
  public var goFixedText: String {
    guard isFinite else { return isNaN ? "NaN" : self > 0 ? "+Inf" : "-Inf" }
    // (No ratio of quantities comes near: they are between a billionth and 2^63.)
    guard magnitude < 1e38 else { return description }
    let whole = magnitude.rounded(.towardZero)
    let millionths = Int64(((magnitude - whole) * 1_000_000).rounded())
    let units = Int128(whole) + Int128(millionths / 1_000_000)
    let fraction = String(millionths % 1_000_000)
    let isNegative = self < 0 && (units != 0 || millionths != 0)
    return "\(isNegative ? "-" : "")\(units).\(String(repeating: "0", count: 6 - fraction.count))\(fraction)"
  }
}
