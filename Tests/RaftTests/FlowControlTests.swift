// How much a leader sends to one follower, and when.

import Testing

@testable import Raft

private func appends(_ messages: [Message], to peer: NodeID = 2) -> [[LogIndex]] {
  messages.compactMap { message in
    guard message.to == peer, case .appendEntries(_, _, _, let entries) = message.body else { return nil }
    return entries.map(\.index)
  }
}

@Suite struct FlowControlTests {
  @Test func aProbeIsOneMessageUntilTheFollowerShowsLife() throws {
    var leader = TestServer()
    leader.becomeLeader()
    _ = try leader.raft.propose([[1]])
    #expect(appends(leader.drain()).isEmpty, "the opening entry is under way")
    #expect(appends(leader.receive(.heartbeatReply(readRound: 0), from: 2, term: 1)) == [[1, 2]])
    #expect(leader.raft.progress(of: 2)?.state == .probe)
    _ = leader.receive(.appendAccepted(matchIndex: 2), from: 2, term: 1)
    #expect(leader.raft.progress(of: 2)?.state == .replicate)
  }

  /// A follower whose disk is full does not answer: what its leader sends begins at the same place every time, and what
  /// has been committed since lies behind that.
  @Test func aFollowerThatCannotWriteTakesWhatFollowsItsCommitIndex() {
    var follower = TestServer(2, log: [1], commit: 1)
    follower.isDiskStopped = true
    func append(_ last: LogIndex, commit: LogIndex) -> Message.Body {
      .appendEntries(
        prevLogIndex: 1, prevLogTerm: 1, leaderCommit: commit,
        entries: (2...last).map { Entry(term: 2, index: $0, payload: [UInt8($0)]) })
    }
    _ = follower.receive(append(3, commit: 3), from: 1, term: 2)
    #expect(follower.raft.commitIndex == 3)
    _ = follower.receive(append(5, commit: 4), from: 1, term: 2)
    #expect(follower.raft.lastIndex == 5 && follower.raft.commitIndex == 4 && follower.logTerms == [1, 2, 2, 2, 2])
    // What is old news altogether changes nothing; when there is room, all is acknowledged.
    _ = follower.receive(append(3, commit: 3), from: 1, term: 2)
    #expect(follower.raft.lastIndex == 5)
    follower.isDiskStopped = false
    follower.completeWrites()
    let answers = follower.drain().compactMap { message -> LogIndex? in
      if case .appendAccepted(let index) = message.body { index } else { nil }
    }
    #expect(answers.max() == 5)
  }

  @Test func messagesAreSentAheadOfAnswersUpToTheLimitOfMessages() throws {
    var leader = TestServer { $0.maxInflightMessages = 3 }
    leader.becomeEstablishedLeader()
    var sent: [[LogIndex]] = []
    for _ in 0..<6 {
      _ = try leader.raft.propose([[1]])
      sent += appends(leader.drain())
    }
    #expect(sent == [[2], [3], [4]])
    #expect(leader.raft.progress(of: 2)?.inflightMessages == 3)
    let more = leader.receive(.appendAccepted(matchIndex: 3), from: 2, term: 1)
    #expect(appends(more).contains([5, 6, 7]), "what piled up goes in one message")
  }

  @Test func bytesUnderWayAreLimited() throws {
    var leader = TestServer {
      $0.maxInflightBytes = 2_000
      $0.maxEntriesBytesPerMessage = 1_200
    }
    leader.becomeEstablishedLeader()
    _ = try leader.raft.propose(Array(repeating: Array(repeating: 0, count: 1_000), count: 5))
    #expect(appends(leader.drain()) == [[2], [3]])
  }

  @Test func oneEntryIsSentHoweverLargeItIs() throws {
    var leader = TestServer { $0.maxEntriesBytesPerMessage = 10 }
    leader.becomeEstablishedLeader()
    _ = try leader.raft.propose([Array(repeating: 0, count: 1_000)])
    #expect(appends(leader.drain()) == [[2]])
  }

  @Test func whatWasLostOnTheWayIsFoundOutByAskingOnceAHeartbeat() throws {
    var leader = TestServer()
    leader.becomeEstablishedLeader()
    _ = try leader.raft.propose([[1]])
    _ = leader.drain()
    let question = leader.receive(.heartbeatReply(readRound: 0), from: 2, term: 1)
    #expect(appends(question) == [[]])
    let again = leader.receive(.appendRejected(prevLogIndex: 2, hintIndex: 1, hintTerm: 1), from: 2, term: 1)
    #expect(appends(again) == [[2]])
  }

  @Test func anOvertakenRejectionIsIgnored() throws {
    var leader = TestServer()
    leader.becomeEstablishedLeader()
    _ = leader.receive(.appendRejected(prevLogIndex: 1, hintIndex: 0, hintTerm: 0), from: 2, term: 1)
    #expect(leader.raft.progress(of: 2)?.state == .replicate)
    #expect(leader.raft.progress(of: 2)?.nextIndex == 2)
  }

  @Test func aFollowerOutOfReachIsSentNothingUntilItShowsLife() throws {
    var leader = TestServer()
    leader.becomeEstablishedLeader()
    leader.raft.peerUnreachable(2)
    _ = try leader.raft.propose([[1]])
    #expect(appends(leader.drain()).isEmpty)
    #expect(appends(leader.receive(.heartbeatReply(readRound: 0), from: 2, term: 1)) == [[2]])
  }

  /// Seed 100000545 of the simulator's "storm": the leader went back to the first entry, which it had compacted away.
  @Test func aFollowerThatWasNeverReachedIsStillThoughtToHoldTheLeadersLog() {
    var leader = TestServer(log: [1, 1, 1, 1])
    leader.becomeLeader()
    _ = leader.receive(.appendAccepted(matchIndex: 5), from: 2, term: 2)
    leader.raft.compact(through: 4)
    leader.raft.peerUnreachable(3)
    #expect(appends(leader.receive(.heartbeatReply(readRound: 0), from: 3, term: 2), to: 3) == [[5]])
    #expect(leader.snapshotRequests.isEmpty)
  }

  @Test func proposalsBeyondTheLimitAreRefusedUntilSomeAreCommitted() throws {
    var leader = TestServer { $0.maxUncommittedBytes = 1_000 }
    leader.becomeEstablishedLeader()
    let large = [UInt8](repeating: 0, count: 2_000)
    _ = try leader.raft.propose([large])
    #expect(throws: ProposeError.overloaded) { try leader.raft.propose([[1]]) }
    _ = leader.drain()
    _ = leader.receive(.appendAccepted(matchIndex: 2), from: 2, term: 1)
    _ = try leader.raft.propose([[1]])
  }

  @Test func committedEntriesComeOutInPortions() throws {
    var server = TestServer(voters: [1]) { $0.maxCommittedBytesPerOutput = 100 }
    server.becomeLeader()
    _ = try server.raft.propose([[1], [2], [3]])
    let first = server.raft.takeOutput()
    server.raft.persisted(try #require(first?.persist).token)
    for index in 2...4 as ClosedRange<LogIndex> {
      let output = server.raft.takeOutput()
      #expect(output?.committed.map(\.index) == [index])
    }
  }
}
