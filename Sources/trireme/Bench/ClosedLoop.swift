// Clients that each send a request, wait for its answer, and send the next.
import EventLoop
import HTTP
import Synchronization
import World

/// One request and how to know that its answer is the right one.
struct BenchRequest: Sendable {
  var request: HTTPRequest
  /// Throws when the answer is not what the case wants.
  var check: @Sendable (HTTPResponse) async throws -> Void

  /// Right when the status is `status`; the body is read to its end.
  init(_ request: HTTPRequest, expecting status: Int) {
    self.request = request
    check = { response in
      let body = try await response.body.collect()
      guard response.status == status else {
        throw CommandFailure("status \(response.status): \(String(decoding: body.prefix(200), as: UTF8.self))")
      }
    }
  }

  init(_ request: HTTPRequest, check: @escaping @Sendable (HTTPResponse) async throws -> Void) {
    self.request = request
    self.check = check
  }
}

struct ClosedLoop: Sendable {
  let target: BenchTarget
  let clients: Int
  let time: Duration
  /// Load before the clock runs: connections are open then, caches warm.
  static let warmUp = Duration.milliseconds(500)

  private struct Tally {
    var latencies = LatencyHistogram()
    var errors = 0
    var firstError = ""
  }

  /// Runs until time is up; `next` makes the request number `turn` of client `client`.
  func run(
    into result: BenchResult, _ next: @escaping @Sendable (_ client: Int, _ turn: Int) -> BenchRequest
  ) async -> BenchResult {
    let loop = target.loop
    let connections = target.connections(for: clients)
    defer { for connection in connections { connection.close() } }
    let tally = Mutex(Tally())
    let begin = loop.now + Self.warmUp
    let end = begin + time
    let tasks = (0..<clients).map { client in
      loop.spawn {
        let connection = connections[client % connections.count]
        var turn = 0
        while loop.now < end {
          let planned = next(client, turn)
          turn += 1
          let sent = loop.now
          var failure: String?
          do {
            try await planned.check(try await connection.send(planned.request))
          } catch {
            failure = "\(error)"
          }
          let answered = loop.now
          let counts = answered >= begin && answered < end
          tally.withLock { tally in
            if let failure {
              tally.errors += 1
              if tally.firstError.isEmpty { tally.firstError = failure }
            } else if counts {
              tally.latencies.record(answered - sent)
            }
          }
          // An endpoint that refuses must not be asked in a busy loop.
          if failure != nil { try? await loop.sleep(for: .milliseconds(20)) }
        }
      }
    }
    try? await loop.sleep(for: begin - loop.now)
    let processorBefore = target.processorSeconds
    try? await loop.sleep(for: end - loop.now)
    let processorAfter = target.processorSeconds
    for task in tasks { await task.wait() }
    var result = result
    tally.withLock { tally in
      result.requests = tally.latencies.count
      result.errors = tally.errors
      result.firstError = tally.firstError
      result.take(tally.latencies)
    }
    result.seconds = time.inSeconds
    if let processorBefore, let processorAfter, result.requests > 0 {
      result.serverCPUSeconds = (processorAfter - processorBefore) * 1000 / Double(result.requests)
    }
    return result
  }
}
