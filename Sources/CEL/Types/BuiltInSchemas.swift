// Declared types out of the descriptions of built-in kinds, for checking the types of policies.
import JSON
import Schema

extension CELSchema {
  /// The declaration of a built-in kind's structure, as its OpenAPI schema gives it: quantities, dates and
  /// int-or-strings as OpenAPI has them.
  public static func builtIn(_ structure: Structure) -> CELSchema {
    var builder = BuiltInSchemas()
    return builder.object(structure)
  }
}

private struct BuiltInSchemas {
  private var finished: [String: CELSchema] = [:]
  /// A structure that contains itself is any value where it occurs again.
  private var pending: Set<String> = []

  mutating func object(_ structure: Structure) -> CELSchema {
    if let schema = finished[structure.name] { return schema }
    guard pending.insert(structure.name).inserted else { return .any }
    defer { pending.remove(structure.name) }
    var members: [String: CELSchema.Member] = [:]
    for field in structure.members {
      guard let escaped = CELIdentifier.escape(field.name) else { continue }
      members[escaped] = CELSchema.Member(name: field.name, schema: schema(field.type, field.listSemantics))
    }
    let schema = CELSchema(.object, typeName: structure.name, members: members, isNullable: true)
    if pending.count == 1 { finished[structure.name] = schema }
    return schema
  }

  private mutating func schema(_ type: FieldType, _ semantics: ListSemantics = .atomic) -> CELSchema {
    switch type {
    case .string, .duration, .quantity: CELSchema(type.isQuantity ? .intOrString : .string, isNullable: true)
    case .bytes: CELSchema(.bytes, isNullable: true)
    case .boolean: CELSchema(.bool, isNullable: true)
    case .int32, .int64: CELSchema(.int, isNullable: true)
    case .double: CELSchema(.double, isNullable: true)
    case .intOrString: CELSchema(.intOrString, isNullable: true)
    case .time, .microTime: CELSchema(.dateTime, isNullable: true)
    case .rawObject, .anyValue, .union: .any
    case .structure(let inner): object(inner)
    case .array(let element): list(element, semantics)
    case .map(let value): CELSchema(.map, element: schema(value), isNullable: true)
    }
  }

  private mutating func list(_ element: FieldType, _ semantics: ListSemantics) -> CELSchema {
    let kind: CELSchema.ListKind =
      switch semantics {
      case .atomic: .atomic
      case .set: .set
      case .map(let keys): .map(keys: keys)
      }
    return CELSchema(.list, element: schema(element), listKind: kind, isNullable: true)
  }
}

extension FieldType {
  fileprivate var isQuantity: Bool { if case .quantity = self { true } else { false } }
}
