// Answers that are lost on the way, and requests that arrive long after their client gave up: no pod becomes two.
import Client
import HTTP
import JSON
import Schema
import Synchronization
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct LostAnswerTests {
  /// Of the requests that create or delete pods and slices, loses the answers of some, and delivers others late.
  private struct UnreliableTransport: HTTPTransport {
    final class Fate: Sendable {
      let asked = Mutex(0)
      let lost = Mutex(0)
    }
    let base: any HTTPTransport
    let world: VirtualWorld
    let fate: Fate

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
      let concerned = ["/pods", "/endpointslices"].contains { request.target.contains($0) }
      guard concerned, request.method == "POST" || request.method == "DELETE" else {
        return try await base.send(request)
      }
      let number = fate.asked.withLock { number in
        number += 1
        return number
      }
      switch number % 4 {
      case 1:
        _ = try? await base.send(request)
      case 3:
        world.spawn {
          try? await world.sleep(for: .milliseconds(300))
          _ = try? await base.send(request)
        }
      default: return try await base.send(request)
      }
      fate.lost.withLock { $0 += 1 }
      throw HTTPError.connectionClosed("the answer is lost")
    }
  }

  private func tell(
    nodes: Int, _ story: @escaping @Sendable (ControlPlane, UnreliableTransport.Fate) async throws -> Void
  ) throws {
    let plane = try ControlPlane(nodes: nodes, controllers: false)
    let (cluster, world, fate) = (plane.cluster, plane.world, UnreliableTransport.Fate())
    let manager = world.spawn {
      await ControllerManager(
        context: ControllerContext(
          world: world, logger: cluster.logger, certificateAuthorityPEM: "CA",
          transport: { account in
            let user =
              account.isEmpty ? "system:kube-controller-manager" : "system:serviceaccount:kube-system:\(account)"
            return UnreliableTransport(base: cluster.transport(user), world: world, fate: fate)
          })
      ).run()
    }
    try plane.tell { try await story($0, fate) }
    manager.cancel()
    #expect(fate.lost.withLock { $0 } > 0)
  }

  private func pod(_ name: String) -> JSONValue {
    [
      "metadata": ["labels": ["app": .string(name)]],
      "spec": ["terminationGracePeriodSeconds": 1, "containers": [["name": "main", "image": "web:1"]]],
    ]
  }

  @Test func aReplicaSetMakesNoPodTwiceAndTakesNoneTooMany() throws {
    try tell(nodes: 3) { plane, _ in
      try await plane.admin.create(
        .replicaSets, namespace: "default",
        [
          "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": ["name": "web"],
          "spec": ["replicas": 60, "selector": ["matchLabels": ["app": "web"]], "template": pod("web")],
        ])
      @Sendable func runs(_ count: Int64) async throws {
        try await plane.world.eventually("\(count) pods run", within: .seconds(300)) {
          let set = ReplicaSet(json: try await plane.admin.get(.replicaSets, namespace: "default", name: "web"))
          return try await plane.pods("app=web").count == count && set.status.readyReplicas == count
        }
        try await plane.world.sleep(for: .seconds(2))
        #expect(try await plane.pods("app=web").count == count)
      }
      try await runs(60)
      #expect(try await plane.pods("app=web").allSatisfy { $0.name.hasPrefix("web-") && $0.name.count == 9 })
      #expect(try await !plane.events(of: "web").contains { $0.hasPrefix("SuccessfulDelete") }, "none was too many")
      try await plane.admin.patch(
        .replicaSets, namespace: "default", name: "web", ["spec": ["replicas": 20]], type: .merge)
      let made = Set(try await plane.pods("app=web").map(\.metadata.uid))
      try await runs(20)
      #expect(Set(try await plane.pods("app=web").map(\.metadata.uid)).isSubset(of: made), "none had to be replaced")
    }
  }

  @Test func aDaemonSetHasOnePodOnEveryNode() throws {
    try tell(nodes: 12) { plane, _ in
      try await plane.admin.create(
        .daemonSets, namespace: "default",
        [
          "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": ["name": "agent"],
          "spec": ["selector": ["matchLabels": ["app": "agent"]], "template": pod("agent")],
        ])
      try await plane.world.eventually("it is everywhere", within: .seconds(300)) {
        let status = try await plane.admin.get(.daemonSets, namespace: "default", name: "agent")["status"]
        return status["numberAvailable"].integer == 12
      }
      try await plane.world.sleep(for: .seconds(2))
      let pods = try await plane.pods("app=agent")
      #expect(pods.count == 12 && Set(pods.map(\.spec.nodeName)).count == 12)
      #expect(try await !plane.events(of: "agent").contains { $0.hasPrefix("SuccessfulDelete") }, "none was too many")
    }
  }

  @Test func aStatefulSetHasEveryIdentityOnce() throws {
    try tell(nodes: 3) { plane, _ in
      try await plane.admin.create(
        .statefulSets, namespace: "default",
        [
          "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": ["name": "db"],
          "spec": [
            "replicas": 9, "serviceName": "db", "podManagementPolicy": "Parallel",
            "selector": ["matchLabels": ["app": "db"]], "template": pod("db"),
          ],
        ])
      try await plane.world.eventually("all are ready", within: .seconds(300)) {
        let status = try await plane.admin.get(.statefulSets, namespace: "default", name: "db")["status"]
        return status["readyReplicas"].integer == 9
      }
      #expect(Set(try await plane.pods("app=db").map(\.name)) == Set((0..<9).map { "db-\($0)" }))
    }
  }

  @Test func anIndexedJobHasEveryIndexOnce() throws {
    try tell(nodes: 3) { plane, _ in
      try await plane.admin.create(
        .jobs, namespace: "default",
        [
          "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "sum"],
          "spec": [
            "completionMode": "Indexed", "completions": 24, "parallelism": 24,
            "template": [
              "metadata": ["labels": ["app": "sum"]],
              "spec": ["restartPolicy": "Never", "containers": [["name": "main", "image": "web:1"]]],
            ],
          ],
        ])
      try await plane.world.eventually("it is complete", within: .seconds(300)) {
        let status = try await plane.admin.get(.jobs, namespace: "default", name: "sum")["status"]
        return status["succeeded"].integer == 24 && status["completedIndexes"].string == "0-23"
      }
      let indexes = try await plane.pods("app=sum").map {
        $0.metadata.annotations["batch.kubernetes.io/job-completion-index"] ?? ""
      }
      #expect(indexes.count == 24 && Set(indexes).count == 24)
      #expect(try await !plane.events(of: "sum").contains { $0.hasPrefix("SuccessfulDelete") }, "none was too many")
    }
  }

  @Test func aLargeServiceHasAsManySlicesAsItNeeds() throws {
    try tell(nodes: 3) { plane, _ in
      try await plane.world.eventually("the account is there") {
        try await plane.admin.find(.serviceAccounts, namespace: "default", name: "default") != nil
      }
      for number in 0..<250 {
        let name = "p\(number)"
        try await plane.admin.create(
          .pods, namespace: "default", Fixture.pod(name, node: "node-\(number % 3)", labels: ["app": "web"]))
      }
      try await plane.world.eventually("they have addresses", within: .seconds(120)) {
        try await plane.pods("app=web").filter { !$0.status.podIP.isEmpty }.count == 250
      }
      try await plane.admin.create(
        .services, namespace: "default", Fixture.service("web", selector: ["app": "web"]))
      @Sendable func slices() async throws -> [Int] {
        try await plane.admin.list(.endpointSlices, namespace: "default").items.map { $0["endpoints"].elements.count }
      }
      // Well within the five minutes after which an event is not waited for any more.
      try await plane.world.eventually("all addresses are told", within: .seconds(60)) {
        try await slices().reduce(0, +) == 250
      }
      #expect(try await slices().count == 3)
    }
  }

  // MARK: A name of another's

  @Test func aNameThatAnotherHasIsReplaced() throws {
    let cluster = try TestCluster()
    let (world, admin) = (cluster.world, cluster.client())
    let informer = Informer<Pod>(client: admin, logger: cluster.logger)
    let objects = OwnedObjects<Pod>(client: admin, informer: informer, world: world)
    let owner = ObjectOwner(key: NamespacedName(namespace: "default", name: "web"), uid: "u-1")
    @Sendable func pod(of uid: String) -> JSONValue {
      var pod = Fixture.pod("")
      pod["metadata"]["name"] = .null
      pod["metadata"]["generateName"] = "web-"
      pod["metadata"]["ownerReferences"] = [
        OwnerReference(apiVersion: "apps/v1", kind: "ReplicaSet", name: "web", uid: uid).json
      ]
      return pod
    }
    try world.run {
      try await admin.create(
        .serviceAccounts, namespace: "default",
        ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": "default"]])
      let request = CreationRequest(object: pod(of: "u-1"))
      let name = objects.begin(creating: [request], for: owner)[0]
      // Given another's pod that took the name in between,
      var other = pod(of: "u-2")
      other["metadata"]["name"] = .string(name)
      try await admin.create(.pods, namespace: "default", other)
      // when it is created, then under another name, and that is the one that is waited for.
      let given = try await objects.create(request, named: name, for: owner)
      #expect(given != name && given.hasPrefix("web-"))
      #expect(!objects.isSettled(owner.key))
      objects.creationSeen(NamespacedName(namespace: "default", name: given), of: owner)
      #expect(objects.isSettled(owner.key))
      // A name under which its own pod stands already is that pod's.
      #expect(try await objects.create(request, named: given, for: owner) == given)
      #expect(try await admin.list(.pods, namespace: "default").items.count == 2)
    }
  }

  @Test func aNameWithoutAnAnswerIsTheFirstToBeTriedAgain() throws {
    struct Dead: HTTPTransport {
      func send(_ request: HTTPRequest) async throws -> HTTPResponse { throw HTTPError.timedOut("an answer") }
    }
    let cluster = try TestCluster()
    let (world, live) = (cluster.world, cluster.client())
    let client = APIClient(transport: Dead(), world: world, userAgent: "test")
    let objects = OwnedObjects<Pod>(
      client: client, informer: Informer(client: live, logger: cluster.logger), world: world)
    let owner = ObjectOwner(key: NamespacedName(namespace: "default", name: "web"), uid: "u-1")
    let request = CreationRequest(object: ["metadata": ["generateName": "web-"]], purpose: "node-1")
    try world.run {
      let names = objects.begin(creating: [request, request], for: owner)
      #expect(Set(names).count == 2)
      for name in names {
        await #expect(throws: HTTPError.self) { try await objects.create(request, named: name, for: owner) }
      }
      #expect(objects.isSettled(owner.key), "what failed is not waited for")
      // For another purpose they are of no use; for the same they come first, then new ones.
      let other = CreationRequest(object: request.object, purpose: "node-2")
      #expect(Set(objects.begin(creating: [other], for: owner)).isDisjoint(with: names))
      let again = objects.begin(creating: [request, request, request], for: owner)
      #expect(Set(again).count == 3 && Set(again.prefix(2)) == Set(names))
      // One that was seen after all is nobody's any more.
      objects.creationSeen(NamespacedName(namespace: "default", name: names[0]), of: owner)
      #expect(!objects.begin(creating: [request, request], for: owner).contains(names[0]))
    }
  }
}
