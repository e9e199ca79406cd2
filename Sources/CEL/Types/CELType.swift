// The types of CEL, as the checker and declarations use them.

public indirect enum CELType: Sendable, Hashable {
  case dyn
  /// The type of what does not check; agrees with everything, so that one mistake is reported once.
  case error
  case null, bool, int, uint, double, string, bytes, timestamp, duration
  case list(CELType)
  case map(CELType, CELType)
  /// An object whose members a schema declares.
  case object(CELSchema)
  /// The type of a type; nil where it is not known of which.
  case type(CELType?)
  /// A type of a library: "net.IP", "kubernetes.Quantity", "optional_type".
  case opaque(String, [CELType])
  /// A parameter of a function's type.
  case parameter(String)
  /// A parameter while checking: the number of a variable to be found.
  case variable(Int)

  public static func optional(_ wrapped: CELType) -> CELType { .opaque("optional_type", [wrapped]) }
  static func named(_ name: String) -> CELType { .opaque(name, []) }

  /// What an optional wraps; nil for other types.
  var optionalContent: CELType? {
    if case .opaque("optional_type", let parameters) = self { return parameters.first }
    return nil
  }

  var isDynOrError: Bool { self == .dyn || self == .error }

  /// What stands between the parentheses.
  var parameters: [CELType] {
    switch self {
    case .list(let element): [element]
    case .map(let key, let value): [key, value]
    case .type(let inner): inner.map { [$0] } ?? []
    case .opaque(_, let parameters): parameters
    default: []
    }
  }

  /// The name of the type of a value at run time.
  public var name: String {
    switch self {
    case .dyn: "dyn"
    case .error: "!error!"
    case .null: "null_type"
    case .bool: "bool"
    case .int: "int"
    case .uint: "uint"
    case .double: "double"
    case .string: "string"
    case .bytes: "bytes"
    case .timestamp: "google.protobuf.Timestamp"
    case .duration: "google.protobuf.Duration"
    case .list: "list"
    case .map: "map"
    case .object(let schema): schema.typeName
    case .type: "type"
    case .opaque(let name, _): name
    case .parameter(let name): name
    case .variable(let number): "_var\(number)"
    }
  }
}

extension CELType: CustomStringConvertible {
  /// As the checker's messages write it.
  public var description: String {
    switch self {
    case .null: return "null"
    case .timestamp: return "timestamp"
    case .duration: return "duration"
    default:
      let parameters = self.parameters
      guard !parameters.isEmpty else { return name }
      return "\(name)(\(parameters.map(\.description).joined(separator: ", ")))"
    }
  }

  /// "(int, string)", "string.(int)".
  static func signature(_ arguments: [CELType], isMember: Bool) -> String {
    var rest = arguments[...]
    let target = isMember ? rest.popFirst().map { "\($0)." } ?? "" : ""
    return "\(target)(\(rest.map(\.description).joined(separator: ", ")))"
  }
}
