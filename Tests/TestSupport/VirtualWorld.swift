// A world whose time is turned by hand and whose tasks run on the test's own thread: nothing happens behind a test's
// back, nothing takes real time, and when the loop has nothing left to run, nothing is going on.
import Synchronization
import World

/// Virtual time, seeded chance, one thread. `run` plays a story: its tasks, everything they spawn, and time itself,
/// which jumps to the next timer whenever all is quiet.
public final class VirtualWorld: World {
  private final class Timer: ScheduledTimer {
    let at: MonotonicTime
    let order: UInt64
    let body: @Sendable () -> Void
    private let cancelled = Atomic(false)
    init(at: MonotonicTime, order: UInt64, body: @escaping @Sendable () -> Void) {
      self.at = at
      self.order = order
      self.body = body
    }
    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
    func cancel() { cancelled.store(true, ordering: .relaxed) }
  }

  private enum Work {
    case job(UnownedJob)
    case body(@Sendable () -> Void)
  }

  private struct State {
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    var ready: [Work] = []
    var timers: [Timer] = []
    var timerCount: UInt64 = 0
    var random: UInt64
  }

  private final class Executor: SerialExecutor, TaskExecutor {
    let enqueueJob: @Sendable (UnownedJob) -> Void
    init(enqueueJob: @escaping @Sendable (UnownedJob) -> Void) { self.enqueueJob = enqueueJob }
    func enqueue(_ job: consuming ExecutorJob) { enqueueJob(UnownedJob(job)) }
    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
    func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }
    func checkIsolated() {}
  }

  /// Nothing was left to wait for, or the story took longer than it may.
  public struct Stuck: Error, CustomStringConvertible {
    public var description: String
  }

  private let state: Mutex<State>
  private let jobs: Executor
  private let inbox: Inbox
  public var executor: any SerialExecutor & TaskExecutor { jobs }
  public var taskExecutor: (any TaskExecutor)? { jobs }

  /// What is ready to run; apart, so that the executor can hold it without holding the world.
  private final class Inbox: Sendable {
    let work = Mutex<[Work]>([])
    func append(_ item: Work) { work.withLock { $0.append(item) } }
    func take() -> [Work] {
      work.withLock { work in
        defer { work = [] }
        return work
      }
    }
  }

  public init(seed: UInt64 = 1) {
    let inbox = Inbox()
    self.inbox = inbox
    jobs = Executor { inbox.append(.job($0)) }
    state = Mutex(State(random: seed))
  }

  // MARK: World

  public var now: MonotonicTime { state.withLock { $0.now } }
  /// Runs from 2026-01-01 00:00:00 on.
  public var wallClock: WallTime {
    WallTime(nanosecondsSinceEpoch: 1_767_225_600_000_000_000 + Int64(now.nanoseconds) - 1_000_000_000)
  }

  /// SplitMix64.
  public func randomBits() -> UInt64 {
    state.withLock { state in
      state.random &+= 0x9e37_79b9_7f4a_7c15
      var bits = state.random
      bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
      bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
      return bits ^ (bits >> 31)
    }
  }

  public func execute(_ body: @escaping @Sendable () -> Void) { inbox.append(.body(body)) }

  @discardableResult
  public func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
    state.withLock { state in
      state.timerCount += 1
      let timer = Timer(at: state.now + max(.zero, delay), order: state.timerCount, body: body)
      state.timers.append(timer)
      return timer
    }
  }

  // MARK: Turning

  /// Timers that have neither fired nor been cancelled: what a loop that was stopped must not leave behind.
  public var pendingTimers: Int { state.withLock { $0.timers.count { !$0.isCancelled } } }

  /// Runs everything that is ready, and what that makes ready; time stands still.
  public func settle() {
    while true {
      let work = inbox.take()
      if work.isEmpty { return }
      for item in work {
        switch item {
        case .job(let job): job.runSynchronously(on: jobs.asUnownedTaskExecutor())
        case .body(let body): body()
        }
      }
    }
  }

  /// Lets time pass, timer by timer.
  public func advance(by duration: Duration) {
    let end = now + duration
    settle()
    while fireNext(until: end) { settle() }
    state.withLock { $0.now = end }
    settle()
  }

  /// Plays a story to its end and returns what it returns. Throws when it would never end, or takes more than `limit`
  /// of virtual time.
  public func run<Value: Sendable>(
    limit: Duration = .seconds(7200), _ story: @escaping @Sendable () async throws -> Value
  ) throws -> Value {
    let outcome = Outcome<Value>()
    spawn {
      do { outcome.set(.success(try await story())) } catch { outcome.set(.failure(error)) }
    }
    let end = now + limit
    while true {
      settle()
      if let result = outcome.result { return try result.get() }
      guard fireNext(until: end) else { throw Stuck(description: "the story did not end within \(limit)") }
    }
  }

  private final class Outcome<Value: Sendable>: Sendable {
    private let value = Mutex<Result<Value, any Error>?>(nil)
    var result: Result<Value, any Error>? { value.withLock { $0 } }
    func set(_ result: Result<Value, any Error>) { value.withLock { $0 = result } }
  }

  private func fireNext(until end: MonotonicTime) -> Bool {
    let next = state.withLock { state -> Timer? in
      state.timers.removeAll(where: \.isCancelled)
      guard
        let index = state.timers.indices.min(by: { one, other in
          let (left, right) = (state.timers[one], state.timers[other])
          return left.at == right.at ? left.order < right.order : left.at < right.at
        }), state.timers[index].at <= end
      else { return nil }
      state.now = max(state.now, state.timers[index].at)
      return state.timers.remove(at: index)
    }
    next?.body()
    return next != nil
  }

  /// Waits, in virtual time, until `condition` holds. For use inside a story.
  public func eventually(
    _ what: String, within limit: Duration = .seconds(60), _ condition: @escaping @Sendable () async throws -> Bool
  ) async throws {
    let begun = now
    while try await !condition() {
      let waited = now - begun
      guard waited < limit else { throw Stuck(description: "not within \(limit): \(what)") }
      // Long waits are looked at less often: the look is what takes real time.
      try await sleep(for: max(.milliseconds(20), min(waited / 20, .seconds(5))))
    }
  }
}
