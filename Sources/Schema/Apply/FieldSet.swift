// A set of paths inside an object: who owns what is written in such sets (spec/2 §2.12). The shape is that of their
// JSON form, FieldsV1: a tree whose edges are path elements, "f:name" for a member, `k:{"name":"c"}` for the item of a
// list with those keys, `v:"x"` for an item of a set, "i:0" for an index. Elements stay in this written form, so that
// a change can be looked up in the JSON of a stored object without decoding the rest of it.
import JSON

/// A set of paths. Children are in the canonical order of path elements and never empty.
public struct FieldSet: Sendable, Equatable {
  struct Child: Sendable, Equatable {
    var element: String
    var subset: FieldSet
  }
  /// Whether the path that leads here is in the set itself; "." in FieldsV1.
  var isMember = false
  var children: [Child] = []

  public init() {}

  public var isEmpty: Bool { !isMember && children.isEmpty }

  /// Adds the path of these elements.
  public mutating func insert(_ path: some Sequence<String>) {
    var set = FieldSet()
    set.isMember = true
    for element in Array(path).reversed() {
      var parent = FieldSet()
      parent.children = [Child(element: element, subset: set)]
      set = parent
    }
    self = union(set)
  }

  /// The paths of these member names: `[["spec"], ["metadata", "labels"]]`.
  public static func members(_ paths: [[String]]) -> FieldSet {
    var set = FieldSet()
    for path in paths { set.insert(path.map { "f:" + $0 }) }
    return set
  }

  /// Whether exactly this path is in the set.
  public func contains(_ path: some Sequence<String>) -> Bool {
    var set = self
    for element in path {
      guard let next = set.subset(element) else { return false }
      set = next
    }
    return set.isMember
  }

  /// What lies behind an element; nil for nothing.
  func subset(_ element: String) -> FieldSet? {
    // Few children are usual; a scan needs no order comparison.
    if children.count <= 8 { return children.first { $0.element == element }?.subset }
    var low = 0
    var high = children.count
    while low < high {
      let middle = (low + high) / 2
      if PathElement.precedes(children[middle].element, element) { low = middle + 1 } else { high = middle }
    }
    guard low < children.count, children[low].element == element else { return nil }
    return children[low].subset
  }

  /// Appends a child whose place in the order `sortChildren` will find; empty ones are left out.
  mutating func append(_ element: @autoclosure () -> String, _ subset: FieldSet) {
    if !subset.isEmpty { children.append(Child(element: element(), subset: subset)) }
  }

  mutating func sortChildren() {
    guard children.count > 1 else { return }
    let isSorted = zip(children, children.dropFirst()).allSatisfy { PathElement.precedes($0.element, $1.element) }
    if !isSorted { children.sort { PathElement.precedes($0.element, $1.element) } }
  }

  /// Calls `body` with every path, in order.
  func forEachPath(_ body: ([String]) -> Void) {
    var path: [String] = []
    visit(&path, body)
  }
  private func visit(_ path: inout [String], _ body: ([String]) -> Void) {
    if isMember { body(path) }
    for child in children {
      path.append(child.element)
      child.subset.visit(&path, body)
      path.removeLast()
    }
  }
}

// MARK: - Algebra

extension FieldSet {
  public func union(_ other: FieldSet) -> FieldSet {
    if other.isEmpty { return self }
    if isEmpty { return other }
    var result = FieldSet()
    result.isMember = isMember || other.isMember
    result.children.reserveCapacity(Swift.max(children.count, other.children.count))
    merge(other) { own, theirs in
      switch (own, theirs) {
      case (let own?, let theirs?):
        result.children.append(Child(element: own.element, subset: own.subset.union(theirs.subset)))
      case (let only?, nil), (nil, let only?): result.children.append(only)
      case (nil, nil): break
      }
    }
    return result
  }

  /// The union of many: each path is walked a few times, not once for every set.
  static func union(of sets: [FieldSet]) -> FieldSet {
    var sets = sets
    while sets.count > 1 {
      sets = stride(from: 0, to: sets.count, by: 2).map { index in
        index + 1 < sets.count ? sets[index].union(sets[index + 1]) : sets[index]
      }
    }
    return sets.first ?? FieldSet()
  }

  /// The paths of both.
  public func intersection(_ other: FieldSet) -> FieldSet {
    var result = FieldSet()
    result.isMember = isMember && other.isMember
    merge(other) { own, theirs in
      if let own, let theirs { result.append(own.element, own.subset.intersection(theirs.subset)) }
    }
    return result
  }

  /// The paths that are not in `other`; paths below one of `other` stay.
  public func subtracting(_ other: FieldSet) -> FieldSet {
    if other.isEmpty || isEmpty { return self }
    var result = FieldSet()
    result.isMember = isMember && !other.isMember
    result.children.reserveCapacity(children.count)
    merge(other) { own, theirs in
      guard let own else { return }
      guard let theirs else { return result.children.append(own) }
      result.append(own.element, own.subset.subtracting(theirs.subset))
    }
    return result
  }

  /// The paths that neither are in `other` nor lie below one of it.
  public func subtractingRecursively(_ other: FieldSet) -> FieldSet {
    if other.isMember { return FieldSet() }
    if other.isEmpty || isEmpty { return self }
    var result = FieldSet()
    result.isMember = isMember
    merge(other) { own, theirs in
      guard let own else { return }
      guard let theirs else { return result.children.append(own) }
      result.append(own.element, own.subset.subtractingRecursively(theirs.subset))
    }
    return result
  }

  /// Walks the children of both in order, pairs side by side.
  private func merge(_ other: FieldSet, _ body: (Child?, Child?) -> Void) {
    var left = 0
    var right = 0
    while left < children.count, right < other.children.count {
      let own = children[left]
      let theirs = other.children[right]
      if own.element == theirs.element {
        body(own, theirs)
        left += 1
        right += 1
      } else if PathElement.precedes(own.element, theirs.element) {
        body(own, nil)
        left += 1
      } else {
        body(nil, theirs)
        right += 1
      }
    }
    for child in children[left...] { body(child, nil) }
    for child in other.children[right...] { body(nil, child) }
  }
}

// MARK: - FieldsV1

extension FieldSet {
  /// From FieldsV1; nil for what is none.
  public init?(fieldsV1: JSONValue) {
    guard case .object(let object) = fieldsV1 else { return nil }
    self.init(object, isRoot: true)
  }

  private init?(_ object: JSONObject, isRoot: Bool) {
    isMember = object.isEmpty && !isRoot
    children.reserveCapacity(object.count)
    for (key, value) in object {
      if key == "." {
        isMember = !isRoot
        continue
      }
      guard PathElement.isValid(key), case .object(let inner) = value, let subset = FieldSet(inner, isRoot: false)
      else { return nil }
      append(PathElement.canonical(key), subset)
    }
    sortChildren()
  }

  /// The set as Kubernetes writes it.
  public var fieldsV1: JSONValue {
    var members: [JSONObject.Member] = []
    members.reserveCapacity(children.count + 1)
    if isMember, !children.isEmpty { members.append((".", .object(JSONObject()))) }
    for child in children { members.append((child.element, child.subset.fieldsV1)) }
    return .object(JSONObject(uniqueMembers: members))
  }

  /// Whether every path of this set is in the set that `fieldsV1` writes.
  func isSubset(ofFieldsV1 fieldsV1: JSONObject, isRoot: Bool = true) -> Bool {
    if isMember, isRoot || !(fieldsV1.isEmpty || fieldsV1["."] != nil) { return false }
    var written = JSONObjectIndex(fieldsV1)
    return children.allSatisfy { child in
      guard case .object(let inner)? = written[child.element] else { return false }
      return child.subset.isSubset(ofFieldsV1: inner, isRoot: false)
    }
  }

  /// Whether a path of this set is in the set that `fieldsV1` writes.
  func intersects(fieldsV1: JSONObject, isRoot: Bool = true) -> Bool {
    if isMember, !isRoot, fieldsV1.isEmpty || fieldsV1["."] != nil { return true }
    var written = JSONObjectIndex(fieldsV1)
    return children.contains { child in
      guard case .object(let inner)? = written[child.element] else { return false }
      return child.subset.intersects(fieldsV1: inner, isRoot: false)
    }
  }
}
