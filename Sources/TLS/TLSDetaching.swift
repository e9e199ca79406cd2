// A TLS connection moves to another loop: the handshake was made where clients are accepted, what follows is read by who
// wants it.

import COpenSSL
import EventLoop
import Synchronization

/// An open TLS connection that no loop has: taken from one by `TLSStream.detachSession()`, given to another by
/// `attach(to:)`. Ended when nobody takes it.
///
/// Any thread (hence unchecked): OpenSSL's session is used by one at a time, and here by nobody.
public final class DetachedTLS: @unchecked Sendable {
  let configuration: TLSConfiguration
  /// Ciphertext that has come and was not read.
  let stash: [UInt8]
  private let socket: DetachedSocket
  private let session: Mutex<UnsafeSession?>

  private struct UnsafeSession: @unchecked Sendable {
    let pointer: OpaquePointer
  }

  init(_ stream: TLSStream, _ socket: DetachedSocket) {
    configuration = stream.configuration
    stash = stream.stash
    self.socket = socket
    session = Mutex(UnsafeSession(pointer: stream.ssl))
  }

  deinit {
    if let session = session.withLock({ $0.take() }) { SSL_free(session.pointer) }
  }

  /// The stream goes on here; it reads when its handler is set. Nil when the system refuses. On `loop`, once.
  public func attach(to loop: EventLoop) -> TLSStream? {
    guard let transport = socket.attach(to: loop), let session = session.withLock({ $0.take() }) else { return nil }
    return TLSStream(self, session.pointer, over: transport)
  }
}

extension TLSStream {
  /// Takes the open connection from its loop, for another to go on with it: this stream is over, and its handler hears
  /// nothing of it. Nil, and nothing has changed, where that cannot be: bytes wait to be sent, or the end has begun.
  /// Not from within a call to its handler, which may be about to get more.
  public func detachSession() -> DetachedTLS? {
    loop.preconditionOnLoop()
    guard state == .open, !isPumping, !isPeerFinished, !isCloseReported, queuedBytes == 0 else { return nil }
    guard let socket = transport.detach() else { return nil }
    let session = DetachedTLS(self, socket)
    isDetached = true
    state = .ended
    isCloseReported = true
    handler = nil
    return session
  }
}
