// What the dissertation adds to the paper, clause by clause.

import Testing

@testable import Raft

private func vote(_ index: LogIndex, _ term: Term, preVote: Bool = false, transfer: Bool = false) -> Message.Body {
  .requestVote(lastLogIndex: index, lastLogTerm: term, preVote: preVote, transfer: transfer)
}
private let heartbeat = Message.Body.heartbeat(leaderCommit: 0, readRound: 0)

@Suite("D §3.10 Leadership transfer") struct LeadershipTransfer {
  @Test func theTargetIsBroughtUpToDateAndThenTimesOutAtOnce() throws {
    var group = Group(of: 3)
    group.elect(1)
    group.isolate(3)
    group.at(1) { _ = try? $0.raft.propose([[1]]) }
    group.heal()
    group.at(1) { try? $0.raft.transferLeadership(to: 3) }
    #expect(group.leaders == [1], "3 lacks an entry")
    group.tick(1)
    #expect(group.leaders == [3])
    #expect(group[3].raft.currentTerm == 2 && group[1].raft.leader == 3)
  }

  @Test func proposalsAreRefusedMeanwhileAndAcceptedAgainWhenItFails() throws {
    var leader = TestServer()
    leader.becomeEstablishedLeader()
    try leader.raft.transferLeadership(to: 2)
    #expect(leader.drain().map(\.body) == [.timeoutNow])
    #expect(throws: ProposeError.transferringLeadership(to: 2)) { try leader.raft.propose([[1]]) }
    for _ in 0..<10 {
      _ = leader.tick()
      _ = leader.receive(.heartbeatReply(readRound: 0), from: 3, term: 1)
    }
    _ = try leader.raft.propose([[1]])
  }

  @Test func aServerThatResignsHandsOverToTheMostUpToDateFollower() throws {
    var leader = TestServer()
    leader.becomeEstablishedLeader()
    _ = try leader.raft.propose([[1]])
    _ = leader.drain()
    _ = leader.receive(.appendAccepted(matchIndex: 2), from: 3, term: 1)
    let target = leader.raft.resign()
    #expect(target == 3)
    #expect(leader.drain().contains { $0.body == .timeoutNow && $0.to == 3 })
  }

  @Test func unsuitableTargetsAreRefused() {
    var leader = TestServer(configuration: Configuration(voters: [1, 2], learners: [3]))
    leader.becomeEstablishedLeader()
    for target in [1, 3, 9] as [NodeID] {
      #expect(throws: TransferError.unsuitableTarget) { try leader.raft.transferLeadership(to: target) }
    }
    var follower = TestServer()
    #expect(throws: TransferError.notLeader(leader: nil)) { try follower.raft.transferLeadership(to: 2) }
    let target = follower.raft.resign()
    #expect(target == nil)
  }
}

@Suite("D §4.2.3, §6.2, §9.6 Disruptive servers") struct DisruptiveServers {
  @Test func aFollowerThatHearsFromALeaderIgnoresRequestsForVotesUnlessTheLeaderWantsThem() {
    var follower = TestServer()
    _ = follower.receive(heartbeat, from: 2, term: 1)
    #expect(follower.receive(vote(9, 9), from: 3, term: 9).isEmpty)
    #expect(follower.receive(vote(9, 9, preVote: true), from: 3, term: 9).isEmpty)
    #expect(follower.raft.currentTerm == 1 && follower.raft.leader == 2)
    #expect(follower.receive(vote(9, 9, transfer: true), from: 3, term: 9).count == 1)
    #expect(follower.raft.votedFor == 3)
  }

  @Test func whoWaitsLongerItselfDoesNotKeepOthersWaiting() {
    var follower = TestServer()
    follower.raft.setTimeouts(electionTicks: 100, heartbeatTicks: 1)
    _ = follower.receive(heartbeat, from: 2, term: 1)
    _ = follower.tick(9)
    #expect(follower.receive(vote(9, 9, preVote: true), from: 3, term: 9).isEmpty, "heard from within a timeout")
    _ = follower.tick(1)
    #expect(
      follower.receive(vote(9, 9, preVote: true), from: 3, term: 9).map(\.body) == [
        .requestVoteReply(granted: true, preVote: true)
      ])
    #expect(follower.raft.role == .follower && follower.raft.leader == 2 && follower.raft.currentTerm == 1)
  }

  @Test func aLeaderThatWaitsLongerForItsQuorumIsDeposedNoSooner() {
    var leader = TestServer()
    leader.becomeEstablishedLeader()
    leader.raft.setTimeouts(electionTicks: 100, heartbeatTicks: 1)
    for _ in 0..<50 {
      _ = leader.tick()
      #expect(leader.receive(vote(9, 9, preVote: true), from: 3, term: 9).isEmpty)
      #expect(leader.receive(vote(9, 9), from: 3, term: 9).isEmpty)
    }
    #expect(leader.raft.role == .leader && leader.raft.currentTerm == 1)
  }

  @Test func aLeaderWithoutContactToAQuorumStepsDownInItsTerm() {
    var leader = TestServer()
    leader.becomeEstablishedLeader()
    _ = leader.tick(10)
    #expect(leader.raft.role == .leader, "its followers had answered")
    _ = leader.tick(10)
    #expect(leader.raft.role == .follower && leader.raft.currentTerm == 1 && leader.raft.leader == nil)
  }

  @Test func aServerThatCouldNotWinDoesNotRaiseItsTerm() {
    var group = Group(of: 3)
    group.elect(1)
    group.isolate(3)
    group.tick(3, 200)
    #expect(group[3].raft.role == .preCandidate && group[3].raft.currentTerm == 1)
    group.heal()
    group.tick(1)
    #expect(group.leaders == [1] && group[1].raft.currentTerm == 1 && group[3].raft.leader == 1)
  }

  @Test func aPreVoteChangesNothingAtTheVoter() {
    var voter = TestServer(term: 3)
    let answers = voter.receive(vote(0, 0, preVote: true), from: 2, term: 4)
    #expect(
      answers == [Message(from: 1, to: 2, term: 4, body: .requestVoteReply(granted: true, preVote: true))])
    #expect(voter.raft.currentTerm == 3 && voter.raft.votedFor == nil && voter.written.isEmpty)
  }

  @Test func aBrokenConnectionToTheLeaderStartsAnElectionAtOnceInTheOrderOfIds() {
    var group = Group(of: 3)
    group.elect(1)
    group.isolate(1)
    group.at(3) { $0.raft.peerDisconnected(1) }
    #expect(group[3].raft.role == .follower, "the second in line waits a little")
    group.at(2) { $0.raft.peerDisconnected(1) }
    #expect(group.leaders == [1, 2])
    #expect(group[2].raft.currentTerm == 2 && group[3].raft.leader == 2)
  }

  @Test func theNextInLineStepsInIfTheFirstDoesNot() {
    var group = Group(of: 3)
    group.elect(1)
    group.isolate(1)
    group.at(3) { $0.raft.peerDisconnected(1) }
    for _ in 0..<10 { group[2].raft.tick() }
    group.tick(3, 2)
    #expect(group.leaders == [1, 3])
  }

  @Test func aConnectionThatBrokeByMistakeDeposesNobody() {
    var group = Group(of: 3)
    group.elect(1)
    group.at(2) { $0.raft.peerDisconnected(1) }
    group.tick(1)
    #expect(group.leaders == [1] && group[2].raft.leader == 1 && group[2].raft.currentTerm == 1)
  }
}

@Suite("D §6.4 Reads") struct LinearizableReads {
  @Test func aFollowersReadIsConfirmedByTheLeader() throws {
    var group = Group(of: 3)
    group.elect(1)
    var read: ReadID?
    group.at(2) { read = try? $0.raft.readIndex() }
    #expect(group[2].reads == [ReadState(id: try #require(read), index: 1)])
  }

  @Test func aLostQuestionIsAskedAgain() throws {
    var group = Group(of: 3)
    group.elect(1)
    group.isolate(2)
    group.at(2) { _ = try? $0.raft.readIndex() }
    group.heal()
    group.tick(2)
    #expect(group[2].reads.count == 1)
  }

  /// An idle server sleeps from one heartbeat to the next: nothing else is due before its own election.
  @Test func aFollowerThatWaitsForNoAnswerIsDueForItsElectionOnly() throws {
    var follower = TestServer(2) { ($0.electionTicks, $0.heartbeatTicks) = (30, 8) }
    _ = follower.receive(heartbeat, from: 1, term: 1)
    #expect(follower.raft.ticksUntilDue >= 30)
    _ = try follower.raft.readIndex()
    #expect(follower.raft.ticksUntilDue <= 8, "question or answer may be lost: it asks again")
  }

  @Test func readsAreGivenUpWhenTheLeaderIsLost() throws {
    var follower = TestServer()
    _ = follower.receive(heartbeat, from: 2, term: 1)
    let read = try follower.raft.readIndex()
    _ = follower.drain()
    _ = follower.receive(heartbeat, from: 3, term: 2)
    #expect(follower.abandonedReads == [read])
    let late = Message.Body.readIndexReply(read, index: 0)
    _ = follower.receive(late, from: 3, term: 2)
    #expect(follower.reads.isEmpty)

    var leader = TestServer()
    leader.becomeEstablishedLeader()
    let own = try leader.raft.readIndex()
    _ = leader.drain()
    _ = leader.receive(heartbeat, from: 3, term: 2)
    #expect(leader.abandonedReads == [own])
  }

  @Test func aReadWithoutALeaderFails() {
    var server = TestServer()
    #expect(throws: ReadError.noLeader) { try server.raft.readIndex() }
  }

  @Test func anAnswerToAnEarlierLifeOfTheServerIsIgnored() throws {
    var follower = TestServer()
    _ = follower.receive(heartbeat, from: 2, term: 1)
    let read = try follower.raft.readIndex()
    let other = ReadID(incarnation: read.incarnation &+ 1, number: read.number)
    _ = follower.receive(.readIndexReply(other, index: 0), from: 2, term: 1)
    #expect(follower.reads.isEmpty)
    _ = follower.receive(.readIndexReply(read, index: 0), from: 2, term: 1)
    #expect(follower.reads.count == 1)
  }

  @Test func readsBeyondTheRoundsUnderWayShareTheNext() throws {
    var leader = TestServer { $0.maxReadRoundsInFlight = 2 }
    leader.becomeEstablishedLeader()
    for _ in 0..<6 {
      _ = try leader.raft.readIndex()
      _ = leader.drain()
    }
    #expect(leader.raft.reads.lastRound == 2)
    _ = leader.receive(.heartbeatReply(readRound: 2), from: 2, term: 1)
    #expect(leader.reads.count == 2 && leader.raft.reads.lastRound == 3)
    _ = leader.receive(.heartbeatReply(readRound: 3), from: 3, term: 1)
    #expect(leader.reads.count == 6)
  }

  @Test func theOnlyVoterWaitsForNobody() {
    var server = TestServer(voters: [1])
    _ = server.tick()
    #expect(server.raft.role == .leader)
    var one = TestServer()
    _ = one.tick()
    #expect(one.raft.role == .follower)
  }

  @Test func aSingleServerConfirmsItself() throws {
    var server = TestServer(voters: [1])
    server.becomeLeader()
    let read = try server.raft.readIndex()
    _ = server.drain()
    #expect(server.reads.map(\.id) == [read])
  }
}

@Suite("D §10.2.1 Writing to the leader's disk in parallel") struct ParallelWrites {
  @Test func aLeaderSendsBeforeItsOwnDiskIsDoneAndCountsItselfOnlyAfter() throws {
    var leader = TestServer(voters: [1, 2, 3, 4, 5])
    leader.becomeEstablishedLeader()
    leader.isDiskStopped = true
    _ = try leader.raft.propose([[1]])
    #expect(leader.drain().count == 4)
    _ = leader.receive(.appendAccepted(matchIndex: 2), from: 2, term: 1)
    _ = leader.receive(.appendAccepted(matchIndex: 2), from: 3, term: 1)
    #expect(leader.raft.commitIndex == 1)
    leader.completeWrites()
    #expect(leader.raft.commitIndex == 2)
  }

  @Test(arguments: [false, true])
  func aQuorumOfOthersCommitsWithoutTheLeadersDisk(emitsBeforeDurable: Bool) throws {
    var leader = TestServer { $0.emitsCommittedBeforeDurable = emitsBeforeDurable }
    leader.becomeEstablishedLeader()
    leader.isDiskStopped = true
    _ = try leader.raft.propose([[1]])
    _ = leader.drain()
    _ = leader.receive(.appendAccepted(matchIndex: 2), from: 2, term: 1)
    _ = leader.receive(.appendAccepted(matchIndex: 2), from: 3, term: 1)
    #expect(leader.raft.commitIndex == 2)
    #expect(leader.applied.map(\.index) == (emitsBeforeDurable ? [1, 2] : [1]))
    leader.completeWrites()
    _ = leader.drain()
    #expect(leader.applied.map(\.index) == [1, 2])
  }

  @Test func aFollowerAcknowledgesOnlyWhatIsOnItsDisk() {
    let entries = (1...2).map { Entry(term: 1, index: LogIndex($0), payload: []) }
    var follower = TestServer()
    follower.isDiskStopped = true
    for entry in entries {
      let request = Message.Body.appendEntries(
        prevLogIndex: entry.index - 1, prevLogTerm: entry.index == 1 ? 0 : 1, leaderCommit: 0, entries: [entry])
      #expect(follower.receive(request, from: 2, term: 1).isEmpty)
    }
    follower.completeWrites(1)
    #expect(follower.drain().map(\.body) == [.appendAccepted(matchIndex: 1)])
    follower.completeWrites()
    #expect(follower.drain().map(\.body) == [.appendAccepted(matchIndex: 2)])
  }

  /// Given a follower that has acknowledged an entry, when it is told that this is committed, then it says nothing: the
  /// leader knows. Asked once more it answers, and so it does when its first answer may have been lost.
  @Test func theNewsOfACommitNeedsNoAnswer() {
    func append(_ entries: [Entry], commit: LogIndex) -> Message.Body {
      let before = entries.first.map { $0.index - 1 } ?? 2
      return .appendEntries(
        prevLogIndex: before, prevLogTerm: before == 0 ? 0 : 1, leaderCommit: commit, entries: entries)
    }
    let entries = (1...2).map { Entry(term: 1, index: LogIndex($0), payload: []) }
    var follower = TestServer()
    #expect(
      follower.receive(append(entries, commit: 0), from: 2, term: 1).map(\.body) == [.appendAccepted(matchIndex: 2)])
    #expect(follower.receive(append([], commit: 1), from: 2, term: 1).isEmpty)
    #expect(follower.raft.commitIndex == 1)
    #expect(follower.receive(append([], commit: 1), from: 2, term: 1).map(\.body) == [.appendAccepted(matchIndex: 2)])
    follower.raft.peerUnreachable(2)
    #expect(follower.receive(append([], commit: 2), from: 2, term: 1).map(\.body) == [.appendAccepted(matchIndex: 2)])

    var other = TestServer(log: [1, 1])
    #expect(other.receive(append([], commit: 2), from: 2, term: 2).map(\.body) == [.appendAccepted(matchIndex: 2)])
  }

  /// An entry is written, overwritten by another leader's, and comes back the same: the first write's completion, late,
  /// says nothing about what the disk will hold when the second and third are done.
  @Test func aLateCompletionDoesNotCountForWhatHasReplacedTheEntry() {
    func request(_ term: Term, prevTerm: Term = 0) -> Message.Body {
      .appendEntries(
        prevLogIndex: 0, prevLogTerm: prevTerm, leaderCommit: 0, entries: [Entry(term: term, index: 1, payload: [])])
    }
    var follower = TestServer()
    follower.isDiskStopped = true
    _ = follower.receive(request(1), from: 2, term: 1)
    _ = follower.receive(request(2), from: 3, term: 2)
    _ = follower.receive(request(1), from: 2, term: 3)
    #expect(follower.logTerms == [1] && follower.unwritten.count == 3)
    follower.completeWrites(1)
    #expect(follower.raft.durableIndex == 0)
    #expect(!follower.drain().contains { $0.term == 3 })
    follower.completeWrites()
    #expect(follower.raft.durableIndex == 1)
    #expect(follower.drain().contains { $0.term == 3 && $0.body == .appendAccepted(matchIndex: 1) })
  }

  @Test func aCandidateAsksWhenItsVoteIsOnDisk() {
    var server = TestServer { $0.preVote = false }
    server.isDiskStopped = true
    #expect(server.tickUntilElection().isEmpty)
    server.completeWrites()
    #expect(server.drain().count == 2)
  }

  @Test func aCommitAloneCausesNoWrite() {
    var follower = TestServer(log: [1, 1])
    _ = follower.receive(
      .appendEntries(prevLogIndex: 2, prevLogTerm: 1, leaderCommit: 2, entries: []), from: 2, term: 1)
    #expect(follower.raft.commitIndex == 2 && follower.written.isEmpty)
  }
}
