// etcd issue 20418: after a pause a server took the answer to an old question for the answer to a new one.
import Testing

@testable import Raft

@Suite("etcd issue 20418: a stale read after a pause") struct ReadIdentityTests {
  @Test func aReadIndexIdIsNeverUsedForTwoRequests() throws {
    var server = TestServer(3)
    _ = server.receive(.heartbeat(leaderCommit: 0, readRound: 0), from: 1, term: 1)
    var ids: Set<ReadID> = []
    for round in 0..<200 {
      for _ in 0..<5 {
        let read = try server.raft.readIndex()
        #expect(ids.insert(read).inserted, "\(read) was used before")
        _ = server.drain()
        // Answered, given up, or still open: none of it gives an id back.
        if round % 3 == 0 { _ = server.receive(.readIndexReply(read, index: 0), from: 1, term: 1) }
      }
      guard round % 7 == 0 else { continue }
      _ = server.tick(1)
      _ = server.receive(.heartbeat(leaderCommit: 0, readRound: 0), from: 1, term: 1)
    }
    // Nor does a server that starts again begin where it began before.
    let before = ids.first.map(\.incarnation)
    let again = TestServer(3) { $0.seed = 4711 }
    #expect(again.raft.reads.incarnation != before)
  }

  @Test func theAnswerToAnEarlierQuestionIsNoneToALaterOne() throws {
    // Given a follower whose question waits while it is paused,
    var follower = TestServer(3)
    _ = follower.receive(.heartbeat(leaderCommit: 0, readRound: 0), from: 1, term: 1)
    let old = try follower.raft.readIndex()
    _ = follower.drain()
    // when it wakes, gives the old question up, and asks anew,
    _ = follower.tick(10 * follower.raft.options.electionTicks)
    _ = follower.receive(.heartbeat(leaderCommit: 0, readRound: 0), from: 1, term: follower.raft.currentTerm + 1)
    let new = try follower.raft.readIndex()
    _ = follower.drain()
    #expect(new != old && follower.abandonedReads.contains(old))
    // then the late answer to the old question serves nobody.
    _ = follower.receive(.readIndexReply(old, index: 0), from: 1, term: follower.raft.currentTerm)
    #expect(follower.reads.isEmpty)
    _ = follower.receive(.readIndexReply(new, index: 0), from: 1, term: follower.raft.currentTerm)
    #expect(follower.reads.map(\.id) == [new])
  }
}
