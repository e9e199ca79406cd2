// Watches that move between servers: nothing twice, nothing missing, nothing out of order, over every break; and
// bookmarks that say the truth.

import ChaosChecker
import Client
import JSON
import Raft
import Schema
import World

/// Follows the collections that other workloads write, and writes a little itself so that there is something to see.
public final class WatchWorkload: Workload, @unchecked Sendable {
  public static let name = "watches"
  public static let followed: Set<String> = ["configmaps"]
  static let namespace = "watches"
  private static let watchers = 4
  private static let keys = 6

  private final class Watcher: @unchecked Sendable {
    var log: WatcherLog
    var seen: Int64
    var stream: WatchStream?
    init(name: String, start: Int64) {
      log = WatcherLog(name: name, start: start)
      seen = start
    }
  }

  private let environment: WorkloadEnvironment
  private let history: RegisterHistory
  private var watchers: [Watcher] = []
  private var path: String { ResourceReference.configMaps.path(namespace: Self.namespace) }

  public init(_ environment: WorkloadEnvironment) {
    self.environment = environment
    history = RegisterHistory(environment, namespace: Self.namespace)
  }

  public func prepare() async throws {
    try await environment.ensureNamespace(Self.namespace)
    let list = try await environment.client(0).list(path: path)
    let start = Int64(list.resourceVersion) ?? 0
    watchers = (1...Self.watchers).map { Watcher(name: "watcher \($0)", start: start) }
    for watcher in watchers {
      // Watches go on until everything was seen: they outlive the writers.
      environment.spawn { await self.follow(watcher) }
    }
  }

  public func run() async {
    await withTaskGroup { group in
      for server in environment.servers { group.addTask { await self.write("\(server)", server) } }
    }
  }

  private func write(_ name: String, _ server: NodeID) async {
    while !environment.isOver {
      let key = "w\(environment.random.next(below: Self.keys))"
      let roll = environment.random.next(below: 10)
      if roll < 3 {
        _ = await history.perform(.create(value: environment.newValue()), on: key, at: server, worker: name)
      } else if roll < 4 {
        _ = await history.perform(.delete(seen: nil), on: key, at: server, worker: name)
      } else if case .found(let version)? = await history.perform(.read, on: key, at: server, worker: name) {
        _ = await history.perform(
          .update(value: environment.newValue(), seen: version), on: key, at: server, worker: name)
      }
      await environment.pause()
    }
  }

  // MARK: Watching

  private func follow(_ watcher: Watcher) async {
    while true {
      let server = environment.anyServer()
      do {
        let stream = try await environment.client(server).watch(
          path: path, ListOptions(resourceVersion: String(watcher.seen)),
          timeoutSeconds: 5 + environment.random.next(below: 60))
        watcher.log.items.append(.resumed(server: "\(server)", revision: watcher.seen))
        watcher.stream = stream
        // A client that changes its mind: it goes on elsewhere from where it is.
        if environment.random.chance(0.5) {
          leave(stream, after: environment.random.duration(.seconds(1)...(.seconds(20))))
        }
        while let event = try await stream.next() { note(event, watcher) }
      } catch let status as APIStatus where status.code == 410 {
        await relist(watcher)
      } catch {}
      watcher.stream = nil
      await environment.pause(.milliseconds(20)...(.milliseconds(300)))
    }
  }

  private func leave(_ stream: WatchStream, after time: Duration) {
    environment.world.schedule(after: time) { stream.cancel() }
  }

  private func note(_ event: WatchEvent, _ watcher: Watcher) {
    func add(_ kind: WatchedEvent.Kind, _ object: JSONValue) {
      let version = RegisterHistory.version(object)
      let revision = version.revision ?? 0
      watcher.log.items.append(
        .event(
          WatchedEvent(
            kind, key: object["metadata"]["name"].string ?? "", value: version.value, revision: revision)))
      watcher.seen = max(watcher.seen, revision)
    }
    switch event {
    case .added(let object): add(.added, object.value)
    case .modified(let object): add(.modified, object.value)
    case .deleted(let object): add(.deleted, object.value)
    case .bookmark(let text, _):
      let revision = Int64(text) ?? 0
      watcher.log.items.append(.bookmark(revision))
      watcher.seen = max(watcher.seen, revision)
    }
  }

  private func relist(_ watcher: Watcher) async {
    do {
      let list = try await environment.client(0).list(path: path)
      let items = list.items.map {
        ListedItem(key: $0["metadata"]["name"].string ?? "", version: RegisterHistory.version($0))
      }
      watcher.seen = Int64(list.resourceVersion) ?? watcher.seen
      watcher.log.items.append(.relisted(revision: watcher.seen, items: items))
    } catch {}
  }

  // MARK: The end

  private var end: Int64 = 0

  /// A last write that all watchers must come to see.
  public func missing() async throws -> String? {
    if end == 0 {
      let answer = await history.perform(
        .create(value: environment.newValue()), on: "sentinel", at: 0, worker: "end")
      if case .done(let revision?) = answer { end = revision }
      if answer == .alreadyExists,
        case .found(let version)? = await history.perform(
          .read, on: "sentinel", at: 0, worker: "end")
      {
        end = version.revision ?? 0
      }
    }
    guard end > 0 else { return "the last write" }
    return watchers.first { $0.seen < end }.map { "\($0.log.name) is at \($0.seen), not at \(end)" }
  }

  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] {
    let truth = history.truth(monitor)
    return truth.checkWrites(history.operations)
      + watchers.flatMap { truth.check($0.log, through: end == 0 ? nil : end) }
  }
}
