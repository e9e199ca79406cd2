// The one file that touches the standard library's executor SPI (Swift 6.3): our loops as the process's main and
// default executors, so that a plain `Task {}` started on a loop stays there.

import CLibuv
import Glibc
import Synchronization
import World
@_spi(ExperimentalCustomExecutors) @_spi(ExperimentalScheduling) import _Concurrency

extension EventLoop {
  /// Makes the first loop the main actor's executor and all of them the default executor: work without an executor of
  /// its own stays on the loop it comes from; from other threads it goes to the loops in turn.
  ///
  /// Without it all is correct but slow: every resumed continuation passes through the library's global pool, two
  /// thread switches (15 µs in place of 0.4).
  ///
  /// Call it once, at the top of a synchronous `main`, before any `Task` or `MainActor` is touched; then `run()` the
  /// first loop on the main thread.
  public static func installAsDefaultExecutors(_ loops: [EventLoop]) {
    precondition(!loops.isEmpty, "the default executor needs an event loop")
    LoopExecutors.loops.withLock { installed in
      precondition(installed.isEmpty, "the default executors are installed once")
      installed = loops
    }
    _createExecutors(factory: LoopExecutors.self)
  }
}

/// A job that waits for a time: `Task.sleep` ends here.
@_spi(LoopExecutors) extension EventLoop: SchedulingExecutor {
  public func enqueue<C: Clock>(
    _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
  ) {
    guard let delay = delay as? Duration else { preconditionFailure("only clocks that count in Duration") }
    let work = Work.job(UnownedJob(job))
    schedule(after: delay) { self.push(work) }
  }

  public func enqueue<C: Clock>(_ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C) {
    enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
  }
}

private enum LoopExecutors: ExecutorFactory {
  static let loops = Mutex<[EventLoop]>([])
  static let mainExecutor: any MainExecutor = LoopMainExecutor(loop: loops.withLock { $0[0] })
  static let defaultExecutor: any TaskExecutor = LoopDefaultExecutor(loops: loops.withLock { $0 })
}

private final class LoopMainExecutor: MainExecutor {
  private let loop: EventLoop
  init(loop: EventLoop) { self.loop = loop }
  func run() throws { loop.run() }
  func stop() { loop.stop() }
  func enqueue(_ job: consuming ExecutorJob) { loop.enqueue(job) }
  func checkIsolated() { loop.checkIsolated() }
  func isIsolatingCurrentContext() -> Bool? { loop.isCurrent }
}

private final class LoopDefaultExecutor: TaskExecutor, SchedulingExecutor {
  private let loops: [EventLoop]
  private let turn = Atomic<Int>(0)

  init(loops: [EventLoop]) { self.loops = loops }

  private var next: EventLoop {
    // A loop that is not one of the installed (the storage thread's, a test's) keeps its work as well.
    if let current = EventLoop.current { return current }
    return loops[Int(UInt(bitPattern: turn.wrappingAdd(1, ordering: .relaxed).newValue) % UInt(loops.count))]
  }

  func enqueue(_ job: consuming ExecutorJob) { next.enqueue(job) }

  func enqueue<C: Clock>(
    _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
  ) {
    next.enqueue(job, after: delay, tolerance: tolerance, clock: clock)
  }

  func enqueue<C: Clock>(_ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C) {
    next.enqueue(job, at: instant, tolerance: tolerance, clock: clock)
  }
}
