// The client's side of an HTTP/1.1 connection: one exchange after the other.

import EventLoop

final class HTTP1ClientConnection: ClientConnection, @unchecked Sendable {
  private var exchange: ClientExchange?
  private var decoder = HTTP1ResponseDecoder()
  private var keepAlive = true
  /// The request is sent whole.
  private var isRequestSent = true
  private var isReused = false
  private var isRetired = false
  private var tunnel: TunnelPump?

  override var isIdle: Bool { exchange == nil && tunnel == nil }
  override var exchanges: [ClientExchange] { exchange.map { [$0] } ?? [] }

  // MARK: Sending

  override func start(_ exchange: ClientExchange) {
    precondition(self.exchange == nil, "an HTTP/1.1 connection carries one exchange at a time")
    self.exchange = exchange
    exchange.connection = self
    lastUsed = pool.loop.now
    decoder.begin(method: exchange.request.method)
    let request = exchange.request
    let framing: OutgoingFraming =
      switch request.body {
      case .empty: ["POST", "PUT", "PATCH"].contains(request.method) ? .length(0) : .none
      case .stream: .chunked
      default: .length(request.body.count ?? 0)
      }
    let head = HTTP1Encoder.requestHead(
      request, framing: framing, host: pool.authority, upgrade: exchange.isUpgrade)
    isRequestSent = true
    switch request.body {
    case .empty: stream.write(head)
    case .bytes(let bytes): stream.write([head, bytes])
    case .pieces(let pieces): stream.write([head] + pieces)
    case .stream(let pipe):
      stream.write(head)
      isRequestSent = false
      exchange.bodyTask = pool.tasks.start(for: self) { await $0.sendBody(pipe, of: exchange) }
    }
  }

  private func sendBody(_ pipe: BytePipe, of exchange: ClientExchange) async {
    do {
      while let batch = try await pipe.nextBatch() {
        guard self.exchange === exchange, !isClosed else { return }
        stream.write(HTTP1Encoder.chunk(batch))
        if stream.bufferedBytes > outputHighWater { await withCheckedContinuation { exchange.waiter.wait($0) } }
      }
      guard self.exchange === exchange, !isClosed else { return }
      stream.write(HTTP1Encoder.lastChunk)
      isRequestSent = true
    } catch {
      // The server must not take half a body for a whole one.
      guard self.exchange === exchange else { return }
      exchange.fail(.connectionClosed("the request's body broke off: \(error)"))
      abandon(exchange)
    }
  }

  override func didDrain() {
    exchange?.waiter.resume()
    tunnel?.streamDidDrain()
  }

  // MARK: Receiving

  override func receive(_ bytes: UnsafeRawBufferPointer) {
    if let tunnel { return tunnel.receive(bytes) }
    var at = 0
    do {
      while !isClosed {
        switch try decoder.consume(bytes, at: &at) {
        case .needMore: return
        case .informational: break
        case .head(let head): if try !receive(head, bytes.slice(at..<bytes.count)) { return }
        case .body(let piece): if exchange?.receiveBody(piece) == true { stream.pauseReading() }
        case .end: finish()
        }
      }
    } catch {
      let message = (error as? MessageFailure)?.message ?? "\(error)"
      exchange?.fail(.malformed(message))
      exchange = nil
      stream.abort()
    }
  }

  /// False when the connection has left HTTP.
  private func receive(_ head: ResponseHead, _ rest: UnsafeRawBufferPointer) throws -> Bool {
    keepAlive = head.keepAlive
    let response = HTTPResponse(status: head.status, headers: head.headers)
    guard head.status == 101 else {
      let length: Int? =
        switch head.framing {
        case .none: 0
        case .length(let length): length
        case .chunked, .untilClose: nil
        }
      exchange?.receiveHead(response, length: length)
      return true
    }
    guard let exchange, exchange.isUpgrade else {
      throw MessageFailure.malformed("the server switched protocols unasked")
    }
    let tunnel = HTTPTunnel(inbound: BytePipe(), outbound: BytePipe())
    self.tunnel = TunnelPump(stream: stream, tunnel: tunnel, leftover: Array(rest))
    self.exchange = nil
    exchange.receiveTunnel(HTTPResponse(status: 101, headers: head.headers, tunnel: tunnel))
    return false
  }

  private func finish() {
    let finished = exchange
    exchange = nil
    lastUsed = pool.loop.now
    isReused = true
    finished?.receiveEnd()
    stream.resumeReading()
    guard keepAlive, isRequestSent, !isRetired, finished?.isUpgrade != true else { return stream.close() }
    pool.didBecomeIdle(self)
  }

  override func readerHasRoom(_ exchange: ClientExchange) {
    if self.exchange === exchange { stream.resumeReading() }
  }

  // MARK: Ending

  override func abandon(_ exchange: ClientExchange) {
    guard self.exchange === exchange else { return }
    self.exchange = nil
    stream.abort()
  }

  override func retire() {
    isRetired = true
    if isIdle { stream.close() }
  }

  override func didClose(_ error: StreamError?) {
    tunnel?.streamDidClose(error)
    guard let exchange else { return }
    self.exchange = nil
    let hadBegun = decoder.hasBegun
    if decoder.finish(), error == nil { return exchange.receiveEnd() }
    let failure = HTTPError.connectionClosed(
      error?.description ?? "the server closed it before its response was complete")
    // A server may close an idle connection just when a request is on its way (RFC 9112 §9.3.1).
    if isReused, !hadBegun { exchange.failOrRetry(failure, isUntouched: false) } else { exchange.fail(failure) }
  }
}
