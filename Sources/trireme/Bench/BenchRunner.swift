// One case after the other: prepares its objects, runs it, removes them.
import Client
import EventLoop
import Glibc
import HTTP
import JSON
import Schema
import Synchronization
import World

struct BenchRunner: Sendable {
  let target: BenchTarget
  let label: String
  let time: Duration
  /// What `write-gap` ends with SIGKILL after its first second.
  let victim: Int32?

  private static let watchers = 100
  /// Between the writes that watchers wait for: latency is asked for, not throughput.
  private static let watchedWritePause = Duration.milliseconds(5)
  private static let patience = Duration.seconds(30)

  private var loop: EventLoop { target.loop }
  private var api: APIClient {
    APIClient(transport: target.connect(0), world: loop, userAgent: "trireme-bench/\(Version.trireme)")
  }

  func run(_ testCase: BenchCase, clients: Int) async throws -> BenchResult {
    let clients = testCase == .watchLatency ? Self.watchers : clients
    let empty = BenchResult(label: label, testCase: testCase.rawValue, clients: clients)
    let closedLoop = ClosedLoop(target: target, clients: clients, time: time)
    // Names of one run never meet those of another.
    let run = String(loop.randomBits() & 0xffff_ffff, radix: 16)
    guard testCase.isKubernetes else {
      let value = BenchObjects(namespace: "bench").configMap("bench").bytes
      let put = { @Sendable (client: Int, turn: Int) in EtcdRequest.put("/bench/\(run)/\(client)-\(turn)", value) }
      return testCase == .etcdPut
        ? await closedLoop.run(into: empty, put) : try await writeGap(empty, clients: clients, put)
    }
    let objects = BenchObjects(namespace: "bench-\(run)")
    let api = api
    try await api.create(
      .namespaces,
      ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(objects.namespace)]])
    do {
      let result = try await runKubernetes(testCase, empty, objects, closedLoop, api)
      _ = try? await api.delete(.namespaces, name: objects.namespace)
      return result
    } catch {
      _ = try? await api.delete(.namespaces, name: objects.namespace)
      throw error
    }
  }

  private func runKubernetes(
    _ testCase: BenchCase, _ empty: BenchResult, _ objects: BenchObjects, _ closedLoop: ClosedLoop, _ api: APIClient
  ) async throws -> BenchResult {
    let create = { @Sendable (client: Int, turn: Int) in objects.create("c\(client)-\(turn)") }
    switch testCase {
    case .createConfigMap: return await closedLoop.run(into: empty, create)
    case .update:
      for client in 0..<closedLoop.clients {
        try await api.create(.configMaps, namespace: objects.namespace, objects.configMap("u\(client)"))
      }
      return await closedLoop.run(into: empty) { client, turn in objects.update("u\(client)", turn: turn) }
    case .get:
      try await fill(objects, api)
      return await closedLoop.run(into: empty) { client, turn in
        objects.get("r\((client * 37 + turn) % BenchObjects.readObjects)")
      }
    case .list:
      try await fill(objects, api)
      return await closedLoop.run(into: empty) { _, _ in objects.list() }
    case .watchLatency: return try await watchLatency(empty, objects)
    case .podLifecycle:
      return try await PodLives(api: api, loop: loop, objects: objects).run(into: empty, time: time, target)
    case .writeGap: return try await writeGap(empty, clients: closedLoop.clients, create)
    case .etcdPut, .etcdWriteGap: preconditionFailure("etcd has no namespaces")
    }
  }

  private func fill(_ objects: BenchObjects, _ api: APIClient) async throws {
    let lanes = 16
    try await withThrowingTaskGroup(of: Void.self) { group in
      for lane in 0..<lanes {
        group.addTask {
          for number in stride(from: lane, to: BenchObjects.readObjects, by: lanes) {
            try await api.create(.configMaps, namespace: objects.namespace, objects.configMap("r\(number)"))
          }
        }
      }
      try await group.waitForAll()
    }
  }

  // MARK: Watch

  /// From sending a write to its event at each of many watchers. One writer, so that events come in its order.
  private func watchLatency(_ empty: BenchResult, _ objects: BenchObjects) async throws -> BenchResult {
    let loop = loop
    let sent = Mutex<[MonotonicTime]>([])
    let latencies = Mutex(LatencyHistogram())
    let connections = (0..<8).map { target.connect($0) }
    let writer = target.connect(0)
    defer { for connection in connections + [writer] { connection.close() } }
    let revision = try await api.list(.configMaps, namespace: objects.namespace).resourceVersion
    let path =
      "\(objects.collection)?watch=true&resourceVersion=\(revision)&labelSelector=\(BenchObjects.label)%3Dcreate"
    var pipes: [BytePipe] = []
    for watcher in 0..<Self.watchers {
      let response = try await connections[watcher % connections.count].send(
        HTTPRequest(method: "GET", target: path, headers: BenchObjects.headers()))
      guard response.status == 200, case .stream(let pipe) = response.body else {
        throw CommandFailure("watch: status \(response.status)")
      }
      pipes.append(pipe)
    }
    let readers = pipes.map { pipe in
      loop.spawn {
        var events = 0
        while let chunk = try? await pipe.next() {
          let received = loop.now
          // Every event is one line.
          for byte in chunk where byte == UInt8(ascii: "\n") {
            let begun = sent.withLock { $0[events] }
            latencies.withLock { $0.record(received - begun) }
            events += 1
          }
        }
      }
    }
    var result = empty
    let processorBefore = target.processorSeconds
    let begin = loop.now
    while loop.now - begin < time {
      let number = sent.withLock { sent in
        sent.append(loop.now)
        return sent.count
      }
      let planned = objects.create("w\(number)")
      try await planned.check(try await writer.send(planned.request))
      try await loop.sleep(for: Self.watchedWritePause)
    }
    result.seconds = (loop.now - begin).inSeconds
    let wanted = sent.withLock { $0.count } * Self.watchers
    let written = loop.now
    while latencies.withLock({ $0.count }) < wanted, loop.now - written < Self.patience {
      try await loop.sleep(for: .milliseconds(10))
    }
    for pipe in pipes { pipe.cancel() }
    for reader in readers { await reader.wait() }
    latencies.withLock { latencies in
      result.requests = latencies.count
      result.errors = wanted - latencies.count
      result.firstError = result.errors > 0 ? "events that did not come" : ""
      result.take(latencies)
    }
    if let processorBefore, let processorAfter = target.processorSeconds, result.requests > 0 {
      result.serverCPUSeconds = (processorAfter - processorBefore) * 1000 / Double(result.requests)
    }
    return result
  }

  // MARK: Failure

  /// The longest time without an acknowledged write, while a server is killed. Requests that fail are
  /// expected here and not counted: the client goes on with the next write at the next server.
  private func writeGap(
    _ empty: BenchResult, clients: Int, _ next: @escaping @Sendable (Int, Int) -> BenchRequest
  ) async throws -> BenchResult {
    let loop = loop
    guard let victim else { throw CommandFailure("\(empty.testCase) needs --kill PID: which server is to die") }
    var limits = HTTPClientLimits()
    limits.responseHeaderTime = .seconds(2)
    let connections = target.servers.indices.map { target.connect($0, limits: limits) }
    defer { for connection in connections { connection.close() } }
    let acknowledged = Mutex<[MonotonicTime]>([])
    let begin = loop.now
    let end = begin + time
    let tasks = (0..<clients).map { client in
      loop.spawn {
        var server = client
        var turn = 0
        while loop.now < end {
          let planned = next(client, turn)
          turn += 1
          do {
            try await planned.check(try await connections[server % connections.count].send(planned.request))
            acknowledged.withLock { $0.append(loop.now) }
          } catch {
            server += 1
            try? await loop.sleep(for: .milliseconds(5))
          }
        }
      }
    }
    try await loop.sleep(for: .seconds(1))
    guard kill(victim, SIGKILL) == 0 else { throw CommandFailure("--kill \(victim): there is no such process") }
    for task in tasks { await task.wait() }
    var result = empty
    var gaps = LatencyHistogram()
    acknowledged.withLock { times in
      for (earlier, later) in zip(times, times.dropFirst()) { gaps.record(later - earlier) }
      if let last = times.last, last < end { gaps.record(end - last) }
      result.requests = times.count
    }
    result.seconds = time.inSeconds
    result.take(gaps)
    return result
  }
}
