// The server's side of an HTTP/2 connection: many requests at once, each in a task of its own.

import CNghttp2
import EventLoop
import Synchronization
import World

/// What the connection keeps for a stream: the request while it comes, its task, its response while it goes.
private final class ServerExchange: @unchecked Sendable {
  var body: [UInt8] = []
  /// The request was refused; what still comes of it is dropped.
  var isRefused = false
  var task: Task<Void, Never>?
  var responseBody: BytePipe?
  var waiter = DrainWaiter()
  let started: MonotonicTime
  /// Answered before the request was whole, one sweep ago.
  var isUploadOverdue = false
  /// Since when the peer's window has taken nothing, while something waits for it; and how much it had taken then.
  var stall: (since: MonotonicTime, takenBytes: Int)?
  var isClosed = false
  var isEndingForShutdown = false
  /// What the response wants kept until it is sent.
  var retained: (any AnyObject & Sendable)?

  init(started: MonotonicTime) { self.started = started }
}

final class HTTP2ServerConnection: ServerConnection, HTTP2SessionOwner, @unchecked Sendable {
  private let session: HTTP2Session
  /// Bytes of request bodies that are not whole yet.
  private var unfinishedBodyBytes = 0
  /// Tasks that have not returned, those of reset streams included: a peer must not multiply them by resetting.
  private var runningTasks = 0
  private var resets: TokenBucket
  private var isFlushScheduled = false
  private var isDraining = false
  private var isFinalGoAwaySent = false
  private var isFailed = false

  /// How long a peer may take to answer the ping behind the notice that no more requests are wanted.
  private static let noticePatience = Duration.seconds(1)
  /// A response's queue on its stream; above it the source is held back.
  private static let streamHighWater = 64 << 10

  required init(
    _ worker: ServerWorker, _ stream: any Stream, _ remoteAddress: String, _ peer: PeerIdentity?,
    _ ticket: ConnectionTicket
  ) {
    let limits = worker.shared.limits
    session = HTTP2Session(role: .server, limits: limits)
    resets = TokenBucket(burst: limits.resetBurst, perSecond: limits.resetsPerSecond, now: worker.loop.now)
    super.init(worker, stream, remoteAddress, peer, ticket)
    session.owner = self
    scheduleFlush()
  }

  // MARK: Bytes

  override func receive(_ bytes: UnsafeRawBufferPointer) {
    guard !isFailed else { return }
    do {
      try session.receive(bytes)
    } catch {
      fail(.connectionAborted(remoteAddress: remoteAddress, reason: "\(error)"))
      return
    }
    scheduleFlush()
  }

  override func didDrain() { scheduleFlush() }

  /// One flush a turn of the loop: responses that are ready by then share a record.
  private func scheduleFlush() {
    guard !isFlushScheduled, !isClosed else { return }
    isFlushScheduled = true
    stream.loop.executeConfined { [self] in flush() }
  }

  private func flush() {
    isFlushScheduled = false
    guard !isClosed else { return }
    session.flush(to: stream)
    if isFailed || session.isFinished || (isFinalGoAwaySent && session.streamCount == 0) { stream.close() }
  }

  /// Ends the connection after what is queued has been sent.
  private func fail(_ event: HTTPServerEvent) {
    isFailed = true
    worker.shared.onEvent(event)
    scheduleFlush()
  }

  // MARK: Requests

  func sessionDidReceiveHead(_ stream: HTTP2Stream) {
    expect(nil)
    let exchange = stream.exchange as? ServerExchange ?? ServerExchange(started: worker.loop.now)
    stream.exchange = exchange
    if exchange.isRefused { return }
    if runningTasks >= limits.concurrentStreams + limits.concurrentStreams / 2 {
      exchange.isRefused = true
      return session.reset(stream, NGHTTP2_REFUSED_STREAM)
    }
    if stream.method == "CONNECT" || !(stream.path.hasPrefix("/") || stream.path == "*") {
      return refuse(stream, exchange, .malformed("the request target must be a path"))
    }
    if let length = stream.headers["content-length"].flatMap({ Int($0) }), length > limits.requestBodyBytes {
      return refuse(stream, exchange, .bodyTooLarge(limit: limits.requestBodyBytes))
    }
    if stream.headers["expect"] != nil { session.submitContinue(stream) }
  }

  func sessionHeaderTooLarge(_ stream: HTTP2Stream) {
    let exchange = ServerExchange(started: worker.loop.now)
    stream.exchange = exchange
    refuse(stream, exchange, .headerTooLarge(limit: limits.headerBytes))
  }

  func sessionDidReceiveData(_ stream: HTTP2Stream, _ bytes: UnsafeRawBufferPointer) {
    guard let exchange = stream.exchange as? ServerExchange, !exchange.isRefused else { return }
    guard exchange.body.count + bytes.count <= limits.requestBodyBytes else {
      return refuse(stream, exchange, .bodyTooLarge(limit: limits.requestBodyBytes))
    }
    guard unfinishedBodyBytes + bytes.count <= limits.connectionBodyBytes else {
      return refuse(
        stream, exchange,
        .overloaded("too many bytes of unfinished requests on one connection: limit is \(limits.connectionBodyBytes)"))
    }
    unfinishedBodyBytes += bytes.count
    exchange.body.append(contentsOf: bytes)
  }

  func sessionDidReceiveEnd(_ stream: HTTP2Stream) {
    guard let exchange = stream.exchange as? ServerExchange, !exchange.isRefused else { return }
    prove()
    let body = exchange.body
    dropBody(exchange)
    let request = HTTPRequest(
      method: stream.method, target: stream.path, headers: stream.headers,
      body: body.isEmpty ? .empty : .bytes(body), peer: peer, remoteAddress: remoteAddress, version: .http2)
    runningTasks += 1
    worker.shared.requestCount.add(1, ordering: .relaxed)
    let confined = LoopConfined(stream, on: self.stream.loop)
    exchange.task = worker.tasks.start(for: self) { connection in
      let shared = connection.worker.shared
      let response = await shared.handler.respond(to: request)
      await connection.respond(response, to: confined.value, exchange)
      connection.runningTasks -= 1
      shared.requestCount.subtract(1, ordering: .relaxed)
    }
  }

  private func dropBody(_ exchange: ServerExchange) {
    unfinishedBodyBytes -= exchange.body.count
    exchange.body = []
  }

  private func refuse(_ stream: HTTP2Stream, _ exchange: ServerExchange, _ failure: MessageFailure) {
    exchange.isRefused = true
    dropBody(exchange)
    guard case .bytes(let body) = failure.response.body else { return }
    submitHead(failure.response, on: stream, length: body.count, hasBody: true)
    session.append(body, to: stream)
    session.finish(stream)
    scheduleFlush()
  }

  // MARK: Responses

  private func submitHead(_ response: HTTPResponse, on stream: HTTP2Stream, length: Int?, hasBody: Bool) {
    var fields: [(String, String)] = []
    fields.reserveCapacity(response.headers.fields.count + 3)
    fields.append((":status", response.status == 200 ? "200" : "\(response.status)"))
    for field in response.headers.fields {
      switch field.name {
      // RFC 9113 §8.2.2: a connection's business has no place in a field.
      case "connection", "keep-alive", "transfer-encoding", "upgrade", "content-length": break
      default: fields.append(field)
      }
    }
    if response.headers["date"] == nil { fields.append(("date", worker.date)) }
    if let length, response.status != 204, response.status != 304 { fields.append(("content-length", "\(length)")) }
    session.submitResponse(stream, fields, hasBody: hasBody)
  }

  private func respond(_ response: HTTPResponse, to stream: HTTP2Stream, _ exchange: ServerExchange) async {
    defer { exchange.task = nil }
    guard !exchange.isClosed, !isFailed else { return discard(response) }
    var response = response
    if response.status == 101 {
      discard(response)
      response =
        MessageFailure(
          status: 500, reason: "InternalError", message: "the handler switched protocols on an HTTP/2 stream"
        ).response
    }
    let hasBody = stream.method != "HEAD" && response.status != 204 && response.status != 304
    let declared = stream.method == "HEAD" ? response.headers["content-length"].flatMap { Int($0) } : nil
    submitHead(
      response, on: stream, length: declared ?? response.body.count, hasBody: hasBody && response.body.count != 0)
    scheduleFlush()
    guard hasBody else { return discard(response) }
    exchange.retained = response.retained
    switch response.body {
    case .empty: break
    case .bytes(let bytes):
      stream.append(bytes)
      session.finish(stream)
    case .pieces(let pieces):
      stream.append(pieces)
      session.finish(stream)
    case .stream(let pipe): await send(pipe, on: stream, exchange)
    }
  }

  private func send(_ pipe: BytePipe, on stream: HTTP2Stream, _ exchange: ServerExchange) async {
    exchange.responseBody = pipe
    defer { exchange.responseBody = nil }
    if isDraining { endForShutdown(exchange) }
    do {
      while let batch = try await pipe.nextBatch() {
        guard !exchange.isClosed else { return pipe.cancel() }
        for chunk in batch { session.append(chunk, to: stream) }
        scheduleFlush()
        if stream.outgoingBytes > Self.streamHighWater {
          await withCheckedContinuation { exchange.waiter.wait($0) }
        }
      }
    } catch {
      guard !exchange.isClosed else { return }
      guard exchange.isEndingForShutdown else {
        session.reset(stream, NGHTTP2_INTERNAL_ERROR)
        return scheduleFlush()
      }
    }
    guard !exchange.isClosed else { return }
    session.finish(stream)
    scheduleFlush()
  }

  private func discard(_ response: HTTPResponse) {
    if case .stream(let pipe) = response.body { pipe.cancel() }
    response.tunnel?.outbound.cancel()
    response.tunnel?.inbound.finish()
  }

  func sessionDidTakeBody(_ stream: HTTP2Stream) { (stream.exchange as? ServerExchange)?.waiter.resume() }

  // MARK: Ending

  func sessionDidClose(_ stream: HTTP2Stream, errorCode: UInt32) {
    if let exchange = stream.exchange as? ServerExchange { close(exchange) }
    if session.streamCount == 0 { expect(.nextRequest) }
    if isDraining { scheduleFlush() }
  }

  private func close(_ exchange: ServerExchange) {
    exchange.isClosed = true
    exchange.retained = nil
    dropBody(exchange)
    exchange.task?.cancel()
    exchange.task = nil
    exchange.responseBody?.cancel()
    exchange.waiter.resume()
  }

  func sessionDidReset(_ stream: HTTP2Stream?) {
    guard !isFailed, !resets.take(now: worker.loop.now) else { return }
    session.terminate(NGHTTP2_ENHANCE_YOUR_CALM)
    fail(.connectionAborted(remoteAddress: remoteAddress, reason: "too many streams were reset"))
  }

  func sessionDidReceiveGoAway(lastStream: Int32, errorCode: UInt32) {}

  func sessionDidReceivePingAcknowledgement() {
    // The answer to the ping behind our shutdown notice: what the peer had sent before it knew has arrived.
    if isDraining { sayGoAway() }
  }

  override func didClose(_ error: StreamError?) {
    for stream in session.streams.values {
      if let exchange = stream.exchange as? ServerExchange { close(exchange) }
    }
  }

  override func timedOut(_ awaited: Awaited, _ limit: Duration) {
    switch awaited {
    case .firstRequest: abort("no request within \(limit)")
    case .header, .body, .nextRequest:
      session.terminate(NGHTTP2_NO_ERROR)
      isFailed = true
      scheduleFlush()
    }
  }

  override func sweep(_ now: MonotonicTime) {
    super.sweep(now)
    for stream in session.streams.values {
      sweepResponse(of: stream, now)
      guard !stream.isRemoteEnded else { continue }
      if stream.isLocalEnded {
        stopUpload(stream)
        continue
      }
      guard let exchange = stream.exchange as? ServerExchange, !exchange.isRefused,
        now - exchange.started >= limits.bodyTime
      else { continue }
      refuse(stream, exchange, .timedOut("the request body", after: limits.bodyTime))
    }
  }

  /// A peer that keeps its window shut holds our memory: its stream ends.
  private func sweepResponse(of stream: HTTP2Stream, _ now: MonotonicTime) {
    guard let exchange = stream.exchange as? ServerExchange else { return }
    guard stream.outgoingBytes > 0 else {
      exchange.stall = nil
      return
    }
    guard let stall = exchange.stall, stall.takenBytes == stream.takenBytes else {
      exchange.stall = (now, stream.takenBytes)
      return
    }
    guard now - stall.since >= limits.writeStallTime else { return }
    worker.shared.onEvent(
      .connectionAborted(
        remoteAddress: remoteAddress,
        reason: "stream took none of \(stream.outgoingBytes) bytes within \(limits.writeStallTime)"))
    session.reset(stream, NGHTTP2_CANCEL)
    scheduleFlush()
  }

  /// The request was answered before it was whole (413): the client is told to stop sending (RFC 9113 §8.1), but not
  /// with the answer itself: curl takes a reset that comes while it sends for a failure and drops the answer.
  private func stopUpload(_ stream: HTTP2Stream) {
    guard let exchange = stream.exchange as? ServerExchange, exchange.isUploadOverdue else {
      (stream.exchange as? ServerExchange)?.isUploadOverdue = true
      return
    }
    session.reset(stream, NGHTTP2_NO_ERROR)
    scheduleFlush()
  }

  /// Serves what the peer sends before it knows, and what is under way; then the connection ends (RFC 9113 §6.8).
  override func drain() {
    guard !isDraining else { return }
    isDraining = true
    session.submitShutdownNotice()
    session.submitPing()
    worker.loop.scheduleConfined(after: Self.noticePatience) { [weak self] in
      guard let self, !isClosed else { return }
      sayGoAway()
    }
    for stream in session.streams.values {
      if let exchange = stream.exchange as? ServerExchange { endForShutdown(exchange) }
    }
    scheduleFlush()
  }

  /// The final GOAWAY, which names the last stream that is served.
  private func sayGoAway() {
    guard !isFinalGoAwaySent else { return }
    isFinalGoAwaySent = true
    session.submitGoAway()
    scheduleFlush()
  }

  private func endForShutdown(_ exchange: ServerExchange) {
    guard let body = exchange.responseBody, body.endsOnShutdown else { return }
    exchange.isEndingForShutdown = true
    body.cancel()
  }
}
