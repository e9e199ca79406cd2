// Log compaction: §7. How a snapshot is made and travels is the driver's business; what it does to the log is here.

extension Raft {
  /// Drops entries up to this index from memory; it must be applied and durable. Deleting them on disk is up to the driver,
  /// as is keeping some, so that a follower that lags a little needs no snapshot.
  public mutating func compact(through index: LogIndex) {
    precondition(index <= lastApplied, "only what was applied can be compacted")
    precondition(index <= durability.durableIndex, "only what is on disk can be compacted")
    if index > log.baseIndex {
      log.compact(through: index)
      configurations.compact(through: index)
    }
    checkInvariants()
  }

  /// The peer has received and installed a snapshot whose last included index is this; nil: it did not arrive, and will be
  /// asked for again when the peer shows a sign of life.
  public mutating func snapshotEnded(to peer: NodeID, through index: LogIndex?) {
    let known = index.map { min($0, lastIndex) }
    if let position = position(of: peer) { followers[position].snapshotEnded(through: known) }
    checkInvariants()
  }

  /// A whole snapshot has arrived and is staged. True: it replaces the log; switch the state machine to it now, and make
  /// it durable before completing the next output's write. False: the log already holds what it covers; throw it away.
  public mutating func snapshotInstalled(_ snapshot: SnapshotMetadata) -> Bool {
    if snapshot.index <= commitIndex && !RaftMutant.snapshotOverNewerLog.isActive { return false }
    if log.term(at: snapshot.index) == snapshot.term && !RaftMutant.snapshotOverNewerLog.isActive {
      // A snapshot is of committed entries, and these are the same (log matching, §5.3). Who has become the leader in the
      // meantime commits by its own rule.
      if role != .leader { commit(through: snapshot.index) }
      acknowledgeSnapshot(snapshot.index)
      checkInvariants()
      return false
    }
    precondition(role != .leader, "a leader lacks committed entries (leader completeness, §5.4)")
    // Committed entries of a term above ours: there was an election that we did not hear of.
    if snapshot.term > currentTerm { becomeFollower(term: snapshot.term, leader: nil) }
    durability.replaced(by: snapshot, committed: min(commitIndex, durability.durableIndex))
    log = Log(baseIndex: snapshot.index, baseTerm: snapshot.term)
    configurations = ConfigurationHistory(base: snapshot.index, snapshot.configuration)
    commitIndex = snapshot.index
    emittedIndex = snapshot.index
    lastApplied = snapshot.index
    witness.logWasReplaced()
    acknowledgeSnapshot(snapshot.index)
    checkInvariants()
    return true
  }

  private mutating func acknowledgeSnapshot(_ index: LogIndex) {
    if role == .follower, let leader { acknowledge(index, to: leader) }
  }
}
