// Fields that nobody knows and fields that are there twice: refused when strict, told of by default.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing

extension Conformance {
  static let fieldValidationStories: [Int: Story] = [
    50: { try await $0.takesUnknownFieldsOfAnOpenKind() },
    51: { try await $0.takesAValidObject() },
    52: { try await $0.refusesExtraProperties() },
    53: { try await $0.findsDuplicatesInAnOpenKind() },
    54: { try await $0.findsUnknownAndDuplicateFieldsOfATypedObject() },
    55: { try await $0.findsUnknownMetadataOfCustomResources() },
    56: { try await $0.findsUnknownMetadataOfATypedObject() },
  ]

  private var foosPath: String { "/apis/e2e.example.com/v1/namespaces/\(namespace)/foos" }
  private static let schema: JSONValue = [
    "type": "object",
    "properties": [
      "spec": [
        "type": "object",
        "properties": [
          "foo": ["type": "string"], "cronSpec": ["type": "string", "pattern": "^(\\\\d+|\\\\*)$"],
          "ports": [
            "type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
            "items": [
              "type": "object", "required": ["containerPort", "protocol"],
              "properties": [
                "containerPort": ["type": "integer"], "protocol": ["type": "string"], "hostIP": ["type": "string"],
                "hostPort": ["type": "integer"], "name": ["type": "string"],
              ],
            ],
          ],
        ],
      ]
    ],
  ]

  private func defineFoos(_ schema: JSONValue) async throws {
    try await define(DefinitionFixture.definition("foos", "Foo", versions: [DefinitionFixture.version(schema: schema)]))
  }

  private func foo(_ name: String, _ spec: JSONValue) -> JSONValue {
    ["apiVersion": "e2e.example.com/v1", "kind": "Foo", "metadata": ["name": .string(name)], "spec": spec]
  }

  private func apply(_ object: JSONValue) async throws -> Reply {
    try await ask(
      "PATCH",
      "\(foosPath)/\(object["metadata"]["name"].string ?? "")?fieldManager=field-validation-mgr&fieldValidation=Strict",
      object, contentType: "application/apply-patch+yaml")
  }

  private func takesUnknownFieldsOfAnOpenKind() async throws {
    try await defineFoos(DefinitionFixture.open)
    let object = foo("a", ["unknown": "uk1", "foo": "bar"])
    #expect(try await ask("POST", "\(foosPath)?fieldValidation=Strict", object).code == 201)
    #expect(try await apply(foo("b", ["unknown": "uk1"])).code == 201)
  }

  private func takesAValidObject() async throws {
    try await defineFoos(Self.schema)
    let port: JSONValue = ["name": "x", "containerPort": 8080, "protocol": "TCP"]
    #expect(try await apply(foo("a", ["foo": "foo1", "ports": [port]])).code == 201)
    #expect(try await ask("POST", "\(foosPath)?fieldValidation=Strict", foo("b", ["foo": "foo1"])).code == 201)
  }

  private func refusesExtraProperties() async throws {
    try await defineFoos(Self.schema)
    let reply = try await apply(foo("a", ["foo": "foo1", "extraProperty": "is-not-allowed"]))
    // An applied configuration is read by the schema first, and what that says has no class of its own.
    #expect(reply.code == 500)
    #expect(reply.message.contains(".spec.extraProperty: field not declared in schema"), "\(reply.message)")
    let posted = try await ask("POST", "\(foosPath)?fieldValidation=Strict", foo("b", ["extraProperty": "no"]))
    #expect(posted.code == 400 && posted.message.contains("unknown field \"spec.extraProperty\""))
  }

  private func findsDuplicatesInAnOpenKind() async throws {
    try await defineFoos(DefinitionFixture.open)
    let text = """
      {"apiVersion":"e2e.example.com/v1","kind":"Foo","metadata":{"name":"a"},"spec":{"foo":"foo1","foo":"foo2"}}
      """
    let reply = try await ask("POST", "\(foosPath)?fieldValidation=Strict", text: text)
    #expect(reply.code == 400)
    #expect(reply.message.contains("duplicate field \"spec.foo\""), "\(reply.message)")
  }

  private func findsUnknownAndDuplicateFieldsOfATypedObject() async throws {
    let text = """
      {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"nginx-deployment"},
      "spec":{"unknown1":"val1","unknownDupe":"valDupe","unknownDupe":"valDupe2","paused":true,"paused":false,
      "selector":{"matchLabels":{"app":"nginx"}},
      "template":{"metadata":{"labels":{"app":"nginx"}},"spec":{"containers":[{"name":"nginx","image":"nginx:latest",
      "unknownNested":"val1","imagePullPolicy":"Always","imagePullPolicy":"Never"}]}}}}
      """
    let path = ResourceReference.deployments.path(namespace: namespace)
    let strict = try await ask("POST", "\(path)?fieldValidation=Strict", text: text)
    #expect(strict.code == 400)
    for part in [
      "strict decoding error: ", "unknown field \"spec.unknown1\"", "duplicate field \"spec.paused\"",
      "unknown field \"spec.template.spec.containers[0].unknownNested\"",
      "duplicate field \"spec.template.spec.containers[0].imagePullPolicy\"", "unknown field \"spec.unknownDupe\"",
    ] {
      #expect(strict.message.contains(part), "\(part): \(strict.message)")
    }
    let warned = try await ask("POST", path, text: text)
    #expect(warned.code == 201)
    #expect(warned.headers["warning"]?.contains("unknown field") == true)
  }

  private func findsUnknownMetadataOfCustomResources() async throws {
    let schema: JSONValue = [
      "type": "object",
      "properties": [
        "spec": [
          "type": "object",
          "properties": [
            "template": [
              "type": "object", "x-kubernetes-embedded-resource": true,
              "properties": ["spec": ["type": "object", "properties": ["foo": ["type": "string"]]]],
            ]
          ],
        ]
      ],
    ]
    try await defineFoos(schema)
    var object = foo(
      "a", ["template": ["apiVersion": "foo/v1", "kind": "Sub", "metadata": ["unknownSubMeta": "uk2", "name": "x"]]])
    object["metadata"]["unknownMeta"] = "uk1"
    let reply = try await ask("POST", "\(foosPath)?fieldValidation=Strict", object)
    #expect(reply.code == 400)
    for field in ["metadata.unknownMeta", "spec.template.metadata.unknownSubMeta"] {
      #expect(reply.message.contains("unknown field \"\(field)\""), "\(reply.message)")
    }
  }

  private func findsUnknownMetadataOfATypedObject() async throws {
    var object = Fixture.deployment("d", replicas: 1, namespace: namespace)
    object["metadata"]["unknownMeta"] = "metaVal"
    object["spec"]["template"]["metadata"]["unknownSubMeta"] = "x"
    let reply = try await ask(
      "POST", "\(ResourceReference.deployments.path(namespace: namespace))?fieldValidation=Strict", object)
    #expect(reply.code == 400)
    for field in ["metadata.unknownMeta", "spec.template.metadata.unknownSubMeta"] {
      #expect(reply.message.contains("unknown field \"\(field)\""), "\(reply.message)")
    }
  }
}
