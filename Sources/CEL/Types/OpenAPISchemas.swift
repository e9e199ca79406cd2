// Declared types out of OpenAPI v3 schemas: structural schemas of CustomResourceDefinitions.
import JSON

extension CELSchema {
  /// Bytes of the largest request.
  private static let requestBytesMaximum: UInt64 = 3 * 1024 * 1024
  /// Deepest nesting of a schema that is read; what lies deeper is not visible to expressions.
  private static let schemaDepthMaximum = 256

  /// The declaration of a structural schema, nil when expressions may not see it (no type, unknown fields preserved
  /// without properties in a list or map, …). A resource's root, and an embedded resource, always has `apiVersion`,
  /// `kind`, `metadata.name` and `metadata.generateName`.
  public static func openAPI(
    _ schema: JSONValue, isResourceRoot: Bool = false, typeName: String = "selfType", depth: Int = 0
  ) -> CELSchema? {
    guard depth < schemaDepthMaximum else { return nil }
    let isNullable = schema["nullable"].bool ?? false
    if schema["x-kubernetes-int-or-string"].bool == true {
      return CELSchema(
        .intOrString, isNullable: isNullable,
        elementsMaximum: maximumLength(schema).map { saturating($0, 4) } ?? requestBytesMaximum - 2)
    }
    switch schema["type"].string {
    case "array": return list(schema, isNullable, typeName, depth)
    case "object":
      let isRoot = isResourceRoot || schema["x-kubernetes-embedded-resource"].bool == true
      return object(schema, isRoot: isRoot, isNullable, typeName, depth)
    case "string": return string(schema, isNullable)
    case "boolean": return CELSchema(.bool, isNullable: isNullable, serializedSizeMinimum: 4)
    case "number": return CELSchema(.double, isNullable: isNullable)
    case "integer": return CELSchema(.int, isNullable: isNullable)
    default: return nil
    }
  }

  private static func maximumLength(_ schema: JSONValue) -> UInt64? { count(schema["maxLength"]) }

  private static func count(_ value: JSONValue) -> UInt64? { value.integer.map { UInt64(max($0, 0)) } }

  private static func saturating(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (product, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? .max : product
  }

  private static func list(
    _ schema: JSONValue, _ isNullable: Bool, _ typeName: String, _ depth: Int
  ) -> CELSchema? {
    guard let element = openAPI(schema["items"], typeName: typeName + ".@idx", depth: depth + 1) else { return nil }
    // Elements and the commas between them, in brackets.
    let most = count(schema["maxItems"]) ?? (requestBytesMaximum - 2) / (element.serializedSizeMinimum + 1)
    var kind = ListKind.atomic
    switch schema["x-kubernetes-list-type"].string {
    case "set": kind = .set
    case "map": kind = .map(keys: schema["x-kubernetes-list-map-keys"].elements.compactMap(\.string))
    default: break
    }
    return CELSchema(
      .list, element: element, listKind: kind, isNullable: isNullable, elementsMaximum: most,
      serializedSizeMinimum: 2)
  }

  private static func object(
    _ schema: JSONValue, isRoot: Bool, _ isNullable: Bool, _ typeName: String, _ depth: Int
  ) -> CELSchema? {
    if case .object = schema["additionalProperties"], !isRoot {
      guard
        let value = openAPI(schema["additionalProperties"], typeName: typeName + ".@elem", depth: depth + 1)
      else { return nil }
      // A key of two quotes, a colon, a comma and at least two characters.
      let most = count(schema["maxProperties"]) ?? (requestBytesMaximum - 2) / (value.serializedSizeMinimum + 6)
      return CELSchema(
        .map, element: value, isNullable: isNullable, elementsMaximum: most, serializedSizeMinimum: 2)
    }
    var members: [String: Member] = [:]
    var size: UInt64 = 2
    let required = Set(schema["required"].elements.compactMap(\.string))
    for (name, property) in schema["properties"].object ?? [:] {
      guard let escaped = CELIdentifier.escape(name),
        let declared = openAPI(property, typeName: "\(typeName).\(escaped)", depth: depth + 1)
      else { continue }
      members[escaped] = Member(name: name, schema: declared)
      if required.contains(name), property["default"].isNull {
        size += UInt64(name.utf8.count) + declared.serializedSizeMinimum + 4
      }
    }
    if isRoot { addTypeAndMetadata(&members, schema, typeName) }
    return CELSchema(
      .object, typeName: typeName, members: members, isNullable: isNullable, serializedSizeMinimum: size)
  }

  /// What every resource has: unless the schema itself declares all of it.
  private static func addTypeAndMetadata(_ members: inout [String: Member], _ schema: JSONValue, _ typeName: String) {
    let properties = schema["properties"]
    let metadata = properties["metadata"]["properties"]
    let declared = [properties["kind"], properties["apiVersion"], metadata["name"], metadata["generateName"]]
    if declared.allSatisfy({ $0["type"].string == "string" }) { return }
    let text = CELSchema(.string, elementsMaximum: requestBytesMaximum - 2, serializedSizeMinimum: 2)
    members["kind"] = Member(name: "kind", schema: text)
    members["apiVersion"] = Member(name: "apiVersion", schema: text)
    members["metadata"] = Member(
      name: "metadata",
      schema: CELSchema(
        .object, typeName: typeName + ".metadata",
        members: [
          "name": Member(name: "name", schema: text), "generateName": Member(name: "generateName", schema: text),
        ], serializedSizeMinimum: 2))
  }

  private static func string(_ schema: JSONValue, _ isNullable: Bool) -> CELSchema {
    let requested = requestBytesMaximum - 2
    switch schema["format"].string {
    case "byte":
      return CELSchema(
        .bytes, isNullable: isNullable, elementsMaximum: maximumLength(schema) ?? requested, serializedSizeMinimum: 2)
    case "duration":
      return CELSchema(.duration, isNullable: isNullable, elementsMaximum: 32, serializedSizeMinimum: 3)
    case "date":
      return CELSchema(.date, isNullable: isNullable, elementsMaximum: 12, serializedSizeMinimum: 12)
    case "date-time":
      return CELSchema(.dateTime, isNullable: isNullable, elementsMaximum: 32, serializedSizeMinimum: 21)
    default: break
    }
    var most = requested
    if let length = maximumLength(schema) {
      // A character takes four bytes at most.
      most = saturating(length, 4)
    } else if !schema["enum"].elements.isEmpty {
      most = schema["enum"].elements.compactMap { $0.string.map { UInt64($0.utf8.count) } }.max() ?? 0
    }
    return CELSchema(.string, isNullable: isNullable, elementsMaximum: most, serializedSizeMinimum: 2)
  }
}
