// IP addresses as services, endpoints and policies write them.

/// An IPv4 or IPv6 address.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
  /// 4 or 16 bytes.
  public let bytes: [UInt8]
  public var isIPv6: Bool { bytes.count == 16 }

  public init(bytes: [UInt8]) {
    precondition(bytes.count == 4 || bytes.count == 16, "an address has 4 or 16 bytes")
    self.bytes = bytes
  }

  /// Parses an address; nil if the text is anything else. No zones, no leading zeros.
  public init?(_ text: String) {
    if text.utf8.contains(UInt8(ascii: ":")) {
      guard let bytes = Self.parseIPv6(text) else { return nil }
      self.bytes = bytes
    } else {
      guard let bytes = Self.parseIPv4(Substring(text)) else { return nil }
      self.bytes = bytes
    }
  }

  private static func parseIPv4(_ text: Substring) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bytes: [UInt8] = []
    for part in parts {
      guard part.count <= 3, part.allSatisfy({ $0.isASCII && $0.isNumber }), part.count == 1 || part.first != "0",
        let byte = UInt8(part)
      else { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  private static func parseIPv6(_ text: String) -> [UInt8]? {
    var head: [UInt8] = []
    var tail: [UInt8] = []
    var hasGap = false
    var rest = Substring(text)
    if rest.hasPrefix("::") {
      hasGap = true
      rest = rest.dropFirst(2)
    } else if rest.hasPrefix(":") {
      return nil
    }
    while !rest.isEmpty {
      let part = rest.prefix { $0 != ":" }
      rest = rest[part.endIndex...]
      if part.contains(".") {
        guard rest.isEmpty, let bytes = parseIPv4(part) else { return nil }
        if hasGap { tail += bytes } else { head += bytes }
        break
      }
      guard (1...4).contains(part.count), let group = UInt16(part, radix: 16) else { return nil }
      let bytes = [UInt8(group >> 8), UInt8(group & 0xff)]
      if hasGap { tail += bytes } else { head += bytes }
      if rest.hasPrefix("::") {
        guard !hasGap else { return nil }
        hasGap = true
        rest = rest.dropFirst(2)
      } else if rest.hasPrefix(":") {
        rest = rest.dropFirst()
        if rest.isEmpty { return nil }
      }
    }
    let count = head.count + tail.count
    guard hasGap ? count <= 14 : count == 16 else { return nil }
    return head + [UInt8](repeating: 0, count: 16 - count) + tail
  }

  public var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
  public var isLoopback: Bool {
    isIPv6 ? bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1 : bytes[0] == 127
  }
  public var isLinkLocalUnicast: Bool {
    isIPv6 ? bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80 : bytes[0] == 169 && bytes[1] == 254
  }
  public var isLinkLocalMulticast: Bool {
    isIPv6 ? bytes[0] == 0xff && bytes[1] & 0x0f == 2 : bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0
  }

  public var description: String {
    guard isIPv6 else { return bytes.map(String.init).joined(separator: ".") }
    let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
    // The longest run of at least two zero groups becomes "::".
    var best = 0..<0
    var start = 0
    for index in 0...8 where index == 8 || groups[index] != 0 {
      if index - start > max(best.count, 1) { best = start..<index }
      start = index + 1
    }
    let texts = groups.map { String($0, radix: 16) }
    guard !best.isEmpty else { return texts.joined(separator: ":") }
    return texts[..<best.lowerBound].joined(separator: ":") + "::"
      + texts[best.upperBound...].joined(separator: ":")
  }
}
