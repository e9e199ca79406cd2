// Decisions of the scheduler turned wrong.
// Planted on purpose, one at a time, in builds with TRIREME_MUTANTS=1 only: the simulator must find every one of them
// (deploy/mutants.sh prints the score). In all other builds nothing of this is left.

package enum SchedulerMutant: String, CaseIterable, Sendable {
  /// A node's room is counted without what was just put on it.
  case assumptionsForgotten = "assumptions-forgotten"
  /// A node is never full.
  case resourcesIgnored = "resources-ignored"

  #if TRIREME_MUTANTS
    /// Set once, before anything runs.
    nonisolated(unsafe) package static var active: Self?
    var isActive: Bool { Self.active == self }
  #else
    @inline(__always) var isActive: Bool { false }
  #endif
}
