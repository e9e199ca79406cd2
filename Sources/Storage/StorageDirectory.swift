// Opening a server's disk: the directory, its lock, both databases and what they hold.

import Glibc
import Synchronization

/// A server's disk, opened and read. Hand the stores to the replica.
public struct StorageDirectory: Sendable {
  public let identity: StorageIdentity
  /// Counts the starts on this disk; this one is durable already.
  public let incarnation: UInt64
  /// Drawn at random when the disk was made: tells it from one that was wiped. Zero: this kind of disk has none.
  public let diskID: UInt64
  public let log: any LogStore
  public let state: any StateStorage
  public let logContents: LogContents
  public let stateContents: StateContents

  public init(
    identity: StorageIdentity, incarnation: UInt64, diskID: UInt64 = 0, log: any LogStore, state: any StateStorage,
    logContents: LogContents, stateContents: StateContents
  ) {
    self.identity = identity
    self.incarnation = incarnation
    self.diskID = diskID
    self.log = log
    self.state = state
    self.logContents = logContents
    self.stateContents = stateContents
  }

  /// Opens the databases in the directory at `path`, or creates them for `identity`; reads and checks all of it, and
  /// hands out every object's row. What is damaged is left out and named in the contents; the files hold what is good.
  /// Blocks: not on a loop.
  ///
  /// `identity` nil: whoever the disk belongs to. `files` is the disk, `cipher` encrypts it, `ballastBytes` are kept back
  /// for when it is full, `makeWorker` supplies the places where blocking work runs, `clock` monotonic nanoseconds;
  /// `scrubRest` passes between two walks over what is stored.
  /// Throws `foreign`, with nothing changed, for another server's disk or that of a newer version; `damaged` where the
  /// server cannot know any more what it has promised.
  public static func open(
    path: String, identity expected: StorageIdentity?, files: any FileSystem = OperatingSystemFiles(),
    cipher: any StorageCipher = NoCipher(), ballastBytes: Int = Ballast.defaultBytes,
    makeWorker: (_ name: String) -> any BlockingWorker = { WorkerThread(name: $0) },
    clock: @escaping @Sendable () -> UInt64 = { monotonicNanoseconds() }, scrubRest: Duration = Self.scrubRest,
    row: (ObjectRow) throws(StorageError) -> Void
  ) throws(StorageError) -> StorageDirectory {
    let lock = try DirectoryLock(path, files)
    let check = { (values: [String: String]) throws(StorageError) in
      if let stored = MetaTable.identity(values), let expected { try refuse(stored, unless: expected, path) }
    }
    var site = StorageSite(
      path: "\(path)/state.db", files: files, system: files is OperatingSystemFiles ? nil : SQLiteFileSystem(files),
      cipher: cipher, check: check)
    // The log's own checks come first: it knows best whose disk this is.
    let promises = try PromiseFile(path: path, files: files)
    let hasMoved = expected == nil ? false : try refuseCopy(promises, path, files)
    let state = try OpenedState(site, whose: expected, row: row)
    site.path = "\(path)/raft.db"
    let log = try OpenedLog(
      site, promises: promises, state: state.contents.mark,
      whose: MetaTable.identity(state.values) ?? expected)
    let identity = try bind(log: log, state: state, expected: expected, path: path)
    var stateContents = state.contents
    if stateContents.mark?.appliedIndex ?? 0 < log.contents.base?.index ?? 0 {
      // The state was durable where the log begins, or the log would not have been cut: what is left of it is not whole.
      stateContents.damage = stateContents.damage ?? StateDamage()
      stateContents.damage?.isIncomplete = true
    }
    // One durable step up with every start: request ids of earlier starts are void.
    let counted = log.values["incarnation"].flatMap { UInt64($0) } ?? 0
    let hardState = log.contents.hardState
    let promise = Promise(
      currentTerm: hardState.currentTerm, votedFor: hardState.votedFor,
      incarnation: max(counted, promises.promise?.incarnation ?? 0) + 1)
    try promises.make(promise)
    let (checkpointDatabase, isDurable) = try settle(log, state, promise, site)
    let diskID = try bindDiskID(log, state)
    let rest = UInt64(max(0, scrubRest / .nanoseconds(1)))
    do throws(FileError) {
      if hasMoved { try files.delete("\(path)/\(movedName)") }
      try files.syncDirectory(path)
    } catch {
      throw .system(operation: "fsync \(path)", code: error.code)
    }
    return StorageDirectory(
      identity: identity, incarnation: promise.incarnation, diskID: diskID,
      log: SQLiteLogStore(
        database: log.database, checkpointDatabase: checkpointDatabase, promises: promises,
        ballast: Ballast(path: path, files: files, bytes: ballastBytes),
        writer: makeWorker("log writer"), checkpointer: LockedWorker(makeWorker("log checkpoint"), lock), clock: clock,
        scrubRestNanoseconds: rest),
      state: SQLiteStateStorage(
        database: state.database, durableIndex: isDurable ? state.contents.mark?.appliedIndex ?? 0 : 0,
        worker: LockedWorker(makeWorker("state writer"), lock), clock: clock, scrubRestNanoseconds: rest),
      logContents: log.contents, stateContents: stateContents)
  }

  /// Between two walks over what is stored: a small state is not read all the time.
  public static let scrubRest = Duration.seconds(20)

  /// What was read is durable from here on, and the write-ahead log starts short. A full disk is no reason not to start.
  private static func settle(
    _ log: OpenedLog, _ state: OpenedState, _ promise: Promise, _ site: StorageSite
  ) throws(StorageError) -> (checkpoint: Database, isStateDurable: Bool) {
    var isDurable = false
    do throws(StorageError) {
      isDurable = try state.database.database.checkpoint(.restart)
      try log.database.meta.set("incarnation", String(promise.incarnation))
      // After a sync that failed, programs read from the kernel's memory what no disk holds: unless it is written
      // again, what follows it in the write-ahead log is lost with the power, however often it was synced.
      _ = try log.database.database.checkpoint(.restart)
    } catch {
      guard error.isFull else { throw error }
    }
    let checkpointDatabase = try Database(path: site.path, system: site.system)
    try checkpointDatabase.execute("PRAGMA synchronous=FULL")
    // What it reads it reads to see what is on the disk.
    try checkpointDatabase.execute("PRAGMA cache_size=16")
    return (checkpointDatabase, isDurable)
  }

  /// The disk's own id, in both databases, so that it outlives the loss of one.
  private static func bindDiskID(_ log: OpenedLog, _ state: OpenedState) throws(StorageError) -> UInt64 {
    let stored = log.values[MetaTable.diskID] ?? state.values[MetaTable.diskID]
    let text = if let stored { stored } else { try log.database.meta.drawID() }
    do throws(StorageError) {
      if log.values[MetaTable.diskID] != text { try log.database.meta.set(MetaTable.diskID, text) }
      if state.values[MetaTable.diskID] != text { try state.database.meta.set(MetaTable.diskID, text) }
    } catch {
      // One copy is enough to start with when the disk is full.
      guard error.isFull, stored != nil else { throw error }
    }
    return UInt64(text, radix: 16) ?? 0
  }

  /// The file that an operator makes in a folder that was moved to another file system.
  static let movedName = "moved"

  /// Refuses a folder that was copied here: the server may have gone on with the one it was copied from. True: it was
  /// moved, as whoever moved it says. Tools, which do not say whose disk it must be, read copies too.
  private static func refuseCopy(
    _ promises: PromiseFile, _ path: String, _ files: any FileSystem
  ) throws(StorageError) -> Bool {
    var hasMoved = false
    do throws(FileError) { hasMoved = try files.exists("\(path)/\(movedName)") } catch {
      throw .system(operation: "look for \(path)/\(movedName)", code: error.code)
    }
    guard try promises.settle(mayMove: hasMoved) else {
      throw .foreign(
        "\(path) is a copy of a server's data folder: what the server has promised since the copy was made is not in it. "
          + "Remove the server from the group and let it join anew with an empty folder. (If the folder was moved here "
          + "after the server's last stop: put an empty file named \"\(movedName)\" beside raft.db and start again)")
    }
    return hasMoved
  }

  private static func refuse(
    _ stored: StorageIdentity, unless expected: StorageIdentity, _ path: String
  ) throws(StorageError) {
    guard !stored.isSameServer(as: expected) else { return }
    throw .foreign(
      "\(path) belongs to server \(stored.node) of cluster \(stored.cluster), not to server \(expected.node) of "
        + "cluster \(expected.cluster)")
  }

  /// Reads whose disk it is, or makes a new one's mark: raft.db last, so that a start that was cut short is repeated.
  private static func bind(
    log: OpenedLog, state: OpenedState, expected: StorageIdentity?, path: String
  ) throws(StorageError) -> StorageIdentity {
    let (logMeta, stateMeta) = (log.database.meta, state.database.meta)
    let isBorn = state.values["born"] != nil
    switch (MetaTable.identity(log.values), MetaTable.identity(state.values)) {
    case (let log?, let state?):
      guard log.isSameServer(as: state) else {
        throw .foreign("\(path): raft.db and state.db belong to different servers")
      }
      return isBorn ? log : try finishBirth(logMeta, stateMeta, log)
    case (_?, nil): throw .damaged("\(path)/state.db is missing or empty, but the log is there: restore it or rejoin")
    case (nil, let identity?):
      // The mark on raft.db is made last, at birth: without entries in the state it was only that.
      guard !isBorn else {
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
final class DirectoryLock: Sendable {
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

  func releaseAll() { lock.release() }

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
