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
  private let cluster: Cluster
  private let journal: Journal
  private let seed: UInt64
  private let state = Mutex(State())

  private struct State {
    var isStopping = false
    var streams: [Int: WatchStream] = [:]
    /// By watcher: everything up to here has been seen.
    var revisions: [Int: Int64] = [:]
    var tasks: [SpawnedTask] = []
  }

  init(cluster: Cluster, journal: Journal, seed: UInt64) {
    self.cluster = cluster
    self.journal = journal
    self.seed = seed
  }

  private static var path: String {
    ResourceReference.configMaps.path(namespace: ChaosObjects.registers)
  }

  /// Begins the watches at the present revision.
  func start() async throws {
    let list = try await cluster.client(of: cluster.plan.members[0]).list(path: Self.path)
    guard let revision = Int64(list.resourceVersion) else { throw RunFailure("a list without resourceVersion") }
    for (index, member) in cluster.plan.members.enumerated() {
      journal.edit { $0.watches.append(WatcherLog(name: "watch \(index + 1)", start: revision)) }
      // Connections of its own to every server: a watch is broken by its server alone.
      let clients = cluster.plan.members.map { cluster.client(of: $0) }
      precondition(cluster.plan.members[index] == member, "watchers begin each at a server of its own")
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
        cluster.plan.members.indices.filter { (state.revisions[$0] ?? 0) < revision }
      }
      if late.isEmpty { return [] }
      guard cluster.loop.now - start < patience else {
        return late.map { index in
          "watch \(index + 1) is at \(state.withLock { $0.revisions[index] ?? 0 }), not at \(revision)"
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
    var server = index
    while !isStopping {
      let name = cluster.plan.members[server].name
      let from = cluster.loop.now
      do {
        let timeout = Int.random(in: 8...40, using: &random)
        let stream = try await clients[server].watch(
          path: Self.path, ListOptions(resourceVersion: String(revision)), timeoutSeconds: timeout)
        let resumedAt = revision
        journal.edit { $0.watches[index].items.append(.resumed(server: name, revision: resumedAt)) }
        guard enter(stream, index) else { return stream.cancel() }
        while let event = try await stream.next() {
          revision = note(event, index, revision)
        }
      } catch let status as APIStatus where status.code == 410 && !isStopping {
        journal.record(
          Anomaly(
            "watch \(index + 1) cannot go on from \(revision) at \(name): 410", evidence: [status.message]))
        return
      } catch {
        guard !isStopping else { return }
        journal.record(
          Problem(server: name, from: from, to: cluster.loop.now, what: "watch \(index + 1): \(error)"))
        try? await cluster.loop.sleep(for: .milliseconds(Int.random(in: 10...50, using: &random)))
      }
      // Most watches stay where they are, as clients do; some move.
      if Bool.random(using: &random) { server = Int.random(in: 0..<clients.count, using: &random) }
    }
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
      journal.edit { $0.watches[index].items.append(.bookmark(seen)) }
    case .added(let object): seen = note(.added, object, index, before)
    case .modified(let object): seen = note(.modified, object, index, before)
    case .deleted(let object): seen = note(.deleted, object, index, before)
    }
    state.withLock { $0.revisions[index] = seen }
    return seen
  }

  private func note(_ kind: WatchedEvent.Kind, _ object: JSONValue, _ index: Int, _ before: Int64) -> Int64 {
    let version = RegisterClient.version(object)
    let key = object["metadata"]["name"].string ?? ""
    let revision = version.revision ?? before
    if key.hasPrefix(ChaosObjects.registerPrefix) {
      let event = WatchedEvent(kind, key: key, value: version.value, revision: revision)
      journal.edit { $0.watches[index].items.append(.event(event)) }
    }
    return revision
  }
}
