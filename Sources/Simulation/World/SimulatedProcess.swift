// Machines and processes: a machine's clock goes on while its processes come and go; a process can be stopped for a
// while, and killed: nothing of it ever runs again, and nothing of it is tidied up.
import World

/// A machine: its clocks. Outlives the processes on it.
public final class SimulatedHost: @unchecked Sendable {
  public let name: String
  let simulator: Simulator
  /// 2026-01-01 00:00:00 at the simulation's beginning, before jumps.
  private static let epoch: Int64 = 1_767_225_600_000_000_000 - 1_000_000_000

  // The machine's monotonic clock: a line through (since, base) that `parts` per million bend.
  @exclusivity(unchecked) private var since: UInt64 = 0
  @exclusivity(unchecked) private var base: UInt64 = 0
  @exclusivity(unchecked) private var driftPartsPerMillion: Int64 = 0
  @exclusivity(unchecked) private var wallOffset: Int64 = 0

  public init(_ name: String, simulator: Simulator) {
    self.name = name
    self.simulator = simulator
  }

  /// The machine's own monotonic time.
  var monotonic: MonotonicTime {
    let elapsed = simulator.now.nanoseconds - since
    guard driftPartsPerMillion != 0 else { return MonotonicTime(nanoseconds: base + elapsed) }
    return MonotonicTime(nanoseconds: base + Self.scaled(elapsed, UInt64(1_000_000 + driftPartsPerMillion), 1_000_000))
  }

  /// How long true time takes to a moment that lies `duration` ahead on this machine's clock.
  func trueDuration(_ duration: Duration) -> Duration {
    guard driftPartsPerMillion != 0, duration > .zero else { return duration }
    let nanoseconds = Self.scaled(
      UInt64(duration.wholeNanoseconds), 1_000_000, UInt64(1_000_000 + driftPartsPerMillion))
    return .nanoseconds(Int64(nanoseconds) + 1)
  }

  var wallClock: WallTime {
    WallTime(nanosecondsSinceEpoch: Self.epoch + Int64(monotonic.nanoseconds) + wallOffset)
  }

  /// The wall clock jumps, either way.
  public func jumpClock(by duration: Duration) { wallOffset += duration.wholeNanoseconds }

  /// From here on both clocks run fast (or, if negative, slow) by so many parts of a million.
  public func drift(partsPerMillion: Int) {
    base = monotonic.nanoseconds
    since = simulator.now.nanoseconds
    driftPartsPerMillion = Int64(partsPerMillion)
  }

  private static func scaled(_ value: UInt64, _ numerator: UInt64, _ denominator: UInt64) -> UInt64 {
    denominator.dividingFullWidth(value.multipliedFullWidth(by: numerator)).quotient
  }
}

/// A process: loops that run, stand still or are gone, together.
public final class SimulatedProcess: @unchecked Sendable {
  public let host: SimulatedHost
  @exclusivity(unchecked) public private(set) var isAlive = true
  @exclusivity(unchecked) public private(set) var isPaused = false
  private var worlds: [VirtualWorld] = []
  /// Pieces of work until the process is killed; nil: it is not to be.
  @exclusivity(unchecked) private var jobsLeft: Int?
  private var onJobsDone: (() -> Void)?
  /// Called when the process is killed.
  public var onKilled: [() -> Void] = []

  public init(on host: SimulatedHost) { self.host = host }

  var isRunning: Bool { isAlive && !isPaused }
  var simulator: Simulator { host.simulator }

  /// A loop of this process. `name` is for people.
  public func makeWorld(_ name: String) -> VirtualWorld {
    let world = VirtualWorld(process: self, name: name)
    worlds.append(world)
    return world
  }

  /// SIGSTOP: nothing runs, timers and messages wait.
  public func pause() { isPaused = true }

  /// SIGCONT.
  public func resume() {
    guard isPaused else { return }
    isPaused = false
    for world in worlds { world.listIfReady() }
  }

  /// SIGKILL: no job, timer or message of it ever runs again. What it held stays where it is: memory of the dead.
  public func kill() {
    guard isAlive else { return }
    isAlive = false
    // It may die in the middle of a piece of its work, which is counted yet.
    jobsLeft = nil
    onJobsDone = nil
    Graveyard.bury(self)
    for body in onKilled { body() }
    onKilled = []
  }

  /// Calls `body` (which kills the process) after so many more pieces of its work: between any two of its awaits.
  public func afterJobs(_ count: Int, _ body: @escaping () -> Void) {
    jobsLeft = count
    onJobsDone = body
  }

  func countJob() {
    guard let left = jobsLeft else { return }
    jobsLeft = left - 1
    guard left <= 1 else { return }
    jobsLeft = nil
    let body = onJobsDone
    onJobsDone = nil
    body?()
  }
}

/// Keeps what a killed process held, for good: to free it would run its code (and the runtime would complain of
/// continuations that nobody resumed, as is right when a process is gone). A run of many seeds starts processes anew.
enum Graveyard {
  static func bury(_ object: AnyObject) { _ = Unmanaged.passRetained(object) }

  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  static func bury(_ body: @escaping @Sendable () -> Void) { bury(Box(body)) }
}
