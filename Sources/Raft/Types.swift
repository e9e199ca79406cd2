// The words of the Raft paper as values: terms, indexes, entries, the state a server must not lose.

/// A server of the group. Zero is never a server.
public typealias NodeID = UInt64

/// Raft's logical clock (§5.1). Zero is the term before the first election.
public typealias Term = UInt64

/// The place of an entry in the log; the first entry has index 1 and zero means "none".
public typealias LogIndex = UInt64

/// What an entry is for. The raw value is its byte on the wire and on disk.
public enum EntryKind: UInt8, Sendable, Hashable {
  /// Bytes of the state machine, opaque to Raft.
  case command = 0
  /// The empty entry with which a leader opens its term (§5.4.2, §8).
  case noOp = 1
  /// An encoded `Configuration` (§6), in force from the moment the entry is in a server's log.
  case configuration = 2
}

/// One entry of the replicated log (§5.3).
public struct Entry: Sendable, Hashable {
  public var term: Term
  public var index: LogIndex
  public var kind: EntryKind
  public var payload: [UInt8]

  public init(term: Term, index: LogIndex, kind: EntryKind = .command, payload: [UInt8]) {
    self.term = term
    self.index = index
    self.kind = kind
    self.payload = payload
  }

  /// What an entry is taken to cost, in bytes, wherever a limit counts bytes: its payload and its place in memory, so
  /// that empty entries are bounded as well.
  var cost: Int { payload.count + Entry.overheadBytes }

  /// Memory of an entry beside its payload: the value itself and the header of its array.
  static let overheadBytes = 64
}

/// What a server keeps on stable storage beside its log (figure 2 of the paper).
///
/// `commitIndex` need not be stable for safety; it is written along with other writes, never by itself, and saves a
/// restarted server the wait for the leader before it may apply what it has.
public struct HardState: Sendable, Hashable {
  public var currentTerm: Term
  public var votedFor: NodeID?
  public var commitIndex: LogIndex

  public init(currentTerm: Term = 0, votedFor: NodeID? = nil, commitIndex: LogIndex = 0) {
    self.currentTerm = currentTerm
    self.votedFor = votedFor
    self.commitIndex = commitIndex
  }
}

/// The place up to which a log has been replaced by the state it led to (§7): a snapshot's last included index and term
/// with the configuration as of that index. A new group starts from index 0, term 0 and its first configuration.
public struct SnapshotMetadata: Sendable, Hashable {
  public var index: LogIndex
  public var term: Term
  public var configuration: Configuration

  public init(index: LogIndex, term: Term, configuration: Configuration) {
    self.index = index
    self.term = term
    self.configuration = configuration
  }
}

/// What a server is at the moment (§5.1), with the pre-candidate of the dissertation's §9.6.
public enum Role: Sendable, Hashable {
  case follower
  case preCandidate
  case candidate
  case leader
}

/// Names one linearizable read. Never used twice: `incarnation` is drawn anew whenever a server starts, `number` counts.
public struct ReadID: Sendable, Hashable {
  public var incarnation: UInt64
  public var number: UInt64

  public init(incarnation: UInt64, number: UInt64) {
    self.incarnation = incarnation
    self.number = number
  }
}
