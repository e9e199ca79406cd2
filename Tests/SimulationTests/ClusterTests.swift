// The simulated cluster itself: it lives, it survives, and it repeats itself.
import Client
import JSON
import Replica
import Simulation
import Testing
import World

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

  /// Seed 755334563 of "members": of three voters one was removed, and of the two that were left one taken for good.
  @Test func noFaultTakesAwayWhatNoConsensusCanBringBack() throws {
    let cluster = SimulatedCluster(seed: 3)
    cluster.startAll()
    #expect(cluster.run(within: .seconds(10)) { cluster.leader != nil })
    #expect([1, 2, 3].allSatisfy { cluster.canSpare($0) })
    cluster.crash(2)
    #expect([1, 2, 3].allSatisfy { cluster.canSpare($0) }, "what is dead comes back")
    cluster.retire(1)
    #expect([2, 3].allSatisfy { !cluster.canSpare($0) })
  }

  /// Seed 4175512530 of "storm": all servers that the nodes had begun with were gone, and the nodes knew of no other.
  @Test func nodesOutliveEveryServerThatTheyBeganWith() throws {
    var options = SimulatedCluster.Options()
    options.nodes = 1
    let cluster = SimulatedCluster(seed: 5, options: options)
    cluster.startAll()
    #expect(cluster.run(within: .seconds(10)) { cluster.leader != nil })
    try cluster.play {
      // Given a group in which every server was replaced
      for old in UInt64(1)...3 {
        cluster.join(
          try await change(.add(name: "new-\(old)", address: "10.0.0.\(old + 3):6443", isSpare: false), in: cluster))
        _ = try await change(.remove(old), in: cluster)
        cluster.retire(old)
      }
      // when there is something to do for a node
      let pod: JSONValue = [
        "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "namespace": "default"],
        "spec": ["containers": [["name": "main", "image": "web:1"]]],
      ]
      try await cluster.clientWorld.eventually("made", within: .seconds(60)) {
        (try? await cluster.client().create(.pods, namespace: "default", pod)) != nil
      }
      // then it is done.
      try await cluster.clientWorld.eventually("the pod runs", within: .seconds(120)) {
        (try? await cluster.client().get(.pods, namespace: "default", name: "p"))?["status"]["phase"] == "Running"
      }
    }
  }

  @Test func aRunUnderEveryFaultRepeatsItself() throws {
    var storm = try #require(RunDescription.builtIn(named: "storm"))
    storm.safety = .seconds(8)
    for seed: UInt64 in [2] {
      let reports = (0..<2).map { _ in SimulationRun(storm, seed: seed).play() }
      #expect(reports[0].violation == nil)
      #expect(reports[0].traceHash == reports[1].traceHash && reports[0].events == reports[1].events)
      #expect(reports[0].journal == reports[1].journal)
    }
  }

  @Test func whatARunIsReadsAsItIsWritten() throws {
    let run = try RunDescription(
      name: "mine",
      parsing: """
        # What it is for.
        servers 3 5
        disks sqlite
        workloads 2 registers watches leases
        safety 1m
        latency 100us..2ms
        fault one-way every 5s lasting 200ms..3s   # both ends inclusive
        """)
    #expect(run.summary == "What it is for." && run.servers == [3, 5] && run.disks == [.sqlite])
    #expect(run.drawnWorkloads == 2 && run.safety == .seconds(60))
    #expect(run.latency == .microseconds(100)...(.milliseconds(2)))
    let expected = RunDescription.Fault(.oneWay, every: .seconds(5), lasting: .milliseconds(200)...(.seconds(3)))
    #expect(run.faults == [expected])
    for wrong in ["server 3", "fault rust every 1s lasting 1s", "safety 5", "workloads dreams", "latency 5s..1s"] {
      #expect(throws: RunDescription.SyntaxError.self, "\(wrong)") { try RunDescription(name: "w", parsing: wrong) }
    }
  }

  @Test func theSameSeedGivesTheSameTraceTwice() throws {
    func trace() -> (UInt64, [String]) {
      var options = SimulatedCluster.Options()
      options.nodes = 2
      let cluster = SimulatedCluster(seed: 11, options: options)
      let events = Events()
      cluster.simulator.onEvent = { [unowned simulator = cluster.simulator] in
        events.lines.append("\($0) \(simulator.traceHash)")
      }
      cluster.startAll()
      cluster.run(for: .seconds(5))
      cluster.crash(cluster.leader ?? 1)
      cluster.run(for: .seconds(5))
      return (cluster.simulator.traceHash, events.lines)
    }
    let (first, second) = (trace(), trace())
    #expect(first.0 == second.0)
    // The first event that differs says more than a hash.
    if let place = zip(first.1, second.1).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset {
      Issue.record("\(first.1[max(0, place - 5)...place])\n\(second.1[max(0, place - 5)...place])")
    }
  }
}

/// Changes the members, whoever leads.
private func change(_ change: MembershipChange, in cluster: SimulatedCluster) async throws -> Member {
  for _ in 0..<60 {
    if let leader = cluster.leader, let replica = cluster.server(leader).replica {
      do throws(MembershipRefusal) {
        return try await replica.changeMembership(change, timeout: .seconds(5))
      } catch {
        cluster.journal.note("\(change): \(error)")
      }
    }
    try await cluster.clientWorld.sleep(for: .seconds(1))
  }
  return try #require(nil, "\(change) was not made:\n\(cluster.journal.lines.joined(separator: "\n"))")
}

private final class Events {
  var lines: [String] = []
}

private func configMap(_ name: String) -> JSONValue {
  ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name), "namespace": "default"]]
}
