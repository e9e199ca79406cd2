// A thread for what blocks. The stores know it as a worker, so that a simulator can run their work on its own loop.

import CSQLite
import Glibc
import Synchronization

/// A place where blocking work runs, one piece after the other, in the order it came. Any thread may hand work in.
public protocol BlockingWorker: AnyObject, Sendable {
  func perform(_ body: @escaping @Sendable () -> Void)
  /// The worker ends once what was handed in has run; later work never runs.
  func finish()
}

/// A worker with a thread of its own.
public final class WorkerThread: BlockingWorker {
  private struct State {
    var queue: [@Sendable () -> Void] = []
    var isFinishing = false
  }
  /// A mutex and a condition at fixed addresses, as pthreads want them.
  private final class Monitor: @unchecked Sendable {
    let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    var state = State()
    init() {
      pthread_mutex_init(mutex, nil)
      pthread_cond_init(condition, nil)
    }
    deinit {
      pthread_mutex_destroy(mutex)
      pthread_cond_destroy(condition)
      mutex.deallocate()
      condition.deallocate()
    }
  }
  private final class Start {
    let monitor: Monitor
    let name: String
    init(_ monitor: Monitor, _ name: String) {
      self.monitor = monitor
      self.name = name
    }
  }
  private let monitor = Monitor()

  /// Starts the thread; `name` is what `top -H` shows, 15 bytes of it.
  public init(name: String) {
    var thread = pthread_t()
    let start = Start(monitor, String(decoding: name.utf8.prefix(15), as: UTF8.self))
    let code = pthread_create(
      &thread, nil,
      { @Sendable argument in
        let start = Unmanaged<Start>.fromOpaque(argument.unsafelyUnwrapped).takeRetainedValue()
        pthread_setname_np(pthread_self(), start.name)
        WorkerThread.run(start.monitor)
        return nil
      }, Unmanaged.passRetained(start).toOpaque())
    precondition(code == 0, "pthread_create: out of threads")
    pthread_detach(thread)
  }

  public func perform(_ body: @escaping @Sendable () -> Void) {
    pthread_mutex_lock(monitor.mutex)
    if !monitor.state.isFinishing { monitor.state.queue.append(body) }
    pthread_cond_signal(monitor.condition)
    pthread_mutex_unlock(monitor.mutex)
  }

  public func finish() {
    pthread_mutex_lock(monitor.mutex)
    monitor.state.isFinishing = true
    pthread_cond_signal(monitor.condition)
    pthread_mutex_unlock(monitor.mutex)
  }

  private static func run(_ monitor: Monitor) {
    while true {
      pthread_mutex_lock(monitor.mutex)
      while monitor.state.queue.isEmpty, !monitor.state.isFinishing {
        pthread_cond_wait(monitor.condition, monitor.mutex)
      }
      let bodies = monitor.state.queue
      monitor.state.queue = []
      pthread_mutex_unlock(monitor.mutex)
      if bodies.isEmpty { return }
      for body in bodies { body() }
    }
  }
}

/// Nanoseconds of the monotonic clock, to measure how long the disk takes.
public func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
