// A look inside a replica, for simulations that check what must always be true.

import Raft

/// A replica at this very moment.
public struct ReplicaInspection: ~Copyable {
  /// The consensus core. Borrow it: a copy that is kept makes the original copy itself.
  public let raft: Raft
  /// What the state machine includes, and what it came to.
  public let appliedIndex: LogIndex
  public let stateHash: UInt64
  public let revision: Revision
  /// The disk holds the state through here, and no power cut takes it back.
  public let durableStateIndex: LogIndex
  /// It has stopped, or its disk is being repaired and it takes no part yet.
  public let isStopped: Bool
}

extension Replica {
  /// What the state machine includes, and what it came to. On its own loop only.
  package var appliedMark: (index: LogIndex, stateHash: UInt64) {
    (driver.machine.appliedIndex, driver.machine.stateHash)
  }

  /// What the state machine includes. On its own loop only.
  package var appliedIndex: LogIndex { driver.machine.appliedIndex }

  /// Calls `body` with the replica as it is. On its own loop only, or while that stands still.
  public func inspect<Outcome>(_ body: (borrowing ReplicaInspection) -> Outcome) -> Outcome {
    body(
      ReplicaInspection(
        raft: driver.raft, appliedIndex: driver.machine.appliedIndex, stateHash: driver.machine.stateHash,
        revision: driver.machine.revision, durableStateIndex: driver.stateWriter.durableIndex,
        isStopped: driver.isStopped || driver.repair != nil))
  }
}
