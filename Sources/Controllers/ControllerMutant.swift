// Decisions of controllers turned wrong.
// Planted on purpose, one at a time, in builds with TRIREME_MUTANTS=1 only: the simulator must find every one of them
// (deploy/mutants.sh prints the score). In all other builds nothing of this is left.

package enum ControllerMutant: String, CaseIterable, Sendable {
  /// A controller counts again before it has seen what it has made.
  case expectationsIgnored = "expectations-ignored"
  /// Pods that are too many stay.
  case scaleDownForgotten = "scale-down-forgotten"
  /// A deployment leaves its old replica sets as they are.
  case oldReplicasKept = "old-replicas-kept"

  #if TRIREME_MUTANTS
    /// Set once, before anything runs.
    nonisolated(unsafe) package static var active: Self?
    var isActive: Bool { Self.active == self }
  #else
    @inline(__always) var isActive: Bool { false }
  #endif
}
