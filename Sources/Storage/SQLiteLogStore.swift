// The log's disk: a queue before raft.db, a writer thread that empties it with one fsync a batch, and a checkpointer
// with a connection and thread of its own.

import Glibc
import Synchronization

/// `LogStore` over SQLite with group commit: everything queued while the last transaction ran goes into the next.
public final class SQLiteLogStore: LogStore {
  private struct State {
    var queue: [LogWrite] = []
    var cut: LogBase?
    var isScheduled = false
    var isCheckpointing = false
    var restart: Restart?
    var failure: StorageError?
    /// The disk was full, and the room that was kept back is not back yet.
    var isLow = false
    /// Not even that room is left: the queue waits for `maintain`.
    var isStuck = false
    var isMaintenanceDue = false
    var onEvent: (@Sendable (LogStoreEvent) -> Void)?
    var onClose: (@Sendable () -> Void)?
  }
  /// The write-ahead log is to start anew, and a checkpoint has just copied nearly everything.
  private struct Restart {
    var copiedFrames: Int
    /// How many were made for this.
    var checkpoints: Int
  }
  /// Frames of write-ahead log (4 KiB each) between two calls of the checkpointer: 4 MiB.
  private static let checkpointFrames = 1000
  /// Frames after which the writer itself sees to it that the log starts anew; else a busy one would never be reset. A
  /// sync of a file that grows takes a third longer than one of pages that were there: it is soon done with growing.
  private static let restartFrames = 6000
  /// Frames that commits may wait for when it starts anew: they are copied, and synced, on the writer's thread.
  private static let framesToWaitFor = 64
  /// Checkpoints in a row before it: each leaves about a fifth of what the one before left.
  private static let checkpointsBeforeRestart = 4

  private let state = Mutex(State())
  private let writer: any BlockingWorker
  private let checkpointer: any BlockingWorker
  /// Used on the writer's thread alone once `start` was called.
  nonisolated(unsafe) private var database: LogDatabase?
  /// Frames that the last checkpoint found. The writer's thread alone.
  nonisolated(unsafe) private var checkpointedFrames = 0
  /// Used on the checkpointer's thread alone.
  nonisolated(unsafe) private var checkpointDatabase: Database?
  nonisolated(unsafe) private var scrubWalk: ScrubWalk<UInt64>

  private let promises: PromiseFile
  private let ballast: Ballast
  private let clock: @Sendable () -> UInt64

  init(
    database: LogDatabase, checkpointDatabase: Database, promises: PromiseFile, ballast: Ballast,
    writer: any BlockingWorker,
    checkpointer: any BlockingWorker, clock: @escaping @Sendable () -> UInt64, scrubRestNanoseconds: UInt64
  ) {
    scrubWalk = ScrubWalk(restNanoseconds: scrubRestNanoseconds)
    self.clock = clock
    self.database = database
    self.checkpointDatabase = checkpointDatabase
    self.promises = promises
    self.ballast = ballast
    self.writer = writer
    self.checkpointer = checkpointer
  }

  public func start(onEvent: @escaping @Sendable (LogStoreEvent) -> Void) {
    let isLow = !ballast.isHeld
    state.withLock { state in
      state.onEvent = onEvent
      state.isLow = isLow
    }
    if isLow { onEvent(.full(.system(operation: "keep room back", code: ENOSPC))) }
    schedule { _ in }
  }

  public func append(_ write: LogWrite) { schedule { $0.queue.append(write) } }

  public func cut(to base: LogBase) { schedule { $0.cut = base } }

  public func maintain() {
    schedule { state in
      state.isMaintenanceDue = true
      state.isStuck = false
    }
    checkpointer.perform { self.scrub() }
  }

  public func reseal(
    progress: @escaping @Sendable (Double) -> Void, _ completion: @escaping @Sendable (StorageError?) -> Void
  ) {
    writer.perform { [self] in
      let walk = ResealWalk(places: (try? database?.storedIndexes()) ?? nil, progress: progress)
      walk.run(on: writer, step: resealStep, failed: fail, completion)
    }
  }

  @Sendable private func resealStep(after index: UInt64) throws(StorageError) -> UInt64? {
    guard let database, state.withLock({ $0.failure == nil }) else { throw .stopped("the log is closed or has failed") }
    return try database.reseal(after: index)
  }

  public func close(_ completion: @escaping @Sendable () -> Void) { schedule { $0.onClose = completion } }

  private func schedule(_ change: (inout State) -> Void) {
    let isFirst = state.withLock { state in
      change(&state)
      defer { state.isScheduled = true }
      return !state.isScheduled
    }
    if isFirst { writer.perform { self.commitQueued() } }
  }

  // MARK: On the writer's thread

  private func commitQueued() {
    guard let database else { return }
    let (writes, cut, onEvent, failure) = state.withLock { state in
      defer {
        state.queue = []
        state.cut = nil
      }
      return (state.queue, state.cut, state.onEvent, state.failure)
    }
    guard failure == nil else { return finish() }
    if state.withLock({ $0.isMaintenanceDue.take() }) {
      regainRoom()
      syncExtent()
    }
    if !writes.isEmpty || cut != nil || database.owesDeletions {
      do throws(StorageError) {
        if StorageMutant.reportedBeforeCommit.isActive, let last = writes.last {
          onEvent?(.durable(through: last.token, nanoseconds: 0))
        }
        let start = clock()
        try database.commit(writes, cut: cut)
        let took = clock() - start
        if let last = writes.last { onEvent?(.durable(through: last.token, nanoseconds: took)) }
        try checkpoint(database.database)
      } catch {
        if StorageMutant.failedSyncTakenForDone.isActive, let last = writes.last {
          onEvent?(.durable(through: last.token, nanoseconds: 0))
          return finish()
        }
        if error.isFull { return ranOutOfRoom(writes, cut, error) }
        fail(error)
      }
    }
    finish()
  }

  /// Nothing of these writes was kept. They are tried again at once in the room that was kept back, then when asked.
  private func ranOutOfRoom(_ writes: [LogWrite], _ cut: LogBase?, _ error: StorageError) {
    let (onEvent, isFirst) = state.withLock { state in
      defer { state.isLow = true }
      return (state.onEvent, !state.isLow)
    }
    if isFirst { onEvent?(.full(error)) }
    let hasMore = ballast.release()
    // Term and vote have a place of their own, where they are durable by now. The rest of these writes waits with them:
    // later ones say that everything before them is stored.
    let arePromises = writes.allSatisfy(\.isPromise)
    if arePromises, !hasMore, let last = writes.last { onEvent?(.promised(through: last.token)) }
    state.withLock { state in
      state.queue = (arePromises ? writes.suffix(1) : writes) + state.queue
      state.cut = state.cut ?? cut
      state.isStuck = !hasMore
    }
    finish()
  }

  /// Takes back the room that was given up, if it is there.
  private func regainRoom() {
    guard state.withLock({ $0.isLow }), ballast.refill() else { return }
    let onEvent = state.withLock { state in
      state.isLow = false
      return state.onEvent
    }
    onEvent?(.hasRoom)
  }

  /// Makes durable how far the log goes, beside the log: on the other thread, for nobody waits for it.
  private func syncExtent() {
    guard promises.beginSync() else { return }
    checkpointer.perform { [self] in
      do throws(StorageError) {
        try promises.syncExtent()
        writer.perform { self.promises.endSync() }
      } catch {
        fail(error)
      }
    }
  }

  @Sendable private func fail(_ error: StorageError) {
    let onEvent = state.withLock { state in
      state.failure = state.failure ?? error
      return state.onEvent
    }
    onEvent?(.failed(error))
  }

  private func finish() {
    let (again, close) = state.withLock { state in
      let isFailed = state.failure != nil
      if !isFailed, !state.isStuck, !state.queue.isEmpty || state.cut != nil || database?.owesDeletions == true {
        return (true, nil as (@Sendable () -> Void)?)
      }
      if isFailed || state.isStuck && state.onClose != nil { state.queue = [] }
      state.isScheduled = false
      defer { state.onClose = nil }
      return (false, state.onClose)
    }
    if again { return writer.perform { self.commitQueued() } }
    guard let close else { return }
    // In a turn of its own, when nobody up the stack holds the database any more: it closes here and now.
    writer.perform {
      self.database = nil
      self.writer.finish()
      self.checkpointer.perform {
        self.checkpointDatabase = nil
        self.checkpointer.finish()
        close()
      }
    }
  }

  private func checkpoint(_ database: Database) throws(StorageError) {
    if database.frames < checkpointedFrames { checkpointedFrames = 0 }  // The log has started anew by itself.
    let restart = state.withLock { state in
      defer { state.restart = nil }
      return state.restart
    }
    if let restart {
      if database.frames - restart.copiedFrames > Self.framesToWaitFor,
        restart.checkpoints < Self.checkpointsBeforeRestart
      {
        return checkpointBeside(database, number: restart.checkpoints + 1)
      }
      // Commits wait for this: only what came during the checkpoint before is left to copy.
      do throws(StorageError) { if try database.checkpoint(.restart) { checkpointedFrames = 0 } } catch {
        guard error.isFull else { throw error }
      }
      return
    }
    guard database.frames > checkpointedFrames + Self.checkpointFrames else { return }
    guard !state.withLock({ $0.isCheckpointing }) else { return }
    checkpointBeside(database, number: 1)
  }

  private func checkpointBeside(_ database: Database, number: Int) {
    state.withLock { $0.isCheckpointing = true }
    let frames = database.frames
    checkpointedFrames = frames
    checkpointer.perform { self.checkpointInBackground(frames, number) }
  }

  // MARK: On the checkpointer's thread

  /// Looks over the next entries, unless the writer might wait for that: a log that starts anew waits for readers.
  private func scrub() {
    let (isFree, onEvent) = state.withLock { state in
      (state.failure == nil && !state.isCheckpointing && state.restart == nil, state.onEvent)
    }
    let now = clock()
    guard isFree, let checkpointDatabase, scrubWalk.isDue(now) else { return }
    let (found, last) = checkpointDatabase.scrubLog(after: scrubWalk.place ?? 0)
    scrubWalk.goOn(from: last, now)
    if found != LogScrub() { onEvent?(.scrubbed(found)) }
  }

  private func checkpointInBackground(_ frames: Int, _ number: Int) {
    do throws(StorageError) {
      _ = try checkpointDatabase?.checkpoint(.passive)
      try checkpointDatabase?.syncPages()
      let copied = checkpointDatabase?.copiedFrames ?? 0
      state.withLock { state in
        state.isCheckpointing = false
        if frames > Self.restartFrames { state.restart = Restart(copiedFrames: copied, checkpoints: number) }
      }
    } catch {
      if error.isFull { return state.withLock { $0.isCheckpointing = false } }
      // The pages are still in the write-ahead log, but a disk that fails here is not to be trusted with more.
      fail(error)
    }
  }
}

extension Bool {
  /// The value, which is false from now on.
  fileprivate mutating func take() -> Bool {
    defer { self = false }
    return self
  }
}
