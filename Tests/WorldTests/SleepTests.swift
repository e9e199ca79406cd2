import Synchronization
import Testing
import World

/// A world whose time stands still until a test turns it.
private final class StillWorld: World {
  private final class Timer: ScheduledTimer {
    let body: Mutex<(@Sendable () -> Void)?>
    init(_ body: @escaping @Sendable () -> Void) { self.body = Mutex(body) }
    func cancel() { body.withLock { $0 = nil } }
  }
  private let timers = Mutex<[(at: MonotonicTime, timer: Timer)]>([])
  private let clock = Mutex(MonotonicTime(nanoseconds: 0))
  private let bits = Mutex<UInt64>(0)

  var executor: any SerialExecutor & TaskExecutor { preconditionFailure("nothing is pinned here") }
  /// Its tasks run wherever the tests do.
  var taskExecutor: (any TaskExecutor)? { globalConcurrentExecutor }
  var now: MonotonicTime { clock.withLock { $0 } }
  var wallClock: WallTime { WallTime(nanosecondsSinceEpoch: Int64(now.nanoseconds)) }
  func randomBits() -> UInt64 {
    bits.withLock {
      $0 = $0 &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return $0
    }
  }
  func execute(_ body: @escaping @Sendable () -> Void) { body() }
  func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
    let timer = Timer(body)
    timers.withLock { $0.append((now + delay, timer)) }
    return timer
  }

  var pendingTimers: Int { timers.withLock { $0.filter { $0.timer.body.withLock { $0 != nil } }.count } }

  func turn(by duration: Duration) {
    let now = clock.withLock {
      $0 = $0 + duration
      return $0
    }
    let due = timers.withLock { timers in
      let due = timers.filter { $0.at <= now }
      timers.removeAll { $0.at <= now }
      return due
    }
    for (_, timer) in due { timer.body.withLock { $0.take() }?() }
  }
}

@Suite struct SleepTests {
  @Test func sleepEndsWhenItsTimeHasCome() async throws {
    let world = StillWorld()
    let task = Task { try await world.sleep(for: .seconds(10)) }
    while world.pendingTimers == 0 { await Task.yield() }
    world.turn(by: .seconds(9))
    #expect(world.pendingTimers == 1)
    world.turn(by: .seconds(1))
    try await task.value
  }

  @Test func cancellationEndsASleepAndItsTimer() async throws {
    let world = StillWorld()
    let task = Task { try await world.sleep(for: .seconds(10)) }
    while world.pendingTimers == 0 { await Task.yield() }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(world.pendingTimers == 0)
  }

  @Test func aTaskCancelledBeforehandDoesNotSleep() async throws {
    let world = StillWorld()
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      try await world.sleep(for: .seconds(10))
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(world.pendingTimers == 0)
  }

  @Test func aDeadlineThrowsAndCancelsTheOperation() async throws {
    let world = StillWorld()
    let task = Task {
      try await world.withDeadline(.seconds(1)) { try await world.sleep(for: .seconds(10)) }
    }
    while world.pendingTimers < 2 { await Task.yield() }
    world.turn(by: .seconds(1))
    await #expect(throws: DeadlineExceeded.self) { try await task.value }
    #expect(world.pendingTimers == 0)
  }

  @Test func anOperationInTimeReturnsItsValueAndForgetsTheDeadline() async throws {
    let world = StillWorld()
    #expect(try await world.withDeadline(.seconds(1)) { 42 } == 42)
    #expect(world.pendingTimers == 0)
  }

  @Test func identifiersAreVersionFourAndDiffer() {
    let world = StillWorld()
    let identifiers = Set((0..<1000).map { _ in world.uuid() })
    #expect(identifiers.count == 1000)
    for identifier in identifiers {
      let parts = identifier.split(separator: "-")
      #expect(parts.map(\.count) == [8, 4, 4, 4, 12])
      #expect(parts[2].first == "4")
      #expect(["8", "9", "a", "b"].contains(parts[3].first))
      #expect(identifier == identifier.lowercased())
    }
  }
}
