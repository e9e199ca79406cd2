// A connection on its way from one loop to another.

import Glibc
import Synchronization

/// An open socket that no loop has: taken from one by `Stream.detach()`, given to another by `attach(to:)`. Closed when
/// nobody takes it. Any thread.
public final class DetachedSocket: Sendable {
  private let descriptor: Mutex<Int32?>
  private let isTCP: Bool

  init(descriptor: Int32, kind: SocketStream.Kind) {
    self.descriptor = Mutex(descriptor)
    isTCP = kind == .tcp
  }

  deinit {
    if let descriptor = descriptor.withLock({ $0.take() }) { close(descriptor) }
  }

  /// The stream goes on here, with the options that it had. Nil when the system refuses. On `loop`, once.
  public func attach(to loop: EventLoop) -> (any Stream)? {
    loop.preconditionOnLoop()
    guard let descriptor = descriptor.withLock({ $0.take() }) else { return nil }
    let stream = SocketStream(loop: loop, kind: isTCP ? .tcp : .unix)
    guard stream.open(descriptor: descriptor) == 0 else {
      close(descriptor)
      stream.abort()
      return nil
    }
    return stream
  }
}
