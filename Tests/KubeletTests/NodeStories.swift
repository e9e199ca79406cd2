// A hollow node against an API server.
import Client
import HTTP
import JSON
import Schema
import Synchronization
import TestSupport
import Testing
import World

@testable import Kubelet

@Suite struct NodeStories {
  private struct Bench: Sendable {
    let cluster: TestCluster
    let admin: APIClient
    var world: VirtualWorld { cluster.world }

    init() throws {
      cluster = try TestCluster()
      admin = cluster.client()
    }

    func startNode(
      _ timing: HollowRuntime.Timing = .measured, through transport: (any HTTPTransport)? = nil
    ) -> SpawnedTask {
      let client =
        transport.map { APIClient(transport: $0, world: world, userAgent: "n (test)") }
        ?? cluster.client("system:node:n")
      let runtime = HollowRuntime(
        world: world, version: "1", podNetwork: "10.128.3.0", nodeAddress: "127.1.0.3", timing: timing)
      return world.spawn {
        await Kubelet(
          description: NodeDescription(name: "n", address: "127.1.0.3", kubeletVersion: "v1.32.4"),
          client: client, runtime: runtime, logger: cluster.logger
        ).run()
      }
    }
    func create(_ pod: JSONValue) async throws {
      try await admin.create(.pods, namespace: "default", pod)
    }
    func pod(_ name: String) async throws -> JSONValue? {
      try await admin.find(.pods, namespace: "default", name: name)
    }
    func running(_ name: String) async throws {
      try await world.eventually("\(name) runs") { try await pod(name)?["status"]["phase"].string == "Running" }
    }
  }

  private func tell(_ story: @escaping @Sendable (Bench) async throws -> Void) throws {
    let bench = try Bench()
    try bench.world.run {
      try await bench.admin.create(.serviceAccounts, namespace: "default", ["metadata": ["name": "default"]])
      try await story(bench)
    }
  }

  @Test func itRegistersAndShowsThatItLives() throws {
    try tell { bench in
      let node = bench.startNode()
      try await bench.world.eventually("ready") {
        try await bench.admin.find(.nodes, name: "n").map { Node(json: $0).isReady } ?? false
      }
      func renewed() async throws -> String {
        LeaseObject(json: try await bench.admin.get(.leases, namespace: "kube-node-lease", name: "n")).renewTime
      }
      try await bench.world.sleep(for: .seconds(1))
      let first = try await renewed()
      try await bench.world.sleep(for: .seconds(11))
      #expect(try await renewed() > first)
      let lease = try await bench.admin.get(.leases, namespace: "kube-node-lease", name: "n")
      #expect(lease["spec"]["leaseDurationSeconds"].integer == 40)
      #expect(lease["metadata"]["ownerReferences"][0]["kind"].string == "Node")
      // Somebody took it for dead.
      try await bench.admin.patch(
        .nodes, name: "n", ["status": ["conditions": [["type": "Ready", "status": "Unknown"]]]], type: .strategic,
        subresource: "status")
      try await bench.world.eventually("it objects", within: .seconds(11)) {
        Node(json: try await bench.admin.get(.nodes, name: "n")).isReady
      }
      node.cancel()
    }
  }

  @Test func aPodRunsAndEndsWithinItsGrace() throws {
    try tell { bench in
      let node = bench.startNode()
      try await bench.create(Fixture.pod("web", node: "n"))
      try await bench.running("web")
      let pod = try #require(try await bench.pod("web"))
      #expect(pod["status"]["podIP"].string?.hasPrefix("10.128.3.") == true)
      #expect(pod["status"]["hostIP"].string == "127.1.0.3")
      try await bench.admin.delete(.pods, namespace: "default", name: "web")
      try await bench.world.eventually("gone", within: .seconds(5)) { try await bench.pod("web") == nil }
      let reasons = try await bench.admin.list(.events, namespace: "default").items
        .filter { $0["involvedObject"]["kind"].string == "Pod" }.compactMap { $0["reason"].string }
      #expect(reasons == ["Pulled", "Created", "Started", "Killing"])
      node.cancel()
    }
  }

  @Test(arguments: [
    (HollowRuntime.Timing.none, ["Pending", "Running", "Running", "Succeeded", "gone"]),
    // Made, its sandbox, its container; its deletion begins, its container is not ready any more, has ended.
    (.measured, ["Pending", "Pending", "Pending", "Running", "Running", "Running", "Succeeded", "gone"]),
  ])
  func everyStepOfAPodThatTakesTimeIsWrittenOnceAndItsEndBeforeItGoes(
    timing: HollowRuntime.Timing, phases: [String]
  ) throws {
    try tell { bench in
      let seen = Mutex<[String]>([])
      let pods = Informer<Pod>(client: bench.admin, logger: bench.cluster.logger)
      pods.onEvent { event in
        if case .deleted = event {
          seen.withLock { $0.append("gone") }
        } else {
          seen.withLock { $0.append(event.object.status.phase) }
        }
      }
      pods.start()
      await pods.waitForSync()
      let node = bench.startNode(timing)
      try await bench.create(Fixture.pod("web", node: "n"))
      try await bench.running("web")
      try await bench.world.sleep(for: .seconds(2))
      try await bench.admin.delete(.pods, namespace: "default", name: "web")
      try await bench.world.eventually("gone", within: .seconds(5)) { seen.withLock { $0.last } == "gone" }
      #expect(seen.withLock { $0 } == phases)
      pods.stop()
      node.cancel()
    }
  }

  /// The room of a pod that has ended is given to others: it must not seem to run again.
  @Test func aStatusThatArrivesLateIsNotTakenForTheLast() throws {
    try tell { bench in
      let phases = Mutex<[String]>([])
      let pods = Informer<Pod>(client: bench.admin, logger: bench.cluster.logger)
      pods.onEvent { event in
        if case .deleted = event { return }
        phases.withLock { $0.append(event.object.status.phase) }
      }
      pods.start()
      await pods.waitForSync()
      let late = LateStatus(inner: bench.cluster.transport("system:node:n"))
      let node = bench.startNode(through: late)
      try await bench.create(Fixture.pod("web", node: "n"))
      try await bench.running("web")
      try await bench.world.sleep(for: .seconds(2))
      late.state.withLock { $0.isArmed = true }
      try await bench.admin.delete(.pods, namespace: "default", name: "web")
      try await bench.world.eventually("gone", within: .seconds(30)) { try await bench.pod("web") == nil }
      #expect(late.state.withLock { $0.lateAnswer } == 409)
      #expect(phases.withLock { $0.last } == "Succeeded")
      pods.stop()
      node.cancel()
    }
  }

  /// A node has 253 addresses. `age`: when the pod is deleted; its sandbox is being made then, or its container; nil: runs.
  @Test(arguments: [nil, 50, 150, 220] as [Int64?]) func aForcedDeletionFreesTheAddress(age: Int64?) throws {
    try tell { bench in
      let node = bench.startNode()
      for round in 0..<300 {
        try await bench.create(Fixture.pod("web-\(round)", node: "n"))
        if let age {
          try await bench.world.sleep(for: .milliseconds(age))
        } else {
          try await bench.running("web-\(round)")
        }
        try await bench.admin.delete(
          .pods, namespace: "default", name: "web-\(round)", DeleteOptions(gracePeriodSeconds: 0))
      }
      try await bench.create(Fixture.pod("last", node: "n"))
      try await bench.running("last")
      node.cancel()
    }
  }

  @Test func anAgentThatIsStartedAgainKeepsItsPods() throws {
    try tell { bench in
      let first = bench.startNode()
      try await bench.create(Fixture.pod("a", node: "n"))
      try await bench.create(Fixture.pod("b", node: "n"))
      try await bench.running("a")
      try await bench.running("b")
      try await bench.world.sleep(for: .seconds(1))
      let before = try await bench.pod("a")?["status"]
      first.cancel()
      await first.wait()
      try await bench.admin.delete(.pods, namespace: "default", name: "b")
      let second = bench.startNode()
      try await bench.world.eventually("b is ended by the new agent") { try await bench.pod("b") == nil }
      try await bench.world.sleep(for: .seconds(30))
      #expect(try await bench.pod("a")?["status"] == before, "a did not notice")
      try await bench.create(Fixture.pod("c", node: "n"))
      try await bench.running("c")
      let addresses = try await bench.admin.list(.pods, namespace: "default").items.map { $0["status"]["podIP"].string }
      #expect(Set(addresses).count == 2)
      second.cancel()
    }
  }

  @Test func containersThatCrashAreStartedAgain() throws {
    try tell { bench in
      let node = bench.startNode()
      var pod = Fixture.pod("crash", node: "n")
      pod["metadata"]["annotations"] = [
        HollowRuntime.runSecondsAnnotation: "2",
        HollowRuntime.exitCodeAnnotation: "1",
      ]
      try await bench.create(pod)
      try await bench.world.eventually("restarted twice") {
        try await bench.pod("crash")?["status"]["containerStatuses"][0]["restartCount"].integer == 2
      }
      try await bench.world.eventually("backing off") {
        try await bench.pod("crash")?["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].string
          == "CrashLoopBackOff"
      }
      node.cancel()
    }
  }
}

/// Breaks off at a pod's first status after its deletion has begun, which is carried out right behind its last.
private final class LateStatus: HTTPTransport {
  struct State {
    var isArmed = false
    var held: HTTPRequest?
    var lateAnswer: Int?
  }
  private let inner: any HTTPTransport
  let state = Mutex(State())

  init(inner: any HTTPTransport) { self.inner = inner }

  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    guard request.method == "PATCH", request.target.contains("/pods/web/status"), state.withLock({ $0.isArmed }) else {
      return try await inner.send(request)
    }
    let isFirst = state.withLock { state in
      defer { if state.held == nil { state.held = request } }
      return state.held == nil
    }
    if isFirst { throw HTTPError.connectionClosed("by the test") }
    let answer = try await inner.send(request)
    let body = try await JSONValue(parsing: request.body.collect())
    if body["status"]["phase"] == "Succeeded", let held = state.withLock({ $0.held }) {
      let late = try await inner.send(held)
      state.withLock { $0.lateAnswer = late.status }
    }
    return answer
  }
}
