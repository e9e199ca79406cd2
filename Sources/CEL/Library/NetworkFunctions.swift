// Addresses and ranges: ip, cidr and what they can do.
import Schema

struct CELAddress: CELOpaque, Hashable {
  let address: IPAddress

  var typeName: String { "net.IP" }
  var costSize: UInt64 { UInt64(address.family.bits / 8) }
  var text: String? { address.description }
  func equals(_ other: any CELOpaque) -> Bool { (other as? CELAddress) == self }

  /// Stricter than the addresses of objects: no leading zeros, no zones, no IPv4 inside IPv6.
  static func parse(_ text: String) -> Result<CELAddress, CELError> {
    if text.contains("%") {
      return .failure(CELError("IP address \(TextFunctions.quoted(text)) with zone value is not allowed"))
    }
    guard let address = IPAddress(text), text.contains(":") || hasPlainOctets(text) else {
      let why = "ParseAddr(\(TextFunctions.quoted(text))): \(problem(text))"
      return .failure(
        CELError("IP Address \(TextFunctions.quoted(text)) parse error during conversion from string: \(why)"))
    }
    if text.contains(":"), address.family == .v4 {
      return .failure(CELError("IPv4-mapped IPv6 address \(TextFunctions.quoted(text)) is not allowed"))
    }
    return .success(CELAddress(address: address))
  }

  private static func hasPlainOctets(_ text: String) -> Bool {
    text.split(separator: ".").allSatisfy { $0.utf8.count == 1 || $0.utf8.first != 0x30 }
  }

  /// Why a text is no address, in the words of Go's parser.
  private static func problem(_ text: String) -> String {
    guard !text.contains(":"), text.contains(".") else { return "unable to parse IP" }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    for part in parts {
      guard part.utf8.allSatisfy({ (48...57).contains($0) }) else { return "unexpected character" }
      if part.isEmpty { return "IPv4 field must have at least one digit" }
      if part.utf8.count > 1, part.utf8.first == 0x30 { return "IPv4 field has octet with leading zero" }
      if (Int(part) ?? 256) > 255 { return "IPv4 field has value >255" }
    }
    return parts.count < 4 ? "IPv4 address too short" : "IPv4 address too long"
  }
}

struct CELAddressRange: CELOpaque, Hashable {
  let range: CIDR

  var typeName: String { "net.CIDR" }
  var costSize: UInt64 { UInt64(range.address.family.bits / 8) }
  var text: String? { "\(range.address)/\(range.prefixLength)" }
  func equals(_ other: any CELOpaque) -> Bool { (other as? CELAddressRange) == self }

  static func parse(_ text: String) -> Result<CELAddressRange, CELError> {
    let quoted = TextFunctions.quoted(text)
    guard text.contains("/") else {
      return .failure(
        CELError("network address parse error during conversion from string: netip.ParsePrefix(\(quoted)): no '/'"))
    }
    guard let range = CIDR(text), case .success = CELAddress.parse(String(text.prefix { $0 != "/" })),
      !text.hasSuffix("/00"), text.split(separator: "/").last.map({ $0 == "0" || !$0.hasPrefix("0") }) ?? false
    else {
      return .failure(
        CELError(
          "network address parse error during conversion from string: netip.ParsePrefix(\(quoted)): "
            + "prefix length out of range"))
    }
    return .success(CELAddressRange(range: range))
  }

  func contains(_ other: CELAddressRange) -> Bool {
    range.contains(other.range.address) && range.prefixLength <= other.range.prefixLength
  }
}

enum NetworkFunctions {
  private static let ip = CELType.named("net.IP")
  private static let cidr = CELType.named("net.CIDR")

  static let all: [CELFunction] = [
    CELFunction("isIP", [CELOverload("is_ip", [.string], .bool)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("isIP", arguments) }
      return .bool((try? CELAddress.parse(text).get()) != nil)
    },
    CELFunction("ip", [CELOverload("string_to_ip", [.string], ip), .member("cidr_ip", [cidr], ip)]) {
      arguments throws(CELError) in
      if let range = try? range(arguments, "ip") { return .opaque(CELAddress(address: range.range.address)) }
      return .opaque(try address(arguments[0], "ip", arguments))
    },
    CELFunction("ip.isCanonical", [CELOverload("ip_is_canonical", [.string], .bool)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("ip.isCanonical", arguments) }
      return .bool(try CELAddress.parse(text).get().address.description == text)
    },
    property("family", "ip_family", .int) { .int($0.family == .v4 ? 4 : 6) },
    property("isUnspecified", "ip_is_unspecified", .bool) { .bool($0.isUnspecified) },
    property("isLoopback", "ip_is_loopback", .bool) { .bool($0.isLoopback) },
    property("isLinkLocalMulticast", "ip_is_link_local_multicast", .bool) { .bool($0.isLinkLocalMulticast) },
    property("isLinkLocalUnicast", "ip_is_link_local_unicast", .bool) { .bool($0.isLinkLocal) },
    property("isGlobalUnicast", "ip_is_global_unicast", .bool) { address in
      let isBroadcast = address.family == .v4 && address.number == UInt128(UInt32.max)
      return .bool(
        !(address.isUnspecified || address.isLoopback || address.isMulticast || address.isLinkLocal || isBroadcast))
    },
    CELFunction("isCIDR", [CELOverload("is_cidr", [.string], .bool)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("isCIDR", arguments) }
      return .bool((try? CELAddressRange.parse(text).get()) != nil)
    },
    CELFunction("cidr", [CELOverload("string_to_cidr", [.string], cidr)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("cidr", arguments) }
      return .opaque(try CELAddressRange.parse(text).get())
    },
    CELFunction(
      "containsIP",
      [
        .member("cidr_contains_ip_string", [cidr, .string], .bool), .member("cidr_contains_ip_ip", [cidr, ip], .bool),
      ]
    ) { arguments throws(CELError) in
      let range = try range(arguments, "containsIP")
      return .bool(range.range.contains(try address(arguments[1], "containsIP", arguments).address))
    },
    CELFunction(
      "containsCIDR",
      [
        .member("cidr_contains_cidr_string", [cidr, .string], .bool),
        .member("cidr_contains_cidr", [cidr, cidr], .bool),
      ]
    ) { arguments throws(CELError) in
      let range = try range(arguments, "containsCIDR")
      if let text = arguments[1].text { return .bool(range.contains(try CELAddressRange.parse(text).get())) }
      guard case .opaque(let value) = arguments[1], let other = value as? CELAddressRange else {
        throw .noSuchOverload("containsCIDR", arguments)
      }
      return .bool(range.contains(other))
    },
    CELFunction("prefixLength", [.member("cidr_prefix_length", [cidr], .int)]) { arguments throws(CELError) in
      .count(try range(arguments, "prefixLength").range.prefixLength)
    },
    CELFunction("masked", [.member("cidr_masked", [cidr], cidr)]) { arguments throws(CELError) in
      let range = try range(arguments, "masked").range
      return .opaque(CELAddressRange(range: CIDR(address: range.network, prefixLength: range.prefixLength)))
    },
  ]

  private static func property(
    _ name: String, _ id: String, _ type: CELType, _ value: @escaping @Sendable (IPAddress) -> CELValue
  ) -> CELFunction {
    CELFunction(name, [.member(id, [ip], type)]) { arguments throws(CELError) in
      guard case .opaque(let opaque) = arguments[0], let address = opaque as? CELAddress else {
        throw .noSuchOverload(name, arguments)
      }
      return value(address.address)
    }
  }

  private static func range(_ arguments: [CELValue], _ name: String) throws(CELError) -> CELAddressRange {
    guard case .opaque(let value) = arguments[0], let range = value as? CELAddressRange else {
      throw .noSuchOverload(name, arguments)
    }
    return range
  }

  /// An address, or the text of one.
  private static func address(
    _ value: CELValue, _ name: String, _ arguments: [CELValue]
  ) throws(CELError) -> CELAddress {
    if let text = value.text { return try CELAddress.parse(text).get() }
    guard case .opaque(let opaque) = value, let address = opaque as? CELAddress else {
      throw .noSuchOverload(name, arguments)
    }
    return address
  }
}
