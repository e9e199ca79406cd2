import JSON
import Schema
import SeedSupport
import Testing

@Suite("YAML bodies")
struct YAMLTests {
  private func parse(_ text: String) throws(YAMLError) -> JSONValue { try YAML.parse(Array(text.utf8)) }

  @Test(
    "scalars mean what YAML 1.1 has them mean",
    arguments: [
      ("yes", .bool(true)), ("Off", .bool(false)), ("y", .bool(true)), ("~", .null), ("", .null),
      ("0644", .integer(420)),
      ("0x1F", .integer(31)), ("0b101", .integer(5)), ("1_000", .integer(1000)), ("-5", .integer(-5)),
      ("1.5", .double(1.5)), ("1e3", .integer(1000)), (".5", .double(0.5)), ("08", .integer(8)), ("1.0", .integer(1)),
      ("\"yes\"", .string("yes")), ("'5'", .string("5")), ("2024-01-01", .string("2024-01-01")),
      ("100m", .string("100m")),
      ("1Gi", .string("1Gi")), ("12:30", .string("12:30")), ("!!str 5", .string("5")), ("!!int \"5\"", .integer(5)),
      ("- a\n- 1", .array(["a", 1])), ("a: {b: [1, null]}", ["a": ["b": [1, nil]]]),
      ("a: |\n  x\n  y\n", ["a": "x\ny\n"]), ("1: a\ntrue: b", ["1": "a", "true": "b"]),
    ] as [(String, JSONValue)])
  func scalars(text: String, value: JSONValue) throws {
    #expect(try parse(text) == value)
  }

  @Test("anchors, aliases and merges are followed; members of the mapping itself win")
  func anchors() throws {
    let value = try parse("base: &b\n  x: 1\n  z: 2\nitem:\n  <<: *b\n  z: 3\nlist: [*b, *b]\n")
    #expect(value["item"] == ["z": 3, "x": 1])
    #expect(value["list"] == [["x": 1, "z": 2], ["x": 1, "z": 2]])
  }

  @Test("documents of a stream are told apart")
  func streams() throws {
    let text = "---\na: 1\n---\n---\nb: 2\n...\n"
    #expect(try YAML.documents(Array(text.utf8)) == [["a": 1], ["b": 2]])
    #expect(try parse(text) == ["a": 1])
    #expect(try parse("# nothing\n") == .null)
  }

  @Test("duplicate keys are told by line")
  func duplicates() throws {
    var found: [String] = []
    let value = try YAML.parse(Array("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n".utf8), reportingDuplicates: &found)
    #expect(value == ["a": 3, "b": ["c": 2]])
    #expect(found == ["line 4: key \"c\" already set in map", "line 5: key \"a\" already set in map"])
  }

  @Test("bombs, loops, depth and nonsense are refused")
  func refusals() {
    var bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    for level in 1...9 {
      let aliases = [String](repeating: "*a\(level - 1)", count: 10).joined(separator: ",")
      bomb += "a\(level): &a\(level) [\(aliases)]\n"
    }
    #expect(throws: YAMLError("yaml: document contains excessive aliasing")) { try parse(bomb) }
    #expect(throws: YAMLError("yaml: unknown anchor 'a' referenced")) { try parse("&a [*a]") }
    #expect(throws: YAMLError.self) { try parse(String(repeating: "[", count: 600)) }
    #expect(throws: YAMLError.self) { try parse(String(repeating: "- ", count: 200_000)) }
    #expect(throws: YAMLError.self) { try parse("a: b: c") }
    #expect(throws: YAMLError.self) { try parse("{a: 1") }
    #expect(throws: YAMLError.self) { try parse("? [a]\n: 1") }
    #expect(throws: YAMLError.self) { try parse("a: .inf") }
    #expect(throws: YAMLError.self) { try YAML.parse([0x61, 0x3a, 0x20, 0xff]) }
  }

  @Test("trees are written as kubectl prints them")
  func writing() throws {
    let value: JSONValue = [
      "spec": [
        "b": "yes", "a": [["name": "x", "count": 1], "5"], "empty": [:], "none": [], "text": "one\ntwo\n",
        "colon": "a: b", "blank": "", "nothing": nil, "date": "2024-01-01", "time": "12:30:00", "star": "*x",
        "plain": "a-b c",
      ]
    ]
    let text = YAML.text(value)
    #expect(
      text == """
        spec:
          a:
          - count: 1
            name: x
          - "5"
          b: "yes"
          blank: ""
          colon: 'a: b'
          date: "2024-01-01"
          empty: {}
          none: []
          nothing: null
          plain: a-b c
          star: '*x'
          text: |
            one
            two
          time: "12:30:00"

        """)
    #expect(try parse(text) == value)
    #expect(YAML.text("x") == "x\n")
  }

  @Test("a YAML body is decoded as JSON is, with its own words for duplicate keys")
  func bodies() throws {
    let text =
      "kind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 2\n  paused: true\n  paused: true\n  x: 1\n"
    let decoded = try BodyDecoder.decode(
      Array(text.utf8), contentType: "application/yaml", expected: Fixture.kind, structure: Fixture.deployment)
    #expect(decoded.object["spec"]["replicas"] == 2)
    #expect(
      decoded.warnings == [
        "line 7: key \"paused\" already set in map", "unknown field \"spec.x\"",
      ])
    let json = try BodyDecoder.decode(
      Array(#"{"metadata":{"name":"web"}}"#.utf8), contentType: "application/yaml", expected: Fixture.kind,
      structure: Fixture.deployment)
    #expect(json.object["metadata"]["name"] == "web")
  }

  @Test("damaged documents never crash the parser, and what it accepts it reads again alike")
  func fuzz() throws {
    var random = SeededRandom(seed: 3)
    let seed = Array("a: &x {b: [1, 'two', \"three\"]}\nc:\n- *x\n- |\n  text\n- !!str 5\n? d\n: <<: *x\n".utf8)
    for _ in 0..<3_000 {
      var bytes = seed
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: at)
        default: bytes.insert("{}[]-:?&*!|>'\"%@#,\n 0<x".utf8.randomElement(using: &random)!, at: at)
        }
      }
      guard let value = try? YAML.parse(bytes) else { continue }
      #expect(try YAML.parse(YAML.bytes(value)) == value, "\(String(decoding: bytes, as: UTF8.self))")
    }
  }
}
