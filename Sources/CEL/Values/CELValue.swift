// Values of expressions. Documents are seen through them without being copied.
import JSON
import Schema

public enum CELValue: Sendable {
  case null
  case bool(Bool)
  case int(Int64)
  case uint(UInt64)
  case double(Double)
  case string(String)
  case bytes([UInt8])
  case timestamp(Timestamp)
  /// Nanoseconds.
  case duration(Int64)
  case list(CELList)
  case map(CELMap)
  case type(CELType)
  indirect case optional(CELValue?)
  case opaque(any CELOpaque)

  /// The type, as `type(x)` answers.
  public var type: CELType {
    switch self {
    case .null: .null
    case .bool: .bool
    case .int: .int
    case .uint: .uint
    case .double: .double
    case .string: .string
    case .bytes: .bytes
    case .timestamp: .timestamp
    case .duration: .duration
    case .list: .list(.dyn)
    case .map: .map(.dyn, .dyn)
    case .type: .type(nil)
    case .optional: .optional(.dyn)
    case .opaque(let value): .opaque(value.typeName, [])
    }
  }

  /// Characters of a text, bytes, elements; nil for what has no size.
  var size: Int? {
    switch self {
    case .string(let value): value.isASCIIOnly ? value.utf8.count : value.unicodeScalars.count
    case .bytes(let value): value.count
    case .list(let value): value.count
    case .map(let value): value.count
    default: nil
    }
  }
}

/// A value of a library: URLs, addresses, quantities, authorizers.
public protocol CELOpaque: Sendable {
  /// "net.IP", "kubernetes.URL".
  var typeName: String { get }
  func equals(_ other: any CELOpaque) -> Bool
  /// What `size` of costs counts; 1 where it means nothing.
  var costSize: UInt64 { get }
  /// What `string(x)` answers; nil where there is no such conversion.
  var text: String? { get }
}

extension CELOpaque {
  public var costSize: UInt64 { 1 }
  public var text: String? { nil }
}

/// An object whose members are computed when they are asked for, as the variables of a policy are.
public protocol CELLazyMembers: Sendable {
  /// The member's value; nil when there is no such member.
  func member(_ name: String) throws(CELError) -> CELValue?
}

/// A list: elements computed, or those of a document with the list's schema.
public enum CELList: Sendable {
  case values([CELValue])
  case json([JSONValue], CELSchema)

  public var count: Int {
    switch self {
    case .values(let values): values.count
    case .json(let values, _): values.count
    }
  }

  /// The element at a position in range.
  subscript(index: Int) -> CELValue {
    get throws(CELError) {
      switch self {
      case .values(let values): values[index]
      case .json(let values, let schema): try CELValue(values[index], as: schema.element ?? .any)
      }
    }
  }

  func values() throws(CELError) -> [CELValue] {
    switch self {
    case .values(let values): return values
    case .json(let documents, let schema):
      let element = schema.element ?? .any
      var values: [CELValue] = []
      values.reserveCapacity(documents.count)
      for document in documents { values.append(try CELValue(document, as: element)) }
      return values
    }
  }

  /// What identifies elements, where a schema says so.
  var listKind: CELSchema.ListKind {
    if case .json(_, let schema) = self { schema.listKind } else { .atomic }
  }
}

/// What a map is indexed by. Numbers that are equal are one key whatever their type.
public enum CELKey: Sendable, Hashable {
  case bool(Bool)
  case int(Int64)
  /// Only above the range of `int`.
  case uint(UInt64)
  case string(String)

  init?(_ value: CELValue) {
    switch value {
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .uint(let value): self = Int64(exactly: value).map { .int($0) } ?? .uint(value)
    case .double(let value):
      if let integer = Int64(exactly: value) {
        self = .int(integer)
      } else if let unsigned = UInt64(exactly: value) {
        self = .uint(unsigned)
      } else {
        return nil
      }
    case .string(let value): self = .string(value)
    default: return nil
    }
  }
}

/// Entries in order, with an index.
public struct CELEntries: Sendable {
  public private(set) var entries: [(key: CELValue, value: CELValue)] = []
  private var positions: [CELKey: Int] = [:]

  public init() {}

  public subscript(key: CELKey) -> CELValue? { positions[key].map { entries[$0].value } }

  /// False when the key is there already; then nothing changes.
  mutating func insert(_ key: CELValue, _ index: CELKey, _ value: CELValue) -> Bool {
    guard positions[index] == nil else { return false }
    positions[index] = entries.count
    entries.append((key, value))
    return true
  }
}

/// A map or an object.
public enum CELMap: Sendable {
  case values(CELEntries)
  case json(JSONObject, CELSchema)
  case lazy(any CELLazyMembers)

  public var count: Int {
    switch self {
    case .values(let entries): entries.entries.count
    case .json(let object, let schema):
      schema.kind == .object ? object.members.count { schema.escapedName(of: $0.key) != nil } : object.count
    case .lazy: 0
    }
  }

  /// The value of a key; nil when there is none.
  func value(_ key: CELKey) throws(CELError) -> CELValue? {
    if case .values(let entries) = self { return entries[key] }
    guard case .string(let name) = key else { return nil }
    return try member(name)
  }

  /// The value of a member by the name expressions use.
  func member(_ name: String) throws(CELError) -> CELValue? {
    switch self {
    case .values(let entries): return entries[.string(name)]
    case .lazy(let members): return try members.member(name)
    case .json(let object, let schema):
      if schema.kind == .object {
        guard let member = schema.members[name], let value = object[member.name] else { return nil }
        return try CELValue(value, as: member.schema)
      }
      guard let value = object[name] else { return nil }
      return try CELValue(value, as: schema.element ?? .any)
    }
  }

  /// The keys in order.
  func keys() -> [CELValue] {
    switch self {
    case .values(let entries): return entries.entries.map(\.key)
    case .lazy: return []
    case .json(let object, let schema):
      guard schema.kind == .object else { return object.members.map { .string($0.key) } }
      return object.members.compactMap { schema.escapedName(of: $0.key).map { .string($0) } }
    }
  }
}

extension String {
  /// Whether code points are bytes, so that places in it need no counting.
  var isASCIIOnly: Bool { utf8.allSatisfy { $0 < 0x80 } }
}

extension CELValue {
  /// The elements of a list of texts, or a text alone; nil for anything else.
  public var texts: [String]? {
    switch self {
    case .string(let text): return [text]
    case .list(let list):
      guard let values = try? list.values() else { return nil }
      var texts: [String] = []
      for value in values {
        guard case .string(let text) = value else { return nil }
        texts.append(text)
      }
      return texts
    default: return nil
    }
  }
}
