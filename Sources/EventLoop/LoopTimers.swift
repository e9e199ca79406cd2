// Timers of a loop: a binary heap by deadline over one `uv_timer_t`, so that the many timers that are cancelled before
// they fire (a deadline for every request) cost neither a libuv handle nor a search.

import CLibuv
import Synchronization
import World

/// One body to run at a time to come. Fires once or is cancelled, whichever is first.
final class LoopTimer: ScheduledTimer {
  let deadline: MonotonicTime
  private let loop: EventLoop
  private let isConfined: Bool
  private let body: Mutex<Work?>

  init(loop: EventLoop, deadline: MonotonicTime, isConfined: Bool, body: @escaping () -> Void) {
    self.loop = loop
    self.deadline = deadline
    self.isConfined = isConfined
    self.body = Mutex(.body(body))
  }

  func cancel() {
    precondition(!isConfined || loop.isCurrent, "a confined timer is cancelled on its loop")
    let dropped = body.withLock { $0.take() }
    if dropped != nil { loop.noteCancelledTimer() }
  }

  /// False: it was cancelled.
  func fire() -> Bool {
    guard case .body(let body)? = body.withLock({ $0.take() }) else { return false }
    body()
    return true
  }
}

/// Deadlines in order; equal deadlines in the order of their scheduling.
struct TimerHeap {
  private struct Item {
    var deadline: UInt64
    var sequence: UInt64
    var timer: LoopTimer
    static func precedes(_ left: Item, _ right: Item) -> Bool {
      left.deadline != right.deadline ? left.deadline < right.deadline : left.sequence < right.sequence
    }
  }
  private var items: [Item] = []
  private var sequence: UInt64 = 0

  var count: Int { items.count }
  var nextDeadline: UInt64? { items.first?.deadline }

  mutating func push(_ timer: LoopTimer) {
    sequence += 1
    items.append(Item(deadline: timer.deadline.nanoseconds, sequence: sequence, timer: timer))
    siftUp(items.count - 1)
  }

  /// The earliest timer, if it is due.
  mutating func popDue(at now: UInt64) -> LoopTimer? {
    guard let first = items.first, first.deadline <= now else { return nil }
    removeFirst()
    return first.timer
  }

  /// Forgets the cancelled ones that come before all others; how many there were.
  mutating func dropSpent() -> Int {
    var dropped = 0
    while let first = items.first, first.timer.isSpent {
      removeFirst()
      dropped += 1
    }
    return dropped
  }

  private mutating func removeFirst() {
    let last = items.removeLast()
    if items.isEmpty { return }
    items[0] = last
    siftDown(0)
  }

  mutating func removeAll() { items.removeAll() }

  /// Forgets the cancelled; how many there were.
  mutating func compact() -> Int {
    let before = items.count
    items.removeAll { $0.timer.isSpent }
    for index in stride(from: items.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    return before - items.count
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard Item.precedes(items[child], items[parent]) else { return }
      items.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < items.count && Item.precedes(items[child], items[smallest]) { smallest = child }
      if smallest == parent { return }
      items.swapAt(parent, smallest)
      parent = smallest
    }
  }
}

extension LoopTimer {
  /// Fired or cancelled.
  var isSpent: Bool { body.withLock { $0 == nil } }
}

extension EventLoop {
  /// Below this a heap is never compacted: walking it costs less than the thought.
  private static let timersWorthCompacting = 256

  func add(_ timer: LoopTimer) {
    if timers.count >= Self.timersWorthCompacting, cancelledTimers.load(ordering: .relaxed) > timers.count / 2 {
      noteForgotten(timers.compact())
    }
    let before = timers.nextDeadline
    timers.push(timer)
    if timers.nextDeadline != before { armTimer() }
  }

  func noteCancelledTimer() { cancelledTimers.wrappingAdd(1, ordering: .relaxed) }
  private func noteForgotten(_ count: Int) { cancelledTimers.wrappingSubtract(count, ordering: .relaxed) }

  /// Before the loop sleeps: nobody wakes it for a timer that was cancelled.
  func passCancelledTimers() {
    guard cancelledTimers.load(ordering: .relaxed) > 0 else { return }
    let dropped = timers.dropSpent()
    guard dropped > 0 else { return }
    noteForgotten(dropped)
    armTimer()
  }

  /// Sets the libuv timer to the earliest deadline. libuv counts whole milliseconds of the same clock from its idea of
  /// now; a target rounded up never fires early.
  private func armTimer() {
    guard let deadline = timers.nextDeadline else {
      uv_timer_stop(timerHandle)
      return
    }
    let target = deadline / 1_000_000 + (deadline % 1_000_000 == 0 ? 0 : 1)
    let now = uv_now(uv)
    uv_timer_start(
      timerHandle, { EventLoop.owner(of: $0.unsafelyUnwrapped.pointee.loop).fireTimers() },
      target > now ? target - now : 0, 0)
  }

  private func fireTimers() {
    let now = uv_hrtime()
    while let timer = timers.popDue(at: now) { if !timer.fire() { noteForgotten(1) } }
    armTimer()
  }
}
