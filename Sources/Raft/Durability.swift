// What of this server's state is on its disk, while the disk works at its own pace.
//
// Writes are handed out with rising tokens, reach the disk in that order and are completed later, perhaps several at a
// time. In between the log may change again: an entry that was being written may have been replaced by another leader's.
// A late completion must then not count for the replacement, even if that has the same index and the same term (an entry
// can be overwritten and come back). Therefore truncation shortens what every write under way can still vouch for.

struct Durability: Sendable {
  /// A write that was handed out and not completed.
  private struct Write: Sendable {
    var token: PersistToken
    /// Up to here the log in memory will be on disk when this write is.
    var lastIndex: LogIndex
    var term: Term
  }

  /// Up to here the log in memory is on disk.
  private(set) var durableIndex: LogIndex
  /// This term, and the vote in it, are on disk.
  private(set) var durableTerm: Term
  /// Up to here the log in memory has been handed out to be written.
  private(set) var handedOutIndex: LogIndex
  private(set) var handedOut: HardState
  private(set) var lastToken = PersistToken(number: 0)
  private(set) var completedToken = PersistToken(number: 0)

  private var truncateFrom: LogIndex?
  private var snapshot: SnapshotMetadata?
  private var writes: [Write] = []

  init(hardState: HardState, lastIndex: LogIndex) {
    durableIndex = lastIndex
    handedOutIndex = lastIndex
    durableTerm = hardState.currentTerm
    handedOut = hardState
  }

  /// The token that the next write will have.
  var nextToken: PersistToken { PersistToken(number: lastToken.number + 1) }

  /// Whether there is something that must be written. A new commit index alone need not be.
  func isDirty(_ state: HardState, lastIndex: LogIndex) -> Bool {
    lastIndex > handedOutIndex || truncateFrom != nil || snapshot != nil || state.currentTerm != handedOut.currentTerm
      || state.votedFor != handedOut.votedFor
  }

  /// The write after whose completion all that is true now is on disk; nil if it is already.
  func tokenCovering(_ state: HardState, lastIndex: LogIndex) -> PersistToken? {
    if isDirty(state, lastIndex: lastIndex) { return nextToken }
    return lastToken > completedToken ? lastToken : nil
  }

  /// The log lost its entries from `index` on; others may take their place.
  mutating func truncated(from index: LogIndex) {
    if index <= handedOutIndex {
      truncateFrom = min(truncateFrom ?? index, index)
      handedOutIndex = index - 1
    }
    durableIndex = min(durableIndex, index - 1)
    if RaftMutant.lateWriteVouches.isActive { return }
    for position in writes.indices { writes[position].lastIndex = min(writes[position].lastIndex, index - 1) }
  }

  /// The whole log was replaced by a snapshot. Of what was on disk, only what was committed is still worth anything.
  mutating func replaced(by metadata: SnapshotMetadata, committed: LogIndex) {
    let mustTruncate = handedOutIndex > metadata.index || truncateFrom != nil
    truncated(from: committed + 1)
    truncateFrom = mustTruncate ? metadata.index + 1 : nil
    snapshot = metadata
    handedOutIndex = metadata.index
  }

  /// At the start: what is on disk does not fit what is in memory, and must be cleaned up by the first write.
  mutating func mustClean(snapshot metadata: SnapshotMetadata, truncating: Bool) {
    snapshot = metadata
    if truncating { truncateFrom = metadata.index + 1 }
  }

  /// Hands out everything that must be written, if anything.
  mutating func takeWrite(_ state: HardState, log: Log) -> Persist? {
    if !isDirty(state, lastIndex: log.lastIndex) { return nil }
    lastToken = nextToken
    var persist = Persist(token: lastToken)
    persist.snapshot = snapshot
    persist.truncateFrom = truncateFrom
    persist.entries = log.entries(from: handedOutIndex + 1, through: log.lastIndex, maxBytes: .max)
    if state != handedOut { persist.hardState = state }
    writes.append(Write(token: lastToken, lastIndex: log.lastIndex, term: state.currentTerm))
    handedOutIndex = log.lastIndex
    handedOut = state
    snapshot = nil
    truncateFrom = nil
    return persist
  }

  /// The write, and all before it, are on disk.
  mutating func complete(_ token: PersistToken) {
    precondition(token <= lastToken, "a write completed that was never handed out")
    if token <= completedToken { return }
    completedToken = token
    let done = writes.prefix { $0.token <= token }
    for write in done {
      durableIndex = max(durableIndex, write.lastIndex)
      durableTerm = max(durableTerm, write.term)
    }
    writes.removeFirst(done.count)
  }
}
