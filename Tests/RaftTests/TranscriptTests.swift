// Conversations: what servers say to each other, word for word.

import Testing

@testable import Raft

@Suite struct TranscriptTests {
  @Test func anElection() {
    var group = Group(of: 3)
    group.elect(2)
    #expect(
      group.takeTranscript() == """
        2→1 term 1: pre-vote? log 0/0
        2→3 term 1: pre-vote? log 0/0
        1→2 term 1: pre-vote yes
        3→2 term 1: pre-vote yes
        2→1 term 1: vote? log 0/0
        2→3 term 1: vote? log 0/0
        1→2 term 1: vote yes
        3→2 term 1: vote yes
        2→1 term 1: append after 0/0 [1/1] commit 0
        2→3 term 1: append after 0/0 [1/1] commit 0
        1→2 term 1: accepted 1
        3→2 term 1: accepted 1
        2→1 term 1: append after 1/1 [] commit 1
        2→3 term 1: append after 1/1 [] commit 1
        """)
  }

  @Test func aWriteIsCommittedAndToldToTheFollowers() {
    var group = Group(of: 3)
    group.elect(1)
    _ = group.takeTranscript()
    group.at(1) { _ = try? $0.raft.propose([[1], [2]]) }
    #expect(
      group.takeTranscript() == """
        1→2 term 1: append after 1/1 [2/1 3/1] commit 1
        1→3 term 1: append after 1/1 [2/1 3/1] commit 1
        2→1 term 1: accepted 3
        3→1 term 1: accepted 3
        1→2 term 1: append after 3/1 [] commit 3
        1→3 term 1: append after 3/1 [] commit 3
        """)
  }

  @Test func aServerThatWasAwayDisturbsNobody() {
    var group = Group(of: 3)
    group.elect(1)
    group.isolate(3)
    for _ in 0..<40 where group[3].raft.role == .follower { group.tick(3) }
    group.at(1) { _ = try? $0.raft.propose([[1]]) }
    group.heal()
    _ = group.takeTranscript()
    group.tick(1)
    #expect(
      group.takeTranscript() == """
        1→2 term 1: heartbeat commit 2 round 0
        1→3 term 1: heartbeat commit 1 round 0
        2→1 term 1: heartbeat reply round 0
        3→1 term 1: heartbeat reply round 0
        1→3 term 1: append after 2/1 [] commit 2
        3→1 term 1: rejected 2 hint 1/1
        1→3 term 1: append after 1/1 [2/1] commit 2
        3→1 term 1: accepted 2
        """)
  }

  @Test func logsThatPartedAreBroughtTogether() {
    var group = Group([
      TestServer(1, voters: [1, 2], term: 4, log: [1, 1, 2, 4, 4]),
      TestServer(2, voters: [1, 2], term: 3, log: [1, 1, 3, 3, 3, 3]),
    ])
    for _ in 0..<40 where group[1].raft.role == .follower { group.tick(1) }
    #expect(
      group.takeTranscript() == """
        1→2 term 5: pre-vote? log 5/4
        2→1 term 5: pre-vote yes
        1→2 term 5: vote? log 5/4
        2→1 term 5: vote yes
        1→2 term 5: append after 5/4 [6/5] commit 0
        2→1 term 5: rejected 5 hint 5/3
        1→2 term 5: append after 3/2 [4/4 5/4 6/5] commit 0
        2→1 term 5: rejected 3 hint 2/1
        1→2 term 5: append after 2/1 [3/2 4/4 5/4 6/5] commit 0
        2→1 term 5: accepted 6
        1→2 term 5: append after 6/5 [] commit 6
        """)
  }

  @Test func leadershipIsHandedOver() {
    var group = Group(of: 3)
    group.elect(1)
    _ = group.takeTranscript()
    group.at(1) { try? $0.raft.transferLeadership(to: 2) }
    #expect(
      group.takeTranscript() == """
        1→2 term 1: timeout now
        2→1 term 2: vote? log 1/1 by transfer
        2→3 term 2: vote? log 1/1 by transfer
        1→2 term 2: vote yes
        3→2 term 2: vote yes
        2→1 term 2: append after 1/1 [2/2] commit 1
        2→3 term 2: append after 1/1 [2/2] commit 1
        1→2 term 2: accepted 2
        3→2 term 2: accepted 2
        2→1 term 2: append after 2/2 [] commit 2
        2→3 term 2: append after 2/2 [] commit 2
        """)
  }

  @Test func aFollowersReadTakesOneRoundOfHeartbeats() {
    var group = Group(of: 3)
    group.elect(1)
    _ = group.takeTranscript()
    group.at(2) { _ = try? $0.raft.readIndex() }
    #expect(
      group.takeTranscript() == """
        2→1 term 1: read 1?
        1→2 term 1: heartbeat commit 1 round 1
        1→3 term 1: heartbeat commit 1 round 1
        2→1 term 1: heartbeat reply round 1
        3→1 term 1: heartbeat reply round 1
        1→2 term 1: read 1 at 1
        """)
  }

  @Test func aLeaderDiesAndIsReplacedWithinARoundTrip() {
    var group = Group(of: 3)
    group.elect(1)
    group.isolate(1)
    _ = group.takeTranscript()
    group.at(3) { $0.raft.peerDisconnected(1) }
    group.at(2) { $0.raft.peerDisconnected(1) }
    #expect(
      group.takeTranscript() == """
        2→1 term 2: pre-vote? log 1/1 (lost)
        2→3 term 2: pre-vote? log 1/1
        3→2 term 2: pre-vote yes
        2→1 term 2: vote? log 1/1 (lost)
        2→3 term 2: vote? log 1/1
        3→2 term 2: vote yes
        2→1 term 2: append after 1/1 [2/2] commit 1 (lost)
        2→3 term 2: append after 1/1 [2/2] commit 1
        3→2 term 2: accepted 2
        2→3 term 2: append after 2/2 [] commit 2
        """)
  }
}
