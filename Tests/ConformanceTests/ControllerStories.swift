// What controllers do with objects of which no container has to run.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing
import World

extension Conformance {
  static let controllerStories: [Int: Story] = [
    68: { try await $0.removesServicesWithTheirNamespace() },
    96: { try await $0.doesNotScheduleWhatIsSuspended() },
    97: { try await $0.runsAsPolicySays("Forbid", jobs: 1) },
    98: { try await $0.runsAsPolicySays("Replace", jobs: 1) },
    99: { try await $0.runsAsPolicySays("Allow", jobs: 2) },
    116: { try await $0.deletesACollectionOfBudgets() },
    139: { try await $0.tellsOfAQuotaThatStopsAController() },
    190: { try await $0.followsAServiceWithASelector() },
  ]

  private func removesServicesWithTheirNamespace() async throws {
    startControllers()
    try await makeNamespace("nsdeletetest")
    try await client.create(
      .services, namespace: "nsdeletetest",
      ["metadata": ["name": "test-service"], "spec": ["selector": ["foo": "bar"], "ports": [["port": 80]]]])
    try await client.delete(.namespaces, name: "nsdeletetest")
    try await eventually("the namespace is gone") { try await client.find(.namespaces, name: "nsdeletetest") == nil }
    try await makeNamespace("nsdeletetest")
    #expect(try await client.list(.services, namespace: "nsdeletetest").items.isEmpty)
  }

  private func makeCronJob(_ policy: String, suspended: Bool = false) async throws {
    try await make(
      .cronJobs,
      [
        "metadata": ["name": "e2e-cron"],
        "spec": [
          "schedule": "*/1 * * * ?", "concurrencyPolicy": .string(policy), "suspend": .bool(suspended),
          "jobTemplate": [
            "spec": [
              "template": [
                "spec": ["restartPolicy": "OnFailure", "containers": [["name": "c", "image": "busybox:1"]]]
              ]
            ]
          ],
        ],
      ])
  }

  private func doesNotScheduleWhatIsSuspended() async throws {
    startControllers()
    try await makeCronJob("Allow", suspended: true)
    try await world.sleep(for: .seconds(150))
    #expect(try await names(.jobs).isEmpty)
    try await client.patch(
      .cronJobs, namespace: namespace, name: "e2e-cron", ["spec": ["suspend": false]], type: .merge)
    try await eventually("it runs once it may") { try await !names(.jobs).isEmpty }
  }

  private func runsAsPolicySays(_ policy: String, jobs: Int) async throws {
    startControllers()
    try await makeCronJob(policy)
    try await eventually("the first job", within: .seconds(90)) { try await !names(.jobs).isEmpty }
    let first = try await names(.jobs)
    try await world.sleep(for: .seconds(70))
    let later = try await names(.jobs)
    #expect(later.count >= jobs && (jobs > 1 || later.count == 1))
    #expect((first == later) == (policy == "Forbid"))
  }

  private func deletesACollectionOfBudgets() async throws {
    try await makeNamespace("e2e-other")
    for (name, namespace, value) in [("foo", namespace, "1"), ("foo2", namespace, "1%"), ("foo3", "e2e-other", "2%")] {
      try await client.create(
        .disruptionBudgets, namespace: namespace,
        [
          "metadata": ["name": .string(name), "labels": ["e2e": "pdb"]],
          "spec": [
            "minAvailable": Int64(value).map { .integer($0) } ?? .string(value),
            "selector": ["matchLabels": ["a": "b"]],
          ],
        ])
    }
    let all = try await client.list(.disruptionBudgets, ListOptions(labelSelector: "e2e=pdb")).items
    #expect(all.count == 3)
    #expect(try await names(.disruptionBudgets) == ["foo", "foo2"])
    _ = try await client.json(
      "DELETE", ResourceReference.disruptionBudgets.path(namespace: namespace), [("labelSelector", "e2e=pdb")])
    #expect(try await names(.disruptionBudgets).isEmpty)
    #expect(try await client.list(.disruptionBudgets, namespace: "e2e-other").items.count == 1)
  }

  private func tellsOfAQuotaThatStopsAController() async throws {
    startControllers()
    try await make(
      .resourceQuotas, ["metadata": ["name": "condition-test"], "spec": ["hard": ["pods": "2"]]])
    try await make(
      .replicationControllers,
      [
        "metadata": ["name": "condition-test"],
        "spec": [
          "replicas": 3, "selector": ["name": "condition-test"],
          "template": [
            "metadata": ["labels": ["name": "condition-test"]],
            "spec": ["containers": [["name": "c", "image": "i:1"]]],
          ],
        ],
      ])
    @Sendable func failure() async throws -> JSONValue? {
      try await read(.replicationControllers, "condition-test")["status"]["conditions"].elements
        .first { $0["type"] == "ReplicaFailure" && $0["status"] == "True" }
    }
    try await eventually("the failure is told") { try await failure() != nil }
    #expect(try await failure()?["reason"] == "FailedCreate")
    try await client.patch(
      .replicationControllers, namespace: namespace, name: "condition-test", ["spec": ["replicas": 2]], type: .merge)
    try await eventually("the failure is over") { try await failure() == nil }
  }

  private func followsAServiceWithASelector() async throws {
    startControllers()
    try await make(
      .services,
      [
        "metadata": ["name": "example-empty-selector"],
        "spec": ["selector": ["does-not-match-anything": "endpoints-and-endpoint-slices"], "ports": [["port": 80]]],
      ])
    let options = ListOptions(labelSelector: "kubernetes.io/service-name=example-empty-selector")
    try await eventually("both are there") {
      let endpoints = try await client.find(.endpoints, namespace: namespace, name: "example-empty-selector")
      let slices = try await client.list(.endpointSlices, namespace: namespace, options).items
      return endpoints != nil && slices.count == 1
        && slices[0]["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
          == "endpointslice-controller.k8s.io"
    }
    try await client.delete(.services, namespace: namespace, name: "example-empty-selector")
    try await eventually("both are gone") {
      let endpoints = try await client.find(.endpoints, namespace: namespace, name: "example-empty-selector")
      let slices = try await client.list(.endpointSlices, namespace: namespace, options).items
      return endpoints == nil && slices.isEmpty
    }
  }
}
