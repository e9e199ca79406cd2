// A connection between accept and the end of its TLS handshake; or its one question without TLS.

import EventLoop
import Synchronization
import TLS
import World

/// Loop-confined; lives in its worker's table until the handshake has ended one way or the other.
final class ServerHandshake: StreamHandler {
  private let worker: ServerWorker
  private let remoteAddress: String
  private let ticket: ConnectionTicket
  private let configuration: TLSConfiguration
  /// Came when the server was ending already: it may only ask how the server is.
  let isLate: Bool
  /// The connection until its first words show what is spoken.
  private var silent: (any Stream)?
  private var silenceTimer: (any ScheduledTimer)?
  private var tls: TLSStream?

  init(worker: ServerWorker, remoteAddress: String, ticket: ConnectionTicket, configuration: TLSConfiguration) {
    self.worker = worker
    self.remoteAddress = remoteAddress
    self.ticket = ticket
    self.configuration = configuration
    isLate = worker.isDraining
  }

  func start(over stream: any Stream) {
    ticket.evict = { [weak self] in self?.abort() }
    guard !worker.shared.openProbes.isEmpty else { return secure(stream) }
    silent = stream
    silenceTimer = worker.loop.scheduleConfined(after: worker.shared.limits.handshakeTime) { [weak self] in
      self?.giveUp(.timedOut)
    }
    stream.handler = self
  }

  private func secure(_ stream: any Stream) {
    tls = TLSStream(
      server: configuration, over: stream, handshakeDeadline: worker.shared.limits.handshakeTime
    ) { [self] result in finish(result) }
  }

  func abort() {
    if let tls { tls.abort() } else { giveUp(.connectionLost(nil)) }
  }

  private func finish(_ result: Result<TLSHandshake, TLSError>) {
    guard let tls = tls.take() else { return }
    switch result {
    case .success(let handshake):
      worker.serve(
        tls, remoteAddress, peer: handshake.peer, protocolName: handshake.applicationProtocol, ticket)
    case .failure(let error): report(error)
    }
    worker.remove(self)
  }

  private func report(_ error: TLSError) {
    ticket.release()
    worker.shared.onEvent(.handshakeFailed(remoteAddress: remoteAddress, reason: error.description))
  }

  // MARK: Before the first words

  func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
    guard let stream = silent.take() else { return }
    silenceTimer?.cancel()
    if let answer = worker.shared.probeAnswer(to: bytes) {
      worker.shared.probedAt.store(worker.loop.now.nanoseconds, ordering: .relaxed)
      stream.write(answer)
      stream.close()
    } else if isLate {
      stream.abort()
      worker.shared.onEvent(.connectionRefused(remoteAddress: remoteAddress, reason: ServerWorker.ending))
    } else {
      secure(stream)
      tls?.streamDidReceive(bytes)
      return
    }
    ticket.release()
    worker.remove(self)
  }

  func streamDidClose(_ error: StreamError?) {
    if silent != nil { giveUp(.connectionLost(error)) }
  }

  private func giveUp(_ error: TLSError) {
    guard let stream = silent.take() else { return }
    silenceTimer?.cancel()
    stream.abort()
    report(error)
    worker.remove(self)
  }
}

extension ServerShared {
  /// What is said to a probe that comes without TLS; nil to everything else.
  fileprivate func probeAnswer(to bytes: UnsafeRawBufferPointer) -> [UInt8]? {
    guard bytes.starts(with: "GET /".utf8) else { return nil }
    for (path, probe) in openProbes where bytes.starts(with: "GET \(path) HTTP/1.".utf8) {
      let (status, text) =
        switch probe() {
        case .well: ("200 OK", "ok")
        case .unwell: ("500 Internal Server Error", "not well\n")
        case .leaving: ("404 Not Found", "leaving\n")
        }
      return Array(
        """
        HTTP/1.0 \(status)\r
        Content-Type: text/plain; charset=utf-8\r
        X-Content-Type-Options: nosniff\r
        Content-Length: \(text.utf8.count)\r
        Connection: close\r
        \r
        \(text)
        """.utf8)
    }
    return nil
  }
}
