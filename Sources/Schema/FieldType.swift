// The schema language: what a field of a Kubernetes object is. Built-in kinds and custom resources are described alike.
import JSON

/// The type of a field. Scalars carry the wire form of both encodings (spec/3P-types.md, "Special messages").
public indirect enum FieldType: Sendable {
  case string
  /// Base64 text in JSON, length-delimited bytes in protobuf.
  case bytes
  case boolean
  case int32
  case int64
  case double
  /// "100m", "1Gi".
  case quantity
  /// A JSON number or string.
  case intOrString
  /// RFC 3339, seconds.
  case time
  /// RFC 3339, six digits of fraction.
  case microTime
  /// A Go duration text ("1m30s"); nanoseconds in protobuf.
  case duration
  /// Any JSON object, kept as it is: RawExtension, FieldsV1.
  case rawObject
  /// Any JSON value: apiextensions JSON.
  case anyValue
  case structure(Structure)
  /// An object, or something simpler in its place: the JSONSchemaPropsOr… types. The structure is the message of
  /// protobuf, its first structure field the object's type and its other field what may stand for it (`SchemaUnion`).
  case union(Structure)
  case array(FieldType)
  case map(FieldType)
}

extension FieldType {
  /// Has structures inside.
  var mayHoldStructures: Bool {
    switch self {
    case .structure: true
    case .array(let element), .map(let element): element.mayHoldStructures
    default: false
    }
  }
}

extension FieldType {
  /// Whether there are defaults in such a value, where the structures that hold some are known.
  fileprivate func holdsDefaults(_ holding: Set<ObjectIdentifier>) -> Bool {
    switch self {
    case .structure(let structure): holding.contains(ObjectIdentifier(structure))
    case .array(let element): element.holdsDefaults(holding)
    // Amounts are rounded.
    case .map(.quantity): true
    case .map(let element): element.holdsDefaults(holding)
    default: false
    }
  }
}

/// How a list or map merges under server-side apply (spec/3 §3.6).
public enum ListSemantics: Sendable, Hashable {
  case atomic
  case set
  /// Items are identified by these members.
  case map(keys: [String])
}

/// How a list or map merges under a strategic merge patch (spec/3 §3.6).
public struct PatchStrategy: Sendable, Hashable {
  /// Items merge instead of replacing the list.
  public var merges: Bool
  /// Members not listed in the patch's `$retainKeys` are dropped.
  public var retainsKeys: Bool
  /// Identifies items of a merging list of objects; nil for lists of scalars.
  public var mergeKey: String?
  /// For maps and structures, which merge unless told otherwise: the patch's value takes the place of the whole.
  public var replaces: Bool

  public init(merges: Bool = false, retainsKeys: Bool = false, mergeKey: String? = nil, replaces: Bool = false) {
    self.merges = merges
    self.retainsKeys = retainsKeys
    self.mergeKey = mergeKey
    self.replaces = replaces
  }
}

/// One field of a structure.
public struct Field: Sendable {
  /// The JSON member name; unused (but unique) for an inline field.
  public var name: String
  /// Protobuf field number. 0: a member of the JSON form only, which is what `kind` and `apiVersion` are at the top
  /// of every kind (in protobuf the envelope carries them); encoders and decoders of protobuf pass over it.
  public var number: Int
  public var type: FieldType
  /// Listed in OpenAPI `required`.
  public var isRequired = false
  /// A pointer in the reference types: absent differs from zero.
  public var isPointer = false
  /// Written in JSON output even when zero (`{}`, `null` for times, `""`, `0`).
  public var isAlwaysWritten = false
  /// The inner structure's fields stand in the parent's JSON object; in protobuf it is a nested message.
  public var isInline = false
  /// For arrays; lists without a marker are atomic.
  public var listSemantics: ListSemantics = .atomic
  /// For maps and structures: owned as one leaf.
  public var isAtomic = false
  public var patchStrategy = PatchStrategy()
  /// Filled in when absent (or zero, for fields that are no pointers).
  public var defaultValue: JSONValue?
  public var enumeration: [String] = []
  public var description = ""

  public init(name: String, number: Int, type: FieldType) {
    self.name = name
    self.number = number
    self.type = type
  }
}

/// A message of the API: its fields by JSON name and by protobuf number. Immutable once `seal`ed; a class, because
/// structures refer to one another and to themselves.
public final class Structure: @unchecked Sendable {
  /// Qualified name: "core.v1.PodSpec".
  public let name: String
  public let description: String
  /// Owned as one leaf wherever it occurs (spec/3 §3.6, "Atomic structs").
  public let isAtomic: Bool
  /// Unknown members are kept (custom resources with x-kubernetes-preserve-unknown-fields).
  public let preservesUnknownFields: Bool
  /// The message of a `FieldType.union`.
  public let isUnion: Bool
  /// Empty lists that are always written stay `[]`. The reference stores most groups as protobuf, out of which an empty
  /// list comes as none; those of its extension servers it stores as JSON.
  let keepsEmptyLists: Bool
  /// In order of declaration, inline fields not expanded.
  public private(set) var fields: [Field] = []
  /// Every JSON member with inline structures expanded, in order of output.
  public private(set) var members: [Field] = []
  /// Positions in `members` of those written even when absent, and of those that have a default.
  private(set) var alwaysWrittenPositions: [Int] = []
  private(set) var defaultedPositions: [Int] = []
  /// By position in `members`: what ownership needs of them, which every write asks for.
  private(set) var memberOwnership: [MemberOwnership] = []
  /// By position in `members`, apart from the rest of them: asked for every member of every tree.
  private(set) var memberTypes: [FieldType] = []
  private var memberNames: [String] = []
  /// By position in `members`: whether there are defaults in it or below it.
  private(set) var defaultsBelow: [Bool] = []
  private var memberIndex: [String: Int] = [:]
  private var numberIndex: [Int: Int] = [:]
  private var isSealed = false

  /// Of a custom resource's top: by what its objects are read, defaulted and validated. The fields then serve
  /// ownership alone.
  public let custom: StructuralSchema?
  /// Has `metadata` as its only member: the metadata of custom resources is read by it.
  let metadataHolder: Structure?

  public init(
    name: String, description: String = "", isAtomic: Bool = false, isUnion: Bool = false,
    preservesUnknownFields: Bool = false, custom: StructuralSchema? = nil, metadataHolder: Structure? = nil
  ) {
    self.custom = custom
    self.metadataHolder = metadataHolder
    self.name = name
    self.description = description
    self.isAtomic = isAtomic
    self.isUnion = isUnion
    keepsEmptyLists = name.hasPrefix("apiextensions.") || name.hasPrefix("apiregistration.")
    self.preservesUnknownFields = preservesUnknownFields
  }

  /// Sets the fields, once, before the structure is shared between threads. Inline fields must refer to sealed
  /// structures or be sealed later by `expandInline`, when every structure of the table has its fields.
  public func seal(fields: [Field]) {
    precondition(!isSealed, "structure \(name) is sealed already")
    isSealed = true
    self.fields = fields
    for (index, field) in fields.enumerated() where field.number > 0 { numberIndex[field.number] = index }
  }

  /// Computes `members`; call once for every structure after all are sealed.
  public func expandInline() {
    precondition(isSealed, "structure \(name) has no fields yet")
    guard members.isEmpty else { return }
    for field in fields {
      if field.isInline, case .structure(let inner) = field.type {
        inner.expandInline()
        members += inner.members
      } else {
        members.append(field)
      }
    }
    for (index, member) in members.enumerated() {
      memberIndex[member.name] = index
      memberTypes.append(member.type)
      memberNames.append(member.name)
      defaultsBelow.append(true)
      if member.isAlwaysWritten { alwaysWrittenPositions.append(index) }
      if member.defaultValue != nil { defaultedPositions.append(index) }
      memberOwnership.append(MemberOwnership(member))
    }
  }

  /// The member of that JSON name, inline structures included.
  public func member(_ name: String) -> Field? { memberIndex[name].map { members[$0] } }
  /// Position of the member in `members`: the order of output.
  public func memberPosition(_ name: String) -> Int? { memberIndex[name] }
  /// The same, quicker where members are asked for in their order: it is among the next ones mostly.
  func position(of name: String, after last: Int) -> Int? {
    let length = name.utf8.count
    for position in (last + 1)..<min(last + 8, max(memberNames.count, last + 1))
    where memberNames[position].utf8.count == length && memberNames[position] == name {
      return position
    }
    return memberIndex[name]
  }

  /// Finds out below which members there are no defaults, once all of these structures have their members.
  public static func findDefaults(in structures: [Structure]) {
    var holding = Set(structures.filter { !$0.defaultedPositions.isEmpty }.map(ObjectIdentifier.init))
    var isComplete = false
    while !isComplete {
      isComplete = true
      for structure in structures
      where !holding.contains(ObjectIdentifier(structure))
        && structure.memberTypes.contains(where: { $0.holdsDefaults(holding) })
      {
        holding.insert(ObjectIdentifier(structure))
        isComplete = false
      }
    }
    for structure in structures { structure.defaultsBelow = structure.memberTypes.map { $0.holdsDefaults(holding) } }
  }

  /// Position in `fields` of that protobuf number; 0 is no number.
  func fieldIndex(number: Int) -> Int? { number == 0 ? nil : numberIndex[number] }
  /// The field of that protobuf number.
  public func field(number: Int) -> Field? { numberIndex[number].map { fields[$0] } }
}
