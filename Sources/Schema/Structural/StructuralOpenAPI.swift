// What OpenAPI allows and definitions do not, and what Kubernetes' own members of a schema ask for.
import JSON

extension StructuralRules {
  private static let types: Set<String> = ["string", "number", "integer", "boolean", "array", "object"]

  /// `defaults`: why there may be none. `isMeta`: inside of what all objects have.
  mutating func openAPI(
    _ schema: JSONValue, _ path: String, isRoot: Bool, defaults reason: String = "", isMeta: Bool = false
  ) {
    guard schema.object != nil else { return }
    let type = schema["type"].string ?? ""
    if !type.isEmpty, !Self.types.contains(type) {
      errors.append(.notSupported("\(path).type", schema["type"], supported: Self.types.sorted()))
    }
    if !schema["default"].isNull, !reason.isEmpty {
      errors.append(.forbidden("\(path).default", "must not be set \(reason)"))
    }
    if type == "null" {
      errors.append(.forbidden("\(path).type", "type cannot be set to null, use nullable as an alternative"))
    }
    for name in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"]
    where !schema[name].isZero { errors.append(.forbidden("\(path).\(name)", "\(name) is not supported")) }
    if schema["items"].array != nil {
      errors.append(.forbidden("\(path).items", "items must be a schema object and not an array"))
    }
    if isMeta, Self.isSet(schema, "x-kubernetes-embedded-resource") {
      errors.append(
        .forbidden("\(path).x-kubernetes-embedded-resource", "must not be used inside of resource meta"))
    }
    if Self.isSet(schema, "uniqueItems") {
      errors.append(
        .forbidden(
          "\(path).uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"))
    }
    if !schema["additionalProperties"].isNull, !Self.properties(schema).isEmpty, schema["additionalProperties"] != true
    {
      errors.append(
        .forbidden("\(path).additionalProperties", "additionalProperties and properties are mutual exclusive"))
    }
    openAPI(
      schema["additionalProperties"], "\(path).additionalProperties", isRoot: false,
      defaults: isMeta ? "inside additionalProperties applying to object metadata" : reason, isMeta: isMeta)
    let isResource = isRoot || Self.isSet(schema, "x-kubernetes-embedded-resource")
    for (name, property) in Self.properties(schema) {
      let isMember = isResource && StructuralDecoder.resourceMembers.contains(name)
      openAPI(
        property, Self.key(path, "properties", name), isRoot: false,
        defaults: isRoot && isMember ? "in top-level \(name)" : reason, isMeta: isMeta || isMember)
    }
    openAPI(schema["not"], "\(path).not", isRoot: false, defaults: reason, isMeta: isMeta)
    for junction in ["allOf", "oneOf", "anyOf"] {
      for (index, part) in schema[junction].elements.enumerated() {
        openAPI(part, "\(path).\(junction)[\(index)]", isRoot: false, defaults: reason, isMeta: isMeta)
      }
    }
    openAPI(schema["items"], "\(path).items", isRoot: false, defaults: reason, isMeta: isMeta)
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
      errors.append(.invalid("\(path).x-kubernetes-preserve-unknown-fields", false, "must be true or undefined"))
    }
    kubernetesTypes(schema, type, path)
    ruleTexts(schema, path)
  }

  private mutating func requireType(
    _ wanted: String, _ schema: JSONValue, _ type: String, _ name: String, _ path: String
  ) {
    guard !schema[name].isNull, type != wanted else { return }
    let detail = "must be \(wanted) if \(name) is specified"
    errors.append(
      type.isEmpty ? .required("\(path).type", detail) : .invalid("\(path).type", schema["type"], detail))
  }

  private mutating func kubernetesTypes(_ schema: JSONValue, _ type: String, _ path: String) {
    requireType("object", schema, type, "x-kubernetes-map-type", path)
    if let mapType = schema["x-kubernetes-map-type"].string, mapType != "atomic", mapType != "granular" {
      errors.append(
        .notSupported("\(path).x-kubernetes-map-type", .string(mapType), supported: ["atomic", "granular"]))
    }
    requireType("array", schema, type, "x-kubernetes-list-type", path)
    let listType = schema["x-kubernetes-list-type"].string
    let items = schema["items"]
    if let listType, !["atomic", "set", "map"].contains(listType) {
      errors.append(
        .notSupported("\(path).x-kubernetes-list-type", .string(listType), supported: ["atomic", "set", "map"]))
    }
    if listType == "set", type == "array", items["type"] == "array",
      let inner = items["x-kubernetes-list-type"].string, inner != "atomic"
    {
      errors.append(
        .invalid(
          "\(path).items.x-kubernetes-list-type", .string(inner),
          "must be atomic as item of a list with x-kubernetes-list-type=set"))
    }
    if listType == "set", type == "array", items["type"] == "object", items["x-kubernetes-map-type"] != "atomic" {
      // (The reference shows the type of the list that the item is not.)
      errors.append(
        .invalid(
          "\(path).items.x-kubernetes-map-type", items["x-kubernetes-list-type"],
          "must be atomic as item of a list with x-kubernetes-list-type=set"))
    }
    let keys = schema["x-kubernetes-list-map-keys"]
    if !keys.isZero, listType != "map" {
      let detail = "must be map if x-kubernetes-list-map-keys is non-empty"
      let place = "\(path).x-kubernetes-list-type"
      errors.append(listType.map { .invalid(place, .string($0), detail) } ?? .required(place, detail))
    }
    guard listType == "map" || listType == "set" else { return }
    if listType == "map" { mapKeys(keys, items, path) }
    if Self.isSet(items, "nullable") {
      errors.append(
        .forbidden("\(path).items.nullable", "cannot be nullable when x-kubernetes-list-type is \(listType ?? "")"))
    }
    if listType == "map" { keyProperties(keys, items, path) }
  }

  private mutating func mapKeys(_ keys: JSONValue, _ items: JSONValue, _ path: String) {
    let place = "\(path).x-kubernetes-list-map-keys"
    if keys.isZero { errors.append(.required(place, "must not be empty if x-kubernetes-list-type is map")) }
    if items.isNull {
      errors.append(.required("\(path).items", "must have a schema if x-kubernetes-list-type is map"))
      return
    }
    guard items["type"] == "object" else {
      errors.append(
        .invalid(
          "\(path).items.type", .string(items["type"].string ?? ""),
          "must be object if parent array's x-kubernetes-list-type is map"))
      return
    }
    var seen: Set<String> = []
    for key in keys.elements.compactMap(\.string) {
      let property = items["properties"][key]
      let propertyPath = Self.key("\(path).items", "properties", key)
      if property.isNull {
        errors.append(.invalid(place, keys, "entries must all be names of item properties"))
      } else if property["type"] == "array" || property["type"] == "object" {
        errors.append(
          .invalid(
            "\(propertyPath).type", items["type"],
            "must be a scalar type if parent array's x-kubernetes-list-type is map"))
      }
      if !seen.insert(key).inserted { errors.append(.invalid(place, keys, "must not contain duplicate entries")) }
    }
  }

  /// What tells the items of a list apart is there in each of them.
  private mutating func keyProperties(_ keys: JSONValue, _ items: JSONValue, _ path: String) {
    let required = Set(items["required"].elements.compactMap(\.string))
    for key in keys.elements.compactMap(\.string) {
      let property = items["properties"][key]
      guard !property.isNull else { continue }
      let propertyPath = Self.key("\(path).items", "properties", key)
      if !required.contains(key), property["default"].isNull {
        errors.append(
          .required(
            "\(propertyPath).default",
            "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"))
      }
      if Self.isSet(property, "nullable") {
        errors.append(
          .forbidden(
            "\(propertyPath).nullable",
            "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"))
      }
    }
  }

  private static let reasons = [
    "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired",
  ]

  /// Where a rule says that what it finds wrong stands: a field of its own schema.
  private mutating func fieldPath(_ value: JSONValue, _ schema: JSONValue, _ place: String) {
    guard let text = value.string, !text.isEmpty else { return }
    if text.allSatisfy(\.isWhitespace) {
      errors.append(.invalid(place, value, "fieldPath must be non-empty if specified"))
    }
    if text.contains(where: \.isNewline) {
      errors.append(.invalid(place, value, "fieldPath must not contain line breaks"))
    }
    guard let names = (try? FieldPath(text))?.names, !names.isEmpty, text.hasPrefix(".") || text.hasPrefix("[") else {
      errors.append(.invalid(place, value, "fieldPath must be a valid path"))
      return
    }
    var inner = schema
    for name in names {
      let declared = inner["properties"][name]
      inner = declared.isNull ? inner["additionalProperties"] : declared
      guard inner.object == nil else { continue }
      errors.append(.invalid(place, value, "fieldPath must be a valid path"))
      return
    }
  }

  private mutating func ruleTexts(_ schema: JSONValue, _ path: String) {
    for (index, rule) in schema["x-kubernetes-validations"].elements.enumerated() {
      let place = "\(path).x-kubernetes-validations[\(index)]"
      func isBlank(_ name: String) -> Bool { (rule[name].string ?? "").allSatisfy(\.isWhitespace) }
      func hasBreaks(_ name: String) -> Bool {
        var text = (rule[name].string ?? "")[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text.unicodeScalars.contains { $0 == "\n" || $0 == "\r" }
      }
      if isBlank("rule") {
        errors.append(.required("\(place).rule", "rule is not specified"))
      } else if !rule["message"].isZero, isBlank("message") {
        errors.append(.invalid("\(place).message", rule["message"], "message must be non-empty if specified"))
      } else if hasBreaks("message") {
        errors.append(.invalid("\(place).message", rule["message"], "message must not contain line breaks"))
      } else if hasBreaks("rule"), isBlank("message") {
        errors.append(.required("\(place).message", "message must be specified if rule contains line breaks"))
      }
      if !rule["messageExpression"].isZero, isBlank("messageExpression") {
        errors.append(.required("\(place).messageExpression", "messageExpression must be non-empty if specified"))
      }
      if let reason = rule["reason"].string, !Self.reasons.contains(reason) {
        errors.append(.notSupported("\(place).reason", rule["reason"], supported: Self.reasons))
      }
      fieldPath(rule["fieldPath"], schema, "\(place).fieldPath")
    }
  }
}
