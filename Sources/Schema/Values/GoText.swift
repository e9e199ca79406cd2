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
