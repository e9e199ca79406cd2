// How long nobody's write is acknowledged while a server is killed.
import EventLoop
import Glibc
import HTTP
import Measure
import World

/// Loop-confined; Sendable only so that tasks of the same loop can hold it.
final class WriteGap: @unchecked Sendable {
  private static let retryPause = Duration.milliseconds(5)
  private static let beforeTheKill = Duration.seconds(1)

  private let target: BenchTarget
  private let template: RequestTemplate
  private let clients: Int
  private let time: Duration
  private var connections: [LoadConnection?]
  private var serverOfClient: [Int]
  private var serial = 0
  private var active = 0
  private var last: UInt64 = 0
  private var end: UInt64 = .max
  private var gaps = LatencyHistogram()
  private var failures = 0

  private var loop: EventLoop { target.loop }

  init(target: BenchTarget, template: RequestTemplate, clients: Int, time: Duration) {
    self.target = target
    self.template = template
    self.clients = clients
    self.time = time
    connections = [LoadConnection?](repeating: nil, count: target.servers.count)
    serverOfClient = (0..<clients).map { $0 }
  }

  func run(into empty: BenchResult, killing victim: Int32) async throws -> BenchResult {
    for server in target.servers.indices { connections[server] = try await connect(server) }
    last = loop.now.nanoseconds
    end = last + UInt64(time.wholeNanoseconds)
    for client in 0..<clients { issue(client) }
    for connection in connections { connection?.flush() }
    try await loop.sleep(for: Self.beforeTheKill)
    guard kill(victim, SIGKILL) == 0 else { throw CommandFailure("--kill \(victim): there is no such process") }
    try await loop.sleep(for: .nanoseconds(Int64(end - min(end, loop.now.nanoseconds))))
    gaps.record(nanoseconds: end - min(end, last))
    for connection in connections { connection?.close() }
    var result = empty
    result.requests = gaps.count
    result.seconds = time.inSeconds
    result.take(gaps)
    result.figures["longestGapMilliseconds"] = result.maximum
    result.figures["failedWrites"] = Double(failures)
    return result
  }

  private func connect(_ server: Int) async throws -> LoadConnection {
    let connection = try await LoadConnection.open(target, server: server, templates: [template], wantsHTTP2: true)
    connection.onAnswer = { [weak self] _, answer in self?.answered(answer) }
    return connection
  }

  private func issue(_ client: Int) {
    let now = loop.now.nanoseconds
    guard now < end else { return }
    let living = (0..<connections.count).lazy.map { (self.serverOfClient[client] + $0) % self.connections.count }
      .first { self.connections[$0].map { !$0.isClosed } ?? false }
    guard let living, let connection = connections[living] else { return later(client) }
    serial += 1
    connection.send(0, key: serial, turn: 0, client: client, intended: now)
  }

  private func answered(_ answer: LoadAnswer) {
    guard answer.isRight else {
      failures += 1
      serverOfClient[answer.client] += 1
      return later(answer.client)
    }
    let now = loop.now.nanoseconds
    if now < end {
      gaps.record(nanoseconds: now - last)
      last = now
    }
    issue(answer.client)
  }

  private func later(_ client: Int) {
    loop.scheduleConfined(after: Self.retryPause) { [weak self] in
      guard let self else { return }
      issue(client)
      for connection in connections { connection?.flush() }
    }
  }
}
