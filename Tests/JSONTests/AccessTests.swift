import JSON
import Testing

@Suite("Trees are edited in place")
struct AccessTests {
  @Test("members appear, change and vanish by assignment")
  func members() {
    var value: JSONValue = ["a": 1]
    value["b"]["c"]["d"] = "x"
    value["a"] = nil
    #expect(value == ["b": ["c": ["d": "x"]]])
    value["b"]["c"].append(1)
    #expect(value["b"]["c"] == [1])
    value[path: ["p", "q"]] = true
    #expect(value["p"]["q"] == true)
    value["none"] = .null
    #expect(value.object?.count == 2)
    var text: JSONValue = "text"
    text["x"] = .null
    #expect(text == "text")
    var list: JSONValue = [1, 2]
    list[1] = 3
    list[7] = 4
    list.mutateElements { $0 = .integer(($0.integer ?? 0) + 1) }
    #expect(list == [2, 4])
  }

  @Test("equality and hashes do not depend on the order of members, and large objects compare fast")
  func equality() {
    let members = (0..<50_000).map { (key: "k\($0)", value: JSONValue.integer($0)) }
    let forward = JSONValue.object(JSONObject(uniqueMembers: members))
    let backward = JSONValue.object(JSONObject(uniqueMembers: members.reversed()))
    #expect(forward == backward)
    #expect(Set([forward, backward]).count == 1)
    #expect(["a": 1, "b": 2] as JSONValue != ["b": 2, "c": 1])
    #expect(["a": 1, "b": nil] as JSONValue != ["b": nil, "c": nil])
  }
}
