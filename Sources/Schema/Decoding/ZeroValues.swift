// What a type is when nothing is said: zero values, and how the reference names types in errors.
import JSON

extension FieldType {
  /// The value that stands for nothing, as the reference writes it to JSON.
  public var zero: JSONValue {
    switch self {
    case .string: ""
    case .boolean: false
    case .int32, .int64, .double, .intOrString: 0
    case .quantity: "0"
    case .duration: "0s"
    case .structure(let structure): structure.zero
    case .bytes, .time, .microTime, .rawObject, .anyValue, .union, .array, .map: .null
    }
  }

  /// What `null` becomes as an item of a list or a value of a map. The reference keeps such an item through its
  /// storage encoding, where text and bytes that are not said are empty ones.
  var zeroItem: JSONValue { if case .bytes = self { "" } else { zero } }

  /// The type as the reference's error messages name it.
  var referenceName: String {
    switch self {
    case .string: "string"
    case .bytes: "[]uint8"
    case .boolean: "bool"
    case .int32: "int32"
    case .int64: "int64"
    case .double: "float64"
    case .quantity: "resource.Quantity"
    case .intOrString: "intstr.IntOrString"
    case .time: "v1.Time"
    case .microTime: "v1.MicroTime"
    case .duration: "v1.Duration"
    case .rawObject: "runtime.RawExtension"
    case .anyValue: "v1.JSON"
    case .structure(let structure), .union(let structure):
      structure.name.split(separator: ".").suffix(2).joined(separator: ".")
    case .array(let element): "[]\(element.referenceName)"
    case .map(let element): "map[string]\(element.referenceName)"
    }
  }
}

extension Structure {
  /// The name without its package: "PodSpec".
  public var localName: String { String(name.split(separator: ".").last ?? "") }

  /// The structure with nothing said: only what is always written.
  public var zero: JSONValue {
    var object = JSONObject()
    for position in alwaysWrittenPositions {
      object.appendUnique(
        members[position].name, members[position].isPointer ? .null : members[position].type.zero)
    }
    return .object(object)
  }
}

extension JSONValue {
  /// Says nothing: null, false, zero, "", [], {}.
  public var isZero: Bool {
    switch self {
    case .null: true
    case .bool(let value): !value
    case .integer(let value): value == 0
    case .double(let value): value == 0
    case .string(let text): text.isEmpty
    case .array(let elements): elements.isEmpty
    case .object(let object): object.isEmpty
    }
  }
}
