// Who set which field of an object is half of its bytes, often, and nothing that a loop looks at.

enum ManagedFields {
  private static let key = Array(#""managedFields":["#.utf8)

  /// Cuts `"managedFields":[…]` out of JSON without blanks between its tokens, where it has that member; a first one is
  /// enough: an object has it once, in its metadata. JSON with blanks stays as it is.
  static func cut(from json: inout [UInt8]) {
    guard let range = json.withUnsafeBufferPointer({ range(in: $0) }) else { return }
    json.removeSubrange(range)
  }

  /// With one of the commas around it.
  private static func range(in json: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
    guard let start = start(in: json), let end = end(of: start + key.count, in: json) else { return nil }
    if json[start - 1] == UInt8(ascii: ",") { return start - 1..<end }
    return start..<(end < json.count && json[end] == UInt8(ascii: ",") ? end + 1 : end)
  }

  /// A quote within a string has a backslash before it, so that what begins a member cannot be part of a value.
  private static func start(in json: UnsafeBufferPointer<UInt8>) -> Int? {
    var place = 1
    while place + key.count <= json.count {
      if json[place] == key[0], json[place + 1] == key[1],
        json[place - 1] == UInt8(ascii: ",") || json[place - 1] == UInt8(ascii: "{"),
        key.indices.allSatisfy({ json[place + $0] == key[$0] })
      {
        return place
      }
      place += 1
    }
    return nil
  }

  /// Behind the bracket that closes the one before `place`; nil when there is none.
  private static func end(of place: Int, in json: UnsafeBufferPointer<UInt8>) -> Int? {
    var depth = 1
    var isInString = false
    var place = place
    while place < json.count {
      switch json[place] {
      case UInt8(ascii: "\\") where isInString: place += 1
      case UInt8(ascii: "\""): isInString.toggle()
      case UInt8(ascii: "[") where !isInString: depth += 1
      case UInt8(ascii: "]") where !isInString:
        depth -= 1
        if depth == 0 { return place + 1 }
      default: break
      }
      place += 1
    }
    return nil
  }
}
