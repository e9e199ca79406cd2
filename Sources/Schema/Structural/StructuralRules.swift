// Whether a schema is structural, in the words of the reference: every field declared outside of value validation, one
// type each, nothing that pruning or defaulting could not follow (spec/2 §2.15).
import JSON

public struct StructuralRules {
  private enum Level { case root, item, field }

  var errors: [FieldError] = []

  /// Everything wrong with `schema.openAPIV3Schema` but its rules' expressions; `path` leads to it. With errors of
  /// structure nothing can be said of expressions.
  public static func errors(
    _ schema: JSONValue, path: String
  ) -> (structure: [FieldError], general: [FieldError]) {
    var general = StructuralRules()
    general.openAPI(schema, path, isRoot: true)
    let root: [FieldError] =
      isSet(schema, "nullable") ? [.forbidden("\(path).nullable", "nullable cannot be true at the root")] : []
    // With members that are not known at all nobody asks for structure.
    if let member = unknownMember(of: schema) {
      let unknown = FieldError.invalid(path, "", "OpenAPIV3Schema '\(member)' is not supported")
      return (root.isEmpty && general.errors.isEmpty ? [unknown] : root, general.errors)
    }
    var structure = StructuralRules()
    structure.invariants(schema, .root, path)
    structure.completeness(schema, schema, path)
    var found = structure.errors.sorted { "\($0.field): \($0.message)" < "\($1.field): \($1.message)" }
    if found.isEmpty {
      var defaults = StructuralRules()
      defaults.defaults(schema, path, isRoot: true)
      found = defaults.errors
    }
    return (root + found, general.errors)
  }

  private static let unknownMembers = [
    "id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions",
  ]

  /// A member that structural schemas have no place for, anywhere in the schema.
  private static func unknownMember(of schema: JSONValue) -> String? {
    guard schema.object != nil else { return nil }
    if let name = unknownMembers.first(where: { !schema[$0].isZero }) { return name == "$schema" ? "schema" : name }
    if schema["items"].array != nil { return "items" }
    if schema["x-kubernetes-preserve-unknown-fields"] == false { return "x-kubernetes-preserve-unknown-fields" }
    for name in ["items", "additionalProperties", "not"] {
      if let found = unknownMember(of: schema[name]) { return found }
    }
    for junction in ["allOf", "anyOf", "oneOf"] {
      for part in schema[junction].elements { if let found = unknownMember(of: part) { return found } }
    }
    for (_, property) in properties(schema) { if let found = unknownMember(of: property) { return found } }
    return nil
  }

  static func key(_ path: String, _ member: String, _ name: String) -> String { "\(path).\(member)[\(name)]" }
  static func properties(_ schema: JSONValue) -> [JSONObject.Member] {
    (schema["properties"].object ?? JSONObject()).sorted { $0.key < $1.key }
  }
  static func isSet(_ schema: JSONValue, _ name: String) -> Bool { schema[name].bool ?? false }

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
