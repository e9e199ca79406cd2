// Extenders have a say: about nodes, about victims, about the binding itself.
import Client
import HTTP
import JSON
import Schema
import Synchronization
import TestSupport
import Testing
import World

@testable import Scheduler

/// An extender as an HTTP server in the test's process: answers by verb, remembers what it was asked.
private final class FakeExtender: HTTPHandler {
  private let answers: [String: @Sendable (JSONValue) async throws -> JSONValue]
  private let log = Mutex<[(verb: String, body: JSONValue)]>([])

  init(_ answers: [String: @Sendable (JSONValue) async throws -> JSONValue]) { self.answers = answers }

  func asked(_ verb: String) -> [JSONValue] { log.withLock { $0.filter { $0.verb == verb }.map(\.body) } }

  func respond(to request: HTTPRequest) async -> HTTPResponse {
    guard request.method == "POST", request.target.hasPrefix("/ext/"),
      let body = try? JSONValue(parsing: try await request.body.collect())
    else { return HTTPResponse(status: 400) }
    let verb = String(request.target.dropFirst("/ext/".count))
    log.withLock { $0.append((verb, body)) }
    guard let answer = try? await answers[verb]?(body) else { return HTTPResponse(status: 500) }
    return HTTPResponse(status: 200, body: .bytes(answer.bytes))
  }
}

@Suite struct ExtenderTests {
  private func tell(
    _ extender: FakeExtender, _ configuration: String, nodes: [String] = ["a", "b", "c"], isReachable: Bool = true,
    _ story: @escaping @Sendable (TestCluster, APIClient) async throws -> Void
  ) throws {
    let cluster = try TestCluster()
    let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nextenders:\n"
    let file = try SchedulerConfiguration(
      parsing: Array("\(head)- {urlPrefix: \"http://127.0.0.1:8888/ext/\", \(configuration)}".utf8))
    let transport = InProcessTransport(handler: extender, identity: TrustedContext(user: "scheduler"))
    let task = cluster.world.spawn {
      await Scheduler(
        client: cluster.client("system:kube-scheduler"), configuration: file,
        sender: { request, _ in
          guard isReachable else { throw HTTPError.connectFailed("connection refused") }
          return try await transport.send(request)
        }, logger: cluster.logger
      ).run()
    }
    let admin = cluster.client()
    try cluster.world.run {
      try await admin.create(.serviceAccounts, namespace: "default", ["metadata": ["name": "default"]])
      for name in nodes {
        try await admin.create(.nodes, Fixture.node(name, cpu: "1"))
        try await admin.patch(.nodes, name: name, ["spec": ["taints": .null]], type: .merge)
      }
      try await story(cluster, admin)
      task.cancel()
      await task.wait()
    }
  }

  private static func node(of pod: String, _ admin: APIClient) async throws -> String {
    Pod(json: try await admin.get(.pods, namespace: "default", name: pod)).spec.nodeName
  }

  @Test func itsFilterAndItsScoresChooseTheNode() throws {
    let extender = FakeExtender([
      "filter": { _ in ["nodenames": ["a", "c"], "failedNodes": ["b": "not today"]] },
      "score": { _ in [["Host": "a", "Score": 0], ["host": "c", "score": 10]] },
    ])
    try tell(extender, "filterVerb: filter, prioritizeVerb: score, weight: 5, nodeCacheCapable: true") {
      cluster, admin in
      try await admin.create(.pods, namespace: "default", Fixture.pod("p", cpu: "100m"))
      try await cluster.world.eventually("bound") { try await Self.node(of: "p", admin) == "c" }
    }
    let asked = extender.asked("filter")
    #expect(asked.first?["NodeNames"].elements.compactMap(\.string).sorted() == ["a", "b", "c"])
    #expect(asked.first?["Nodes"].isNull == true && asked.first?["Pod"]["metadata"]["name"].string == "p")
    #expect(extender.asked("score").first?["NodeNames"].elements.compactMap(\.string).sorted() == ["a", "c"])
  }

  @Test func whoDoesNotKnowTheNodesGetsThemWhole() throws {
    let extender = FakeExtender([
      "filter": { body in
        ["Nodes": ["items": .array(body["Nodes"]["items"].elements.filter { $0["metadata"]["name"].string == "b" })]]
      }
    ])
    try tell(extender, "filterVerb: filter") { cluster, admin in
      try await admin.create(.pods, namespace: "default", Fixture.pod("p", cpu: "100m"))
      try await cluster.world.eventually("bound") { try await Self.node(of: "p", admin) == "b" }
    }
    #expect(extender.asked("filter").first?["Nodes"]["items"].elements.count == 3)
    #expect(
      extender.asked("filter").first?["Nodes"]["items"].elements.first?["status"]["allocatable"]["cpu"].string == "1")
  }

  @Test func itsReasonsAreTold() throws {
    let extender = FakeExtender([
      "filter": { _ in
        ["NodeNames": [], "FailedNodes": ["a": "busy", "b": "busy"], "FailedAndUnresolvableNodes": ["c": "never"]]
      }
    ])
    try tell(extender, "filterVerb: filter, nodeCacheCapable: true") { cluster, admin in
      try await admin.create(.pods, namespace: "default", Fixture.pod("p", cpu: "100m"))
      try await cluster.world.eventually("told") {
        let pod = Pod(json: try await admin.get(.pods, namespace: "default", name: "p"))
        return pod.status.condition("PodScheduled")?.message
          == "0/3 nodes are available: 1 never, 2 busy. preemption: 0/3 nodes are available: "
          + "1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
      }
    }
  }

  @Test func withoutItPodsWaitUnlessItMayBeIgnored() throws {
    let silent = FakeExtender([:])
    try tell(silent, "filterVerb: filter, nodeCacheCapable: true") { cluster, admin in
      try await admin.create(.pods, namespace: "default", Fixture.pod("p", cpu: "100m"))
      try await cluster.world.eventually("told") {
        let pod = Pod(json: try await admin.get(.pods, namespace: "default", name: "p"))
        let condition = pod.status.condition("PodScheduled")
        return condition?.reason == "SchedulerError" && condition?.message.contains("code 500") == true
      }
      try await cluster.world.sleep(for: .seconds(20))
      #expect(try await Self.node(of: "p", admin).isEmpty)
    }
    // It was tried again.
    #expect(silent.asked("filter").count > 1)
    try tell(FakeExtender([:]), "filterVerb: filter, nodeCacheCapable: true, ignorable: true") { cluster, admin in
      try await admin.create(.pods, namespace: "default", Fixture.pod("p", cpu: "100m"))
      try await cluster.world.eventually("bound") { try await !Self.node(of: "p", admin).isEmpty }
    }
  }

  @Test func oneThatCannotBeReachedIsNamed() throws {
    try tell(FakeExtender([:]), "filterVerb: filter, nodeCacheCapable: true", isReachable: false) { cluster, admin in
      try await admin.create(.pods, namespace: "default", Fixture.pod("p", cpu: "100m"))
      try await cluster.world.eventually("told") {
        let pod = Pod(json: try await admin.get(.pods, namespace: "default", name: "p"))
        let condition = pod.status.condition("PodScheduled")
        return condition?.message.hasPrefix("Post \"http://127.0.0.1:8888/ext/filter\": ") == true
          && condition?.message.hasSuffix("connection refused") == true
      }
    }
  }

  @Test func itIsAskedOnlyAboutPodsThatWantWhatItManages() throws {
    let extender = FakeExtender(["filter": { _ in ["NodeNames": ["b"]] }])
    let managed = "managedResources: [{name: vendor.io/thing, ignoredByScheduler: true}]"
    try tell(extender, "filterVerb: filter, nodeCacheCapable: true, \(managed)") { cluster, admin in
      try await admin.create(.pods, namespace: "default", Fixture.pod("plain", cpu: "100m"))
      try await cluster.world.eventually("bound") { try await !Self.node(of: "plain", admin).isEmpty }
      #expect(extender.asked("filter").isEmpty)
      var wanting = Fixture.pod("wanting")
      let amounts: JSONValue = ["vendor.io/thing": "1"]
      wanting["spec"]["containers"] = [
        ["name": "c", "image": "web:1", "resources": ["requests": amounts, "limits": amounts]]
      ]
      try await admin.create(.pods, namespace: "default", wanting)
      try await cluster.world.eventually("no node has it, the extender says b") {
        try await Self.node(of: "wanting", admin) == "b"
      }
    }
  }

  @Test func itBindsPodsItself() throws {
    let admin = Mutex<APIClient?>(nil)
    let extender = FakeExtender([
      "bind": { body in
        let name = body["PodName"].string ?? ""
        _ = try await admin.withLock { $0 }?.create(
          .pods, namespace: "default",
          [
            "apiVersion": "v1", "kind": "Binding", "metadata": ["name": .string(name)],
            "target": ["kind": "Node", "name": body["Node"]],
          ], name: name, subresource: "binding")
        return [:]
      }
    ])
    try tell(extender, "bindVerb: bind", nodes: ["a"]) { cluster, client in
      admin.withLock { $0 = client }
      try await client.create(.pods, namespace: "default", Fixture.pod("p", cpu: "100m"))
      try await cluster.world.eventually("bound") { try await Self.node(of: "p", client) == "a" }
    }
    #expect(extender.asked("bind").count == 1)
  }

  @Test func itHasASayAboutVictims() throws {
    let extender = FakeExtender([
      "preempt": { body in
        let victims = body["NodeNameToMetaVictims"]["b"]
        return victims.isNull ? [:] : ["NodeNameToMetaVictims": ["b": victims]]
      }
    ])
    try tell(extender, "preemptVerb: preempt, nodeCacheCapable: true", nodes: ["a", "b"]) { cluster, admin in
      for (name, value) in [("high", 1000), ("low", 1)] as [(String, Int64)] {
        try await admin.create(.priorityClasses, ["metadata": ["name": .string(name)], "value": .integer(value)])
      }
      for name in ["x", "y"] {
        var pod = Fixture.pod(name, cpu: "700m")
        pod["spec"]["priorityClassName"] = "low"
        try await admin.create(.pods, namespace: "default", pod)
      }
      try await cluster.world.eventually("both nodes are full") {
        let x = try await Self.node(of: "x", admin)
        let y = try await Self.node(of: "y", admin)
        return Set([x, y]) == ["a", "b"]
      }
      var urgent = Fixture.pod("urgent", cpu: "700m")
      urgent["spec"]["priorityClassName"] = "high"
      try await admin.create(.pods, namespace: "default", urgent)
      try await cluster.world.eventually("room is made where the extender lets it") {
        try await admin.get(.pods, namespace: "default", name: "urgent")["status"]["nominatedNodeName"].string == "b"
      }
    }
  }
}
