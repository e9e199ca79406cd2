import EventLoop
import HTTP
import JSON
import Replica
import Schema
import Testing
import World

/// Objects that nobody stores: the store and the loops of the control plane.
@Suite struct ComponentStatusTests {
  private static let path = "/api/v1/componentstatuses"

  private func lease(_ name: String, renewed: String) -> JSONValue {
    [
      "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ["name": .string(name)],
      "spec": ["holderIdentity": "server-1", "leaseDurationSeconds": 15, "renewTime": .string(renewed)],
    ]
  }

  @Test func `components whose leases are fresh are healthy`() async throws {
    let server = TestServer()
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
    let now = "\(testLoop.wallClock.rfc3339.dropLast()).000000Z"
    #expect(try await server.post(leases, lease("kube-scheduler", renewed: now)).status == 201)
    #expect(
      try await server.post(leases, lease("kube-controller-manager", renewed: "2020-01-01T00:00:00.000000Z")).status
        == 201)
    let list = try await server.get(Self.path)
    #expect(list.json["kind"] == "ComponentStatusList" && list.json["metadata"] == [:])
    #expect(list.names == ["controller-manager", "etcd-0", "scheduler"])
    #expect(list.headers["warning"] == #"299 - "v1 ComponentStatus is deprecated in v1.19+""#)
    let scheduler = try await server.get("\(Self.path)/scheduler")
    #expect(scheduler.json["conditions"] == [["type": "Healthy", "status": "True", "message": "ok"]])
    #expect(scheduler.json["metadata"] == ["name": "scheduler", "creationTimestamp": .null])
    let manager = try await server.get("\(Self.path)/controller-manager")
    #expect(manager.json["conditions"][0]["status"] == "False")
    #expect(
      manager.json["conditions"][0]["error"]
        == "server-1 has not renewed the lease kube-system/kube-controller-manager in time")
  }

  @Test func `they can be selected, and only read`() async throws {
    let server = TestServer()
    #expect(try await server.get("\(Self.path)?fieldSelector=metadata.name%3Detcd-0").names == ["etcd-0"])
    #expect(try await server.get("\(Self.path)/nobody").reason == "NotFound")
    #expect(try await server.delete("\(Self.path)/etcd-0").status == 405)
    #expect(try await server.get("\(Self.path)?watch=true").status == 405)
    let table = try await server.get(Self.path, accept: "application/json;as=Table;v=v1;g=meta.k8s.io")
    #expect(table.json["rows"][1]["cells"] == ["etcd-0", "Healthy", "ok", ""])
  }
}
