// Unix signals as calls on a loop.

import CLibuv

/// Calls a handler on its loop whenever the process gets a signal. Loop-confined. Several sources may watch one signal;
/// while any does, the signal's default action (to end the process) does not happen.
public final class SignalSource: LoopHandle {
  private let handle: UnsafeMutablePointer<uv_signal_t>
  private var onSignal: (() -> Void)?
  private var isClosed = false

  public init(_ signal: Int32, on loop: EventLoop, onSignal: @escaping () -> Void) throws(StreamError) {
    handle = .allocate(capacity: 1)
    self.onSignal = onSignal
    super.init(loop: loop)
    must(uv_signal_init(loop.uv, handle) == 0, "uv_signal_init")
    handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
    let status = uv_signal_start(
      handle,
      { handle, _ in
        let data = handle.unsafelyUnwrapped.pointee.data.unsafelyUnwrapped
        Unmanaged<SignalSource>.fromOpaque(data).takeUnretainedValue().onSignal?()
      }, signal)
    if status != 0 {
      close()
      throw .system(operation: "watch signal \(signal)", code: status)
    }
  }

  deinit { handle.deallocate() }

  /// Stops watching.
  public func close() {
    loop.preconditionOnLoop()
    guard !isClosed else { return }
    isClosed = true
    onSignal = nil
    uv_close(erased(handle)) { Unmanaged<SignalSource>.fromOpaque($0.unsafelyUnwrapped.pointee.data).release() }
  }

  override func loopWillStop() { close() }
}
