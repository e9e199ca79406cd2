// Log replication: §5.3, and the rule for committing of §5.4.2.

extension Raft {
  // MARK: The leader proposes

  /// Places commands in the leader's log. They go out with the next output, all that came since the last in one message.
  public mutating func propose(_ payloads: [[UInt8]]) throws(ProposeError) -> Proposal {
    precondition(!payloads.isEmpty, "nothing is proposed")
    guard role == .leader else { throw .notLeader(leader: leader) }
    if let transfer { throw .transferringLeadership(to: transfer.target) }
    let bytes = payloads.reduce(0) { $0 + $1.count + Entry.overheadBytes }
    // A proposal larger than the limit is let through when nothing else waits, or it could never be made.
    if uncommittedBytes > 0 && uncommittedBytes + bytes > options.maxUncommittedBytes { throw .overloaded }
    let first = lastIndex + 1
    appendAsLeader(payloads, kind: .command)
    checkInvariants()
    return Proposal(term: currentTerm, indexes: first...lastIndex)
  }

  mutating func appendAsLeader(_ payloads: [[UInt8]], kind: EntryKind) {
    for payload in payloads {
      let entry = Entry(term: currentTerm, index: lastIndex + 1, kind: kind, payload: payload)
      uncommittedBytes += entry.cost
      log.append(entry)
      adopt(entry)
    }
  }

  // MARK: The leader sends

  /// Sends to every follower what it may be sent: entries within its limits, or the news of a commit.
  mutating func replicate() {
    for position in followers.indices {
      while let message = nextAppend(position) { messages.append(message) }
    }
    dismissFollowers()
  }

  private mutating func nextAppend(_ position: Int) -> Message? {
    let nextIndex = followers[position].nextIndex
    var lastToSend = lastIndex
    switch followers[position].state {
    case .snapshot: return nil
    case .probe: if followers[position].isPaused { return nil }
    case .replicate:
      if !followers[position].hasRoom(options) { lastToSend = nextIndex - 1 }
      let hasNews =
        nextIndex <= lastToSend || followers[position].sentCommit < commitIndex || followers[position].mustAsk
      if !hasNews { return nil }
    }
    guard let prevLogTerm = log.term(at: nextIndex - 1) else {
      if followers[position].isLeaving { return nil }
      followers[position].becomeSnapshot()
      snapshotRequests.append(followers[position].id)
      return nil
    }
    let entries = log.entries(from: nextIndex, through: lastToSend, maxBytes: options.maxEntriesBytesPerMessage)
    followers[position].sent(
      lastIndex: nextIndex - 1 + LogIndex(entries.count), bytes: entries.reduce(0) { $0 + $1.cost }, commit: commitIndex
    )
    let body = Message.Body.appendEntries(
      prevLogIndex: nextIndex - 1, prevLogTerm: prevLogTerm, leaderCommit: commitIndex, entries: entries)
    return Message(from: id, to: followers[position].id, term: currentTerm, body: body)
  }

  /// A heartbeat never tells of commits that the follower is not known to have on disk: it carries no consistency check.
  mutating func sendHeartbeats() {
    for follower in followers {
      let known = RaftMutant.heartbeatsTellTooMuch.isActive ? commitIndex : min(follower.matchIndex, commitIndex)
      send(.heartbeat(leaderCommit: known, readRound: reads.lastRound), to: follower.id)
    }
  }

  // MARK: The follower receives

  /// Consecutive, of terms that do not fall and exist: anything else is not from a leader.
  static func areWellFormed(_ entries: [Entry], after prevLogIndex: LogIndex, _ prevLogTerm: Term, term: Term) -> Bool {
    var lastIndex = prevLogIndex
    var lastTerm = prevLogTerm
    for entry in entries {
      let (next, overflow) = lastIndex.addingReportingOverflow(1)
      guard !overflow, entry.index == next, entry.term >= lastTerm else { return false }
      lastIndex = next
      lastTerm = entry.term
    }
    return lastTerm <= term
  }

  /// AppendEntries at the receiver (§5.3).
  mutating func accept(
    _ entries: [Entry], prevLogIndex: LogIndex, prevLogTerm: Term, leaderCommit: LogIndex, from sender: NodeID
  ) {
    // Overtaken by what came later: what is committed here is in every leader's log. Only what follows can be news: to a
    // leader that was never answered, for this disk is full, all of it is sent again and again.
    if prevLogIndex < commitIndex {
      let known = Int(commitIndex - prevLogIndex)
      guard entries.count > known, let term = log.term(at: commitIndex) else {
        acknowledge(commitIndex, to: sender)
        return
      }
      return accept(
        Array(entries[known...]), prevLogIndex: commitIndex, prevLogTerm: term, leaderCommit: leaderCommit, from: sender
      )
    }
    if RaftMutant.commitsUnverified.isActive { commit(through: min(leaderCommit, lastIndex)) }
    guard log.term(at: prevLogIndex) == prevLogTerm || RaftMutant.consistencyUnchecked.isActive else {
      let hintIndex = log.lastIndexThatCanMatch(index: min(prevLogIndex, lastIndex), term: prevLogTerm)
      let hintTerm = log.term(at: hintIndex) ?? 0
      send(.appendRejected(prevLogIndex: prevLogIndex, hintIndex: hintIndex, hintTerm: hintTerm), to: sender)
      return
    }
    for entry in entries {
      if entry.index <= lastIndex {
        if log.term(at: entry.index) == entry.term || RaftMutant.conflictsKept.isActive { continue }
        precondition(entry.index > commitIndex, "a committed entry would be overwritten (leader completeness, §5.4)")
        log.truncate(from: entry.index)
        durability.truncated(from: entry.index)
        configurations.truncate(from: entry.index)
      }
      log.append(entry)
      adopt(entry)
    }
    let lastNewIndex = prevLogIndex + LogIndex(entries.count)
    // The word that something is committed needs no answer from who acknowledged it. A leader that missed that asks again.
    let isKnown = entries.isEmpty && leaderCommit > commitIndex && acknowledged == (currentTerm, lastNewIndex)
    commit(through: min(leaderCommit, lastNewIndex))
    if !isKnown { acknowledge(lastNewIndex, to: sender) }
  }

  /// Tells the leader that this server's disk holds the log up to `index`: now if it does, otherwise when it will.
  mutating func acknowledge(_ index: LogIndex, to sender: NodeID) {
    acknowledged = (currentTerm, index)
    let isDurable = index <= durability.durableIndex && durability.durableTerm == currentTerm
    if isDurable || RaftMutant.acknowledgesBeforeDurable.isActive {
      send(.appendAccepted(matchIndex: index), to: sender)
      return
    }
    // One answer to all that one write will have stored.
    if let last = withheld.last, last.token == durability.tokenCovering(hardState, lastIndex: lastIndex),
      last.message.to == sender, last.message.term == currentTerm,
      case .appendAccepted(let earlier) = last.message.body
    {
      withheld[withheld.count - 1].message.body = .appendAccepted(matchIndex: max(earlier, index))
    } else {
      sendWhenDurable(.appendAccepted(matchIndex: index), to: sender)
    }
  }

  // MARK: The leader hears back

  mutating func followerAccepted(_ sender: NodeID, matchIndex: LogIndex) {
    guard role == .leader, let position = position(of: sender) else { return }
    precondition(matchIndex <= lastIndex, "a follower acknowledges entries that its leader does not have")
    followers[position].isActive = true
    followers[position].accepted(matchIndex, hasNext: matchIndex >= log.baseIndex)
    advanceCommitIndex()
    finishTransferIfCaughtUp(sender)
  }

  mutating func followerRejected(_ sender: NodeID, prevLogIndex: LogIndex, hintIndex: LogIndex, hintTerm: Term) {
    guard role == .leader, let position = position(of: sender) else { return }
    followers[position].isActive = true
    // Everything after the last place where the logs can be equal is skipped in one step (§5.3, last paragraph).
    let next = log.lastIndexThatCanMatch(index: min(hintIndex, lastIndex), term: hintTerm) + 1
    followers[position].rejected(prevLogIndex: prevLogIndex, next: next)
  }

  mutating func followerAnsweredHeartbeat(_ sender: NodeID, readRound: UInt64) {
    guard role == .leader, let position = position(of: sender), readRound <= reads.lastRound else { return }
    followers[position].isActive = true
    followers[position].confirmedReadRound = max(followers[position].confirmedReadRound, readRound)
    followers[position].showedLife()
    finishConfirmedReadRounds()
  }

  func position(of peer: NodeID) -> Int? { followers.firstIndex { $0.id == peer } }

  // MARK: Committing

  /// "If there exists an N > commitIndex, a majority of matchIndex[i] ≥ N, and log[N].term == currentTerm: set
  /// commitIndex = N" (figure 2; why only the current term: figure 8). The leader's own share is what is on its disk.
  mutating func advanceCommitIndex() {
    let stored = configuration.valueReachedByQuorum { voter in
      voter == id ? durability.durableIndex : followers.first { $0.id == voter }?.matchIndex ?? 0
    }
    let isOwn = RaftMutant.commitsOlderTerms.isActive || log.term(at: stored) == currentTerm
    if stored > commitIndex && isOwn { commit(through: stored) }
  }

  mutating func commit(through index: LogIndex) {
    if index <= commitIndex { return }
    precondition(index <= lastIndex, "entries cannot be committed before they are there")
    if role == .leader { uncommittedBytes -= log.cost(from: commitIndex + 1, through: index) }
    commitIndex = index
    continueMembershipChange()
  }
}
