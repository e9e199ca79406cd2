// A world whose loop runs when a test says so and whose clock moves when a test moves it.

import Synchronization
import World

final class ManualWorld: World {
  private final class Timer: ScheduledTimer {
    let at: MonotonicTime
    let body: @Sendable () -> Void
    let isCancelled = Atomic(false)
    init(at: MonotonicTime, body: @escaping @Sendable () -> Void) {
      self.at = at
      self.body = body
    }
    func cancel() { isCancelled.store(true, ordering: .relaxed) }
  }
  private final class Executor: SerialExecutor, TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) { preconditionFailure("no tasks run on a manual world") }
  }
  private struct State {
    var now = MonotonicTime(nanoseconds: 1)
    var queue: [@Sendable () -> Void] = []
    var timers: [Timer] = []
    var random: UInt64 = 42
    var wakes = 0
    var fired = 0
  }
  private let state = Mutex(State())
  let executor: any SerialExecutor & TaskExecutor = Executor()

  var now: MonotonicTime { state.withLock { $0.now } }
  var wallClock: WallTime { WallTime(secondsSinceEpoch: 0) }
  func randomBits() -> UInt64 {
    state.withLock { state in
      state.random = state.random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state.random
    }
  }
  func execute(_ body: @escaping @Sendable () -> Void) {
    state.withLock { state in
      state.queue.append(body)
      state.wakes += 1
    }
  }
  func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
    state.withLock { state in
      let timer = Timer(at: state.now + delay, body: body)
      state.timers.append(timer)
      return timer
    }
  }

  /// How often something was put on the loop.
  var wakes: Int { state.withLock { $0.wakes } }

  /// How often a timer woke the loop.
  var fired: Int { state.withLock { $0.fired } }

  /// Runs what is queued, and what that queues.
  func run() {
    while true {
      let bodies = state.withLock { state in
        defer { state.queue = [] }
        return state.queue
      }
      if bodies.isEmpty { return }
      for body in bodies { body() }
    }
  }

  /// Moves the clock and fires what became due.
  func advance(by duration: Duration) {
    let due = state.withLock { state in
      state.now = state.now + duration
      let due = state.timers.filter { $0.at <= state.now }.sorted { $0.at < $1.at }
      state.timers.removeAll { $0.at <= state.now }
      return due
    }
    for timer in due where !timer.isCancelled.load(ordering: .relaxed) {
      state.withLock { $0.fired += 1 }
      timer.body()
    }
    run()
  }
}
