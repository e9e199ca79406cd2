// Objects that others own: collected, orphaned, waited for.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing
import World

extension Conformance {
  static let garbageStories: [Int: Story] = [
    57: { try await $0.deletesReplicaSetsOfADeployment() },
    58: { try await $0.deletesPodsOfAController() },
    59: { try await $0.keepsTheOwnerUntilItsPodsAreGone() },
    60: { try await $0.isNotBlockedByACircle() },
    61: { try await $0.keepsWhatHasAnotherOwner() },
    62: { try await $0.orphansReplicaSetsOfADeployment() },
    63: { try await $0.orphansPodsOfAController() },
  ]

  private static func controller(_ name: String, replicas: Int64 = 2) -> JSONValue {
    [
      "metadata": ["name": .string(name)],
      "spec": [
        "replicas": .integer(replicas), "selector": ["name": .string(name)],
        "template": [
          "metadata": ["labels": ["name": .string(name)]], "spec": ["containers": [["name": "n", "image": "nginx:1"]]],
        ],
      ],
    ]
  }

  private func makeController(_ name: String) async throws {
    try await make(.replicationControllers, Self.controller(name))
    try await eventually("pods of \(name)") {
      try await names(.pods, ListOptions(labelSelector: "name=\(name)")).count == 2
    }
  }

  private func deletesPodsOfAController() async throws {
    startControllers()
    try await makeController("simpletest-rc")
    try await client.delete(
      .replicationControllers, namespace: namespace, name: "simpletest-rc", DeleteOptions(propagation: .background))
    try await eventually("all gone") { try await names(.pods).isEmpty }
    #expect(try await names(.replicationControllers).isEmpty)
  }

  private func orphansPodsOfAController() async throws {
    startControllers()
    try await makeController("simpletest-rc")
    try await client.delete(
      .replicationControllers, namespace: namespace, name: "simpletest-rc", DeleteOptions(propagation: .orphan))
    try await eventually("the owner is gone") { try await names(.replicationControllers).isEmpty }
    try await world.sleep(for: .seconds(30))
    let pods = try await client.list(.pods, namespace: namespace).items
    #expect(pods.count == 2 && pods.allSatisfy { $0["metadata"]["ownerReferences"].elements.isEmpty })
  }

  private func keepsTheOwnerUntilItsPodsAreGone() async throws {
    startControllers()
    try await makeController("simpletest-rc")
    // Something holds the pods for a while.
    for name in try await names(.pods) {
      try await client.patch(
        .pods, namespace: namespace, name: name, ["metadata": ["finalizers": ["e2e.example.com/hold"]]], type: .merge)
    }
    try await client.delete(
      .replicationControllers, namespace: namespace, name: "simpletest-rc", DeleteOptions(propagation: .foreground))
    try await world.sleep(for: .seconds(10))
    let owner = try await read(.replicationControllers, "simpletest-rc")
    #expect(owner["metadata"]["finalizers"] == ["foregroundDeletion"])
    #expect(!owner["metadata"]["deletionTimestamp"].isNull)
    for name in try await names(.pods) {
      try await client.patch(
        .pods, namespace: namespace, name: name, ["metadata": ["finalizers": .null]], type: .merge)
    }
    try await eventually("all gone") {
      let left = try await names(.pods) + names(.replicationControllers)
      return left.isEmpty
    }
  }

  private func deployment() async throws {
    try await make(.deployments, Fixture.deployment("simpletest", replicas: 2, namespace: namespace))
    try await eventually("a replica set") { try await names(.replicaSets).count == 1 }
  }

  private func deletesReplicaSetsOfADeployment() async throws {
    startControllers()
    try await deployment()
    try await client.delete(
      .deployments, namespace: namespace, name: "simpletest", DeleteOptions(propagation: .background))
    try await eventually("all gone") {
      let left = try await names(.pods) + names(.replicaSets)
      return left.isEmpty
    }
  }

  private func orphansReplicaSetsOfADeployment() async throws {
    startControllers()
    try await deployment()
    try await client.delete(
      .deployments, namespace: namespace, name: "simpletest", DeleteOptions(propagation: .orphan))
    try await eventually("the owner is gone") { try await names(.deployments).isEmpty }
    try await world.sleep(for: .seconds(30))
    let sets = try await client.list(.replicaSets, namespace: namespace).items
    #expect(sets.count == 1 && sets[0]["metadata"]["ownerReferences"].elements.isEmpty)
  }

  private func own(_ pod: String, by owners: [JSONValue]) async throws {
    try await client.patch(
      .pods, namespace: namespace, name: pod, ["metadata": ["ownerReferences": .array(owners)]], type: .merge)
  }

  private func owner(_ object: JSONValue, kind: String, apiVersion: String = "v1", blocks: Bool = false) -> JSONValue {
    [
      "apiVersion": .string(apiVersion), "kind": .string(kind), "name": object["metadata"]["name"],
      "uid": object["metadata"]["uid"], "blockOwnerDeletion": .bool(blocks),
    ]
  }

  private func isNotBlockedByACircle() async throws {
    try await makeAccount()
    var pods: [JSONValue] = []
    for number in 1...3 { pods.append(try await make(.pods, Self.pod("pod\(number)"))) }
    for (index, name) in ["pod1", "pod2", "pod3"].enumerated() {
      try await own(name, by: [owner(pods[(index + 2) % 3], kind: "Pod", blocks: true)])
    }
    startControllers()
    try await client.delete(.pods, namespace: namespace, name: "pod1", DeleteOptions(propagation: .foreground))
    try await eventually("the whole circle is gone") { try await names(.pods).isEmpty }
  }

  private func keepsWhatHasAnotherOwner() async throws {
    startControllers()
    try await makeController("simpletest-rc-to-be-deleted")
    let stays = try await make(
      .replicationControllers, Self.controller("simpletest-rc-to-stay", replicas: 0))
    let deleted = try await read(.replicationControllers, "simpletest-rc-to-be-deleted")
    let pods = try await names(.pods)
    var both = owner(deleted, kind: "ReplicationController", blocks: true)
    both["controller"] = true
    try await own(pods[0], by: [both, owner(stays, kind: "ReplicationController")])
    try await client.delete(
      .replicationControllers, namespace: namespace, name: "simpletest-rc-to-be-deleted",
      DeleteOptions(propagation: .foreground))
    try await eventually("the first owner is gone") {
      try await names(.replicationControllers) == ["simpletest-rc-to-stay"]
    }
    let left = try await client.list(.pods, namespace: namespace).items
    #expect(left.compactMap { $0["metadata"]["name"].string } == [pods[0]])
    #expect(left[0]["metadata"]["ownerReferences"].elements.map { $0["name"] } == ["simpletest-rc-to-stay"])
    #expect(left[0]["metadata"]["deletionTimestamp"].isNull)
  }
}
