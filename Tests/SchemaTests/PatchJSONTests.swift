import JSON
import Schema
import Testing

@Suite("A JSON patch")
struct PatchJSONTests {
  private func apply(_ patch: String, to document: String) throws(APIStatus) -> JSONValue {
    try JSONPatch(tree(patch)).apply(to: tree(document))
  }
  private func code(_ patch: String, to document: String = "{}") -> Int {
    do throws(APIStatus) {
      _ = try apply(patch, to: document)
      return 200
    } catch { return error.code }
  }

  @Test(
    "performs every operation of RFC 6902",
    arguments: [
      (#"[{"op":"add","path":"/b","value":1}]"#, #"{"a":0}"#, #"{"a":0,"b":1}"#),
      (#"[{"op":"add","path":"/a/1","value":9}]"#, #"{"a":[1,2]}"#, #"{"a":[1,9,2]}"#),
      (#"[{"op":"add","path":"/a/-","value":9}]"#, #"{"a":[1,2]}"#, #"{"a":[1,2,9]}"#),
      (#"[{"op":"add","path":"/a/2","value":9}]"#, #"{"a":[1,2]}"#, #"{"a":[1,2,9]}"#),
      (#"[{"op":"replace","path":"","value":{"x":1}}]"#, #"{"a":1}"#, #"{"x":1}"#),
      (#"[{"op":"add","path":"/a"}]"#, #"{"a":1}"#, #"{"a":null}"#),
      (#"[{"op":"add","path":"/a/-1","value":9}]"#, #"{"a":[1,2]}"#, #"{"a":[1,2,9]}"#),
      (#"[{"op":"remove","path":"/a/-1"}]"#, #"{"a":[1,2]}"#, #"{"a":[1]}"#),
      (#"[{"op":"add","path":"/a/01","value":9}]"#, #"{"a":[1,2]}"#, #"{"a":[1,9,2]}"#),
      (#"[{"op":"remove","path":"/a~2"}]"#, #"{"a~2":1}"#, "{}"),
      (#"[{"op":"remove","path":"x/a"}]"#, #"{"a":1}"#, "{}"),
      (#"[{"op":"add","path":"/a","value":null}]"#, #"{"a":1}"#, #"{"a":null}"#),
      (#"[{"op":"remove","path":"/a/0"}]"#, #"{"a":[1,2]}"#, #"{"a":[2]}"#),
      (#"[{"op":"remove","path":"/a/b"}]"#, #"{"a":{"b":1,"c":2}}"#, #"{"a":{"c":2}}"#),
      (#"[{"op":"replace","path":"/a/b/0","value":{"z":1}}]"#, #"{"a":{"b":[1]}}"#, #"{"a":{"b":[{"z":1}]}}"#),
      (#"[{"op":"move","from":"/a/0","path":"/a/2"}]"#, #"{"a":[1,2,3]}"#, #"{"a":[2,3,1]}"#),
      (#"[{"op":"move","from":"/a","path":"/b"}]"#, #"{"a":1,"b":2}"#, #"{"b":1}"#),
      (#"[{"op":"copy","from":"/a","path":"/b/-"}]"#, #"{"a":{"x":1},"b":[]}"#, #"{"a":{"x":1},"b":[{"x":1}]}"#),
      (
        #"[{"op":"test","path":"/a","value":{"y":[1.0],"x":null}}]"#, #"{"a":{"x":null,"y":[1]}}"#,
        #"{"a":{"x":null,"y":[1]}}"#
      ),
      (#"[{"op":"test","path":"/missing","value":null}]"#, "{}", "{}"),
      (
        #"[{"op":"replace","path":"/metadata/annotations/example.com~1a~0b","value":"2"}]"#,
        #"{"metadata":{"annotations":{"example.com/a~b":"1"}}}"#,
        #"{"metadata":{"annotations":{"example.com/a~b":"2"}}}"#
      ),
    ])
  func operations(patch: String, document: String, expected: String) throws {
    #expect(try apply(patch, to: document) == tree(expected))
  }

  @Test(
    "that does not fit the document is unprocessable",
    arguments: [
      #"[{"op":"remove","path":"/b"}]"#, #"[{"op":"replace","path":"/b","value":1}]"#,
      #"[{"op":"add","path":"/b/c","value":1}]"#, #"[{"op":"add","path":"/list/3","value":1}]"#,
      #"[{"op":"add","path":"/list/-4","value":1}]"#, #"[{"op":"add","path":"/list/x","value":1}]"#,
      #"[{"path":"/a"}]"#, #"[{"op":"jump","path":"/a"}]"#, #"[{"op":"remove","path":"a"}]"#,
      #"[{"op":"move","path":"/a"}]"#, #"[{"op":"add","path":"","value":{}}]"#, "[{}]",
      #"[{"op":"remove","path":"/list/-"}]"#, #"[{"op":"test","path":"/a","value":2}]"#,
      #"[{"op":"move","from":"/object","path":"/object/inner"}]"#, #"[{"op":"copy","from":"/b","path":"/c"}]"#,
      #"[{"op":"remove","path":""}]"#,
    ])
  func misfits(patch: String) {
    do throws(APIStatus) {
      _ = try apply(patch, to: #"{"a":1,"list":[1,2],"object":{}}"#)
      Issue.record("applied")
    } catch {
      #expect(error.code == 422 && error.reason == "Invalid")
      #expect(error.message == "the server rejected our request due to an error in our request")
      #expect(error.json["details"] == [:])
    }
  }

  @Test(
    "that is none is a bad request",
    arguments: ["{}", "[1]", "null", "[[]]"])
  func malformed(patch: String) { #expect(code(patch) == 400) }

  @Test("is looked at more closely for those who want to know")
  func strictly() throws {
    func errors(_ text: String) throws(APIStatus) -> [String] { try JSONPatch.strictErrors(of: tree(text)) }
    #expect(
      try errors(#"[{"op":"remove","path":"/a"},{"op":"add","Path":"/a","x":1}]"#) == [
        "json patch unknown field \"[1].Path\"", "json patch unknown field \"[1].x\"",
      ])
    for (text, message) in [
      ("{}", "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
      ("[1]", "json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
      (#"[{"op":true}]"#, "json: cannot unmarshal bool into Go struct field jsonPatchOp.op of type string"),
    ] {
      do throws(APIStatus) {
        _ = try errors(text)
        Issue.record("\(text) is a patch")
      } catch {
        #expect(error.code == 400 && error.message == "error decoding patch: \(message)")
      }
    }
  }

  @Test("changes nothing when one operation fails")
  func allOrNothing() {
    #expect(code(#"[{"op":"add","path":"/b","value":1},{"op":"remove","path":"/c"}]"#) == 422)
  }

  @Test("of more operations than the limit is too large")
  func operationLimit() {
    let operation: JSONValue = ["op": "test", "path": "/a", "value": nil]
    #expect(throws: Never.self) { try JSONPatch(.array(Array(repeating: operation, count: 10_000))) }
    do throws(APIStatus) {
      _ = try JSONPatch(.array(Array(repeating: operation, count: 10_001)))
      Issue.record("decoded")
    } catch { #expect(error.code == 413) }
  }

  @Test("cannot double a value until memory ends, nor nest it until the stack does")
  func copyLimit() {
    let doubling = (0..<64).map { _ in #"{"op":"copy","from":"/a","path":"/a/-"}"# }.joined(separator: ",")
    #expect(code("[\(doubling)]", to: #"{"a":["0123456789"]}"#) == 422)
    let deep = "/" + Array(repeating: "a", count: 600).joined(separator: "/")
    #expect(code(#"[{"op":"add","path":"\#(deep)","value":1}]"#) == 422)
  }
}

@Suite("A merge patch")
struct PatchMergeTests {
  @Test(
    "replaces, adds and removes members as RFC 7386 has it",
    arguments: [
      (#"{"a":"c"}"#, #"{"a":"b"}"#, #"{"a":"c"}"#), (#"{"b":"c"}"#, #"{"a":"b"}"#, #"{"a":"b","b":"c"}"#),
      (#"{"a":null}"#, #"{"a":"b"}"#, "{}"), (#"{"a":null}"#, #"{"a":"b","b":"c"}"#, #"{"b":"c"}"#),
      (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":"c"}"#), (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":["b"]}"#),
      (#"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"c"}}"#, #"{"a":{"b":"d"}}"#),
      (#"{"a":[1]}"#, #"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#), (#"["c","d"]"#, #"["a","b"]"#, #"["c","d"]"#),
      (#"["c"]"#, #"{"a":"b"}"#, #"["c"]"#), ("null", #"{"a":"foo"}"#, "null"),
      (#"{"a":1}"#, #"{"e":null}"#, #"{"e":null,"a":1}"#), (#"{"a":"b","c":null}"#, "[1,2]", #"{"a":"b"}"#),
      (#"{"a":{"bb":{"ccc":null}}}"#, "{}", #"{"a":{"bb":{}}}"#),
    ])
  func merge(patch: String, target: String, expected: String) {
    #expect(MergePatch.apply(tree(patch), to: tree(target)) == tree(expected))
  }

  @Test("computed between two objects turns one into the other")
  func difference() {
    var random = Seeded(seed: 11)
    for _ in 0..<300 {
      let (old, new) = (random.object(depth: 3), random.object(depth: 3))
      #expect(MergePatch.apply(MergePatch.difference(from: old, to: new), to: old) == new)
    }
  }
}

/// Trees by chance, the same for the same seed.
struct Seeded {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next(_ bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(bound))
  }
  mutating func object(depth: Int) -> JSONValue {
    var object = JSONObject()
    for _ in 0..<next(5) { object["k\(next(6))"] = value(depth: depth - 1) }
    return .object(object)
  }
  mutating func value(depth: Int) -> JSONValue {
    switch next(depth > 0 ? 4 : 2) {
    case 0: .integer(Int64(next(4)))
    case 1: .string("s\(next(4))")
    case 2: .array((0..<next(3)).map { _ in .integer(Int64(next(3))) })
    default: object(depth: depth)
    }
  }
}
