// The client's side of an HTTP/2 connection: many exchanges at once, and the question whether the server still lives.

import CNghttp2
import EventLoop
import World

final class HTTP2ClientConnection: ClientConnection, HTTP2SessionOwner, @unchecked Sendable {
  private let session: HTTP2Session
  private var isFlushScheduled = false
  private var isRetired = false
  private var failure: HTTPError?
  private var lastReceived: MonotonicTime
  private var pingSent: MonotonicTime?

  /// A request's queue on its stream; above it the source is held back.
  private static let streamHighWater = 64 << 10

  required init(pool: ClientPool, stream: any Stream) {
    session = HTTP2Session(role: .client, limits: HTTPLimits())
    lastReceived = pool.loop.now
    super.init(pool: pool, stream: stream)
    session.owner = self
    scheduleFlush()
  }

  override var isIdle: Bool { session.streamCount == 0 }
  override var exchanges: [ClientExchange] { session.streams.values.compactMap { $0.exchange as? ClientExchange } }
  var canOpenStream: Bool { !isRetired && !isClosed && session.streamCount < session.peerStreamLimit }

  // MARK: Sending

  override func start(_ exchange: ClientExchange) {
    let request = exchange.request
    var fields = [
      (":method", request.method), (":scheme", "https"),
      (":authority", request.headers["host"] ?? pool.authority), (":path", request.target),
    ]
    for field in request.headers.fields {
      switch field.name {
      // RFC 9113 §8.2.2: a connection's business has no place in a field.
      case "connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-length": break
      default: fields.append(field)
      }
    }
    let hasBody = request.body.count != 0
    if hasBody, let length = request.body.count { fields.append(("content-length", "\(length)")) }
    guard let stream = session.submitRequest(fields, hasBody: hasBody) else {
      retire()
      return exchange.failOrRetry(.connectFailed("no more streams on this connection"), isUntouched: true)
    }
    stream.exchange = exchange
    exchange.connection = self
    exchange.stream = stream
    lastUsed = pool.loop.now
    switch request.body {
    case .empty: break
    case .bytes(let bytes):
      stream.append(bytes)
      session.finish(stream)
    case .pieces(let pieces):
      stream.append(pieces)
      session.finish(stream)
    case .stream(let pipe):
      let confined = LoopConfined(stream, on: pool.loop)
      exchange.bodyTask = pool.tasks.start(for: self) {
        await $0.send(pipe, on: confined.value, exchange)
      }
    }
    scheduleFlush()
  }

  private func send(_ pipe: BytePipe, on stream: HTTP2Stream, _ exchange: ClientExchange) async {
    do {
      while let batch = try await pipe.nextBatch() {
        guard !exchange.isDone else { return }
        for chunk in batch { session.append(chunk, to: stream) }
        scheduleFlush()
        if stream.outgoingBytes > Self.streamHighWater {
          await withCheckedContinuation { exchange.waiter.wait($0) }
        }
      }
      guard !exchange.isDone else { return }
      session.finish(stream)
      scheduleFlush()
    } catch {
      guard !exchange.isDone else { return }
      exchange.fail(.connectionClosed("the request's body broke off: \(error)"))
      abandon(exchange)
    }
  }

  func sessionDidTakeBody(_ stream: HTTP2Stream) { (stream.exchange as? ClientExchange)?.waiter.resume() }

  /// One flush a turn of the loop: requests made in it share a record.
  private func scheduleFlush() {
    guard !isFlushScheduled, !isClosed else { return }
    isFlushScheduled = true
    pool.loop.executeConfined { [self] in flush() }
  }

  private func flush() {
    isFlushScheduled = false
    guard !isClosed else { return }
    session.flush(to: stream)
    if failure != nil || session.isFinished || (isRetired && session.streamCount == 0) { stream.close() }
  }

  override func didDrain() { scheduleFlush() }

  // MARK: Receiving

  override func receive(_ bytes: UnsafeRawBufferPointer) {
    guard failure == nil else { return }
    lastReceived = pool.loop.now
    pingSent = nil
    do {
      try session.receive(bytes)
    } catch {
      failure = error as? HTTPError ?? .malformed("\(error)")
    }
    scheduleFlush()
  }

  func sessionDidReceiveHead(_ stream: HTTP2Stream) {
    guard let exchange = stream.exchange as? ClientExchange else { return }
    let method = exchange.request.method
    let hasNoBody = stream.status == 204 || stream.status == 304 || method == "HEAD"
    exchange.receiveHead(
      HTTPResponse(status: stream.status, headers: stream.headers),
      length: hasNoBody ? 0 : stream.headers["content-length"].flatMap { Int($0) })
  }

  func sessionHeaderTooLarge(_ stream: HTTP2Stream) {
    (stream.exchange as? ClientExchange)?.fail(.headerTooLarge(limit: HTTPLimits().headerBytes))
    session.reset(stream, NGHTTP2_CANCEL)
  }

  func sessionDidReceiveData(_ stream: HTTP2Stream, _ bytes: UnsafeRawBufferPointer) {
    guard let exchange = stream.exchange as? ClientExchange else { return }
    if exchange.receiveBody(bytes) {
      stream.unconsumedBytes += bytes.count
    } else {
      session.consume(bytes.count, of: stream)
    }
  }

  override func readerHasRoom(_ exchange: ClientExchange) {
    guard let stream = exchange.stream, stream.unconsumedBytes > 0, session.streams[stream.id] === stream else {
      return
    }
    session.consume(stream.unconsumedBytes, of: stream)
    stream.unconsumedBytes = 0
    scheduleFlush()
  }

  func sessionDidReceiveEnd(_ stream: HTTP2Stream) {
    guard let exchange = stream.exchange as? ClientExchange else { return }
    exchange.receiveEnd()
    // Answered before the request was sent whole: the rest of it is not wanted.
    if !stream.isLocalEnded, exchange.request.body.count != 0 { session.reset(stream, NGHTTP2_CANCEL) }
  }

  // MARK: Ending

  func sessionDidClose(_ stream: HTTP2Stream, errorCode: UInt32) {
    lastUsed = pool.loop.now
    let exchange = stream.exchange as? ClientExchange
    // They hold each other no longer than the stream is open: neither would ever go.
    stream.exchange = nil
    exchange?.stream = nil
    if let exchange, !exchange.isDone {
      if errorCode == NGHTTP2_REFUSED_STREAM.rawValue {
        exchange.failOrRetry(.streamReset(errorCode), isUntouched: true)
      } else {
        exchange.fail(.streamReset(errorCode))
      }
    }
    // Not from within nghttp2's callback.
    pool.loop.executeConfined { [self] in
      pool.serveWaiting()
      if isRetired { scheduleFlush() }
    }
  }

  func sessionDidReset(_ stream: HTTP2Stream?) {}

  func sessionDidReceiveGoAway(lastStream: Int32, errorCode: UInt32) {
    // Streams above `lastStream` are closed by nghttp2 as refused, and sent again elsewhere.
    guard !isRetired else { return }
    isRetired = true
    pool.loop.executeConfined { [self] in
      pool.didRetire(self)
      scheduleFlush()
    }
  }

  func sessionDidReceivePingAcknowledgement() {}

  override func abandon(_ exchange: ClientExchange) {
    guard let stream = exchange.stream, session.streams[stream.id] === stream else { return }
    session.reset(stream, NGHTTP2_CANCEL)
    scheduleFlush()
  }

  override func retire() {
    guard !isRetired else { return }
    isRetired = true
    session.submitGoAway()
    pool.didRetire(self)
    scheduleFlush()
  }

  override func sweep(_ now: MonotonicTime) {
    guard session.streamCount > 0 else { return }
    if let pingSent {
      guard now - pingSent >= pool.limits.pingTime else { return }
      failure = .timedOut("the server did not answer a ping within \(pool.limits.pingTime)")
      stream.abort()
    } else if now - lastReceived >= pool.limits.pingAfter {
      pingSent = now
      session.submitPing()
      scheduleFlush()
    }
  }

  override func didClose(_ error: StreamError?) {
    let reason =
      failure ?? .connectionClosed(error?.description ?? "the server closed it before its response was complete")
    for stream in session.streams.values {
      guard let exchange = stream.exchange as? ClientExchange else { continue }
      stream.exchange = nil
      exchange.stream = nil
      // Not one byte of the request may have left.
      exchange.failOrRetry(reason, isUntouched: false)
    }
  }
}
