import LoopSupport
import Raft
import Testing
import World

@testable import Replica
@testable import Storage

@Suite struct HashHistoryTests {
  private func history(_ hashes: UInt64...) -> HashHistory {
    var history = HashHistory(after: 10)
    for hash in hashes {
      let isSame = history.record(hash)
      #expect(isSame)
    }
    return history
  }

  @Test func theMajorityOfTheVotersDecides() {
    var history = history(1, 2, 3)
    func isSame(_ hash: UInt64, at index: LogIndex, of peer: NodeID) -> Bool {
      history.compare(hash, at: index, of: peer)
    }
    #expect(isSame(3, at: 13, of: 2))
    #expect(history.verdict(at: 13, by: 1, voters: [1, 2, 3]) == .agreement)
    #expect(!isSame(7, at: 13, of: 3))
    #expect(history.verdict(at: 13, by: 1, voters: [1, 2, 3]) == .othersAreWrong([3]))
    #expect(!isSame(9, at: 12, of: 2))
    #expect(history.verdict(at: 12, by: 1, voters: [1, 2, 3]) == .undecided)
    #expect(!isSame(9, at: 12, of: 4))
    #expect(history.verdict(at: 12, by: 1, voters: [1, 2, 3]) == .undecided, "4 does not vote")
    #expect(!isSame(9, at: 12, of: 3))
    #expect(history.verdict(at: 12, by: 1, voters: [1, 2, 3]) == .isWrong)
    #expect(history.verdict(at: 12, by: 4, voters: [1, 2, 3]) == .isWrong, "a learner is bound by the voters")
  }

  @Test func claimsThatComeEarlyAreComparedWhenTheEntryIsApplied() {
    var history = history(1)
    let compared = [history.compare(5, at: 12, of: 2), history.compare(5, at: 12, of: 3)]
    let recorded = history.record(4)
    #expect(compared == [true, true] && !recorded)
    #expect(history.verdict(at: 12, by: 1, voters: [1, 2, 3]) == .isWrong)
    let begins = [history.beginDispute(at: 12), history.beginDispute(at: 12)]
    #expect(begins == [true, false])
  }
}

@Suite(.serialized) struct StateDisputeTests {
  /// A group in which one server holds another object than the others under the same revision.
  private func spoil(_ id: NodeID, in cluster: TestCluster) async {
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      Task {
        await cluster.server(id).submit(
          .control { driver in
            var map = driver.machine.map
            guard let object = map[pod("pod-3")], let other = map[pod("pod-4")] else { return done.resume() }
            _ = object
            map.remove(other.key)
            driver.machine = StateMachine(
              map: map, revision: driver.machine.revision, appliedIndex: driver.machine.appliedIndex,
              appliedTerm: driver.machine.appliedTerm, requests: driver.machine.requests)
            done.resume()
          })
      }
    }
  }

  /// Given a server whose state is not the others', when the next entry is applied, then that server stops, the others go
  /// on, and at its next start it gets a whole state from them and takes part again.
  @Test(arguments: [true, false]) func theOneThatDiffersFromTheMajorityStopsAndIsRepaired(isLeader: Bool) async throws {
    let cluster = try TestCluster(3) { $0.flushAfter = .milliseconds(5) }
    try await cluster.start()
    let leader = try await cluster.leader()
    let follower = try await cluster.follower()
    let wrong = isLeader ? leader : follower
    for index in 0..<20 { try await cluster.server(leader).create("pod-\(index)") }
    try await cluster.converged()
    await spoil(wrong, in: cluster)
    let other = try #require(cluster.ids.first { $0 != wrong })
    try await cluster.server(other).create("one-more")
    let server = await cluster.server(wrong)
    try await eventually("it to stop") { server.status.stopped != nil }
    #expect(server.status.stopped?.contains("differs from the majority's") == true)
    await cluster.kill(wrong)
    try await cluster.leader()
    try await cluster.server(other).create("without-it")
    try await cluster.start([wrong])
    try await cluster.converged()
    #expect(await cluster.server(wrong).podNames.count == 22)
    #expect(await cluster.server(wrong).status.repairsTotal == 1)
    await cluster.kill(wrong)
    try await cluster.start([wrong])
    try await cluster.converged()
    #expect(await cluster.server(wrong).status.repairsTotal == 0)
    await cluster.killAll()
  }

  /// Given two servers that differ while the third is away, then both go on; when the third is back, the wrong one stops.
  @Test func withoutAMajorityNobodyStops() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    for index in 0..<20 { try await cluster.server(leader).create("pod-\(index)") }
    try await cluster.converged()
    let followers = cluster.ids.filter { $0 != leader }
    await cluster.kill(followers[0])
    await spoil(followers[1], in: cluster)
    try await cluster.server(leader).create("one-more")
    let hub = await cluster.server(followers[1])
    try await eventually("the entry to be applied there") { hub.podNames.contains("one-more") }
    // Longer than the leader takes to tell its hash.
    for index in 0..<60 {
      try await cluster.server(leader).create("more-\(index)")
      try await Task.sleep(for: .milliseconds(25))
    }
    #expect(hub.status.stopped == nil)
    #expect(await cluster.server(leader).status.stopped == nil)
    try await cluster.start([followers[0]])
    try await eventually("the wrong one to stop") { hub.status.stopped != nil }
    #expect(await cluster.server(leader).status.stopped == nil)
    #expect(await cluster.server(followers[0]).status.stopped == nil)
    await cluster.killAll()
  }
}

@Suite(.serialized) struct DiskInUseTests {
  private func damage(_ path: String, _ sql: String) throws {
    let database = try Database(path: path, system: nil)
    try database.execute(sql)
  }

  /// Given a group in use, when entries and rows rot on one of its disks, then they are found and written again while it
  /// goes on, and the next start finds nothing wrong.
  @Test func whatRotsInUseIsWrittenAgain() async throws {
    let cluster = try TestCluster(3) { $0.flushAfter = .milliseconds(5) }
    try await cluster.start()
    let leader = try await cluster.leader()
    let victim = try await cluster.follower()
    for index in 0..<40 { try await cluster.server(leader).create("pod-\(index)", "data-\(index)") }
    try await cluster.converged()
    let server = await cluster.server(victim)
    try await eventually("the state to be on the disk") {
      server.status.durableLogIndex == server.status.lastLogIndex && server.status.revision == server.current.revision
    }
    try damage(
      "\(cluster.path(of: victim))/raft.db",
      "UPDATE log SET payload = x'AA' WHERE log_index = 20; DELETE FROM log WHERE log_index = 21")
    try damage(
      "\(cluster.path(of: victim))/state.db",
      "UPDATE object SET json = 'x' WHERE name = 'pod-7'; DELETE FROM object WHERE name = 'pod-8'")
    try await eventually("the rot to be found") { server.status.rewrittenTotal >= 4 }
    try await cluster.server(leader).create("after")
    try await cluster.converged()
    #expect(server.status.stopped == nil)
    await cluster.stop(victim)
    try await cluster.start([victim])
    try await cluster.converged()
    #expect(await cluster.server(victim).status.repairsTotal == 0)
    #expect(await cluster.server(victim).podNames.count == 41)
    await cluster.killAll()
  }
}
