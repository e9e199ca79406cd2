// What all connections of a server have in common, whatever they speak: deadlines, bounds, the way they end.

import EventLoop
import World

/// A connection after its handshake. Loop-confined; subclasses speak a protocol.
///
/// Sendable only so that tasks of the same loop can hold it.
class ServerConnection: StreamHandler, @unchecked Sendable {
  /// What the connection is waiting for, when that may not take for ever.
  enum Awaited {
    case firstRequest, header, body, nextRequest
  }

  let worker: ServerWorker
  let stream: any Stream
  let remoteAddress: String
  let peer: PeerIdentity?
  var limits: HTTPLimits { worker.shared.limits }

  private let ticket: ConnectionTicket
  private(set) var isClosed = false
  private var deadline: (time: MonotonicTime, awaited: Awaited)?
  /// Since when the peer has taken nothing, while something waits for it; and how much waited then.
  private var stall: (since: MonotonicTime, bufferedBytes: Int)?

  required init(
    _ worker: ServerWorker, _ stream: any Stream, _ remoteAddress: String, _ peer: PeerIdentity?,
    _ ticket: ConnectionTicket
  ) {
    self.worker = worker
    self.stream = stream
    self.remoteAddress = remoteAddress
    self.peer = peer
    self.ticket = ticket
    expect(.firstRequest)
    ticket.evict = { [weak self] in self?.abort("made room for another before it sent a request") }
  }

  // MARK: For subclasses

  /// A whole request has come: the connection is no longer one of the unproven.
  final func prove() { ticket.prove() }

  /// Sets the deadline that fits what is awaited; nil: the peer waits for us.
  func expect(_ awaited: Awaited?) {
    guard let awaited else {
      deadline = nil
      return
    }
    deadline = (worker.loop.now + duration(awaited), awaited)
  }

  private func duration(_ awaited: Awaited) -> Duration {
    switch awaited {
    case .firstRequest, .header: limits.headerTime
    case .body: limits.bodyTime
    case .nextRequest: limits.idleTime
    }
  }

  /// Cuts the peer off, and says so.
  final func abort(_ reason: String) {
    guard !isClosed else { return }
    worker.shared.onEvent(.connectionAborted(remoteAddress: remoteAddress, reason: reason))
    stream.abort()
  }

  // MARK: To override

  /// A deadline has passed: answer if there is a request to answer, and end the connection.
  func timedOut(_ awaited: Awaited, _ limit: Duration) { stream.close() }

  /// Take no more requests, end streams that may be ended, close once nothing is in flight.
  func drain() { stream.close() }

  func receive(_ bytes: UnsafeRawBufferPointer) {}
  func didDrain() {}
  func didClose(_ error: StreamError?) {}

  // MARK: From the worker

  func sweep(_ now: MonotonicTime) {
    if let (time, awaited) = deadline, time <= now {
      deadline = nil
      return timedOut(awaited, duration(awaited))
    }
    let buffered = stream.bufferedBytes
    guard buffered > 0 else {
      stall = nil
      return
    }
    guard let stall, buffered >= stall.bufferedBytes else {
      self.stall = (now, buffered)
      return
    }
    if now - stall.since >= limits.writeStallTime {
      abort("took none of \(buffered) bytes within \(limits.writeStallTime)")
    }
  }

  // MARK: StreamHandler

  final func streamDidReceive(_ bytes: UnsafeRawBufferPointer) { receive(bytes) }

  final func streamDidDrain() {
    stall = nil
    didDrain()
  }

  final func streamDidClose(_ error: StreamError?) {
    isClosed = true
    ticket.release()
    didClose(error)
    worker.remove(self)
  }
}
