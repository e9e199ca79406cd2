// The simulated cluster itself: it lives, it survives, and it repeats itself.
import Client
import JSON
import Replica
import Simulation
import Testing

@Suite struct ClusterTests {
  @Test func threeServersElectALeaderServeAndSurviveItsDeath() throws {
    let cluster = SimulatedCluster(seed: 7)
    cluster.startAll()
    #expect(cluster.run(within: .seconds(10)) { cluster.leader != nil })
    let leader = try #require(cluster.leader)
    let client = cluster.client()
    try cluster.play {
      try await cluster.clientWorld.eventually("the cluster serves") {
        (try? await client.create(.configMaps, namespace: "default", configMap("a"))) != nil
      }
    }
    cluster.crash(leader)
    #expect(cluster.run(within: .seconds(10)) { cluster.leader != nil })
    try cluster.play {
      try await cluster.clientWorld.eventually("the survivors serve") {
        (try? await client.create(.configMaps, namespace: "default", configMap("b"))) != nil
      }
    }
    cluster.start(leader)
    #expect(
      cluster.run(within: .seconds(10)) {
        Set(cluster.servers.map { $0.inspect { $0.stateHash } }).count == 1
      })
  }
}

private func configMap(_ name: String) -> JSONValue {
  ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name), "namespace": "default"]]
}
