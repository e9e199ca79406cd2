// A loop of a simulated process: a world whose time is virtual and whose tasks run on the simulator's thread. Nothing
// happens behind a test's back, nothing takes real time, and when nothing is left to run, nothing is going on.
import DequeModule
import Synchronization
import World

/// Virtual time, seeded chance, one thread. Alone (`init(seed:)`) it is a machine of its own with a simulator of its
/// own: what the stories of single parts are told with. `run` plays a story: its tasks, everything they spawn, and time
/// itself.
public final class VirtualWorld: World, @unchecked Sendable {
  enum Work {
    case job(UnownedJob)
    case body(@Sendable () -> Void)
    case timer(SimulatedTimer)
  }

  private final class Executor: SerialExecutor, TaskExecutor, @unchecked Sendable {
    unowned(unsafe) var world: VirtualWorld!
    func enqueue(_ job: consuming ExecutorJob) { world.append(.job(UnownedJob(job))) }
    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
    func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }
    func checkIsolated() {}
  }

  /// Nothing was left to wait for, or the story took longer than it may.
  public struct Stuck: Error, CustomStringConvertible {
    public var description: String
  }

  public let name: String
  public let process: SimulatedProcess
  public let simulator: Simulator
  let number: UInt64
  // On the simulator's thread alone, and used all the time: nobody need check who else looks.
  @exclusivity(unchecked) var ready: Deque<Work> = []
  @exclusivity(unchecked) var isListed = false
  /// Set for the loop of a server's consensus, while that lives: the cluster holds the life, and takes this back first.
  @exclusivity(unchecked) unowned(unsafe) var servedLife: SimulatedServer.Life?
  @exclusivity(unchecked) private var random: SeededRandom
  private let jobs = Executor()

  init(process: SimulatedProcess, name: String, seed: UInt64? = nil) {
    self.process = process
    self.name = name
    simulator = process.simulator
    number = simulator.nextWorldNumber()
    random = SeededRandom(seed: seed ?? simulator.random.next())
    jobs.world = self
    // Whoever holds the executor may enqueue: jobs of tasks that outlive everything else.
    Graveyard.bury(jobs)
    Graveyard.bury(self)
  }

  /// A machine with one loop, and nothing else in its universe.
  public convenience init(seed: UInt64 = 1) {
    let host = SimulatedHost("test", simulator: Simulator(seed: seed))
    self.init(process: SimulatedProcess(on: host), name: "test", seed: seed)
  }

  /// Decides between timers of different loops that are due at the same moment.
  func tie(at time: MonotonicTime) -> UInt64 {
    var mixed = SeededRandom(seed: number ^ time.nanoseconds << 8)
    return mixed.next()
  }

  // MARK: World

  public var executor: any SerialExecutor & TaskExecutor { jobs }
  public var taskExecutor: (any TaskExecutor)? { jobs }
  public var now: MonotonicTime { process.host.monotonic }
  public var wallClock: WallTime { process.host.wallClock }
  public func randomBits() -> UInt64 { random.next() }
  public func execute(_ body: @escaping @Sendable () -> Void) { append(.body(body)) }

  @discardableResult
  public func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
    simulator.schedule(after: process.host.trueDuration(delay), on: self, body)
  }

  // MARK: Work

  func append(_ work: Work) {
    guard process.isAlive else {
      switch work {
      case .job: break
      case .body(let body): Graveyard.bury(body)
      case .timer(let timer): Graveyard.bury(timer)
      }
      return
    }
    ready.append(work)
    listIfReady()
  }

  func listIfReady() {
    guard !isListed, !ready.isEmpty, process.isRunning else { return }
    isListed = true
    simulator.becameRunnable(self)
  }

  func run(_ work: Work) {
    switch work {
    case .job(let job): job.runSynchronously(on: jobs.asUnownedTaskExecutor())
    case .body(let body): body()
    case .timer(let timer): timer.take()?()
    }
  }

  // MARK: Turning

  /// Timers that have neither fired nor been cancelled: what a loop that was stopped must not leave behind.
  public var pendingTimers: Int { simulator.pendingTimers }

  /// Runs everything that is ready, and what that makes ready; time stands still.
  public func settle() { simulator.settle() }

  /// Lets time pass, timer by timer.
  public func advance(by duration: Duration) { simulator.advance(by: duration) }

  /// Plays a story to its end and returns what it returns. Throws when it would never end, or takes more than `limit`
  /// of virtual time.
  public func run<Value: Sendable>(
    limit: Duration = .seconds(7200), _ story: @escaping @Sendable () async throws -> Value
  ) throws -> Value {
    let outcome = Outcome<Value>()
    spawn {
      do { outcome.result = .success(try await story()) } catch { outcome.result = .failure(error) }
    }
    guard simulator.run(until: simulator.now + limit, { outcome.result != nil }), let result = outcome.result else {
      throw Stuck(description: "the story did not end within \(limit)")
    }
    return try result.get()
  }

  private final class Outcome<Value: Sendable>: @unchecked Sendable {
    var result: Result<Value, any Error>?
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
