// The scheduler at work against an API server.
import Client
import HTTP
import JSON
import Schema
import Synchronization
import TestSupport
import Testing
import World

@testable import Scheduler

@Suite struct SchedulerStories {
  private func tell(
    _ story: @escaping @Sendable (TestCluster, APIClient, SpawnedTask) async throws -> Void
  ) throws {
    let cluster = try TestCluster()
    let task = cluster.world.spawn {
      await Scheduler(client: cluster.client("system:kube-scheduler"), logger: cluster.logger).run()
    }
    let admin = cluster.client()
    try cluster.world.run {
      try await admin.create(.serviceAccounts, namespace: "default", ["metadata": ["name": "default"]])
      try await story(cluster, admin, task)
      task.cancel()
      await task.wait()
    }
  }

  @Test func aPodWaitsForANodeAndSaysWhy() throws {
    try tell { cluster, admin, _ in
      try await admin.create(.nodes, Fixture.node("small", cpu: "500m"))
      try await admin.patch(.nodes, name: "small", ["spec": ["taints": .null]], type: .merge)
      try await admin.create(.pods, namespace: "default", Fixture.pod("web", cpu: "1"))
      let why =
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
        + "1 Preemption is not helpful for scheduling."
      try await cluster.world.eventually("the condition tells") {
        let pod = Pod(json: try await admin.get(.pods, namespace: "default", name: "web"))
        let condition = pod.status.condition("PodScheduled")
        return condition?.status == "False" && condition?.reason == "Unschedulable" && condition?.message == why
      }
      try await cluster.world.eventually("so does an event") {
        try await admin.list(.events, namespace: "default").items.contains {
          $0["reason"].string == "FailedScheduling" && $0["message"].string == why && $0["type"].string == "Warning"
        }
      }
      try await cluster.world.sleep(for: .seconds(20))
      try await admin.create(.nodes, Fixture.node("large"))
      try await admin.patch(.nodes, name: "large", ["spec": ["taints": .null]], type: .merge)
      try await cluster.world.eventually("bound once there is room", within: .seconds(12)) {
        try await admin.get(.pods, namespace: "default", name: "web")["spec"]["nodeName"].string == "large"
      }
      try await cluster.world.eventually("Scheduled") {
        try await admin.list(.events, namespace: "default").items.contains {
          $0["reason"].string == "Scheduled"
            && $0["message"].string == "Successfully assigned default/web to large"
            && $0["action"] == "Binding" && $0["reportingComponent"] == "default-scheduler"
            && $0["reportingInstance"] == "default-scheduler-local" && $0["source"] == [:]
            && $0["firstTimestamp"].isNull && !$0["eventTime"].isNull
        }
      }
    }
  }

  @Test func placesAreNotGivenTwice() throws {
    try tell { cluster, admin, _ in
      for index in 0..<3 {
        try await admin.create(.nodes, Fixture.node("n\(index)", cpu: "1"))
        try await admin.patch(.nodes, name: "n\(index)", ["spec": ["taints": .null]], type: .merge)
      }
      for index in 0..<20 { try await admin.create(.pods, namespace: "default", Fixture.pod("p\(index)", cpu: "300m")) }
      try await cluster.world.eventually("nine fit") {
        let pods = try await admin.list(.pods, namespace: "default").items.map(Pod.init(json:))
        return pods.filter { !$0.spec.nodeName.isEmpty }.count == 9
      }
      try await cluster.world.sleep(for: .seconds(30))
      let pods = try await admin.list(.pods, namespace: "default").items.map(Pod.init(json:))
      for index in 0..<3 { #expect(pods.filter { $0.spec.nodeName == "n\(index)" }.count == 3) }
    }
  }

  @Test func aSchedulerThatStoppedLeavesNothingBehind() throws {
    try tell { cluster, admin, task in
      try await admin.create(.pods, namespace: "default", Fixture.pod("web", cpu: "1"))
      try await cluster.world.sleep(for: .seconds(3))
      task.cancel()
      await task.wait()
      try await admin.create(.nodes, Fixture.node("large"))
      try await admin.patch(.nodes, name: "large", ["spec": ["taints": .null]], type: .merge)
      try await cluster.world.sleep(for: .seconds(600))
      #expect(try await admin.get(.pods, namespace: "default", name: "web")["spec"]["nodeName"].isZero)
    }
  }

  @Test func aMoreImportantPodTakesThePlaceOfALessImportantOne() throws {
    try tell { cluster, admin, _ in
      for (name, value) in [("high", 1000), ("low", 1)] as [(String, Int64)] {
        try await admin.create(
          .priorityClasses, ["metadata": ["name": .string(name)], "value": .integer(value)])
      }
      func pod(_ name: String, _ priority: String) -> JSONValue {
        var pod = Fixture.pod(name, cpu: "700m")
        pod["spec"]["priorityClassName"] = .string(priority)
        return pod
      }
      try await admin.create(.nodes, Fixture.node("n", cpu: "1"))
      try await admin.patch(.nodes, name: "n", ["spec": ["taints": .null]], type: .merge)
      try await admin.create(.pods, namespace: "default", pod("victim", "low"))
      try await cluster.world.eventually("bound") {
        try await admin.get(.pods, namespace: "default", name: "victim")["spec"]["nodeName"].string == "n"
      }
      try await admin.create(.pods, namespace: "default", pod("urgent", "high"))
      try await cluster.world.eventually("told and deleted, the room promised") {
        let victim = Pod(json: try await admin.get(.pods, namespace: "default", name: "victim"))
        let condition = victim.status.condition("DisruptionTarget")
        let urgent = try await admin.get(.pods, namespace: "default", name: "urgent")
        return victim.metadata.isBeingDeleted && condition?.reason == "PreemptionByScheduler"
          && condition?.message == "default-scheduler: preempting to accommodate a higher priority pod"
          && urgent["status"]["nominatedNodeName"].string == "n"
      }
      // Another that is no more important than the victim does not get the room.
      try await admin.create(.pods, namespace: "default", pod("late", "low"))
      // The kubelet's part.
      try await admin.delete(.pods, namespace: "default", name: "victim", .init(gracePeriodSeconds: 0))
      try await cluster.world.eventually("the room is taken") {
        try await admin.get(.pods, namespace: "default", name: "urgent")["spec"]["nodeName"].string == "n"
      }
      #expect(try await admin.get(.pods, namespace: "default", name: "late")["spec"]["nodeName"].isZero)
      try await cluster.world.eventually("Preempted") {
        let uid = Pod(json: try await admin.get(.pods, namespace: "default", name: "urgent")).metadata.uid
        return try await admin.list(.events, namespace: "default").items.contains {
          $0["reason"].string == "Preempted" && $0["message"].string == "Preempted by pod \(uid) on node n"
            && $0["involvedObject"]["name"].string == "victim" && $0["type"].string == "Normal"
        }
      }
    }
  }

  @Test func aBindingThatIsRefusedIsAnErrorOfTheScheduler() throws {
    let cluster = try TestCluster()
    let transport = RefusedBinding(inner: cluster.transport("system:kube-scheduler"))
    let client = APIClient(transport: transport, world: cluster.world, userAgent: "scheduler/1 (test)")
    let task = cluster.world.spawn { await Scheduler(client: client, logger: cluster.logger).run() }
    let admin = cluster.client()
    try cluster.world.run {
      try await admin.create(.serviceAccounts, namespace: "default", ["metadata": ["name": "default"]])
      try await admin.create(.nodes, Fixture.node("n", cpu: "1"))
      try await admin.patch(.nodes, name: "n", ["spec": ["taints": .null]], type: .merge)
      try await admin.create(.pods, namespace: "default", Fixture.pod("web", cpu: "700m"))
      let why = "running Bind plugin \"DefaultBinder\": pods \"web\" is forbidden: not today"
      try await cluster.world.eventually("the condition tells") {
        let pod = Pod(json: try await admin.get(.pods, namespace: "default", name: "web"))
        let condition = pod.status.condition("PodScheduled")
        return condition?.status == "False" && condition?.reason == "SchedulerError" && condition?.message == why
      }
      try await cluster.world.eventually("so does an event") {
        try await admin.list(.events, namespace: "default").items.contains {
          $0["reason"].string == "FailedScheduling" && $0["message"].string == why && $0["type"].string == "Warning"
        }
      }
      transport.mayBind.withLock { $0 = true }
      try await cluster.world.eventually("bound when it may be", within: .seconds(30)) {
        try await admin.get(.pods, namespace: "default", name: "web")["spec"]["nodeName"].string == "n"
      }
      task.cancel()
      await task.wait()
    }
  }

  /// Given a pod that waits and is deleted, and stays for somebody's finalizer, then it is passed over, and told so.
  @Test func aPodThatGoesIsPassedOver() throws {
    try tell { cluster, admin, _ in
      var pod = Fixture.pod("web", cpu: "1")
      pod["metadata"]["finalizers"] = ["example.com/wait"]
      try await admin.create(.pods, namespace: "default", pod)
      try await cluster.world.eventually("it waits") {
        let pod = Pod(json: try await admin.get(.pods, namespace: "default", name: "web"))
        return pod.status.condition("PodScheduled")?.message == "no nodes available to schedule pods"
      }
      try await admin.delete(.pods, namespace: "default", name: "web")
      try await cluster.world.sleep(for: .seconds(20))
      try await admin.create(.nodes, Fixture.node("n"))
      try await admin.patch(.nodes, name: "n", ["spec": ["taints": .null]], type: .merge)
      @Sendable func told() async throws -> Int64 {
        try await admin.list(.events, namespace: "default").items
          .filter {
            $0["reason"] == "FailedScheduling" && $0["type"] == "Warning"
              && $0["message"] == "skip schedule deleting pod: default/web"
          }.reduce(0) { $0 + ($1["series"]["count"].integer ?? 1) }
      }
      try await cluster.world.eventually("told", within: .seconds(60)) { try await told() == 1 }
      try await cluster.world.sleep(for: .seconds(900))
      #expect(try await admin.get(.pods, namespace: "default", name: "web")["spec"]["nodeName"].isZero)
      #expect(try await told() == 1, "once is enough")
    }
  }

  /// Given pods of a StatefulSet that ask for no spreading, and one node with much more room, then they are spread.
  @Test func podsOfAStatefulSetAreSpreadByDefault() throws {
    try tell { cluster, admin, _ in
      for (name, cpu) in [("large", "64"), ("small", "4")] {
        try await admin.create(.nodes, Fixture.node(name, cpu: cpu, labels: ["topology.kubernetes.io/zone": name]))
        try await admin.patch(.nodes, name: name, ["spec": ["taints": .null]], type: .merge)
      }
      var set = Fixture.deployment("db", replicas: 4)
      set["kind"] = "StatefulSet"
      set["spec"]["serviceName"] = "db"
      set["spec"]["minReadySeconds"] = .null
      let uid = try await admin.create(.statefulSets, namespace: "default", set)["metadata"]["uid"]
      func places(_ prefix: String, labels: JSONValue, owned: Bool) async throws -> [String] {
        for index in 0..<4 {
          var pod = Fixture.pod("\(prefix)-\(index)", labels: labels, cpu: "500m")
          if owned {
            pod["metadata"]["ownerReferences"] = [
              ["apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": uid, "controller": true]
            ]
          }
          try await admin.create(.pods, namespace: "default", pod)
          try await cluster.world.eventually("bound") {
            try await !admin.get(.pods, namespace: "default", name: "\(prefix)-\(index)")["spec"]["nodeName"].isZero
          }
        }
        let pods = try await admin.list(.pods, namespace: "default").items.map(Pod.init(json:))
        return pods.filter { $0.name.hasPrefix(prefix) }.map(\.spec.nodeName).sorted()
      }
      #expect(try await places("alone", labels: ["app": "db"], owned: false) == Array(repeating: "large", count: 4))
      for index in 0..<4 {
        try await admin.delete(.pods, namespace: "default", name: "alone-\(index)", .init(gracePeriodSeconds: 0))
      }
      #expect(try await places("db", labels: ["app": "db"], owned: true) == ["large", "large", "small", "small"])
    }
  }

  /// A server breaks off while it binds: the room is not given away, for what was sent may still be carried out.
  @Test func aBindingWithoutAnAnswerKeepsItsRoom() throws {
    let cluster = try TestCluster()
    let transport = BrokenBinding(inner: cluster.transport("system:kube-scheduler"), world: cluster.world)
    let client = APIClient(transport: transport, world: cluster.world, userAgent: "scheduler/1 (test)")
    let task = cluster.world.spawn { await Scheduler(client: client, logger: cluster.logger).run() }
    let admin = cluster.client()
    try cluster.world.run {
      try await admin.create(.serviceAccounts, namespace: "default", ["metadata": ["name": "default"]])
      try await admin.create(.nodes, Fixture.node("n", cpu: "1"))
      try await admin.patch(.nodes, name: "n", ["spec": ["taints": .null]], type: .merge)
      for name in ["a", "b"] { try await admin.create(.pods, namespace: "default", Fixture.pod(name, cpu: "700m")) }
      try await cluster.world.sleep(for: .seconds(30))
      let pods = try await admin.list(.pods, namespace: "default").items.map(Pod.init(json:))
      #expect(pods.filter { $0.spec.nodeName == "n" }.count == 1)
      #expect(transport.broken.withLock { $0 })
      task.cancel()
      await task.wait()
    }
  }
}

/// Breaks off at the first binding, which is carried out a while later.
private final class BrokenBinding: HTTPTransport {
  private let inner: any HTTPTransport
  private let world: any World
  let broken = Mutex(false)

  init(inner: any HTTPTransport, world: any World) {
    self.inner = inner
    self.world = world
  }

  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    let isFirst =
      request.target.contains("/binding")
      && broken.withLock { wasBroken in
        defer { wasBroken = true }
        return !wasBroken
      }
    guard isFirst else { return try await inner.send(request) }
    let (inner, world) = (inner, world)
    world.spawn {
      try? await world.sleep(for: .seconds(5))
      _ = try? await inner.send(request)
    }
    // The other pod has been refused the room meanwhile; it is tried again before this one.
    try await world.sleep(for: .milliseconds(100))
    throw HTTPError.connectionClosed("by the test")
  }
}

/// Refuses bindings until they are allowed.
private final class RefusedBinding: HTTPTransport {
  private let inner: any HTTPTransport
  let mayBind = Mutex(false)

  init(inner: any HTTPTransport) { self.inner = inner }

  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    guard request.target.contains("/binding"), !mayBind.withLock({ $0 }) else { return try await inner.send(request) }
    let status: JSONValue = [
      "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure",
      "message": "pods \"web\" is forbidden: not today", "reason": "Forbidden", "code": 403,
    ]
    return HTTPResponse(status: 403, body: .bytes(status.bytes))
  }
}
