// Decisions of clients turned wrong.
// Planted on purpose, one at a time, in builds with TRIREME_MUTANTS=1 only: the simulator must find every one of them
// (deploy/mutants.sh prints the score). In all other builds nothing of this is left.

package enum ClientMutant: String, CaseIterable, Sendable {
  /// A lease counts as expired after a third of its time.
  case leaseStolenEarly = "lease-stolen-early"
  /// Who cannot renew its lease goes on leading.
  case leadsPastDeadline = "leads-past-deadline"
  /// A lease changes hands without a new transition count.
  case leaseKeepsTransitions = "lease-keeps-transitions"
  /// What a new list no longer holds stays in the informer.
  case relistForgetsDeletions = "relist-forgets-deletions"
  /// A key that is added while it is worked on is not worked on again.
  case queueForgets = "queue-forgets"

  #if TRIREME_MUTANTS
    /// Set once, before anything runs.
    nonisolated(unsafe) package static var active: Self?
    var isActive: Bool { Self.active == self }
  #else
    @inline(__always) var isActive: Bool { false }
  #endif
}
