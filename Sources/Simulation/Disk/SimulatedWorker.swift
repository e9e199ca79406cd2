// Where the stores' blocking work runs in simulation: on the world's timers, one job after the other, each as long as
// the disk takes.

import Storage
import World

/// `BlockingWorker` in virtual time. A job's work is done at the end of the time it takes: until then the power may
/// fail with nothing written; in the middle of it by `SimulatedDisk.cutPower`.
final class SimulatedWorker: BlockingWorker, @unchecked Sendable {
  private let world: any World
  private let mount: SimulatedMount
  private let clock: SimulatedClock
  /// How long the next job takes.
  private let latency: () -> Duration
  private var queue: [@Sendable () -> Void] = []
  private var isRunning = false
  private var isFinishing = false

  /// `latency` nil: as the disk has it.
  init(world: any World, mount: SimulatedMount, clock: SimulatedClock, latency: (() -> Duration)? = nil) {
    self.latency = latency ?? { mount.disk.latency() }
    self.world = world
    self.mount = mount
    self.clock = clock
  }

  func perform(_ body: @escaping @Sendable () -> Void) {
    guard !isFinishing, mount.isAlive else { return }
    queue.append(body)
    if !isRunning { begin() }
  }

  func finish() { isFinishing = true }

  private func begin() {
    isRunning = true
    let began = world.now
    let took = latency()
    world.schedule(after: took) { self.run(began: began.nanoseconds) }
  }

  private func run(began: UInt64) {
    // A process that died does nothing more, and lets go of everything.
    guard mount.isAlive else { return queue = [] }
    let body = queue.removeFirst()
    clock.during(jobThatBegan: began, body)
    // The power may have gone in the middle of it.
    guard mount.isAlive else { return queue = [] }
    if queue.isEmpty { isRunning = false } else { begin() }
  }
}

/// The stores' clock: a job that asks twice sees the time pass that it took.
final class SimulatedClock: @unchecked Sendable {
  private let world: any World
  private var beginning: UInt64?

  init(world: any World) { self.world = world }

  var now: UInt64 {
    defer { beginning = nil }
    return beginning ?? world.now.nanoseconds
  }

  func during(jobThatBegan began: UInt64, _ body: () -> Void) {
    beginning = began
    body()
    beginning = nil
  }
}
