// The query of a request target, decoded.

/// Path and query parameters of a request target. Names may repeat; order is kept.
struct RequestPath: Sendable {
  /// Percent-encoded, without the query: what 404s and redirects show.
  let path: String
  /// Decoded segments; empty ones are dropped ("/api//v1/" equals "/api/v1").
  let segments: [String]
  let query: Query
  /// The query as it came, without "?".
  let rawQuery: String

  /// nil when an escape is malformed or the target is not in origin form.
  init?(_ target: String) {
    let utf8 = target.utf8
    guard utf8.first == UInt8(ascii: "/") else { return nil }
    let question = utf8.firstIndex(of: UInt8(ascii: "?"))
    path = String(target[..<(question ?? utf8.endIndex)])
    var segments: [String] = []
    for segment in path.utf8.split(separator: UInt8(ascii: "/")) {
      guard let text = Query.decode(segment, plusIsSpace: false) else { return nil }
      segments.append(text)
    }
    self.segments = segments
    rawQuery = question.map { String(target[utf8.index(after: $0)...]) } ?? ""
    guard let query = Query(rawQuery) else { return nil }
    self.query = query
  }
}

struct Query: Sendable {
  private(set) var items: [(name: String, value: String)] = []

  init() {}

  init?(_ text: String) {
    guard !text.isEmpty else { return }
    for part in text.utf8.split(separator: UInt8(ascii: "&")) {
      let equals = part.firstIndex(of: UInt8(ascii: "="))
      guard let name = Self.decode(part[..<(equals ?? part.endIndex)], plusIsSpace: true) else { return nil }
      let rest = equals.map { part[part.index(after: $0)...] } ?? part[part.endIndex...]
      guard let value = Self.decode(rest, plusIsSpace: true) else { return nil }
      items.append((name, value))
    }
  }

  /// The first value of that name.
  subscript(name: String) -> String? { items.first { $0.name == name }?.value }

  func values(_ name: String) -> [String] { items.compactMap { $0.name == name ? $0.value : nil } }

  /// A boolean as the reference reads it: present and neither "false" nor "0" is true; nil when absent.
  func flag(_ name: String) -> Bool? {
    guard let value = self[name] else { return nil }
    return value != "0" && value.lowercased() != "false"
  }

  static func decode(_ bytes: Substring.UTF8View, plusIsSpace: Bool) -> String? {
    guard bytes.contains(where: { $0 == UInt8(ascii: "%") || ($0 == UInt8(ascii: "+") && plusIsSpace) }) else {
      return String(Substring(bytes))
    }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var iterator = bytes.makeIterator()
    while let byte = iterator.next() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = iterator.next().flatMap(hexDigit), let low = iterator.next().flatMap(hexDigit) else {
          return nil
        }
        out.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsSpace: out.append(UInt8(ascii: " "))
      default: out.append(byte)
      }
    }
    return String(validating: out, as: UTF8.self)
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
