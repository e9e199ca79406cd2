// From a write to its event at each of many watchers.
import Client
import EventLoop
import JSON
import Measure
import World

/// Loop-confined; Sendable only so that tasks of the same loop can hold it.
final class WatchRun: @unchecked Sendable {
  /// Events a second at all watchers together that a run aims for: latency is asked for, not throughput.
  private static let eventsPerSecond = 20_000
  private static let writesPerSecond = 200
  /// Streams that a connection carries; our server allows 250, others 100.
  private static let watchersPerConnection = 100
  /// One watcher in so many reads only once in a while.
  private static let slowShare = 100
  private static let slowPause = Duration.milliseconds(500)
  private static let patience = Duration.seconds(30)
  private static let answerPatience = Duration.seconds(60)

  private let runner: BenchRunner
  private let objects: BenchObjects
  private var sent: [UInt64] = []
  private var latencies = LatencyHistogram()
  private var received = 0
  private var refused = 0
  private var reason = ""
  private var writes = LatencyHistogram()
  private var loop: EventLoop { runner.loop }

  init(runner: BenchRunner, objects: BenchObjects) {
    self.runner = runner
    self.objects = objects
  }

  func run(into empty: BenchResult, _ api: APIClient) async throws -> BenchResult {
    let watchers = empty.clients
    let revision = try await api.list(.configMaps, namespace: objects.namespace).resourceVersion
    let watch = RequestTemplate(
      "GET",
      "\(objects.configMaps)?watch=true&resourceVersion=\(revision)&labelSelector=trireme-bench%3Dcreate"
        + "&timeoutSeconds=3000", headers: [(name: "accept", value: "application/json")], status: 200)
    let create = objects.create(objects.configMaps, objects.configMap("w-{key}"))
    var connections: [LoadConnection] = []
    defer { for connection in connections { connection.close() } }
    let slow = watchers / Self.slowShare
    for number in 0..<((watchers - slow + Self.watchersPerConnection - 1) / Self.watchersPerConnection) {
      connections.append(try await connect(number, watch))
    }
    for watcher in 0..<(watchers - slow) { open(connections[watcher % connections.count], slowly: false) }
    if slow > 0 {
      let connection = try await connect(0, watch)
      connections.append(connection)
      for _ in 0..<slow { open(connection, slowly: true) }
      slowDown(connection)
    }
    for connection in connections { connection.flush() }
    // All of them are there before the first write.
    try await loop.sleep(for: .milliseconds(500 + watchers / 5))
    let writer = try await LoadConnection.open(runner.target, server: 0, templates: [create], wantsHTTP2: true)
    defer { writer.close() }
    let meter = ResourceMeter(runner.target)
    let before = meter.read()
    let begin = loop.now
    let pause = 1.0 / Double(max(1, min(Self.writesPerSecond, Self.eventsPerSecond / max(1, watchers))))
    while loop.now - begin < runner.settings.time {
      try await write(writer)
      try await loop.sleep(for: .nanoseconds(Int64(pause * 1e9)))
    }
    let wanted = sent.count * (watchers - slow)
    let written = loop.now
    while received < wanted, refused == 0, loop.now - written < Self.patience {
      try await loop.sleep(for: .milliseconds(10))
    }
    var result = empty
    result.requests = received
    result.seconds = (loop.now - begin).inSeconds
    result.errors = wanted - received + refused
    result.firstError = refused > 0 ? reason : result.errors > 0 ? "events that did not come" : ""
    result.take(latencies)
    result.take(meter.read() - before, of: runner.target)
    result.figures["slowWatchers"] = Double(slow)
    result.figures["writeP50Milliseconds"] = writes.milliseconds(at: 0.5)
    result.figures["writes"] = Double(sent.count)
    return result
  }

  private func connect(_ number: Int, _ watch: RequestTemplate) async throws -> LoadConnection {
    let connection = try await LoadConnection.open(runner.target, server: number, templates: [watch], wantsHTTP2: true)
    connection.onAnswer = { [weak self] _, answer in
      guard let self else { return }
      refused += 1
      reason = "a watch ended: status \(answer.status) \(String(decoding: answer.body, as: UTF8.self))"
    }
    return connection
  }

  /// Events are lines; they come in the order of the writes. What slow watchers get is not measured.
  private func open(_ connection: LoadConnection, slowly: Bool) {
    var events = 0
    connection.send(0, key: 0, turn: 0, client: 0, intended: loop.now.nanoseconds) { [unowned self] bytes in
      guard !slowly else { return }
      let now = loop.now.nanoseconds
      for byte in bytes where byte == UInt8(ascii: "\n") {
        if events < sent.count { latencies.record(nanoseconds: now - sent[events]) }
        events += 1
        received += 1
      }
    }
  }

  private func slowDown(_ connection: LoadConnection) {
    guard !connection.isClosed else { return }
    connection.isPaused.toggle()
    loop.scheduleConfined(after: connection.isPaused ? Self.slowPause : .milliseconds(5)) { [weak self] in
      self?.slowDown(connection)
    }
  }

  private func write(_ writer: LoadConnection) async throws {
    let begin = loop.now.nanoseconds
    sent.append(begin)
    let answer = await withCheckedContinuation { (continuation: CheckedContinuation<LoadAnswer, Never>) in
      writer.onAnswer = { _, answer in continuation.resume(returning: answer) }
      writer.send(0, key: sent.count, turn: 0, client: 0, intended: begin)
      writer.flush()
    }
    guard answer.isRight else {
      throw CommandFailure("status \(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
    }
    writes.record(nanoseconds: loop.now.nanoseconds - begin)
  }
}
