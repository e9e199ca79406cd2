// Load on some servers for some time: closed loops (a client sends, waits, sends again) or an open one (requests begin by
// the clock, whatever became of those before).
import DequeModule
import EventLoop
import Measure
import World

/// The next request of a client.
struct LoadRequest {
  var template = 0
  var key: Int
  var turn = 0
}

struct LoadPlan {
  var clients: Int
  /// nil: until `next` has no more.
  var time: Duration?
  /// Load before the clock runs: connections are open then, caches warm.
  var warmUp = Duration.milliseconds(500)
  /// Requests a second of an open loop; nil for closed ones.
  var rate: Double?
  var http2 = true
  var connectionsPerServer = LoadPlan.usualConnections
  /// The request number `serial` of the run, the `turn`th of `client`; nil when that client is done.
  var next: @Sendable (_ client: Int, _ turn: Int, _ serial: Int) -> LoadRequest?

  /// As many as busy programs have; each carries many clients.
  static let usualConnections = 8
}

/// What a run found.
struct LoadOutcome: Sendable {
  var latencies = LatencyHistogram()
  var errors = 0
  var firstError = ""
  var seconds = 0.0
  var bytes = 0
  /// Requests of an open loop that the generator itself sent later than planned by more than its tick.
  var lateSends = 0
  var use: ResourceUse?
}

/// Loop-confined; Sendable only so that tasks of the same loop can hold it.
final class LoadRun: @unchecked Sendable {
  /// The open loop looks at the clock so often: finer than this the loop's timers are not.
  private static let tick = Duration.milliseconds(1)
  /// Their requests of 1 KiB fit the window that a connection begins with (64 KiB).
  private static let clientsPerConnection = 40
  /// After the end, for what is under way.
  private static let patience = Duration.seconds(60)
  /// An endpoint that refuses must not be asked in a busy loop.
  private static let errorPause = Duration.milliseconds(20)

  private let target: BenchTarget
  private let plan: LoadPlan
  private let templates: [RequestTemplate]
  private var loop: EventLoop { target.loop }
  private var connections: [LoadConnection] = []
  private var turns: [Int]
  private var serial = 0
  private var active = 0
  private var begin: UInt64 = 0
  private var end: UInt64 = .max
  private var isOver = false
  private var outcome = LoadOutcome()
  private var lastAnswer: UInt64 = 0
  /// Intended beginnings of an open loop's requests that no connection had room for.
  private var waiting: Deque<UInt64> = []
  private var robin = 0
  private var onDone: (() -> Void)?

  init(_ target: BenchTarget, _ templates: [RequestTemplate], _ plan: LoadPlan) {
    self.target = target
    self.plan = plan
    self.templates = templates
    turns = [Int](repeating: 0, count: plan.clients)
  }

  private var nanoseconds: UInt64 { loop.now.nanoseconds }

  func run() async throws -> LoadOutcome {
    try await connect()
    defer { for connection in connections { connection.close() } }
    let start = nanoseconds
    begin = start + UInt64(plan.time == nil ? 0 : plan.warmUp.wholeNanoseconds)
    if let time = plan.time { end = begin + UInt64(time.wholeNanoseconds) }
    if plan.rate == nil { startClosed() } else { startOpen(at: start) }
    let meter = ResourceMeter(target)
    if plan.time != nil {
      try await loop.sleep(for: .nanoseconds(Int64(begin - start)))
      let before = meter.read()
      try await loop.sleep(for: .nanoseconds(Int64(end - min(end, nanoseconds))))
      outcome.use = meter.read() - before
      isOver = true
      await finish(within: Self.patience)
      outcome.seconds = Double(end - begin) / 1e9
    } else {
      let before = meter.read()
      await finish(within: .seconds(3600))
      outcome.use = meter.read() - before
      outcome.seconds = Double(max(lastAnswer, begin + 1) - begin) / 1e9
    }
    let open = active + waiting.count
    if open > 0 {
      outcome.errors += open
      if outcome.firstError.isEmpty { outcome.firstError = "\(open) requests without an answer" }
    }
    return outcome
  }

  private func connect() async throws {
    let wanted =
      plan.http2
      ? min(
        plan.clients,
        max(plan.connectionsPerServer * target.servers.count, plan.clients / Self.clientsPerConnection)) : plan.clients
    for number in 0..<wanted {
      let connection = try await LoadConnection.open(
        target, server: number, templates: templates, wantsHTTP2: plan.http2)
      connection.onAnswer = { [unowned self] in answered($0, $1) }
      connections.append(connection)
    }
  }

  private func finish(within limit: Duration) async {
    guard active + waiting.count > 0 else { return }
    await withCheckedContinuation { continuation in
      var timer: (any ScheduledTimer)?
      onDone = { [unowned self] in
        onDone = nil
        timer?.cancel()
        continuation.resume()
      }
      timer = loop.scheduleConfined(after: limit) { [unowned self] in onDone?() }
    }
  }

  // MARK: Closed

  private func startClosed() {
    for client in 0..<plan.clients { issue(client) }
    for connection in connections { connection.flush() }
  }

  private func issue(_ client: Int) {
    guard !isOver else { return }
    let now = nanoseconds
    guard now < end, let request = plan.next(client, turns[client], serial) else { return }
    turns[client] += 1
    serial += 1
    active += 1
    var connection = connections[client % connections.count]
    if connection.isClosed, let other = connections.first(where: { !$0.isClosed }) { connection = other }
    guard !connection.isClosed else {
      active -= 1
      return fail(connection.closeReason)
    }
    connection.send(request.template, key: request.key, turn: request.turn, client: client, intended: now)
  }

  // MARK: Open

  private func startOpen(at start: UInt64) {
    var schedule = ArrivalSchedule(begin: start, perSecond: plan.rate ?? 1)
    let tick = Self.tick
    func step() {
      guard !isOver else { return }
      let now = nanoseconds
      while let intended = schedule.nextDue(at: now, before: end) { waiting.append(intended) }
      issueWaiting()
      for connection in connections { connection.flush() }
      if now < end { loop.scheduleConfined(after: tick) { step() } }
    }
    step()
  }

  private func issueWaiting() {
    while let intended = waiting.first {
      guard let connection = connectionWithRoom() else { return }
      waiting.removeFirst()
      let client = serial % plan.clients
      guard let request = plan.next(client, turns[client], serial) else { continue }
      turns[client] += 1
      serial += 1
      active += 1
      if nanoseconds - intended > 2 * UInt64(Self.tick.wholeNanoseconds) { outcome.lateSends += 1 }
      connection.send(request.template, key: request.key, turn: request.turn, client: client, intended: intended)
    }
  }

  private func connectionWithRoom() -> LoadConnection? {
    for _ in connections.indices {
      robin = (robin + 1) % connections.count
      if connections[robin].hasRoom { return connections[robin] }
    }
    return nil
  }

  // MARK: Answers

  private func answered(_ connection: LoadConnection, _ answer: LoadAnswer) {
    active -= 1
    let now = nanoseconds
    lastAnswer = now
    if answer.isRight {
      // An open loop counts what was to begin in its time, however late it ended.
      let isCounted = plan.rate == nil ? now >= begin && now < end : answer.intended >= begin
      if isCounted {
        outcome.latencies.record(nanoseconds: now - answer.intended)
        outcome.bytes += answer.bytes
      }
      if plan.rate == nil { issue(answer.client) } else { issueWaiting() }
    } else {
      fail("status \(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
      if plan.rate == nil, outcome.errors < plan.clients * 100 {
        active += 1
        loop.scheduleConfined(after: Self.errorPause) { [weak self] in
          guard let self else { return }
          active -= 1
          issue(answer.client)
          for connection in connections { connection.flush() }
          if active + waiting.count == 0 { onDone?() }
        }
      }
    }
    if active + waiting.count == 0 { onDone?() }
  }

  private func fail(_ reason: String) {
    outcome.errors += 1
    if outcome.firstError.isEmpty { outcome.firstError = reason }
  }
}
