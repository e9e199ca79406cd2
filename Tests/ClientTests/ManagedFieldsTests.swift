import JSON
import Testing

@testable import Client

@Suite struct ManagedFieldsTests {
  @Test(
    arguments: [
      (
        #"{"metadata":{"name":"a","managedFields":[{"f":{"g":["]"]}}],"uid":"1"}}"#,
        #"{"metadata":{"name":"a","uid":"1"}}"#
      ),
      (#"{"metadata":{"managedFields":[],"uid":"1"}}"#, #"{"metadata":{"uid":"1"}}"#),
      (#"{"metadata":{"managedFields":[[],[{}]]}}"#, #"{"metadata":{}}"#),
      (#"{"a":"x,\"managedFields\":[","b":1}"#, #"{"a":"x,\"managedFields\":[","b":1}"#),
      (#"{"a":"\\","managedFields":["\"]\\"],"b":1}"#, #"{"a":"\\","b":1}"#),
      (#"{"managedFields":["#, #"{"managedFields":["#), ("", ""),
    ])
  func theMemberIsCutOutAndNothingElse(json: String, rest: String) {
    var bytes = Array(json.utf8)
    ManagedFields.cut(from: &bytes)
    #expect(String(decoding: bytes, as: UTF8.self) == rest)
  }

  @Test func whatIsLeftIsTheSameObject() throws {
    let object: JSONValue = [
      "type": "ADDED",
      "object": [
        "metadata": ["name": "p", "annotations": ["x": "\"managedFields\":[1]"], "managedFields": [["manager": "k"]]],
        "spec": ["containers": [["name": "c"]]],
      ],
    ]
    var bytes = object.bytes
    ManagedFields.cut(from: &bytes)
    var expected = object
    var metadata = try #require(expected["object"]["metadata"].object)
    metadata["managedFields"] = nil
    expected["object"]["metadata"] = .object(metadata)
    #expect(try JSONValue(parsing: bytes) == expected)
  }
}
