// Decisions of storage turned wrong.
// Planted on purpose, one at a time, in builds with TRIREME_MUTANTS=1 only: the simulator must find every one of them
// (deploy/mutants.sh prints the score). In all other builds nothing of this is left.

package enum StorageMutant: String, CaseIterable, Sendable {
  /// The log says that a write is durable, and then writes it.
  case reportedBeforeCommit = "reported-before-commit"
  /// A commit that failed is tried as if nothing had happened, and counts as done.
  case failedSyncTakenForDone = "failed-sync-taken-for-done"
  /// The log ends where a checksum is wrong.
  case damagedTailDropped = "damaged-tail-dropped"
  /// The applied index is written in a transaction of its own, before the rows.
  case markApartFromRows = "mark-apart-from-rows"
  /// Of several terms and votes in a batch the first is written.
  case olderHardStateWins = "older-hard-state-wins"
  /// The state counts as durable although nothing of it was synced.
  case checkpointUnsynced = "checkpoint-unsynced"

  #if TRIREME_MUTANTS
    /// Set once, before anything runs.
    nonisolated(unsafe) package static var active: Self?
    var isActive: Bool { Self.active == self }
  #else
    @inline(__always) var isActive: Bool { false }
  #endif
}
