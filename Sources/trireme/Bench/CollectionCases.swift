// Cases about whole collections: lists of every form, the deletion of all of it, the memory that it takes.
import Client
import EventLoop
import HTTP
import Measure
import World

extension BenchRunner {
  private static let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
  /// After objects were made, before memory is looked at: rows are written behind the log.
  private static let settling = Duration.seconds(3)
  /// Pods end at their kubelets first: 150,000 of them on two processors took six minutes.
  private static let deletionPatience = Duration.seconds(1200)

  func lists(_ testCase: BenchCase, _ empty: BenchResult, _ objects: BenchObjects) async throws -> BenchResult {
    try await fillList(objects, count: empty.objects)
    let maps = objects.configMaps
    if testCase == .listPaged {
      return try await PagedLists(runner: self, path: maps).run(into: empty)
    }
    let template: RequestTemplate
    var share = 1
    switch testCase {
    case .listByLabel:
      template = objects.get("\(maps)?labelSelector=trireme-bench%3Dfew")
      share = BenchObjects.labelledShare
    case .listTable: template = objects.get(maps, accept: Self.table)
    default: template = objects.get(maps)
    }
    var counted = template
    // Fewer bytes than its names alone would take: not the whole list.
    counted.minimumBytes = empty.objects / share * 10
    var result = try await measure(empty, [counted], plan(clients: empty.clients) { _, _, _ in LoadRequest(key: 0) })
    result.figures["objectsPerSecond"] = result.perSecond * Double(empty.objects / share)
    return result
  }

  private func fillList(_ objects: BenchObjects, count: Int) async throws {
    try await fill(objects.listed, count: count) { $0 % BenchObjects.labelledShare == 0 ? 1 : 0 }
  }

  /// One request that deletes everything.
  func deleteCollection(_ empty: BenchResult, _ objects: BenchObjects) async throws -> BenchResult {
    try await fillList(objects, count: empty.objects)
    let client = target.connect(0)
    defer { client.close() }
    let meter = ResourceMeter(target)
    let before = meter.read()
    let start = loop.now
    let request = HTTPRequest(
      method: "DELETE", target: objects.configMaps, headers: ["accept": "application/json"])
    let response = try await client.send(request, within: Self.deletionPatience)
    let answer = try await response.body.collect(upTo: 1 << 30)
    let took = loop.now - start
    var result = empty
    result.requests = empty.objects
    result.seconds = took.inSeconds
    result.figures["deletionSeconds"] = took.inSeconds
    result.take(meter.read() - before, of: target)
    let left = try await api.list(
      .configMaps, namespace: objects.namespace, ListOptions(labelSelector: "trireme-bench")
    ).items.count
    if response.status != 200 || left > 0 {
      result.errors = 1
      result.firstError =
        "status \(response.status), \(left) left: \(String(decoding: answer.prefix(200), as: UTF8.self))"
    }
    return result
  }

  /// Resident memory of the servers before objects are made, with them, and after they are deleted.
  func memory(_ empty: BenchResult, _ objects: BenchObjects, _ templates: [RequestTemplate]) async throws
    -> BenchResult
  {
    guard !target.processes.isEmpty else { throw CommandFailure("memory needs --pid: whose memory is asked for") }
    var result = empty
    result.figures["mebibytesBefore"] = target.residentMebibytes
    let isPods = templates.count == 1
    try await fill(templates, count: empty.objects) { isPods || $0 % BenchObjects.labelledShare != 0 ? 0 : 1 }
    if isPods { try await waitUntilAllRun(objects) }
    try await loop.sleep(for: Self.settling)
    let full = target.residentMebibytes
    result.figures["mebibytes"] = full
    result.figures["bytesPerObject"] =
      (full - (result.figures["mebibytesBefore"] ?? 0)) * 1_048_576 / Double(max(1, empty.objects))
      / Double(max(1, target.processes.count))
    if !settings.keepsObjects {
      let client = target.connect(0)
      defer { client.close() }
      let request = HTTPRequest(
        method: "DELETE", target: isPods ? objects.pods : objects.configMaps, headers: ["accept": "application/json"])
      let response = try await client.send(request, within: Self.deletionPatience)
      _ = try await response.body.collect(upTo: 1 << 30)
      try await loop.sleep(for: Self.settling)
      result.figures["mebibytesAfterDeletion"] = target.residentMebibytes
    }
    return result
  }
}

extension BenchRunner {
  private static let schedulingPatience = Duration.seconds(1200)

  /// No pod waits for a node or for its containers any more.
  private func waitUntilAllRun(_ objects: BenchObjects) async throws {
    let start = loop.now
    let pending = ListOptions(fieldSelector: "status.phase=Pending", limit: 1)
    while try await !api.list(.pods, namespace: objects.namespace, pending).items.isEmpty {
      guard loop.now - start < Self.schedulingPatience else { throw CommandFailure("pods are still pending") }
      try await loop.sleep(for: .seconds(1))
    }
  }
}

/// Lists read page by page, as `kubectl get` does. A request here is a whole list.
struct PagedLists: Sendable {
  let runner: BenchRunner
  let path: String

  private static let maximumPageBytes = 64 << 20

  func run(into empty: BenchResult) async throws -> BenchResult {
    let (loop, target, path) = (runner.loop, runner.target, path)
    let end = loop.now + runner.settings.time
    let meter = ResourceMeter(target)
    let before = meter.read()
    let begin = loop.now
    let parts = try await withThrowingTaskGroup(of: (LatencyHistogram, Int).self) { group in
      for number in 0..<empty.clients {
        group.addTask {
          let client = target.connect(number)
          defer { client.close() }
          var latencies = LatencyHistogram()
          var pages = 0
          while loop.now < end {
            let start = loop.now
            pages += try await Self.list(path, client)
            latencies.record(loop.now - start)
          }
          return (latencies, pages)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    var result = empty
    var latencies = LatencyHistogram()
    for part in parts { latencies.add(part.0) }
    result.requests = latencies.count
    result.seconds = (loop.now - begin).inSeconds
    result.take(latencies)
    result.take(meter.read() - before, of: target)
    result.figures["pagesPerSecond"] = Double(parts.reduce(0) { $0 + $1.1 }) / result.seconds
    return result
  }

  /// Returns the number of pages.
  private static func list(_ path: String, _ client: HTTPClient) async throws -> Int {
    var token = ""
    var pages = 0
    repeat {
      let continuation = token.isEmpty ? "" : "&continue=\(token)"
      let request = HTTPRequest(
        method: "GET", target: "\(path)?limit=\(BenchObjects.pageSize)\(continuation)",
        headers: ["accept": "application/json"])
      let response = try await client.send(request)
      let body = try await response.body.collect(upTo: maximumPageBytes)
      guard response.status == 200 else {
        throw CommandFailure("status \(response.status): \(String(decoding: body.prefix(200), as: UTF8.self))")
      }
      token = self.token(in: body)
      pages += 1
    } while !token.isEmpty
    return pages
  }

  /// The list's metadata stands before its items, in every server's answers.
  private static func token(in body: [UInt8]) -> String {
    let head = String(decoding: body.prefix(4096), as: UTF8.self)
    guard let mark = head.firstRange(of: #""continue":""#) else { return "" }
    let token = String(head[mark.upperBound...].prefix { $0 != "\"" })
    return token.replacing("=", with: "%3D").replacing("+", with: "%2B").replacing("/", with: "%2F")
  }
}
