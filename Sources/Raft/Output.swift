// What a `Raft` value wants done, and how it says no.

/// Names one write to stable storage. Tokens count up; completing one completes all before it.
public struct PersistToken: Sendable, Hashable, Comparable {
  public var number: UInt64
  public init(number: UInt64) { self.number = number }
  public static func < (a: PersistToken, b: PersistToken) -> Bool { a.number < b.number }
}

/// Everything there is to do since the last call of `takeOutput`. The parts are independent: messages may be sent and
/// committed entries applied while the write is still under way (replies that depend on it come out after it).
public struct RaftOutput: Sendable {
  /// To be written. Writes must reach the disk in the order they were handed out; several may share a transaction.
  public var persist: Persist?
  /// To be sent now, in this order per receiver. Losing some is allowed.
  public var messages: [Message] = []
  /// Committed: to be applied in this order, each entry once. Report it by `applied(through:)`.
  public var committed: [Entry] = []
  /// Reads that may be served now: what they must see has been applied.
  public var reads: [ReadState] = []
  /// Reads of which nothing will be heard any more, because the leader was lost. Ask again.
  public var abandonedReads: [ReadID] = []
  /// Set when the role, the term or the known leader is not what the last output said.
  public var leadership: Leadership?
  /// Followers that need what was compacted away: a snapshot each, asked for once until `snapshotEnded(to:through:)`.
  public var snapshotRequests: [NodeID] = []

  public init() {}

  var isEmpty: Bool {
    persist == nil && messages.isEmpty && committed.isEmpty && reads.isEmpty && abandonedReads.isEmpty
      && leadership == nil && snapshotRequests.isEmpty
  }
}

/// One write to stable storage; all of it in one transaction, in the order of the fields.
public struct Persist: Sendable, Hashable {
  public var token: PersistToken
  /// Replaces what is stored, if set.
  public var hardState: HardState?
  /// Set after a snapshot was installed: the log now starts behind this. Entries up to its index are to be deleted. The
  /// snapshot's state must be durable before this is.
  public var snapshot: SnapshotMetadata?
  /// Entries from this index on are to be deleted before `entries` are written: another leader's log replaced them (§5.3).
  public var truncateFrom: LogIndex?
  /// Consecutive entries to be written.
  public var entries: [Entry] = []
}

/// A read that may be served.
public struct ReadState: Sendable, Hashable {
  public var id: ReadID
  /// The index that the state machine had to reach for the read.
  public var index: LogIndex
}

/// Who leads, as far as this server knows.
public struct Leadership: Sendable, Hashable {
  public var term: Term
  public var role: Role
  public var leader: NodeID?
}

/// Where proposals were placed in the log. They are committed if and when entries of this term come out at these indexes;
/// an entry of another term at one of them means that they are lost.
public struct Proposal: Sendable, Hashable {
  public var term: Term
  public var indexes: ClosedRange<LogIndex>
}

/// Why a proposal was not accepted. In each case nothing was placed in the log.
public enum ProposeError: Error, Sendable, Hashable {
  /// Send it to the leader, if one is known.
  case notLeader(leader: NodeID?)
  /// Leadership is being handed over: wait for the next leader.
  case transferringLeadership(to: NodeID)
  /// Too many bytes wait for commitment. Try again when some were committed.
  case overloaded
}

/// Why a read was not accepted.
public enum ReadError: Error, Sendable, Hashable {
  /// Wait for the next change of leadership.
  case noLeader
  /// Too many reads wait already.
  case overloaded
}

/// Why leadership is not handed over.
public enum TransferError: Error, Sendable, Hashable {
  case notLeader(leader: NodeID?)
  /// The target is this server, no voter, or a transfer to another server is under way.
  case unsuitableTarget
}
