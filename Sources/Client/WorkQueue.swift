// The work queue of controllers: each key once at a time, failures with back-off (spec/5, "Common machinery").
import DequeModule
import Synchronization
import World

/// A queue of keys to reconcile. A key that is added while it waits is there once; added while it is being worked on,
/// it comes again afterwards. Any thread.
public final class WorkQueue<Key: Hashable & Sendable>: Sendable {
  private struct State {
    var ready: Deque<Key> = []
    /// Waiting in `ready`, or to be put there when its worker is done.
    var dirty: Set<Key> = []
    var processing: Set<Key> = []
    var failures: [Key: Int] = [:]
    /// Keys to be added later: one timer a key, the earliest asked for.
    var delayed: [Key: (at: MonotonicTime, timer: any ScheduledTimer)] = [:]
    var waiters: Deque<CheckedContinuation<Key?, Never>> = []
    var isShutDown = false
    /// Only where somebody measures: since when keys wait, and are being worked on.
    var waitingSince: [Key: MonotonicTime] = [:]
    var workingSince: [Key: MonotonicTime] = [:]
  }

  /// Per-key exponential back-off of client-go's default controller limiter: 5 ms doubling to 1000 s.
  private static var baseDelay: Duration { .milliseconds(5) }
  private static var maximumDelay: Duration { .seconds(1000) }

  private let world: any World
  private let state = Mutex(State())
  private let measured: (metrics: LoopMetrics, name: String)?

  /// - Parameter metrics: who counts what the queue does, under that name.
  public init(world: any World, measuredBy metrics: LoopMetrics? = nil, as name: String = "") {
    self.world = world
    measured = metrics.map { ($0, name) }
    metrics?.register(name) { [weak self] in self?.measure() }
  }

  private func measure() -> LoopMetrics.QueueState {
    let now = world.now
    return state.withLock { state in
      let working = state.workingSince.values.map { (now - $0).inSeconds }
      return LoopMetrics.QueueState(
        depth: state.ready.count, unfinished: working.reduce(0, +), longest: working.max() ?? 0)
    }
  }

  /// A worker takes the key.
  private func begin(_ key: Key, _ state: inout State) {
    state.dirty.remove(key)
    state.processing.insert(key)
    guard let (metrics, name) = measured else { return }
    let now = world.now
    state.workingSince[key] = now
    if let since = state.waitingSince.removeValue(forKey: key) { metrics.began(name, waited: now - since) }
  }

  public var count: Int { state.withLock { $0.ready.count } }

  public func add(_ key: Key) {
    let resumed = state.withLock { state -> (CheckedContinuation<Key?, Never>, Key)? in
      guard !state.isShutDown, state.dirty.insert(key).inserted else { return nil }
      if let (metrics, name) = measured {
        metrics.added(name)
        state.waitingSince[key] = world.now
      }
      guard !state.processing.contains(key) else { return nil }
      return push(key, &state)
    }
    if let (waiter, key) = resumed { waiter.resume(returning: key) }
  }

  /// Adds the key when `delay` has passed; of several delays of one key the first to end counts.
  public func add(_ key: Key, after delay: Duration) {
    guard delay > .zero else { return add(key) }
    let at = world.now + delay
    state.withLock { state in
      guard !state.isShutDown else { return }
      if let known = state.delayed[key] {
        guard at < known.at else { return }
        known.timer.cancel()
      }
      state.delayed[key] = (at, world.schedule(after: delay) { [weak self] in self?.delayEnded(key, at) })
    }
  }

  private func delayEnded(_ key: Key, _ at: MonotonicTime) {
    let isCurrent = state.withLock { state in
      guard state.delayed[key]?.at == at else { return false }
      state.delayed[key] = nil
      return true
    }
    if isCurrent { add(key) }
  }

  /// Adds the key after a delay that doubles with each call, until `forget`.
  public func addRateLimited(_ key: Key) {
    if let (metrics, name) = measured { metrics.retried(name) }
    let failures = state.withLock { state in
      state.failures[key, default: 0] += 1
      return state.failures[key] ?? 1
    }
    add(key, after: min(Self.baseDelay * (1 << min(failures - 1, 24)), Self.maximumDelay))
  }

  /// How often the key has failed since it was last forgotten.
  public func failures(of key: Key) -> Int { state.withLock { $0.failures[key] ?? 0 } }
  /// The key succeeded: its back-off starts anew.
  public func forget(_ key: Key) { state.withLock { $0.failures[key] = nil } }

  /// The next key to work on, exclusively until `done`; nil when the queue was shut down.
  public func next() async -> Key? {
    await withCheckedContinuation { continuation in
      let outcome = state.withLock { state -> Outcome in
        if let key = state.ready.popFirst() {
          begin(key, &state)
          return .now(key)
        }
        if state.isShutDown { return .now(nil) }
        state.waiters.append(continuation)
        return .later
      }
      if case .now(let key) = outcome { continuation.resume(returning: key) }
    }
  }

  private enum Outcome {
    case now(Key?)
    case later
  }

  public func done(_ key: Key) {
    let resumed = state.withLock { state -> (CheckedContinuation<Key?, Never>, Key)? in
      state.processing.remove(key)
      if let (metrics, name) = measured, let since = state.workingSince.removeValue(forKey: key) {
        metrics.ended(name, worked: world.now - since)
      }
      if ClientMutant.queueForgets.isActive { state.dirty.remove(key) }
      guard state.dirty.contains(key), !state.isShutDown else { return nil }
      return push(key, &state)
    }
    if let (waiter, key) = resumed { waiter.resume(returning: key) }
  }

  /// Drops what waits; every `next` returns nil from here on.
  public func shutDown() {
    let waiters = state.withLock { state in
      state.isShutDown = true
      state.ready.removeAll()
      state.waitingSince.removeAll()
      for waiting in state.delayed.values { waiting.timer.cancel() }
      state.delayed.removeAll()
      defer { state.waiters.removeAll() }
      return state.waiters
    }
    for waiter in waiters { waiter.resume(returning: nil) }
  }

  /// Runs `workers` workers until shut down. A `sync` that throws puts its key back with back-off.
  public func run(
    workers: Int, onError: @escaping @Sendable (Key, any Error) -> Void,
    sync: @escaping @Sendable (Key) async throws -> Void
  ) async {
    await withTaskCancellationHandler {
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<workers {
          group.addTask(on: world) {
            while let key = await self.next() {
              do {
                try await sync(key)
                self.forget(key)
              } catch {
                // Cancelled work is left for whoever comes next.
                if Task.isCancelled { return self.done(key) }
                onError(key, error)
                self.addRateLimited(key)
              }
              self.done(key)
            }
          }
        }
      }
    } onCancel: {
      shutDown()
    }
  }

  private func push(_ key: Key, _ state: inout State) -> (CheckedContinuation<Key?, Never>, Key)? {
    if let waiter = state.waiters.popFirst() {
      begin(key, &state)
      return (waiter, key)
    }
    state.ready.append(key)
    return nil
  }
}
