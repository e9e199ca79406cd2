import Glibc
import LoopSupport
import Raft
import Storage
import Testing
import World

@testable import Replica

@Suite(.serialized) struct RecoverTests {
  /// Given a group of three of which two are lost for good, when the survivor's disk is recovered, then it serves every
  /// write that was acknowledged, takes new ones at once, and says what it held.
  @Test func aSurvivorGoesOnAloneWithAllItHolds() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    try await cluster.leader()
    for index in 0..<100 { try await cluster.server(1).create("pod-\(index)") }
    let revision = try await cluster.converged()
    await cluster.killAll()
    let start = ContinuousClock.now
    let report = try Recovery.recover(path: cluster.path(of: 2))
    #expect(report.revision == revision && report.objects == 100 && report.lostMembers == [1, 3])
    #expect(report.identity.recovery?.generation == 1 && report.identity.recovery?.node == 2)
    #expect(report.lastIndex >= report.commitIndex && report.description.count >= 2)
    var said = report
    for (count, words) in [(1, "1 entry behind \(report.commitIndex)"), (2, "2 entries behind")] as [(UInt64, String)] {
      said.lastIndex = said.commitIndex + count
      #expect(said.description.contains { $0.hasPrefix(words) })
    }
    try await cluster.start([2])
    try await cluster.leader()
    let server = await cluster.server(2)
    #expect(try await server.create("after"))
    #expect(ContinuousClock.now - start < .seconds(10))
    #expect(server.podNames.count == 101)
    #expect(try await server.linearizableState().revision == revision + 1)
    // It stays so.
    await cluster.kill(2)
    try await cluster.start([2])
    try await cluster.leader()
    #expect(try await cluster.server(2).create("again"))
    await cluster.killAll()
  }

  /// Given a survivor with entries that it does not know to be committed, when it is recovered, then they are kept.
  @Test func entriesThatMayHaveBeenCommittedAreKept() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    try await cluster.server(leader).create("known")
    let revision = try await cluster.converged()
    for id in cluster.ids where id != leader { cluster.network.silence(id) }
    let server = await cluster.server(leader)
    let write = Task { try await server.create("unknown") }
    let last = server.status.lastLogIndex
    try await eventually("the entry to be on the leader's disk") { server.status.durableLogIndex > last }
    await cluster.killAll()
    _ = try? await write.value
    let report = try Recovery.recover(path: cluster.path(of: leader))
    #expect(report.lastIndex > report.commitIndex)
    #expect(report.revision == revision + 1 && report.committedRevision == revision)
    cluster.network.heal()
    try await cluster.start([leader])
    try await cluster.leader()
    #expect(try await cluster.server(leader).linearizableState().object(pod("unknown")) != nil)
    await cluster.killAll()
  }

  /// Given a survivor that was behind, when the others come back with what it never had, then they are refused and told,
  /// keep their tail aside, come back as learners, and hold what the survivor holds.
  @Test func membersThatComeBackAreLearnersAndTheirTailIsKept() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    try await cluster.server(leader).create("common")
    try await cluster.converged()
    let survivor = try await cluster.follower()
    await cluster.kill(survivor)
    try await cluster.server(leader).create("lost", "only-here")
    let others = cluster.ids.filter { $0 != survivor }
    await cluster.killAll()
    let report = try Recovery.recover(path: cluster.path(of: survivor))
    let point = try #require(report.identity.recovery)
    try await cluster.start([survivor])
    try await cluster.leader()
    try await cluster.server(survivor).create("new")

    // They find each other, and are a majority of the group as it was; but they meet the survivor before a leader.
    try await cluster.start([others[0]])
    let old = await cluster.server(others[0])
    try await eventually("the old member to be told") { old.status.stopped != nil }
    #expect(old.status.supersededBy == point)
    await cluster.kill(others[0])
    for id in others {
      let rejoined = try Recovery.rejoin(
        path: cluster.path(of: id), recoveredAt: point, now: WallTime(secondsSinceEpoch: 1_700_000_000))
      #expect(rejoined.entries > 0)
      let tail = try #require(rejoined.tailFile)
      #expect(tail == "\(cluster.path(of: id))/divergent-tail-2023-11-14T221320Z")
      #expect(contents(of: tail).contains(#""put":"pods/default/lost","object":{"metadata":{"resourceVersion":""#))
      #expect(contents(of: tail).contains("only-here"))
      unlink(tail)
      #expect(throws: RecoveryError.self) {
        try Recovery.rejoin(path: cluster.path(of: id), recoveredAt: point, now: WallTime(secondsSinceEpoch: 0))
      }
    }
    try await cluster.start(others)
    let leading = await cluster.server(survivor)
    try await eventually("the learners to catch up") {
      leading.status.members.filter { !$0.isSelf }.allSatisfy { $0.lag == 0 }
    }
    try await cluster.converged()
    for id in others { #expect(await cluster.server(id).podNames == ["common", "new"]) }
    #expect(leading.leadership.isLeader)
    await cluster.killAll()
  }

  /// Given a member that only fell behind the survivor in the survivor's own term, when it comes back, then it has nothing
  /// to put aside.
  @Test func whoOnlyFellBehindHasNoTail() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    try await cluster.server(leader).create("common")
    try await cluster.converged()
    let behind = try await cluster.follower()
    await cluster.kill(behind)
    try await cluster.server(leader).create("later")
    await cluster.killAll()
    let report = try Recovery.recover(path: cluster.path(of: leader))
    let point = try #require(report.identity.recovery)
    let rejoined = try Recovery.rejoin(
      path: cluster.path(of: behind), recoveredAt: point, now: WallTime(secondsSinceEpoch: 1_700_000_000))
    #expect(rejoined.entries == 0 && rejoined.tailFile == nil && rejoined.stateFile == nil)
    try await cluster.start([leader, behind])
    let leading = await cluster.server(leader)
    try await eventually("the learner to catch up") {
      let others = leading.status.members.filter { !$0.isSelf }
      return others.contains { $0.member.id == behind && $0.lag == 0 }
    }
    try await cluster.converged()
    #expect(await cluster.server(behind).podNames == ["common", "later"])
    await cluster.killAll()
  }

  /// Given a recovery made by mistake while the majority lived, when the servers meet, then the majority goes on.
  @Test func aMajorityIsNotTakenApartByARecoveryElsewhere() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let lone = try await cluster.follower()
    await cluster.kill(lone)
    _ = try Recovery.recover(path: cluster.path(of: lone))
    try await cluster.server(leader).create("a")
    try await cluster.start([lone])
    try await eventually("the lone server to lead itself") { [server = await cluster.server(lone)] in
      server.leadership.isLeader
    }
    let server = await cluster.server(leader)
    for index in 0..<20 { try await server.create("pod-\(index)") }
    #expect(server.status.stopped == nil && server.status.supersededBy == nil)
    await cluster.killAll()
  }

  @Test func whatCannotBeRecoveredIsSaidAndLeftAlone() async throws {
    let cluster = try TestCluster(1)
    _ = try OfflineDisk(path: cluster.path(of: 1), identity: StorageIdentity(cluster: "test", node: 1))
    #expect(throws: RecoveryError.self) { try Recovery.recover(path: cluster.path(of: 1)) }
    try await cluster.start()
    try await cluster.leader()
    #expect(throws: RecoveryError.self) { try Recovery.recover(path: cluster.path(of: 1)) }
    try await cluster.server(1).create("a")
    await cluster.stop(1)
    #expect(throws: RecoveryError.self) { try Recovery.recover(path: "/nonexistent/folder") }
    #expect(try Recovery.recover(path: cluster.path(of: 1)).identity.recovery?.generation == 1)
    #expect(try Recovery.recover(path: cluster.path(of: 1)).identity.recovery?.generation == 2)
    try await cluster.start()
    try await cluster.leader()
    #expect(try await cluster.server(1).linearizableState().object(pod("a")) != nil)
    await cluster.killAll()
  }

  @Test func groupNamesTellWhoWasLeftBehind() {
    let point = RecoveryPoint(generation: 2, node: 3, index: 70, term: 8)
    let later = GroupName(StorageIdentity(cluster: "c", node: 1, recovery: point))
    #expect(later.text == "c#2.3.70.8" && GroupName(text: later.text) == later)
    let earlier = GroupName(text: "c")
    #expect(earlier.superseded(by: later) == point && later.superseded(by: earlier) == nil)
    #expect(GroupName(text: "d").superseded(by: later) == nil && later.superseded(by: later) == nil)
    // Two recoveries of one group: neither obeys the other.
    var other = point
    other.node = 2
    let rival = GroupName(StorageIdentity(cluster: "c", node: 2, recovery: other))
    #expect(later.superseded(by: rival) == nil && rival.superseded(by: later) == nil)
    for text in ["", "#", "c#", "c#1", "c#1.2.3", "c#0.1.1.1", "c#a.b.c.d"] {
      #expect(GroupName(text: text).recovery == nil)
    }
  }

  private func contents(of path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
