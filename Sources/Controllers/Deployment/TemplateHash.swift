import JSON

/// The short name of a pod template: part of a ReplicaSet's name and its pods' label.
enum TemplateHash {
  /// Without vowels, and without digits that read like them: no hash is a word.
  private static let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)

  /// 32-bit FNV-1a over the template with its keys sorted, so that the order of members does not matter; the collision
  /// count makes another name when one is taken.
  static func hash(_ template: JSONValue, collisionCount: Int64?) -> String {
    var hash: UInt32 = 2_166_136_261
    for byte in template.sortedByKey.bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    if let collisionCount {
      for byte in String(collisionCount).utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    }
    let digits = String(hash).utf8.map { alphabet[Int($0) % alphabet.count] }
    return String(decoding: digits, as: UTF8.self)
  }
}

extension JSONValue {
  /// With the members of every object in the order of their names.
  var sortedByKey: JSONValue {
    switch self {
    case .object(let object):
      var sorted = JSONObject(uniqueMembers: object.members.map { ($0.key, $0.value.sortedByKey) })
      sorted.sortKeys()
      return .object(sorted)
    case .array(let elements): return .array(elements.map(\.sortedByKey))
    default: return self
    }
  }
}
