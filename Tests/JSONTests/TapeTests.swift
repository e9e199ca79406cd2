import JSON
import SeedSupport
import Testing

@Suite("A document is read without a tree")
struct TapeTests {
  private let text =
    #"{"kind":"Pod", "metadata" : {"name":"a\"b","labels":{"app":"web","n":1,"x":"y"},"generation":7},"#
    + #""list":[1,2.5,true,null,[],{"k":"v"}],"ok":false,"kind":"Last"}"#

  @Test("members are found by name and position, raw and decoded")
  func lookup() throws {
    let root = try JSONTape(parsing: Array(text.utf8)).root
    #expect(root["metadata"]["name"].string == "a\"b")
    #expect(root["metadata"]["labels"].stringMap == ["app": "web", "x": "y"])
    #expect(root["metadata"]["generation"].integer == 7)
    #expect(String(decoding: root["metadata"]["labels"].rawBytes, as: UTF8.self) == #"{"app":"web","n":1,"x":"y"}"#)
    #expect(root["list"].count == 6)
    #expect(root["list"][1].double == 2.5)
    #expect(root["list"][5]["k"].equals("v"))
    #expect(root["list"].elements.map(\.kind) == [.number, .number, .true, .null, .array, .object])
    #expect(root["ok"].bool == false)
    #expect(root["kind"].string == "Last")
    #expect(!root["none"]["deeper"][3].exists)
    #expect(root["none"].rawBytes.isEmpty)
    #expect(root["list"]["k"].exists == false)
    #expect(root.count == 5)
  }

  @Test("a member's bytes are found without reading the rest")
  func membersAlone() throws {
    let documents = [
      #"{"metadata":{"name":"a"}}"#,
      #"{"kind":"K","apiVersion":"v1","metadata":{"a":["]","}",{"b":"\"}"}]},"spec":{}}"#,
      #" { "x" : [ 1 , { "metadata" : 2 } ] , "metadata" : "text" , "y" : null } "#, #"{"metadata":12,"x":1}"#,
      #"{"a":-1.5e3,"b":true,"metadata":[[],[{}]]}"#, #"{"metadata":true}"#, #"{"x":{"metadata":1}}"#, "{}", "[]", "1",
      #"{"a":"\\","metadata":null}"#, #"{"meta\u0064ata":{"x":1}}"#, #"{"metadat":1,"metadata2":2,"metadata":3}"#,
    ]
    for document in documents {
      let bytes = Array(document.utf8)
      let found = JSONTape.rawBytes(of: "metadata", in: bytes[...])
      #expect(Array(found) == Array(try JSONTape(parsing: bytes).root["metadata"].rawBytes), "\(document)")
      // What has not ended has no member that ends.
      for length in 0..<bytes.count {
        let part = JSONTape.rawBytes(of: "metadata", in: bytes[..<length])
        #expect(found.starts(with: part), "\(document.prefix(length))")
      }
      #expect(JSONTape.rawBytes(of: "metadata", in: ([1, 2, 3] + bytes)[3...]) == found, "a part of something longer")
    }
  }

  @Test("the tape holds what the tree holds, and refuses what the parser refuses")
  func agreesWithParser() throws {
    var random = SeededRandom(seed: 11)
    let seed = Array(text.utf8)
    for round in 0..<10_000 {
      var bytes = seed
      if round > 0 {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          let at = Int.random(in: 0..<bytes.count, using: &random)
          switch Int.random(in: 0..<3, using: &random) {
          case 0: bytes[at] = UInt8.random(in: 0x20...0x7e, using: &random)
          case 1: bytes.remove(at: at)
          default: bytes.insert("{}[]\",:\\0-.e".utf8.randomElement(using: &random)!, at: at)
          }
        }
      }
      let tree = try? JSONValue(parsing: bytes)
      let tape = try? JSONTape(parsing: bytes)
      if let tree {
        #expect(tape?.root.value == tree)
      } else if let tape {
        // Numbers too large for a Double are found out only when they are read.
        #expect(tape.root.value != .null || tape.root.kind == .null)
      }
    }
  }
}
