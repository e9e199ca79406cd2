// Informers against an API server, and against one that misbehaves.
import HTTP
import JSON
import Logging
import Schema
import Synchronization
import TestSupport
import Testing
import World

@testable import Client

/// Stands between a client and its server; what it is told to break breaks.
final class FaultyTransport: HTTPTransport {
  struct State {
    var isDown = false
    /// Lists and watches fail.
    var isBlind = false
    /// The answer to the next PUT is on its way for so long.
    var nextPutIsLateBy: Duration?
    var requests: [String] = []
    /// Answers the next watch with this instead.
    var nextWatch: HTTPResponse?
    var openWatches: [BytePipe] = []
  }
  let base: any HTTPTransport
  let state = Mutex(State())
  init(_ base: any HTTPTransport) { self.base = base }

  var requests: [String] { state.withLock { $0.requests } }
  func setDown(_ down: Bool) { state.withLock { $0.isDown = down } }
  /// Cuts every watch that runs.
  func cutWatches() {
    let pipes = state.withLock { state in
      defer { state.openWatches = [] }
      return state.openWatches
    }
    for pipe in pipes { pipe.finish(throwing: HTTPError.connectionClosed("cut")) }
  }

  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    let isWatch = request.target.contains("watch=true")
    let late = state.withLock { state -> Duration? in
      guard request.method == "PUT" else { return nil }
      defer { state.nextPutIsLateBy = nil }
      return state.nextPutIsLateBy
    }
    let (down, canned) = state.withLock { state -> (Bool, HTTPResponse?) in
      state.requests.append("\(request.method) \(request.target)")
      guard isWatch else { return (state.isDown || state.isBlind && request.asksForMany, nil) }
      defer { state.nextWatch = nil }
      return (state.isDown || state.isBlind, state.nextWatch)
    }
    if down { throw HTTPError.connectFailed("down") }
    if let canned { return canned }
    var response = try await base.send(request)
    if let late { try await forward?.sleep(for: late) }
    if isWatch, case .stream(let inner) = response.body {
      // A pipe of our own, so that a cut ends it in the middle.
      let outer = BytePipe()
      outer.onCancel { inner.cancel() }
      state.withLock { $0.openWatches.append(outer) }
      forward?.spawn {
        while let chunk = try? await inner.next() { _ = try? outer.offer(chunk) }
      }
      response.body = .stream(outer)
    }
    return response
  }
  nonisolated(unsafe) var forward: (any World)?
}

extension HTTPRequest {
  /// A list or a watch; one object is asked for without a query, or as the server has it.
  fileprivate var asksForMany: Bool { target.contains("?") && !target.hasSuffix("?resourceVersion=0") }
}

@Suite struct InformerTests {
  private struct Bench: Sendable {
    let cluster: TestCluster
    let transport: FaultyTransport
    let informer: Informer<ConfigMap>
    let log: Log
    let admin: APIClient
    var world: VirtualWorld { cluster.world }

    final class Log: Sendable {
      private let lines = Mutex<[String]>([])
      func add(_ line: String) { lines.withLock { $0.append(line) } }
      /// What happened since the last call.
      func take() -> [String] {
        lines.withLock { lines in
          defer { lines = [] }
          return lines
        }
      }
    }

    init() throws {
      cluster = try TestCluster()
      transport = FaultyTransport(cluster.transport("admin"))
      transport.forward = cluster.world
      admin = cluster.client()
      informer = Informer(
        client: APIClient(transport: transport, world: cluster.world, userAgent: "test"), namespace: "default",
        indexers: ["value": { $0.data["v"].map { [$0] } ?? [] }], logger: cluster.logger)
      log = Log()
      informer.onEvent { [log] event in
        switch event {
        case .added(let object): log.add("+\(object.name)")
        case .updated(_, let object): log.add("~\(object.name)")
        case .deleted(let object): log.add("-\(object.name)")
        }
      }
    }

    func put(_ name: String, _ value: String) async throws {
      let object: JSONValue = [
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name), "namespace": "default"],
        "data": ["v": .string(value)],
      ]
      if try await admin.find(.configMaps, namespace: "default", name: name) == nil {
        try await admin.create(.configMaps, namespace: "default", object)
      } else {
        try await admin.update(.configMaps, namespace: "default", name: name, object)
      }
    }
    func remove(_ name: String) async throws { try await admin.delete(.configMaps, namespace: "default", name: name) }
    func settle() async throws { try await world.sleep(for: .milliseconds(100)) }
  }

  private func tell(_ story: @escaping @Sendable (Bench) async throws -> Void) throws {
    let bench = try Bench()
    try bench.world.run {
      try await story(bench)
      bench.informer.stop()
    }
  }

  @Test func itFollowsWhatHappens() throws {
    try tell { bench in
      try await bench.put("a", "1")
      bench.informer.start()
      await bench.informer.waitForSync()
      #expect(bench.log.take() == ["+a"])
      try await bench.put("b", "1")
      try await bench.put("a", "2")
      try await bench.settle()
      #expect(bench.log.take() == ["+b", "~a"])
      #expect(bench.informer.objects(index: "value", value: "1").map(\.name) == ["b"])
      try await bench.remove("b")
      try await bench.settle()
      #expect(bench.log.take() == ["-b"])
      #expect(bench.informer.objects(index: "value", value: "1").isEmpty)
    }
  }

  @Test func aCutWatchGoesOnWhereItWas() throws {
    try tell { bench in
      try await bench.put("a", "1")
      bench.informer.start()
      await bench.informer.waitForSync()
      try await bench.settle()
      bench.transport.cutWatches()
      try await bench.put("b", "1")
      try await bench.settle()
      #expect(bench.log.take() == ["+a", "+b"])
      #expect(bench.transport.requests.filter { !$0.contains("watch=true") }.count == 1, "one list was enough")
    }
  }

  @Test func afterAnOutageNothingWasMissed() throws {
    try tell { bench in
      try await bench.put("a", "1")
      bench.informer.start()
      await bench.informer.waitForSync()
      try await bench.settle()
      bench.transport.setDown(true)
      bench.transport.cutWatches()
      try await bench.put("b", "1")
      try await bench.remove("a")
      try await bench.world.sleep(for: .seconds(60))
      #expect(bench.transport.requests.count < 40, "a server that is down is not hammered")
      bench.transport.setDown(false)
      try await bench.world.sleep(for: .seconds(6))
      #expect(bench.log.take() == ["+a", "+b", "-a"])
    }
  }

  @Test func aRevisionThatIsForgottenMeansListingAgain() throws {
    try tell { bench in
      try await bench.put("a", "1")
      try await bench.put("gone", "1")
      bench.informer.start()
      await bench.informer.waitForSync()
      try await bench.settle()
      _ = bench.log.take()
      bench.transport.setDown(true)
      bench.transport.cutWatches()
      try await bench.settle()
      try await bench.remove("gone")
      // The same name, another object: dependents must hear of both.
      try await bench.remove("a")
      try await bench.put("a", "1")
      let expired = APIStatus(code: 410, reason: "Expired", message: "too old resource version")
      let frame: JSONValue = ["type": "ERROR", "object": expired.json]
      bench.transport.state.withLock {
        $0.isDown = false
        $0.nextWatch = HTTPResponse(status: 200, body: .bytes(frame.bytes + Array("\n".utf8)))
      }
      try await bench.world.sleep(for: .seconds(6))
      #expect(bench.log.take().sorted() == ["+a", "-a", "-gone"])
    }
  }

  @Test func waitingEndsWhenNobodyWaitsAnyMore() throws {
    try tell { bench in
      bench.transport.setDown(true)
      bench.informer.start()
      let waiting = bench.world.spawn { await bench.informer.waitForSync() }
      try await bench.world.sleep(for: .seconds(5))
      waiting.cancel()
      await waiting.wait()
      let other = bench.world.spawn { await bench.informer.waitForSync() }
      try await bench.settle()
      bench.informer.stop()
      await other.wait()
      #expect(!bench.informer.hasSynced)
    }
  }

  /// An aggregated server answers what it likes.
  private final class EndlessTransport: HTTPTransport {
    let requests = Atomic<Int>(0)
    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
      requests.add(1, ordering: .relaxed)
      return HTTPResponse(status: 200, body: .bytes(Array(#"{"metadata":{"continue":"more"},"items":[]}"#.utf8)))
    }
  }

  @Test func aListWithoutEndIsLeft() throws {
    let cluster = try TestCluster()
    let transport = EndlessTransport()
    let informer = Informer<ConfigMap>(
      client: APIClient(transport: transport, world: cluster.world, userAgent: "test"), logger: cluster.logger)
    try cluster.world.run {
      informer.start()
      try await cluster.world.sleep(for: .milliseconds(700))
      #expect(transport.requests.load(ordering: .relaxed) == 4000, "and it is not asked again at once")
      #expect(!informer.hasSynced)
      informer.stop()
    }
  }
}
