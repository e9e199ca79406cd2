// Documents as values, and values as documents.
import JSON
import Schema

extension CELValue {
  /// A document seen as it is: objects are maps, numbers are ints or doubles.
  public init(_ document: JSONValue) {
    switch document {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    case .array(let value): self = .list(.json(value, .any))
    case .object(let value): self = .map(.json(value, .any))
    }
  }

  /// A document seen through its schema.
  public init(_ document: JSONValue, as schema: CELSchema) throws(CELError) {
    if schema.kind == .any {
      self.init(document)
      return
    }
    switch (schema.kind, document) {
    case (_, .null):
      guard schema.isNullable || schema.kind == .null else {
        throw CELError("invalid data, got null for schema with nullable=false")
      }
      self = .null
    case (.bool, .bool(let value)): self = .bool(value)
    case (.int, .integer(let value)), (.intOrString, .integer(let value)): self = .int(value)
    case (.int, .double(let value)):
      guard let integer = Int64(exactly: value) else { throw CELError("invalid data, expected int, got float64") }
      self = .int(integer)
    case (.double, .integer(let value)): self = .double(Double(value))
    case (.double, .double(let value)): self = .double(value)
    case (.string, .string(let value)), (.intOrString, .string(let value)): self = .string(value)
    case (.bytes, .string(let value)):
      guard let bytes = try? Base64.decode(value) else { throw CELError("Invalid byte formatted string \(value)") }
      self = .bytes(bytes)
    case (.date, .string(let value)):
      guard let time = Timestamp(rfc3339: value + "T00:00:00Z") else {
        throw CELError("Invalid date formatted string \(value)")
      }
      self = .timestamp(time)
    case (.dateTime, .string(let value)):
      guard let time = Timestamp(rfc3339: value) else {
        throw CELError("Invalid date-time formatted string \(value)")
      }
      self = .timestamp(time)
    case (.duration, .string(let value)):
      guard let nanoseconds = DurationText.nanoseconds(value) else { throw CELError("Invalid duration \(value)") }
      self = .duration(nanoseconds)
    case (.list, .array(let value)): self = .list(.json(value, schema))
    case (.map, .object(let value)), (.object, .object(let value)): self = .map(.json(value, schema))
    default: throw Self.unfit(document, schema)
    }
  }

  private static func unfit(_ document: JSONValue, _ schema: CELSchema) -> CELError {
    switch schema.kind {
    case .list: return CELError("invalid data, expected an array for the provided schema with type=array")
    case .map, .object: return CELError("invalid data, expected a map for the provided schema with type=object")
    case .intOrString:
      return CELError("invalid data, expected XIntOrString value to be either a string or integer")
    default: return CELError("invalid data, expected \(schema.type.name), got \(CELValue(document).type.name)")
    }
  }

  /// The value as a document, as JSON conversions of the reference make it; nil for what has no such form.
  public func document(depth: Int = 0) throws(CELError) -> JSONValue {
    guard depth < CELLimits.valueDepthMaximum else { throw CELError("value is nested too deeply") }
    switch self {
    case .null: return .null
    case .bool(let value): return .bool(value)
    case .int(let value): return .integer(value)
    case .uint(let value): return Int64(exactly: value).map { .integer($0) } ?? .double(Double(value))
    case .double(let value): return .double(value)
    case .string(let value): return .string(value)
    case .bytes(let value): return .string(Base64.encode(value))
    case .timestamp(let value): return .string(value.rfc3339Nano)
    case .duration(let value): return .string(DurationFormat.seconds(value))
    case .list(.json(let values, .any)): return .array(values)
    case .map(.json(let object, .any)): return .object(object)
    case .list(let list):
      var elements: [JSONValue] = []
      for value in try list.values() { elements.append(try value.document(depth: depth + 1)) }
      return .array(elements)
    case .map(let map):
      var object = JSONObject()
      for key in map.keys() {
        guard let index = CELKey(key), let value = try map.value(index) else { continue }
        object[key.shown] = try value.document(depth: depth + 1)
      }
      return .object(object)
    case .optional(let value): return try value?.document(depth: depth + 1) ?? .null
    case .type(let type): return .string(type.name)
    case .opaque(let value): throw CELError("type conversion error from '\(value.typeName)' to 'google.protobuf.Value'")
    }
  }
}
