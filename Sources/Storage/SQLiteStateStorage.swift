// The state's disk: a thread that writes transactions behind the log and checkpoints between them.

import Synchronization

/// `StateStorage` over SQLite. Its one thread also checkpoints: nobody waits for this disk.
public final class SQLiteStateStorage: StateStorage {
  private struct State {
    var onEvent: (@Sendable (StateStorageEvent) -> Void)?
    var failure: StorageError?
  }
  /// Frames of write-ahead log (4 KiB each) after which it is copied into the database: 4 MiB.
  private static let checkpointFrames = 1000
  /// Frames after which readers (an operator's shell) are waited for, so that the file stays bounded.
  private static let restartFrames = 16_000
  /// Longest time that something committed stays undurable while writes go on: it bounds the log that is kept.
  private static let checkpointNanoseconds: UInt64 = 15_000_000_000

  private let state = Mutex(State())
  private let worker: any BlockingWorker
  // Used on the worker's thread alone once `start` was called.
  nonisolated(unsafe) private var database: StateDatabase?
  /// Writes that there was no room for, in order.
  nonisolated(unsafe) private var waiting: [StateWrite] = []
  nonisolated(unsafe) private var durableIndex: UInt64
  nonisolated(unsafe) private var scrubWalk: ScrubWalk<ObjectRowKey>
  /// The connection that the walk reads through; opened when it begins.
  nonisolated(unsafe) private var reader: Database?
  nonisolated(unsafe) private var lastCheckpoint: UInt64
  private let clock: @Sendable () -> UInt64

  /// `durableIndex`: what the database held when it was opened and checkpointed.
  init(
    database: StateDatabase, durableIndex: UInt64, worker: any BlockingWorker,
    clock: @escaping @Sendable () -> UInt64, scrubRestNanoseconds: UInt64
  ) {
    scrubWalk = ScrubWalk(restNanoseconds: scrubRestNanoseconds)
    self.clock = clock
    lastCheckpoint = clock()
    self.database = database
    self.durableIndex = durableIndex
    self.worker = worker
  }

  public func start(onEvent: @escaping @Sendable (StateStorageEvent) -> Void) {
    state.withLock { $0.onEvent = onEvent }
  }

  public func write(_ write: StateWrite) {
    worker.perform {
      self.waiting.append(write)
      self.performWaiting()
    }
  }

  public func maintain() {
    worker.perform {
      self.performWaiting()
      self.scrub()
    }
  }

  /// Looks over the next objects. Nobody waits for this thread.
  private func scrub() {
    let (onEvent, failure) = state.withLock { ($0.onEvent, $0.failure) }
    let now = clock()
    guard failure == nil, waiting.isEmpty, let database, scrubWalk.isDue(now) else { return }
    if reader == nil { reader = try? database.openReader() }
    guard let found = reader?.scrubState(above: scrubWalk.place) else { return }
    scrubWalk.goOn(from: found.through, now)
    onEvent?(.scrubbed(found))
  }

  public func distrust(_ completion: @escaping @Sendable () -> Void) {
    worker.perform {
      if let database = self.database {
        do throws(StorageError) {
          try database.database.transaction { () throws(StorageError) in
            try database.noteLost(StateDamage(isIncomplete: true))
          }
          _ = try database.database.checkpoint(.restart)
        } catch {}
      }
      completion()
    }
  }

  public func reseal(
    progress: @escaping @Sendable (Double) -> Void, _ completion: @escaping @Sendable (StorageError?) -> Void
  ) {
    worker.perform { [self] in
      let walk = ResealWalk(places: (try? database?.storedRows()) ?? nil, progress: progress)
      walk.run(on: worker, step: resealStep, failed: fail, completion)
    }
  }

  @Sendable private func resealStep(after id: UInt64) throws(StorageError) -> UInt64? {
    guard let database, state.withLock({ $0.failure == nil }) else {
      throw .stopped("the state is closed or has failed")
    }
    if let next = try database.reseal(after: id) { return next }
    try database.resealRequests()
    // No power cut takes it back: the old keys may be forgotten then.
    guard try database.database.checkpoint(.restart) else { throw .stopped("state.db cannot be checkpointed") }
    return nil
  }

  /// Nothing is written any more.
  @Sendable private func fail(_ error: StorageError) {
    let onEvent = state.withLock { state in
      state.failure = state.failure ?? error
      return state.onEvent
    }
    onEvent?(.failed(error))
  }

  public func close(_ completion: @escaping @Sendable () -> Void) {
    worker.perform {
      if self.state.withLock({ $0.failure == nil }), let database = self.database {
        // Saves the next start some reading; the log holds everything if it fails.
        _ = try? database.database.checkpoint(.restart)
      }
      self.worker.perform {
        self.reader = nil
        self.database = nil
        self.worker.finish()
        completion()
      }
    }
  }

  private func performWaiting() {
    while let write = waiting.first, perform(write) { waiting.removeFirst() }
  }

  /// False: there was no room, and nothing was written.
  private func perform(_ write: StateWrite) -> Bool {
    let (onEvent, failure) = state.withLock { ($0.onEvent, $0.failure) }
    guard failure == nil, let database else { return true }
    do throws(StorageError) {
      try database.commit(write)
      let now = clock()
      let frames = database.database.frames
      if write.durability != .inTime || frames > Self.checkpointFrames
        || now - lastCheckpoint > Self.checkpointNanoseconds
      {
        lastCheckpoint = now
        let mustRestart = write.durability == .required || frames > Self.restartFrames
        if try database.database.checkpoint(mustRestart ? .restart : .passive) {
          durableIndex = write.mark.appliedIndex
        } else if write.durability == .required {
          throw .stopped("state.db cannot be checkpointed: a reader has held it for too long")
        }
      }
      if StorageMutant.checkpointUnsynced.isActive { durableIndex = write.mark.appliedIndex }
      onEvent?(.written(appliedIndex: write.mark.appliedIndex, durableIndex: durableIndex))
    } catch {
      if error.isFull {
        onEvent?(.full(error))
        return false
      }
      fail(error)
    }
    return true
  }
}
