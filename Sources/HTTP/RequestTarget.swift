// The target of a request as its parts: decoded path segments and query items, and back to bytes on the wire.

/// A request target, "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb", taken apart (RFC 3986 §3.3, §3.4).
public struct RequestTarget: Sendable, Hashable {
  /// Percent-decoded segments of the path; "/a/b" is ["a", "b"], "/" is [], a trailing slash adds an empty segment.
  public var segments: [String]
  /// Percent-decoded query items in order; an item without "=" has an empty value. "+" means a space.
  public var query: [(name: String, value: String)]

  public init(segments: [String], query: [(name: String, value: String)] = []) {
    self.segments = segments
    self.query = query
  }

  /// Takes a target apart; nil when it is not a path or an escape is not two hexadecimal digits of valid UTF-8.
  public init?(parsing target: String) {
    var target = target
    guard let parts = target.withUTF8({ Self.parts(of: $0) }) else { return nil }
    self = parts
  }

  private static func parts(of bytes: UnsafeBufferPointer<UInt8>) -> RequestTarget? {
    guard bytes.first == UInt8(ascii: "/") else { return nil }
    let mark = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.count
    var parts = RequestTarget(segments: [])
    if mark > 1 {
      // As many as the path of a namespaced object has.
      parts.segments.reserveCapacity(8)
      var rest = bytes[1..<mark]
      while true {
        let end = rest.firstIndex(of: UInt8(ascii: "/")) ?? mark
        guard let text = decode(rest[..<end], plusIsSpace: false) else { return nil }
        parts.segments.append(text)
        if end == mark { break }
        rest = rest[(end + 1)...]
      }
    }
    guard mark < bytes.count else { return parts }
    for item in bytes[(mark + 1)...].split(separator: UInt8(ascii: "&")) {
      let equals = item.firstIndex(of: UInt8(ascii: "=")) ?? item.endIndex
      guard let name = decode(item[..<equals], plusIsSpace: true),
        let value = decode(item[equals...].dropFirst(), plusIsSpace: true)
      else { return nil }
      parts.query.append((name, value))
    }
    return parts
  }

  /// The first value of a query item.
  public subscript(query name: String) -> String? { query.first { $0.name == name }?.value }

  /// Every value of a repeated query item, in order.
  public func values(_ name: String) -> [String] { query.compactMap { $0.name == name ? $0.value : nil } }

  /// The path alone, percent-encoded.
  public var path: String {
    segments.isEmpty ? "/" : segments.reduce(into: "") { $0 += "/" + Self.encode($1, isPath: true) }
  }

  /// The target as it goes into a request line.
  public var encoded: String {
    guard !query.isEmpty else { return path }
    return path + "?"
      + query.map { Self.encode($0.name, isPath: false) + "=" + Self.encode($0.value, isPath: false) }
      .joined(separator: "&")
  }

  public static func == (left: Self, right: Self) -> Bool {
    left.segments == right.segments && left.query.elementsEqual(right.query, by: ==)
  }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(segments)
    for (name, value) in query {
      hasher.combine(name)
      hasher.combine(value)
    }
  }

  /// `bytes`: a part of a string, cut at ASCII characters.
  private static func decode(_ bytes: Slice<UnsafeBufferPointer<UInt8>>, plusIsSpace: Bool) -> String? {
    // Most parts hold nothing to decode.
    guard bytes.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else {
      return String(decoding: UnsafeBufferPointer(rebasing: bytes), as: UTF8.self)
    }
    var decoded: [UInt8] = []
    decoded.reserveCapacity(bytes.count)
    var rest = bytes
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(hexadecimalDigit), let low = rest.popFirst().flatMap(hexadecimalDigit)
        else { return nil }
        decoded.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsSpace: decoded.append(32)
      default: decoded.append(byte)
      }
    }
    return String(validating: decoded, as: UTF8.self)
  }

  private static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
    switch lowercased(byte) {
    case 48...57: byte - 48
    case 97...102: lowercased(byte) - 87
    default: nil
    }
  }

  private static func encode(_ text: String, isPath: Bool) -> String {
    func isPlain(_ byte: UInt8) -> Bool {
      switch byte {
      case 48...57, 65...90, 97...122: true
      case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
      // Allowed in both parts and common in Kubernetes ("system:node", "pods/log" apart).
      case UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: ","), UInt8(ascii: "!"), UInt8(ascii: "*"): true
      case UInt8(ascii: "="), UInt8(ascii: "$"): isPath
      case UInt8(ascii: "/"): !isPath
      default: false
      }
    }
    if text.utf8.allSatisfy(isPlain) { return text }
    let digits: StaticString = "0123456789ABCDEF"
    var encoded: [UInt8] = []
    for byte in text.utf8 {
      if isPlain(byte) {
        encoded.append(byte)
      } else {
        encoded += [UInt8(ascii: "%"), digits.utf8Start[Int(byte >> 4)], digits.utf8Start[Int(byte & 15)]]
      }
    }
    return String(decoding: encoded, as: UTF8.self)
  }
}
