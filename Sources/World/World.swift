// World: what a module may ask of the outside, as protocols: time, timers, chance, a place to run.
// Production's world is an event loop (target EventLoop); the simulator supplies another that a seed drives.
// Nothing here may ask the operating system for anything.

import Synchronization

/// A point of monotonic time, in nanoseconds since an arbitrary start. Never goes back; says nothing of the date.
public struct MonotonicTime: Hashable, Comparable, Sendable {
  public var nanoseconds: UInt64

  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

  /// The time that lies `duration` after (or, if negative, before) this one; stops at zero.
  public static func + (left: Self, duration: Duration) -> Self {
    let nanoseconds = duration.wholeNanoseconds
    if nanoseconds >= 0 { return Self(nanoseconds: left.nanoseconds &+ UInt64(nanoseconds)) }
    let magnitude = nanoseconds.magnitude
    return Self(nanoseconds: left.nanoseconds > magnitude ? left.nanoseconds - magnitude : 0)
  }

  public static func - (left: Self, right: Self) -> Duration {
    .nanoseconds(Int64(bitPattern: left.nanoseconds &- right.nanoseconds))
  }
}

extension Duration {
  /// This duration in nanoseconds, rounded towards zero. Objects and requests name durations of any length; beyond what
  /// 64 bits of nanoseconds hold (292 years), the longest.
  public var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, sumOverflows) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflows || sumOverflows ? (seconds < 0 ? .min : .max) : sum
  }

  /// This duration in milliseconds, rounded up, so that a timer never fires early.
  public var wholeMillisecondsRoundedUp: Int64 {
    let nanoseconds = wholeNanoseconds
    return nanoseconds <= 0 ? 0 : (nanoseconds - 1) / 1_000_000 + 1
  }

  /// This duration in seconds, with fraction.
  public var inSeconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) / 1e18
  }
}

/// A timer that was asked for; cancelling one that has fired does nothing. Any thread may cancel.
public protocol ScheduledTimer: AnyObject, Sendable {
  func cancel()
}

/// Time, timers, chance and a place to run, for the code of one loop.
///
/// Everything above `EventLoop` receives a world and asks nobody else; that is what lets one seed replay a whole
/// cluster. All members may be called from any thread; `schedule` and `execute` run their bodies on the world's loop,
/// one at a time.
public protocol World: AnyObject, Sendable {
  /// The loop, as the executor of the actors that live on it.
  var executor: any SerialExecutor & TaskExecutor { get }

  /// Where the tasks of `spawn` run, when they must not leave this world: a simulator's loop. Nil, as in production:
  /// on the process's default executor, which is the loop that runs (a preference would make every hop dearer).
  var taskExecutor: (any TaskExecutor)? { get }

  /// Monotonic time now.
  var now: MonotonicTime { get }

  /// The calendar's time now; may jump either way.
  var wallClock: WallTime { get }

  /// 64 random bits: cryptographically strong in production, seeded in simulation.
  func randomBits() -> UInt64

  /// Runs `body` on the loop, after everything already queued there.
  func execute(_ body: @escaping @Sendable () -> Void)

  /// Runs `body` on the loop no earlier than `delay` from now.
  @discardableResult
  func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer
}

/// Swift's random number protocol over a world's chance.
public struct WorldRandom: RandomNumberGenerator {
  private let world: any World
  public init(_ world: any World) { self.world = world }
  public mutating func next() -> UInt64 { world.randomBits() }
}

extension World {
  public var taskExecutor: (any TaskExecutor)? { nil }

  /// A random (version 4) UUID in lower-case hexadecimal, as Kubernetes writes uids.
  public func uuid() -> String {
    var high = randomBits()
    var low = randomBits()
    high = (high & 0xffff_ffff_ffff_0fff) | 0x0000_0000_0000_4000
    low = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000
    let digits: [UInt8] = Array("0123456789abcdef".utf8)
    return String(unsafeUninitializedCapacity: 36) { buffer in
      var at = 0
      for (index, word) in [high, low].enumerated() {
        for nibble in 0..<16 {
          if (index == 0 && (nibble == 8 || nibble == 12)) || (index == 1 && (nibble == 0 || nibble == 4)) {
            buffer[at] = UInt8(ascii: "-")
            at += 1
          }
          buffer[at] = digits[Int((word >> UInt64(60 - nibble * 4)) & 15)]
          at += 1
        }
      }
      return at
    }
  }

  /// Suspends the calling task for at least `duration`; returns early by throwing `CancellationError` when cancelled.
  public func sleep(for duration: Duration) async throws {
    try Task.checkCancellation()
    let sleeper = Sleeper()
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        sleeper.begin(continuation) { self.schedule(after: duration) { sleeper.finish(.success(())) } }
      }
    } onCancel: {
      sleeper.finish(.failure(CancellationError()))
    }
  }

  /// Runs `operation`, cancelling it and throwing `DeadlineExceeded` when it has not returned within `limit`.
  public func withDeadline<Value: Sendable>(
    _ limit: Duration, _ operation: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
      group.addTask(on: self) { try await operation() }
      group.addTask(on: self) {
        try await self.sleep(for: limit)
        throw DeadlineExceeded(limit: limit)
      }
      defer { group.cancelAll() }
      guard let value = try await group.next() else { throw CancellationError() }
      return value
    }
  }
}

/// An operation did not finish within its limit.
public struct DeadlineExceeded: Error, CustomStringConvertible {
  public let limit: Duration
  public init(limit: Duration) { self.limit = limit }
  public var description: String { "not finished within \(limit)" }
}

extension World {
  /// Starts a task on this world's loop. The task stays there, whichever loop resumes what it waits for: it belongs to
  /// an actor of this loop, or prefers the loop where the world asks for that. Tasks that it starts are others' than
  /// the actor's: they run where they are resumed, unless they are spawned as well, or added to a group with
  /// `addTask(on:)`.
  @discardableResult
  public func spawn(_ operation: @escaping @Sendable () async -> Void) -> SpawnedTask {
    let spawned = SpawnedTask()
    execute { spawned.begin(on: self, operation) }
    return spawned
  }

  /// Runs `operation` on this world's loop, as `spawn` does, and waits for it.
  fileprivate func staying<Value: Sendable>(
    _ operation: @escaping @Sendable () async throws -> Value
  ) async rethrows -> Value {
    // A preference is handed down to child tasks.
    if taskExecutor != nil { return try await operation() }
    return try await LoopIsolation(executor).run(operation)
  }
}

extension TaskGroup {
  /// Adds a child task that runs on the world's loop and stays there, whichever loop resumes what it waits for. Without
  /// that what follows the first commit would run on the loop that made it: the consensus's.
  public mutating func addTask(on world: any World, _ operation: @escaping @Sendable () async -> ChildTaskResult) {
    addTask { await world.staying(operation) }
  }
}

extension ThrowingTaskGroup {
  /// As in a group whose tasks do not throw.
  public mutating func addTask(
    on world: any World, _ operation: @escaping @Sendable () async throws -> ChildTaskResult
  ) {
    addTask { try await world.staying(operation) }
  }
}

/// The isolation of a task that stays on a loop: an actor whose executor is the loop. A task that starts isolated to it
/// runs nonisolated async code on the loop as well, without a task executor preference, which would make every
/// suspension dearer.
private actor LoopIsolation {
  private nonisolated let executor: any SerialExecutor & TaskExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  init(_ executor: any SerialExecutor & TaskExecutor) { self.executor = executor }

  /// On the loop.
  nonisolated func start(_ operation: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
    assumeIsolated { $0.startIsolated(operation) }
  }

  func run<Value: Sendable>(_ operation: @escaping @Sendable () async throws -> Value) async rethrows -> Value {
    try await operation()
  }

  private func startIsolated(_ operation: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
    Task {
      // The capture makes the task isolated to this actor.
      _ = self
      await operation()
    }
  }
}

/// A task started by `World.spawn`: may be cancelled before it has begun, and awaited.
public final class SpawnedTask: Sendable {
  private enum State {
    case waiting([CheckedContinuation<Void, Never>])
    case running(Task<Void, Never>)
    case cancelled
  }
  private let state = Mutex<State>(.waiting([]))

  /// On the world's loop.
  func begin(on world: any World, _ operation: @escaping @Sendable () async -> Void) {
    let waiters: [CheckedContinuation<Void, Never>] = state.withLock { state in
      guard case .waiting(let waiters) = state else { return [] }
      state = .running(
        world.taskExecutor.map { executor in Task(executorPreference: executor) { await operation() } }
          ?? LoopIsolation(world.executor).start(operation))
      return waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Cancels the task; one that has not begun never will.
  public func cancel() {
    let (task, waiters) = state.withLock { state -> (Task<Void, Never>?, [CheckedContinuation<Void, Never>]) in
      switch state {
      case .running(let task): return (task, [])
      case .waiting(let waiters):
        state = .cancelled
        return (nil, waiters)
      case .cancelled: return (nil, [])
      }
    }
    task?.cancel()
    for waiter in waiters { waiter.resume() }
  }

  /// Returns when the task has ended (at once if it was cancelled before it began).
  public func wait() async {
    await withCheckedContinuation { continuation in
      let now = state.withLock { state in
        guard case .waiting(var waiters) = state else { return true }
        waiters.append(continuation)
        state = .waiting(waiters)
        return false
      }
      if now { continuation.resume() }
    }
    let task: Task<Void, Never>? = state.withLock { state in if case .running(let task) = state { task } else { nil } }
    await task?.value
  }
}
