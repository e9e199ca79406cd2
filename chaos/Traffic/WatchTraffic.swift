import ChaosChecker
import ChaosPlan
import Client
// One watch per server over the registers; when it ends, it goes on by resourceVersion, at the same server or another.
import EventLoop
import HTTP
import JSON
import Schema
import Synchronization
import World

final class WatchTraffic: Sendable {
  /// One watcher: what it watches, and which objects of that are judged.
  struct Spec: Sendable {
    var name: String
    var path: String
    var options = ListOptions()
    var prefix: String
  }
  typealias Logs = any WritableKeyPath<Journal.Content, [WatcherLog]> & Sendable

  private let cluster: Cluster
  private let journal: Journal
  private let seed: UInt64
  private let specs: [Spec]
  private let logs: Logs
  private let state = Mutex(State())

  private struct State {
    var isStopping = false
    var streams: [Int: WatchStream] = [:]
    /// By watcher: everything up to here has been seen.
    var revisions: [Int: Int64] = [:]
    var tasks: [SpawnedTask] = []
  }

  /// Watchers begin each at a server of its own, as far as there are so many.
  init(cluster: Cluster, journal: Journal, seed: UInt64, specs: [Spec], into logs: Logs) {
    self.cluster = cluster
    self.journal = journal
    self.seed = seed
    self.specs = specs
    self.logs = logs
  }

  /// One watch of the registers for each server.
  static func ofRegisters(_ cluster: Cluster, _ journal: Journal, seed: UInt64) -> WatchTraffic {
    let path = ResourceReference.configMaps.path(namespace: ChaosObjects.registers)
    let specs = cluster.plan.members.indices.map {
      Spec(name: "watch \($0 + 1)", path: path, prefix: ChaosObjects.registerPrefix)
    }
    return WatchTraffic(cluster: cluster, journal: journal, seed: seed, specs: specs, into: \.watches)
  }

  /// Begins the watches at the present revision.
  func start() async throws {
    let list = try await cluster.client(of: cluster.plan.members[0]).list(path: specs[0].path)
    guard let revision = Int64(list.resourceVersion) else { throw RunFailure("a list without resourceVersion") }
    for (index, spec) in specs.enumerated() {
      let logs = logs
      journal.edit { $0[keyPath: logs].append(WatcherLog(name: spec.name, start: revision)) }
      // Connections of its own to every server: a watch is broken by its server alone.
      let clients = cluster.plan.members.map { cluster.client(of: $0) }
      let random = SeededGenerator(seed: seed, stream: UInt64(1000 + index))
      let task = cluster.loop.spawn { await self.follow(index, clients, revision, random) }
      state.withLock { $0.tasks.append(task) }
    }
  }

  /// Waits until every watcher has seen `revision`, or names those that have not.
  func reach(_ revision: Int64, patience: Duration) async -> [String] {
    let start = cluster.loop.now
    while true {
      let late = state.withLock { state in
        specs.indices.filter { (state.revisions[$0] ?? 0) < revision }
      }
      if late.isEmpty { return [] }
      guard cluster.loop.now - start < patience else {
        return late.map { index in
          "\(specs[index].name) is at \(state.withLock { $0.revisions[index] ?? 0 }), not at \(revision)"
        }
      }
      try? await cluster.loop.sleep(for: .milliseconds(20))
    }
  }

  func stop() async {
    let (streams, tasks) = state.withLock { state in
      state.isStopping = true
      return (Array(state.streams.values), state.tasks)
    }
    for stream in streams { stream.cancel() }
    for task in tasks {
      task.cancel()
      await task.wait()
    }
  }

  private var isStopping: Bool { state.withLock { $0.isStopping } }

  private func follow(_ index: Int, _ clients: [APIClient], _ start: Int64, _ generator: SeededGenerator) async {
    var random = generator
    var revision = start
    var server = index % clients.count
    // Servers that have no history back to `revision`.
    var forgetful: Set<Int> = []
    while !isStopping {
      let name = cluster.plan.members[server].name
      let from = cluster.loop.now
      do {
        let timeout = Int.random(in: 8...40, using: &random)
        let stream = try await clients[server].watch(
          path: specs[index].path, options(index, revision), timeoutSeconds: timeout)
        write(.resumed(server: name, revision: revision), index)
        guard enter(stream, index) else { return stream.cancel() }
        while let event = try await stream.next() {
          revision = note(event, index, revision)
          forgetful = []
        }
        forgetful = []
      } catch let status as APIStatus where status.code == 410 && !isStopping {
        guard mayForget(name) else { return record(status, index, revision, name) }
        // History is in memory: who has started anew remembers what its log held. Another server knows more, or none.
        forgetful.insert(server)
        server = (server + 1) % clients.count
        guard forgetful.count == clients.count else { continue }
        revision = await relist(index, clients[server]) ?? revision
        forgetful = []
      } catch {
        guard !isStopping else { return }
        journal.record(
          Problem(server: name, from: from, to: cluster.loop.now, what: "\(specs[index].name): \(error)"))
        try? await cluster.loop.sleep(for: .milliseconds(Int.random(in: 10...50, using: &random)))
      }
      // Most watches stay where they are, as clients do; some move.
      if Bool.random(using: &random) { server = Int.random(in: 0..<clients.count, using: &random) }
    }
  }

  /// Whether this server has been broken, and may have started anew; any other must know all that happened in a run.
  private func mayForget(_ server: String) -> Bool {
    journal.edit { $0.outages.contains { $0.server == server } }
  }

  private func record(_ status: APIStatus, _ index: Int, _ revision: Int64, _ server: String) {
    journal.record(
      Anomaly("\(specs[index].name) cannot go on from \(revision) at \(server): 410", evidence: [status.message]))
  }

  /// false when the watcher is to stop.
  private func enter(_ stream: WatchStream, _ index: Int) -> Bool {
    state.withLock { state in
      guard !state.isStopping else { return false }
      state.streams[index] = stream
      return true
    }
  }

  /// Writes an event down; returns the revision seen with it.
  private func note(_ event: WatchEvent, _ index: Int, _ before: Int64) -> Int64 {
    let seen: Int64
    switch event {
    case .bookmark(let text, _):
      seen = Int64(text) ?? before
      write(.bookmark(seen), index)
    case .added(let object): seen = note(.added, object.value, index, before)
    case .modified(let object): seen = note(.modified, object.value, index, before)
    case .deleted(let object): seen = note(.deleted, object.value, index, before)
    }
    state.withLock { $0.revisions[index] = seen }
    return seen
  }

  private func note(_ kind: WatchedEvent.Kind, _ object: JSONValue, _ index: Int, _ before: Int64) -> Int64 {
    let version = RegisterClient.version(object)
    let key = object["metadata"]["name"].string ?? ""
    let revision = version.revision ?? before
    if key.hasPrefix(specs[index].prefix) {
      write(.event(WatchedEvent(kind, key: key, value: version.value, revision: revision)), index)
    }
    return revision
  }

  private func relist(_ index: Int, _ api: APIClient) async -> Int64? {
    guard let list = try? await api.list(path: specs[index].path, specs[index].options),
      let revision = Int64(list.resourceVersion)
    else { return nil }
    let items = list.items.map {
      ListedItem(key: $0["metadata"]["name"].string ?? "", version: RegisterClient.version($0))
    }
    write(.relisted(revision: revision, items: items.filter { $0.key.hasPrefix(specs[index].prefix) }), index)
    state.withLock { $0.revisions[index] = revision }
    return revision
  }

  private func options(_ index: Int, _ revision: Int64) -> ListOptions {
    var options = specs[index].options
    options.resourceVersion = String(revision)
    return options
  }

  private func write(_ item: WatcherLog.Item, _ index: Int) {
    let logs = logs
    journal.edit { $0[keyPath: logs][index].items.append(item) }
  }
}
