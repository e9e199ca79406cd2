// The server's side of an HTTP/1.1 connection: one request at a time, pipelined ones in their order.

import EventLoop
import Synchronization

final class HTTP1ServerConnection: ServerConnection, @unchecked Sendable {
  private enum Phase {
    /// Waiting for a request, or in the middle of one.
    case reading
    /// A handler works, or its response is being sent.
    case responding
    case tunnel(TunnelPump)
    /// The last response is sent.
    case ending
  }

  /// Bytes of further requests that may wait while one is answered.
  private static let pipelinedBytes = 64 << 10

  private var phase = Phase.reading
  private var decoder: HTTP1RequestDecoder
  private var pending: [UInt8] = []
  private var isPaused = false
  private var isFirstRequest = true
  private var isEndingForShutdown = false
  private var task: Task<Void, Never>?
  private var responseBody: BytePipe?
  private var waiter = DrainWaiter()

  required init(
    _ worker: ServerWorker, _ stream: any Stream, _ remoteAddress: String, _ peer: PeerIdentity?,
    _ ticket: ConnectionTicket
  ) {
    decoder = HTTP1RequestDecoder(limits: worker.shared.limits)
    super.init(worker, stream, remoteAddress, peer, ticket)
  }

  // MARK: Reading

  override func receive(_ bytes: UnsafeRawBufferPointer) {
    switch phase {
    case .reading: read(bytes)
    case .responding: hold(bytes)
    case .tunnel(let pump): pump.receive(bytes)
    case .ending: break
    }
  }

  private func hold(_ bytes: UnsafeRawBufferPointer) {
    pending.append(contentsOf: bytes)
    if pending.count > Self.pipelinedBytes, !isPaused {
      isPaused = true
      stream.pauseReading()
    }
  }

  private func read(_ bytes: UnsafeRawBufferPointer) {
    var at = 0
    let wasIdle = decoder.isIdle
    let wasInBody = decoder.isInBody
    do {
      reading: while at < bytes.count {
        switch try decoder.consume(bytes, at: &at) {
        case .needMore: break
        case .expectsContinue: stream.write(HTTP1Encoder.continueResponse)
        case .request(let head, let body):
          start(head, body)
          break reading
        }
      }
    } catch {
      return refuse(error as? MessageFailure ?? .malformed("\(error)"))
    }
    if case .reading = phase {
      if decoder.isInBody {
        if !wasInBody { expect(.body) }
      } else if wasIdle, !decoder.isIdle, !isFirstRequest {
        expect(.header)
      }
    } else if at < bytes.count {
      hold(bytes.slice(at..<bytes.count))
    }
  }

  private func start(_ head: RequestHead, _ body: [UInt8]) {
    prove()
    expect(nil)
    isFirstRequest = false
    phase = .responding
    worker.shared.requestCount.add(1, ordering: .relaxed)
    let request = HTTPRequest(
      method: head.method, target: head.target, headers: head.headers, body: body.isEmpty ? .empty : .bytes(body),
      peer: peer, remoteAddress: remoteAddress, version: .http1)
    task = worker.tasks.start(for: self) { connection in
      let shared = connection.worker.shared
      let response = await shared.handler.respond(to: request)
      await connection.respond(response, to: head)
      shared.requestCount.subtract(1, ordering: .relaxed)
    }
  }

  /// The request cannot be understood or is too large: say so and end the connection, whose framing is lost.
  private func refuse(_ failure: MessageFailure) {
    expect(nil)
    phase = .ending
    worker.shared.onEvent(.connectionAborted(remoteAddress: remoteAddress, reason: failure.message))
    let response = failure.response
    let head = HTTP1Encoder.responseHead(
      response, framing: .length(response.body.count ?? 0), date: worker.date, keepAlive: false, isHTTP10: false)
    if case .bytes(let body) = response.body { stream.write([head, body]) }
    stream.close()
  }

  // MARK: Responding

  private func respond(_ response: HTTPResponse, to head: RequestHead) async {
    guard !isClosed, case .responding = phase else { return discard(response) }
    if response.status == 101 { return switchProtocols(response, head) }
    var keepAlive = head.keepAlive && !worker.isDraining
    let hasBody = head.method != "HEAD" && response.status >= 200 && response.status != 204 && response.status != 304
    var framing: OutgoingFraming
    switch response.body {
    case .stream:
      framing = head.isHTTP10 ? .none : .chunked
      // HTTP/1.0 knows no chunks: the end of the connection ends the body.
      if head.isHTTP10, hasBody { keepAlive = false }
    case .empty where head.method == "HEAD":
      // The handler may know the length without making the body.
      framing = response.headers["content-length"].flatMap { Int($0) }.map { .length($0) } ?? .length(0)
    default: framing = .length(response.body.count ?? 0)
    }
    if response.status == 204 || response.status == 304 { framing = .none }
    let bytes = HTTP1Encoder.responseHead(
      response, framing: framing, date: worker.date, keepAlive: keepAlive, isHTTP10: head.isHTTP10)
    var isWhole = true
    if hasBody {
      isWhole = await send(response.body, after: bytes, isChunked: framing == .chunked)
    } else {
      stream.write(bytes)
      discard(response)
    }
    withExtendedLifetime(response.retained) {}
    finish(keepAlive: keepAlive && isWhole)
  }

  /// Sends head and body; false if the body broke off.
  private func send(_ body: HTTPBody, after head: [UInt8], isChunked: Bool) async -> Bool {
    switch body {
    case .empty: stream.write(head)
    // The stream keeps what it cannot send as the arrays they are, whatever their size.
    case .bytes(let bytes): stream.write([head, bytes])
    case .pieces(let pieces):
      stream.write(head)
      for piece in pieces {
        stream.write(piece)
        await drained()
        if isClosed { return false }
      }
    case .stream(let pipe):
      stream.write(head)
      return await sendStream(pipe, isChunked: isChunked)
    }
    await drained()
    return !isClosed
  }

  private func sendStream(_ pipe: BytePipe, isChunked: Bool) async -> Bool {
    responseBody = pipe
    defer { responseBody = nil }
    if worker.isDraining { endForShutdown() }
    do {
      while let batch = try await pipe.nextBatch() {
        stream.write(isChunked ? HTTP1Encoder.chunk(batch) : batch)
        await drained()
      }
    } catch {
      // Without its last chunk the body is seen to be incomplete, as it is; a watch ended by us is complete.
      guard isEndingForShutdown else { return false }
    }
    if isChunked { stream.write(HTTP1Encoder.lastChunk) }
    return true
  }

  /// Waits while too much is queued.
  private func drained() async {
    guard stream.bufferedBytes > outputHighWater, !isClosed else { return }
    await withCheckedContinuation { waiter.wait($0) }
  }

  private func finish(keepAlive: Bool) {
    task = nil
    guard !isClosed else { return }
    guard keepAlive, !worker.isDraining else {
      phase = .ending
      return stream.close()
    }
    phase = .reading
    expect(.nextRequest)
    if !pending.isEmpty {
      let held = pending
      pending = []
      held.withUnsafeBytes { read($0) }
    }
    if isPaused, pending.count <= Self.pipelinedBytes {
      isPaused = false
      stream.resumeReading()
    }
  }

  private func switchProtocols(_ response: HTTPResponse, _ head: RequestHead) {
    task = nil
    guard head.wantsUpgrade, let tunnel = response.tunnel else {
      discard(response)
      return refuse(
        MessageFailure(
          status: 500, reason: "InternalError", message: "the handler switched protocols where the client did not ask"))
    }
    var response = response
    if response.headers["connection"] == nil { response.headers["connection"] = "Upgrade" }
    stream.write(
      HTTP1Encoder.responseHead(response, framing: .none, date: worker.date, keepAlive: true, isHTTP10: false))
    let leftover = pending
    pending = []
    if isPaused { stream.resumeReading() }
    isPaused = false
    phase = .tunnel(TunnelPump(stream: stream, tunnel: tunnel, leftover: leftover))
  }

  /// Nobody will read this response: let whoever writes its body know.
  private func discard(_ response: HTTPResponse) {
    if case .stream(let pipe) = response.body { pipe.cancel() }
    response.tunnel?.outbound.cancel()
    response.tunnel?.inbound.finish()
  }

  // MARK: Ending

  override func didDrain() {
    if case .tunnel(let pump) = phase { pump.streamDidDrain() } else { waiter.resume() }
  }

  override func didClose(_ error: StreamError?) {
    if case .tunnel(let pump) = phase { pump.streamDidClose(error) }
    phase = .ending
    task?.cancel()
    task = nil
    responseBody?.cancel()
    waiter.resume()
  }

  override func timedOut(_ awaited: Awaited, _ limit: Duration) {
    switch awaited {
    case .nextRequest: stream.close()
    case .firstRequest where decoder.isIdle: abort("no request within \(limit)")
    case .firstRequest, .header: refuse(.timedOut("the request header", after: limit))
    case .body: refuse(.timedOut("the request body", after: limit))
    }
  }

  override func drain() {
    switch phase {
    case .reading:
      // A request half read is answered, with Connection: close.
      if decoder.isIdle { stream.close() }
    case .responding: endForShutdown()
    case .tunnel, .ending: break
    }
  }

  private func endForShutdown() {
    guard let responseBody, responseBody.endsOnShutdown else { return }
    isEndingForShutdown = true
    responseBody.cancel()
  }
}
