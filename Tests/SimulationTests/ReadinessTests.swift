// When a server says that it should be asked nothing (/readyz), and how soon after a partition servers find each other:
// what a client behind a load balancer waits for.
import Client
import HTTP
import JSON
import Raft
import Replica
import Simulation
import Synchronization
import Testing
import World

@Suite struct ReadinessTests {
  private func started(_ seed: UInt64, disk: SimulatedCluster.DiskKind = .memory) throws -> SimulatedCluster {
    var options = SimulatedCluster.Options()
    options.disk = disk
    let cluster = SimulatedCluster(seed: seed, options: options)
    cluster.startAll()
    try #require(cluster.run(within: .seconds(10)) { cluster.leader != nil })
    cluster.run(for: .seconds(1))
    return cluster
  }

  /// What the server answers its load balancer.
  private func isReady(_ id: NodeID, in cluster: SimulatedCluster) throws -> Bool {
    try cluster.play {
      let probe = HTTPRequest(method: "GET", target: "/readyz")
      return try await cluster.transport(to: id, user: "prober").send(probe).status == 200
    }
  }

  @Test(arguments: UInt64(1)...5)
  func aServerThatIsCutOffSaysSoWithinTwoSeconds(seed: UInt64) throws {
    let cluster = try started(seed)
    let leader = try #require(cluster.leader)
    let others = cluster.servers.map(\.id).filter { $0 != leader }
    for lost in [leader, others[0]] {
      #expect(try isReady(lost, in: cluster))
      cluster.isolate(lost)
      cluster.run(for: .seconds(2))
      #expect(try !isReady(lost, in: cluster))
      for other in cluster.servers.map(\.id) where other != lost { #expect(try isReady(other, in: cluster)) }
      cluster.heal()
      cluster.run(for: .seconds(8))
      #expect(try isReady(lost, in: cluster))
    }
  }

  /// An election is no reason to send clients away: they would find nobody.
  @Test(arguments: UInt64(1)...5)
  func whoElectsALeaderStaysReady(seed: UInt64) throws {
    let cluster = try started(seed)
    let leader = try #require(cluster.leader)
    let survivors = cluster.servers.map(\.id).filter { $0 != leader }
    for survivor in survivors { #expect(try isReady(survivor, in: cluster)) }
    cluster.crash(leader)
    for _ in 0..<40 {
      for survivor in survivors { #expect(try isReady(survivor, in: cluster)) }
      cluster.run(for: .milliseconds(50))
    }
  }

  /// Who stood still for seconds waits no longer than others for the next leader that does.
  @Test(arguments: UInt64(1)...5)
  func leadersThatHangOneAfterTheOtherAreReplacedSoon(seed: UInt64) throws {
    let cluster = try started(seed)
    for round in 1...4 {
      let leader = try #require(cluster.leader)
      let others = cluster.servers.map(\.id).filter { $0 != leader }
      cluster.pause(leader)
      let isReplaced = cluster.run(within: .milliseconds(1500)) {
        others.contains { cluster.server($0).replica?.leadership.isLeader == true }
      }
      #expect(isReplaced, "round \(round)")
      cluster.run(for: .seconds(4))
      cluster.resume(leader)
      cluster.run(for: .seconds(2))
    }
  }

  /// The silence for which a leader was replaced counts: whoever has its leases to give hears soon that it is lost.
  @Test(arguments: UInt64(1)...5)
  func aLeaderThatHangsIsSoonGivenUpByTheNext(seed: UInt64) throws {
    let cluster = try started(seed)
    for _ in 1...3 {
      let leader = try #require(cluster.leader)
      let others = cluster.servers.filter { $0.id != leader }
      let lost = Mutex<Set<NodeID>>([])
      for other in others { other.replica?.onMemberLost { id in lost.withLock { _ = $0.insert(id) } } }
      cluster.run(for: .milliseconds(100))
      cluster.pause(leader)
      let isReplaced = cluster.run(within: .milliseconds(1500)) {
        others.contains { $0.replica?.leadership.isLeader == true }
      }
      try #require(isReplaced)
      // Less than the silence that is allowed to any other member.
      #expect(cluster.run(within: .milliseconds(700)) { lost.withLock { $0.contains(leader) } })
      cluster.run(for: .seconds(2))
      #expect(lost.withLock { $0 } == [leader])
      cluster.resume(leader)
      cluster.run(for: .seconds(4))
    }
  }

  @Test func aFollowerWithoutRoomIsNotAskedAndALeaderIs() throws {
    let cluster = try started(3)
    let leader = try #require(cluster.leader)
    for server in cluster.servers { server.disk.fill() }
    func write() throws {
      try cluster.play {
        let map: JSONValue = [
          "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["generateName": "a-", "namespace": "default"],
        ]
        _ = try? await cluster.client(server: leader).create(.configMaps, namespace: "default", map)
      }
    }
    try write()
    cluster.run(for: .seconds(2))
    for server in cluster.servers {
      let leads = server.replica?.leadership.isLeader == true
      #expect(server.replica?.status.isDiskFull == true)
      #expect(try isReady(server.id, in: cluster) == leads, "\(server.name)")
    }
    for server in cluster.servers { server.disk.makeRoom() }
    cluster.run(for: .seconds(3))
    for server in cluster.servers { #expect(try isReady(server.id, in: cluster)) }
  }

  /// Connections that wait behind a partition end after a second; the next ones are made as soon as it is over.
  @Test(arguments: UInt64(1)...5)
  func whoWasCutOffIsBackSoonAfterwards(seed: UInt64) throws {
    let cluster = try started(seed)
    let lost = try #require(cluster.servers.map(\.id).first { $0 != cluster.leader })
    cluster.isolate(lost)
    cluster.run(for: .seconds(13))
    cluster.heal()
    // A try at connecting that began behind the partition, and the longest pause before the next.
    cluster.run(for: .seconds(3))
    let leader = try #require(cluster.leader)
    #expect(cluster.server(lost).replica?.leadership.leader == leader)
    let applied = cluster.servers.map { $0.inspect { $0.stateHash } }
    #expect(Set(applied).count == 1)
  }
}
