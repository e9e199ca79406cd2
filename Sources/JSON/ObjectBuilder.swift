// Objects out of members that may repeat.

/// Gathers the members of an object; the last of duplicates wins. Small objects are scanned; a large one gets an
/// index, so that no document costs quadratic time.
public struct JSONObjectBuilder {
  private static let scannedMaximum = 24
  public private(set) var members: [JSONObject.Member] = []
  private var positions: [String: Int] = [:]

  public init() {}

  public var object: JSONObject { JSONObject(uniqueMembers: members) }

  public mutating func contains(_ key: String) -> Bool { position(of: key) != nil }

  /// True if the key was there already.
  @discardableResult
  public mutating func insert(_ key: String, _ value: JSONValue) -> Bool {
    if members.isEmpty { members.reserveCapacity(4) }
    if let position = position(of: key) {
      members[position].value = value
      return true
    }
    if !positions.isEmpty { positions[key] = members.count }
    members.append((key, value))
    return false
  }

  @inline(__always)
  private mutating func position(of key: String) -> Int? {
    if members.count <= Self.scannedMaximum {
      for index in members.indices where members[index].key == key { return index }
      return nil
    }
    if positions.isEmpty { for (index, member) in members.enumerated() { positions[member.key] = index } }
    return positions[key]
  }
}
