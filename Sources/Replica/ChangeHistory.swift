// The recent past: every change since some revision, cut into segments that are shared once full. Watches resume from
// it, and older states are found again by undoing it.

/// Consecutive changes, and the state after the last of them. Immutable.
final class HistorySegment: Sendable {
  let changes: [Change]
  let bytes: Int
  let end: StateVersion

  init(changes: [Change], bytes: Int, end: StateVersion) {
    self.changes = changes
    self.bytes = bytes
    self.end = end
  }
}

/// A bounded stretch of history that ends at the current state. Revisions have no gaps, so a change is found by number.
package struct ChangeHistory: Sendable {
  package struct Limits: Sendable {
    /// Changes held: at 1,000 writes a second about two minutes, more than a client needs to reconnect.
    package var changes = 128 << 10
    /// Bytes held by history alone: the versions that changes replaced or removed, and what a change itself costs.
    package var bytes = 96 << 20
    /// Changes of a full segment: what `state(at:)` undoes at most, some milliseconds of work.
    package var segment = 1024
    /// Bytes of a full segment: history is forgotten by whole segments, and large objects fill one soon.
    package var segmentBytes = 4 << 20
    /// Bytes that are held however old they are: little, and who was away for long in a quiet cluster goes on from it.
    package var quietBytes = 8 << 20
    package init() {}
  }
  private let limits: Limits
  private var sealed: [HistorySegment] = []
  private var open: [Change] = []
  private var openBytes = 0
  private var bytes = 0
  private var count = 0
  /// Every change after this revision is here.
  private(set) var start: Revision
  private(set) var end: StateVersion

  init(at version: StateVersion, limits: Limits = Limits()) {
    self.limits = limits
    start = version.revision
    end = version
  }

  /// Appends the changes that led from `end` to `version`.
  mutating func append(_ changes: [Change], leadingTo version: StateVersion) {
    for change in changes {
      open.append(change)
      openBytes += Self.cost(of: change)
    }
    count += changes.count
    end = version
    precondition(end.revision == start + UInt64(count), "revisions have no gaps")
    if open.count >= limits.segment || openBytes >= limits.segmentBytes { seal() }
    while sealed.count > 1, count > limits.changes || bytes + openBytes > limits.bytes {
      removeOldest()
    }
  }

  /// Forgets what led to `revision` and before, whole segments of it, down to the little that is always held.
  mutating func forget(through revision: Revision) {
    while let oldest = sealed.first, oldest.end.revision <= revision, bytes + openBytes > limits.quietBytes {
      removeOldest()
    }
  }

  private mutating func removeOldest() {
    let oldest = sealed.removeFirst()
    count -= oldest.changes.count
    bytes -= oldest.bytes
    start = oldest.end.revision
  }

  /// What history alone keeps alive: the version that was replaced. The new one is in the state, or a later change has
  /// replaced it; of a deletion both versions are in no state any more.
  private static func cost(of change: Change) -> Int {
    overhead + (change.previous?.bytes.count ?? 0) + (change.kind == .delete ? change.object.bytes.count : 0)
  }

  /// Bytes that a change costs beside documents: its entry, an object's key and labels, and the nodes of an older version
  /// of the map (a segment's end keeps a copy of each leaf that the next segment's changes touch).
  private static let overhead = 1024

  private mutating func seal() {
    sealed.append(HistorySegment(changes: open, bytes: openBytes, end: end))
    bytes += openBytes
    open = []
    open.reserveCapacity(limits.segment)
    openBytes = 0
  }

  /// The changes after `revision`, whole segments of them (the first may begin earlier); nil if they are not all here.
  func since(_ revision: Revision) -> [ArraySlice<Change>]? {
    guard revision >= start else { return nil }
    guard revision < end.revision else { return [] }
    let openStart = end.revision - UInt64(open.count)
    if revision >= openStart {
      let isLost = ReplicaMutant.eventLostAtCompaction.isActive && revision == openStart && !sealed.isEmpty
      return [open[(Int(revision - openStart) + (isLost ? 1 : 0))...]]
    }
    var slices: [ArraySlice<Change>] = []
    for segment in sealed.reversed() where segment.end.revision > revision {
      let segmentStart = segment.end.revision - UInt64(segment.changes.count)
      slices.append(segment.changes[Int(max(revision, segmentStart) - segmentStart)...])
    }
    slices.reverse()
    if !open.isEmpty { slices.append(open[...]) }
    return slices
  }

  /// What is needed to find the state at `revision`: the nearest later version, and the changes between, to be undone.
  func pathBack(to revision: Revision) -> (from: StateVersion, undoing: ArraySlice<Change>)? {
    guard revision >= start, revision <= end.revision else { return nil }
    let openStart = end.revision - UInt64(open.count)
    if revision >= openStart {
      let skipped = ReplicaMutant.oldVersionsOneOff.isActive && revision < end.revision ? 1 : 0
      return (end, open[(Int(revision - openStart) + skipped)...])
    }
    // Segments differ in length (a batch is never cut), so they are searched, not computed.
    var (low, high) = (0, sealed.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if sealed[middle].end.revision < revision { low = middle + 1 } else { high = middle }
    }
    let segment = sealed[low]
    let segmentStart = segment.end.revision - UInt64(segment.changes.count)
    return (segment.end, segment.changes[Int(revision - segmentStart)...])
  }
}

extension StateVersion {
  /// The version before `changes`, the last of which made this one.
  func undoing(_ changes: ArraySlice<Change>) -> StateVersion {
    var map = map
    for change in changes.reversed() {
      if let previous = change.previous { map.put(previous) } else { map.remove(change.key) }
    }
    return StateVersion(revision: revision - UInt64(changes.count), map: map)
  }
}
