// What the schema says of a value when ownership is computed: one leaf, or parts that can have owners of their own.
import JSON

enum MergeShape {
  /// Owned as a whole: scalars, atomic lists, maps and structures.
  case leaf
  case structure(Structure)
  /// Every member is of one type.
  case map(FieldType)
  /// Items are identified by their own value.
  case set
  /// Items are identified by these members, in order of their names.
  case keyed([String], FieldType)
  /// No schema: objects are granular, lists atomic.
  case untyped

  init(_ field: Field) {
    switch field.type {
    case .structure(let structure): self = field.isAtomic ? .leaf : .structure(structure)
    case .map(let element): self = field.isAtomic ? .leaf : .map(element)
    case .array(let element):
      switch field.listSemantics {
      case .atomic: self = .leaf
      case .set: self = .set
      case .map(let keys): self = .keyed(keys.count > 1 ? keys.sorted() : keys, element)
      }
    default: self = .leaf
    }
  }

  /// Of the values of maps and the items of lists, which have no field of their own.
  init(element type: FieldType) {
    switch type {
    case .structure(let structure): self = structure.isAtomic ? .leaf : .structure(structure)
    case .map(let element): self = .map(element)
    default: self = .leaf
    }
  }

  /// What a member is to ownership.
  func member(_ name: String) -> MemberOwnership {
    switch self {
    case .structure(let structure):
      if let position = structure.memberPosition(name) { return structure.memberOwnership[position] }
    case .map(let element): return MemberOwnership(undeclared: name, MergeShape(element: element))
    case .leaf, .set, .keyed, .untyped: break
    }
    return MemberOwnership(undeclared: name, .untyped)
  }

  /// The shape of a list's items.
  var item: MergeShape {
    if case .keyed(_, let element) = self { MergeShape(element: element) } else { .leaf }
  }

  /// The parts of a value that can be owned one by one; a leaf has none.
  enum Parts { case none, members, items }
  func parts(of value: JSONValue) -> Parts {
    switch (self, value) {
    case (.structure, .object), (.map, .object), (.untyped, .object): .members
    case (.set, .array), (.keyed, .array): .items
    default: .none
    }
  }

  /// The parts by which two versions of a value differ. A value against nothing has its own; two empty ones, or two
  /// that are not alike, can only differ as a whole.
  func parts(of old: JSONValue?, _ new: JSONValue?) -> Parts {
    let old = old ?? .null
    let new = new ?? .null
    if old.isNull { return new.isZero ? .none : parts(of: new) }
    if new.isNull { return old.isZero ? .none : parts(of: old) }
    let common = parts(of: old)
    return common == parts(of: new) && !(old.isZero && new.isZero) ? common : .none
  }

  /// The path element of a list's item; nil when a key is missing that has no default.
  func element(of item: JSONValue) -> String? {
    switch self {
    case .set:
      switch item {
      case .null, .array, .object: return nil
      default: return PathElement.value(item)
      }
    case .keyed(let names, let type):
      guard case .object(let object) = item else { return nil }
      var keys: [(name: String, value: JSONValue)] = []
      keys.reserveCapacity(names.count)
      for name in names {
        if let value = object[name], !value.isNull {
          keys.append((name, value))
        } else if case .structure(let structure) = type, let value = structure.member(name)?.defaultValue {
          keys.append((name, value))
        } else {
          return nil
        }
      }
      return PathElement.keys(keys)
    default: return nil
    }
  }

  /// Whether the items of a list are known by what they are, not by where they stand.
  var identifiesItems: Bool {
    switch self {
    case .set, .keyed: true
    default: false
    }
  }

  /// Why an item has no path element.
  func anonymity(of item: JSONValue) -> String {
    guard case .keyed(let names, let type) = self else {
      switch item {
      case .object: return "associative list without keys has an element that's a map type"
      case .array: return "not supported: associative list with lists as elements"
      default: return "associative list without keys has an element that's an explicit null"
      }
    }
    if item.isNull { return "associative list with keys may not have a null element" }
    guard case .object(let object) = item else { return "associative list with keys may not have non-map elements" }
    let missing = names.first { name in
      guard (object[name] ?? .null).isNull else { return false }
      guard case .structure(let structure) = type else { return true }
      return structure.member(name)?.defaultValue == nil
    }
    return "associative list with keys has an element that omits key field \"\(missing ?? "")\" "
      + "(and doesn't have default value)"
  }

  /// The path elements of a list's items; an item without identity is known by its index.
  func elements(of items: [JSONValue]) -> [String] {
    items.enumerated().map { index, item in element(of: item) ?? PathElement.index(index) }
  }
}

/// A member of an object as ownership sees it.
struct MemberOwnership {
  var shape: MergeShape
  /// Its path element.
  var element: String
  /// Whether the schema has it; entries of maps and unknown members it has not.
  var isDeclared: Bool
  var isAlwaysWritten: Bool

  init(_ field: Field) {
    shape = MergeShape(field)
    element = PathElement.field(field.name)
    isDeclared = true
    isAlwaysWritten = field.isAlwaysWritten
  }
  init(undeclared name: String, _ shape: MergeShape) {
    self.shape = shape
    element = PathElement.field(name)
    isDeclared = false
    isAlwaysWritten = false
  }
}

/// Where in an object a walk is: some members at the top and in `metadata` have no owner, because the server alone
/// writes them or because they say which object this is (spec/2 §2.12).
enum OwnershipScope {
  case object, metadata, inner

  private static let unownedInObject: Set<String> = ["apiVersion", "kind"]
  private static let unownedInMetadata: Set<String> = [
    "name", "namespace", "uid", "creationTimestamp", "selfLink", "resourceVersion", "generation", "managedFields",
    "clusterName",
  ]

  /// Whether the member is never owned.
  func ignores(_ member: String) -> Bool {
    switch self {
    case .object: Self.unownedInObject.contains(member)
    case .metadata: Self.unownedInMetadata.contains(member)
    case .inner: false
    }
  }

  /// The scope inside a member.
  func entering(_ member: String) -> Self { self == .object && member == "metadata" ? .metadata : .inner }
}
