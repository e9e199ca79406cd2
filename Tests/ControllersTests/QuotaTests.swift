// What quotas count, give back, and how they stay exact.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@Suite struct QuotaTests {
  private func quota(_ hard: JSONValue, _ spec: JSONValue = [:]) -> JSONValue {
    var spec = spec
    spec["hard"] = hard
    return ["apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "q"], "spec": spec]
  }

  private func pod(_ name: String, cpu: String = "100m") -> JSONValue {
    [
      "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name)],
      "spec": [
        "containers": [["name": "c", "image": "i", "resources": ["requests": ["cpu": .string(cpu)]]]],
        "nodeSelector": ["none": "such"],
      ],
    ]
  }

  private func uses(_ plane: ControlPlane, _ used: JSONValue, within limit: Duration = .seconds(20)) async throws {
    try await plane.world.eventually("the quota uses \(used)", within: limit) {
      let status = try await plane.admin.get(.resourceQuotas, namespace: "default", name: "q")["status"]
      return !status["hard"].isNull && status["used"] == used
    }
  }

  private func furnished(_ plane: ControlPlane) async throws {
    try await plane.world.eventually("the account is there", within: .seconds(30)) {
      try await plane.admin.find(.serviceAccounts, namespace: "default", name: "default") != nil
    }
  }

  @Test func whatWasThereBeforeTheQuotaIsCounted() throws {
    try ControlPlane(nodes: 0).tell { plane in
      try await furnished(plane)
      for name in ["a", "b"] { try await plane.admin.create(.pods, namespace: "default", pod(name)) }
      let claim: JSONValue = [
        "metadata": ["name": "c"],
        "spec": [
          "accessModes": ["ReadWriteOnce"], "storageClassName": "gold",
          "resources": ["requests": ["storage": "10Gi"]],
        ],
      ]
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", claim)
      try await plane.admin.create(
        .resourceQuotas, namespace: "default",
        quota([
          "pods": "10", "requests.cpu": "1", "count/pods": "10", "configmaps": "10", "requests.storage": "1Ti",
          "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "5",
          "bronze.storageclass.storage.k8s.io/requests.storage": "5Gi",
        ]))
      try await uses(
        plane,
        [
          "bronze.storageclass.storage.k8s.io/requests.storage": "0", "configmaps": "1", "count/pods": "2",
          "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1", "pods": "2", "requests.cpu": "200m",
          "requests.storage": "10Gi",
        ])
    }
  }

  @Test func aPodThatEndsGivesBackAllButItsPlaceInTheStore() throws {
    try ControlPlane(nodes: 0).tell { plane in
      try await furnished(plane)
      try await plane.admin.create(
        .resourceQuotas, namespace: "default", quota(["pods": "2", "cpu": "1", "count/pods": "5"]))
      for name in ["a", "b"] { try await plane.admin.create(.pods, namespace: "default", pod(name)) }
      try await uses(plane, ["count/pods": "2", "cpu": "200m", "pods": "2"])
      try await plane.admin.patch(
        .pods, namespace: "default", name: "a", ["status": ["phase": "Succeeded"]], type: .merge, subresource: "status")
      try await uses(plane, ["count/pods": "2", "cpu": "100m", "pods": "1"])
      try await plane.admin.create(.pods, namespace: "default", pod("c"))
      try await uses(plane, ["count/pods": "3", "cpu": "200m", "pods": "2"])
    }
  }

  @Test func customResourcesAreCountedByName() throws {
    try ControlPlane(nodes: 0).tell { plane in
      let leases = ResourceReference.leases
      try await plane.admin.create(
        .resourceQuotas, namespace: "default", quota(["count/leases.coordination.k8s.io": "3"]))
      for name in ["a", "b", "c"] {
        try await plane.admin.create(leases, namespace: "default", ["metadata": ["name": .string(name)]])
      }
      try await uses(plane, ["count/leases.coordination.k8s.io": "3"])
      await #expect(throws: APIStatus.self) {
        try await plane.admin.create(leases, namespace: "default", ["metadata": ["name": "d"]])
      }
      try await plane.admin.delete(leases, namespace: "default", name: "b")
      try await uses(plane, ["count/leases.coordination.k8s.io": "2"])
    }
  }

  @Test func newLimitsAreTakenOverAndOldOnesForgotten() throws {
    try ControlPlane(nodes: 0).tell { plane in
      try await furnished(plane)
      try await plane.admin.create(.resourceQuotas, namespace: "default", quota(["pods": "2"]))
      try await uses(plane, ["pods": "0"])
      var object = try await plane.admin.get(.resourceQuotas, namespace: "default", name: "q")
      object["spec"]["hard"] = ["services": "4", "services.nodeports": "2"]
      try await plane.admin.update(.resourceQuotas, namespace: "default", name: "q", object)
      // "default" holds the service "kubernetes" only where servers keep it; here there is none.
      try await uses(plane, ["services": "0", "services.nodeports": "0"])
      let status = try await plane.admin.get(.resourceQuotas, namespace: "default", name: "q")["status"]
      #expect(status["hard"] == ["services": "4", "services.nodeports": "2"])
      let service: JSONValue = ["metadata": ["name": "s"], "spec": ["type": "NodePort", "ports": [["port": 80]]]]
      try await plane.admin.create(.services, namespace: "default", service)
      try await uses(plane, ["services": "1", "services.nodeports": "1"])
      try await plane.admin.patch(
        .services, namespace: "default", name: "s", ["spec": ["type": "ClusterIP"]], type: .merge)
      try await uses(plane, ["services": "1", "services.nodeports": "0"])
    }
  }

  /// Creates and deletes race with recounts: what is written in the end is what there is.
  @Test func countsAreExactWhileManyWrite() throws {
    try ControlPlane(nodes: 0).tell { plane in
      try await furnished(plane)
      try await plane.admin.create(
        .resourceQuotas, namespace: "default", quota(["secrets": "30", "count/secrets": "30"]))
      await withTaskGroup(of: Void.self) { group in
        for index in 0..<40 {
          group.addTask {
            let name = "s-\(index)"
            let made = try? await plane.admin.create(
              .secrets, namespace: "default", ["metadata": ["name": .string(name)]])
            if made != nil, index % 2 == 0 {
              _ = try? await plane.admin.delete(.secrets, namespace: "default", name: name)
            }
          }
        }
      }
      let left = try await plane.admin.list(.secrets, namespace: "default").items.count
      #expect(left <= 30)
      try await uses(plane, ["count/secrets": .string("\(left)"), "secrets": .string("\(left)")])
    }
  }
}
