// The one thread and the one clock under all simulated machines: what is ready runs, piece by piece, in an order that
// the seed decides; when all is quiet, time jumps to the next timer.
import DequeModule
import Synchronization
import World

/// Drives every loop of a simulation. Not to be touched from two threads at a time (hence unchecked).
public final class Simulator: @unchecked Sendable {
  /// Virtual time since the start. Begins at one second, so that "a moment ago" is never before the beginning.
  @exclusivity(unchecked) public private(set) var now = MonotonicTime(nanoseconds: 1_000_000_000)
  /// The loop that runs at this moment.
  @exclusivity(unchecked) public private(set) var current: VirtualWorld?
  /// The chance behind scheduling, network and faults; worlds have their own.
  @exclusivity(unchecked) public var random: SeededRandom
  /// Pieces of work that ran.
  @exclusivity(unchecked) public private(set) var steps: UInt64 = 0
  /// Called after every piece of work, with the loop it ran on.
  @exclusivity(unchecked) public var afterStep: ((VirtualWorld) -> Void)?

  /// Called with a description of every timer and message, when somebody wants to know.
  @exclusivity(unchecked) public var onEvent: ((String) -> Void)?

  @exclusivity(unchecked) var trace = TraceHash()
  @exclusivity(unchecked) private var timers = TimerHeap()
  @exclusivity(unchecked) private var timerCount: UInt64 = 0
  /// Worlds are never freed (see there): who waits for its turn need not be counted.
  @exclusivity(unchecked) private var runnable: [Unmanaged<VirtualWorld>] = []
  private var worldCount: UInt64 = 0

  public init(seed: UInt64) { random = SeededRandom(seed: seed) }

  /// A hash over every message, timer and commit so far, and how many there were.
  public var traceHash: UInt64 { trace.value }
  public var tracedEvents: UInt64 { trace.count }

  /// Makes a part of the run's identity of something that happened.
  public func note(_ word: UInt64) { trace.mix(word) }
  public func note(_ bytes: [UInt8]) { trace.mix(bytes) }

  @inline(__always)
  func tell(_ event: @autoclosure () -> String) {
    if let onEvent { onEvent("\(now.nanoseconds - 1_000_000_000) \(event())") }
  }

  func nextWorldNumber() -> UInt64 {
    worldCount += 1
    return worldCount
  }

  // MARK: Work

  func becameRunnable(_ world: VirtualWorld) { runnable.append(.passUnretained(world)) }

  func schedule(after delay: Duration, on world: VirtualWorld, _ body: @escaping @Sendable () -> Void) -> SimulatedTimer
  {
    timerCount += 1
    let at = now + max(.zero, delay)
    let timer = SimulatedTimer(at: at, tie: world.tie(at: at), order: timerCount, world: world, body: body)
    timers.insert(timer)
    return timer
  }

  func timerWasCancelled() { timers.noteCancelled() }

  /// Timers that have neither fired nor been cancelled.
  public var pendingTimers: Int { timers.live }

  /// Runs one piece of what is ready; false when nothing is.
  public func runOne() -> Bool {
    while !runnable.isEmpty {
      let index = runnable.count == 1 ? 0 : random.next(below: runnable.count)
      let world = runnable[index].takeUnretainedValue()
      guard world.process.isRunning, let work = world.ready.popFirst() else {
        world.isListed = false
        runnable.swapAt(index, runnable.count - 1)
        runnable.removeLast()
        continue
      }
      if world.ready.isEmpty {
        world.isListed = false
        runnable.swapAt(index, runnable.count - 1)
        runnable.removeLast()
      }
      steps &+= 1
      current = world
      world.run(work)
      afterStep?(world)
      current = nil
      world.process.countJob()
      return true
    }
    return false
  }

  /// Runs everything that is ready, and what that makes ready; time stands still.
  public func settle() { while runOne() {} }

  /// Lets time jump to the next timer, if there is one until `end`, and makes its body ready.
  public func fireNext(until end: MonotonicTime) -> Bool {
    guard let timer = timers.popFirst(until: end) else { return false }
    now = max(now, timer.at)
    trace.mix(timer.at.nanoseconds ^ timer.world.number << 56)
    tell("timer of \(timer.world.process.host.name)/\(timer.world.name)")
    timer.world.append(.timer(timer))
    return true
  }

  /// Lets time pass, timer by timer.
  public func advance(by duration: Duration) {
    let end = now + duration
    settle()
    while fireNext(until: end) { settle() }
    now = end
    settle()
  }

  /// Runs until `condition` holds (looked at after every piece of work), or `end` has come; true if it held.
  public func run(until end: MonotonicTime, _ condition: () -> Bool) -> Bool {
    while true {
      if condition() { return true }
      if runOne() { continue }
      guard fireNext(until: end) else {
        now = max(now, end)
        return condition()
      }
    }
  }
}

/// A timer of a simulated loop.
final class SimulatedTimer: ScheduledTimer, @unchecked Sendable {
  let at: MonotonicTime
  let tie: UInt64
  let order: UInt64
  let world: VirtualWorld
  @exclusivity(unchecked) private var body: (@Sendable () -> Void)?

  init(at: MonotonicTime, tie: UInt64, order: UInt64, world: VirtualWorld, body: @escaping @Sendable () -> Void) {
    self.at = at
    self.tie = tie
    self.order = order
    self.world = world
    self.body = body
  }

  var isCancelled: Bool { body == nil }

  func cancel() {
    guard body != nil else { return }
    body = nil
    world.simulator.timerWasCancelled()
  }

  /// What is to be done, once.
  func take() -> (@Sendable () -> Void)? {
    defer { body = nil }
    return body
  }
}

/// Timers by due time: a binary heap that forgets the cancelled ones when they are many.
struct TimerHeap {
  /// What is compared lies in the heap itself: to look for the next timer touches no timer but that.
  private struct Item {
    var at: MonotonicTime
    var tie: UInt64
    var order: UInt64
    var timer: SimulatedTimer

    init(_ timer: SimulatedTimer) {
      at = timer.at
      tie = timer.tie
      order = timer.order
      self.timer = timer
    }

    static func precedes(_ one: Item, _ other: Item) -> Bool {
      if one.at != other.at { return one.at < other.at }
      return one.tie == other.tie ? one.order < other.order : one.tie < other.tie
    }
  }
  private var items: [Item] = []
  private var cancelled = 0
  /// Below this many it is not worth looking for cancelled ones.
  private static let sweepMinimum = 256

  var live: Int { items.count { !$0.timer.isCancelled } }

  mutating func noteCancelled() {
    cancelled += 1
    guard cancelled > Self.sweepMinimum, cancelled > items.count / 2 else { return }
    items.removeAll(where: \.timer.isCancelled)
    cancelled = 0
    // Sorted is a heap.
    items.sort(by: Item.precedes)
  }

  mutating func insert(_ timer: SimulatedTimer) {
    items.append(Item(timer))
    items.withUnsafeMutableBufferPointer { items in
      var child = items.count - 1
      while child > 0 {
        let parent = (child - 1) / 2
        guard Item.precedes(items[child], items[parent]) else { break }
        items.swapAt(child, parent)
        child = parent
      }
    }
  }

  mutating func popFirst(until end: MonotonicTime) -> SimulatedTimer? {
    while let first = items.first {
      if first.timer.isCancelled {
        cancelled = max(0, cancelled - 1)
        removeFirst()
        continue
      }
      guard first.at <= end else { return nil }
      removeFirst()
      return first.timer
    }
    return nil
  }

  private mutating func removeFirst() {
    items.swapAt(0, items.count - 1)
    items.removeLast()
    items.withUnsafeMutableBufferPointer { items in
      var parent = 0
      while true {
        var child = parent * 2 + 1
        guard child < items.count else { break }
        if child + 1 < items.count, Item.precedes(items[child + 1], items[child]) { child += 1 }
        guard Item.precedes(items[child], items[parent]) else { break }
        items.swapAt(parent, child)
        parent = child
      }
    }
  }
}
