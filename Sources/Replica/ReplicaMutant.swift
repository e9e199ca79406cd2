// Decisions of the replica turned wrong.
// Planted on purpose, one at a time, in builds with TRIREME_MUTANTS=1 only: the simulator must find every one of them
// (deploy/mutants.sh prints the score). In all other builds nothing of this is left.

package enum ReplicaMutant: String, CaseIterable, Sendable {
  /// The log begins behind a snapshot whose state is not durable.
  case logBeforeSnapshotState = "log-before-snapshot-state"
  /// The log is cut although the state it led to is not durable.
  case logCutBeforeState = "log-cut-before-state"
  /// A snapshot leaves the table of requests out.
  case requestsLostInSnapshot = "requests-lost-in-snapshot"
  /// A restart begins with an empty table of requests.
  case requestsLostAtRestart = "requests-lost-at-restart"
  /// A command that is placed again gets a number of its own.
  case retriedUnderNewNumber = "retried-under-new-number"
  /// A request that has happened happens again.
  case duplicatesApplied = "duplicates-applied"
  /// A linearizable read takes what this server happens to have.
  case readsFromMemory = "reads-from-memory"
  /// A fence holds whoever has the lease.
  case fenceUnchecked = "fence-unchecked"
  /// A version is replaced whichever it is.
  case revisionUnchecked = "revision-unchecked"
  /// A creation takes the place of what is there.
  case absenceUnchecked = "absence-unchecked"
  /// A restart goes on from the newest object instead of the newest revision.
  case revisionBackAtRestart = "revision-back-at-restart"
  /// Of several changes of an object the first reaches the disk.
  case coalescingKeepsFirst = "coalescing-keeps-first"
  /// What a snapshot no longer holds stays on the disk.
  case snapshotKeepsDeleted = "snapshot-keeps-deleted"
  /// Watches go on over a snapshot, and over the gap in it.
  case watchesOutliveSnapshot = "watches-outlive-snapshot"
  /// Resuming exactly where history was cut into segments loses an event.
  case eventLostAtCompaction = "event-lost-at-compaction"
  /// A watch that resumes gets its last event again.
  case eventTwiceAtResume = "event-twice-at-resume"
  /// A bookmark says more than was delivered.
  case progressTooHigh = "progress-too-high"
  /// An older state is one change too young.
  case oldVersionsOneOff = "old-versions-one-off"

  #if TRIREME_MUTANTS
    /// Set once, before anything runs.
    nonisolated(unsafe) package static var active: Self?
    var isActive: Bool { Self.active == self }
  #else
    @inline(__always) var isActive: Bool { false }
  #endif
}

extension ObjectMap {
  /// What a careless restart takes for the revision of the whole: deletions are forgotten.
  var newestRevision: Revision { objects(at: 0..<count).reduce(StateMachine.firstRevision) { max($0, $1.revision) } }
}
