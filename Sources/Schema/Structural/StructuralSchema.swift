// The schema of a custom resource: JSONSchemaProps of a CustomResourceDefinition, taken apart once (spec/2 §2.15).
import JSON

/// One node of a structural schema. Immutable; shared by everything that is served from it.
public final class StructuralSchema: Sendable {
  public enum AdditionalProperties: Sendable {
    /// Not said: members that are not declared are unknown.
    case undeclared
    case any
    case none
    case schema(StructuralSchema)

    public var schema: StructuralSchema? { if case .schema(let schema) = self { schema } else { nil } }
  }

  /// An element of `x-kubernetes-validations`.
  public struct Rule: Sendable, Hashable {
    public var rule: String
    public var message: String
    public var messageExpression: String
    public var reason: String
    public var fieldPath: String
    public var optionalOldSelf: Bool?
  }

  /// As the definition has it: what OpenAPI publishes.
  public let source: JSONValue
  /// "object", "array", "string", "integer", "number", "boolean" or "".
  public let type: String
  public let format: String
  /// By name; `propertyNames` are in order.
  public let properties: [String: StructuralSchema]
  public let propertyNames: [String]
  public let items: StructuralSchema?
  public let additionalProperties: AdditionalProperties
  public let isNullable: Bool
  public let defaultValue: JSONValue?

  public let preservesUnknownFields: Bool
  public let isEmbeddedResource: Bool
  public let isIntOrString: Bool
  /// "atomic", "set", "map" or "".
  public let listType: String
  public let listMapKeys: [String]
  /// "atomic", "granular" or "".
  public let mapType: String
  public let rules: [Rule]

  public let required: [String]
  public let enumeration: [JSONValue]
  public let minimum: JSONValue?
  public let maximum: JSONValue?
  public let isMinimumExclusive: Bool
  public let isMaximumExclusive: Bool
  public let multipleOf: JSONValue?
  public let minLength: Int64?
  public let maxLength: Int64?
  public let minItems: Int64?
  public let maxItems: Int64?
  public let minProperties: Int64?
  public let maxProperties: Int64?
  public let pattern: String
  let expression: RegularExpression?
  public let allOf: [StructuralSchema]
  public let anyOf: [StructuralSchema]
  public let oneOf: [StructuralSchema]
  public let not: StructuralSchema?

  /// Whether it, or anything below it, has rules: an object without any need not be looked through.
  public let hasRules: Bool
  /// Likewise for embedded resources, and for lists that are sets or maps.
  let hasEmbeddedResources: Bool
  let hasKeyedLists: Bool

  /// Never fails: what is wrong with a schema is `StructuralRules`' to say. A pattern that does not parse matches
  /// everything.
  public init(_ source: JSONValue) {
    self.source = source
    type = source["type"].string ?? ""
    format = source["format"].string ?? ""
    var properties: [String: StructuralSchema] = [:]
    for (name, schema) in source["properties"].object ?? JSONObject() { properties[name] = StructuralSchema(schema) }
    self.properties = properties
    propertyNames = properties.keys.sorted()
    items = source["items"].object.map { StructuralSchema(.object($0)) }
    switch source["additionalProperties"] {
    case .bool(let allowed): additionalProperties = allowed ? .any : .none
    case .object(let schema): additionalProperties = .schema(StructuralSchema(.object(schema)))
    default: additionalProperties = .undeclared
    }
    isNullable = source["nullable"].bool ?? false
    // (A bare nil would be the JSON null.)
    defaultValue = source["default"].isNull ? Optional.none : source["default"]
    preservesUnknownFields = source["x-kubernetes-preserve-unknown-fields"].bool ?? false
    isEmbeddedResource = source["x-kubernetes-embedded-resource"].bool ?? false
    isIntOrString = source["x-kubernetes-int-or-string"].bool ?? false
    listType = source["x-kubernetes-list-type"].string ?? ""
    listMapKeys = source["x-kubernetes-list-map-keys"].elements.compactMap(\.string)
    mapType = source["x-kubernetes-map-type"].string ?? ""
    rules = source["x-kubernetes-validations"].elements.map(Self.rule)
    required = source["required"].elements.compactMap(\.string)
    enumeration = source["enum"].elements
    minimum = Self.number(source["minimum"])
    maximum = Self.number(source["maximum"])
    isMinimumExclusive = source["exclusiveMinimum"].bool ?? false
    isMaximumExclusive = source["exclusiveMaximum"].bool ?? false
    multipleOf = Self.number(source["multipleOf"])
    minLength = source["minLength"].integer
    maxLength = source["maxLength"].integer
    minItems = source["minItems"].integer
    maxItems = source["maxItems"].integer
    minProperties = source["minProperties"].integer
    maxProperties = source["maxProperties"].integer
    pattern = source["pattern"].string ?? ""
    expression = pattern.isEmpty ? nil : try? RegularExpression(pattern)
    allOf = source["allOf"].elements.map { StructuralSchema($0) }
    anyOf = source["anyOf"].elements.map { StructuralSchema($0) }
    oneOf = source["oneOf"].elements.map { StructuralSchema($0) }
    not = source["not"].object.map { StructuralSchema(.object($0)) }

    let below = Array(properties.values) + [items, additionalProperties.schema].compactMap { $0 }
    hasRules = !rules.isEmpty || below.contains { $0.hasRules }
    hasEmbeddedResources = isEmbeddedResource || below.contains { $0.hasEmbeddedResources }
    hasKeyedLists = listType == "set" || listType == "map" || below.contains { $0.hasKeyedLists }
  }

  /// The schema of a member, declared or not.
  public func member(_ name: String) -> StructuralSchema? { properties[name] ?? additionalProperties.schema }

  private static func number(_ value: JSONValue) -> JSONValue? {
    switch value {
    case .integer, .double: value
    default: Optional.none
    }
  }

  private static func rule(_ value: JSONValue) -> Rule {
    Rule(
      rule: value["rule"].string ?? "", message: value["message"].string ?? "",
      messageExpression: value["messageExpression"].string ?? "", reason: value["reason"].string ?? "",
      fieldPath: value["fieldPath"].string ?? "", optionalOldSelf: value["optionalOldSelf"].bool)
  }
}
