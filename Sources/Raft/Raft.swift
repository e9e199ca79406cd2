// The consensus core.

/// One server's part in a Raft group, as a value (skeleton: bodies follow).
public struct Raft: Sendable {
  public let id: NodeID
  public private(set) var role: Role = .follower
  public private(set) var leader: NodeID?
  public var currentTerm: Term { 0 }
  public var commitIndex: LogIndex { 0 }
  /// Highest index handed to `applied(through:)`.
  public var lastApplied: LogIndex { 0 }
  public var lastIndex: LogIndex { 0 }
  /// Everything up to here is on this server's own disk.
  public var durableIndex: LogIndex { 0 }
  /// The compaction base: index and term; entries after it are in memory.
  public var baseIndex: LogIndex { 0 }
  public var configuration: Configuration

  /// - Parameters:
  ///   - snapshot: where the stored log starts (index 0, term 0 and the first configuration for a new group).
  ///   - entries: the stored log after `snapshot`. Entries at or below its index are ignored.
  ///   - applied: how far the state machine already is; committed entries after it come out again.
  public init(
    id: NodeID, options: RaftOptions, hardState: HardState, snapshot: SnapshotMetadata, entries: [Entry],
    applied: LogIndex
  ) {
    self.id = id
    self.configuration = snapshot.configuration
  }

  /// Time passes by one tick.
  public mutating func tick() {}
  /// A message arrived. Messages for others and from nobody are ignored.
  public mutating func step(_ message: Message) {}
  /// Places commands in the leader's log. They are sent with the next output, all that came since in one message.
  public mutating func propose(_ payloads: [[UInt8]]) throws(ProposeError) -> Proposal { throw .overloaded }
  /// Asks for a linearizable read. It comes out in `RaftOutput.reads` or `abandonedReads`.
  public mutating func readIndex() throws(ReadError) -> ReadID { throw .noLeader }
  /// The write of this token, and all before it, is on stable storage.
  public mutating func persisted(_ token: PersistToken) {}
  /// The state machine has applied everything up to this index.
  public mutating func applied(through index: LogIndex) {}
  /// Drops entries up to this index from memory. It must be applied and durable. (Deleting them on disk is the driver's.)
  public mutating func compact(through index: LogIndex) {}
  /// Hands leadership to a voter (dissertation §3.10). Proposals fail until it is done or given up after an election timeout.
  public mutating func transferLeadership(to target: NodeID) throws(TransferError) {}
  /// Steps down politely: hands leadership to the most up-to-date follower. Returns it, or nil if this is no leader or
  /// there is nobody to hand over to.
  @discardableResult public mutating func resign() -> NodeID? { nil }
  /// The connection with a peer broke. If it is the leader, an election is tried at once.
  public mutating func peerDisconnected(_ peer: NodeID) {}
  /// Messages to the peer were dropped: probe before streaming on.
  public mutating func peerUnreachable(_ peer: NodeID) {}
  /// The peer has received and installed a snapshot whose last included index is this.
  public mutating func snapshotSent(to peer: NodeID, through index: LogIndex) {}
  /// The snapshot did not arrive. It will be asked for again when the peer answers.
  public mutating func snapshotFailed(to peer: NodeID) {}
  /// A whole snapshot has arrived from the leader and is staged on disk. True: it replaces the log; switch the state machine
  /// to it now, and make it durable before completing the next output's persist. False: it is too old; throw it away.
  public mutating func snapshotInstalled(_ snapshot: SnapshotMetadata) -> Bool { false }
  /// Everything there is to do, or nil. Call until nil after each turn of the loop.
  public mutating func takeOutput() -> RaftOutput? { nil }
  /// What the leader knows of a follower; nil if this is not the leader or no such follower exists.
  public func progress(of peer: NodeID) -> FollowerStatus? { nil }
  /// The term of an entry in memory or of the base; nil if compacted or not there.
  public func term(at index: LogIndex) -> Term? { nil }
}
