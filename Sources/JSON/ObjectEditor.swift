// Many edits of one object.

/// Edits the members of an object one after the other, as its own subscript does; but no edit scans a large object, and
/// what is removed is closed up once, at the end: a patch of many members costs as much as its members.
public struct JSONObjectEditor {
  private static let scannedMaximum = 24
  /// nil where a member was removed.
  private var members: [JSONObject.Member?]
  private var positions: [String: Int] = [:]
  private var removedCount = 0

  public init(_ object: JSONObject) { members = object.members.map { $0 } }

  /// The object as edited.
  public var object: JSONObject {
    guard removedCount > 0 else { return JSONObject(uniqueMembers: members.map { $0! }) }
    return JSONObject(uniqueMembers: members.compactMap { $0 })
  }

  /// The member's value; setting nil removes it, setting a new key appends.
  public subscript(key: String) -> JSONValue? {
    mutating get { position(of: key).flatMap { members[$0]?.value } }
    set {
      switch (position(of: key), newValue) {
      case (let position?, let value?): members[position]?.value = value
      case (let position?, nil):
        members[position] = nil
        removedCount += 1
        if !positions.isEmpty { positions[key] = nil }
      case (nil, let value?):
        if !positions.isEmpty { positions[key] = members.count }
        members.append((key, value))
      case (nil, nil): break
      }
    }
  }

  /// Takes a member's value out, so that it can be edited in place; null stands there until it is set again.
  public mutating func take(_ key: String) -> JSONValue? {
    guard let position = position(of: key), let value = members[position]?.value else { return nil }
    members[position]?.value = .null
    return value
  }

  /// Keeps the members whose key passes.
  public mutating func keep(where isKept: (String) -> Bool) {
    members.removeAll { $0.map { !isKept($0.key) } ?? true }
    removedCount = 0
    positions = [:]
  }

  private mutating func position(of key: String) -> Int? {
    if members.count <= Self.scannedMaximum {
      for index in members.indices where members[index]?.key == key { return index }
      return nil
    }
    if positions.isEmpty {
      positions.reserveCapacity(members.count)
      for (index, member) in members.enumerated() { if let member { positions[member.key] = index } }
    }
    return positions[key]
  }
}
