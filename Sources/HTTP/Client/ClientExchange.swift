// One request on its way and its response as it comes, whatever the connection speaks.

import EventLoop
import World

/// Loop-confined from `begin` on.
final class ClientExchange: @unchecked Sendable {
  private enum Phase {
    case created
    /// Waiting for the head of the response.
    case sent(CheckedContinuation<HTTPResponse, any Error>)
    /// The head is here and the body will soon be.
    case collecting(CheckedContinuation<HTTPResponse, any Error>, HTTPResponse, [UInt8])
    /// The caller has the response and reads its body.
    case streaming(BytePipe)
    case done
  }

  /// Attempts at most, for requests that a server is known not to have looked at.
  private static let attemptLimit = 3

  let request: HTTPRequest
  let isUpgrade: Bool
  private let pool: ClientPool
  private let timeLimit: Duration
  /// The limit is for all of the response, not for its head alone.
  private let isWhole: Bool
  private(set) var deadline = MonotonicTime(nanoseconds: .max)
  private var phase = Phase.created
  private var attempts = 0
  private var isCancelled = false

  /// The connection that carries the request.
  weak var connection: ClientConnection?
  /// On HTTP/2: the stream.
  var stream: HTTP2Stream?
  /// Sends a streamed request body.
  var bodyTask: Task<Void, Never>?
  var waiter = DrainWaiter()

  init(_ request: HTTPRequest, pool: ClientPool, timeLimit: Duration, isWhole: Bool) {
    self.request = request
    self.pool = pool
    self.timeLimit = timeLimit
    self.isWhole = isWhole
    isUpgrade = request.headers["upgrade"] != nil
  }

  var isDone: Bool { if case .done = phase { true } else { false } }
  /// Nothing of the response has been passed on.
  var awaitsHead: Bool { if case .sent = phase { true } else { false } }
  /// The clock runs until the caller has its answer.
  var isTimed: Bool {
    switch phase {
    case .sent, .collecting: true
    case .streaming: isWhole
    default: false
    }
  }
  private var hasStreamedBody: Bool { if case .stream = request.body { true } else { false } }

  func begin(_ continuation: CheckedContinuation<HTTPResponse, any Error>) {
    guard !isCancelled else {
      phase = .done
      return continuation.resume(throwing: HTTPError.cancelled)
    }
    if let fault {
      phase = .done
      return continuation.resume(throwing: HTTPError.malformed(fault))
    }
    phase = .sent(continuation)
    deadline = pool.loop.now + timeLimit
    pool.submit(self)
  }

  /// Why the request must not be sent: a space or line end in its first line would make two requests of it.
  private var fault: String? {
    guard !request.method.isEmpty, request.method.utf8.allSatisfy(isTokenByte) else { return "invalid request method" }
    guard request.target.utf8.allSatisfy({ $0 > 32 && $0 < 127 }),
      request.target.hasPrefix("/") || request.target == "*"
    else { return "invalid request target" }
    for (name, _) in request.headers.fields {
      guard !name.isEmpty, name.utf8.allSatisfy({ isTokenByte($0) && lowercased($0) == $0 }) else {
        return "invalid header field name \(name)"
      }
    }
    return nil
  }

  /// The caller has lost interest.
  func cancel() {
    isCancelled = true
    if case .created = phase { return }
    abandon(.cancelled)
  }

  func timeOut() { abandon(.timedOut("no response to \(request.method) \(request.target) within \(timeLimit)")) }

  private func abandon(_ error: HTTPError) {
    guard !isDone else { return }
    let connection = connection
    fail(error)
    if let connection { connection.abandon(self) } else { pool.forget(self) }
  }

  // MARK: The response

  /// `length`: the body's, if known.
  func receiveHead(_ response: HTTPResponse, length: Int?) {
    guard case .sent(let continuation) = phase else { return }
    if let length, length <= pool.limits.wholeResponseBytes {
      var body: [UInt8] = []
      body.reserveCapacity(length)
      phase = .collecting(continuation, response, body)
      return
    }
    let pipe = BytePipe(highWater: pool.limits.responseHighWater)
    let loop = pool.loop
    pipe.onCancel { loop.execute { self.cancel() } }
    pipe.onDrain { loop.execute { self.connection?.readerHasRoom(self) } }
    phase = .streaming(pipe)
    var response = response
    response.body = .stream(pipe)
    continuation.resume(returning: response)
  }

  /// Passes body bytes on; true when the reader has enough for now.
  func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
    switch phase {
    case .collecting(let continuation, let response, var body):
      phase = .done
      body.append(contentsOf: bytes)
      phase = .collecting(continuation, response, body)
      return false
    case .streaming(let pipe): return (try? pipe.offer(Array(bytes))) ?? false
    default: return false
    }
  }

  func receiveBody(_ bytes: [UInt8]) -> Bool {
    if case .streaming(let pipe) = phase { return (try? pipe.offer(bytes)) ?? false }
    return bytes.withUnsafeBytes { receiveBody($0) }
  }

  func receiveEnd() {
    let ended = phase
    phase = .done
    switch ended {
    case .collecting(let continuation, var response, let body):
      response.body = body.isEmpty ? .empty : .bytes(body)
      continuation.resume(returning: response)
    case .streaming(let pipe): pipe.finish()
    default: break
    }
    stopBody()
  }

  /// The connection has left HTTP.
  func receiveTunnel(_ response: HTTPResponse) {
    guard case .sent(let continuation) = phase else { return }
    phase = .done
    continuation.resume(returning: response)
  }

  func fail(_ error: HTTPError) {
    let failed = phase
    phase = .done
    switch failed {
    case .sent(let continuation), .collecting(let continuation, _, _): continuation.resume(throwing: error)
    case .streaming(let pipe): pipe.finish(throwing: error)
    case .created, .done: break
    }
    stopBody()
  }

  private func stopBody() {
    bodyTask?.cancel()
    bodyTask = nil
    waiter.resume()
    if case .stream(let pipe) = request.body { pipe.cancel() }
  }

  /// The connection ended or refused before anything came of the response. `isUntouched`: the server has certainly not
  /// acted on the request. Sends it again where that is safe; otherwise the caller gets the error.
  func failOrRetry(_ error: HTTPError, isUntouched: Bool) {
    attempts += 1
    let isSafe = ["GET", "HEAD", "OPTIONS"].contains(request.method)
    guard awaitsHead, isUntouched || isSafe, !hasStreamedBody, attempts < Self.attemptLimit else { return fail(error) }
    connection = nil
    stream = nil
    pool.submit(self)
  }
}
