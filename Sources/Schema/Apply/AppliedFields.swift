// The paths that an object holds, merging an applied configuration into a live object, and taking paths out of it.
import JSON

/// Every path of an object that its applier would own: leaves, list items, and what is empty.
struct AppliedFields {
  private(set) var set = FieldSet()
  /// What the schema does not allow, as `.spec.foo: field not declared in schema`.
  private(set) var problems: [String] = []
  private var path: [String] = []

  init(of object: JSONValue, structure: Structure) {
    guard case .object(let object) = object else { return }
    set = members(object, .structure(structure), .object)
  }

  private mutating func members(_ object: JSONObject, _ shape: MergeShape, _ scope: OwnershipScope) -> FieldSet {
    var result = FieldSet()
    result.children.reserveCapacity(object.count)
    for (name, value) in object where !scope.ignores(name) {
      let member = shape.member(name)
      path.append(member.element)
      defer { path.removeLast() }
      if case .structure(let structure) = shape, !member.isDeclared, !structure.preservesUnknownFields {
        report("field not declared in schema")
      }
      let innerScope = scope.entering(name)
      var subset = self.subset(of: value, member.shape, innerScope)
      // Entries of maps are owned as such; declared members only through what they hold, unless that is nothing.
      if !member.isDeclared || value.isNull || value.object?.isEmpty ?? false { subset.isMember = true }
      if innerScope == .metadata { subset.isMember = false }
      result.append(member.element, subset)
    }
    result.sortChildren()
    return result
  }

  private mutating func subset(of value: JSONValue, _ shape: MergeShape, _ scope: OwnershipScope) -> FieldSet {
    switch (shape.parts(of: value), value) {
    case (.members, .object(let object)): return members(object, shape, scope)
    case (.items, .array(let items)):
      var result = FieldSet()
      var seen: Set<String> = []
      for (index, item) in items.enumerated() {
        if shape.element(of: item) == nil {
          report("element \(index): \(shape.anonymity(of: item))")
        }
        let element = shape.element(of: item) ?? PathElement.index(index)
        guard seen.insert(element).inserted else {
          report("duplicate entries for key \(PathElement.text(element))")
          continue
        }
        path.append(element)
        var subset = self.subset(of: item, shape.item, .inner)
        path.removeLast()
        subset.isMember = true
        result.append(element, subset)
      }
      result.sortChildren()
      return result
    default:
      var leaf = FieldSet()
      // A list or map that is null holds nothing that could be owned; `members` says what becomes of it.
      if case .leaf = shape { leaf.isMember = true } else { leaf.isMember = !value.isNull }
      return leaf
    }
  }

  private mutating func report(_ problem: String) {
    problems.append(path.map(PathElement.text).joined() + ": " + problem)
  }
}

extension FieldSet {
  /// With every declared member on the way to a path added: what removing an owner's paths may take away with them.
  func includingNamedFields(_ shape: MergeShape) -> FieldSet {
    var result = self
    for index in result.children.indices {
      let element = result.children[index].element
      guard element.hasPrefix("f:") else {
        result.children[index].subset = result.children[index].subset.includingNamedFields(shape.item)
        continue
      }
      let member = shape.member(String(element.dropFirst(2)))
      result.children[index].subset = result.children[index].subset.includingNamedFields(member.shape)
      if member.isDeclared { result.children[index].subset.isMember = true }
    }
    return result
  }
}

enum AppliedMerge {
  /// `live` with the applied configuration merged into it: applied values win, keyed lists merge by their keys in the
  /// order of the configuration, nulls remove.
  static func merge(_ applied: JSONValue, into live: JSONValue?, structure: Structure) -> JSONValue {
    .object(members(applied.object ?? JSONObject(), live?.object ?? JSONObject(), .structure(structure), .object))
  }

  private static func members(
    _ applied: JSONObject, _ live: JSONObject, _ shape: MergeShape, _ scope: OwnershipScope
  ) -> JSONObject {
    var result = JSONObjectEditor(live)
    for (name, value) in applied {
      // A null creationTimestamp and its like are noise of clients' encoders, not a wish.
      if value.isNull, scope.ignores(name) { continue }
      result[name] = merge(value, result[name], shape.member(name).shape, scope.entering(name))
    }
    return result.object
  }

  private static func merge(
    _ applied: JSONValue, _ live: JSONValue?, _ shape: MergeShape, _ scope: OwnershipScope = .inner
  ) -> JSONValue? {
    if applied.isNull { return nil }
    switch (shape.parts(of: applied), applied, live ?? .null) {
    case (.members, .object(let applied), .object(let live)): return .object(members(applied, live, shape, scope))
    case (.members, .object(let applied), .null): return .object(members(applied, JSONObject(), shape, scope))
    case (.items, .array(let applied), .array(let live)): return .array(items(applied, live, shape))
    default: return applied
    }
  }

  /// Items of both lists: those of the configuration in its order, items of the live list alone before the item they
  /// stood before.
  private static func items(_ applied: [JSONValue], _ live: [JSONValue], _ shape: MergeShape) -> [JSONValue] {
    let appliedElements = shape.elements(of: applied)
    let liveElements = shape.elements(of: live)
    let isApplied = Set(appliedElements)
    var liveIndex: [String: Int] = [:]
    for (index, element) in liveElements.enumerated() where liveIndex[element] == nil { liveIndex[element] = index }
    // Items of both, in the order of the configuration: the skeleton that live items are put between.
    let shared = appliedElements.filter { liveIndex[$0] != nil }
    var nextShared = 0

    var result: [JSONValue] = []
    result.reserveCapacity(applied.count + live.count)
    var (left, right) = (0, 0)
    while left < live.count || right < applied.count {
      if left < live.count, right < applied.count {
        let element = liveElements[left]
        if element == appliedElements[right] {
          if let merged = merge(applied[right], live[left], shape.item) { result.append(merged) }
          left += 1
          right += 1
          if nextShared < shared.count, shared[nextShared] == element { nextShared += 1 }
          continue
        }
        if isApplied.contains(element), nextShared < shared.count, shared[nextShared] != element {
          // A shared item that the configuration wants at another place.
          left += 1
          continue
        }
      }
      if left < live.count, !isApplied.contains(liveElements[left]) {
        result.append(live[left])
        left += 1
        continue
      }
      if right < applied.count {
        let element = appliedElements[right]
        if let merged = merge(applied[right], liveIndex[element].map { live[$0] }, shape.item) { result.append(merged) }
        right += 1
        if nextShared < shared.count, shared[nextShared] == element { nextShared += 1 }
        continue
      }
      // Live items that are shared were taken where the configuration has them.
      left += 1
    }
    return result
  }

  /// `object` without the values at these paths.
  static func removing(_ paths: FieldSet, from object: JSONValue, structure: Structure) -> JSONValue {
    guard !paths.isEmpty, case .object(let members) = object else { return object }
    return .object(removing(paths, from: members, .structure(structure)))
  }

  private static func removing(_ paths: FieldSet, from object: JSONObject, _ shape: MergeShape) -> JSONObject {
    var result = JSONObject()
    result.reserveCapacity(object.count)
    for (name, value) in object {
      let member = shape.member(name)
      guard let subset = paths.subset(member.element) else {
        result.appendUnique(name, value)
        continue
      }
      if subset.isMember { continue }
      guard let remaining = removing(subset, from: value, member.shape) else {
        // Emptied: gone, unless it is one of those that are always there.
        if member.isAlwaysWritten { result.appendUnique(name, value.array == nil ? [:] : []) }
        continue
      }
      result.appendUnique(name, remaining)
    }
    return result
  }

  /// Nil when nothing is left of a value that had parts.
  private static func removing(_ paths: FieldSet, from value: JSONValue, _ shape: MergeShape) -> JSONValue? {
    switch (shape.parts(of: value), value) {
    case (.members, .object(let object)):
      let remaining = removing(paths, from: object, shape)
      return remaining.isEmpty && !object.isEmpty ? nil : .object(remaining)
    case (.items, .array(let items)):
      let elements = shape.elements(of: items)
      var remaining: [JSONValue] = []
      for (item, element) in zip(items, elements) {
        guard let subset = paths.subset(element) else {
          remaining.append(item)
          continue
        }
        if subset.isMember { continue }
        remaining.append(removing(subset, from: item, shape.item) ?? [:])
      }
      return remaining.isEmpty && !items.isEmpty ? nil : .array(remaining)
    default: return value
    }
  }
}
