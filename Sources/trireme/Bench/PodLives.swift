// The life of a pod: created, scheduled, running on a (hollow) node, deleted, gone.
import Client
import EventLoop
import JSON
import Measure
import World

/// Loop-confined; Sendable only so that tasks of the same loop can hold it.
final class PodLives: @unchecked Sendable {
  /// A pod that takes longer counts as an error.
  private static let patience = Duration.seconds(30)
  private static let tick = Duration.milliseconds(1)

  private static let name = BytePattern(#""name":"p-"#)
  private static let running = BytePattern(#""phase":"Running""#)
  private static let deleted = Array(#"{"type":"DELETED""#.utf8)

  private enum Stage { case created, running, gone }
  private struct Life {
    var begin: UInt64
    var stage = Stage.created
    var client: Int
  }

  private let runner: BenchRunner
  private let objects: BenchObjects
  private var lives: [Life] = []
  private var connections: [LoadConnection] = []
  private var toRunning = LatencyHistogram()
  private var toGone = LatencyHistogram()
  private var finished = 0
  private var finishedInTime = 0
  private var errors = 0
  private var firstError = ""
  private var end: UInt64 = .max
  private var watchRest: [UInt8] = []
  private var onFinished: ((Int) -> Void)?
  private var loop: EventLoop { runner.loop }

  init(runner: BenchRunner, objects: BenchObjects) {
    self.runner = runner
    self.objects = objects
  }

  /// Latencies are from creation to Running; requests are whole lives.
  func run(into empty: BenchResult, _ api: APIClient) async throws -> BenchResult {
    let revision = try await api.list(.pods, namespace: objects.namespace).resourceVersion
    let watcher = try await watch(from: revision)
    defer { watcher.close() }
    let create = objects.create(
      objects.pods, objects.pod("p-{key}", scheduler: "default-scheduler", payload: ""))
    let templates = [create, objects.delete("\(objects.pods)/p-{key}")]
    for server in runner.target.servers.indices {
      let connection = try await LoadConnection.open(
        runner.target, server: server, templates: templates, wantsHTTP2: true)
      connection.onAnswer = { [weak self] _, answer in
        guard let self, !answer.isRight else { return }
        fail("status \(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
      }
      connections.append(connection)
    }
    defer { for connection in connections { connection.close() } }
    let meter = ResourceMeter(runner.target)
    let before = meter.read()
    let begin = loop.now.nanoseconds
    end = begin + UInt64(runner.settings.time.wholeNanoseconds)
    if let rate = runner.settings.rate { startOpen(rate, begin) } else { startClosed(empty.clients) }
    try await loop.sleep(for: runner.settings.time)
    let use = meter.read() - before
    while finished < lives.count, loop.now.nanoseconds < end + UInt64(Self.patience.wholeNanoseconds) {
      try await loop.sleep(for: .milliseconds(5))
    }
    var result = empty
    result.requests = finishedInTime
    result.seconds = runner.settings.time.inSeconds
    result.errors = errors + lives.count - finished
    result.firstError = errors == 0 && result.errors > 0 ? "\(result.errors) pods did not live in time" : firstError
    result.take(toRunning)
    result.take(use, of: runner.target)
    result.figures["toGoneP50Milliseconds"] = toGone.milliseconds(at: 0.5)
    result.figures["toGoneP99Milliseconds"] = toGone.milliseconds(at: 0.99)
    return result
  }

  private func startClosed(_ clients: Int) {
    onFinished = { [unowned self] client in
      if loop.now.nanoseconds < end { create(client, intended: loop.now.nanoseconds) }
    }
    for client in 0..<clients { create(client, intended: loop.now.nanoseconds) }
    flush()
  }

  private func startOpen(_ rate: Double, _ begin: UInt64) {
    var schedule = ArrivalSchedule(begin: begin, perSecond: rate)
    func step() {
      let now = loop.now.nanoseconds
      while let intended = schedule.nextDue(at: now, before: end) { create(lives.count, intended: intended) }
      flush()
      if now < end { loop.scheduleConfined(after: Self.tick) { step() } }
    }
    step()
  }

  private func flush() { for connection in connections { connection.flush() } }

  private func create(_ client: Int, intended: UInt64) {
    lives.append(Life(begin: intended, client: client))
    let key = lives.count - 1
    connections[key % connections.count].send(0, key: key, turn: 0, client: key, intended: intended)
  }

  private func fail(_ reason: String) {
    errors += 1
    if firstError.isEmpty { firstError = reason }
  }

  // MARK: What happens to the pods

  private func watch(from revision: String) async throws -> LoadConnection {
    let template = RequestTemplate(
      "GET", "\(objects.pods)?watch=true&resourceVersion=\(revision)&timeoutSeconds=3000",
      headers: [(name: "accept", value: "application/json")], status: 200)
    let connection = try await LoadConnection.open(runner.target, server: 0, templates: [template], wantsHTTP2: true)
    connection.onAnswer = { [weak self] _, answer in
      self?.fail("the watch ended: status \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
    }
    connection.send(0, key: 0, turn: 0, client: 0, intended: 0) { [unowned self] bytes in take(bytes) }
    connection.flush()
    return connection
  }

  private func take(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while let end = rest.firstIndex(of: 10) {
      let line = UnsafeRawBufferPointer(rebasing: rest[..<end])
      if watchRest.isEmpty {
        takeEvent(line)
      } else {
        watchRest.append(contentsOf: line)
        watchRest.withUnsafeBytes { takeEvent($0) }
        watchRest.removeAll(keepingCapacity: true)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[(end + 1)...])
    }
    watchRest.append(contentsOf: rest)
    flush()
  }

  /// Looks for what matters without reading the rest: a program that reads events whole would be measured instead.
  private func takeEvent(_ line: UnsafeRawBufferPointer) {
    guard let name = Self.name.end(in: line), name + NumberSlot.digits <= line.count else { return }
    let key = line[name..<name + NumberSlot.digits].reduce(0) { $0 * 10 + Int($1) - 48 }
    guard lives.indices.contains(key) else { return }
    let now = loop.now.nanoseconds
    if line.starts(with: Self.deleted) {
      guard lives[key].stage != .gone else { return }
      lives[key].stage = .gone
      toGone.record(nanoseconds: now - lives[key].begin)
      finished += 1
      if now < end { finishedInTime += 1 }
      onFinished?(lives[key].client)
    } else if lives[key].stage == .created, Self.running.end(in: line) != nil {
      lives[key].stage = .running
      toRunning.record(nanoseconds: now - lives[key].begin)
      connections[key % connections.count].send(1, key: key, turn: 0, client: key, intended: now)
    }
  }
}
