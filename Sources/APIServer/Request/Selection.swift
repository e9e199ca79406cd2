// Which objects a list or watch is about: place, name, labels, fields. Compiled once per request.
import DequeModule
import JSON
import Kinds
import Replica
import Schema
import Synchronization

struct ObjectSelection: Sendable {
  /// A field beside name and namespace, and the text it has in an object that lacks it.
  private struct FieldRequirement: Sendable {
    /// Position among the kind's selectable fields.
    var position: Int
    var path: [String]
    /// Where the field is looked for in an object that lacks it.
    var fallback: [String]?
    var absentText: String
    var isNegated: Bool
    var value: String
    /// The one field that the store knows of every object.
    var isNodeName: Bool
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
      guard let position = kind.selectableFields.firstIndex(where: { $0.label == requirement.field }) else {
        throw .badRequest(Self.unknownLabel(requirement.field, kind))
      }
      let field = kind.selectableFields[position]
      let isNodeName = kind.kind == Self.pod && field.path == ["spec", "nodeName"]
      // What costs nothing to look at comes first.
      fields.insert(
        FieldRequirement(
          position: position, path: KindConversion.storagePath(field.path, of: kind),
          fallback: KindConversion.fallbackPath(field.path, of: kind),
          absentText: Self.absentText(field.path, in: kind.structure),
          isNegated: requirement.isNegated, value: requirement.value, isNodeName: isNodeName),
        at: isNodeName ? 0 : fields.endIndex)
    }
  }

  private static let pod = GroupVersionKind(group: "", version: "v1", kind: "Pod")

  /// The node whose pods alone can match, where there is one.
  var nodeName: String? { fields.first { $0.isNodeName && !$0.isNegated && !$0.value.isEmpty }?.value }

  /// More than keys and labels must be looked at.
  var readsDocuments: Bool { fields.contains { !$0.isNodeName } }

  /// In the words that the reference has for this kind.
  private static func unknownLabel(_ label: String, _ kind: KindDescriptor) -> String {
    if kind.kind.group == "batch", kind.kind.kind == "Job" {
      return "field label \"\(label)\" not supported for batchv1.Job"
    }
    let hasOwnLabels = kind.selectableFields.contains { $0.label != "name" }
    if kind.custom != nil || (hasOwnLabels && kind.kind.group != "apps") {
      return "field label not supported: \(label)"
    }
    return "\"\(label)\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
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
    guard matchesPlace(object.key), labels.matches(object.labels) else { return false }
    return matchesFields { requirement in
      if requirement.isNodeName { return object.nodeName }
      return Self.text(at: requirement.path, in: object)
        ?? requirement.fallback.flatMap { Self.text(at: $0, in: object) }
    }
  }

  /// As `matches`, for objects that many watchers look at: their fields are read once. Who names no value that it looks
  /// for is one of few.
  func matches(_ object: StoredObject, _ kind: KindDescriptor, _ cache: FieldTextCache) -> Bool {
    if fields.allSatisfy({ $0.isNegated || $0.isNodeName }) { return matches(object) }
    guard matchesPlace(object.key), labels.matches(object.labels) else { return false }
    return matchesFields { $0.isNodeName ? object.nodeName : cache.texts(of: object, kind)[$0.position] }
  }

  /// A value that every object has that this can match, for the store to pass over what has another.
  func watchedValue(of kind: KindDescriptor, _ cache: FieldTextCache) -> WatchedValue? {
    if let name { return WatchedValue(field: "metadata.name", value: name) { $0.key.name } }
    guard let field = fields.first(where: { !$0.isNegated }) else { return nil }
    let label = kind.selectableFields[field.position].label
    // A definition that changes has its fields at other places.
    let name = "\(kind.kind) \(kind.custom?.revision ?? 0) \(label)"
    if field.isNodeName { return WatchedValue(field: name, value: field.value, text: \.nodeName) }
    return WatchedValue(field: name, value: field.value) { object in
      cache.texts(of: object, kind)[field.position] ?? field.absentText
    }
  }

  /// The text of a scalar; nil when it is absent. Little of the object is read for it.
  private static func text(at path: [String], in object: StoredObject) -> String? {
    let bytes = path.reduce(object.bytes[...]) { JSONTape.rawBytes(of: $1, in: $0) }
    return (try? JSONTape(parsing: Array(bytes))).flatMap { text($0.root) }
  }

  /// As above, where more is looked for.
  private static func text(at path: [String], in tape: JSONTape) -> String? { text(path.reduce(tape.root) { $0[$1] }) }

  private static func text(_ value: JSONTape.Cursor) -> String? {
    switch value.kind {
    case .string: return value.string
    case .number, .true, .false: return String(decoding: value.rawBytes, as: UTF8.self)
    default: return nil
    }
  }

  fileprivate static func text(at path: [String], or fallback: [String]?, in tape: JSONTape) -> String? {
    text(at: path, in: tape) ?? fallback.flatMap { text(at: $0, in: tape) }
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

  private func matchesFields(_ text: (FieldRequirement) -> String?) -> Bool {
    fields.allSatisfy { ((text($0) ?? $0.absentText) == $0.value) != $0.isNegated }
  }
}

/// The selectable fields of objects that changed lately. Thousands of kubelets watch pods by node: each change is read
/// once for all of them. Any thread.
final class FieldTextCache: Sendable {
  private struct Key: Hashable {
    var revision: Revision
    /// The version in which it is watched: each has fields of its own.
    var kind: GroupVersionKind

    /// Few kinds share a revision: hashing their names would cost more than comparing them.
    func hash(into hasher: inout Hasher) { hasher.combine(revision) }
  }
  private struct State {
    var texts: [Key: [String?]] = [:]
    var order: Deque<Key> = []
  }
  /// Changes that are under way to watchers at one time, with room to spare.
  private static let objectsMaximum = 4096
  private let state = Mutex(State())

  /// One text per selectable field of the kind, nil where the object lacks it.
  func texts(of object: StoredObject, _ kind: KindDescriptor) -> [String?] {
    let key = Key(revision: object.revision, kind: kind.kind)
    if let known = state.withLock({ $0.texts[key] }) { return known }
    let tape = object.tape
    let texts = kind.selectableFields.map {
      ObjectSelection.text(
        at: KindConversion.storagePath($0.path, of: kind), or: KindConversion.fallbackPath($0.path, of: kind), in: tape)
    }
    state.withLock { state in
      guard state.texts.updateValue(texts, forKey: key) == nil else { return }
      state.order.append(key)
      if state.order.count > Self.objectsMaximum, let oldest = state.order.popFirst() { state.texts[oldest] = nil }
    }
    return texts
  }
}
