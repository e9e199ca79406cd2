// Child processes: started by libuv, watched on a loop, their output to descriptors or into a bounded capture.

import CLibuv
import Glibc
import World

/// What to start, and how.
public struct ChildProcessOptions: Sendable {
  /// Where a child's standard stream goes.
  public enum Output: Sendable, Hashable {
    case null
    /// The descriptor of this process with the same number.
    case inherit
    /// An open descriptor, which stays the caller's.
    case descriptor(Int32)
    /// Into memory: the first `limit` bytes; the rest is read and thrown away, so that the child never blocks.
    case capture(limit: Int)
  }

  /// The program: a path, or a name that is looked for in PATH.
  public var executable: String
  /// Without the program's own name.
  public var arguments: [String]
  /// nil passes on this process's environment.
  public var environment: [String: String]?
  public var workingDirectory: String?
  /// Descriptor to read from; nil is /dev/null.
  public var standardInput: Int32?
  public var standardOutput: Output = .null
  public var standardError: Output = .null
  /// A session of its own (`setsid`): not killed with this process's terminal, and not waited for by it.
  public var isDetached = false

  public init(
    executable: String, arguments: [String] = [], environment: [String: String]? = nil,
    workingDirectory: String? = nil
  ) {
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
    self.workingDirectory = workingDirectory
  }
}

/// How a child ended, and what it said into captures.
public struct ChildProcessResult: Sendable, Hashable {
  public enum Status: Sendable, Hashable {
    case exited(code: Int)
    case signalled(Int32)
  }
  public var status: Status
  public var standardOutput: [UInt8]
  public var standardError: [UInt8]

  public var isSuccess: Bool { status == .exited(code: 0) }
}

/// A running child. Loop-confined; it lives until the child has ended, whether anybody refers to it or not.
public final class ChildProcess: LoopHandle {
  /// How long after the child's end its captures may stay open: a grandchild may have inherited them.
  private static let captureGrace = Duration.seconds(1)

  public private(set) var processIdentifier: Int32 = 0
  private let handle: UnsafeMutablePointer<uv_process_t>
  private var onExit: ((ChildProcessResult) -> Void)?
  private var status: ChildProcessResult.Status?
  private var outputCapture: Capture?
  private var errorCapture: Capture?
  private var graceTimer: (any ScheduledTimer)?

  /// Starts a child. `onExit` is called once on the loop, after the child's end and the end of its captures; not at all
  /// if the loop stops first. Throws when the program cannot be started.
  public init(
    _ options: ChildProcessOptions, on loop: EventLoop, onExit: @escaping (ChildProcessResult) -> Void
  ) throws(StreamError) {
    handle = .allocate(capacity: 1)
    self.onExit = onExit
    super.init(loop: loop)
    if case .capture(let limit) = options.standardOutput { outputCapture = Capture(loop: loop, limit: limit) }
    if case .capture(let limit) = options.standardError { errorCapture = Capture(loop: loop, limit: limit) }
    let code = spawn(options)
    guard code == 0 else {
      outputCapture?.close()
      errorCapture?.close()
      // libuv has entered the handle into its loop even when the program could not be started.
      let raw = handle
      uv_close(erased(raw)) { UnsafeMutableRawPointer($0.unsafelyUnwrapped).deallocate() }
      throw .system(operation: "start \(options.executable)", code: code)
    }
    processIdentifier = handle.pointee.pid
    handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
    outputCapture?.start { [weak self] in self?.finishIfDone() }
    errorCapture?.start { [weak self] in self?.finishIfDone() }
  }

  /// Sends a signal; false if the child has ended.
  @discardableResult
  public func kill(_ signal: Int32) -> Bool {
    loop.preconditionOnLoop()
    return status == nil && uv_process_kill(handle, signal) == 0
  }

  /// Runs a child to its end, from any task. When the task is cancelled, or after `deadline`, the child is killed and
  /// its result (`.signalled(SIGKILL)`) returned.
  public static func run(
    _ options: ChildProcessOptions, on loop: EventLoop, deadline: Duration? = nil
  ) async throws -> ChildProcessResult {
    let killer = ChildKiller(loop: loop)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        loop.execute {
          do throws(StreamError) {
            let child = try ChildProcess(options, on: loop) { result in
              killer.disarm()
              continuation.resume(returning: result)
            }
            killer.arm(child, deadline: deadline)
          } catch {
            continuation.resume(throwing: error)
          }
        }
      }
    } onCancel: {
      killer.kill()
    }
  }

  override func loopWillStop() {
    onExit = nil
    status = status ?? .exited(code: 0)
    graceTimer?.cancel()
    outputCapture?.close()
    errorCapture?.close()
    closeHandle()
  }

  private func closeHandle() {
    guard uv_is_closing(erased(handle)) == 0 else { return }
    uv_close(erased(handle)) { handle in
      let data = handle.unsafelyUnwrapped.pointee.data.unsafelyUnwrapped
      Unmanaged<ChildProcess>.fromOpaque(data).release()
      UnsafeMutableRawPointer(handle.unsafelyUnwrapped).deallocate()
    }
  }

  private func didExit(code: Int64, signal: Int32) {
    status = signal == 0 ? .exited(code: Int(code)) : .signalled(signal)
    closeHandle()
    graceTimer = loop.scheduleConfined(after: Self.captureGrace) { [self] in
      outputCapture?.close()
      errorCapture?.close()
      finishIfDone()
    }
    finishIfDone()
  }

  private func finishIfDone() {
    guard let status, outputCapture?.isDone ?? true, errorCapture?.isDone ?? true else { return }
    graceTimer?.cancel()
    graceTimer = nil
    let onExit = onExit.take()
    onExit?(
      ChildProcessResult(
        status: status, standardOutput: outputCapture?.bytes ?? [], standardError: errorCapture?.bytes ?? []))
  }

  // MARK: uv_spawn

  private func spawn(_ options: ChildProcessOptions) -> Int32 {
    let arguments = CStrings([options.executable] + options.arguments)
    let environment = options.environment.map { CStrings($0.map { "\($0.key)=\($0.value)" }) }
    let file = CStrings([options.executable, options.workingDirectory ?? ""])
    var streams = [
      Self.input(options.standardInput), Self.output(options.standardOutput, 1, outputCapture),
      Self.output(options.standardError, 2, errorCapture),
    ]
    return withExtendedLifetime((arguments, environment, file)) {
      streams.withUnsafeMutableBufferPointer { streams in
        var uvOptions = uv_process_options_t()
        uvOptions.file = UnsafePointer(file.pointers[0])
        uvOptions.args = arguments.base
        uvOptions.env = environment?.base
        if options.workingDirectory != nil { uvOptions.cwd = UnsafePointer(file.pointers[1]) }
        if options.isDetached { uvOptions.flags = UInt32(UV_PROCESS_DETACHED.rawValue) }
        uvOptions.stdio = streams.baseAddress
        uvOptions.stdio_count = Int32(streams.count)
        uvOptions.exit_cb = { handle, code, signal in
          let data = handle.unsafelyUnwrapped.pointee.data.unsafelyUnwrapped
          Unmanaged<ChildProcess>.fromOpaque(data).takeUnretainedValue().didExit(code: code, signal: signal)
        }
        handle.initialize(to: uv_process_t())
        return uv_spawn(loop.uv, handle, &uvOptions)
      }
    }
  }

  private static func input(_ descriptor: Int32?) -> uv_stdio_container_t {
    var container = uv_stdio_container_t()
    container.flags = descriptor == nil ? UV_IGNORE : UV_INHERIT_FD
    if let descriptor { container.data.fd = descriptor }
    return container
  }

  private static func output(
    _ output: ChildProcessOptions.Output, _ number: Int32, _ capture: Capture?
  ) -> uv_stdio_container_t {
    var container = uv_stdio_container_t()
    container.flags = UV_IGNORE
    switch output {
    case .null: break
    case .inherit:
      container.flags = UV_INHERIT_FD
      container.data.fd = number
    case .descriptor(let descriptor):
      container.flags = UV_INHERIT_FD
      container.data.fd = descriptor
    case .capture:
      container.flags = uv_stdio_flags(UV_CREATE_PIPE.rawValue | UV_WRITABLE_PIPE.rawValue)
      container.data.stream = capture?.stream
    }
    return container
  }
}

/// An array of C strings that ends with a null pointer.
private final class CStrings {
  private(set) var pointers: [UnsafeMutablePointer<CChar>?]
  let base: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

  init(_ strings: [String]) {
    pointers = strings.map { strdup($0) } + [nil]
    base = .allocate(capacity: pointers.count)
    base.initialize(from: pointers, count: pointers.count)
  }

  deinit {
    for pointer in pointers { free(pointer) }
    base.deallocate()
  }
}

/// Reads a child's pipe into memory up to a limit.
private final class Capture: LoopHandle {
  private let pipe: UnsafeMutablePointer<uv_pipe_t>
  private let limit: Int
  private var onEnd: (() -> Void)?
  private(set) var bytes: [UInt8] = []
  private(set) var isDone = false

  var stream: UnsafeMutablePointer<uv_stream_t> {
    UnsafeMutableRawPointer(pipe).assumingMemoryBound(to: uv_stream_t.self)
  }

  init(loop: EventLoop, limit: Int) {
    self.limit = limit
    pipe = .allocate(capacity: 1)
    super.init(loop: loop)
    must(uv_pipe_init(loop.uv, pipe, 0) == 0, "uv_pipe_init")
    pipe.pointee.data = Unmanaged.passRetained(self).toOpaque()
  }

  deinit { pipe.deallocate() }

  private static func owner<Handle>(of handle: UnsafeMutablePointer<Handle>?) -> Capture {
    let handle = UnsafeMutableRawPointer(handle.unsafelyUnwrapped).assumingMemoryBound(to: uv_handle_t.self)
    return Unmanaged<Capture>.fromOpaque(handle.pointee.data).takeUnretainedValue()
  }

  func start(onEnd: @escaping () -> Void) {
    self.onEnd = onEnd
    uv_read_start(
      stream,
      { handle, _, buffer in
        let memory = Capture.owner(of: handle).loop.readBuffer
        buffer.unsafelyUnwrapped.pointee = uv_buf_init(
          memory.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self), UInt32(memory.count))
      },
      { handle, count, buffer in
        Capture.owner(of: handle).didRead(count, buffer.unsafelyUnwrapped.pointee.base)
      })
  }

  private func didRead(_ count: Int, _ memory: UnsafeMutablePointer<CChar>?) {
    if count > 0 {
      bytes.append(contentsOf: UnsafeRawBufferPointer(start: memory, count: min(count, limit - bytes.count)))
    } else if count < 0 {
      close()
      let onEnd = onEnd.take()
      onEnd?()
    }
  }

  func close() {
    guard !isDone else { return }
    isDone = true
    uv_close(erased(pipe)) { Unmanaged<Capture>.fromOpaque($0.unsafelyUnwrapped.pointee.data).release() }
  }

  override func loopWillStop() { close() }
}

/// Kills a child when its task is cancelled or its time is up, in whatever order things happen.
private final class ChildKiller: @unchecked Sendable {
  // Touched on the loop only.
  private let loop: EventLoop
  private var child: ChildProcess?
  private var timer: (any ScheduledTimer)?
  private var isCancelled = false

  init(loop: EventLoop) { self.loop = loop }

  func arm(_ child: ChildProcess, deadline: Duration?) {
    self.child = child
    if isCancelled { child.kill(SIGKILL) }
    if let deadline {
      timer = loop.scheduleConfined(after: deadline) { [weak self] in _ = self?.child?.kill(SIGKILL) }
    }
  }

  func disarm() {
    child = nil
    timer?.cancel()
    timer = nil
  }

  func kill() {
    loop.execute {
      self.isCancelled = true
      self.child?.kill(SIGKILL)
    }
  }
}
