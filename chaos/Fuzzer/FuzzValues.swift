// Values that something once stumbled over, and values that a schema allows.
import JSON
import Schema

enum FuzzValues {
  /// Where numbers, lengths and dates have their ends.
  static let numbers: [JSONValue] = [
    .integer(0), .integer(-1), .integer(1), .integer(127), .integer(65535), .integer(65536), .integer(2_147_483_647),
    .integer(2_147_483_648), .integer(-2_147_483_649), .integer(.max), .integer(.min), .double(0.5), .double(-0.0),
    .double(1e300), .double(1e19), .double(.leastNonzeroMagnitude), .double(9_007_199_254_740_992),
  ]

  static let texts: [String] = [
    "", " ", "a", "A", "-", ".", "..", "/", "a/b", "../../etc", "a..b", "-a", "a-", "a_b", "a b", "é", "\u{0}",
    "\u{7f}",
    "\u{FEFF}x", "\u{202E}x", "👩‍👩‍👧", "e\u{301}", "%2e%2e", "%00", "*", "null", "true", "1", "1e3", "0x10", "~0~1", "{}",
    "\n",
    "\"", "\\", "'", "$(x)", "${x}", "<script>", "kubernetes.io/x", "k8s.io/a/b", "-1", "9223372036854775808", "1Ki",
    "1.5m", "0.000000001n", "1E9999", "-0", "+1", "100%", "25%", "-5%", "999999999%", "IfNotPresent", "TCP", "tcp",
    "2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "1h", "-1h",
    "1ns", "999999h", "127.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "010.1.1.1", "256.1.1.1", "10.0.0.0/33",
    "10.0.0.1/8", "fd00::/8", "0.0.0.0/0", "[::]:80", "a.example.com", "*.example.com", "system:node:n",
    "system:masters", "* * * * *", "@every 1s", "TZ=UTC * * * * *", "60 * * * *", "self.a", "object.x.y == 1",
    "(((((", "^(a+)+$", "[", "{{", "MQ==", "MQ", "!!!!", "AAAA=", "sha256:00", "example.com/image:tag@sha256:1",
  ]

  static func text(_ random: inout FuzzRandom) -> String {
    switch random.below(20) {
    case 0:
      return String(
        repeating: random.pick(["a", "é", "\"", "a.", "/", "-"]), count: random.pick([63, 64, 253, 254, 4096]))
    case 1: return String(repeating: "x", count: 1 << random.below(19))
    case 2: return "fuzz-\(random.below(6))"
    case 3:
      return String(
        String.UnicodeScalarView(
          (0..<random.below(12)).compactMap { _ in Unicode.Scalar(UInt32(random.below(0x3000))) }))
    default: return random.pick(texts)
    }
  }

  /// Anything.
  static func junk(_ random: inout FuzzRandom, depth: Int = 0) -> JSONValue {
    switch random.below(depth > 2 ? 5 : 8) {
    case 0: return .null
    case 1: return .bool(random.percent(50))
    case 2: return random.pick(numbers)
    case 3, 4: return .string(text(&random))
    case 5: return .array((0..<random.below(4)).map { _ in junk(&random, depth: depth + 1) })
    case 6: return .array([.null])
    default:
      var object = JSONObject()
      for _ in 0..<random.below(4) { object[text(&random)] = junk(&random, depth: depth + 1) }
      return .object(object)
    }
  }

  /// A value of a type of the schema, of few levels.
  static func value(of type: FieldType, named name: String, _ random: inout FuzzRandom, depth: Int = 0) -> JSONValue {
    switch type {
    case .string: return .string(text(named: name, &random))
    case .bytes: return .string(random.pick(["", "MQ==", "AAECAwQ="]))
    case .boolean: return .bool(random.percent(50))
    case .int32, .int64: return .integer(random.pick([0, 1, 2, 5, 30, 80, 443, 1000, 8080, 65535]))
    case .double: return .double(0.25)
    case .quantity: return .string(random.pick(["0", "1", "100m", "1Gi", "2k", "0.5", "1e3", "15Ei"]))
    case .intOrString:
      return random.percent(50) ? .integer(Int64(random.below(200))) : .string(random.pick(["web", "25%"]))
    case .time: return .string("2026-01-01T00:00:00Z")
    case .microTime: return .string("2026-01-01T00:00:00.123456Z")
    case .duration: return .string(random.pick(["0s", "1m30s", "5m0s"]))
    case .rawObject: return ["a": 1]
    case .anyValue: return junk(&random, depth: 2)
    case .union: return random.percent(50) ? .bool(random.percent(50)) : junk(&random, depth: 1)
    case .structure(let structure): return object(of: structure, &random, depth: depth + 1)
    case .array(let element):
      return .array((0..<(1 + random.below(2))).map { _ in value(of: element, named: name, &random, depth: depth) })
    case .map(let element):
      var map = JSONObject()
      for _ in 0...random.below(2) {
        map[text(named: "key", &random)] = value(of: element, named: name, &random, depth: depth)
      }
      return .object(map)
    }
  }

  /// An object of some of its members; the deeper, the fewer.
  static func object(of structure: Structure, _ random: inout FuzzRandom, depth: Int = 0) -> JSONValue {
    var object = JSONObject()
    let chance = depth == 0 ? 60 : depth == 1 ? 35 : 12
    guard depth < 7 else { return .object(object) }
    for member in structure.members where member.isRequired || random.percent(chance) {
      object[member.name] =
        member.enumeration.isEmpty || random.percent(5)
        ? value(of: member.type, named: member.name, &random, depth: depth) : .string(random.pick(member.enumeration))
    }
    return .object(object)
  }

  /// Texts that a member of that name is likely to take.
  private static func text(named name: String, _ random: inout FuzzRandom) -> String {
    if random.percent(8) { return text(&random) }
    let lower = name.lowercased()
    if lower.hasSuffix("ip") || lower.hasSuffix("ips") || lower.contains("address") {
      return random.pick(["10.1.2.3", "fd00::1", "10.96.0.77"])
    }
    if lower.contains("cidr") { return random.pick(["10.244.3.0/24", "fd00:1::/64"]) }
    if lower.contains("path") { return random.pick(["/a", "/var/lib", "metadata.name", "a/b"]) }
    if lower.contains("image") { return "example.com/a:1" }
    if lower.contains("host") || lower.contains("domain") { return "a.example.com" }
    if lower.contains("operator") { return random.pick(["In", "Exists", "Equal"]) }
    if lower == "apiversion" || lower == "apigroup" { return random.pick(["v1", "apps/v1", "apps"]) }
    if lower == "kind" { return random.pick(["Pod", "Deployment", "Node"]) }
    if lower.contains("expression") || lower == "rule" {
      return random.pick(["true", "object.metadata.name == 'a'", "self.a > 0"])
    }
    if lower.contains("key") { return random.pick(["app", "example.com/a", "a"]) }
    return random.pick(["a", "b", "web", "fuzz-1", "default"])
  }
}
