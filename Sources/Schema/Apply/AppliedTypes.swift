// Whether an applied configuration fits its schema, in the words of the reference's typed values: names that are
// declared, and lists, maps and scalars where the schema has them.
import JSON

struct AppliedTypes {
  /// As `.spec.replicas: expected numeric (int or float), got string`, in the order of the document.
  private(set) var problems: [String] = []
  private var path = ""

  init(of object: JSONValue, structure: Structure) { check(object, .structure(structure)) }

  private mutating func check(_ value: JSONValue, _ type: FieldType) {
    if value.isNull { return }
    switch type {
    case .structure(let structure): members(value, structure)
    case .array(let element):
      guard case .array(let items) = value else { return report("expected list, got &{\(value.goText)}") }
      self.items(items, of: element, .leaf)
    case .map(let element):
      guard case .object(let object) = value else { return report("expected map, got &{\(value.goText)}") }
      for (key, item) in object { inside(".\(key)") { $0.check(item, element) } }
    case .int32, .int64, .double:
      switch value {
      case .integer, .double: break
      default: report("expected numeric (int or float), got \(Self.goType(value))")
      }
    case .string, .bytes:
      if value.string == nil { report("expected string, got &value.valueUnstructured{Value:\(value.goSyntax)}") }
    case .boolean:
      guard case .bool = value else { return report("expected boolean, got &{\(value.goText)}") }
    case .quantity, .intOrString, .time, .microTime, .duration:
      switch value {
      case .array, .object: report("expected any scalar, got &{\(value.goText)}")
      default: break
      }
    case .rawObject, .anyValue, .union: break
    }
  }

  /// A member says how the items of its list are known.
  private mutating func check(_ value: JSONValue, _ field: Field) {
    guard case .array(let element) = field.type, case .array(let items) = value else { return check(value, field.type) }
    self.items(items, of: element, MergeShape(field))
  }

  /// Items that have an identity are named by it, and have it alone.
  private mutating func items(_ items: [JSONValue], of type: FieldType, _ shape: MergeShape) {
    var seen: Set<String> = []
    for (index, item) in items.enumerated() {
      var step = "[\(index)]"
      if shape.identifiesItems {
        guard let element = shape.element(of: item) else {
          // What cannot be named is not looked into, nor is what comes after it.
          return report("element \(index): \(shape.anonymity(of: item))")
        }
        step = PathElement.text(element)
        if !seen.insert(element).inserted { report("duplicate entries for key \(step)") }
      }
      inside(step) { $0.check(item, type) }
    }
  }

  private mutating func members(_ value: JSONValue, _ structure: Structure) {
    guard case .object(let object) = value else { return report("expected map, got &{\(value.goText)}") }
    for (name, item) in object {
      if let member = structure.member(name) {
        inside(".\(name)") { $0.check(item, member) }
      } else if !structure.preservesUnknownFields {
        inside(".\(name)") { $0.report("field not declared in schema") }
      }
    }
  }

  private mutating func inside(_ step: String, _ body: (inout Self) -> Void) {
    let outer = path
    path += step
    body(&self)
    path = outer
  }

  private mutating func report(_ problem: String) { problems.append("\(path): \(problem)") }

  /// %T of a value of an unstructured tree.
  private static func goType(_ value: JSONValue) -> String {
    switch value {
    case .array: "[]interface {}"
    case .object: "map[string]interface {}"
    default: value.goKind
    }
  }
}
