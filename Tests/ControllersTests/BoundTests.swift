// What controllers may ask of the servers at once.
import Client
import Controllers
import HTTP
import JSON
import Schema
import Synchronization
import TestSupport
import Testing
import World

@Suite struct BoundTests {
  /// A server that takes its time, and counts.
  private struct SlowTransport: HTTPTransport {
    final class Count: Sendable {
      let state = Mutex((now: 0, highest: 0))
    }
    let base: any HTTPTransport
    let world: VirtualWorld
    let count: Count

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
      count.state.withLock { state in
        state.now += 1
        state.highest = max(state.highest, state.now)
      }
      defer { count.state.withLock { $0.now -= 1 } }
      try await world.sleep(for: .milliseconds(5))
      return try await base.send(request)
    }
  }

  /// Given three ReplicaSets that each want many pods, when the controllers make them, then few requests are under way.
  @Test func manyReplicasAreAFewRequestsAtATime() throws {
    let cluster = try TestCluster()
    let (world, admin, count) = (cluster.world, cluster.client(), SlowTransport.Count())
    let manager = world.spawn {
      await ControllerManager(
        context: ControllerContext(
          world: world, logger: cluster.logger, certificateAuthorityPEM: "CA",
          transport: { account in
            let user =
              account.isEmpty ? "system:kube-controller-manager" : "system:serviceaccount:kube-system:\(account)"
            return SlowTransport(base: cluster.transport(user), world: world, count: count)
          })
      ).run()
    }
    try world.run {
      try await world.eventually("the account is there", within: .seconds(30)) {
        try await admin.find(.serviceAccounts, namespace: "default", name: "default") != nil
      }
      for name in ["a", "b", "c"] {
        let set: JSONValue = [
          "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": ["name": .string(name)],
          "spec": [
            "replicas": 150, "selector": ["matchLabels": ["app": .string(name)]],
            "template": [
              "metadata": ["labels": ["app": .string(name)]], "spec": ["containers": [["name": "c", "image": "i"]]],
            ],
          ],
        ]
        try await admin.create(.replicaSets, namespace: "default", set)
      }
      try await world.eventually("all pods are made", within: .seconds(120)) {
        try await admin.list(.pods, namespace: "default").items.count == 450
      }
    }
    manager.cancel()
    let highest = count.state.withLock { $0.highest }
    #expect(highest > 32 && highest <= RequestGate.defaultMaximum)
  }
}
