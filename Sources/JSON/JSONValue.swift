// JSON as a tree of values: what the request path edits. Reading and writing bytes stand in Parser and Writer.

/// A JSON document or a part of one. Integers that fit 64 bits stay integers, as in the reference implementation.
public enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  case integer(Int64)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)
}

/// The members of a JSON object in order. Lookup is a linear scan: Kubernetes objects have few members, and a scan
/// over a contiguous array beats hashing there. Equality ignores order.
public struct JSONObject: Sendable, Hashable, Sequence, ExpressibleByDictionaryLiteral {
  public typealias Member = (key: String, value: JSONValue)
  public private(set) var members: [Member]

  public init() { members = [] }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    members = []
    members.reserveCapacity(elements.count)
    for (key, value) in elements { self[key] = value }
  }
  /// From members whose keys the caller knows to be distinct.
  public init(uniqueMembers: [Member]) { members = uniqueMembers }

  public var count: Int { members.count }
  public var isEmpty: Bool { members.isEmpty }
  public var keys: some Sequence<String> { members.lazy.map { $0.key } }
  public func makeIterator() -> IndexingIterator<[Member]> { members.makeIterator() }

  @inline(__always)
  public func index(of key: String) -> Int? {
    // Most keys differ in length, which is seen without a call.
    let length = key.utf8.count
    for index in members.indices where members[index].key.utf8.count == length && members[index].key == key {
      return index
    }
    return nil
  }

  /// The member's value; setting nil removes it, setting a new key appends.
  public subscript(key: String) -> JSONValue? {
    get { index(of: key).map { members[$0].value } }
    _modify {
      // The value is moved out while the caller edits it, so that nested arrays and objects are changed in place.
      let position = index(of: key)
      var value: JSONValue?
      if let position {
        value = members[position].value
        members[position].value = .null
      }
      defer {
        switch (position, value) {
        case (let position?, let value?): members[position].value = value
        case (let position?, nil): members.remove(at: position)
        case (nil, let value?): members.append((key, value))
        case (nil, nil): break
        }
      }
      yield &value
    }
  }

  mutating func replaceValue(at index: Int, with value: JSONValue) { members[index].value = value }
  /// The value of the member at a position of `members`; edits happen in place.
  @inline(__always)
  public subscript(position position: Int) -> JSONValue {
    get { members[position].value }
    _modify { yield &members[position].value }
  }
  /// Inserts at a position without looking for the key; the caller knows it to be new.
  public mutating func insertUnique(_ key: String, _ value: JSONValue, at position: Int) {
    members.insert((key, value), at: position)
  }
  public mutating func reserveCapacity(_ capacity: Int) { members.reserveCapacity(capacity) }
  /// Appends without looking for the key; the caller knows it to be new.
  public mutating func appendUnique(_ key: String, _ value: JSONValue) { members.append((key, value)) }
  /// Sorts members by key, bytewise.
  public mutating func sortKeys() { members.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } }

  /// Whether both are one array of members in memory, and so equal without a look at them. Versions of an object share
  /// what no edit has reached.
  @inline(__always)
  public func isShared(with other: Self) -> Bool { members.isShared(with: other.members) }

  public static func == (left: Self, right: Self) -> Bool {
    if left.isShared(with: right) { return true }
    guard left.count == right.count else { return false }
    for (index, member) in left.members.enumerated() {
      let other = right.members[index]
      guard other.key == member.key else { return left.equalsInAnyOrder(right, from: index) }
      guard other.value == member.value else { return false }
    }
    return true
  }

  /// The members from `start` on, once the order differs. Large objects get an index: no comparison is quadratic.
  private func equalsInAnyOrder(_ other: Self, from start: Int) -> Bool {
    guard count - start > 32 else {
      return members[start...].allSatisfy { other[$0.key] == $0.value }
    }
    var values: [String: JSONValue] = [:]
    for member in other.members[start...] { values[member.key] = member.value }
    return members[start...].allSatisfy { values[$0.key] == $0.value }
  }

  /// Independent of order, as equality is.
  public func hash(into hasher: inout Hasher) {
    var combined = 0
    for member in members {
      var own = Hasher()
      own.combine(member.key)
      own.combine(member.value)
      combined ^= own.finalize()
    }
    hasher.combine(combined)
  }
}

extension JSONValue {
  /// Whether both are one array or object in memory, and so equal without a look at what is inside.
  @inline(__always)
  public func isShared(with other: Self) -> Bool {
    switch (self, other) {
    case (.object(let own), .object(let other)): own.isShared(with: other)
    case (.array(let own), .array(let other)): own.isShared(with: other)
    default: false
    }
  }
}

extension Array {
  /// Whether both are one buffer in memory.
  @inline(__always)
  public func isShared(with other: Self) -> Bool {
    count == other.count
      && withUnsafeBufferPointer { own in other.withUnsafeBufferPointer { own.baseAddress == $0.baseAddress } }
  }
}
