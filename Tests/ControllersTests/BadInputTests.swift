// What makes no sense ends in a condition or an event, or simply stands still; never in a busy loop.
import Client
import HTTP
import JSON
import Schema
import Synchronization
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct BadInputTests {
  /// Counts what controllers write, and what they ask of single namespaces; lists, watches and discovery come anyway.
  private struct CountingTransport: HTTPTransport {
    final class Count: Sendable {
      let requests = Mutex(0)
    }
    let base: any HTTPTransport
    let count: Count

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
      if request.method != "GET" || request.target.contains("/namespaces/default/") {
        count.requests.withLock { $0 += 1 }
      }
      return try await base.send(request)
    }
  }

  /// Plays a story; once it has ended, and two minutes later, controllers ask for no more than so much in a minute.
  private func tell(
    requestsPerMinute limit: Int, _ story: @escaping @Sendable (ControlPlane) async throws -> Void
  ) throws {
    let plane = try ControlPlane(nodes: 2, controllers: false)
    let count = CountingTransport.Count()
    let manager = plane.cluster.startControllers { CountingTransport(base: $0, count: count) }
    try plane.tell { plane in
      try await plane.world.eventually("the account is there") {
        try await plane.admin.find(.serviceAccounts, namespace: "default", name: "default") != nil
      }
      try await story(plane)
      try await plane.world.sleep(for: .seconds(120))
      let before = count.requests.withLock { $0 }
      try await plane.world.sleep(for: .seconds(300))
      let asked = count.requests.withLock { $0 } - before
      #expect(asked <= 5 * limit, "\(asked) requests in five minutes")
    }
    manager.cancel()
  }

  private static func replicaSet(_ name: String, replicas: Int64) -> JSONValue {
    [
      "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": ["name": .string(name)],
      "spec": [
        "replicas": .integer(replicas), "selector": ["matchLabels": ["app": "web"]],
        "template": [
          "metadata": ["labels": ["app": "web"]], "spec": ["containers": [["name": "main", "image": "web:1"]]],
        ],
      ],
    ]
  }

  @Test func twoSetsThatSelectTheSamePodsShareThem() throws {
    try tell(requestsPerMinute: 2) { plane in
      // Given a pod of nobody that both would have
      try await plane.admin.create(.pods, namespace: "default", Fixture.pod("stray", labels: ["app": "web"]))
      for name in ["one", "two"] {
        try await plane.admin.create(.replicaSets, namespace: "default", Self.replicaSet(name, replicas: 3))
      }
      // then each has its three, and nobody is a stray.
      try await plane.world.eventually("both are complete", within: .seconds(60)) {
        let sets = try await plane.admin.list(.replicaSets, namespace: "default").items.map(ReplicaSet.init(json:))
        return sets.allSatisfy { $0.status.readyReplicas == 3 && $0.status.replicas == 3 }
      }
      let pods = try await plane.pods("app=web")
      #expect(pods.count == 6 && pods.allSatisfy { $0.metadata.controller != nil })
    }
  }

  @Test func twoDeploymentsWithOneSelectorLeaveEachOtherAlone() throws {
    try tell(requestsPerMinute: 2) { plane in
      for name in ["one", "two"] {
        var object = Fixture.deployment(name, replicas: 2)
        object["spec"]["selector"] = ["matchLabels": ["app": "shared"]]
        object["spec"]["template"]["metadata"]["labels"] = ["app": "shared"]
        try await plane.admin.create(.deployments, namespace: "default", object)
      }
      for name in ["one", "two"] { try await plane.rolledOut(name) }
      #expect(try await plane.pods("app=shared").count == 4)
    }
  }

  @Test func noReplicasAreNone() throws {
    try tell(requestsPerMinute: 2) { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 0))
      try await plane.rolledOut("web")
      #expect(try await plane.pods("app=web").isEmpty)
      let conditions = try await plane.deployment("web")["status"]["conditions"].elements
      #expect(conditions.contains { $0["type"].string == "Available" && $0["status"].string == "True" })
    }
  }

  @Test func percentagesThatRoundToNothingStillRoll() throws {
    try tell(requestsPerMinute: 2) { plane in
      var object = Fixture.deployment("web", replicas: 3)
      object["spec"]["strategy"] = [
        "type": "RollingUpdate", "rollingUpdate": ["maxSurge": 0, "maxUnavailable": "10%"],
      ]
      try await plane.admin.create(.deployments, namespace: "default", object)
      try await plane.rolledOut("web")
      try await plane.setImage("web", "web:2")
      try await plane.rolledOut("web")
      try await plane.world.eventually("the old pods have gone", within: .seconds(60)) {
        try await plane.pods("app=web").count == 3
      }
    }
  }

  @Test func aQuotaThatIsFullIsACondition() throws {
    try tell(requestsPerMinute: 10) { plane in
      try await plane.admin.create(
        .resourceQuotas, namespace: "default",
        ["apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "q"], "spec": ["hard": ["pods": "1"]]])
      try await plane.world.eventually("the quota counts") {
        try await plane.admin.get(.resourceQuotas, namespace: "default", name: "q")["status"]["hard"]["pods"].string
          == "1"
      }
      try await plane.admin.create(.replicaSets, namespace: "default", Self.replicaSet("web", replicas: 5))
      try await plane.world.eventually("a condition and an event", within: .seconds(60)) {
        let set = ReplicaSet(json: try await plane.admin.get(.replicaSets, namespace: "default", name: "web"))
        let failure = set.status.conditions.first { $0.type == "ReplicaFailure" }
        let events = try await plane.events(of: "web")
        return failure?.reason == "FailedCreate" && failure?.message.contains("exceeded quota") == true
          && events.contains { $0.hasPrefix("FailedCreate: Error creating: pods \"web-") }
      }
      #expect(try await plane.pods("app=web").count == 1)
    }
  }

  @Test func anAutoscalerWithoutMetricsSaysSo() throws {
    try tell(requestsPerMinute: 40) { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 2))
      try await plane.admin.create(
        .horizontalPodAutoscalers, namespace: "default",
        [
          "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": ["name": "web"],
          "spec": [
            "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": "web"], "maxReplicas": 5,
            "metrics": [
              [
                "type": "Resource",
                "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 80]],
              ]
            ],
          ],
        ])
      try await plane.world.eventually("a condition and an event", within: .seconds(60)) {
        let object = try await plane.admin.get(.horizontalPodAutoscalers, namespace: "default", name: "web")
        let active = object["status"]["conditions"].elements.first { $0["type"].string == "ScalingActive" }
        let events = try await plane.events(of: "web")
        return active?["status"].string == "False" && active?["reason"].string == "FailedGetResourceMetric"
          && events.contains { $0.hasPrefix("FailedGetResourceMetric: ") }
      }
      #expect(try await plane.deployment("web")["spec"]["replicas"].integer == 2)
    }
  }
}
