// Decisions of consensus turned wrong.
// Planted on purpose, one at a time, in builds with TRIREME_MUTANTS=1 only: the simulator must find every one of them
// (deploy/mutants.sh prints the score). In all other builds nothing of this is left.

package enum RaftMutant: String, CaseIterable, Sendable {
  /// The vote is not part of what is written.
  case voteNotPersisted = "vote-not-persisted"
  /// A candidate asks for votes before its own is on its disk.
  case candidacyNotDurable = "candidacy-not-durable"
  /// Who hears nothing stands for election without asking first.
  case preVoteMissing = "pre-vote-missing"
  /// A vote is given whatever the candidate's log holds.
  case votesForAnyLog = "votes-for-any-log"
  /// A second candidate gets a vote in the same term.
  case votesTwice = "votes-twice"
  /// Entries of earlier terms are committed by counting (figure 8).
  case commitsOlderTerms = "commits-older-terms"
  /// One server fewer than a majority is enough.
  case commitsWithoutMajority = "commits-without-majority"
  /// A follower takes the leader's commit index for its whole log, verified or not.
  case commitsUnverified = "commits-unverified"
  /// Heartbeats carry commits that the follower may not hold.
  case heartbeatsTellTooMuch = "heartbeats-tell-too-much"
  /// Learners count towards a majority.
  case learnersCount = "learners-count"
  /// Entries are appended behind whatever stands before them.
  case consistencyUnchecked = "consistency-unchecked"
  /// An entry that contradicts the leader's stays.
  case conflictsKept = "conflicts-kept"
  /// Entries are acknowledged before the disk has them.
  case acknowledgesBeforeDurable = "acknowledges-before-durable"
  /// A write that a truncation overtook still vouches for what took its place.
  case lateWriteVouches = "late-write-vouches"
  /// A snapshot replaces a log that goes further.
  case snapshotOverNewerLog = "snapshot-over-newer-log"
  /// A read that comes while another is asked about gets that one's id.
  case readIDReused = "read-id-reused"
  /// A leader serves reads without making sure that it still leads.
  case readsUnconfirmed = "reads-unconfirmed"
  /// A leader serves reads before it has committed an entry of its term.
  case readsBeforeOwnTerm = "reads-before-own-term"
  /// Reads are served before what they must see is applied.
  case readsBeforeApplied = "reads-before-applied"
  /// A configuration is proposed before the leader's first commit.
  case configurationTooEarly = "configuration-too-early"
  /// A configuration is proposed while another is not committed.
  case configurationsOverlap = "configurations-overlap"

  #if TRIREME_MUTANTS
    /// Set once, before anything runs.
    nonisolated(unsafe) package static var active: Self?
    var isActive: Bool { Self.active == self }
  #else
    @inline(__always) var isActive: Bool { false }
  #endif
}
