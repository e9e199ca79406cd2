import JSON
import Testing

@testable import Schema

@Suite("A set of fields")
struct ApplyFieldSetTests {
  private let text =
    #"{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":"#
    + #"{".":{},"f:port":{}},"k:{\"port\":443,\"protocol\":\"TCP\"}":{}},"f:finalizers":{"v:\"a\"":{},"v:\"b\"":{}},"#
    + #""f:list":{"i:0":{},"i:2":{},"i:10":{}}}}"#

  @Test("is written and read as FieldsV1")
  func roundTrip() throws {
    let set = try #require(FieldSet(fieldsV1: tree(text)))
    #expect(set.contains(["f:metadata", "f:labels"]))
    #expect(set.contains(["f:metadata", "f:labels", "f:app"]))
    #expect(!set.contains(["f:metadata"]))
    #expect(set.contains(["f:spec", "f:ports", #"k:{"port":443,"protocol":"TCP"}"#]))
    #expect(set.fieldsV1 == tree(text))
    // Members in the order of the reference: fields, then keys with numbers as numbers.
    #expect(
      set.fieldsV1["f:spec"].description
        == #"{"f:finalizers":{"v:\"a\"":{},"v:\"b\"":{}},"f:list":{"i:0":{},"i:2":{},"i:10":{}},"f:ports":{".":{},"#
        + #""k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}},"k:{\"port\":443,\"protocol\":\"TCP\"}":{}}}"#)
  }

  @Test("knows items whatever order a client writes their keys in")
  func canonicalKeys() throws {
    let set = try #require(FieldSet(fieldsV1: tree(#"{"f:ports":{"k:{\"protocol\":\"TCP\",\"port\":80}":{}}}"#)))
    #expect(set.contains(["f:ports", #"k:{"port":80,"protocol":"TCP"}"#]))
  }

  @Test("is refused when it is none", arguments: ["[]", #"{"spec":{}}"#, #"{"f:a":1}"#, #"{"x:a":{}}"#])
  func malformed(text: String) { #expect(FieldSet(fieldsV1: tree(text)) == nil) }

  @Test("obeys the laws of sets")
  func algebra() {
    var random = Seeded(seed: 5)
    func set() -> FieldSet {
      var set = FieldSet()
      for _ in 0..<random.next(12) { set.insert((0...random.next(3)).map { _ in "f:\(random.next(4))" }) }
      return set
    }
    for _ in 0..<200 {
      let (a, b) = (set(), set())
      #expect(a.union(b) == b.union(a))
      #expect(a.intersection(b) == b.intersection(a))
      #expect(a.subtracting(b).union(a.intersection(b)) == a)
      #expect(a.subtracting(b).intersection(b).isEmpty)
      #expect(a.subtracting(b).isEmpty == a.isSubset(ofFieldsV1: b.fieldsV1.object!))
      #expect(!a.intersection(b).isEmpty == a.intersects(fieldsV1: b.fieldsV1.object!))
      #expect(FieldSet(fieldsV1: a.fieldsV1) == a)
      #expect(a.subtractingRecursively(b).intersection(b).isEmpty)
    }
  }

  @Test("prints paths as errors do")
  func pathText() {
    #expect(
      ["f:spec", #"k:{"name":"web"}"#, "f:image"].map(PathElement.text).joined() == #".spec[name="web"].image"#)
    #expect(PathElement.text(#"k:{"containerPort":80,"protocol":"TCP"}"#) == #"[containerPort=80,protocol="TCP"]"#)
    #expect(PathElement.text(#"v:"a""#) == #"[="a"]"#)
    #expect(PathElement.text("i:3") == "[3]")
  }
}
