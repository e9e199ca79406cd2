// Parts of custom resources with rules of their own: resources inside them, and lists whose items have identity.
import JSON

/// What tells items of lists apart.
public enum StructuralIdentity {

  /// What tells items of a list apart; an item without all keys is told by what it has.
  public static func of(_ item: JSONValue, _ schema: StructuralSchema) -> JSONValue {
    guard schema.listType == "map" else { return item }
    var keys = JSONObject()
    for name in schema.listMapKeys { keys[name] = item[name] }
    return .object(keys)
  }

  /// The items of a list as it was, where they can be told apart: only then is it known what an item was before.
  public static func formerItems(_ old: JSONValue?, _ schema: StructuralSchema) -> [JSONValue: JSONValue]? {
    guard schema.listType == "map", let items = old?.array else { return nil }
    var result: [JSONValue: JSONValue] = [:]
    for item in items { result[of(item, schema)] = item }
    return result
  }
}

enum StructuralParts {

  // MARK: - Sets and maps

  /// Items that occur twice, below parts that have changed.
  static func listErrors(
    _ value: JSONValue, old: JSONValue?, _ schema: StructuralSchema, _ errors: inout StructuralErrors
  ) {
    var path = StructuralPlace()
    lists(value, old, schema, &path, &errors)
  }

  private static func lists(
    _ value: JSONValue, _ old: JSONValue?, _ schema: StructuralSchema, _ path: inout StructuralPlace,
    _ errors: inout StructuralErrors
  ) {
    guard schema.hasKeyedLists, old == nil || old != value else { return }
    switch value {
    case .object(let object):
      for (name, member) in object {
        guard let inner = schema.member(name), inner.hasKeyedLists else { continue }
        path.steps.append(.member(name))
        lists(member, old?.object?[name], inner, &path, &errors)
        path.steps.removeLast()
      }
    case .array(let items):
      if schema.listType == "set" || schema.listType == "map" { duplicates(items, schema, path, &errors) }
      guard let element = schema.items, element.hasKeyedLists else { return }
      let former = StructuralIdentity.formerItems(old, schema)
      for (index, item) in items.enumerated() {
        path.steps.append(.element(index))
        lists(item, former.flatMap { $0[StructuralIdentity.of(item, schema)] }, element, &path, &errors)
        path.steps.removeLast()
      }
    default: return
    }
  }

  private static func duplicates(
    _ items: [JSONValue], _ schema: StructuralSchema, _ path: StructuralPlace, _ errors: inout StructuralErrors
  ) {
    var seen: Set<JSONValue> = []
    for (index, item) in items.enumerated() {
      let identity = StructuralIdentity.of(item, schema)
      guard !seen.insert(identity).inserted else { continue }
      errors.report {
        FieldError(
          .duplicate, field: "\(path.text)[\(index)]", message: "Duplicate value: \(identity.goSyntax)")
      }
    }
  }

  // MARK: - Embedded resources

  static func embeddedErrors(_ value: JSONValue, _ schema: StructuralSchema, _ errors: inout StructuralErrors) {
    var path = StructuralPlace()
    embedded(value, schema, &path, &errors)
  }

  private static func embedded(
    _ value: JSONValue, _ schema: StructuralSchema, _ path: inout StructuralPlace, _ errors: inout StructuralErrors
  ) {
    guard schema.hasEmbeddedResources else { return }
    switch value {
    case .object(let object):
      if schema.isEmbeddedResource, errors.hasRoom { resource(value, path, &errors) }
      for (name, member) in object {
        guard let inner = schema.member(name) else { continue }
        path.steps.append(.member(name))
        embedded(member, inner, &path, &errors)
        path.steps.removeLast()
      }
    case .array(let items):
      guard let element = schema.items else { return }
      for (index, item) in items.enumerated() {
        path.steps.append(.element(index))
        embedded(item, element, &path, &errors)
        path.steps.removeLast()
      }
    default: return
    }
  }

  private static func resource(_ value: JSONValue, _ path: StructuralPlace, _ errors: inout StructuralErrors) {
    for name in ["apiVersion", "kind"] {
      switch value[name] {
      case .null: errors.report { .required(path.member(name), "must not be empty") }
      case .string(let text):
        if text.isEmpty {
          errors.report { .invalid(path.member(name), "", "must not be empty") }
        } else if name == "kind" {
          let wrong = Validate.dns1035Label(text.lowercased())
          if !wrong.isEmpty {
            errors.report {
              .invalid(
                path.member(name), .string(text),
                "may have mixed case, but should otherwise match: \(wrong.joined(separator: ","))")
            }
          }
        } else if text.split(separator: "/", omittingEmptySubsequences: false).count > 2 {
          errors.report { .invalid(path.member(name), .string(text), "unexpected GroupVersion string: \(text)") }
        }
      default: errors.report { .invalid(path.member(name), value[name], "must be a string") }
      }
    }
    guard case .object = value["metadata"] else { return }
    var metadata = value["metadata"]
    // A resource that is part of another need not have a name.
    if metadata["name"].isZero { metadata["name"] = "fakename" }
    errors.append(
      ObjectMetaValidation.create(
        metadata, isNamespaced: !metadata["namespace"].isZero, path: path.member("metadata"), knowsFinalizers: false
      ) { name, isPrefix in Validate.pathSegmentName(name, isPrefix: isPrefix) })
  }
}

extension JSONValue {
  /// As Go's fmt prints it with %#v: how the reference shows values that are no scalars.
  public var goSyntax: String {
    switch self {
    case .array(let items): "[]interface {}{\(items.map(\.goSyntax).joined(separator: ", "))}"
    case .object(let object):
      "map[string]interface {}{"
        + object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        .map { "\(JSONValue.string($0.key)):\($0.value.goSyntax)" }.joined(separator: ", ") + "}"
    case .null: "interface {}(nil)"
    default: description
    }
  }
}
