// Writers beside whatever else happens to a cluster: every failed write is reported, and in the end every acknowledged one
// is looked for.
import ArgumentParser
import Client
import EventLoop
import Glibc
import HTTP
import JSON
import Schema
import Synchronization
import World

struct Writes: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write until told to stop (SIGTERM), and account for every write.",
    discussion: """
      Each writer sends, waits, sends again, and never tries a second time: what fails is a failure. When it ends, \
      everything acknowledged must be there. Exit status 1 if a write failed or was lost.

        trireme-chaos writes --kubeconfig .trireme/kubeconfig --server 127.0.1.1:6443
      """)

  @Option(help: "Where the cluster is (its load balancer) and who asks.")
  var kubeconfig: String
  @Option(
    name: .customLong("server"), help: "address:port of a server to write to beside the load balancer; several times.")
  var servers: [String] = []
  @Option(help: "Writers at each address.")
  var writers = 3
  @Option(help: "Milliseconds that a writer waits before its next write.")
  var pause = 2
  @Option(help: "End by itself after so many seconds (default: at SIGTERM).")
  var seconds: Int?

  func validate() throws {
    guard (1...64).contains(writers) else { throw ValidationError("--writers must be between 1 and 64") }
    guard (0...60_000).contains(pause) else { throw ValidationError("--pause must be between 0 and 60000") }
    for server in servers where Address(server) == nil {
      throw ValidationError("--server \(server) is no address:port")
    }
  }

  func run() throws {
    let (kubeconfig, servers, writers, seconds) = (kubeconfig, servers, writers, seconds)
    let pause = Duration.milliseconds(pause)
    try MainLoop.run { loop in
      let load = try WriteLoad(kubeconfig: kubeconfig, servers: servers, writers: writers, pause: pause, loop: loop)
      var sources: [SignalSource] = []
      for signal in [SIGINT, SIGTERM] { sources.append(try SignalSource(signal, on: loop) { load.stop() }) }
      let report = try await load.run(seconds: seconds)
      Terminal.say(report.text)
      sources.removeAll()
      Glibc.exit(report.isGood ? 0 : 1)
    }
  }
}

struct WriteReport: Sendable {
  var acknowledged = 0
  var longest = Duration.zero
  /// When, where, why.
  var failures: [String] = []
  var lost: [String] = []

  var isGood: Bool { failures.isEmpty && lost.isEmpty && acknowledged > 0 }

  var text: String {
    var lines = [
      "\(acknowledged) writes acknowledged, \(failures.count) failed, \(lost.count) lost; the longest took "
        + "\(longest.wholeNanoseconds / 1_000_000) ms"
    ]
    lines += failures.prefix(20).map { "failed: \($0)" } + lost.prefix(20).map { "lost: \($0)" }
    return lines.joined(separator: "\n")
  }
}

final class WriteLoad: Sendable {
  private static let namespace = "chaos-writes"
  /// Long enough for an election; a write that takes longer has failed.
  private static let patience = Duration.seconds(20)
  /// Every so many writes a new object is made; the others replace it.
  private static let writesPerObject = 20

  private let loop: EventLoop
  private let writers: Int
  private let pause: Duration
  private let clients: [(name: String, api: APIClient)]
  /// What another run wrote stays as it is.
  private let prefix: String
  private let isStopping = Atomic<Bool>(false)
  private let report = Mutex(WriteReport())
  /// The last value acknowledged, by object.
  private let acknowledged = Mutex<[String: String]>([:])

  init(kubeconfig: String, servers: [String], writers: Int, pause: Duration, loop: EventLoop) throws {
    let config = try Kubeconfig(
      parsing: try FileSystem.read(kubeconfig), base64Decode: { try? Base64.decode($0) },
      readFile: { try FileSystem.read($0) })
    let credentials = try ClientCredentials(config)
    self.loop = loop
    self.writers = writers
    self.pause = pause
    prefix = "w\(String(loop.randomBits(), radix: 36))"
    clients = ([String(config.server.dropFirst("https://".count))] + servers).map { address in
      var limits = HTTPClientLimits()
      limits.responseHeaderTime = Self.patience
      guard let endpoint = Address(address) else { preconditionFailure("addresses were checked") }
      let transport = HTTPClient(
        loop: loop, endpoint: endpoint, tls: credentials.tls, serverName: String(address.prefix { $0 != ":" }),
        limits: limits)
      return (address, APIClient(transport: transport, world: loop, userAgent: "trireme-chaos/1 (linux)"))
    }
  }

  func stop() { isStopping.store(true, ordering: .relaxed) }

  func run(seconds: Int?) async throws -> WriteReport {
    let first = clients[0].api
    if try await first.find(.namespaces, name: Self.namespace) == nil {
      try await first.create(
        .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(Self.namespace)]])
    }
    Terminal.say("writing")
    let tasks = clients.enumerated().flatMap { index, client in
      (1...writers).map { writer in
        loop.spawn { await self.write("\(self.prefix)-\(index)-\(writer)", client.name, client.api) }
      }
    }
    if let seconds {
      loop.spawn { [loop] in
        try? await loop.sleep(for: .seconds(seconds))
        self.stop()
      }
    }
    for task in tasks { await task.wait() }
    try await look()
    return report.withLock { $0 }
  }

  private func write(_ writer: String, _ address: String, _ api: APIClient) async {
    var number = 0
    var exists = false
    while !isStopping.load(ordering: .relaxed) {
      let name = "\(writer)-\(number / Self.writesPerObject)"
      if number % Self.writesPerObject == 0 { exists = false }
      let value = "\(number)"
      let object: JSONValue = [
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": ["name": .string(name), "namespace": .string(Self.namespace)], "data": ["value": .string(value)],
      ]
      let start = loop.now
      do {
        if exists {
          try await api.update(.configMaps, namespace: Self.namespace, name: name, object)
        } else {
          try await api.create(.configMaps, namespace: Self.namespace, object)
        }
        exists = true
        acknowledged.withLock { $0[name] = value }
        let took = loop.now - start
        report.withLock { report in
          report.acknowledged += 1
          report.longest = max(report.longest, took)
        }
        number += 1
      } catch {
        let text = "\(loop.wallClock.rfc3339Micro) through \(address), \(name) = \(value): \(error)"
        Terminal.say("failed: \(text)")
        report.withLock { $0.failures.append(text) }
        // Whether it was done is not known: another object, which nobody has written.
        number = (number / Self.writesPerObject + 1) * Self.writesPerObject
        try? await loop.sleep(for: .milliseconds(50))
      }
      try? await loop.sleep(for: pause)
    }
  }

  /// Everything acknowledged must be there, or what the same writer wrote later without an answer.
  private func look() async throws {
    let items = try await clients[0].api.list(.configMaps, namespace: Self.namespace).items
    let found = Dictionary(
      items.map { ($0["metadata"]["name"].string ?? "", $0["data"]["value"].string ?? "") }, uniquingKeysWith: { $1 })
    for (name, value) in acknowledged.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
      let there = found[name].flatMap { Int($0) } ?? -1
      if there < Int(value) ?? 0 {
        report.withLock { $0.lost.append("\(name): \(value) was acknowledged, \(found[name] ?? "nothing") is there") }
      }
    }
  }
}
