// Changes of bytes: what no encoder writes.
enum ByteMutation {
  private static let meaningful: [[UInt8]] =
    [
      "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "null", "true", "-", "0", "1e999", "- ", "&a ", "*a",
      "<<: *a", "!!binary ",
      "---\n", "...\n", "\t", "\r\n", "#", "|", ">", "? ", "\u{FEFF}", "k8s\0", "\0",
    ].map { Array($0.utf8) } + [
      [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0x80], [0xff, 0xff, 0xff, 0xff, 0x7f],
      [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
    ]

  static func mutate(_ bytes: inout [UInt8], _ random: inout FuzzRandom) -> String {
    var told: [String] = []
    for _ in 0..<random.pick([1, 1, 2, 4]) { told.append(mutateOnce(&bytes, &random)) }
    return told.joined(separator: ", ")
  }

  private static func mutateOnce(_ bytes: inout [UInt8], _ random: inout FuzzRandom) -> String {
    let at = random.below(bytes.count + 1)
    switch random.below(9) {
    case 0:
      bytes.removeSubrange(at...)
      return "cut at \(at)"
    case 1:
      guard at < bytes.count else { return "untouched" }
      bytes[at] ^= UInt8(1 << random.below(8))
      return "bit of \(at) flipped"
    case 2:
      guard at < bytes.count else { return "untouched" }
      bytes[at] = UInt8(truncatingIfNeeded: random.next())
      return "byte \(at) changed"
    case 3, 4:
      bytes.insert(contentsOf: random.pick(meaningful), at: at)
      return "inserted at \(at)"
    case 5:
      let end = min(bytes.count, at + 1 + random.below(16))
      bytes.removeSubrange(min(at, end)..<end)
      return "removed at \(at)"
    case 6:
      let end = min(bytes.count, at + random.below(64))
      bytes.insert(contentsOf: Array(bytes[min(at, end)..<end]), at: at)
      return "repeated at \(at)"
    case 7: return duplicateMember(&bytes, &random)
    default:
      bytes += random.pick(meaningful)
      return "appended"
    }
  }

  /// Writes a member of some object a second time, as text.
  private static func duplicateMember(_ bytes: inout [UInt8], _ random: inout FuzzRandom) -> String {
    let opens = bytes.indices.filter { bytes[$0] == UInt8(ascii: "{") }
    guard !opens.isEmpty else { return "untouched" }
    let at = random.pick(opens) + 1
    let member = random.pick([
      #""name":"x","#, #""a":1,"a":2,"#, #""metadata":{},"#, #""kind":"Pod","#, #""spec":null,"#,
    ])
    bytes.insert(contentsOf: Array(member.utf8), at: at)
    return "member repeated at \(at)"
  }

  // MARK: Bombs

  /// Bodies that are small, or not too large, and dear to read.
  static func bomb(_ random: inout FuzzRandom) -> (name: String, contentType: String, body: [UInt8]) {
    let head = #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"fuzz-0"},"data":"#
    func json(_ name: String, _ text: String) -> (String, String, [UInt8]) {
      (name, "application/json", Array(text.utf8))
    }
    func yaml(_ name: String, _ text: String) -> (String, String, [UInt8]) {
      (name, "application/yaml", Array(text.utf8))
    }
    let many = 1 << (10 + random.below(8))
    switch random.below(14) {
    case 0: return json("nested lists", head + String(repeating: "[", count: many))
    case 1: return json("nested objects", head + String(repeating: #"{"a":"#, count: many))
    case 2: return json("huge number", head + #"{"a":"# + String(repeating: "9", count: many) + "}}")
    case 3: return json("huge exponent", head + #"{"a":1e"# + String(repeating: "9", count: 40) + "}}")
    case 4: return json("escapes", head + #"{"a":""# + String(repeating: "\\u0041", count: many) + #""}}"#)
    case 5: return json("one key many times", head + "{" + String(repeating: #""a":"1","#, count: many) + #""a":"2"}}"#)
    case 6:
      return json("many keys", head + "{" + (0..<many).map { "\"k\($0)\":\"\"" }.joined(separator: ",") + "}}")
    case 7:
      var text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
      for level in 1...9 {
        text += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",") + "]\n"
      }
      return yaml("aliases", text)
    case 8: return yaml("nested flow", String(repeating: "[", count: many))
    case 9:
      return yaml("nested blocks", (0..<min(many, 2000)).map { String(repeating: " ", count: $0) + "a:\n" }.joined())
    case 10: return yaml("merges", "a: &a {x: 1}\nb:\n" + String(repeating: "  <<: *a\n", count: min(many, 20_000)))
    case 11: return yaml("documents", String(repeating: "---\na: 1\n", count: min(many, 50_000)))
    case 12: return json("white space", String(repeating: " ", count: 3_000_000) + "{}")
    default: return json("too large", head + #"{"a":""# + String(repeating: "x", count: 3_200_000) + #""}}"#)
    }
  }
}
