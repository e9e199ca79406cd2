// A connection between accept and the end of its TLS handshake.

import EventLoop
import TLS

/// Loop-confined; lives in its worker's table until the handshake has ended one way or the other.
final class ServerHandshake {
  private let worker: ServerWorker
  private let remoteAddress: String
  private let ticket: ConnectionTicket
  private var tls: TLSStream?

  init(worker: ServerWorker, remoteAddress: String, ticket: ConnectionTicket) {
    self.worker = worker
    self.remoteAddress = remoteAddress
    self.ticket = ticket
  }

  func start(over stream: any Stream, _ configuration: TLSConfiguration) {
    ticket.evict = { [weak self] in self?.abort() }
    tls = TLSStream(
      server: configuration, over: stream, handshakeDeadline: worker.shared.limits.handshakeTime
    ) { [self] result in finish(result) }
  }

  func abort() { tls?.abort() }

  private func finish(_ result: Result<TLSHandshake, TLSError>) {
    guard let tls = tls.take() else { return }
    switch result {
    case .success(let handshake):
      worker.serve(
        tls, remoteAddress, peer: handshake.peer, protocolName: handshake.applicationProtocol, ticket)
    case .failure(let error):
      ticket.release()
      worker.shared.onEvent(.handshakeFailed(remoteAddress: remoteAddress, reason: error.description))
    }
    worker.remove(self)
  }
}
