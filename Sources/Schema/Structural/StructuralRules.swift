// Whether a schema is structural, in the words of the reference: every field declared outside of value validation, one
// type each, nothing that pruning or defaulting could not follow (spec/2 §2.15).
import JSON

public struct StructuralRules {
  private enum Level { case root, item, field }

  private var errors: [FieldError] = []

  /// Everything wrong with `schema.openAPIV3Schema` but its rules' expressions; `path` leads to it. With errors of
  /// structure nothing can be said of expressions.
  public static func errors(
    _ schema: JSONValue, path: String
  ) -> (structure: [FieldError], general: [FieldError]) {
    var structure = StructuralRules()
    structure.invariants(schema, .root, path)
    structure.completeness(schema, schema, path)
    var found = structure.errors.sorted { "\($0.field): \($0.message)" < "\($1.field): \($1.message)" }
    if found.isEmpty {
      var defaults = StructuralRules()
      defaults.defaults(schema, path, isRoot: true)
      found = defaults.errors
    }
    var general = StructuralRules()
    general.openAPI(schema, path, isRoot: true)
    return (found, general.errors)
  }

  private static func key(_ path: String, _ member: String, _ name: String) -> String { "\(path).\(member)[\(name)]" }
  private static func properties(_ schema: JSONValue) -> [JSONObject.Member] {
    (schema["properties"].object ?? JSONObject()).sorted { $0.key < $1.key }
  }
  private static func isSet(_ schema: JSONValue, _ name: String) -> Bool { schema[name].bool ?? false }

  // MARK: - Invariants

  private mutating func invariants(_ schema: JSONValue, _ level: Level, _ path: String) {
    guard schema.object != nil else { return }
    let type = schema["type"].string ?? ""
    if type == "array", schema["items"].object == nil { errors.append(.required("\(path).items", "must be specified")) }
    invariants(schema["items"], .item, "\(path).items")
    for (name, property) in Self.properties(schema) {
      invariants(property, .field, Self.key(path, "properties", name))
    }
    if !schema["additionalProperties"].isNull {
      if level == .root { errors.append(.forbidden("\(path).additionalProperties", "must not be used at the root")) }
      invariants(schema["additionalProperties"], .field, "\(path).additionalProperties")
    }
    extensions(schema, path)
    let isPattern = Self.isIntOrStringPattern(schema)
    values(schema, skipsAnyOf: isPattern.anyOf, skipsFirstAllOf: isPattern.allOf, path)
    types(schema, type, level, path)
    metadata(schema, level, path)
  }

  private mutating func types(_ schema: JSONValue, _ type: String, _ level: Level, _ path: String) {
    let isEmbedded = Self.isSet(schema, "x-kubernetes-embedded-resource")
    if isEmbedded, type != "object" {
      let detail = "must be object if x-kubernetes-embedded-resource is true"
      errors.append(
        type.isEmpty ? .required("\(path).type", detail) : .invalid("\(path).type", schema["type"], detail))
    } else if type.isEmpty, !Self.isSet(schema, "x-kubernetes-int-or-string"),
      !Self.isSet(schema, "x-kubernetes-preserve-unknown-fields")
    {
      let place =
        switch level {
        case .root: "at the root"
        case .item: "for specified array items"
        case .field: "for specified object fields"
        }
      errors.append(.required("\(path).type", "must not be empty \(place)"))
    }
    if isEmbedded, !schema["additionalProperties"].isNull {
      errors.append(
        .forbidden("\(path).additionalProperties", "must not be used if x-kubernetes-embedded-resource is set"))
    }
    if level == .root, !type.isEmpty, type != "object" {
      errors.append(.invalid("\(path).type", schema["type"], "must be object at the root"))
    }
    if isEmbedded, !Self.isSet(schema, "x-kubernetes-preserve-unknown-fields"), Self.properties(schema).isEmpty {
      errors.append(
        .required(
          "\(path).properties",
          "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"))
    }
  }

  private mutating func metadata(_ schema: JSONValue, _ level: Level, _ path: String) {
    guard level == .root || Self.isSet(schema, "x-kubernetes-embedded-resource") else { return }
    let properties = schema["properties"]
    for name in ["kind", "apiVersion"] where !properties[name].isNull && properties[name]["type"] != "string" {
      errors.append(
        .invalid(
          Self.key(path, "properties", name) + ".type", .string(properties[name]["type"].string ?? ""),
          "must be string"))
    }
    let metadata = properties["metadata"]
    guard !metadata.isNull else { return }
    let place = Self.key(path, "properties", "metadata")
    if metadata["type"] != "object" {
      errors.append(.invalid("\(place).type", .string(metadata["type"].string ?? ""), "must be object"))
    }
    guard level == .root else { return }
    let names = Set(Self.properties(metadata).map(\.key))
    let others = (metadata.object ?? JSONObject()).filter {
      $0.key != "type" && $0.key != "properties" && !$0.value.isZero
    }
    if !names.isSubset(of: ["name", "generateName"]) || !others.isEmpty {
      errors.append(
        .forbidden(
          place, "must not specify anything other than name and generateName, but metadata is implicitly specified"))
    }
  }

  private mutating func extensions(_ schema: JSONValue, _ path: String) {
    guard Self.isSet(schema, "x-kubernetes-int-or-string") else { return }
    for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"]
    where Self.isSet(schema, name) {
      errors.append(.invalid("\(path).\(name)", true, "must be false if x-kubernetes-int-or-string is true"))
    }
  }

  // MARK: - Value validation

  private static let intOrString: JSONValue = [["type": "integer"], ["type": "string"]]

  private static func isIntOrStringPattern(_ schema: JSONValue) -> (anyOf: Bool, allOf: Bool) {
    (schema["anyOf"] == intOrString, schema["allOf"][0]["anyOf"] == intOrString)
  }

  private mutating func values(_ schema: JSONValue, skipsAnyOf: Bool, skipsFirstAllOf: Bool, _ path: String) {
    if !skipsAnyOf {
      for (index, part) in schema["anyOf"].elements.enumerated() { nested(part, false, "\(path).anyOf[\(index)]") }
    }
    for (index, part) in schema["allOf"].elements.enumerated() {
      nested(part, skipsFirstAllOf && index == 0, "\(path).allOf[\(index)]")
    }
    for (index, part) in schema["oneOf"].elements.enumerated() { nested(part, false, "\(path).oneOf[\(index)]") }
    nested(schema["not"], false, "\(path).not")
    if let pattern = schema["pattern"].string, !pattern.isEmpty {
      do throws(RegularExpression.ParseError) { _ = try RegularExpression(pattern) } catch {
        errors.append(
          .invalid(
            "\(path).pattern", schema["pattern"], "must be a valid regular expression, but isn't: \(error)"))
      }
    }
  }

  private mutating func nested(_ schema: JSONValue, _ skipsAnyOf: Bool, _ path: String) {
    guard schema.object != nil else { return }
    values(schema, skipsAnyOf: skipsAnyOf, skipsFirstAllOf: false, path)
    nested(schema["items"], false, "\(path).items")
    for (name, property) in Self.properties(schema) { nested(property, false, Self.key(path, "properties", name)) }
    for (name, state) in [
      ("type", "empty"), ("additionalProperties", "undefined"), ("default", "undefined"), ("title", "empty"),
      ("description", "empty"), ("nullable", "false"), ("x-kubernetes-preserve-unknown-fields", "false"),
      ("x-kubernetes-embedded-resource", "false"), ("x-kubernetes-int-or-string", "false"),
      ("x-kubernetes-list-map-keys", "empty"), ("x-kubernetes-list-type", "undefined"),
      ("x-kubernetes-map-type", "undefined"), ("x-kubernetes-validations", "empty"),
    ] {
      let isThere = state == "undefined" ? !schema[name].isNull : !schema[name].isZero
      if isThere { errors.append(.forbidden("\(path).\(name)", "must be \(state) to be structural")) }
    }
  }

  // MARK: - Completeness

  /// Fields that value validation names must be declared outside of it.
  private mutating func completeness(_ schema: JSONValue, _ declared: JSONValue, _ path: String) {
    for junction in ["allOf", "anyOf", "oneOf"] {
      for (index, part) in schema[junction].elements.enumerated() {
        declares(declared, part, path, "\(path).\(junction)[\(index)]")
      }
    }
    declares(declared, schema["not"], path, "\(path).not")
    completeness(inside: schema, path)
  }

  private mutating func completeness(inside schema: JSONValue, _ path: String) {
    if schema["items"].object != nil { completeness(schema["items"], schema["items"], "\(path).items") }
    for (name, property) in Self.properties(schema) {
      completeness(property, property, Self.key(path, "properties", name))
    }
    if schema["additionalProperties"].object != nil {
      completeness(schema["additionalProperties"], schema["additionalProperties"], "\(path).additionalProperties")
    }
  }

  private mutating func declares(_ declared: JSONValue, _ part: JSONValue, _ path: String, _ place: String) {
    guard part.object != nil else { return }
    if part["items"].object != nil {
      if declared["items"].isNull {
        errors.append(.required("\(path).items", "because it is defined in \(place).items"))
      } else {
        declares(declared["items"], part["items"], "\(path).items", "\(place).items")
      }
    }
    for (name, property) in Self.properties(part) {
      let inner = declared["properties"][name]
      if inner.isNull {
        errors.append(
          .required(
            Self.key(path, "properties", name), "because it is defined in \(Self.key(place, "properties", name))"))
      } else {
        declares(
          inner, property, Self.key(path, "properties", name), Self.key(place, "properties", name))
      }
    }
    for junction in ["allOf", "anyOf", "oneOf"] {
      for (index, inner) in part[junction].elements.enumerated() {
        declares(declared, inner, path, "\(place).\(junction)[\(index)]")
      }
    }
    declares(declared, part["not"], path, "\(place).not")
  }

  // MARK: - Defaults

  /// A default must be an object of its own schema, with nothing that would be pruned.
  private mutating func defaults(_ schema: JSONValue, _ path: String, isRoot: Bool) {
    let value = schema["default"]
    if !value.isNull, !isRoot {
      let compiled = StructuralSchema(schema)
      if compiled.prunes(value) {
        errors.append(.invalid("\(path).default", value, "must not have unknown fields"))
      } else {
        var completed = value
        compiled.applyDefaults(to: &completed)
        for error in compiled.validate(completed) {
          let field = error.field.isEmpty || error.field == "<nil>" ? "" : ".\(error.field)"
          errors.append(FieldError(error.reason, field: "\(path).default\(field)", message: error.message))
        }
      }
    }
    for (name, property) in Self.properties(schema) {
      defaults(property, Self.key(path, "properties", name), isRoot: false)
    }
    if schema["items"].object != nil { defaults(schema["items"], "\(path).items", isRoot: false) }
    if schema["additionalProperties"].object != nil {
      defaults(schema["additionalProperties"], "\(path).additionalProperties", isRoot: false)
    }
  }

  // MARK: - What OpenAPI allows and definitions do not

  private static let types: Set<String> = ["string", "number", "integer", "boolean", "array", "object"]

  private mutating func openAPI(_ schema: JSONValue, _ path: String, isRoot: Bool, defaults reason: String = "") {
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
    if Self.isSet(schema, "uniqueItems") {
      errors.append(
        .forbidden(
          "\(path).uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"))
    }
    if isRoot, Self.isSet(schema, "nullable") {
      errors.append(.forbidden("\(path).nullable", "nullable cannot be true at the root"))
    }
    if !schema["additionalProperties"].isNull, !Self.properties(schema).isEmpty, schema["additionalProperties"] != true
    {
      errors.append(
        .forbidden("\(path).additionalProperties", "additionalProperties and properties are mutual exclusive"))
    }
    openAPI(schema["additionalProperties"], "\(path).additionalProperties", isRoot: false, defaults: reason)
    for (name, property) in Self.properties(schema) {
      let isMeta = isRoot && StructuralDecoder.resourceMembers.contains(name)
      openAPI(
        property, Self.key(path, "properties", name), isRoot: false,
        defaults: isMeta ? "in top-level \(name)" : reason)
    }
    openAPI(schema["not"], "\(path).not", isRoot: false, defaults: reason)
    for junction in ["allOf", "oneOf", "anyOf"] {
      for (index, part) in schema[junction].elements.enumerated() {
        openAPI(part, "\(path).\(junction)[\(index)]", isRoot: false, defaults: reason)
      }
    }
    openAPI(schema["items"], "\(path).items", isRoot: false, defaults: reason)
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
    if listType == "set", items["type"] == "array",
      let inner = items["x-kubernetes-list-type"].string, inner != "atomic"
    {
      errors.append(
        .invalid(
          "\(path).items.x-kubernetes-list-type", .string(inner),
          "must be atomic as item of a list with x-kubernetes-list-type=set"))
    }
    if listType == "set", items["type"] == "object", items["x-kubernetes-map-type"] != "atomic" {
      errors.append(
        .invalid(
          "\(path).items.x-kubernetes-map-type", items["x-kubernetes-map-type"],
          "must be atomic as item of a list with x-kubernetes-list-type=set"))
    }
    let keys = schema["x-kubernetes-list-map-keys"]
    if !keys.isZero, listType != "map" {
      let detail = "must be map if x-kubernetes-list-map-keys is non-empty"
      let place = "\(path).x-kubernetes-list-type"
      errors.append(listType.map { .invalid(place, .string($0), detail) } ?? .required(place, detail))
    }
    guard listType == "map" || listType == "set" else { return }
    if Self.isSet(items, "nullable") {
      errors.append(
        .forbidden("\(path).items.nullable", "cannot be nullable when x-kubernetes-list-type is \(listType ?? "")"))
    }
    if listType == "map" { mapKeys(keys, items, path) }
  }

  private mutating func mapKeys(_ keys: JSONValue, _ items: JSONValue, _ path: String) {
    let place = "\(path).x-kubernetes-list-map-keys"
    if keys.isZero { errors.append(.required(place, "must not be empty if x-kubernetes-list-type is map")) }
    guard items["type"] == "object" else {
      errors.append(
        .invalid(
          "\(path).items.type", .string(items["type"].string ?? ""),
          "must be object if parent array's x-kubernetes-list-type is map"))
      return
    }
    var seen: Set<String> = []
    let required = Set(items["required"].elements.compactMap(\.string))
    for key in keys.elements.compactMap(\.string) {
      let property = items["properties"][key]
      let propertyPath = Self.key("\(path).items", "properties", key)
      if property.isNull {
        errors.append(.invalid(place, keys, "entries must all be names of item properties"))
      } else {
        if property["type"] == "array" || property["type"] == "object" {
          errors.append(
            .invalid(
              "\(propertyPath).type", items["type"],
              "must be a scalar type if parent array's x-kubernetes-list-type is map"))
        }
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
      if !seen.insert(key).inserted { errors.append(.invalid(place, keys, "must not contain duplicate entries")) }
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
      func hasBreaks(_ name: String) -> Bool { (rule[name].string ?? "").contains { $0.isNewline } }
      if isBlank("rule") {
        errors.append(.required("\(place).rule", "rule is not specified"))
      } else if !rule["message"].isZero, isBlank("message") {
        errors.append(.invalid("\(place).message", rule["message"], "message must be non-empty if specified"))
      } else if hasBreaks("message") {
        errors.append(.invalid("\(place).message", rule["message"], "message must not contain line breaks"))
      } else if hasBreaks("rule"), rule["message"].isZero {
        errors.append(.required("\(place).message", "message must be specified if rule contains line breaks"))
      }
      if !rule["messageExpression"].isZero, isBlank("messageExpression") {
        errors.append(.required("\(place).messageExpression", "messageExpression must be non-empty if specified"))
      }
      fieldPath(rule["fieldPath"], schema, "\(place).fieldPath")
      if let reason = rule["reason"].string, !Self.reasons.contains(reason) {
        errors.append(.notSupported("\(place).reason", rule["reason"], supported: Self.reasons))
      }
    }
  }
}

extension StructuralSchema {
  /// Whether something in the value is no field of the schema.
  fileprivate func prunes(_ value: JSONValue) -> Bool {
    switch value {
    case .object(let object):
      object.contains { name, member in
        if let schema = self.member(name) { return schema.prunes(member) }
        if case .any = additionalProperties { return false }
        return !preservesUnknownFields && !(isEmbeddedResource && StructuralDecoder.resourceMembers.contains(name))
      }
    case .array(let elements): elements.contains { items?.prunes($0) ?? false }
    default: false
    }
  }
}
