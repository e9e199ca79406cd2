// One case after the other: prepares its objects, runs it, removes them.
import Client
import EventLoop
import HTTP
import JSON
import Measure
import Schema
import World

/// What the person who measures chose.
struct BenchSettings: Sendable {
  var label = "endpoint"
  var time = Duration.seconds(10)
  /// Requests a second of open loops; nil for closed ones.
  var rate: Double?
  var http2 = true
  var watchers = 100
  /// What `write-gap` ends with SIGKILL after its first second.
  var victim: Int32?
  /// Files in which the numbers of the processes will stand whose readiness is waited for.
  var pidFiles: [String] = []
  /// Leaves objects where they are: for a look at the servers afterwards.
  var keepsObjects = false
}

struct BenchRunner: Sendable {
  let target: BenchTarget
  let settings: BenchSettings

  /// For a namespace to go with everything in it, after a case.
  private static let cleaningPatience = Duration.seconds(120)
  /// Clients that fill collections.
  static let fillers = 64
  /// Objects that a run of deletions begins with.
  private static let deletions = (few: 3000, many: 10_000)

  var loop: EventLoop { target.loop }
  var api: APIClient { api(0) }

  private func api(_ server: Int) -> APIClient {
    APIClient(transport: target.connect(server), world: loop, userAgent: "trireme-bench/\(Version.trireme)")
  }

  /// A result that says what was asked for, and nothing of what came of it.
  func empty(_ testCase: BenchCase, clients: Int, objects count: Int) -> BenchResult {
    let number = testCase.hasClients ? clients : testCase == .watch ? settings.watchers : 0
    var name = testCase.rawValue
    if settings.rate != nil { name += "-open" }
    if !settings.http2 { name += "-http1" }
    return BenchResult(
      label: settings.label, testCase: name, clients: number, objects: testCase.hasObjects ? count : 0)
  }

  func run(_ testCase: BenchCase, into empty: BenchResult) async throws -> BenchResult {
    // Names of one run never meet those of another.
    let run = String(loop.randomBits() & 0xffff_ffff, radix: 16)
    guard testCase.needsNamespace else { return try await runWithoutNamespace(testCase, empty, run: run) }
    let objects = BenchObjects(namespace: "bench-\(run)")
    let api = api
    try await api.create(
      .namespaces,
      ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(objects.namespace)]])
    do {
      let result = try await runKubernetes(testCase, empty, objects, api)
      if !settings.keepsObjects { await clean(objects) }
      return result
    } catch {
      _ = try? await api.delete(.namespaces, name: objects.namespace)
      throw error
    }
  }

  /// What one case leaves must not burden the next.
  private func clean(_ objects: BenchObjects) async {
    // The case may have ended with one server less.
    var living: APIClient?
    for server in target.servers.indices where living == nil {
      let candidate = api(server)
      if (try? await candidate.raw("/readyz")) != nil { living = candidate }
    }
    guard let api = living else { return }
    for path in [objects.configMaps, objects.pods] {
      _ = try? await api.json("DELETE", path, [("gracePeriodSeconds", "0")])
    }
    _ = try? await api.delete(.namespaces, name: objects.namespace)
    let start = loop.now
    while loop.now - start < Self.cleaningPatience {
      do {
        if try await api.find(.namespaces, name: objects.namespace) == nil { return }
      } catch {
        // Another try.
      }
      try? await loop.sleep(for: .milliseconds(50))
    }
  }

  private func runWithoutNamespace(_ testCase: BenchCase, _ empty: BenchResult, run: String) async throws -> BenchResult
  {
    switch testCase {
    case .idle: return try await idle(empty)
    case .ready: return try await Readiness(target: target, pidFiles: settings.pidFiles).run(into: empty)
    case .etcdPutSmall:
      let put = EtcdRequest.put("/bench/\(run)/", [UInt8](repeating: UInt8(ascii: "x"), count: 256))
      return try await measure(empty, [put], writes: 256) { LoadRequest(key: $2) }
    default:
      let value = BenchObjects(namespace: "bench").configMap("bench")
      let put = EtcdRequest.put("/bench/\(run)/", value)
      return testCase == .etcdPut
        ? try await measure(empty, [put], writes: value.count) { LoadRequest(key: $2) }
        : try await writeGap(empty, put)
    }
  }

  private func runKubernetes(
    _ testCase: BenchCase, _ empty: BenchResult, _ objects: BenchObjects, _ api: APIClient
  ) async throws -> BenchResult {
    let (maps, pods) = (objects.configMaps, objects.pods)
    switch testCase {
    case .createConfigMap:
      let body = objects.configMap("c-{key}")
      return try await measure(empty, [objects.create(maps, body)], writes: body.count) { LoadRequest(key: $2) }
    case .updateConfigMap:
      let body = objects.configMap("u-{key}", turn: "{turn}")
      try await fill(objects.create(maps, body), count: empty.clients)
      return try await measure(empty, [objects.replace("\(maps)/u-{key}", body)], writes: body.count, byClient)
    case .patchConfigMap:
      let body = objects.configMap("u-{key}", turn: "{turn}")
      try await fill(objects.create(maps, body), count: empty.clients)
      let patch = objects.mergePatch("\(maps)/u-{key}", #"{"data":{"turn":"{turn}"}}"#)
      return try await measure(empty, [patch], writes: body.count, byClient)
    case .deleteConfigMap:
      return try await deletions(empty, objects.create(maps, objects.configMap("d-{key}")), "\(maps)/d-{key}", objects)
    case .createPod, .updatePod, .patchPod, .deletePod:
      try await waitForServiceAccount(objects, api)
      return try await runPods(testCase, empty, objects, pods)
    case .get, .getCached:
      try await fill(objects.listed[0], count: BenchObjects.readObjects)
      let cached = testCase == .getCached ? "?resourceVersion=0" : ""
      return try await measure(empty, [objects.get("\(maps)/r-{key}\(cached)")]) { client, turn, _ in
        LoadRequest(key: (client * 37 + turn) % BenchObjects.readObjects)
      }
    case .list, .listByLabel, .listTable, .listPaged: return try await lists(testCase, empty, objects)
    case .deleteCollection: return try await deleteCollection(empty, objects)
    case .memory: return try await memory(empty, objects, objects.listed)
    case .memoryPods:
      try await waitForServiceAccount(objects, api)
      return try await memory(
        empty, objects, [objects.create(pods, objects.pod("p-{key}", scheduler: "default-scheduler", payload: ""))])
    case .watch: return try await WatchRun(runner: self, objects: objects).run(into: empty, api)
    case .podLifecycle:
      try await waitForServiceAccount(objects, api)
      return try await PodLives(runner: self, objects: objects).run(into: empty, api)
    case .writeGap: return try await writeGap(empty, objects.create(maps, objects.configMap("c-{key}")))
    case .idle, .ready, .etcdPut, .etcdPutSmall, .etcdWriteGap: preconditionFailure("needs no namespace")
    }
  }

  private func runPods(_ testCase: BenchCase, _ empty: BenchResult, _ objects: BenchObjects, _ pods: String)
    async throws -> BenchResult
  {
    let body = objects.pod("p-{key}", turn: "{turn}")
    let create = objects.create(pods, body)
    if testCase == .createPod {
      return try await measure(empty, [create], writes: body.count) { LoadRequest(key: $2) }
    }
    if testCase == .deletePod { return try await deletions(empty, create, "\(pods)/p-{key}", objects) }
    try await fill(create, count: empty.clients)
    if testCase == .updatePod {
      let own = try await updates(clients: empty.clients, objects)
      return try await measure(empty, own, writes: body.count) { client, turn, _ in
        LoadRequest(template: client, key: client, turn: turn + 1)
      }
    }
    // What a pod may be changed in: its metadata.
    let patch = objects.mergePatch("\(pods)/p-{key}", #"{"metadata":{"annotations":{"turn":"{turn}"}}}"#)
    return try await measure(empty, [patch], writes: body.count, byClient)
  }

  /// The whole of each client's pod as it is stored, with a place for a new value: what a server has added to a pod must
  /// not be changed.
  private func updates(clients: Int, _ objects: BenchObjects) async throws -> [RequestTemplate] {
    var templates: [RequestTemplate] = []
    let api = api
    for client in 0..<clients {
      let digits = "\(client)"
      let name = "p-" + String(repeating: "0", count: NumberSlot.digits - digits.count) + digits
      var pod = try await api.get(.pods, namespace: objects.namespace, name: name)
      var metadata = pod["metadata"].object ?? JSONObject()
      metadata["resourceVersion"] = nil
      metadata["managedFields"] = nil
      pod["metadata"] = .object(metadata)
      pod["metadata"]["annotations"]["turn"] = "{turn}"
      templates.append(objects.replace("\(objects.pods)/\(name)", pod.bytes))
    }
    return templates
  }

  /// Every client has an object of its own, and gives it a new value each time.
  private var byClient: @Sendable (Int, Int, Int) -> LoadRequest? {
    { client, turn, _ in LoadRequest(key: client, turn: turn + 1) }
  }

  /// Pods are refused in a namespace whose default service account is still to be made.
  private func waitForServiceAccount(_ objects: BenchObjects, _ api: APIClient) async throws {
    let start = loop.now
    while try await api.find(.serviceAccounts, namespace: objects.namespace, name: "default") == nil {
      guard loop.now - start < .seconds(30) else {
        throw CommandFailure("the namespace has no service account: do the controllers run?")
      }
      try await loop.sleep(for: .milliseconds(20))
    }
  }

  // MARK: Load

  func plan(clients: Int, _ next: @escaping @Sendable (Int, Int, Int) -> LoadRequest?) -> LoadPlan {
    LoadPlan(clients: clients, time: settings.time, rate: settings.rate, http2: settings.http2, next: next)
  }

  /// `writes`: bytes of what each request stores; nil for reads.
  private func measure(
    _ empty: BenchResult, _ templates: [RequestTemplate], writes: Int? = nil,
    _ next: @escaping @Sendable (Int, Int, Int) -> LoadRequest?
  ) async throws -> BenchResult {
    try await measure(empty, templates, plan(clients: empty.clients, next), writes: writes)
  }

  func measure(_ empty: BenchResult, _ templates: [RequestTemplate], _ plan: LoadPlan, writes: Int? = nil)
    async throws -> BenchResult
  {
    let syncsBefore = writes == nil ? nil : await syncs()
    let serial = LoadRun(target, templates, plan)
    let start = loop.now
    let outcome = try await serial.run()
    let all = (loop.now - start).inSeconds
    var result = empty
    result.take(outcome, of: target)
    if let writes, result.requests > 0, !target.processes.isEmpty, let use = outcome.use {
      result.figures["bytesWrittenPerByte"] = use.writtenBytes / Double(result.requests * writes)
    }
    // Counted over the warm-up, too: per write it is the same.
    if let syncsBefore, let after = await syncs(), result.perSecond > 0 {
      result.figures["fsyncsPerWrite"] = (after - syncsBefore) / (result.perSecond * all)
    }
    return result
  }

  /// Makes `count` objects, their keys from 0 on.
  func fill(_ template: RequestTemplate, count: Int) async throws {
    try await fill([template], count: count) { _ in 0 }
  }

  func fill(_ templates: [RequestTemplate], count: Int, _ choose: @escaping @Sendable (Int) -> Int) async throws {
    let plan = LoadPlan(clients: min(Self.fillers, count), time: nil) { _, _, serial in
      serial < count ? LoadRequest(template: choose(serial), key: serial) : nil
    }
    let outcome = try await LoadRun(target, templates, plan).run()
    if outcome.errors > 0 { throw CommandFailure("objects cannot be made: \(outcome.firstError)") }
  }

  private func deletions(_ empty: BenchResult, _ create: RequestTemplate, _ path: String, _ objects: BenchObjects)
    async throws -> BenchResult
  {
    let count = empty.clients < 16 ? Self.deletions.few : Self.deletions.many
    try await fill(create, count: count)
    let plan = LoadPlan(clients: empty.clients, time: nil, http2: settings.http2) { _, _, serial in
      serial < count ? LoadRequest(key: serial) : nil
    }
    return try await measure(empty, [objects.delete(path)], plan, writes: create.body.count)
  }

  // MARK: Failure and time

  /// The longest time without an acknowledged write, while a server is killed. Requests that fail are
  /// expected here and not counted: the client goes on with the next write at the next server.
  private func writeGap(_ empty: BenchResult, _ template: RequestTemplate) async throws -> BenchResult {
    guard let victim = settings.victim else {
      throw CommandFailure("\(empty.testCase) needs --kill PID: which server is to die")
    }
    return try await WriteGap(target: target, template: template, clients: empty.clients, time: settings.time)
      .run(into: empty, killing: victim)
  }

  /// What servers cost when nobody asks them anything.
  private func idle(_ empty: BenchResult) async throws -> BenchResult {
    let meter = ResourceMeter(target)
    let before = meter.read()
    try await loop.sleep(for: settings.time)
    var result = empty
    result.seconds = settings.time.inSeconds
    result.figures["cpuPercentOfACore"] = (meter.read() - before).serverSeconds / settings.time.inSeconds * 100
    result.figures["mebibytes"] = target.residentMebibytes
    return result
  }

  /// Syncs of logs to disk so far, of all servers that tell; nil when none does.
  func syncs() async -> Double? {
    var sum: Double?
    for number in target.servers.indices {
      let client = target.connect(number)
      defer { client.close() }
      if let count = await Self.syncs(client) { sum = (sum ?? 0) + count }
    }
    return sum
  }

  /// Ours says so in its status, etcd in its metrics.
  private static func syncs(_ client: HTTPClient) async -> Double? {
    func body(_ path: String) async -> [UInt8]? {
      let request = HTTPRequest(method: "GET", target: path, headers: [:])
      guard let response = try? await client.send(request, within: .seconds(5)), response.status == 200 else {
        return nil
      }
      return try? await response.body.collect()
    }
    if let bytes = await body("/trireme/status"), let json = try? JSONValue(parsing: bytes) {
      return json["fsyncSeconds"]["count"].integer.map { Double($0) }
    }
    guard let bytes = await body("/metrics") else { return nil }
    let name = "etcd_disk_wal_fsync_duration_seconds_count "
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
      return Double(line.dropFirst(name.count))
    }
    return nil
  }
}

extension BenchResult {
  mutating func take(_ outcome: LoadOutcome, of target: BenchTarget) {
    take(outcome.latencies)
    requests = outcome.latencies.count
    errors = outcome.errors
    firstError = outcome.firstError
    seconds = outcome.seconds
    if outcome.lateSends > 0 { figures["sentLate"] = Double(outcome.lateSends) }
    take(outcome.use, of: target)
  }

  /// Processor time for each request, of the servers and of this client.
  mutating func take(_ use: ResourceUse?, of target: BenchTarget) {
    guard let use, requests > 0 else { return }
    figures["clientCPUMillis"] = use.clientSeconds * 1000 / Double(requests)
    if !target.processes.isEmpty { figures["serverCPUMillis"] = use.serverSeconds * 1000 / Double(requests) }
  }
}
