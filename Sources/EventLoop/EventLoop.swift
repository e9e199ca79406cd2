// A libuv loop that is a Swift executor: one thread runs the actors pinned to it, its timers and its sockets, so that
// a request is straight-line async code that never leaves its thread. This file: the queue of work, the wake-up from
// other threads, the life of the loop. Timers: LoopTimers.swift; the process's default executor: DefaultExecutors.swift.
//
// Shape and figures: jobs are run with the serial executor alone (with a task executor beside it every hop costs an
// enqueue), drained in `uv_prepare` just before the loop would sleep; another thread wakes the loop through an eventfd
// under `uv_poll`, once per batch (`uv_async_send` of libuv 1.44 spins when its sender is preempted). A loop that gives
// work to another wakes it when its own turn is over: what it hands over in one turn arrives together.

import CLibuv
import Glibc
import Synchronization
import World

/// One libuv loop, one thread: the serial executor of the actors pinned to it, the task executor of their tasks, and
/// the production `World`.
///
/// Threading: `execute`, `schedule`, `enqueue`, `stop`, `join` and the clocks may be called from any thread; everything
/// that is documented as loop-confined (streams, child processes, `executeConfined`) only on the loop's own thread.
public final class EventLoop: SerialExecutor, TaskExecutor, World {
  /// For the thread's name, error messages and metrics.
  public let name: String

  /// How long jobs and closures run before the loop looks at its sockets and timers again, in nanoseconds: a flood of
  /// work must not starve them. (Peers whose ping is not answered for long go away, and come back with more work.)
  private static let turnNanoseconds: UInt64 = 20_000_000
  /// Jobs and closures run before the clock is looked at.
  private static let workBeforeLooking = 8
  /// Jobs and closures run before other loops are woken for what they were given: with nothing to do they should not wait
  /// for the end of a long turn.
  private static let workBeforeWaking = 64
  /// Size of the buffer that all streams of the loop read into: what one `read` can bring of a fast peer.
  static let readBufferBytes = 64 << 10
  /// Turns a stopping loop grants its handles to close; each needs two, the rest is for what their owners start.
  private static let closingTurns = 100

  nonisolated(unsafe) let uv: UnsafeMutablePointer<uv_loop_t>
  /// Loop thread only; valid only until the read callback returns.
  nonisolated(unsafe) let readBuffer: UnsafeMutableRawBufferPointer

  // libuv's handles want fixed addresses; touched on the loop's thread only.
  nonisolated(unsafe) private let wake: UnsafeMutablePointer<uv_poll_t>
  nonisolated(unsafe) private let prepare: UnsafeMutablePointer<uv_prepare_t>
  nonisolated(unsafe) private let idle: UnsafeMutablePointer<uv_idle_t>
  nonisolated(unsafe) let timerHandle: UnsafeMutablePointer<uv_timer_t>

  // Loop thread only.
  nonisolated(unsafe) private var ready = WorkRing(capacity: 1024)
  nonisolated(unsafe) private var isIdling = false
  nonisolated(unsafe) private var isTornDown = false
  nonisolated(unsafe) private var batch: [Work] = []
  nonisolated(unsafe) var timers = TimerHeap()
  nonisolated(unsafe) private var locals: [ObjectIdentifier: AnyObject] = [:]
  /// Loops that were given work during this turn and have not been woken yet.
  nonisolated(unsafe) private var unwoken: [EventLoop] = []

  // Any thread.
  private let wakeDescriptor: Int32
  private let remote = Mutex<[Work]>([])
  private let stopping = Atomic<Bool>(false)
  private let thread = Mutex<pthread_t?>(nil)
  private let random = Mutex(RandomBuffer())
  private let wakeUpCount = Atomic<Int>(0)
  /// Cancelled timers that still lie in the heap; for a moment, while one is cancelled on another thread, one less.
  let cancelledTimers = Atomic<Int>(0)

  /// A loop without a thread: call `run()` on the thread that shall be its own, or use `start(name:)`.
  public init(name: String) {
    Self.ignoreBrokenPipes
    self.name = name
    uv = .allocate(capacity: 1)
    wake = .allocate(capacity: 1)
    prepare = .allocate(capacity: 1)
    idle = .allocate(capacity: 1)
    timerHandle = .allocate(capacity: 1)
    readBuffer = .allocate(byteCount: Self.readBufferBytes, alignment: 64)
    wakeDescriptor = trireme_eventfd()
    must(wakeDescriptor >= 0, "eventfd: out of file descriptors")
    must(uv_loop_init(uv) == 0, "uv_loop_init: out of file descriptors")
    uv.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    must(uv_poll_init(uv, wake, wakeDescriptor) == 0, "uv_poll_init")
    must(uv_prepare_init(uv, prepare) == 0, "uv_prepare_init")
    must(uv_idle_init(uv, idle) == 0, "uv_idle_init")
    must(uv_timer_init(uv, timerHandle) == 0, "uv_timer_init")
    // The loop's own handles carry no owner; their callbacks find the loop through `uv_loop_t.data`.
    wake.pointee.data = nil
    prepare.pointee.data = nil
    idle.pointee.data = nil
    timerHandle.pointee.data = nil
    uv_poll_start(wake, Int32(UV_READABLE.rawValue)) { handle, _, _ in
      let loop = EventLoop.owner(of: handle.unsafelyUnwrapped.pointee.loop)
      var count: UInt64 = 0
      _ = read(loop.wakeDescriptor, &count, 8)
      loop.takeRemote()
    }
    uv_prepare_start(prepare) { handle in
      EventLoop.owner(of: handle.unsafelyUnwrapped.pointee.loop).runReady()
    }
  }

  deinit {
    if !isTornDown { tearDown() }
    close(wakeDescriptor)
    readBuffer.deallocate()
    wake.deallocate()
    prepare.deallocate()
    idle.deallocate()
    timerHandle.deallocate()
    uv.deallocate()
  }

  // MARK: Life

  /// A loop on a thread of its own, running when this returns.
  public static func start(name: String) -> EventLoop {
    let loop = EventLoop(name: name)
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { argument in
        let loop = Unmanaged<EventLoop>.fromOpaque(argument.unsafelyUnwrapped).takeRetainedValue()
        // The kernel keeps 15 bytes of a thread's name and refuses longer ones.
        pthread_setname_np(pthread_self(), String(decoding: loop.name.utf8.prefix(15), as: UTF8.self))
        loop.run()
        return nil
      }, Unmanaged.passRetained(loop).toOpaque())
    must(status == 0, "pthread_create: out of threads")
    loop.thread.withLock { $0 = thread }
    return loop
  }

  /// Runs the loop on the calling thread until `stop()`; then closes everything that is still open on it. A loop runs
  /// once.
  public func run() {
    must(!isTornDown, "event loop \(name) has already run")
    must(Self.current == nil, "a thread runs one event loop")
    CurrentLoop.set(self)
    uv_run(uv, UV_RUN_DEFAULT)
    tearDown()
    wakeOthers()
    CurrentLoop.set(nil)
  }

  /// Makes `run()` return once the work already queued has run. Streams still open are aborted, timers forgotten; work
  /// that is queued afterwards never runs.
  public func stop() {
    stopping.store(true, ordering: .releasing)
    signal()
  }

  /// Waits for the thread of a loop made by `start(name:)` to end, after `stop()`. Not on a loop: it blocks.
  public func join() {
    must(!isCurrent, "an event loop cannot wait for itself")
    guard let thread = thread.withLock({ $0.take() }) else { return }
    pthread_join(thread, nil)
  }

  private func tearDown() {
    uv_walk(
      uv,
      { handle, _ in
        guard let handle, let data = handle.pointee.data, uv_is_closing(handle) == 0 else { return }
        Unmanaged<LoopHandle>.fromOpaque(data).takeUnretainedValue().loopWillStop()
      }, nil)
    var turns = 0
    repeat {
      uv_run(uv, UV_RUN_NOWAIT)
      turns += 1
    } while (hasForeignHandles || !ready.isEmpty) && turns < Self.closingTurns
    timers.removeAll()
    locals.removeAll()
    isTornDown = true
    for handle in [erased(wake), erased(prepare), erased(idle), erased(timerHandle)] { uv_close(handle, nil) }
    // Until nothing is left, which may take as long as a name server takes to answer: libuv's helper thread that waits
    // for it would write into a loop that is gone.
    while uv_run(uv, UV_RUN_DEFAULT) != 0 {}
    must(uv_loop_close(uv) == 0, "event loop \(name) stopped with open handles")
  }

  private var hasForeignHandles: Bool {
    var found = false
    withUnsafeMutablePointer(to: &found) { found in
      uv_walk(
        uv,
        { handle, argument in
          if handle?.pointee.data != nil { argument?.storeBytes(of: true, as: Bool.self) }
        }, found)
    }
    return found
  }

  // MARK: Where am I

  /// The loop whose thread this is.
  public static var current: EventLoop? { CurrentLoop.get() }

  /// Whether the caller runs on this loop's thread.
  @inline(__always) public var isCurrent: Bool { CurrentLoop.is(self) }

  /// Traps when the caller is not on this loop's thread.
  @inline(__always) public func preconditionOnLoop() { precondition(isCurrent, "not on event loop \(name)") }

  // MARK: Executor

  public func enqueue(_ job: consuming ExecutorJob) { push(.job(UnownedJob(job))) }
  public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
  public func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }
  public func isIsolatingCurrentContext() -> Bool? { isCurrent }
  public func checkIsolated() { precondition(isCurrent, "not on event loop \(name)") }

  func push(_ work: Work) {
    if isCurrent { return ready.push(work) }
    let isFirst = remote.withLock { queue in
      queue.append(work)
      return queue.count == 1
    }
    guard isFirst else { return }
    if let current = Self.current { current.unwoken.append(self) } else { signal() }
  }

  /// Wakes those that this loop has given work to.
  private func wakeOthers() {
    guard !unwoken.isEmpty else { return }
    for loop in unwoken { loop.signal() }
    unwoken.removeAll(keepingCapacity: true)
  }

  private func signal() {
    wakeUpCount.wrappingAdd(1, ordering: .relaxed)
    var one: UInt64 = 1
    _ = write(wakeDescriptor, &one, 8)
  }

  /// How often another thread woke this loop; a batch of work counts once.
  public var wakeUps: Int { wakeUpCount.load(ordering: .relaxed) }

  private func takeRemote() {
    remote.withLock { swap(&$0, &batch) }
    for work in batch { ready.push(work) }
    batch.removeAll(keepingCapacity: true)
  }

  private func runReady() {
    let executor = asUnownedSerialExecutor()
    let began = uv_hrtime()
    var count = 0
    while let work = ready.pop() {
      switch work {
      case .job(let job): job.runSynchronously(on: executor)
      case .body(let body): body()
      }
      count += 1
      if count % Self.workBeforeWaking == 0 { wakeOthers() }
      if count % Self.workBeforeLooking == 0, uv_hrtime() - began > Self.turnNanoseconds { break }
    }
    wakeOthers()
    passCancelledTimers()
    // While work is left the loop must look at its sockets without sleeping: an active idle handle does that.
    if ready.isEmpty == isIdling, !isTornDown {
      isIdling = !ready.isEmpty
      if isIdling { uv_idle_start(idle) { _ in } } else { uv_idle_stop(idle) }
    }
    if stopping.load(ordering: .acquiring) { uv_stop(uv) }
  }

  // MARK: World

  public var executor: any SerialExecutor & TaskExecutor { self }

  public var now: MonotonicTime { MonotonicTime(nanoseconds: uv_hrtime()) }

  public var wallClock: WallTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(secondsSinceEpoch: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
  }

  public func randomBits() -> UInt64 { random.withLock { $0.next() } }

  public func execute(_ body: @escaping @Sendable () -> Void) { push(.body(body)) }

  @discardableResult
  public func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
    let timer = LoopTimer(loop: self, deadline: now + delay, isConfined: false, body: body)
    if isCurrent { add(timer) } else { execute { self.add(timer) } }
    return timer
  }

  // MARK: For the loop's own objects

  /// Runs `body` on this loop after everything already queued. Loop-confined: so `body` may capture what is not
  /// Sendable.
  public func executeConfined(_ body: @escaping () -> Void) {
    preconditionOnLoop()
    ready.push(.body(body))
  }

  /// Runs `body` on this loop no earlier than `delay` from now. Loop-confined, and so is cancelling the timer.
  @discardableResult
  public func scheduleConfined(after delay: Duration, _ body: @escaping () -> Void) -> any ScheduledTimer {
    preconditionOnLoop()
    let timer = LoopTimer(loop: self, deadline: now + delay, isConfined: true, body: body)
    add(timer)
    return timer
  }

  /// The loop's one object of a type, made when first asked for: buffers and caches that the loop's objects share.
  /// Loop-confined.
  public func local<Value: AnyObject>(_ type: Value.Type, make: () -> Value) -> Value {
    preconditionOnLoop()
    if let found = locals[ObjectIdentifier(type)] { return unsafeDowncast(found, to: type) }
    let made = make()
    locals[ObjectIdentifier(type)] = made
    return made
  }

  // MARK: libuv's side

  @inline(__always) static func owner(of loop: UnsafeMutablePointer<uv_loop_t>?) -> EventLoop {
    Unmanaged<EventLoop>.fromOpaque(loop.unsafelyUnwrapped.pointee.data).takeUnretainedValue()
  }

  /// A peer that has gone is told by EPIPE on write; the signal would end the process. libuv gives children the default back.
  private static let ignoreBrokenPipes: Void = {
    _ = Glibc.signal(SIGPIPE, SIG_IGN)
  }()
}

/// The owner of one libuv handle, reached through `uv_handle_t.data`. Loop-confined.
public class LoopHandle {
  /// The loop that this lives on.
  public let loop: EventLoop

  init(loop: EventLoop) {
    loop.preconditionOnLoop()
    self.loop = loop
  }

  /// The loop ends: close the handle now, without waiting for anybody.
  func loopWillStop() { preconditionFailure("a handle must know how to close") }
}

/// The calling thread's loop.
enum CurrentLoop {
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    must(pthread_key_create(&key, nil) == 0, "pthread_key_create")
    return key
  }()

  @inline(__always) static func set(_ loop: EventLoop?) {
    pthread_setspecific(key, loop.map { UnsafeRawPointer(Unmanaged.passUnretained($0).toOpaque()) })
  }
  @inline(__always) static func get() -> EventLoop? {
    pthread_getspecific(key).map { Unmanaged<EventLoop>.fromOpaque($0).takeUnretainedValue() }
  }
  @inline(__always) static func `is`(_ loop: EventLoop) -> Bool {
    pthread_getspecific(key) == Unmanaged.passUnretained(loop).toOpaque()
  }
}

/// An invariant whose condition may have an effect; unlike `precondition` it is evaluated in every build.
@inline(__always)
func must(_ condition: Bool, _ message: @autoclosure () -> String) {
  if !condition { preconditionFailure(message()) }
}

/// Any libuv handle as the base that `uv_close` and its like want.
@inline(__always)
func erased<Handle>(_ handle: UnsafeMutablePointer<Handle>) -> UnsafeMutablePointer<uv_handle_t> {
  UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)
}
