// The log's disk: a queue before raft.db, a writer thread that empties it with one fsync a batch, and a checkpointer
// with a connection and thread of its own.

import Synchronization

/// `LogStore` over SQLite with group commit: everything queued while the last transaction ran goes into the next.
public final class SQLiteLogStore: LogStore {
  private struct State {
    var queue: [LogWrite] = []
    var cut: LogBase?
    var isScheduled = false
    var isCheckpointing = false
    /// A checkpoint has just copied nearly everything: the moment for the write-ahead log to start anew.
    var isRestartDue = false
    var failure: StorageError?
    var onEvent: (@Sendable (LogStoreEvent) -> Void)?
    var onClose: (@Sendable () -> Void)?
  }
  /// Frames of write-ahead log (4 KiB each) between two calls of the checkpointer: 16 MiB.
  private static let checkpointFrames = 4000
  /// Frames after which the writer itself sees to it that the log starts anew; else a busy one would never be reset.
  private static let restartFrames = 12_000

  private let state = Mutex(State())
  private let writer: any BlockingWorker
  private let checkpointer: any BlockingWorker
  /// Used on the writer's thread alone once `start` was called.
  nonisolated(unsafe) private var database: LogDatabase?
  /// Frames that the last checkpoint found. The writer's thread alone.
  nonisolated(unsafe) private var checkpointedFrames = 0
  /// Used on the checkpointer's thread alone.
  nonisolated(unsafe) private var checkpointDatabase: Database?

  private let promises: PromiseFile
  private let clock: @Sendable () -> UInt64

  init(
    database: LogDatabase, checkpointDatabase: Database, promises: PromiseFile, writer: any BlockingWorker,
    checkpointer: any BlockingWorker, clock: @escaping @Sendable () -> UInt64
  ) {
    self.clock = clock
    self.database = database
    self.checkpointDatabase = checkpointDatabase
    self.promises = promises
    self.writer = writer
    self.checkpointer = checkpointer
  }

  public func start(onEvent: @escaping @Sendable (LogStoreEvent) -> Void) {
    state.withLock { $0.onEvent = onEvent }
    schedule { _ in }
  }

  public func append(_ write: LogWrite) { schedule { $0.queue.append(write) } }

  public func cut(to base: LogBase) { schedule { $0.cut = base } }

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
        state.withLock { $0.failure = error }
        onEvent?(.failed(error))
      }
    }
    finish()
  }

  private func finish() {
    let (again, close) = state.withLock { state in
      let isFailed = state.failure != nil
      if !isFailed, !state.queue.isEmpty || state.cut != nil || database?.owesDeletions == true {
        return (true, nil as (@Sendable () -> Void)?)
      }
      if isFailed { state.queue = [] }
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
    let isRestartDue = state.withLock { state in
      defer { state.isRestartDue = false }
      return state.isRestartDue
    }
    if isRestartDue {
      // Commits wait for this: only what came during the checkpoint before is left to copy.
      if try database.checkpoint(.restart) { checkpointedFrames = 0 }
      return
    }
    guard database.frames > checkpointedFrames + Self.checkpointFrames else { return }
    let isFirst = state.withLock { state in
      defer { state.isCheckpointing = true }
      return !state.isCheckpointing
    }
    guard isFirst else { return }
    let frames = database.frames
    checkpointedFrames = frames
    checkpointer.perform { self.checkpointInBackground(frames) }
  }

  // MARK: On the checkpointer's thread

  private func checkpointInBackground(_ frames: Int) {
    do throws(StorageError) {
      _ = try checkpointDatabase?.checkpoint(.passive)
      state.withLock { state in
        state.isCheckpointing = false
        state.isRestartDue = frames > Self.restartFrames
      }
    } catch {
      // The pages are still in the write-ahead log, but a disk that fails here is not to be trusted with more.
      let onEvent = state.withLock { state in
        state.failure = error
        return state.onEvent
      }
      onEvent?(.failed(error))
    }
  }
}
