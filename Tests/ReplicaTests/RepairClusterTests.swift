import Glibc
import LoopSupport
import Raft
import SeedSupport
import Testing
import World

@testable import Replica
@testable import Storage

/// Damage by hand in the files of servers that do not run; then they are started.
@Suite(.serialized) struct RepairClusterTests {
  /// A group that has acknowledged `count` pods, all of whose servers were killed.
  private func killedCluster(_ count: Int, flushAfter: Duration) async throws -> TestCluster {
    let cluster = try TestCluster(3) { $0.flushAfter = flushAfter }
    try await cluster.start()
    let leader = try await cluster.leader()
    for index in 0..<count { try await cluster.server(leader).create("pod-\(index)", "data-\(index)") }
    try await cluster.converged()
    await cluster.killAll()
    return cluster
  }

  private func damage(_ path: String, _ sql: String) throws {
    let database = try Database(path: path, system: nil)
    for part in sql.split(separator: ";") {
      let statement = try database.prepare(String(part))
      while try statement.step() {}
    }
  }

  private func expectAll(_ count: Int, in cluster: TestCluster) async throws {
    try await cluster.leader()
    try await cluster.server(1).create("after")
    try await cluster.converged()
    for server in await cluster.servers {
      #expect(server.podNames.count == count + 1)
      for index in 0..<count {
        #expect(text(server.current.object(pod("pod-\(index)")))?.contains("data-\(index)\"") == true)
      }
      #expect(server.status.repair == nil && server.status.stopped == nil)
    }
  }

  /// Given entries lost on all three disks, in different places, and a state that is far behind the log, when the servers
  /// start, then nothing that was acknowledged is lost, and the disks are whole at the next start.
  @Test func entriesLostOnAllDisksAreFoundWithEachOther() async throws {
    let cluster = try await killedCluster(60, flushAfter: .seconds(100))
    try damage("\(cluster.path(of: 1))/raft.db", "UPDATE log SET payload = x'00' WHERE log_index IN (10, 11, 40)")
    try damage("\(cluster.path(of: 2))/raft.db", "DELETE FROM log WHERE log_index IN (20, 41)")
    try damage("\(cluster.path(of: 3))/raft.db", "UPDATE log SET term = 77 WHERE log_index BETWEEN 30 AND 35")
    try await cluster.start()
    try await eventually("all to be repaired") { [servers = await cluster.servers] in
      servers.allSatisfy { $0.status.repairsTotal == 1 }
    }
    try await expectAll(60, in: cluster)
    await cluster.killAll()
    try await cluster.start()
    try await cluster.leader()
    for server in await cluster.servers { #expect(server.status.repairsTotal == 0) }
    await cluster.killAll()
  }

  /// Given rows that are lost or spoiled, each on another server, when they start, then the rows come from the others.
  @Test func objectsLostOnAllDisksAreFoundWithEachOther() async throws {
    let cluster = try await killedCluster(60, flushAfter: .milliseconds(5))
    try damage("\(cluster.path(of: 1))/state.db", "UPDATE object SET json = '{}' WHERE name = 'pod-1'")
    try damage("\(cluster.path(of: 2))/state.db", "UPDATE object SET revision = 7 WHERE name = 'pod-2'")
    try damage("\(cluster.path(of: 3))/state.db", "DELETE FROM object WHERE name = 'pod-3'")
    try await cluster.start()
    try await expectAll(60, in: cluster)
    await cluster.killAll()
    try await cluster.start()
    try await expectAll(60, in: cluster)
    await cluster.killAll()
  }

  /// Given a disk that knows nothing of the group any more but with whom it began, of whom none is left, when its server
  /// starts, then it hears from the others where they are, and is repaired from them.
  @Test func aDiskThatKnowsOnlyWhoWasThereAtFirstIsRepaired() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let first = try await cluster.leader()
    try await cluster.server(first).create("pod-0")
    for _ in 0..<2 { try await cluster.add(asking: 3) }
    try await cluster.voters(are: [1, 2, 3, 4, 5])
    for gone in [1, 2] as [NodeID] {
      _ = try await cluster.server(4).changeMembership(.remove(gone))
      await cluster.kill(gone)
    }
    try await cluster.voters(are: [3, 4, 5])
    await cluster.stop(3)
    try damage("\(cluster.path(of: 3))/raft.db", "UPDATE log SET payload = x'00'")
    for suffix in ["state.db", "state.db-wal"] { try garbage("\(cluster.path(of: 3))/\(suffix)") }
    try await cluster.start([3])
    let server = await cluster.server(3)
    try await eventually("it to be repaired") { server.status.repairsTotal == 1 && server.podNames == ["pod-0"] }
    await cluster.killAll()
  }

  /// Overwrites the beginning of a file.
  private func garbage(_ path: String) throws {
    let file = open(path, O_RDWR)
    let garbage = [UInt8](repeating: 0xA5, count: 256 << 10)
    if file >= 0 { #expect(pwrite(file, garbage, garbage.count, 0) == garbage.count) }
    close(file)
  }

  /// Given a state that is garbage, when its server starts beside a healthy majority, then it gets a whole one.
  @Test func aStateThatIsGarbageIsReplacedByAPeers() async throws {
    let cluster = try await killedCluster(60, flushAfter: .milliseconds(5))
    for suffix in ["state.db", "state.db-wal"] { try garbage("\(cluster.path(of: 2))/\(suffix)") }
    try await cluster.start()
    try await expectAll(60, in: cluster)
    #expect(await cluster.server(2).status.repairsTotal == 1)
    await cluster.killAll()
  }

  /// Given a server with a hole and one without, the third away, when both start, then the hole is filled before anyone
  /// leads, for one alone is no quorum and the other does not vote as if it had never had those entries.
  @Test func aServerWithAHoleWaitsAndThenTakesPart() async throws {
    let cluster = try await killedCluster(30, flushAfter: .seconds(100))
    try damage("\(cluster.path(of: 1))/raft.db", "DELETE FROM log WHERE log_index > 12")
    try await cluster.start([1])
    let damaged = await cluster.server(1)
    try await eventually("it to say so") { damaged.status.repair?.asked ?? 0 > 3 }
    #expect(!damaged.status.isReady && damaged.leadership.leader == nil)
    #expect(damaged.status.repair?.missingEntries ?? 0 > 10)
    #expect(damaged.podNames.isEmpty)
    try await cluster.start([3])
    try await cluster.leader()
    try await cluster.server(1).create("after")
    try await cluster.converged()
    #expect(await cluster.server(1).podNames.count == 31)
    await cluster.killAll()
  }

  /// Given a server that stood for election in later terms and lost an entry that nobody else ever had, when the others
  /// have a leader of an earlier term, then its question ends that term, and the next leader says that it was nothing.
  @Test func aLeaderOfAnEarlierTermMakesRoomForOneThatCanSpeak() async throws {
    let cluster = try await killedCluster(20, flushAfter: .milliseconds(5))
    let last = try await append(2, to: cluster, 1, term: 50)
    try damage("\(cluster.path(of: 1))/raft.db", "DELETE FROM log WHERE log_index = \(last - 1)")
    try await cluster.start([2, 3])
    try await eventually("the others to lead") { [others = [await cluster.server(2), await cluster.server(3)]] in
      others.contains { $0.leadership.isLeader }
    }
    try await cluster.start([1])
    try await expectAll(20, in: cluster)
    #expect(await cluster.server(1).status.repairsTotal == 1)
    await cluster.killAll()
  }

  /// Given a hole behind where the log of a leader of a later term ends, when nobody writes, then nothing is waited for: no
  /// state that anyone has would ever reach the hole.
  @Test func aLeadersShorterLogEndsTheRepairOfALongerOne() async throws {
    let cluster = try await killedCluster(20, flushAfter: .milliseconds(5))
    let last = try await append(50, to: cluster, 1, term: 50)
    try damage("\(cluster.path(of: 1))/raft.db", "DELETE FROM log WHERE log_index = \(last - 1)")
    _ = try await append(1, to: cluster, 2, term: 60)
    try await cluster.start([2, 3])
    try await eventually("the second to lead") { [second = await cluster.server(2)] in second.leadership.isLeader }
    try await cluster.start([1])
    try await expectAll(20, in: cluster)
    #expect(await cluster.server(1).status.repairsTotal == 1)
    await cluster.killAll()
  }

  /// Seed 3758823409 of "rot": two servers stood for election in terms of their own and lost entries that nobody else ever
  /// had, and the third, whose log is whole, is behind both: nobody can be elected. Nobody ever had them, and that will do.
  @Test func whatNobodyElseEverHadNeedsNoLeaderToSaySo() async throws {
    let cluster = try await killedCluster(20, flushAfter: .milliseconds(5))
    for (node, count, term) in [(1, 3, 50), (2, 5, 60)] as [(NodeID, UInt64, UInt64)] {
      let last = try await append(count, to: cluster, node, term: term)
      try damage("\(cluster.path(of: node))/raft.db", "DELETE FROM log WHERE log_index = \(last - 1)")
    }
    try await cluster.start()
    try await expectAll(20, in: cluster)
    for node in [1, 2] as [NodeID] { #expect(await cluster.server(node).status.repairsTotal == 1) }
    #expect(await cluster.server(3).status.repairsTotal == 0)
    try await cluster.server(3).create("after")
    await cluster.killAll()
  }

  /// Writes entries behind those of a server that does not run, in a term of their own; returns the last one's index.
  private func append(
    _ count: UInt64, to cluster: TestCluster, _ node: NodeID, term: UInt64
  ) async throws -> UInt64 {
    let identity = StorageIdentity(cluster: "test", node: node)
    let disk = try StorageDirectory.open(path: cluster.path(of: node), identity: identity) { _ in }
    let last = try #require(disk.logContents.entries.last?.index ?? disk.logContents.base?.index)
    await withCheckedContinuation { written in
      disk.log.start { event in if case .durable = event { written.resume() } }
      disk.log.append(
        LogWrite(
          token: 1, hardState: LogHardState(currentTerm: term, votedFor: node, commitIndex: last),
          entries: (1...count).map {
            LogEntry(index: last + $0, term: term, kind: EntryKind.noOp.rawValue, payload: [])
          }))
    }
    await withCheckedContinuation { closed in disk.log.close { closed.resume() } }
    await withCheckedContinuation { closed in disk.state.close { closed.resume() } }
    return last + count
  }

  @Test func aLoneServerWithAHoleSaysWhatToDo() async throws {
    let cluster = try TestCluster(1) { $0.flushAfter = .seconds(100) }
    try await cluster.start()
    try await cluster.leader()
    for index in 0..<20 { try await cluster.server(1).create("pod-\(index)") }
    await cluster.killAll()
    try damage("\(cluster.path(of: 1))/raft.db", "DELETE FROM log WHERE log_index = 12")
    try await cluster.start()
    let server = await cluster.server(1)
    try await eventually("it to stop") { server.status.stopped != nil }
    #expect(server.status.stopped?.contains("restore a backup") == true)
    await cluster.killAll()
  }

  /// Given damage drawn by a seed, never in the same place on two disks, when all start again, then all is there.
  @Test(arguments: 1...6 as ClosedRange<UInt64>) func damageAnywhereIsSurvived(_ seed: UInt64) async throws {
    var random = SeededRandom(seed: seed)
    let cluster = try await killedCluster(80, flushAfter: random.next(below: 2) == 0 ? .milliseconds(5) : .seconds(100))
    for index in 2..<80 where random.next(below: 5) == 0 {
      let node: NodeID = 1 + random.next(below: 3)
      try damage(
        "\(cluster.path(of: node))/raft.db",
        random.next(below: 2) == 0
          ? "UPDATE log SET payload = x'AA' WHERE log_index = \(index)" : "DELETE FROM log WHERE log_index = \(index)")
    }
    for index in 0..<80 where random.next(below: 20) == 0 {
      let node: NodeID = 1 + random.next(below: 3)
      try damage(
        "\(cluster.path(of: node))/state.db", "UPDATE object SET json = 'x' WHERE name = 'pod-\(index)'")
    }
    try await cluster.start()
    try await expectAll(80, in: cluster)
    await cluster.killAll()
  }
}

/// Snapshots over a network that loses what it carries, and leaders that fall on the way.
@Suite(.serialized) struct SnapshotTransferTests {
  private func cluster() throws -> TestCluster {
    try TestCluster(3) { options in
      options.retainedLogEntries = 50
      options.cutStep = 10
      options.flushAfter = .milliseconds(5)
      options.retainedLogBytes = 64 << 10
    }
  }

  /// Writes until no log holds what `away` lacks.
  private func writeUntilCut(_ cluster: TestCluster, through leader: NodeID, bytes: Int) async throws {
    let server = await cluster.server(leader)
    let cut = server.status.lastLogIndex
    var index = 0
    while server.status.firstLogIndex <= cut {
      try await server.create("new-\(index)", String(repeating: "d", count: bytes))
      index += 1
      try #require(index < 5000, "the log is never cut")
    }
  }

  /// Given a server that was away but holds a state of not long ago, when a snapshot must catch it up, then only what has
  /// changed is sent.
  @Test func onlyWhatHasChangedIsSent() async throws {
    let cluster = try cluster()
    try await cluster.start()
    let away = try await cluster.follower()
    let leader = try await cluster.leader()
    for index in 0..<100 {
      try await cluster.server(leader).create("old-\(index)", String(repeating: "d", count: 20_000))
    }
    try await cluster.converged()
    cluster.network.isolate(away)
    try await writeUntilCut(cluster, through: leader, bytes: 500)
    _ = try await cluster.server(leader).commit(Command(mutations: [.delete(pod("old-7"))]))
    let before = cluster.network.bytes
    cluster.network.heal()
    try await cluster.leader()
    try await cluster.converged()
    #expect(cluster.network.bytes - before < 1_000_000)
    try await eventually("the resumption to show") { [server = await cluster.server(leader)] in
      server.status.snapshotsResumedTotal == 1
    }
    #expect(await cluster.server(away).status.snapshotsInstalledTotal == 1)
    #expect(await cluster.server(away).current.object(pod("old-7")) == nil)
    await cluster.killAll()
  }

  /// Given a network that drops a third of all chunks, when a snapshot is sent over it, then it arrives.
  @Test func lostChunksAreSentAgain() async throws {
    let cluster = try cluster()
    try await cluster.start()
    let away = try await cluster.follower()
    await cluster.kill(away)
    let led = try await cluster.leader()
    try await writeUntilCut(cluster, through: led, bytes: 20_000)
    let leader = await cluster.server(led)
    for index in 0..<100 { try await leader.create("more-\(index)", String(repeating: "d", count: 20_000)) }
    cluster.network.dropBulk(every: 3)
    try await cluster.start([away])
    try await cluster.converged()
    #expect(await cluster.server(away).status.snapshotsInstalledTotal == 1)
    await cluster.killAll()
  }

  /// Given a leader that falls in the middle of sending, when the next one takes over, then it goes on from what has come.
  @Test func theNextLeaderGoesOnFromWhatHasCome() async throws {
    let cluster = try cluster()
    try await cluster.start()
    let away = try await cluster.follower()
    let leader = try await cluster.leader()
    let other = try #require(cluster.ids.first { $0 != away && $0 != leader })
    await cluster.kill(away)
    try await writeUntilCut(cluster, through: leader, bytes: 20_000)
    let server = await cluster.server(leader)
    for index in 0..<200 { try await server.create("more-\(index)", String(repeating: "d", count: 20_000)) }
    try await cluster.converged()
    cluster.network.stopBulk(after: 6)
    try await cluster.start([away])
    try await eventually("some of the snapshot to come") { cluster.network.bulkStopped }
    await cluster.kill(leader)
    cluster.network.stopBulk(after: nil)
    let next = await cluster.server(other)
    try await eventually("the next leader") { next.leadership.isLeader }
    try await cluster.converged()
    // A status may be a tenth of a second old.
    try await eventually("the resumption to show") { next.status.snapshotsResumedTotal >= 1 }
    #expect(await cluster.server(away).status.snapshotsInstalledTotal == 1)
    #expect(await cluster.server(away).podNames == next.podNames)
    await cluster.killAll()
  }
}
