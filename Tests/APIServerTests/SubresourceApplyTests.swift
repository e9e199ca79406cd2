import HTTP
import JSON
import Replica
import Schema
import Testing

/// Server-side apply to …/scale and …/status. To scale: the owners of the object's own number of replicas are met there.
@Suite struct SubresourceApplyTests {
  private static let deployments = "/apis/apps/v1/namespaces/default/deployments"

  private func deployment(_ replicas: Int64) -> JSONValue {
    [
      "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web"],
      "spec": [
        "replicas": .integer(replicas), "selector": ["matchLabels": ["a": "b"]],
        "template": [
          "metadata": ["labels": ["a": "b"]], "spec": ["containers": [["name": "c", "image": "i"]]],
        ],
      ],
    ]
  }

  private func scale(_ replicas: Int64) -> JSONValue {
    [
      "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": ["name": "web", "namespace": "default"],
      "spec": ["replicas": .integer(replicas)],
    ]
  }

  private func apply(
    _ server: TestServer, _ body: JSONValue, as manager: String, to path: String = "", force: Bool = false
  ) async throws -> Reply {
    try await server.patch(
      "\(Self.deployments)/web\(path)?fieldManager=\(manager)&force=\(force)", body, "apply-patch+yaml")
  }

  /// Who owns the number of replicas: "manager operation subresource".
  private func owners(_ server: TestServer) async throws -> [String] {
    let entries = try await server.get("\(Self.deployments)/web").json["metadata"]["managedFields"].elements
    return entries.filter { !$0["fieldsV1"]["f:spec"]["f:replicas"].isNull }.map {
      "\($0["manager"].string ?? "") \($0["operation"].string ?? "") \($0["subresource"].string ?? "-")"
    }
  }

  @Test func `the owner of the object's replicas is in the way`() async throws {
    let server = TestServer()
    #expect(try await apply(server, deployment(2), as: "owner").status == 201)
    let refused = try await apply(server, scale(3), as: "scaler", to: "/scale")
    #expect(refused.status == 409)
    #expect(refused.message == "Apply failed with 1 conflict: conflict with \"owner\": .spec.replicas")
    #expect(refused.json["details"]["causes"][0]["reason"] == "FieldManagerConflict")
    let same = try await apply(server, scale(2), as: "scaler", to: "/scale")
    #expect(same.status == 200 && same.json["kind"] == "Scale")
    #expect(try await owners(server) == ["scaler Apply scale", "owner Apply -"], "who has no time comes first")
  }

  @Test func `by force it becomes the scaler's, and the object's apply meets it there`() async throws {
    let server = TestServer()
    #expect(try await apply(server, deployment(2), as: "owner").status == 201)
    let forced = try await apply(server, scale(3), as: "scaler", to: "/scale", force: true)
    #expect(forced.json["spec"] == ["replicas": 3])
    #expect(forced.json["metadata"]["managedFields"].isNull)
    #expect(try await owners(server) == ["scaler Apply scale"])
    let refused = try await apply(server, deployment(2), as: "owner")
    #expect(
      refused.message
        == "Apply failed with 1 conflict: conflict with \"scaler\" with subresource \"scale\": .spec.replicas")
    // What the object's owner states nothing about stays as the scaler wants it.
    var silent = deployment(0)
    silent["spec"]["replicas"] = .null
    #expect(try await apply(server, silent, as: "owner").json["spec"]["replicas"] == 3)
    // A scaler that gives the field up: it is nobody's.
    var nothing = scale(0)
    nothing["spec"] = [:]
    #expect(try await apply(server, nothing, as: "scaler", to: "/scale").status == 200)
    #expect(try await owners(server) == [])
  }

  @Test func `an update through scale is met under the version of Scale`() async throws {
    let server = TestServer()
    try await server.post("\(Self.deployments)?fieldManager=maker", deployment(2))
    #expect(
      try await server.patch("\(Self.deployments)/web/scale?fieldManager=hpa", ["spec": ["replicas": 4]]).status == 200)
    #expect(try await owners(server) == ["hpa Update scale"])
    let refused = try await apply(server, scale(3), as: "scaler", to: "/scale")
    #expect(
      refused.message
        == "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using autoscaling/v1: "
        + ".spec.replicas")
  }

  private func status(_ conditions: [String: String]) -> JSONValue {
    [
      "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web"],
      "status": [
        "conditions": .array(
          conditions.sorted { $0.key < $1.key }.map { ["type": .string($0.key), "status": .string($0.value)] })
      ],
    ]
  }

  @Test func `those who apply to status own what is there, each their condition`() async throws {
    let server = TestServer()
    #expect(try await apply(server, status(["Lit": "True"]), as: "one", to: "/status").reason == "NotFound")
    #expect(try await apply(server, deployment(2), as: "owner").status == 201)
    var first = status(["Lit": "True"])
    first["spec"] = deployment(9)["spec"]
    #expect(try await apply(server, first, as: "one", to: "/status").status == 200)
    let refused = try await apply(server, status(["Lit": "False"]), as: "two", to: "/status")
    #expect(
      refused.message
        == "Apply failed with 1 conflict: conflict with \"one\" with subresource \"status\": "
        + #".status.conditions[type="Lit"].status"#)
    #expect(try await apply(server, status(["Warm": "True"]), as: "two", to: "/status").status == 200)
    let both = try await server.get("\(Self.deployments)/web").json
    #expect(both["status"]["conditions"].elements.map { $0["type"].string ?? "" } == ["Lit", "Warm"])
    #expect(both["spec"]["replicas"] == 2, "the status endpoint does not write the spec")
    let entries = both["metadata"]["managedFields"].elements.filter { $0["subresource"] == "status" }
    #expect(entries.map { $0["manager"].string ?? "" } == ["one", "two"])
    #expect(entries.allSatisfy { $0["fieldsV1"]["f:spec"].isNull })
    let last = try await apply(server, status([:]), as: "one", to: "/status").json
    #expect(last["status"]["conditions"].elements.map { $0["type"].string ?? "" } == ["Warm"])
  }

  @Test func `a Scale is of its kind and of an object that is there`() async throws {
    let server = TestServer()
    #expect(try await apply(server, scale(3), as: "scaler", to: "/scale").reason == "NotFound")
    #expect(try await apply(server, deployment(2), as: "owner").status == 201)
    #expect(try await apply(server, deployment(2), as: "scaler", to: "/scale").status == 400)
    #expect(try await apply(server, scale(-1), as: "scaler", to: "/scale", force: true).reason == "Invalid")
    let nameless = try await server.patch("\(Self.deployments)/web/scale", scale(2), "apply-patch+yaml")
    #expect(nameless.status == 422 && nameless.message.contains("fieldManager: Required value"))
  }

  /// What a Scale tells of its owners goes back to the object without the time, as in the reference.
  @Test func `who scales is an owner without a time`() async throws {
    let server = TestServer()
    try await server.post("\(Self.deployments)?fieldManager=maker", deployment(1))
    try await server.patch("\(Self.deployments)/web/scale?fieldManager=scaler", ["spec": ["replicas": 2]])
    _ = try await apply(server, scale(3), as: "applier", to: "/scale", force: true)
    _ = try await server.patch("\(Self.deployments)/web/scale?fieldManager=scaler", ["spec": ["replicas": 4]])
    let entries = try await server.get("\(Self.deployments)/web").json["metadata"]["managedFields"].elements
    #expect(entries.map { $0["manager"] } == ["scaler", "maker"])
    #expect(entries[0]["time"].isNull && entries[0]["subresource"] == "scale")
    #expect(!entries[1]["time"].isNull)
  }
}
