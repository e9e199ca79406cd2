// What a leader knows of one follower, and how much it may send (flow control).

/// The leader's view of a follower: `nextIndex` and `matchIndex` of the paper, and how entries flow.
public struct Progress: Sendable {
  public enum State: Sendable, Hashable {
    /// Where the logs part is not known: one message at a time, sent again when the follower shows a sign of life.
    case probe
    /// The logs are known to agree: messages are sent ahead of the answers, within the limits.
    case replicate
    /// The follower needs what was compacted away: nothing but heartbeats until the snapshot has arrived or failed.
    case snapshot
  }

  private struct Inflight: Sendable {
    var lastIndex: LogIndex
    var bytes: Int
  }

  let id: NodeID
  public private(set) var state: State = .probe
  /// The one message of a probe is on its way.
  private(set) var isPaused = false
  public private(set) var matchIndex: LogIndex = 0
  public private(set) var nextIndex: LogIndex
  /// The highest commit index that was sent along.
  private(set) var sentCommit: LogIndex = 0
  /// Whether it answered since the last check for a quorum.
  public internal(set) var isActive = false
  /// No member any more, and not yet known to have heard of it.
  var isLeaving = false
  /// The last round of heartbeats that it answered (ReadIndex).
  var confirmedReadRound: UInt64 = 0
  /// Whether to send a message even without news, to learn whether what was sent has arrived.
  private(set) var mustAsk = false

  private var inflight: [Inflight] = []
  public private(set) var inflightBytes = 0
  public var inflightMessages: Int { inflight.count }

  init(id: NodeID, nextIndex: LogIndex) {
    self.id = id
    self.nextIndex = nextIndex
  }

  func hasRoom(_ options: RaftOptions) -> Bool {
    inflight.count < options.maxInflightMessages && inflightBytes < options.maxInflightBytes
  }

  /// Whether the leader still has what the follower needs next.
  func canCatchUp(_ log: Log) -> Bool { log.term(at: nextIndex - 1) != nil }

  mutating func sent(lastIndex: LogIndex, bytes: Int, commit: LogIndex) {
    sentCommit = max(sentCommit, commit)
    mustAsk = false
    switch state {
    case .probe: isPaused = true
    case .replicate:
      if lastIndex < nextIndex { return }
      nextIndex = lastIndex + 1
      inflight.append(Inflight(lastIndex: lastIndex, bytes: bytes))
      inflightBytes += bytes
    case .snapshot: preconditionFailure("nothing is sent to a follower that waits for a snapshot")
    }
  }

  /// The follower's disk holds the leader's log up to `index`; `hasNext` says whether the leader still has what follows.
  mutating func accepted(_ index: LogIndex, hasNext: Bool) {
    if index > matchIndex { matchIndex = index }
    nextIndex = max(nextIndex, matchIndex + 1)
    switch state {
    case .probe: becomeReplicate()
    case .snapshot: if hasNext { becomeReplicate() }
    case .replicate:
      let acknowledged = inflight.prefix { $0.lastIndex <= index }
      for message in acknowledged { inflightBytes -= message.bytes }
      inflight.removeFirst(acknowledged.count)
    }
  }

  /// The follower's log does not contain the entry at `prevLogIndex`. Goes on from `next` if that is news.
  mutating func rejected(prevLogIndex: LogIndex, next: LogIndex) {
    switch state {
    case .snapshot: return
    case .replicate:
      // Known to match up to there: an answer that was overtaken.
      if prevLogIndex <= matchIndex { return }
      becomeProbe(isPaused: false)
    case .probe:
      if prevLogIndex != nextIndex - 1 { return }
      nextIndex = max(min(prevLogIndex, next), matchIndex + 1)
      isPaused = false
    }
  }

  /// The follower is there: what was sent may be asked about or sent again.
  mutating func showedLife() {
    switch state {
    case .probe: isPaused = false
    case .replicate: mustAsk = !inflight.isEmpty
    case .snapshot: break
    }
  }

  /// Messages to the follower may be lost: wait for a sign of life, then find out what it has. Before the first answer
  /// `matchIndex` says nothing: where the logs are thought to agree is still the best guess.
  mutating func becameUnreachable() {
    if state == .probe { isPaused = true }
    if state == .replicate { becomeProbe(isPaused: true) }
  }

  mutating func becomeSnapshot() {
    clearInflight()
    state = .snapshot
  }

  mutating func snapshotEnded(through index: LogIndex?) {
    if state != .snapshot { return }
    becomeProbe(isPaused: index == nil)
    if let index { nextIndex = max(nextIndex, index + 1) }
  }

  private mutating func becomeProbe(isPaused: Bool) {
    clearInflight()
    state = .probe
    self.isPaused = isPaused
    nextIndex = matchIndex + 1
  }

  private mutating func becomeReplicate() {
    clearInflight()
    state = .replicate
    nextIndex = matchIndex + 1
  }

  private mutating func clearInflight() {
    inflight.removeAll(keepingCapacity: true)
    inflightBytes = 0
    mustAsk = false
  }
}
