import JSON
import SeedSupport
import Testing

@Suite("A document becomes a tree")
struct ParserTests {
  @Test("values of every type are read")
  func values() throws {
    #expect(try JSONValue(parsing: "null") == .null)
    #expect(try JSONValue(parsing: " true ") == .bool(true))
    #expect(try JSONValue(parsing: "false") == .bool(false))
    #expect(try JSONValue(parsing: "-0") == .integer(0))
    #expect(try JSONValue(parsing: "9223372036854775807") == .integer(.max))
    #expect(try JSONValue(parsing: "-9223372036854775808") == .integer(.min))
    #expect(try JSONValue(parsing: "9223372036854775808") == .double(9223372036854775808))
    #expect(try JSONValue(parsing: "1.5e3") == .double(1500))
    #expect(try JSONValue(parsing: #""a\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00""#) == .string("a\"\\/\u{8}\u{c}\n\r\tAé😀"))
    #expect(try JSONValue(parsing: #""\ud800x""#) == .string("\u{FFFD}x"))
    #expect(try JSONValue(parsing: "[]") == [])
    #expect(try JSONValue(parsing: "{}") == [:])
    #expect(try JSONValue(parsing: #"{"a":[1,{"b":null}], "c" : "d"}"#) == ["a": [1, ["b": nil]], "c": "d"])
    #expect(try JSONValue(parsing: "\"0123456789abcdef\\n0123456789\"") == .string("0123456789abcdef\n0123456789"))
  }

  @Test(
    "what is no JSON is refused in the reference's words",
    arguments: [
      ("", "unexpected end of JSON input"),
      ("{", "unexpected end of JSON input"),
      ("[1", "unexpected end of JSON input"),
      ("\"abc", "unexpected end of JSON input"),
      ("x", "invalid character 'x' looking for beginning of value"),
      ("'a'", #"invalid character '\'' looking for beginning of value"#),
      ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
      ("{\"a\" 1}", "invalid character '1' after object key"),
      ("{\"a\":1 \"b\":2}", "invalid character '\"' after object key:value pair"),
      ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
      ("[1,]", "invalid character ']' looking for beginning of value"),
      ("[1 2]", "invalid character '2' after array element"),
      ("\"a\u{1}\"", #"invalid character '\x01' in string literal"#),
      (#""\x""#, "invalid character 'x' in string escape code"),
      (#""\u12g4""#, #"invalid character 'g' in \u hexadecimal character escape"#),
      ("tru]", "invalid character ']' in literal true (expecting 'e')"),
      ("01", "invalid character '1' after top-level value"),
      ("-x", "invalid character 'x' in numeric literal"),
      ("1.x", "invalid character 'x' after decimal point in numeric literal"),
      ("1ex", "invalid character 'x' in exponent of numeric literal"),
      ("1 2", "invalid character '2' after top-level value"),
      ("1e999", "json: cannot unmarshal number 1e999 into Go value of type float64"),
    ])
  func refusals(text: String, message: String) {
    #expect(throws: JSONParseError.self) { try JSONValue(parsing: text) }
    do { _ = try JSONValue(parsing: text) } catch { #expect(error.message == message) }
  }

  @Test(
    "bytes in strings that are no UTF-8 are replaced, one by one",
    arguments: [
      ([0xff], "\u{FFFD}"), ([0x5c, 0x6e, 0xc3], "\n\u{FFFD}"), ([0xe2, 0x82], "\u{FFFD}\u{FFFD}"),
      // An overlong slash, half a surrogate pair, and what lies beyond the last scalar.
      ([0xc0, 0xaf], "\u{FFFD}\u{FFFD}"), ([0xed, 0xa0, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"),
      ([0xf4, 0x90, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"), ([0xe2, 0x82, 0xac, 0x80], "€\u{FFFD}"),
      ([0x61, 0xf0, 0x9f, 0x98, 0x80, 0xfe, 0x62], "a😀\u{FFFD}b"), ([0xf0, 0x9f, 0x98], "\u{FFFD}\u{FFFD}\u{FFFD}"),
    ] as [([UInt8], String)])
  func invalidUTF8(bytes: [UInt8], text: String) throws {
    #expect(try JSONValue(parsing: [0x22] + bytes + [0x22]) == .string(text))
    let tape = try JSONTape(parsing: [0x5b, 0x22] + bytes + [0x22, 0x5d])
    #expect(tape.root.value == [.string(text)])
  }

  @Test("bytes beside strings that are no UTF-8 are refused")
  func invalidUTF8BesideStrings() {
    #expect(throws: JSONParseError.self) { try JSONValue(parsing: [0xff]) }
    #expect(throws: JSONParseError.self) { try JSONValue(parsing: [0x22, 0x5c, 0xe5, 0x22]) }
  }

  @Test("nesting has a limit")
  func depth() throws {
    let deep = JSONLimits.depthMaximum
    _ = try JSONValue(parsing: String(repeating: "[", count: deep) + String(repeating: "]", count: deep))
    #expect(throws: JSONParseError.self) { try JSONValue(parsing: String(repeating: "[", count: deep + 1)) }
    #expect(throws: JSONParseError.self) { try JSONValue(parsing: String(repeating: "{\"a\":", count: 100_000)) }
  }

  @Test("of duplicate members the last wins, and each is reported once by its path")
  func duplicates() throws {
    var found: [String] = []
    let text = #"{"a":1,"spec":{"x":1,"x":2,"x":3,"list":[{},{"n":1,"n":2}]},"a":2}"#
    let value = try JSONParser.parse(Array(text.utf8), reportingDuplicates: &found)
    #expect(value == ["a": 2, "spec": ["x": 3, "list": [[:], ["n": 2]]]])
    #expect(found == ["spec.x", "spec.list[1].n", "a"])
  }

  @Test("what is said of duplicates is bounded, however long their paths are")
  func duplicatesBelowALongKey() throws {
    let key = String(repeating: "k", count: 1_000_000)
    let members = (0..<100).map { "\"a\($0)\":1,\"a\($0)\":2" }.joined(separator: ",")
    var found: [String] = []
    _ = try JSONParser.parse(Array("{\"\(key)\":{\(members)}}".utf8), reportingDuplicates: &found)
    #expect(!found.isEmpty && found.reduce(0) { $0 + $1.utf8.count } < 3_000_000)
  }

  @Test("objects of many members stay linear and keep the last of duplicates")
  func manyMembers() throws {
    let members = (0..<60_000).map { "\"key\($0)\":\($0)" }
    let value = try JSONValue(parsing: "{" + (members + ["\"key7\":\"seven\""]).joined(separator: ",") + "}")
    #expect(value.object?.count == 60_000)
    #expect(value.object?.members[7].value == "seven")
    #expect(value.object?.members[59_999].value == 59_999)
  }

  @Test("random bytes and damaged documents never crash the parser, and what it accepts it reads again alike")
  func fuzz() throws {
    var random = SeededRandom(seed: 42)
    let seed = Array(#"{"kind":"Pod","spec":{"a":[1,-2.5e3,true,null,"x\u00e9\n"],"b":{"c":"déf"}},"z":""}"#.utf8)
    for _ in 0..<20_000 {
      var bytes = seed
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: at)
        default: bytes.insert("{}[]\",:\\0-.e".utf8.randomElement(using: &random)!, at: at)
        }
      }
      guard let value = try? JSONValue(parsing: bytes) else { continue }
      // Bytes, not trees: 2.5e3 is written as 2500, which is read as an integer.
      let bytesAgain = value.bytes
      #expect(try JSONValue(parsing: bytesAgain).bytes == bytesAgain)
    }
  }
}
