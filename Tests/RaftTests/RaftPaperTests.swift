// The Raft paper, clause by clause (extended version; D means the dissertation). The names are the clauses.

import Testing

@testable import Raft

private let grant = Message.Body.requestVoteReply(granted: true, preVote: false)
private let reject = Message.Body.requestVoteReply(granted: false, preVote: false)
private func vote(_ index: LogIndex = 0, _ term: Term = 0, transfer: Bool = false) -> Message.Body {
  .requestVote(lastLogIndex: index, lastLogTerm: term, preVote: false, transfer: transfer)
}
private func append(
  after prev: LogIndex = 0, _ prevTerm: Term = 0, _ entries: [Entry] = [], commit: LogIndex = 0
) -> Message.Body {
  .appendEntries(prevLogIndex: prev, prevLogTerm: prevTerm, leaderCommit: commit, entries: entries)
}
private func entry(_ index: LogIndex, _ term: Term) -> Entry { Entry(term: term, index: index, payload: [UInt8(term)]) }
private func withoutPreVote(_ options: inout RaftOptions) { options.preVote = false }

@Suite("§5.1 Terms") struct Terms {
  @Test func aServerStartsAsFollower() {
    #expect(TestServer().raft.role == .follower)
    #expect(TestServer().raft.leader == nil)
  }

  @Test func aSmallerTermIsUpdatedToTheLargerOne() {
    var server = TestServer(term: 1)
    _ = server.receive(append(), from: 2, term: 4)
    #expect(server.raft.currentTerm == 4)
    #expect(server.written.last?.hardState?.currentTerm == 4)
  }

  @Test func aCandidateOrLeaderThatDiscoversItsTermIsOutOfDateBecomesFollower() {
    var candidate = TestServer(adjust: withoutPreVote)
    _ = candidate.tickUntilElection()
    #expect(candidate.raft.role == .candidate)
    _ = candidate.receive(append(), from: 2, term: 2)
    #expect(candidate.raft.role == .follower && candidate.raft.leader == 2)

    var leader = TestServer()
    leader.becomeLeader()
    _ = leader.receive(.heartbeatReply(readRound: 0), from: 2, term: 9)
    #expect(leader.raft.role == .follower && leader.raft.currentTerm == 9 && leader.raft.leader == nil)
  }

  @Test func aRequestWithAStaleTermIsRejected() {
    var server = TestServer(term: 5)
    #expect(server.receive(vote(9, 4), from: 2, term: 4) == [Message(from: 1, to: 2, term: 5, body: reject)])
    let answer = server.receive(append(after: 0, 0, [entry(1, 4)]), from: 2, term: 4)
    #expect(answer.map(\.term) == [5])
    #expect(server.raft.lastIndex == 0 && server.raft.leader == nil)
  }
}

@Suite("§5.2 Leader election") struct LeaderElection {
  @Test func aLeaderSendsHeartbeatsToAllToMaintainItsAuthority() {
    var leader = TestServer { $0.heartbeatTicks = 3 }
    leader.becomeEstablishedLeader()
    #expect(leader.tick(2).isEmpty)
    let sent = leader.tick()
    #expect(sent.map(\.to) == [2, 3])
    #expect(sent.allSatisfy { if case .heartbeat = $0.body { true } else { false } })
  }

  @Test func aServerRemainsFollowerAsLongAsItHearsFromALeader() {
    var server = TestServer()
    for _ in 0..<20 {
      _ = server.receive(.heartbeat(leaderCommit: 0, readRound: 0), from: 2, term: 1)
      #expect(server.tick(9).isEmpty)
    }
    #expect(server.raft.role == .follower)
  }

  @Test func aFollowerThatHearsNothingIncrementsItsTermVotesForItselfAndAsksEveryOther() {
    var server = TestServer(term: 3, log: [1, 3], adjust: withoutPreVote)
    let requests = server.tickUntilElection()
    #expect(server.raft.role == .candidate && server.raft.currentTerm == 4 && server.raft.votedFor == 1)
    #expect(requests == [2, 3].map { Message(from: 1, to: $0, term: 4, body: vote(2, 3)) })
  }

  @Test func electionTimeoutsAreChosenAtRandomBetweenOneAndTwoTimeouts() {
    var seen: Set<Int> = []
    for seed in 0..<200 as Range<UInt64> {
      var server = TestServer { $0.seed = seed }
      var ticks = 0
      while server.raft.role == .follower {
        _ = server.tick()
        ticks += 1
      }
      seen.insert(ticks)
    }
    #expect(seen == Set(10...19))
  }

  @Test(arguments: [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (7, 3)])
  func aCandidateWinsWithTheVotesOfAMajority(size: Int, votesNeeded: Int) {
    var server = TestServer(voters: Set(1...NodeID(size)), adjust: withoutPreVote)
    _ = server.tickUntilElection()
    for voter in 0..<votesNeeded {
      #expect(server.raft.role == .candidate)
      _ = server.receive(grant, from: NodeID(voter + 2), term: 1)
    }
    #expect(server.raft.role == .leader && server.raft.leader == 1)
  }

  @Test func aVoteCountsOnce() {
    var server = TestServer(voters: [1, 2, 3, 4, 5], adjust: withoutPreVote)
    _ = server.tickUntilElection()
    for _ in 0..<5 { _ = server.receive(grant, from: 2, term: 1) }
    #expect(server.raft.role == .candidate)
  }

  @Test func eachServerVotesForAtMostOneCandidateInATermFirstComeFirstServed() {
    var server = TestServer()
    #expect(server.receive(vote(), from: 2, term: 1).map(\.body) == [grant])
    #expect(server.receive(vote(), from: 3, term: 1).map(\.body) == [reject])
    #expect(server.receive(vote(), from: 2, term: 1).map(\.body) == [grant], "a repeated question has the same answer")
    #expect(server.receive(vote(), from: 3, term: 2).map(\.body) == [grant])
  }

  /// Figure 2, rules for followers: the timeout begins anew with a vote that is given, and with no other.
  @Test(arguments: [true, false]) func onlyAVoteThatIsGivenBeginsTheTimeoutAnew(granted: Bool) {
    var server = TestServer(term: 2, log: [1, 1], adjust: withoutPreVote)
    var ticks = 0
    var undisturbed = server
    while undisturbed.raft.role == .follower {
      _ = undisturbed.tick()
      ticks += 1
    }
    _ = server.tick(ticks - 1)
    let answer = server.receive(granted ? vote(2, 1) : vote(1, 1), from: 2, term: 2)
    #expect(answer.map(\.body) == [granted ? grant : reject])
    _ = server.tick()
    #expect(server.raft.role == (granted ? .follower : .candidate))
  }

  /// §5.6: an election must not take longer than its timeout; where votes do not come, the timeout is what gives way.
  @Test func aCandidateWhoseVotesDoNotComeWaitsTwiceAsLongEachTimeUntilThereIsALeader() {
    func ticksToNextElection(_ server: inout TestServer) -> Int {
      let term = server.raft.currentTerm
      var ticks = 0
      while server.raft.currentTerm == term {
        _ = server.tick()
        ticks += 1
      }
      return ticks
    }
    var server = TestServer(adjust: withoutPreVote)
    _ = server.tickUntilElection()
    #expect((10...19).contains(ticksToNextElection(&server)))
    for doublings in [1, 2, 3, 4, 4] {
      #expect((10 << doublings...19 << doublings).contains(ticksToNextElection(&server)))
    }
    _ = server.receive(.heartbeat(leaderCommit: 0, readRound: 0), from: 3, term: server.raft.currentTerm)
    _ = ticksToNextElection(&server)
    #expect((10...19).contains(ticksToNextElection(&server)))
  }

  /// Figure 2, rules for leaders: upon election, to each server, at once.
  @Test func aNewLeaderSaysSoAtOnce() {
    var server = TestServer(log: [1, 1], adjust: withoutPreVote)
    _ = server.tickUntilElection()
    let sent = server.receive(grant, from: 3, term: 2)
    #expect(server.raft.role == .leader)
    #expect(sent.map(\.to) == [2, 3] && sent.allSatisfy { $0.term == 2 })
    let noOp = Entry(term: 2, index: 3, kind: .noOp, payload: [])
    #expect(sent.allSatisfy { $0.body == append(after: 2, 1, [noOp]) })
  }

  @Test func aVoteIsOnDiskBeforeItIsGivenAndOutlivesARestart() {
    var server = TestServer()
    server.isDiskStopped = true
    #expect(server.receive(vote(), from: 2, term: 1).isEmpty)
    server.completeWrites()
    #expect(server.drain().map(\.body) == [grant])
    let stored = server.written.last?.hardState
    #expect(stored == HardState(currentTerm: 1, votedFor: 2))

    var restarted = TestServer(term: 1, votedFor: 2)
    #expect(restarted.receive(vote(), from: 3, term: 1).map(\.body) == [reject])
    #expect(restarted.receive(vote(), from: 2, term: 1).map(\.body) == [grant])
  }

  @Test func aCandidateThatHearsFromALeaderOfItsTermReturnsToFollower() {
    var server = TestServer(adjust: withoutPreVote)
    _ = server.tickUntilElection()
    _ = server.receive(.heartbeat(leaderCommit: 0, readRound: 0), from: 3, term: 1)
    #expect(server.raft.role == .follower && server.raft.leader == 3 && server.raft.currentTerm == 1)
  }

  @Test func aCandidateRejectsALeaderOfAnOlderTermAndContinues() {
    var server = TestServer(term: 4, adjust: withoutPreVote)
    _ = server.tickUntilElection()
    _ = server.receive(.heartbeat(leaderCommit: 0, readRound: 0), from: 3, term: 4)
    #expect(server.raft.role == .candidate)
  }

  @Test func whenVotesAreSplitACandidateTimesOutAndStartsANewElection() {
    var server = TestServer(adjust: withoutPreVote)
    _ = server.tickUntilElection()
    _ = server.tickUntilElection()
    #expect(server.raft.role == .candidate && server.raft.currentTerm == 2)
  }
}

@Suite("§5.3 Log replication") struct LogReplication {
  @Test func aLeaderAppendsACommandAndSendsItToAllFollowersInParallel() throws {
    var leader = TestServer()
    leader.becomeEstablishedLeader()
    let proposal = try leader.raft.propose([[7], [8]])
    #expect(proposal == Proposal(term: 1, indexes: 2...3))
    let command = { Entry(term: 1, index: $0, payload: [$1]) }
    let expected = append(after: 1, 1, [command(2, 7), command(3, 8)], commit: 1)
    #expect(leader.drain() == [2, 3].map { Message(from: 1, to: $0, term: 1, body: expected) })
  }

  @Test(arguments: [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
  func anEntryIsCommittedOnceAMajorityHasStoredIt(size: Int, acknowledgements: Int) throws {
    var leader = TestServer(voters: Set(1...NodeID(size)))
    leader.becomeEstablishedLeader()
    _ = try leader.raft.propose([[7]])
    _ = leader.drain()
    for follower in 0..<acknowledgements {
      #expect(leader.raft.commitIndex == 1)
      _ = leader.receive(.appendAccepted(matchIndex: 2), from: NodeID(follower + 2), term: 1)
    }
    #expect(leader.raft.commitIndex == 2)
    #expect(leader.applied.map(\.index) == [1, 2])
  }

  @Test func followersApplyWhenTheyLearnThatAnEntryIsCommitted() {
    var follower = TestServer()
    _ = follower.receive(append(after: 0, 0, [entry(1, 1), entry(2, 1)], commit: 1), from: 2, term: 1)
    #expect(follower.applied.map(\.index) == [1])
    _ = follower.receive(append(after: 2, 1, [], commit: 2), from: 2, term: 1)
    #expect(follower.applied.map(\.index) == [1, 2])
  }

  @Test func aFollowerCommitsNoFurtherThanTheLastNewEntry() {
    var follower = TestServer(log: [1, 1, 1])
    _ = follower.receive(append(after: 1, 1, [], commit: 3), from: 2, term: 2)
    #expect(follower.raft.commitIndex == 1, "entries 2 and 3 may differ from the leader's")
  }

  @Test func aFollowerRefusesEntriesIfItDoesNotHoldTheOneBefore() {
    var follower = TestServer(log: [1, 1])
    #expect(
      follower.receive(append(after: 5, 3, [entry(6, 3)]), from: 2, term: 3).map(\.body) == [
        .appendRejected(prevLogIndex: 5, hintIndex: 2, hintTerm: 1)
      ])
    #expect(
      follower.receive(append(after: 2, 3, [entry(3, 3)]), from: 2, term: 3).map(\.body) == [
        .appendRejected(prevLogIndex: 2, hintIndex: 2, hintTerm: 1)
      ])
    #expect(follower.logTerms == [1, 1])
  }

  @Test func aFollowerDeletesAConflictingEntryAndAllThatFollowIt() {
    var follower = TestServer(log: [1, 1, 2, 2, 2])
    _ = follower.receive(append(after: 2, 1, [entry(3, 3)]), from: 2, term: 3)
    #expect(follower.logTerms == [1, 1, 3])
    #expect(follower.written.last?.truncateFrom == 3)
    #expect(follower.written.last?.entries.map(\.index) == [3])
  }

  @Test func entriesThatAreThereAlreadyAreNotTakenAway() {
    var follower = TestServer(log: [1, 1, 1])
    let answer = follower.receive(append(after: 0, 0, [entry(1, 1)]), from: 2, term: 1)
    #expect(answer.map(\.body) == [.appendAccepted(matchIndex: 1)])
    #expect(follower.logTerms == [1, 1, 1])
  }

  @Test func aLeaderNeverOverwritesOrDeletesItsOwnEntries() {
    var leader = TestServer(log: [1, 1])
    leader.becomeLeader()
    _ = leader.receive(append(after: 0, 0, [entry(1, 1)]), from: 2, term: 1)
    #expect(leader.logTerms == [1, 1, 2])
  }

  /// Figure 7: whatever a follower's log looks like, the leader of term 8 makes it equal to its own.
  @Test(
    arguments: [
      [1, 1, 1, 4, 4, 5, 5, 6, 6],
      [1, 1, 1, 4],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
      [1, 1, 1, 4, 4, 4, 4],
      [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ] as [[Term]])
  func aLeaderBringsAnyLogIntoAgreementWithItsOwn(log: [Term]) throws {
    let leaderLog: [Term] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    var group = Group([
      TestServer(1, term: 7, log: leaderLog), TestServer(2, term: 7, log: log), TestServer(3, term: 7),
    ])
    group.elect(1)
    #expect(group.leaders == [1])
    #expect(group[1].logTerms == leaderLog + [8])
    #expect(group[2].logTerms == leaderLog + [8])
    #expect(group[3].logTerms == leaderLog + [8])
    #expect(group[2].applied == group[1].applied && group[1].applied.count == 11)
  }

  @Test func aConflictCostsOneMessageATermAtMost() {
    var group = Group([
      TestServer(1, term: 6, log: [1, 1] + Array(repeating: 6, count: 50)),
      TestServer(2, term: 5, log: [1, 1] + Array(repeating: 3, count: 30) + Array(repeating: 4, count: 30)),
      TestServer(3, term: 6),
    ])
    group.elect(1)
    let rejections = group.transcript.filter { $0.hasPrefix("2→1") && $0.contains("rejected") }
    #expect(group[2].logTerms == group[1].logTerms)
    #expect(rejections.count <= 3)
  }

  @Test func aLostAppendIsSentAgain() throws {
    var group = Group(of: 3)
    group.elect(1)
    group.isolate(2)
    group.at(1) { _ = try? $0.raft.propose([[1]]) }
    #expect(group[2].raft.lastIndex == 1)
    group.heal()
    group.tick(1, 3)
    #expect(group[2].applied == group[1].applied && group[2].raft.lastIndex == 2)
  }
}

@Suite("§5.4 Safety") struct Safety {
  /// §5.4.1: my log (index and term of its end) against the candidate's.
  @Test(
    arguments: [
      ([1], 1, 1, true), ([1], 2, 1, true), ([1, 1], 1, 1, false), ([1], 1, 2, true), ([1, 1], 1, 2, true),
      ([2], 1, 1, false), ([2], 2, 1, false), ([1, 2], 1, 1, false),
    ] as [([Term], LogIndex, Term, Bool)])
  func aVoterDeniesItsVoteIfItsOwnLogIsMoreUpToDate(log: [Term], index: LogIndex, term: Term, granted: Bool) {
    var voter = TestServer(log: log)
    #expect(voter.receive(vote(index, term), from: 2, term: 3).map(\.body) == [granted ? grant : reject])
  }

  /// §5.4.2 and figure 8: an entry of an earlier term on a majority is not committed by that.
  @Test func onlyEntriesOfTheLeadersTermAreCommittedByCountingReplicas() {
    var leader = TestServer(log: [1, 2])
    leader.becomeLeader()
    _ = leader.receive(.appendAccepted(matchIndex: 2), from: 2, term: 3)
    _ = leader.receive(.appendAccepted(matchIndex: 2), from: 3, term: 3)
    #expect(leader.raft.commitIndex == 0)
    _ = leader.receive(.appendAccepted(matchIndex: 3), from: 2, term: 3)
    #expect(leader.raft.commitIndex == 3, "and with one of its own, all before it")
  }
}

@Suite("§5.5 Follower and candidate crashes") struct Crashes {
  @Test func repeatedRequestsAreHarmless() {
    var follower = TestServer()
    let request = append(after: 0, 0, [entry(1, 1), entry(2, 1)], commit: 2)
    let first = follower.receive(request, from: 2, term: 1)
    let second = follower.receive(request, from: 2, term: 1)
    #expect(first == second)
    #expect(follower.applied.map(\.index) == [1, 2])
  }

  @Test func aRestartedServerAppliesWhatItKnowsToBeCommittedAfterWhatItHadApplied() {
    let base = SnapshotMetadata(index: 0, term: 0, configuration: Configuration(voters: [1, 2, 3]))
    var raft = Raft(
      id: 1, options: RaftOptions(seed: 1), hardState: HardState(currentTerm: 2, commitIndex: 3), snapshot: base,
      entries: [entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 2)], applied: 1)
    #expect(raft.takeOutput()?.committed.map(\.index) == [2, 3])
  }
}

@Suite("§6 Cluster membership") struct Membership {
  @Test func aJointConfigurationNeedsSeparateMajoritiesForElectionsAndCommitment() {
    let joint = Configuration(voters: [1, 2, 3], outgoingVoters: [1, 4, 5])
    var server = TestServer(configuration: joint, adjust: withoutPreVote)
    _ = server.tickUntilElection()
    _ = server.receive(grant, from: 2, term: 1)
    _ = server.receive(grant, from: 3, term: 1)
    #expect(server.raft.role == .candidate)
    _ = server.receive(grant, from: 5, term: 1)
    #expect(server.raft.role == .leader)
    _ = server.receive(.appendAccepted(matchIndex: 1), from: 2, term: 1)
    #expect(server.raft.commitIndex == 0)
    _ = server.receive(.appendAccepted(matchIndex: 1), from: 4, term: 1)
    #expect(server.raft.commitIndex == 1)
  }

  @Test func aLearnerReceivesTheLogAndNeitherVotesNorCounts() {
    let configuration = Configuration(voters: [1, 2, 3], learners: [4])
    var group = Group((1...4).map { TestServer($0, configuration: configuration) })
    group.elect(1)
    #expect(group[4].applied == group[1].applied && !group[4].applied.isEmpty)
    group.isolate(2)
    group.isolate(3)
    group.at(1) { _ = try? $0.raft.propose([[1]]) }
    #expect(group[4].raft.lastIndex == 2 && group[1].raft.commitIndex == 1)
    group.tick(4, 100)
    #expect(group[4].raft.role == .follower && group[4].raft.currentTerm == 1)
  }
}

@Suite("§7 Log compaction") struct Compaction {
  @Test func aFollowerThatNeedsCompactedEntriesIsSentASnapshotAndThenWhatFollows() throws {
    var group = Group(of: 3)
    group.elect(1)
    group.isolate(3)
    for value in 0..<5 as Range<UInt8> { group.at(1) { _ = try? $0.raft.propose([[value]]) } }
    group.at(1) { $0.raft.compact(through: 5) }
    group.heal()
    group.tick(1, 2)
    #expect(group[1].snapshotRequests == [3])
    #expect(group[1].raft.progress(of: 3)?.state == .snapshot)

    let configuration = group[1].raft.configuration
    let snapshot = SnapshotMetadata(index: 5, term: 1, configuration: configuration)
    group.at(3) {
      let installed = $0.raft.snapshotInstalled(snapshot)
      #expect(installed)
    }
    group.at(1) { $0.raft.snapshotEnded(to: 3, through: 5) }
    #expect(group[3].written.contains { $0.snapshot == snapshot })
    #expect(group[3].raft.lastIndex == 6 && group[3].raft.commitIndex == 6)
    #expect(group[3].applied.map(\.index) == [1, 6])
    #expect(group[1].raft.progress(of: 3)?.state == .replicate)
  }

  @Test func aFailedSnapshotIsAskedForAgainWhenTheFollowerShowsLife() {
    var leader = TestServer(log: [1, 1, 1])
    leader.becomeEstablishedLeader()
    _ = leader.receive(.appendAccepted(matchIndex: 4), from: 2, term: 2)
    leader.raft.compact(through: 4)
    leader.raft.peerUnreachable(3)
    var restarted = TestServer(log: [1, 1, 1, 1])
    restarted.becomeLeader()
    _ = restarted.receive(.appendAccepted(matchIndex: 5), from: 2, term: 2)
    restarted.raft.compact(through: 5)
    _ = restarted.receive(
      .appendRejected(prevLogIndex: 4, hintIndex: 0, hintTerm: 0), from: 3, term: 2)
    #expect(restarted.snapshotRequests == [3])
    restarted.raft.snapshotEnded(to: 3, through: nil)
    #expect(restarted.drain().isEmpty && restarted.snapshotRequests == [3])
    _ = restarted.receive(.heartbeatReply(readRound: 0), from: 3, term: 2)
    #expect(restarted.snapshotRequests == [3, 3])
  }

  @Test func aSnapshotOfWhatTheLogHoldsKeepsTheEntriesAfterIt() {
    var follower = TestServer(log: [1, 1, 1])
    let snapshot = SnapshotMetadata(index: 2, term: 1, configuration: follower.raft.configuration)
    let installed = follower.raft.snapshotInstalled(snapshot)
    _ = follower.drain()
    #expect(!installed)
    #expect(follower.logTerms == [1, 1, 1] && follower.raft.commitIndex == 2 && follower.applied.count == 2)
  }

  @Test func aSnapshotThatArrivesAtANewLeaderChangesNothing() {
    var leader = TestServer(log: [1, 1])
    leader.becomeLeader()
    let snapshot = SnapshotMetadata(index: 2, term: 1, configuration: leader.raft.configuration)
    let installed = leader.raft.snapshotInstalled(snapshot)
    #expect(!installed)
    #expect(leader.raft.role == .leader && leader.raft.commitIndex == 0)
  }

  @Test func aSnapshotThatContradictsTheLogReplacesAllOfIt() {
    var follower = TestServer(log: [1, 1, 1, 1, 1])
    let snapshot = SnapshotMetadata(index: 4, term: 3, configuration: follower.raft.configuration)
    let installed = follower.raft.snapshotInstalled(snapshot)
    _ = follower.drain()
    #expect(installed)
    #expect(follower.raft.lastIndex == 4 && follower.raft.term(at: 4) == 3 && follower.applied.isEmpty)
    #expect(follower.written.last?.truncateFrom == 5 && follower.written.last?.snapshot == snapshot)
  }

  @Test func anOldSnapshotIsIgnored() {
    var follower = TestServer(log: [1, 1, 1], commit: 3)
    let snapshot = SnapshotMetadata(index: 2, term: 1, configuration: follower.raft.configuration)
    let installed = follower.raft.snapshotInstalled(snapshot)
    #expect(!installed)
  }
}

@Suite("§8 Client interaction") struct ClientInteraction {
  @Test func aNewLeaderCommitsAnEmptyEntryAtTheStartOfItsTerm() {
    var leader = TestServer(log: [1])
    leader.becomeLeader()
    #expect(leader.raft.log.entries.last?.kind == .noOp && leader.raft.log.entries.last?.term == 2)
  }

  @Test func aFollowerRefusesProposalsAndNamesTheLeader() {
    var follower = TestServer()
    #expect(throws: ProposeError.notLeader(leader: nil)) { try follower.raft.propose([[1]]) }
    _ = follower.receive(.heartbeat(leaderCommit: 0, readRound: 0), from: 2, term: 1)
    #expect(throws: ProposeError.notLeader(leader: 2)) { try follower.raft.propose([[1]]) }
  }

  @Test func aReadWaitsUntilTheLeaderHasCommittedAnEntryOfItsTerm() throws {
    var leader = TestServer(log: [1])
    leader.becomeLeader()
    let read = try leader.raft.readIndex()
    _ = leader.drain()
    _ = leader.receive(.heartbeatReply(readRound: 1), from: 2, term: 2)
    #expect(leader.reads.isEmpty)
    let sent = leader.receive(.appendAccepted(matchIndex: 2), from: 2, term: 2)
    #expect(sent.contains { $0.body == .heartbeat(leaderCommit: 2, readRound: 1) })
    _ = leader.receive(.heartbeatReply(readRound: 1), from: 2, term: 2)
    #expect(leader.reads == [ReadState(id: read, index: 2)])
  }

  @Test func aReadIsServedOnlyAfterAQuorumConfirmedTheLeader() throws {
    var leader = TestServer(voters: [1, 2, 3, 4, 5])
    leader.becomeEstablishedLeader()
    let first = try leader.raft.readIndex()
    let second = try leader.raft.readIndex()
    let heartbeats = leader.drain()
    #expect(heartbeats.count == 4, "one round for both")
    _ = leader.receive(.heartbeatReply(readRound: 1), from: 2, term: 1)
    _ = leader.receive(.heartbeatReply(readRound: 1), from: 2, term: 1)
    #expect(leader.reads.isEmpty)
    _ = leader.receive(.heartbeatReply(readRound: 1), from: 3, term: 1)
    #expect(leader.reads.map(\.id) == [first, second])
  }
}
