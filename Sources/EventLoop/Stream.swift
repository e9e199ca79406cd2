// The byte stream as everything above sees it: TCP, a Unix socket, or TLS over one of them.

import CLibuv
import Glibc

/// What a stream tells its owner. Called on the stream's loop, never from within a call that the owner makes to the
/// stream.
public protocol StreamHandler: AnyObject {
  /// Bytes have come; they are valid until this returns.
  func streamDidReceive(_ bytes: UnsafeRawBufferPointer)
  /// `bufferedBytes` has fallen to zero after having been above it.
  func streamDidDrain()
  /// The stream has ended, in order (nil) or not; the last call, made exactly once for every handler that is set.
  func streamDidClose(_ error: StreamError?)
}

extension StreamHandler {
  public func streamDidDrain() {}
}

/// A byte stream confined to its loop: every call is made on `loop`, none of them blocks.
///
/// A stream that has a handler lives until it is closed by either side; the reference to the handler is strong until
/// then and broken by the close. Reading starts when the handler is set.
public protocol Stream: AnyObject {
  var loop: EventLoop { get }
  var handler: (any StreamHandler)? { get set }

  /// Sends, or queues a copy of what cannot be sent at once. After `close()` or the end of the stream, does nothing.
  func write(_ bytes: UnsafeRawBufferPointer)
  /// Sends the pieces one after the other; what cannot be sent at once is kept, not copied.
  func write(_ chunks: [[UInt8]])
  /// Bytes queued and not yet taken by the kernel.
  var bufferedBytes: Int { get }

  /// Stops `streamDidReceive` until `resumeReading()`: the peer is slowed down by its own full window.
  func pauseReading()
  func resumeReading()

  /// Ends the stream after everything queued has been sent; nothing more is received.
  func close()
  /// Ends the stream now and drops what is queued.
  func abort()

  /// Takes the connection from its loop, for another to go on with it: this stream is over, and its handler hears nothing
  /// of it. Nil, and nothing has changed, where that cannot be: bytes wait to be sent, the end has begun, or there is no
  /// socket of its own.
  func detach() -> DetachedSocket?
}

extension Stream {
  public func detach() -> DetachedSocket? { nil }

  /// Sends the bytes of an array.
  public func write(_ bytes: [UInt8]) { write([bytes]) }
}

/// Why a stream could not be opened, or ended out of order.
public enum StreamError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The operating system refused: what was attempted, and libuv's negative error code.
  case system(operation: String, code: Int32)
  /// Nothing happened for too long.
  case timedOut(operation: String)
  /// The protocol inside the stream was broken: TLS, with a text for humans.
  case protocolViolation(String)
  /// A TLS peer ended the connection without saying so: what came may not be all that was sent.
  case truncated
  /// The text is no address that this call can use.
  case unusableAddress(String)
  /// The loop has been stopped.
  case loopStopped

  public var description: String {
    switch self {
    case .system(let operation, let code): "\(operation): \(Self.text(of: code))"
    case .timedOut(let operation): "\(operation): timed out"
    case .protocolViolation(let text): text
    case .truncated: "the peer ended the connection without TLS close_notify"
    case .unusableAddress(let text): "\"\(text)\" is not an address that can be used here"
    case .loopStopped: "the event loop has stopped"
    }
  }

  /// The peer has gone: reset, broken pipe, no farewell; as ordinary as an end of stream.
  public var isPeerGone: Bool {
    if self == .truncated { return true }
    guard case .system(_, let code) = self else { return false }
    return code == Int32(UV_ECONNRESET.rawValue) || code == Int32(UV_EPIPE.rawValue)
  }

  /// The text of libuv's error code: "connection refused".
  static func text(of code: Int32) -> String {
    // Longest text of libuv 1.44 has 57 bytes; a longer one would be cut.
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
      String(cString: uv_strerror_r(code, buffer.baseAddress, buffer.count))
    }
  }

  /// What `errno` says after a failed system call.
  static func lastSystemError(_ operation: String) -> StreamError {
    .system(operation: operation, code: uv_translate_sys_error(errno))
  }
}
