// Which objects a list or watch is about: place, name, labels, fields. Compiled once per request.
import JSON
import Replica
import Schema

struct ObjectSelection: Sendable {
  /// A field beside name and namespace, and the text it has in an object that lacks it.
  private struct FieldRequirement: Sendable {
    var path: [String]
    var absentText: String
    var isNegated: Bool
    var value: String
  }
  /// "" for all namespaces.
  private(set) var namespace: String
  /// The one name that can match, where the selector or the path says so.
  private(set) var name: String?
  private var labels: LabelSelector
  private var fields: [FieldRequirement] = []
  private var nameRequirements: [FieldSelector.Requirement] = []
  /// Neither labels nor fields restrict what is in the namespace.
  private(set) var isEverything: Bool
  /// Two requirements exclude one another.
  private var matchesNothing = false

  /// Throws 400 for selectors that do not parse and for fields the kind cannot be selected by.
  init(
    kind: KindDescriptor, namespace: String, name: String = "", labelSelector: String, fieldSelector: String
  ) throws(APIStatus) {
    self.namespace = namespace
    self.name = name.isEmpty ? nil : name
    do { labels = labelSelector.isEmpty ? .everything : try LabelSelector(parsing: labelSelector) } catch {
      throw .badRequest(error.description)
    }
    isEverything = labels.isEverything && fieldSelector.isEmpty && name.isEmpty
    guard !fieldSelector.isEmpty else { return }
    let selector: FieldSelector
    do { selector = try FieldSelector(parsing: fieldSelector) } catch { throw .badRequest(error.description) }
    isEverything = labels.isEverything && selector.isEverything && name.isEmpty
    for requirement in selector.requirements { try add(requirement, kind: kind) }
  }

  private mutating func add(_ requirement: FieldSelector.Requirement, kind: KindDescriptor) throws(APIStatus) {
    switch requirement.field {
    case "metadata.name" where !requirement.isNegated:
      if let name, name != requirement.value { matchesNothing = true }
      name = requirement.value
    case "metadata.namespace" where !requirement.isNegated && kind.isNamespaced:
      if !namespace.isEmpty, namespace != requirement.value { matchesNothing = true }
      namespace = requirement.value
    case "metadata.name": nameRequirements.append(requirement)
    case "metadata.namespace" where kind.isNamespaced: nameRequirements.append(requirement)
    default:
      guard let field = kind.selectableFields.first(where: { $0.label == requirement.field }) else {
        throw .badRequest("field label not supported: \(requirement.field)")
      }
      fields.append(
        FieldRequirement(
          path: field.path, absentText: Self.absentText(field.path, in: kind.structure),
          isNegated: requirement.isNegated, value: requirement.value))
    }
  }

  /// Numbers and booleans that are left out of an object are zero and false to a selector.
  private static func absentText(_ path: [String], in structure: Structure) -> String {
    guard let member = path.first.flatMap({ structure.member($0) }) else { return "" }
    switch member.type {
    case .structure(let inner) where path.count > 1: return absentText(Array(path.dropFirst()), in: inner)
    case .boolean: return "false"
    case .int32, .int64: return "0"
    default: return ""
    }
  }

  /// The one key that can match, where there is only one.
  func onlyKey(resource: String, isNamespaced: Bool) -> ObjectKey? {
    guard let name, !isNamespaced || !namespace.isEmpty else { return nil }
    return ObjectKey(resource: resource, namespace: namespace, name: name)
  }

  func matches(_ object: StoredObject) -> Bool {
    matchesPlace(object.key) && labels.matches(object.labels) && (fields.isEmpty || matchesFields(object.tree))
  }

  private func matchesPlace(_ key: ObjectKey) -> Bool {
    if matchesNothing { return false }
    if !namespace.isEmpty, key.namespace != namespace { return false }
    if let name, key.name != name { return false }
    return nameRequirements.allSatisfy {
      let value = $0.field == "metadata.name" ? key.name : key.namespace
      return (value == $0.value) != $0.isNegated
    }
  }

  private func matchesFields(_ tree: JSONValue) -> Bool {
    fields.allSatisfy { field in
      let value = tree[path: field.path]
      let text = value.isNull ? field.absentText : FieldSelector.text(of: value)
      return (text == field.value) != field.isNegated
    }
  }
}
