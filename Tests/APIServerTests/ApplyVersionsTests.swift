// Managers that speak different versions of one kind: what each owns is compared in its own version.
import APIServer
import JSON
import Testing

@Suite struct ApplyVersionsTests {
  private static func path(_ version: String) -> String {
    "/apis/autoscaling/\(version)/namespaces/default/horizontalpodautoscalers"
  }

  private func autoscaler(_ version: String, _ spec: JSONValue) -> JSONValue {
    var spec = spec
    spec["maxReplicas"] = 9
    spec["scaleTargetRef"] = ["apiVersion": "apps/v1", "kind": "Deployment", "name": "web"]
    return [
      "apiVersion": .string("autoscaling/\(version)"), "kind": "HorizontalPodAutoscaler", "metadata": ["name": "web"],
      "spec": spec,
    ]
  }

  private func utilization(_ name: JSONValue, _ percentage: JSONValue) -> JSONValue {
    [
      "type": "Resource",
      "resource": ["name": name, "target": ["type": "Utilization", "averageUtilization": percentage]],
    ]
  }

  @discardableResult
  private func apply(
    _ server: TestServer, _ version: String, _ spec: JSONValue, by manager: String, force: Bool = false
  ) async throws -> Reply {
    try await server.patch(
      "\(Self.path(version))/web?fieldManager=\(manager)&force=\(force)", autoscaler(version, spec), "apply-patch+yaml")
  }

  private func fields(_ reply: Reply, _ manager: String) -> JSONValue {
    reply.json["metadata"]["managedFields"].elements.first { $0["manager"].string == manager }?["fieldsV1"]["f:spec"]
      ?? .null
  }

  @Test func `a conflict is named as the other manager knows the field, and force takes it there`() async throws {
    let server = TestServer()
    let created = try await apply(server, "v1", ["targetCPUUtilizationPercentage": 50], by: "old")
    #expect(created.status == 201, "\(created.text)")
    let metrics: JSONValue = ["metrics": [utilization("cpu", 70)]]
    let refused = try await apply(server, "v2", metrics, by: "new")
    #expect(refused.status == 409)
    #expect(
      refused.message
        == #"Apply failed with 1 conflict: conflict with "old": .spec.targetCPUUtilizationPercentage"#)
    let forced = try await apply(server, "v2", metrics, by: "new", force: true)
    #expect(forced.status == 200, "\(forced.text)")
    #expect(fields(forced, "old")["f:targetCPUUtilizationPercentage"].isNull)
    #expect(!fields(forced, "old")["f:maxReplicas"].isNull)
    #expect(!fields(forced, "new")["f:metrics"].isNull)
    // What nobody changes is no conflict, whatever its name.
    let same = try await apply(server, "v2", ["minReplicas": 2], by: "third")
    #expect(same.status == 200, "\(same.text)")
  }

  @Test func `an update in one version takes what it changes from the managers of the other`() async throws {
    let server = TestServer()
    try await apply(server, "v1", ["targetCPUUtilizationPercentage": 50, "minReplicas": 2], by: "old")
    let changed = try await server.patch(
      "\(Self.path("v2"))/web?fieldManager=writer", ["spec": ["metrics": [utilization("cpu", 60)]]])
    #expect(changed.status == 200, "\(changed.text)")
    #expect(fields(changed, "old")["f:targetCPUUtilizationPercentage"].isNull)
    #expect(!fields(changed, "old")["f:minReplicas"].isNull)
    let scaled = try await server.patch("\(Self.path("v2"))/web?fieldManager=writer", ["spec": ["minReplicas": 3]])
    #expect(fields(scaled, "old")["f:minReplicas"].isNull)
  }

  @Test func `who comes back in another version gives up what it no longer says`() async throws {
    let server = TestServer()
    try await apply(server, "v1", ["targetCPUUtilizationPercentage": 50, "minReplicas": 2], by: "me")
    let moved = try await apply(server, "v2", ["metrics": [utilization("cpu", 50)]], by: "me")
    #expect(moved.status == 200, "\(moved.text)")
    #expect(moved.json["spec"]["metrics"].elements.count == 1)
    // minReplicas went with its owner and came back as the default.
    #expect(moved.json["spec"]["minReplicas"] == 1)
    let entries = moved.json["metadata"]["managedFields"].elements
    #expect(entries.count == 1 && entries[0]["apiVersion"] == "autoscaling/v2")
  }

  @Test func `managers of a version that the kind never had are forgotten by the next change`() async throws {
    let server = TestServer()
    let created = try await apply(server, "v2", ["minReplicas": 2], by: "me")
    var object = created.json
    object["metadata"]["managedFields"].append([
      "manager": "ghost", "operation": "Update", "apiVersion": "autoscaling/v9", "fieldsType": "FieldsV1",
      "time": "2025-01-01T00:00:00Z", "fieldsV1": ["f:spec": ["f:minReplicas": [:]]],
    ])
    object["spec"]["maxReplicas"] = 8
    let changed = try await server.put("\(Self.path("v2"))/web?fieldManager=writer", object)
    #expect(changed.status == 200, "\(changed.text)")
    let managers = changed.json["metadata"]["managedFields"].elements.compactMap { $0["manager"].string }
    #expect(Set(managers) == ["me", "writer"])
  }
}
