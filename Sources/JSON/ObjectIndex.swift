// Many lookups in one object.

/// Finds the members of an object one after the other, as its own subscript does; but many lookups in a large object cost
/// as much as its members, not as much as each other.
public struct JSONObjectIndex {
  /// Scans of the whole object before an index pays.
  private static let scansMaximum = 8
  private static let scannedMaximum = 24

  private let members: [JSONObject.Member]
  /// Whoever walks another version of the object asks for the members in their order.
  private var next = 0
  private var scans = 0
  private var positions: [String: Int] = [:]

  public init(_ object: JSONObject) { members = object.members }

  public subscript(key: String) -> JSONValue? {
    mutating get { position(of: key).map { members[$0].value } }
  }

  public mutating func position(of key: String) -> Int? {
    if next < members.count, members[next].key == key {
      next += 1
      return next - 1
    }
    guard let position = search(key) else { return nil }
    next = position + 1
    return position
  }

  private mutating func search(_ key: String) -> Int? {
    if members.count <= Self.scannedMaximum || scans < Self.scansMaximum {
      scans += 1
      for index in members.indices where members[index].key == key { return index }
      return nil
    }
    if positions.isEmpty {
      positions.reserveCapacity(members.count)
      for (index, member) in members.enumerated() { positions[member.key] = index }
    }
    return positions[key]
  }
}
