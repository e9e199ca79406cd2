// Documents seen through the schemas of custom resources.
import JSON
import Testing

@testable import CEL

@Suite struct CELSchemaTests {
  private let schema: JSONValue = [
    "type": "object", "required": ["count"],
    "properties": [
      "count": ["type": "integer"], "ratio": ["type": "number"], "name": ["type": "string", "maxLength": 10],
      "a-b": ["type": "string"], "x.y": ["type": "string"], "namespace": ["type": "string"],
      "_under__score": ["type": "string"],
      "port": ["x-kubernetes-int-or-string": true], "when": ["type": "string", "format": "date-time"],
      "day": ["type": "string", "format": "date"], "wait": ["type": "string", "format": "duration"],
      "data": ["type": "string", "format": "byte"], "maybe": ["type": "string", "nullable": true],
      "list": ["type": "array", "items": ["type": "string"]],
      "set": ["type": "array", "x-kubernetes-list-type": "set", "items": ["type": "string"]],
      "keyed": [
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": ["type": "object", "properties": ["k": ["type": "string"], "v": ["type": "integer"]]],
      ],
      "labels": ["type": "object", "additionalProperties": ["type": "string"]],
      "free": [
        "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": ["known": ["type": "string"]],
      ],
      "opaque": ["x-kubernetes-preserve-unknown-fields": true],
    ],
  ]

  @Test func membersHaveTheTypesOfTheirSchemas() throws {
    let document: JSONValue = [
      "count": 3, "ratio": 2, "name": "n", "a-b": "dash", "x.y": "dot", "namespace": "ns", "_under__score": "u",
      "port": "http",
      "when": "2024-01-02T03:04:05Z", "day": "2024-01-02", "wait": "90s", "data": "aGk=", "maybe": nil, "list": ["a"],
      "set": ["a", "b"], "keyed": [["k": "x", "v": 1], ["k": "y", "v": 2]], "labels": ["l": "1"],
      "free": ["known": "k", "unknown": 1], "opaque": ["any": 1], "undeclared": 1,
    ]
    try Expressions("self", document, schema: schema).check([
      Row("self.count", "3"), Row("self.ratio", "2.0"), Row("self.a__dash__b", "\"dash\""),
      Row("self.x__dot__y", "\"dot\""),
      Row("self.__namespace__", "\"ns\""), Row("self._under__underscores__score", "\"u\""),
      Row("type(self.port) == string", "true"),
      Row("self.port == 'http'", "true"), Row("self.when.getFullYear()", "2024"), Row("self.day.getDate()", "2"),
      Row("self.wait.getSeconds()", "90"), Row("self.data == b'hi'", "true"),
      Row(
        "self.maybe == null",
        "ERROR: <input>:1:12: found no matching overload for '_==_' applied to '(string, null)'\n | self.maybe == null\n | ...........^"
      ),
      Row("self.set == ['b', 'a']", "true"), Row("self.list == ['a']", "true"), Row("self.labels['l']", "\"1\""),
      Row("self.labels.l", "\"1\""), Row("self.free.known", "\"k\""),
      Row("self.set + ['a', 'c']", "[\"a\", \"b\", \"c\"]"),
      Row("(self.keyed + self.keyed).size()", "2"), Row("self.keyed.exists(e, e.k == 'y' && e.v == 2)", "true"),
      Row("has(self.name)", "true"), Row("self.labels.all(k, k.size() == 1)", "true"),
      Row("self.undeclared", "ERROR: <input>:1:5: undefined field 'undeclared'\n | self.undeclared\n | ....^"),
      Row("self.free.unknown", "ERROR: <input>:1:10: undefined field 'unknown'\n | self.free.unknown\n | .........^"),
      Row("self.opaque", "ERROR: <input>:1:5: undefined field 'opaque'\n | self.opaque\n | ....^"),
      Row("has(self.nope)", "ERROR: <input>:1:4: undefined field 'nope'\n | has(self.nope)\n | ...^"),
      Row(
        "self.count + 'a'",
        "ERROR: <input>:1:12: found no matching overload for '_+_' applied to '(int, string)'\n | self.count + 'a'\n | ...........^"
      ),
    ])
  }

  @Test func absentMembersAreNoKeys() throws {
    try Expressions("self", ["count": 1], schema: schema).check([
      Row("self.name == 'a'", "error: no such key: name"), Row("has(self.name)", "false"),
      Row("!has(self.name) || self.name == 'a'", "true"), Row("self.?name.orValue('d')", "\"d\""),
      Row("self.?labels['a'].orValue('d')", "\"d\""),
    ])
  }

  @Test func theRootHasTypeAndMetadata() throws {
    let document: JSONValue = [
      "apiVersion": "v1", "kind": "K", "metadata": ["name": "n", "namespace": "s", "labels": [:]], "spec": ["r": 1],
    ]
    let schema: JSONValue = [
      "type": "object", "properties": ["spec": ["type": "object", "properties": ["r": ["type": "integer"]]]],
    ]
    try Expressions("self", document, schema: schema, isResourceRoot: true).check([
      Row("self.metadata.name", "\"n\""), Row("self.kind == 'K' && self.apiVersion == 'v1'", "true"),
      Row("self.spec.r", "1"),
      Row(
        "self.metadata.labels",
        "ERROR: <input>:1:14: undefined field 'labels'\n | self.metadata.labels\n | .............^"),
    ])
  }
}
