// Each invariant of consensus on a group that does right, and on one that does not.
import Testing

@testable import Raft
@testable import Simulation

@Suite struct ConsensusCheckerTests {
  private let group = Configuration(voters: [1, 2, 3])

  /// A group whose turns are written by hand.
  private struct Group {
    var checker = ConsensusChecker()
    var token: UInt64 = 0
    let configuration: Configuration

    init(_ configuration: Configuration) {
      self.configuration = configuration
      checker.expectsPreVote = false
    }

    var found: String? { checker.violation?.invariant }

    mutating func turn(
      _ node: NodeID, _ role: Role = .follower, term: Term, commit: LogIndex = 0, durable: LogIndex = 0,
      entries: [Entry] = [], truncateFrom: LogIndex? = nil, hardState: HardState? = nil, messages: [Message] = [],
      committed: [Entry] = []
    ) {
      var output = RaftOutput()
      if !entries.isEmpty || truncateFrom != nil || hardState != nil {
        token += 1
        var persist = Persist(token: PersistToken(number: token))
        persist.entries = entries
        persist.truncateFrom = truncateFrom
        persist.hardState = hardState
        output.persist = persist
      }
      output.messages = messages
      output.committed = committed
      checker.step(
        ServerStep(
          node: node, role: role, term: term, commitIndex: commit, durableIndex: durable,
          configuration: configuration, output: output))
    }

    /// Server 1 leads term 1 and has one entry on the disks of servers 1 and 2.
    mutating func oneEntryCommitted() {
      turn(1, .leader, term: 1, entries: [entry(1, term: 1)])
      turn(2, term: 1, entries: [entry(1, term: 1)])
      turn(2, term: 1, durable: 1, messages: [accepted(1, from: 2, to: 1, term: 1)])
      turn(1, .leader, term: 1, commit: 1, durable: 1, committed: [entry(1, term: 1)])
    }
  }

  private static func entry(_ index: LogIndex, term: Term, _ payload: String = "x", kind: EntryKind = .command) -> Entry
  {
    Entry(term: term, index: index, kind: kind, payload: Array(payload.utf8))
  }
  private static func entry(_ index: LogIndex, term: Term) -> Entry { entry(index, term: term, "x") }
  private static func accepted(_ index: LogIndex, from: NodeID, to: NodeID, term: Term) -> Message {
    Message(from: from, to: to, term: term, body: .appendAccepted(matchIndex: index))
  }
  private func vote(from: NodeID, for candidate: NodeID, term: Term) -> Message {
    Message(from: from, to: candidate, term: term, body: .requestVoteReply(granted: true, preVote: false))
  }
  private func restored(
    _ node: NodeID, term: Term, votedFor: NodeID? = nil, commit: LogIndex = 0, terms: [Term] = [0]
  ) -> RestoredServer {
    RestoredServer(node: node, term: term, votedFor: votedFor, commitIndex: commit, baseIndex: 0, terms: terms)
  }

  @Test func aGroupThatDoesRightPasses() {
    var group = Group(group)
    group.oneEntryCommitted()
    group.turn(2, term: 1, commit: 1, durable: 1, committed: [Self.entry(1, term: 1)])
    group.checker.restored(restored(2, term: 1, terms: [0, 1]))
    group.turn(2, .leader, term: 2, durable: 1, entries: [Self.entry(2, term: 2)])
    #expect(group.found == nil)
  }

  @Test func twoLeadersOfATermAreFound() {
    var group = Group(group)
    group.turn(1, .leader, term: 1)
    group.turn(2, .leader, term: 1)
    #expect(group.found == "election safety (§5.2)")
  }

  @Test func twoVotesInATermAreFound() {
    var group = Group(group)
    group.turn(3, term: 1, messages: [vote(from: 3, for: 1, term: 1)])
    group.turn(3, term: 1, messages: [vote(from: 3, for: 2, term: 1)])
    #expect(group.found == "one vote a term (§5.2)")
  }

  @Test func aVoteThatACrashTookBackIsFound() {
    var group = Group(group)
    group.turn(3, term: 1, messages: [vote(from: 3, for: 1, term: 1)])
    group.checker.restored(restored(3, term: 1))
    #expect(group.found == "votes survive a crash (§5.2)")
  }

  @Test func anAcknowledgedEntryThatACrashTookBackIsFound() {
    var group = Group(group)
    group.oneEntryCommitted()
    group.checker.restored(restored(2, term: 1))
    #expect(group.found == "acknowledged entries survive a crash (§5.3)")
  }

  @Test func aDiskThatWasWipedBindsNobody() {
    var group = Group(group)
    group.oneEntryCommitted()
    group.checker.forgetPromises(of: 2)
    group.checker.restored(restored(2, term: 1))
    #expect(group.found == nil)
  }

  /// Seed 1008 of "disks": the end of a leader's log that nobody else had was lost, and its successor's log took its
  /// place, which is shorter. Seed 3758823409 of "rot": or others said that they never had it, in a term of its own.
  @Test func aDamagedEndMayGoWhenAnotherLeadsUnlessItWasCommitted() {
    let cases: [(hasSuccessor: Bool, wasCommitted: Bool, term: Term)] = [
      (true, false, 2), (false, false, 1), (false, false, 2), (true, true, 2), (false, true, 2),
    ]
    for (hasSuccessor, wasCommitted, term) in cases {
      var group = Group(group)
      group.oneEntryCommitted()
      group.turn(1, .leader, term: 1, commit: 1, durable: 2, entries: [Self.entry(2, term: 1)])
      if wasCommitted {
        group.turn(2, term: 1, commit: 1, entries: [Self.entry(2, term: 1)])
        group.turn(2, term: 1, commit: 1, durable: 2, messages: [Self.accepted(2, from: 2, to: 1, term: 1)])
        group.turn(1, .leader, term: 1, commit: 2, durable: 2, committed: [Self.entry(2, term: 1)])
      }
      group.checker.diskIsDamaged(of: 1, true)
      if hasSuccessor { group.turn(2, .leader, term: 2, commit: 1, durable: wasCommitted ? 2 : 1) }
      group.checker.restored(restored(1, term: term, commit: 1, terms: [0, 1]))
      let isRight = term > 1 && !wasCommitted
      #expect(group.found == (isRight ? nil : "acknowledged entries survive a crash (§5.3)"))
    }
  }

  /// Seed 400000191 of "liars": the word of an acknowledgement was on its way when the disk forgot what it was of.
  @Test func anAcknowledgementOnItsWayCountsAfterItsDiskHasForgotten() {
    var group = Group(group)
    group.turn(1, .leader, term: 1, entries: [Self.entry(1, term: 1)])
    group.turn(2, term: 1, entries: [Self.entry(1, term: 1)])
    group.turn(2, term: 1, durable: 1, messages: [Self.accepted(1, from: 2, to: 1, term: 1)])
    group.checker.forgetPromises(of: 2)
    group.checker.restored(restored(2, term: 1))
    group.turn(1, .leader, term: 1, commit: 1, durable: 1, committed: [Self.entry(1, term: 1)])
    #expect(group.found == nil)
    group.turn(1, .leader, term: 1, commit: 2, durable: 2, entries: [Self.entry(2, term: 1)])
    #expect(group.found == "the committed is on a quorum's disks (§5.3)")
  }

  /// Seed 400000006 of "disks": a damaged entry of a leader that was cut off came back as its successor's.
  @Test func aDamagedEntryMayComeBackAsALaterLeadersUnlessItWasCommitted() {
    var group = Group(group)
    group.turn(1, .leader, term: 1, durable: 1, entries: [Self.entry(1, term: 1)])
    group.turn(2, .leader, term: 2, durable: 1, entries: [Self.entry(1, term: 2)])
    group.checker.diskIsDamaged(of: 1, true)
    group.checker.restored(restored(1, term: 2, terms: [0, 2]))
    #expect(group.found == nil)
    var committed = Group(self.group)
    committed.oneEntryCommitted()
    committed.checker.diskIsDamaged(of: 1, true)
    committed.checker.restored(restored(1, term: 2, terms: [0, 2]))
    #expect(committed.found == "acknowledged entries survive a crash (§5.3)")
  }

  @Test func aTermThatFellInACrashIsFound() {
    var group = Group(group)
    group.turn(1, term: 4, hardState: HardState(currentTerm: 4))
    group.checker.logIsDurable(through: PersistToken(number: 1), node: 1)
    group.checker.restored(restored(1, term: 3))
    #expect(group.found == "terms survive a crash (§5.1)")
  }

  /// On a full disk term and vote are durable, and how far the log was known to be committed is not.
  @Test func aTermThatWasPromisedBindsAndACommitIndexDoesNot() {
    for (term, commitIndex, found) in [
      (4, 0, nil), (3, 1, "terms survive a crash (§5.1)"),
    ] as [(UInt64, UInt64, String?)] {
      var group = Group(group)
      group.oneEntryCommitted()
      group.turn(1, term: 4, commit: 1, durable: 1, hardState: HardState(currentTerm: 4, commitIndex: 1))
      group.checker.promisesAreDurable(through: PersistToken(number: 3), node: 1)
      group.checker.restored(restored(1, term: term, commit: commitIndex, terms: [0, 1]))
      #expect(group.found == found)
    }
  }

  @Test func differentEntriesAtOnePlaceAreFound() {
    var group = Group(group)
    group.turn(1, .leader, term: 1, entries: [Self.entry(1, term: 1, "x")])
    group.turn(2, term: 1, entries: [Self.entry(1, term: 1, "y")])
    #expect(group.found == "log matching (§5.3)")
  }

  @Test func equalEntriesBehindDifferentOnesAreFound() {
    var group = Group(group)
    group.turn(1, term: 3, entries: [Self.entry(1, term: 1), Self.entry(2, term: 3)])
    group.turn(2, term: 3, entries: [Self.entry(1, term: 2), Self.entry(2, term: 3)])
    #expect(group.found == "log matching (§5.3)")
  }

  @Test func aLeaderThatShortensItsLogIsFound() {
    var group = Group(group)
    group.turn(1, .leader, term: 1, entries: [Self.entry(1, term: 1)])
    group.turn(1, .leader, term: 1, truncateFrom: 1)
    #expect(group.found == "leader append-only (§5.3)")
  }

  @Test func aCommittedEntryThatIsTruncatedIsFound() {
    var group = Group(group)
    group.oneEntryCommitted()
    group.turn(2, term: 2, truncateFrom: 1)
    #expect(group.found == "committed entries are never truncated")
  }

  @Test func aCommitWithoutAQuorumsDisksIsFound() {
    var group = Group(group)
    group.turn(1, .leader, term: 1, entries: [Self.entry(1, term: 1)])
    group.turn(2, term: 1, entries: [Self.entry(1, term: 1)])
    group.turn(1, .leader, term: 1, commit: 1, durable: 1)
    #expect(group.found == "the committed is on a quorum's disks (§5.3)")
  }

  @Test func anOlderTermCommittedByCountingIsFound() {
    var group = Group(group)
    group.turn(1, term: 1, entries: [Self.entry(1, term: 1)])
    group.turn(2, term: 1, durable: 0, entries: [Self.entry(1, term: 1)])
    group.turn(2, term: 2, durable: 1, messages: [Self.accepted(1, from: 2, to: 1, term: 2)])
    group.turn(1, .leader, term: 2, commit: 1, durable: 1)
    #expect(group.found == "leaders commit entries of their own term (§5.4.2)")
  }

  @Test func aLeaderWithoutACommittedEntryIsFound() {
    var group = Group(group)
    group.oneEntryCommitted()
    group.turn(3, .leader, term: 2, entries: [Self.entry(1, term: 2)])
    #expect(group.found == "leader completeness (§5.4)")
  }

  @Test func anotherEntryAppliedThanCommittedIsFound() {
    var group = Group(group)
    group.oneEntryCommitted()
    group.turn(3, term: 2, entries: [Self.entry(1, term: 2)])
    group.turn(3, term: 2, commit: 1, committed: [Self.entry(1, term: 2)])
    #expect(group.found == "state-machine safety (§5.4.3)")
  }

  @Test func aSecondConfigurationInFlightIsFound() {
    var group = Group(group)
    group.oneEntryCommitted()
    let first = Self.entry(2, term: 1, "c", kind: .configuration)
    let second = Self.entry(3, term: 1, "d", kind: .configuration)
    group.turn(1, .leader, term: 1, commit: 1, durable: 1, entries: [first])
    #expect(group.found == nil)
    group.turn(1, .leader, term: 1, commit: 1, durable: 1, entries: [second])
    #expect(group.found == "one configuration change at a time (§6)")
  }

  @Test func aConfigurationBeforeTheFirstCommitIsFound() {
    var group = Group(group)
    group.turn(1, .leader, term: 1, entries: [Self.entry(1, term: 1, "c", kind: .configuration)])
    #expect(group.found == "no configuration change before the leader's first commit")
  }

  @Test func aCandidateThatDidNotAskIsFound() {
    var group = Group(group)
    group.checker.expectsPreVote = true
    let ask = { (term: Term, preVote: Bool) in
      Message(
        from: 1, to: 2, term: term,
        body: .requestVote(lastLogIndex: 0, lastLogTerm: 0, preVote: preVote, transfer: false))
    }
    group.turn(1, .preCandidate, term: 1, messages: [ask(2, true)])
    group.turn(1, .candidate, term: 2, messages: [ask(2, false)])
    #expect(group.found == nil)
    group.turn(1, .candidate, term: 3, messages: [ask(3, false)])
    #expect(group.found == "candidates ask before they stand (dissertation §9.6)")
  }
}
