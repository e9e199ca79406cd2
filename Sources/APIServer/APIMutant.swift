// Decisions of the API server turned wrong.
// Planted on purpose, one at a time, in builds with TRIREME_MUTANTS=1 only: the simulator must find every one of them
// (deploy/mutants.sh prints the score). In all other builds nothing of this is left.

package enum APIMutant: String, CaseIterable, Sendable {
  /// A replacement of an older version takes the place of the newest.
  case staleUpdateAccepted = "stale-update-accepted"
  /// A loop's write does not carry its lease's fence.
  case fenceForgotten = "fence-forgotten"
  /// A deletion takes whatever is there.
  case deletionIgnoresConditions = "deletion-ignores-conditions"
  /// An object with finalizers is removed at once.
  case finalizersIgnored = "finalizers-ignored"
  /// An object whose last finalizer was taken off stays.
  case lastFinalizerHolds = "last-finalizer-holds"
  /// The next page of a list shows the newest state, under the first page's revision.
  case pagesOfNow = "pages-of-now"
  /// A list that must be fresh shows what this server happens to have.
  case listsFromMemory = "lists-from-memory"
  /// Two creations may share the last place of a quota.
  case quotaUnguarded = "quota-unguarded"
  /// Two services may take the same address at once.
  case addressUnguarded = "address-unguarded"
  /// A pod that stands on a node is put on another, fence or no fence.
  case bindingRepeatable = "binding-repeatable"
  /// A bookmark names a revision of the future.
  case bookmarkTooHigh = "bookmark-too-high"
  /// A creation does not ask whether the name is free.
  case createOverwrites = "create-overwrites"
  /// One deletion in eight is not told to watches.
  case deletedEventsMissing = "deleted-events-missing"

  #if TRIREME_MUTANTS
    /// Set once, before anything runs.
    nonisolated(unsafe) package static var active: Self?
    var isActive: Bool { Self.active == self }
  #else
    @inline(__always) var isActive: Bool { false }
  #endif
}
