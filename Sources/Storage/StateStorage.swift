// What is stored of the state, as values, and the protocol behind which the state's disk may change.

/// An object as a row. Bytes and strings are shared with the running state, not copied.
public struct ObjectRow: Sendable {
  public var resource: String
  public var namespace: String
  public var name: String
  public var revision: UInt64
  public var uid: String
  public var labels: [String: String]
  public var fence: UInt64
  /// Where in `json` the digits of the revision begin.
  public var revisionOffset: Int
  public var json: [UInt8]

  public init(
    resource: String, namespace: String, name: String, revision: UInt64, uid: String, labels: [String: String],
    fence: UInt64, revisionOffset: Int, json: [UInt8]
  ) {
    self.resource = resource
    self.namespace = namespace
    self.name = name
    self.revision = revision
    self.uid = uid
    self.labels = labels
    self.fence = fence
    self.revisionOffset = revisionOffset
    self.json = json
  }
}

/// The new content of one key: a row, or nothing.
public struct ObjectRowChange: Sendable {
  public var resource: String
  public var namespace: String
  public var name: String
  public var row: ObjectRow?

  public init(resource: String, namespace: String, name: String, row: ObjectRow?) {
    self.resource = resource
    self.namespace = namespace
    self.name = name
    self.row = row
  }
}

/// Where the state stands: which entries it includes, and what they came to.
public struct StateMark: Sendable, Hashable {
  public var appliedIndex: UInt64
  public var appliedTerm: UInt64
  public var revision: UInt64
  public var stateHash: UInt64
  /// Encoded by the caller.
  public var configuration: [UInt8]

  public init(
    appliedIndex: UInt64, appliedTerm: UInt64, revision: UInt64, stateHash: UInt64, configuration: [UInt8]
  ) {
    self.appliedIndex = appliedIndex
    self.appliedTerm = appliedTerm
    self.revision = revision
    self.stateHash = stateHash
    self.configuration = configuration
  }
}

/// What a write replaces.
public struct StateRows: Sendable {
  /// One change per key at most.
  public var changes: [ObjectRowChange]
  /// Encoded outcomes by origin. Origins that are not named are deleted.
  public var requests: [UInt64: [UInt8]]

  public init(changes: [ObjectRowChange], requests: [UInt64: [UInt8]]) {
    self.changes = changes
    self.requests = requests
  }
}

/// When a write of the state must be beyond the reach of a power cut.
public enum StateDurability: Sendable {
  /// When it suits.
  case inTime
  /// At once if nothing is in the way: the log waits to be cut.
  case soon
  /// Before the write is reported.
  case required
}

/// One transaction: rows, request ids and mark together, or none of them.
public struct StateWrite: Sendable {
  public var mark: StateMark
  public var durability: StateDurability
  /// With this write the state is complete: whatever was lost has been replaced (or never was).
  public var completes: Bool
  /// Called on the storage's thread, which has the time to sort, join and encode.
  public var rows: @Sendable () -> StateRows

  public init(
    mark: StateMark, durability: StateDurability = .inTime, completes: Bool = false,
    rows: @escaping @Sendable () -> StateRows
  ) {
    self.mark = mark
    self.completes = completes
    self.durability = durability
    self.rows = rows
  }
}

/// What a state storage reports, from its own thread, once per write.
public enum StateStorageEvent: Sendable {
  /// Written through the first index; no power cut takes it back through the second: the log may be cut there.
  case written(appliedIndex: UInt64, durableIndex: UInt64)
  /// There is no room left. The write waits, and those behind it, until there is (`maintain` looks for it); the log has
  /// it all.
  case full(StorageError)
  /// The next part of what is stored was looked over (`maintain`).
  case scrubbed(StateScrub)
  /// A write failed; nothing more will be written.
  case failed(StorageError)
}

/// The state's disk, written behind the log. Calls come from one thread and never block.
public protocol StateStorage: AnyObject, Sendable {
  /// Must be called once, before any write.
  func start(onEvent: @escaping @Sendable (StateStorageEvent) -> Void)
  func write(_ write: StateWrite)
  /// To be called about once a second: looks for room after `full`, and does what is done in small steps.
  func maintain()
  /// Seals every stored row with the key that is its now, in small steps; calls `completion` on the storage's thread,
  /// with the reason if it could not be done, and before it `progress`, with the share that is done (0 to 1).
  func reseal(
    progress: @escaping @Sendable (Double) -> Void, _ completion: @escaping @Sendable (StorageError?) -> Void)
  /// Notes durably that what is stored cannot be trusted: the next start takes the whole state for lost
  /// (`StateDamage.isIncomplete`). Calls `completion` on the storage's thread, whether or not it could be written.
  func distrust(_ completion: @escaping @Sendable () -> Void)
  /// Performs what was handed in, then closes the files and calls `completion` on the storage's thread.
  func close(_ completion: @escaping @Sendable () -> Void)
}

extension StateStorage {
  public func maintain() {}
  public func distrust(_ completion: @escaping @Sendable () -> Void) { completion() }
  public func reseal(
    progress: @escaping @Sendable (Double) -> Void, _ completion: @escaping @Sendable (StorageError?) -> Void
  ) { completion(nil) }
}

/// What a state storage holds when it is opened; rows are handed out one by one.
public struct StateContents: Sendable {
  /// Nil in a new database, and (with `damage`) where it cannot be read any more.
  public var mark: StateMark?
  public var requests: [UInt64: [UInt8]] = [:]
  /// What is lost, if anything is.
  public var damage: StateDamage?
  /// Rows are stored that are not sealed with the key they should be.
  public var needsResealing = false

  public init() {}
}
