// What servers say to each other. A message may be lost, delayed, doubled or overtaken: nothing depends on its arrival.

/// A message between two servers of a group.
public struct Message: Sendable, Hashable {
  public var from: NodeID
  public var to: NodeID
  /// The sender's current term; in a pre-vote, and in the reply that grants it, the term that the election would have.
  public var term: Term
  public var body: Body

  public init(from: NodeID, to: NodeID, term: Term, body: Body) {
    self.from = from
    self.to = to
    self.term = term
    self.body = body
  }

  public enum Body: Sendable, Hashable {
    /// RequestVote (§5.2). A pre-vote asks "would you?" and changes nothing (dissertation §9.6). `transfer` marks an
    /// election that the leader itself asked for, which followers must not ignore (dissertation §3.10).
    case requestVote(lastLogIndex: LogIndex, lastLogTerm: Term, preVote: Bool, transfer: Bool)
    case requestVoteReply(granted: Bool, preVote: Bool)
    /// AppendEntries (§5.3). Entries are consecutive and start at `prevLogIndex + 1`.
    case appendEntries(prevLogIndex: LogIndex, prevLogTerm: Term, leaderCommit: LogIndex, entries: [Entry])
    /// The follower's log is on its disk, and equal to the leader's, up to `matchIndex`.
    case appendAccepted(matchIndex: LogIndex)
    /// The follower's log does not hold the entry before `prevLogIndex + 1`. The hint is the last place in the
    /// follower's log, and the term there, at which the logs can still be equal.
    case appendRejected(prevLogIndex: LogIndex, hintIndex: LogIndex, hintTerm: Term)
    /// "I am still the leader." `readRound` numbers the rounds by which a leader makes sure of it before a read.
    case heartbeat(leaderCommit: LogIndex, readRound: UInt64)
    case heartbeatReply(readRound: UInt64)
    /// A follower asks the leader for an index at which a read is linearizable (dissertation §6.4). The answer holds for
    /// every read of the same incarnation with this or a lower number.
    case readIndex(ReadID)
    case readIndexReply(ReadID, index: LogIndex)
    /// The leader asks the receiver to start an election at once (dissertation §3.10).
    case timeoutNow
    /// The receiver is no member any more, and that is committed.
    case removed
  }
}
