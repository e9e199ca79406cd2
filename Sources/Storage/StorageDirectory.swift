// Opening a server's disk: the directory, its lock, both databases and what they hold.

import Glibc
import Synchronization

/// A server's disk, opened and read. Hand the stores to the replica.
public struct StorageDirectory: Sendable {
  public let identity: StorageIdentity
  /// Counts the starts on this disk; this one is durable already.
  public let incarnation: UInt64
  public let log: any LogStore
  public let state: any StateStorage
  public let logContents: LogContents
  public let stateContents: StateContents

  public init(
    identity: StorageIdentity, incarnation: UInt64, log: any LogStore, state: any StateStorage,
    logContents: LogContents, stateContents: StateContents
  ) {
    self.identity = identity
    self.incarnation = incarnation
    self.log = log
    self.state = state
    self.logContents = logContents
    self.stateContents = stateContents
  }

  /// Opens the databases in the directory at `path`, or creates them for `identity`; reads and checks all of it, and
  /// hands out every object's row. Blocks: not on a loop.
  ///
  /// `identity` nil: whoever the disk belongs to. `files` is the disk, `makeWorker` supplies the places where blocking work
  /// runs, `clock` monotonic nanoseconds.
  public static func open(
    path: String, identity expected: StorageIdentity?, files: any FileSystem = OperatingSystemFiles(),
    makeWorker: (_ name: String) -> any BlockingWorker = { WorkerThread(name: $0) },
    clock: @escaping @Sendable () -> UInt64 = { monotonicNanoseconds() },
    row: (ObjectRow) throws(StorageError) -> Void
  ) throws(StorageError) -> StorageDirectory {
    let lock = try DirectoryLock(path, files)
    let system = files is OperatingSystemFiles ? nil : SQLiteFileSystem(files)
    let (logPath, statePath) = ("\(path)/raft.db", "\(path)/state.db")
    let log = try LogDatabase(path: logPath, system: system)
    let state = try StateDatabase(path: statePath, system: system)
    let identity = try bind(log: log.meta, state: state.meta, expected: expected, path: path)
    let logContents = try log.load()
    let stateContents = try state.load(row)
    guard stateContents.mark?.appliedIndex ?? 0 >= logContents.base?.index ?? 0 else {
      throw .damaged(
        "\(path): the state ends at entry \(stateContents.mark?.appliedIndex ?? 0), the log begins behind it")
    }
    // One durable step up with every start: request ids of earlier starts are void.
    let incarnation = (try log.meta.value("incarnation").flatMap { UInt64($0) } ?? 0) + 1
    try log.meta.set("incarnation", String(incarnation))
    // What was read is durable from here on, and the write-ahead log starts short.
    let isDurable = try state.database.checkpoint(.restart)
    let checkpointDatabase = try Database(path: logPath, system: system)
    try checkpointDatabase.execute("PRAGMA synchronous=FULL")
    do throws(FileError) { try files.syncDirectory(path) } catch {
      throw .system(operation: "fsync \(path)", code: error.code)
    }
    return StorageDirectory(
      identity: identity, incarnation: incarnation,
      log: SQLiteLogStore(
        database: log, checkpointDatabase: checkpointDatabase, writer: makeWorker("log writer"),
        checkpointer: LockedWorker(makeWorker("log checkpoint"), lock), clock: clock),
      state: SQLiteStateStorage(
        database: state, durableIndex: isDurable ? stateContents.mark?.appliedIndex ?? 0 : 0,
        worker: LockedWorker(makeWorker("state writer"), lock), clock: clock),
      logContents: logContents, stateContents: stateContents)
  }

  /// Reads whose disk it is, or makes a new one's mark: raft.db last, so that a start that was cut short is repeated.
  private static func bind(
    log logMeta: MetaTable, state stateMeta: MetaTable, expected: StorageIdentity?, path: String
  ) throws(StorageError) -> StorageIdentity {
    let ofLog = try logMeta.identity(of: "\(path)/raft.db")
    let ofState = try stateMeta.identity(of: "\(path)/state.db")
    if let stored = ofLog ?? ofState, let expected, !stored.isSameServer(as: expected) {
      throw .foreign(
        "\(path) belongs to server \(stored.node) of cluster \(stored.cluster), not to server \(expected.node) of "
          + "cluster \(expected.cluster)")
    }
    switch (ofLog, ofState) {
    case (let log?, let state?):
      guard log.isSameServer(as: state) else { throw .foreign("\(path): raft.db and state.db belong to different servers") }
      return try stateMeta.value("born") == nil ? try finishBirth(logMeta, stateMeta, log) : log
    case (_?, nil): throw .damaged("\(path)/state.db is missing or empty, but the log is there: restore it or rejoin")
    case (nil, let identity?):
      // The mark on raft.db is made last, at birth: without entries in the state it was only that.
      guard try stateMeta.value("born") == nil else {
        throw .damaged("\(path)/raft.db is missing or empty: this server may have voted and cannot know; rejoin anew")
      }
      return try finishBirth(logMeta, stateMeta, identity)
    case (nil, nil):
      guard let expected else { throw .foreign("\(path) holds no server yet: say which cluster and server it is for") }
      try stateMeta.bind(to: expected)
      return try finishBirth(logMeta, stateMeta, expected)
    }
  }

  private static func finishBirth(
    _ log: MetaTable, _ state: MetaTable, _ identity: StorageIdentity
  ) throws(StorageError) -> StorageIdentity {
    try log.bind(to: identity)
    try state.set("born", "1")
    return identity
  }
}

/// Keeps a second process out of the directory until both stores have closed their files.
private final class DirectoryLock: Sendable {
  private let lock: any FileLock
  private let holders = Atomic(2)

  init(_ path: String, _ files: any FileSystem) throws(StorageError) {
    do throws(FileError) { try files.createDirectory(path) } catch {
      throw .system(operation: "mkdir \(path)", code: error.code)
    }
    do throws(FileError) { lock = try files.lock("\(path)/lock") } catch {
      throw error.code == EWOULDBLOCK ? .inUse(path) : .system(operation: "lock \(path)/lock", code: error.code)
    }
  }
  deinit { lock.release() }

  /// One of the two stores has closed its files.
  func release() {
    if holders.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { lock.release() }
  }
}

/// A worker that holds the directory's lock until it is finished with: the last of a store's to be.
private final class LockedWorker: BlockingWorker {
  private let worker: any BlockingWorker
  private let lock: DirectoryLock
  init(_ worker: any BlockingWorker, _ lock: DirectoryLock) {
    self.worker = worker
    self.lock = lock
  }
  func perform(_ body: @escaping @Sendable () -> Void) { worker.perform(body) }
  func finish() {
    lock.release()
    worker.finish()
  }
}
