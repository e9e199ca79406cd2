// Values that are a schema or something simpler in its place: JSONSchemaPropsOrArray, …OrBool and …OrStringArray.
import JSON

/// The two forms of such a value: in JSON it is the schema, or the list or boolean that stands for it; in protobuf a
/// message with a field for each.
struct SchemaUnion {
  private let message: Structure
  /// Of the message's fields.
  private let schema: Field
  private let simple: Field

  /// - Parameter message: of two fields, one of them a structure.
  init(_ message: Structure) {
    precondition(message.isUnion && message.fields.count == 2, "\(message.name) is no union")
    self.message = message
    let isFirst = if case .structure = message.fields[0].type { true } else { false }
    schema = message.fields[isFirst ? 0 : 1]
    simple = message.fields[isFirst ? 1 : 0]
  }

  /// The canonical form of a JSON value, null where it is neither. These types decode themselves in the reference: what
  /// is unknown inside is dropped without a word, and errors do not name the place.
  func decode(_ value: JSONValue) throws(TypeError) -> JSONValue {
    switch (value, simple.type, schema.type) {
    case (.object, _, .structure(let structure)): return try TypedDecoder.decode(value, as: structure).value
    case (.bool, .boolean, _): return value
    case (_, .boolean, _): throw TypeError("boolean or JSON schema expected")
    case (.array(let elements), .array(let element), _):
      if elements.isEmpty { return .null }
      return try TypedDecoder.decode(value, as: .array(element))
    default: return .null
    }
  }

  /// The message's members of a canonical value.
  func fields(of value: JSONValue) -> JSONObject {
    switch value {
    case .object:
      if case .boolean = simple.type { return [simple.name: true, schema.name: value] }
      return [schema.name: value]
    case .null: return [:]
    default: return [simple.name: value]
    }
  }

  /// The value of a message's members.
  func value(of fields: JSONObject) -> JSONValue {
    if case .array(let elements)? = fields[simple.name], !elements.isEmpty { return .array(elements) }
    if let value = fields[schema.name] { return value }
    if case .boolean = simple.type { return fields[simple.name] ?? false }
    return .null
  }
}
