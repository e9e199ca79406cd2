// What a disk was found to have lost or spoiled when it was opened. Nothing of it is cut away or served: the replica
// fetches it from a peer, and until then knows that it has a hole.

/// Entries that this disk acknowledged and cannot give back. A replica whose log is so must not stand for election, and
/// must take its log to be as long as `lastAcknowledged` says when it votes: what is missing may have been committed
/// with its help.
///
/// To repair: write the entries back by an ordinary `LogWrite` (rows of missing entries are absent, so that they are
/// inserted in their places), or let a write's `base` go past them once a snapshot has been installed. Damage that was
/// not repaired is found again at the next start. `truncateFrom` at or before a missing entry gives it up for good: only
/// for entries that are known not to have been committed.
public struct LogDamage: Sendable, Hashable {
  /// Disjoint, ascending. An upper end of `UInt64.max`: how far the log went is not known.
  public var missing: [ClosedRange<UInt64>]
  /// Readable entries behind the first that is missing, ascending, with holes where `missing` says
  /// (`LogContents.entries` ends before the first hole).
  public var entriesBeyond: [LogEntry]
  /// Index and term of the last entry that the disk acknowledged; nil when it is not known.
  public var lastAcknowledged: LogPosition?

  public init(missing: [ClosedRange<UInt64>], entriesBeyond: [LogEntry] = [], lastAcknowledged: LogPosition? = nil) {
    self.missing = missing
    self.entriesBeyond = entriesBeyond
    self.lastAcknowledged = lastAcknowledged
  }
}

/// An entry's place.
public struct LogPosition: Sendable, Hashable {
  public var index: UInt64
  public var term: UInt64

  public init(index: UInt64, term: UInt64) {
    self.index = index
    self.term = term
  }
}

/// Names one row of the objects.
public struct ObjectRowKey: Sendable, Hashable {
  public var resource: String
  public var namespace: String
  public var name: String

  public init(resource: String, namespace: String, name: String) {
    self.resource = resource
    self.namespace = namespace
    self.name = name
  }
}

/// Rows of the state that are lost. The rest of it stands as of `StateContents.mark` and was handed out.
///
/// To repair: a `StateWrite` whose changes name the lost objects (as they were at the mark, or as they are at the new
/// one) takes them off this list; one with `completes` set clears all of it. Requests are repaired by every write, which
/// names all of them. Until then the damage is found again at every start.
public struct StateDamage: Sendable, Hashable {
  /// Objects whose rows are lost and whose names are known.
  public var objects: [ObjectRowKey]
  /// There may be more, whose names are not known, or the requests are of another time than the mark: only a complete
  /// state (a snapshot, or a comparison of every key with a peer) repairs this.
  public var isIncomplete: Bool
  /// Origins of requests whose outcomes are lost.
  public var requests: [UInt64]

  public init(objects: [ObjectRowKey] = [], isIncomplete: Bool = false, requests: [UInt64] = []) {
    self.objects = objects
    self.isIncomplete = isIncomplete
    self.requests = requests
  }
}
