// IP addresses and address ranges as values.

/// An IPv4 or IPv6 address. IPv4 in IPv6 (`::ffff:10.0.0.1`) is IPv4, as Go has it.
public struct IPAddress: Sendable, Hashable, Comparable, CustomStringConvertible {
  public enum Family: Sendable, Hashable {
    case v4, v6
    public var bits: Int { self == .v4 ? 32 : 128 }
    /// "IPv4", "IPv6": `ipFamilies`, `addressType`.
    public var name: String { self == .v4 ? "IPv4" : "IPv6" }
  }
  public let family: Family
  /// The address as a number; only the low 32 bits are used for IPv4.
  public let number: UInt128

  public init(family: Family, number: UInt128) {
    precondition(family == .v6 || number <= UInt128(UInt32.max), "an IPv4 address has 32 bits")
    self.family = family
    self.number = number
  }

  /// Parses an address; leading zeros in IPv4 octets are allowed, zones are not.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    // The longest text: eight groups of four and seven colons, or an IPv4 tail.
    guard bytes.count <= 64 else { return nil }
    if !bytes.contains(0x3a) {
      guard let number = Self.v4(bytes[...]) else { return nil }
      self.init(family: .v4, number: UInt128(number))
      return
    }
    guard let number = Self.v6(bytes) else { return nil }
    if number >> 32 == 0xffff {
      self.init(family: .v4, number: number & 0xffff_ffff)
    } else {
      self.init(family: .v6, number: number)
    }
  }

  private static func v4(_ text: ArraySlice<UInt8>) -> UInt32? {
    let parts = text.split(separator: 0x2e, omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var number: UInt32 = 0
    for part in parts {
      guard !part.isEmpty, part.count <= 10, part.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
      let octet = part.reduce(into: 0) { $0 = $0 * 10 + Int($1 - 48) }
      guard octet <= 255 else { return nil }
      number = number << 8 | UInt32(octet)
    }
    return number
  }

  private static func v6(_ bytes: [UInt8]) -> UInt128? {
    var groups: [UInt16] = []
    var gap: Int?
    var rest = bytes[...]
    if rest.starts(with: [0x3a, 0x3a]) {
      gap = 0
      rest = rest.dropFirst(2)
    }
    while !rest.isEmpty {
      guard groups.count < 8 else { return nil }
      let end = rest.firstIndex(of: 0x3a) ?? rest.endIndex
      let part = rest[..<end]
      if part.contains(0x2e) {
        guard end == rest.endIndex, groups.count <= 6, let tail = v4(part) else { return nil }
        groups += [UInt16(tail >> 16), UInt16(tail & 0xffff)]
        break
      }
      guard (1...4).contains(part.count), let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16),
        part.first != UInt8(ascii: "+"), part.first != UInt8(ascii: "-")
      else { return nil }
      groups.append(group)
      rest = rest[end...]
      guard !rest.isEmpty else { break }
      rest = rest.dropFirst()
      guard let next = rest.first else { return nil }
      if next == 0x3a {
        guard gap == nil else { return nil }
        gap = groups.count
        rest = rest.dropFirst()
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    return groups.reduce(0) { $0 << 16 | UInt128($1) }
  }

  public static func < (left: Self, right: Self) -> Bool {
    left.family == right.family ? left.number < right.number : left.family == .v4
  }

  public var isLoopback: Bool { family == .v4 ? number >> 24 == 127 : number == 1 }
  public var isUnspecified: Bool { number == 0 }
  public var isLinkLocal: Bool { family == .v4 ? number >> 16 == 0xa9fe : number >> 118 == 0x3fa }
  public var isMulticast: Bool { family == .v4 ? number >> 28 == 0xe : number >> 120 == 0xff }
  public var isLinkLocalMulticast: Bool {
    family == .v4 ? number >> 8 == 0xe00000 : number >> 112 & 0xff0f == 0xff02
  }

  /// The canonical text (RFC 5952).
  public var description: String {
    if family == .v4 {
      return [24, 16, 8, 0].map { String(number >> UInt128($0) & 255) }.joined(separator: ".")
    }
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: number >> UInt128((7 - $0) * 16)) }
    // The first of the longest runs of two zero groups or more is written "::".
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start > max(best.count, 1) { best = start..<end }
      start = max(end, start + 1)
    }
    func joined(_ part: ArraySlice<UInt16>) -> String {
      part.map { String($0, radix: 16) }.joined(separator: ":")
    }
    guard !best.isEmpty else { return joined(groups[...]) }
    return joined(groups[..<best.lowerBound]) + "::" + joined(groups[best.upperBound...])
  }
}

/// A range of addresses: "10.0.0.0/24".
public struct CIDR: Sendable, Hashable, CustomStringConvertible {
  /// The address as it was written; may have bits beyond the prefix.
  public let address: IPAddress
  public let prefixLength: Int

  public init(address: IPAddress, prefixLength: Int) {
    precondition((0...address.family.bits).contains(prefixLength), "prefix length out of range")
    self.address = address
    self.prefixLength = prefixLength
  }

  public init?(_ text: String) {
    guard let slash = text.firstIndex(of: "/"), let address = IPAddress(String(text[..<slash])) else { return nil }
    let digits = text[text.index(after: slash)...]
    guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
      var length = Int(digits)
    else { return nil }
    // The prefix of an IPv4-mapped text counts from the front of its 128 bits.
    if text[..<slash].contains(":"), address.family == .v4 { length -= 96 }
    guard (0...address.family.bits).contains(length) else { return nil }
    self.init(address: address, prefixLength: length)
  }

  private var hostBits: Int { address.family.bits - prefixLength }
  private var hostMask: UInt128 { hostBits == 128 ? .max : (UInt128(1) << UInt128(hostBits)) - 1 }

  /// The first address.
  public var network: IPAddress { IPAddress(family: address.family, number: address.number & ~hostMask) }
  /// The last address.
  public var last: IPAddress { IPAddress(family: address.family, number: address.number | hostMask) }
  /// Number of addresses, at most 2^64-1.
  public var count: UInt64 { hostBits >= 64 ? .max : 1 << UInt64(hostBits) }

  /// Whether some address lies in both.
  public func overlaps(_ other: CIDR) -> Bool { contains(other.network) || other.contains(network) }

  public func contains(_ other: IPAddress) -> Bool {
    other.family == address.family && other.number & ~hostMask == network.number
  }
  /// The address at an offset from the first; nil beyond the range.
  public func address(at offset: UInt64) -> IPAddress? {
    UInt128(offset) <= hostMask
      ? IPAddress(family: address.family, number: network.number + UInt128(offset)) : nil
  }
  /// The canonical text of the range, bits beyond the prefix cleared.
  public var description: String { "\(network)/\(prefixLength)" }
}
