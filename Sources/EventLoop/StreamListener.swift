// Listening sockets, by `accept4` under `uv_poll`: the listener decides when to accept, so that a process without free
// descriptors waits instead of spinning, and the peer's address comes with the connection.

import CLibuv
import Glibc
import World

/// Accepts connections on one loop. Loop-confined.
public final class StreamListener: LoopHandle {
  /// Connections accepted before the loop's other work gets its turn.
  private static let acceptsPerTurn = 64
  /// Pause after `accept` failed for want of descriptors or memory.
  private static let pauseAfterFailure = Duration.milliseconds(100)

  /// Where it listens; with the port the kernel chose when port 0 was asked for.
  public let localAddress: Address
  /// Connections accepted since the start.
  public private(set) var acceptedConnections = 0
  /// Called when `accept` fails (the listener pauses for a moment and goes on): for the log.
  public var onError: ((StreamError) -> Void)?

  private let descriptor: Int32
  private let kind: SocketStream.Kind
  private let poll: UnsafeMutablePointer<uv_poll_t>
  /// Let go of on close: it often refers to who holds the listener.
  private var onAccept: ((any Stream, _ remoteAddress: String) -> Void)?
  private var isClosed = false
  private var pauseTimer: (any ScheduledTimer)?

  /// Listens at `address`; `backlog` connections may wait to be accepted. With `reusePort` several listeners (one on
  /// each loop) share the port and the kernel spreads the connections. A Unix socket that nobody listens on any more
  /// is replaced. `onAccept` is called on the loop; the stream reads nothing until it has a handler.
  public init(
    loop: EventLoop, address: Address, backlog: Int32 = 1024, reusePort: Bool = false,
    onAccept: @escaping (any Stream, _ remoteAddress: String) -> Void
  ) throws(StreamError) {
    let (descriptor, local) = try Self.listen(at: address, backlog: backlog, reusePort: reusePort)
    self.descriptor = descriptor
    self.onAccept = onAccept
    localAddress = local
    kind = if case .ip = address { .tcp } else { .unix }
    poll = .allocate(capacity: 1)
    super.init(loop: loop)
    must(uv_poll_init(loop.uv, poll, descriptor) == 0, "uv_poll_init")
    poll.pointee.data = Unmanaged.passRetained(self).toOpaque()
    startPolling()
  }

  deinit { poll.deallocate() }

  /// Stops accepting; connections that were accepted live on. A Unix socket's path is removed.
  public func close() {
    loop.preconditionOnLoop()
    guard !isClosed else { return }
    isClosed = true
    onAccept = nil
    onError = nil
    pauseTimer?.cancel()
    if case .unix(let path) = localAddress { unlink(path) }
    uv_poll_stop(poll)
    uv_close(erased(poll)) { handle in
      let data = handle.unsafelyUnwrapped.pointee.data.unsafelyUnwrapped
      Unmanaged<StreamListener>.fromOpaque(data).release()
    }
    Glibc.close(descriptor)
  }

  override func loopWillStop() { close() }

  /// Stops accepting until `resume()`; connections wait in the kernel's backlog.
  public func pause() {
    loop.preconditionOnLoop()
    guard !isClosed else { return }
    pauseTimer?.cancel()
    uv_poll_stop(poll)
  }

  public func resume() {
    loop.preconditionOnLoop()
    guard !isClosed else { return }
    startPolling()
  }

  private func startPolling() {
    uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { handle, _, _ in
      let data = handle.unsafelyUnwrapped.pointee.data.unsafelyUnwrapped
      Unmanaged<StreamListener>.fromOpaque(data).takeUnretainedValue().acceptReady()
    }
  }

  private func acceptReady() {
    for _ in 0..<Self.acceptsPerTurn where !isClosed && uv_is_active(erased(poll)) != 0 {
      var peer = SocketAddress()
      let accepted = peer.withMutablePointer {
        accept4(descriptor, $0, $1, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
      }
      guard accepted >= 0 else {
        if errno == EAGAIN || errno == EINTR { return }
        // The peer gave up while it waited: nothing is wrong with the listener.
        if errno == ECONNABORTED || errno == EPROTO { continue }
        return pauseAfterError()
      }
      let stream = SocketStream(loop: loop, kind: kind)
      guard stream.open(descriptor: accepted) == 0 else {
        Glibc.close(accepted)
        stream.abort()
        continue
      }
      acceptedConnections += 1
      onAccept?(stream, peer.address.description)
    }
  }

  private func pauseAfterError() {
    let error = StreamError.lastSystemError("accept on \(localAddress)")
    uv_poll_stop(poll)
    pauseTimer = loop.scheduleConfined(after: Self.pauseAfterFailure) { [weak self] in self?.resume() }
    onError?(error)
  }

  // MARK: The socket

  private static func listen(
    at address: Address, backlog: Int32, reusePort: Bool
  ) throws(StreamError) -> (descriptor: Int32, local: Address) {
    guard let wanted = SocketAddress(address) else { throw .unusableAddress(address.description) }
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(wanted.family, type, 0)
    guard descriptor >= 0 else { throw .lastSystemError("socket") }
    do throws(StreamError) {
      if wanted.family != AF_UNIX {
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        if reusePort {
          setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, socklen_t(MemoryLayout<Int32>.size))
        }
      }
      func bindNow() -> Bool { wanted.withPointer { bind(descriptor, $0, wanted.length) } == 0 }
      var isBound = bindNow()
      if !isBound, errno == EADDRINUSE, case .unix(let path) = address, isAbandoned(wanted) {
        unlink(path)
        isBound = bindNow()
      }
      guard isBound, Glibc.listen(descriptor, backlog) == 0 else { throw .lastSystemError("listen on \(address)") }
      if case .unix = address { return (descriptor, address) }
      var local = SocketAddress()
      _ = local.withMutablePointer { getsockname(descriptor, $0, $1) }
      return (descriptor, local.address)
    } catch {
      Glibc.close(descriptor)
      throw error
    }
  }

  /// A socket file whose listener has died: connecting is refused.
  private static func isAbandoned(_ address: SocketAddress) -> Bool {
    let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard probe >= 0 else { return false }
    defer { Glibc.close(probe) }
    return address.withPointer { connect(probe, $0, address.length) } != 0 && errno == ECONNREFUSED
  }
}
