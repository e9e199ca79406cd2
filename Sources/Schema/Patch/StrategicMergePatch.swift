// The patch of kubectl: a merge patch that knows from the schema which lists merge, and by which member of an item.
// Directives: `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>` (spec/2 §2.13).
import JSON

public enum StrategicMergePatch {
  /// `target` with `patch` merged into it. Members the structure does not know merge as in RFC 7386.
  /// Throws 400 for a malformed directive, 422 for a patch that does not fit the object.
  public static func apply(
    _ patch: JSONValue, to target: JSONValue, structure: Structure
  ) throws(APIStatus) -> JSONValue {
    guard case .object(let changes) = patch else {
      throw .badRequest("the body of a strategic merge patch must be an object")
    }
    return .object(try merge(changes, into: target.object ?? JSONObject(), shape: .structure(structure)))
  }
}

/// The names of directives inside a patch.
enum PatchDirective {
  static let patch = "$patch"
  static let retainKeys = "$retainKeys"
  static let deleteFromPrimitiveList = "$deleteFromPrimitiveList/"
  static let setElementOrder = "$setElementOrder/"

  static func isDirective(_ key: String) -> Bool {
    key.utf8.first == UInt8(ascii: "$")
      && (key == patch || key == retainKeys || key.hasPrefix(deleteFromPrimitiveList)
        || key.hasPrefix(setElementOrder))
  }
}

extension StrategicMergePatch {
  /// What the schema says of the members of an object.
  enum Shape {
    case structure(Structure)
    /// Every member is of one type.
    case map(FieldType)
    case unknown

    init(_ type: FieldType?) {
      switch type {
      case .structure(let structure): self = .structure(structure)
      case .map(let element): self = .map(element)
      default: self = .unknown
      }
    }

    func member(_ name: String) -> (type: FieldType?, strategy: PatchStrategy) {
      switch self {
      case .structure(let structure):
        guard let field = structure.member(name) else { return (nil, PatchStrategy()) }
        return (field.type, field.patchStrategy)
      case .map(let element): return (element, PatchStrategy())
      case .unknown: return (nil, PatchStrategy())
      }
    }
  }

  /// The shape of the items of a list.
  private static func itemShape(of type: FieldType?) -> Shape {
    if case .array(let element) = type { Shape(element) } else { .unknown }
  }

  // MARK: - Objects

  static func merge(_ patch: JSONObject, into target: JSONObject, shape: Shape) throws(APIStatus) -> JSONObject {
    var patch = patch
    if let directive = patch[PatchDirective.patch] {
      patch[PatchDirective.patch] = nil
      switch directive.string {
      case "replace": return withoutDirectives(patch)
      case "delete": return JSONObject()
      case "merge": break
      default: throw .badRequest("unknown $patch type \(directive)")
      }
    }
    var result = JSONObjectEditor(target)
    if let retained = patch[PatchDirective.retainKeys] {
      patch[PatchDirective.retainKeys] = nil
      try retainKeys(retained, patch, &result)
    }
    // Lists that come with their order are merged with it, not a second time as members.
    var ordered: Set<String> = []
    if patch.keys.contains(where: { $0.hasPrefix(PatchDirective.setElementOrder) }) {
      var members = JSONObjectEditor(patch)
      for (key, order) in patch where key.hasPrefix(PatchDirective.setElementOrder) {
        let name = String(key.dropFirst(PatchDirective.setElementOrder.count))
        let changes = ordered.contains(name) ? nil : members[name]
        try mergeOrdered(name, changes, order, into: &result, shape)
        ordered.insert(key)
        if changes?.array != nil { ordered.insert(name) }
      }
    }
    for (key, value) in patch where !ordered.contains(key) { try mergeMember(key, value, into: &result, shape) }
    return result.object
  }

  private static func mergeMember(
    _ key: String, _ value: JSONValue, into result: inout JSONObjectEditor, _ shape: Shape
  ) throws(APIStatus) {
    if key.hasPrefix(PatchDirective.deleteFromPrimitiveList) {
      return try deleteFromPrimitiveList(key, value, &result)
    }
    if value.isNull {
      result[key] = nil
      return
    }
    guard let existing = result[key], !existing.isNull else {
      result[key] = withoutDirectives(value)
      return
    }
    let (type, strategy) = shape.member(key)
    switch (existing, value) {
    case (.object(let target), .object(let changes)) where !strategy.replaces:
      result[key] = .null
      result[key] = .object(try merge(changes, into: target, shape: Shape(type)))
    case (.array(let target), .array(let changes)) where strategy.merges:
      result[key] = .array(
        try mergeList(changes, into: target, mergeKey: strategy.mergeKey, shape: itemShape(of: type)))
    default: result[key] = withoutDirectives(value)
    }
  }

  /// Drops the members that the patch does not list, so that one alternative of a union takes the place of another.
  private static func retainKeys(
    _ directive: JSONValue, _ patch: JSONObject, _ result: inout JSONObjectEditor
  ) throws(APIStatus) {
    let message = "invalid patch format of retainKeys: every member of the patch must be listed"
    guard case .array(let listed) = directive else { throw .badRequest(message) }
    let kept = Set(listed.compactMap(\.string))
    guard kept.count == Set(listed).count else { throw .badRequest(message) }
    for (key, value) in patch where !value.isNull && !PatchDirective.isDirective(key) && !kept.contains(key) {
      throw .badRequest(message)
    }
    result.keep { kept.contains($0) }
  }

  private static func deleteFromPrimitiveList(
    _ key: String, _ value: JSONValue, _ result: inout JSONObjectEditor
  ) throws(APIStatus) {
    let name = String(key.dropFirst(PatchDirective.deleteFromPrimitiveList.count))
    guard case .array(let unwanted) = value, !name.isEmpty else {
      throw .badRequest("invalid patch format of primitive list")
    }
    guard case .array(let existing) = result[name] else { return }
    let deleted = Set(unwanted)
    result[name] = .array(existing.filter { !deleted.contains($0) })
  }

  // MARK: - Lists

  /// Merges a list and puts it in the order that `$setElementOrder` asks for; items that only the server knows keep
  /// their place between their neighbours as well as that is possible.
  private static func mergeOrdered(
    _ name: String, _ changes: JSONValue?, _ order: JSONValue, into result: inout JSONObjectEditor, _ shape: Shape
  ) throws(APIStatus) {
    guard case .array(let order) = order, !name.isEmpty else {
      throw .badRequest("invalid patch format of setElementOrder list")
    }
    let (type, strategy) = shape.member(name)
    let existing = result[name]?.array
    let mergeKey = strategy.mergeKey
    let merged: [JSONValue]
    switch (existing, changes) {
    case (_, .some(.array(let changes))):
      try checkOrder(of: changes, against: order, mergeKey: mergeKey)
      if let existing, strategy.merges {
        merged = try mergeList(changes, into: existing, mergeKey: mergeKey, shape: itemShape(of: type))
      } else {
        merged = withoutDirectives(changes)
      }
    // A null deletes the list, anything else is a mistake that decoding will name.
    case (_, .some): return
    case (let existing?, nil): merged = existing
    case (nil, nil): return
    }
    result[name] = .array(try arranged(merged, by: order, formerly: existing ?? [], mergeKey: mergeKey))
  }

  /// Every item of the patch must stand in the order list, in the same order.
  private static func checkOrder(
    of changes: [JSONValue], against order: [JSONValue], mergeKey: String?
  ) throws(APIStatus) {
    var position = order.startIndex
    let wanted = order.map { identity($0, mergeKey) }
    for item in changes where item[PatchDirective.patch].isNull {
      let own = identity(item, mergeKey)
      guard let found = wanted[position...].firstIndex(of: own) else {
        throw .badRequest("The order in patch list doesn't match $setElementOrder list")
      }
      position = found + 1
    }
  }

  /// What tells one item of a merging list from another: its merge key, or itself.
  private static func identity(_ item: JSONValue, _ mergeKey: String?) -> JSONValue {
    guard let mergeKey, case .object(let object) = item else { return item }
    return object[mergeKey] ?? .null
  }

  private static func mergeList(
    _ changes: [JSONValue], into target: [JSONValue], mergeKey: String?, shape: Shape
  ) throws(APIStatus) -> [JSONValue] {
    let holdsObjects = [target, changes].contains { list in list.contains { $0.object != nil } }
    guard holdsObjects else {
      // A union: what the server has, then what is new.
      var seen: Set<JSONValue> = []
      let merged = (target + changes).filter { seen.insert($0).inserted }
      return try arranged(merged, by: changes, formerly: target, mergeKey: nil)
    }
    guard let mergeKey else {
      // Only a schema without a merge key gets here: replacing is all that can be done.
      return withoutDirectives(changes)
    }
    var (merged, items) = try performingItemDirectives(changes, on: target, mergeKey: mergeKey)
    // Of several items with one key the first counts.
    var positions: [JSONValue: Int] = [:]
    for (index, item) in merged.enumerated() {
      let key = item[mergeKey]
      if positions[key] == nil { positions[key] = index }
    }
    for item in items {
      guard let key = item[mergeKey] else {
        throw .badRequest("map: \(JSONValue.object(item).goText) does not contain declared merge key: \(mergeKey)")
      }
      if let position = positions[key] {
        let existing = merged[position].object ?? JSONObject()
        merged[position] = .object(try merge(item, into: existing, shape: shape))
      } else {
        positions[key] = merged.count
        merged.append(.object(withoutDirectives(item)))
      }
    }
    items.removeAll { $0[mergeKey] == nil }
    return try arranged(merged, by: items.map { .object($0) }, formerly: target, mergeKey: mergeKey)
  }

  /// Performs `$patch: delete` and `$patch: replace` of list items. The list that remains, and the items to merge.
  private static func performingItemDirectives(
    _ changes: [JSONValue], on target: [JSONValue], mergeKey: String
  ) throws(APIStatus) -> (target: [JSONValue], items: [JSONObject]) {
    var deleted: Set<JSONValue> = []
    var items: [JSONObject] = []
    var replaces = false
    for change in changes {
      guard case .object(var item) = change else {
        throw .badRequest("invalid patch: a list of objects holds \(change)")
      }
      guard let directive = item[PatchDirective.patch] else {
        items.append(item)
        continue
      }
      switch directive.string {
      case "delete":
        guard let key = item[mergeKey] else {
          throw .badRequest("map: \(change.goText) does not contain declared merge key: \(mergeKey)")
        }
        deleted.insert(key)
      case "replace": replaces = true
      case "merge":
        item[PatchDirective.patch] = nil
        items.append(item)
      default: throw .badRequest("unknown $patch type \(directive)")
      }
    }
    if replaces { return ([], items) }
    return (deleted.isEmpty ? target : target.filter { !deleted.contains($0[mergeKey]) }, items)
  }

  /// `items` with those in `order` in that order, and the others put between them: each before the first of the
  /// ordered ones that it preceded in `formerly`.
  private static func arranged(
    _ items: [JSONValue], by order: [JSONValue], formerly: [JSONValue], mergeKey: String?
  ) throws(APIStatus) -> [JSONValue] {
    func positions(_ list: [JSONValue]) -> [JSONValue: Int] {
      var positions: [JSONValue: Int] = [:]
      for (index, item) in list.enumerated() where positions[identity(item, mergeKey)] == nil {
        positions[identity(item, mergeKey)] = index
      }
      return positions
    }
    let wanted = positions(order)
    let former = positions(formerly)
    var ordered: [(rank: Int, item: JSONValue)] = []
    var others: [(rank: Int, item: JSONValue)] = []
    for (index, item) in items.enumerated() {
      let own = identity(item, mergeKey)
      if let rank = wanted[own] {
        ordered.append((rank, item))
      } else {
        others.append((former[own] ?? formerly.count + index, item))
      }
    }
    // Both sorts are stable: items of one merge key keep their order.
    ordered.sort { $0.rank < $1.rank }
    others.sort { $0.rank < $1.rank }

    var result: [JSONValue] = []
    result.reserveCapacity(items.count)
    var next = 0
    for (_, item) in ordered {
      if let own = former[identity(item, mergeKey)] {
        while next < others.count, others[next].rank < own {
          result.append(others[next].item)
          next += 1
        }
      }
      result.append(item)
    }
    result += others[next...].map(\.item)
    return result
  }

  // MARK: - Values taken as they are

  /// A value for a place where nothing stands yet: directives and nulls have done their work.
  private static func withoutDirectives(_ value: JSONValue) -> JSONValue {
    switch value {
    case .object(let object): .object(withoutDirectives(object))
    case .array(let array): .array(withoutDirectives(array))
    default: value
    }
  }

  private static func withoutDirectives(_ object: JSONObject) -> JSONObject {
    if object[PatchDirective.patch]?.string == "delete" { return JSONObject() }
    var result = JSONObject()
    result.reserveCapacity(object.count)
    for (key, value) in object where !value.isNull && !PatchDirective.isDirective(key) {
      result.appendUnique(key, withoutDirectives(value))
    }
    return result
  }

  private static func withoutDirectives(_ array: [JSONValue]) -> [JSONValue] {
    array.compactMap { item in
      if case .object(let object) = item, let directive = object[PatchDirective.patch]?.string {
        // An item to delete is not there; an item that only says "replace" is no item.
        if directive == "delete" || (directive == "replace" && object.count == 1) { return nil }
      }
      return withoutDirectives(item)
    }
  }
}
