// How everything that is to be done comes out.

extension Raft {
  /// Everything there is to do, or nil if that is nothing. Call it after each turn of the loop until it returns nil. What
  /// came in during the turn is batched: one append message a follower, one write, one round of heartbeats for all reads.
  public mutating func takeOutput() -> RaftOutput? {
    if role == .leader {
      startReadRound(evenIfManyInFlight: false)
      replicate()
    } else {
      askLeaderForReads()
    }
    guard hasOutput else {
      checkInvariants()
      return nil
    }
    var output = RaftOutput()
    output.persist = durability.takeWrite(hardState, log: log)
    swap(&output.messages, &messages)
    output.committed = takeCommitted()
    output.reads = reads.takeServable(applied: lastApplied)
    swap(&output.abandonedReads, &reads.abandoned)
    swap(&output.snapshotRequests, &snapshotRequests)
    let leadership = Leadership(term: currentTerm, role: role, leader: leader)
    if leadership != emittedLeadership {
      output.leadership = leadership
      emittedLeadership = leadership
    }
    checkInvariants()
    return output.isEmpty ? nil : output
  }

  /// Whether there can be anything to do: after most ticks there is not.
  var hasOutput: Bool {
    !messages.isEmpty || readyIndex > emittedIndex || durability.isDirty(hardState, lastIndex: log.lastIndex)
      || !reads.confirmed.isEmpty || !reads.abandoned.isEmpty || !snapshotRequests.isEmpty
      || Leadership(term: currentTerm, role: role, leader: leader) != emittedLeadership
  }

  /// Committed entries up to here may be handed out.
  private var readyIndex: LogIndex {
    options.emitsCommittedBeforeDurable ? commitIndex : min(commitIndex, durability.durableIndex)
  }

  private mutating func takeCommitted() -> [Entry] {
    let ready = readyIndex
    if ready <= emittedIndex { return [] }
    let entries = log.entries(
      from: emittedIndex + 1, through: ready, maxBytes: options.maxCommittedBytesPerOutput)
    emittedIndex += LogIndex(entries.count)
    return entries
  }
}
