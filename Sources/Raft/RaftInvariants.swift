// What must be true after every step, checked in release builds too. A server that finds one of these broken stops: it
// would be wrong to go on, and its log and the message say why.
//
// Figure 3 of the paper names five properties of the group. Each is checked here as far as one server can see it; the
// simulator of the tests checks them across servers.

/// What a server remembers of its last step, to see that what must not change did not.
struct InvariantWitness: Sendable {
  var currentTerm: Term = 0
  var votedFor: NodeID?
  var role: Role = .follower
  var commitIndex: LogIndex = 0
  var commitTerm: Term = 0
  var lastIndex: LogIndex = 0
  var lastTerm: Term = 0
  var emittedIndex: LogIndex = 0
  var configurationIndex: LogIndex = 0

  /// A snapshot took the place of the log: the old end of the log says nothing about the new one.
  mutating func logWasReplaced() { lastIndex = 0 }
}

extension Raft {
  mutating func checkInvariants() {
    checkOrder()
    checkHistory()
    checkRole()
    checkMembership()
    witness.currentTerm = currentTerm
    witness.votedFor = votedFor
    witness.role = role
    witness.commitIndex = commitIndex
    witness.commitTerm = log.term(at: commitIndex) ?? witness.commitTerm
    witness.lastIndex = lastIndex
    witness.lastTerm = log.lastTerm
    witness.emittedIndex = emittedIndex
    witness.configurationIndex = configurationIndex
  }

  /// The indexes of one server stand in a fixed order.
  private func checkOrder() {
    precondition(log.baseIndex <= lastApplied, "entries were compacted that are not applied")
    precondition(lastApplied <= emittedIndex, "entries were applied that were never handed out")
    precondition(emittedIndex <= commitIndex, "entries were handed out that are not committed")
    precondition(commitIndex <= lastIndex, "entries are committed that are not there")
    precondition(durability.durableIndex <= durability.handedOutIndex, "entries are durable that were never written")
    precondition(durability.handedOutIndex <= lastIndex, "entries were written that are not there")
    precondition(log.lastTerm <= currentTerm, "the log holds entries of a future term")
    precondition(durability.durableTerm <= currentTerm, "a future term is on disk")
    precondition(
      withheld.last.map { $0.token <= durability.nextToken } ?? true, "a message waits for a write that will not come")
  }

  /// Terms, votes, commitment and a leader's log only ever grow.
  private func checkHistory() {
    precondition(currentTerm >= witness.currentTerm, "a term fell (§5.1)")
    precondition(commitIndex >= witness.commitIndex, "the commit index fell (§5.3)")
    precondition(emittedIndex >= witness.emittedIndex, "an entry would be applied twice")
    if currentTerm == witness.currentTerm {
      precondition(witness.votedFor == nil || votedFor == witness.votedFor, "a vote was changed within a term (§5.2)")
    }
    if let term = log.term(at: witness.commitIndex) {
      precondition(
        witness.commitIndex == 0 || term == witness.commitTerm,
        "a committed entry was replaced (leader completeness, §5.4)")
    }
    if role == .leader && witness.role == .leader {
      precondition(
        commitIndex == witness.commitIndex || log.term(at: commitIndex) == currentTerm,
        "a leader committed entries of an earlier term by counting (§5.4.2, figure 8)")
      precondition(currentTerm == witness.currentTerm, "a leader changed its term without stepping down")
      precondition(lastIndex >= witness.lastIndex, "a leader shortened its log (leader append-only, §5.3)")
      if let term = log.term(at: witness.lastIndex) {
        precondition(term == witness.lastTerm, "a leader overwrote its log (leader append-only, §5.3)")
      }
    }
  }

  /// A role implies what the server knows.
  private func checkRole() {
    switch role {
    case .leader:
      precondition(leader == id && votedFor == id, "a leader leads by its own vote")
      precondition(log.lastTerm == currentTerm, "a leader opens its term with an entry (§8)")
      precondition(uncommittedBytes >= 0, "more was committed than proposed")
      for follower in followers { check(follower) }
    case .candidate:
      precondition(leader == nil && votedFor == id, "a candidate votes for itself (§5.2)")
    case .preCandidate:
      precondition(leader == nil, "who asks for votes knows no leader")
    case .follower:
      precondition(leader != id, "a follower does not lead itself")
    }
    precondition(role == .leader || (followers.isEmpty && transfer == nil), "only a leader has followers")
    precondition(role == .leader || reads.rounds.isEmpty, "only a leader confirms reads")
  }

  /// One change of membership at a time, by a leader that knows of all before it (§6; dissertation §4.1).
  private func checkMembership() {
    precondition(!isRemoved || role == .follower, "a removed server asks for votes or leads")
    precondition(configurationIndex <= lastIndex, "a configuration is in force that is not in the log")
    guard role == .leader && witness.role == .leader && configurationIndex != witness.configurationIndex else { return }
    precondition(witness.configurationIndex <= commitIndex, "two configuration changes in flight (§6)")
    precondition(log.term(at: commitIndex) == currentTerm, "a configuration changes before the term's first commit")
  }

  private func check(_ follower: Progress) {
    precondition(follower.matchIndex < follower.nextIndex, "what is acknowledged is not sent again")
    precondition(follower.nextIndex <= lastIndex + 1, "a follower is ahead of its leader")
    precondition(follower.inflightMessages <= options.maxInflightMessages, "more messages are under way than allowed")
    precondition(follower.state == .replicate || follower.inflightMessages == 0, "only replication streams")
    precondition(follower.confirmedReadRound <= reads.lastRound, "a round was confirmed that never started")
  }
}
