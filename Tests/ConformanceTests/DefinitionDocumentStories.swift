// What OpenAPI says of custom resources, which is what kubectl checks and explains by.
import Client
import HTTP
import JSON
import Schema
import Testing

extension Conformance {
  static let definitionDocumentStories: [Int: Story] = [
    39: { try await $0.unpublishesWhatIsNoLongerServed() },
    40: { try await $0.publishesARenamedVersion() },
    41: { try await $0.publishesAnOpenRoot() },
    42: { try await $0.publishesAnOpenEmbeddedObject() },
    43: { try await $0.publishesAValidationSchema() },
    44: { try await $0.publishesAKindWithoutASchema() },
    45: { try await $0.publishesSeveral(groups: ["one.example.com", "two.example.com"], kinds: ["Alpha", "Beta"]) },
    46: { try await $0.publishesSeveral(groups: ["one.example.com"], kinds: ["Alpha", "Beta"]) },
    47: { try await $0.publishesSeveralVersions() },
  ]

  /// The schema of a kind in the documents of both versions; null where it is not published.
  private func published(_ kind: String, group: String = "e2e.example.com", version: String = "v1") async throws -> (
    version2: JSONValue, version3: JSONValue
  ) {
    let name = "com.example.\(group.split(separator: ".")[0]).\(version).\(kind)"
    let old = try await client.json("GET", "/openapi/v2", [])["definitions"][name]
    let index = try await client.json("GET", "/openapi/v3", [])["paths"]
    guard let path = index["apis/\(group)/\(version)"]["serverRelativeURL"].string else { return (old, .null) }
    let document = try await client.json("GET", path, [])
    return (old, document["components"]["schemas"][name])
  }

  private static let validated: JSONValue = [
    "type": "object", "description": "Foo CRD for Testing",
    "properties": [
      "spec": [
        "type": "object", "description": "Specification of Foo",
        "properties": [
          "bars": [
            "type": "array", "description": "List of Bars and their specs.",
            "items": [
              "type": "object", "required": ["name"],
              "properties": [
                "name": ["type": "string", "description": "Name of Bar."],
                "age": ["type": "string", "description": "Age of Bar."],
              ],
            ],
          ]
        ],
      ]
    ],
  ]

  private func change(_ name: String, _ versions: [JSONValue]) async throws {
    try await client.patch(.definitions, name: name, ["spec": ["versions": .array(versions)]], type: .merge)
    try await reconcile()
  }

  private func unpublishesWhatIsNoLongerServed() async throws {
    let second = DefinitionFixture.version("v2", storage: false)
    try await define(
      DefinitionFixture.definition("foos", "Foo", versions: [DefinitionFixture.version(), second]))
    #expect(try await !published("Foo", version: "v2").version3.isNull)
    try await change(
      "foos.e2e.example.com",
      [DefinitionFixture.version(), DefinitionFixture.version("v2", storage: false, served: false)])
    let now = try await published("Foo", version: "v2")
    #expect(now.version2.isNull && now.version3.isNull)
    #expect(try await !published("Foo").version2.isNull)
  }

  private func publishesARenamedVersion() async throws {
    try await define(
      DefinitionFixture.definition(
        "foos", "Foo", versions: [DefinitionFixture.version(), DefinitionFixture.version("v2", storage: false)]))
    try await change(
      "foos.e2e.example.com", [DefinitionFixture.version(), DefinitionFixture.version("v3", storage: false)])
    #expect(try await !published("Foo", version: "v3").version3.isNull)
    #expect(try await published("Foo", version: "v2").version3.isNull)
    #expect(try await !published("Foo").version3.isNull)
  }

  private func publishesAnOpenRoot() async throws {
    try await define(DefinitionFixture.definition("foos", "Foo"))
    let schema = try await published("Foo")
    #expect(schema.version3["type"] == "object")
    #expect(schema.version3["x-kubernetes-preserve-unknown-fields"] == true)
    let made = try await make(
      DefinitionFixture.reference("foos", "Foo"),
      ["apiVersion": "e2e.example.com/v1", "kind": "Foo", "metadata": ["name": "a"], "anything": ["at": "all"]])
    #expect(made["anything"]["at"] == "all")
  }

  private func publishesAnOpenEmbeddedObject() async throws {
    let schema: JSONValue = [
      "type": "object",
      "properties": ["spec": ["type": "object", "x-kubernetes-preserve-unknown-fields": true]],
    ]
    try await define(DefinitionFixture.definition("foos", "Foo", versions: [DefinitionFixture.version(schema: schema)]))
    let shown = try await published("Foo").version3["properties"]
    #expect(shown["spec"]["x-kubernetes-preserve-unknown-fields"] == true)
    #expect(!shown["metadata"].isNull)
    let made = try await make(
      DefinitionFixture.reference("foos", "Foo"),
      [
        "apiVersion": "e2e.example.com/v1", "kind": "Foo", "metadata": ["name": "a"], "spec": ["any": 1], "other": 1,
      ])
    #expect(made["spec"]["any"] == 1 && made["other"].isNull)
  }

  private func publishesAValidationSchema() async throws {
    try await define(
      DefinitionFixture.definition("foos", "Foo", versions: [DefinitionFixture.version(schema: Self.validated)]))
    for schema in [try await published("Foo").version2, try await published("Foo").version3] {
      #expect(schema["description"] == "Foo CRD for Testing")
      let bars = schema["properties"]["spec"]["properties"]["bars"]
      #expect(bars["description"] == "List of Bars and their specs.")
      #expect(bars["items"]["required"] == ["name"])
      #expect(
        schema["x-kubernetes-group-version-kind"].elements.contains([
          "group": "e2e.example.com", "kind": "Foo", "version": "v1",
        ]))
    }
    let foos = DefinitionFixture.reference("foos", "Foo")
    func foo(_ bars: JSONValue) -> JSONValue {
      ["apiVersion": "e2e.example.com/v1", "kind": "Foo", "metadata": ["name": "a"], "spec": ["bars": bars]]
    }
    let error = await refusal { try await make(foos, foo([["age": "10"]])) }
    #expect(error?.code == 422 && error?.message.contains("spec.bars[0].name: Required value") == true)
    try await make(foos, foo([["name": "test-bar"]]))
  }

  private func publishesAKindWithoutASchema() async throws {
    try await define(DefinitionFixture.definition("foos", "Foo"))
    let paths = try await client.json("GET", "/openapi/v2", [])["paths"]
    #expect(!paths["/apis/e2e.example.com/v1/namespaces/{namespace}/foos"].isNull)
    #expect(!paths["/apis/e2e.example.com/v1/namespaces/{namespace}/foos/{name}"]["patch"].isNull)
  }

  private func publishesSeveral(groups: [String], kinds: [String]) async throws {
    for (index, kind) in kinds.enumerated() {
      try await define(
        DefinitionFixture.definition("\(kind.lowercased())s", kind, group: groups[index % groups.count]))
    }
    for (index, kind) in kinds.enumerated() {
      let schema = try await published(kind, group: groups[index % groups.count])
      #expect(!schema.version2.isNull && !schema.version3.isNull, "\(kind)")
    }
  }

  private func publishesSeveralVersions() async throws {
    try await define(
      DefinitionFixture.definition(
        "foos", "Foo", versions: [DefinitionFixture.version(), DefinitionFixture.version("v2", storage: false)]))
    for version in ["v1", "v2"] { #expect(try await !published("Foo", version: version).version2.isNull) }
  }
}
