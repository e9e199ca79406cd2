// Custom resource definitions: their life, their defaults, their place in discovery, their fields that select.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing

enum DefinitionFixture {
  /// A schema that keeps whatever it is given.
  static let open: JSONValue = ["type": "object", "x-kubernetes-preserve-unknown-fields": true]

  static func version(
    _ name: String = "v1", storage: Bool = true, served: Bool = true, schema: JSONValue = open, _ more: JSONValue = [:]
  ) -> JSONValue {
    var version: JSONValue = [
      "name": .string(name), "served": .bool(served), "storage": .bool(storage),
      "schema": ["openAPIV3Schema": schema],
    ]
    for (key, value) in more.object ?? [:] { version[key] = value }
    return version
  }

  static func definition(
    _ plural: String, _ kind: String, group: String = "e2e.example.com", versions: [JSONValue] = [version()],
    labels: JSONValue = [:]
  ) -> JSONValue {
    [
      "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
      "metadata": ["name": .string("\(plural).\(group)"), "labels": labels],
      "spec": [
        "group": .string(group), "scope": "Namespaced", "versions": .array(versions),
        "names": ["plural": .string(plural), "singular": .string(kind.lowercased()), "kind": .string(kind)],
      ],
    ]
  }

  static func reference(
    _ plural: String, _ kind: String, group: String = "e2e.example.com", version: String = "v1"
  ) -> ResourceReference { ResourceReference(group, version, plural, kind) }
}

extension Conformance {
  static let definitionStories: [Int: Story] = [
    32: { try await $0.watchesCustomResources() },
    33: { try await $0.makesAndDeletesADefinition() },
    34: { try await $0.changesTheStatusOfADefinition() },
    35: { try await $0.listsDefinitions() },
    36: { try await $0.defaultsOnTheWayInAndOut() },
    37: { try await $0.findsTheDefinitionsInDiscovery() },
    38: { try await $0.selectsCustomResourcesByField() },
  ]

  private func watchesCustomResources() async throws {
    try await define(DefinitionFixture.definition("noxus", "WishIHadChosenNoxu"))
    let noxus = DefinitionFixture.reference("noxus", "WishIHadChosenNoxu")
    let start = try await client.list(noxus, namespace: namespace).resourceVersion
    for name in ["name1", "name2"] {
      let made = try await make(
        noxus,
        [
          "apiVersion": "e2e.example.com/v1", "kind": "WishIHadChosenNoxu", "metadata": ["name": .string(name)],
          "content": ["key": "value"],
        ])
      #expect(made["content"]["key"] == "value")
    }
    try await client.patch(noxus, namespace: namespace, name: "name1", ["dummy": "test"], type: .merge)
    try await client.delete(noxus, namespace: namespace, name: "name1")
    let seen = try await events(noxus, after: start, count: 4)
    #expect(seen == ["ADDED name1", "ADDED name2", "MODIFIED name1", "DELETED name1"])
  }

  private func makesAndDeletesADefinition() async throws {
    try await define(DefinitionFixture.definition("foos", "Foo"))
    let made = try await client.get(.definitions, name: "foos.e2e.example.com")
    for type in ["NamesAccepted", "Established"] {
      #expect(made["status"]["conditions"].elements.contains { $0["type"].string == type && $0["status"] == "True" })
    }
    #expect(made["status"]["acceptedNames"]["listKind"] == "FooList")
    #expect(made["status"]["storedVersions"] == ["v1"])
    #expect(made["spec"]["conversion"] == ["strategy": "None"])
    try await client.delete(.definitions, name: "foos.e2e.example.com")
    try await reconcile()
    #expect(try await client.find(.definitions, name: "foos.e2e.example.com") == nil)
  }

  private func changesTheStatusOfADefinition() async throws {
    try await define(DefinitionFixture.definition("foos", "Foo"))
    let name = "foos.e2e.example.com"
    let path = ResourceReference.definitions.path(name: name, subresource: "status")
    var object = try await client.json("GET", path, [])
    object["status"]["conditions"].append([
      "type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from an e2e test",
      "lastTransitionTime": "2026-01-01T00:00:00Z",
    ])
    let updated = try await client.update(.definitions, name: name, object, subresource: "status")
    #expect(updated["status"]["conditions"].elements.contains { $0["type"] == "StatusUpdate" })
    let patched = try await client.patch(
      .definitions, name: name,
      [
        "metadata": ["annotations": ["patched": "true"]],
        "status": ["conditions": [["type": "StatusPatched", "status": "True", "reason": "E2E", "message": ""]]],
      ], type: .merge, subresource: "status")
    #expect(patched["status"]["conditions"].elements.contains { $0["type"] == "StatusPatched" })
  }

  private func listsDefinitions() async throws {
    for number in 0..<10 {
      try await define(
        DefinitionFixture.definition("kind\(number)s", "Kind\(number)", labels: ["e2e-list-test-uuid": "x"]))
    }
    let options = ListOptions(labelSelector: "e2e-list-test-uuid=x")
    #expect(try await client.list(.definitions, options).items.count == 10)
    _ = try await client.json(
      "DELETE", ResourceReference.definitions.path(), [("labelSelector", "e2e-list-test-uuid=x")])
    try await reconcile()
    #expect(try await client.list(.definitions, options).items.isEmpty)
  }

  private func defaultsOnTheWayInAndOut() async throws {
    var schema: JSONValue = [
      "type": "object",
      "properties": ["a": ["type": "string", "default": "A"], "b": ["type": "string"], "c": ["type": "string"]],
    ]
    try await define(DefinitionFixture.definition("foos", "Foo", versions: [DefinitionFixture.version(schema: schema)]))
    let foos = DefinitionFixture.reference("foos", "Foo")
    let made = try await make(foos, ["apiVersion": "e2e.example.com/v1", "kind": "Foo", "metadata": ["name": "foo"]])
    #expect(made["a"] == "A" && made["b"].isNull)
    schema["properties"]["b"]["default"] = "B"
    try await client.patch(
      .definitions, name: "foos.e2e.example.com",
      ["spec": ["versions": [DefinitionFixture.version(schema: schema)]]], type: .merge)
    try await reconcile()
    // What was stored without it is read with it, and listed with it.
    let now = try await read(foos, "foo")
    #expect(now["a"] == "A" && now["b"] == "B" && now["c"].isNull)
    #expect(try await client.list(foos, namespace: namespace).items[0]["b"] == "B")
  }

  private func findsTheDefinitionsInDiscovery() async throws {
    let groups = try await client.json("GET", "/apis", [])["groups"].elements
    let group = groups.first { $0["name"] == "apiextensions.k8s.io" }
    #expect(group?["versions"].elements.contains { $0["version"] == "v1" } == true)
    let list = try await client.json("GET", "/apis/apiextensions.k8s.io/v1", [])
    let found = list["resources"].elements.first { $0["name"] == "customresourcedefinitions" }
    #expect(found?["kind"] == "CustomResourceDefinition" && found?["namespaced"] == false)
    #expect(found?["shortNames"] == ["crd", "crds"])
  }

  private func selectsCustomResourcesByField() async throws {
    let schema: JSONValue = [
      "type": "object",
      "properties": [
        "hostPort": ["type": "string"], "color": ["type": "string"], "size": ["type": "string"],
      ],
    ]
    let version = DefinitionFixture.version(
      schema: schema, ["selectableFields": [["jsonPath": ".color"], ["jsonPath": ".size"]]])
    try await define(DefinitionFixture.definition("shirts", "Shirt", versions: [version]))
    let shirts = DefinitionFixture.reference("shirts", "Shirt")
    let start = try await client.list(shirts, namespace: namespace).resourceVersion
    for (name, color, size) in [("a", "blue", "S"), ("b", "blue", "M"), ("c", "green", "M")] {
      try await make(
        shirts,
        [
          "apiVersion": "e2e.example.com/v1", "kind": "Shirt", "metadata": ["name": .string(name)],
          "color": .string(color), "size": .string(size),
        ])
    }
    #expect(try await names(shirts, ListOptions(fieldSelector: "color=blue")) == ["a", "b"])
    #expect(try await names(shirts, ListOptions(fieldSelector: "color=blue,size=M")) == ["b"])
    #expect(try await names(shirts, ListOptions(fieldSelector: "size!=M")) == ["a"])
    let seen = try await events(shirts, after: start, selector: ("fieldSelector", "color=green"), count: 1)
    #expect(seen == ["ADDED c"])
    let error = await refusal { _ = try await names(shirts, ListOptions(fieldSelector: "hostPort=1")) }
    #expect(error?.code == 400 && error?.message == "field label not supported: hostPort")
  }

  /// The first events of a watch, as "ADDED name".
  func events(
    _ resource: ResourceReference, after revision: String, selector: (String, String)? = nil, count: Int
  ) async throws -> [String] {
    var options = ListOptions(resourceVersion: revision)
    if selector?.0 == "fieldSelector" { options.fieldSelector = selector?.1 ?? "" }
    if selector?.0 == "labelSelector" { options.labelSelector = selector?.1 ?? "" }
    let stream = try await client.watch(
      path: resource.path(namespace: resource.isNamespaced ? namespace : ""), options, timeoutSeconds: 60)
    var seen: [String] = []
    while seen.count < count, let event = try await stream.next() {
      switch event {
      case .added(let object): seen.append("ADDED \(object["metadata"]["name"].string ?? "")")
      case .modified(let object): seen.append("MODIFIED \(object["metadata"]["name"].string ?? "")")
      case .deleted(let object): seen.append("DELETED \(object["metadata"]["name"].string ?? "")")
      case .bookmark: break
      }
    }
    stream.cancel()
    return seen
  }
}
