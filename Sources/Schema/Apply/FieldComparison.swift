// Which paths differ between two versions of an object. Every write computes this, so unchanged parts cost one
// comparison and paths are built only where something changed.
import JSON

struct FieldComparison {
  /// Added, or present with another value.
  var changed = FieldSet()
  var removed = FieldSet()

  var isEmpty: Bool { changed.isEmpty && removed.isEmpty }

  /// `old` nil: nothing but the object's empty shell was there.
  init(old: JSONValue?, new: JSONValue, structure: Structure) {
    compareMembers(old?.object ?? JSONObject(), new.object ?? JSONObject(), .structure(structure), .object)
    sort()
  }

  private init() {}
  static let none = FieldComparison()

  mutating func subtractRecursively(_ ignored: FieldSet) {
    guard !ignored.isEmpty else { return }
    changed = changed.subtractingRecursively(ignored)
    removed = removed.subtractingRecursively(ignored)
  }

  private mutating func sort() {
    changed.sortChildren()
    removed.sortChildren()
  }

  private mutating func adopt(_ element: @autoclosure () -> String, _ inner: FieldComparison) {
    guard !inner.isEmpty else { return }
    let element = element()
    changed.append(element, inner.changed)
    removed.append(element, inner.removed)
  }

  /// A nil object is one that is not there at all; then every member is new, or gone, with it.
  private mutating func compareMembers(
    _ old: JSONObject?, _ new: JSONObject?, _ shape: MergeShape, _ scope: OwnershipScope
  ) {
    var matched = 0
    if let new {
      var former = old.map { JSONObjectIndex($0) }
      for member in new {
        let previous = former?[member.key]
        if previous != nil { matched += 1 }
        if previous == member.value || scope.ignores(member.key) { continue }
        compareMember(member.key, previous, member.value, shape, hasOld: old != nil, hasNew: true, scope)
      }
    }
    guard let old, matched < old.count else { return }
    var present = new.map { JSONObjectIndex($0) }
    for member in old where present?.position(of: member.key) == nil && !scope.ignores(member.key) {
      compareMember(member.key, member.value, nil, shape, hasOld: true, hasNew: new != nil, scope)
    }
  }

  private mutating func compareMember(
    _ name: String, _ old: JSONValue?, _ new: JSONValue?, _ shape: MergeShape, hasOld: Bool, hasNew: Bool,
    _ scope: OwnershipScope
  ) {
    let member = shape.member(name)
    var (old, new) = (old, new)
    let innerScope = scope.entering(name)
    let isAlwaysThere = innerScope == .metadata || member.isAlwaysWritten
    if isAlwaysThere {
      // Where its parent is, such a member is too, empty: it cannot be added or removed by itself.
      if old == nil, hasOld { old = Self.shell(member.shape) }
      if new == nil, hasNew { new = Self.shell(member.shape) }
    }
    var comparison = FieldComparison()
    comparison.compare(old, new, member.shape, innerScope, zeroIsAbsent: isAlwaysThere)
    adopt(member.element, comparison)
  }

  /// What the reference writes for a member that is always written and empty.
  private static func shell(_ shape: MergeShape) -> JSONValue {
    if case .structure = shape { .object(JSONObject()) } else { .null }
  }

  private mutating func compare(
    _ old: JSONValue?, _ new: JSONValue?, _ shape: MergeShape, _ scope: OwnershipScope = .inner,
    zeroIsAbsent: Bool = false
  ) {
    switch shape.parts(of: old, new) {
    case .members:
      // Null is there, as an empty value; nil is not.
      compareMembers(
        old.map { $0.object ?? JSONObject() }, new.map { $0.object ?? JSONObject() }, shape, scope)
    case .items: compareItems(old?.elements ?? [], new?.elements ?? [], shape)
    case .none: return compareLeaf(old, new, zeroIsAbsent: zeroIsAbsent)
    }
    if old == nil { changed.isMember = true }
    if new == nil { removed.isMember = true }
    sort()
  }

  private mutating func compareLeaf(_ old: JSONValue?, _ new: JSONValue?, zeroIsAbsent: Bool) {
    guard let old else { return changed.isMember = true }
    guard let new else { return removed.isMember = true }
    if old != new, !(zeroIsAbsent && old.isZero && new.isZero) { changed.isMember = true }
  }

  private mutating func compareItems(_ old: [JSONValue], _ new: [JSONValue], _ shape: MergeShape) {
    let oldElements = shape.elements(of: old)
    let newElements = shape.elements(of: new)
    let oldIndex = Dictionary(grouping: old.indices, by: { oldElements[$0] })
    let newIndex = Dictionary(grouping: new.indices, by: { newElements[$0] })
    let item = shape.item
    for (index, element) in newElements.enumerated() {
      let twins = newIndex[element]!
      guard twins.first == index else { continue }
      let former = oldIndex[element] ?? []
      var comparison = FieldComparison()
      if twins.count == 1, former.count <= 1 {
        comparison.compare(former.first.map { old[$0] }, new[index], item)
      } else if twins.map({ new[$0] }) != former.map({ old[$0] }) {
        // Items that share an identity can only be told apart as a whole.
        comparison.changed.isMember = true
      }
      adopt(element, comparison)
    }
    for (index, element) in oldElements.enumerated() where newIndex[element] == nil && oldIndex[element]?.first == index
    {
      var comparison = FieldComparison()
      comparison.compare(old[index], nil, item)
      adopt(element, comparison)
    }
  }
}
