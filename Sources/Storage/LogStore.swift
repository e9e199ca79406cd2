// What is stored of the log, as values, and the protocol behind which the log's disk may change.

/// One log entry as stored. The meaning of `kind` and `payload` is Raft's.
public struct LogEntry: Sendable, Hashable {
  public var index: UInt64
  public var term: UInt64
  public var kind: UInt8
  public var payload: [UInt8]

  public init(index: UInt64, term: UInt64, kind: UInt8, payload: [UInt8]) {
    self.index = index
    self.term = term
    self.kind = kind
    self.payload = payload
  }
}

/// Term, vote and commit index. `votedFor` zero: nobody.
public struct LogHardState: Sendable, Hashable {
  public var currentTerm: UInt64
  public var votedFor: UInt64
  public var commitIndex: UInt64

  public init(currentTerm: UInt64 = 0, votedFor: UInt64 = 0, commitIndex: UInt64 = 0) {
    self.currentTerm = currentTerm
    self.votedFor = votedFor
    self.commitIndex = commitIndex
  }
}

/// Where the stored log starts: behind this entry, with the configuration as of it (encoded by the caller).
public struct LogBase: Sendable, Hashable {
  public var index: UInt64
  public var term: UInt64
  public var configuration: [UInt8]

  public init(index: UInt64, term: UInt64, configuration: [UInt8]) {
    self.index = index
    self.term = term
    self.configuration = configuration
  }
}

/// One write: all of it becomes durable at once, in the order of the fields.
public struct LogWrite: Sendable {
  /// Counts up from write to write; reported when durable.
  public var token: UInt64
  public var hardState: LogHardState?
  /// The log now starts behind this: entries up to it are deleted.
  public var base: LogBase?
  /// Entries from this index on are deleted first.
  public var truncateFrom: UInt64?
  public var entries: [LogEntry]
  /// The disk belongs to the group as recovered there, from now on.
  public var recovery: RecoveryPoint?

  public init(
    token: UInt64, hardState: LogHardState? = nil, base: LogBase? = nil, truncateFrom: UInt64? = nil,
    entries: [LogEntry] = [], recovery: RecoveryPoint? = nil
  ) {
    self.recovery = recovery
    self.token = token
    self.hardState = hardState
    self.base = base
    self.truncateFrom = truncateFrom
    self.entries = entries
  }

  /// It changes nothing but term, vote and commit index.
  var isPromise: Bool { base == nil && truncateFrom == nil && entries.isEmpty && recovery == nil }
}

/// What a log store reports, from its own thread, once per batch.
public enum LogStoreEvent: Sendable {
  /// Every write up to the token is durable; the batch's commit took so long, its fsync included.
  case durable(through: UInt64, nanoseconds: UInt64)
  /// There is no room for these writes, but they change term, vote and commit index only: what they promise, term and
  /// vote, is durable. Said again when they are tried again and there is still no room.
  case promised(through: UInt64)
  /// There is no room left but what was kept back for terms, votes and the first entries of elections. Nothing is lost;
  /// writes wait, and are done when there is room (`maintain` looks for it).
  case full(StorageError)
  /// There is room again.
  case hasRoom
  /// The next part of what is stored was looked over (`maintain`).
  case scrubbed(LogScrub)
  /// A write failed. It and everything after it must be taken as lost; nothing more will be written.
  case failed(StorageError)
}

/// The log's disk. Calls come from one thread, never block, and are performed in order.
public protocol LogStore: AnyObject, Sendable {
  /// Must be called once, before any write.
  func start(onEvent: @escaping @Sendable (LogStoreEvent) -> Void)
  func append(_ write: LogWrite)
  /// Lets go of the entries up to `base`, in steps too small to delay a write. What they led to must be durable.
  func cut(to base: LogBase)
  /// To be called about once a second: looks for room after `full`, and does what is done in small steps.
  func maintain()
  /// Seals every stored entry with the cipher's current key, in small steps; calls `completion` on the store's thread,
  /// with the reason if it could not be done, and before it `progress`, with the share that is done (0 to 1).
  func reseal(
    progress: @escaping @Sendable (Double) -> Void, _ completion: @escaping @Sendable (StorageError?) -> Void)
  /// Performs what was handed in, then closes the files and calls `completion` on the store's thread.
  func close(_ completion: @escaping @Sendable () -> Void)
}

extension LogStore {
  public func maintain() {}
  public func reseal(
    progress: @escaping @Sendable (Double) -> Void, _ completion: @escaping @Sendable (StorageError?) -> Void
  ) { completion(nil) }
}

/// What a log holds when it is opened.
public struct LogContents: Sendable {
  public var hardState = LogHardState()
  public var base: LogBase?
  /// Consecutive entries behind the base; where something is missing, they end before it.
  public var entries: [LogEntry] = []
  /// What is missing, if anything is.
  public var damage: LogDamage?
  /// Entries are stored that are not sealed with the current key.
  public var needsResealing = false

  public init() {}
}
