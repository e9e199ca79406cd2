// Registers, counters, collections: single objects and lists of them, under many hands.

import ChaosChecker
import Client
import JSON
import Raft
import Schema
import World

/// Creates, replaces, deletes and reads a few objects at every server; judged for linearizability and against what
/// really happened.
public final class RegisterWorkload: Workload, @unchecked Sendable {
  public static let name = "registers"
  public static let followed: Set<String> = ["configmaps"]
  static let namespace = "registers"
  private static let workersPerServer = 2
  /// Few enough that workers meet, many enough that most compare-and-sets succeed.
  private static let keys = 4
  /// After this time other objects take their place: what a checker has to order stays short.
  private static let epoch = Duration.seconds(10)

  private let environment: WorkloadEnvironment
  private let history: RegisterHistory

  public init(_ environment: WorkloadEnvironment) {
    self.environment = environment
    history = RegisterHistory(environment, namespace: Self.namespace)
  }

  public func prepare() async throws { try await environment.ensureNamespace(Self.namespace) }

  public func run() async {
    await withTaskGroup { group in
      for server in environment.servers + [0] {
        for worker in 0..<(server == 0 ? 1 : Self.workersPerServer) {
          group.addTask { await self.work("\(server)/\(worker)", server) }
        }
      }
    }
  }

  private func work(_ name: String, _ home: NodeID) async {
    var known: [String: Version] = [:]
    var older: [String: Version] = [:]
    while !environment.isOver {
      // Now and then at another server: what it has seen, all others must have.
      let server = environment.random.chance(0.2) ? environment.anyServer() : home
      let epoch = environment.world.now.nanoseconds / UInt64(Self.epoch.wholeNanoseconds)
      let key = "r\(epoch)-\(environment.random.next(below: Self.keys))"
      let request = choose(known[key], older[key])
      let answer = await history.perform(request, on: key, at: server, worker: name)
      if let before = known[key] { older[key] = before }
      switch (answer, request) {
      case (.found(let version), _): known[key] = version
      case (.done(let revision), .create(let value)), (.done(let revision), .update(let value, _)):
        known[key] = Version(value: value, revision: revision)
      case (.conflict, _), (.alreadyExists, _):
        if case .found(let version) = await history.perform(.read, on: key, at: server, worker: name) {
          known[key] = version
        }
      default: known[key] = nil
      }
      await environment.pause()
    }
  }

  private func choose(_ known: Version?, _ older: Version?) -> RegisterRequest {
    let roll = environment.random.next(below: 100)
    guard let known else { return roll < 60 ? .create(value: environment.newValue()) : .read }
    switch roll {
    case ..<30: return .read
    case ..<80: return .update(value: environment.newValue(), seen: known)
    case ..<88: return .update(value: environment.newValue(), seen: older ?? known)
    case ..<94: return .delete(seen: known)
    default: return .delete(seen: nil)
    }
  }

  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] {
    RegisterChecker(history.operations, start: MonotonicTime(nanoseconds: 1_000_000_000)).check()
      + history.truth(monitor).checkWrites(history.operations)
  }
}

/// Increments by compare-and-swap: every acknowledged one counts, once.
public final class CounterWorkload: Workload, @unchecked Sendable {
  public static let name = "counters"
  public static let followed: Set<String> = ["configmaps"]
  private static let namespace = "counters"
  private static let counter = "counter"

  private let environment: WorkloadEnvironment
  private var acknowledged = 0
  private var open = 0
  private var final: Int?

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws {
    try await environment.ensureNamespace(Self.namespace)
    do {
      try await environment.client(0).create(.configMaps, namespace: Self.namespace, Self.object(0))
    } catch let status as APIStatus where status.reason == "AlreadyExists" {}
  }

  private static func object(_ value: Int) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": ["name": .string(counter), "namespace": .string(namespace)],
      "data": ["value": .string(String(value))],
    ]
  }
  private static func value(_ object: JSONValue) -> Int { object["data"]["value"].string.flatMap { Int($0) } ?? -1 }

  public func run() async {
    await withTaskGroup { group in
      for server in environment.servers { group.addTask { await self.work(server) } }
    }
  }

  private func work(_ server: NodeID) async {
    while !environment.isOver {
      if let read = try? await environment.client(environment.anyServer()).get(
        .configMaps, namespace: Self.namespace, name: Self.counter)
      {
        var next = read
        next["data"]["value"] = .string(String(Self.value(read) + 1))
        do {
          let written = try await environment.client(server).update(
            .configMaps, namespace: Self.namespace, name: Self.counter, next)
          acknowledged += 1
          environment.note(acknowledged: RegisterHistory.revision(of: written))
        } catch let status as APIStatus where status.code < 500 {
        } catch {
          open += 1
        }
      }
      await environment.pause()
    }
  }

  public func missing() async throws -> String? {
    final = Self.value(
      try await environment.client(0).get(.configMaps, namespace: Self.namespace, name: Self.counter))
    return nil
  }

  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] {
    guard let final else { return [] }
    var anomalies: [Anomaly] = []
    if final < acknowledged || final > acknowledged + open {
      anomalies.append(
        Anomaly("the counter does not count", evidence: ["\(final); \(acknowledged) acknowledged, \(open) open"]))
    }
    let changes = monitor.history("configmaps", namespace: Self.namespace).changes.filter { $0.key == Self.counter }
    for (before, after) in zip(changes, changes.dropFirst()) where Int(after.value) != (Int(before.value) ?? 0) + 1 {
      anomalies.append(Anomaly("an increment was lost or made twice", evidence: ["\(before)", "\(after)"]))
    }
    return anomalies
  }
}

/// Objects that come and go, listed page by page at every server, fresh and stale.
public final class CollectionWorkload: Workload, @unchecked Sendable {
  public static let name = "collections"
  public static let followed: Set<String> = ["configmaps"]
  static let namespace = "collections"
  private static let names = 24
  private static let pageSizes = [1, 2, 3, 5, 100]

  private let environment: WorkloadEnvironment
  private let history: RegisterHistory
  private var lists: [ObservedList] = []

  public init(_ environment: WorkloadEnvironment) {
    self.environment = environment
    history = RegisterHistory(environment, namespace: Self.namespace)
  }

  public func prepare() async throws { try await environment.ensureNamespace(Self.namespace) }

  public func run() async {
    await withTaskGroup { group in
      for server in environment.servers {
        group.addTask { await self.change("\(server)", server) }
        group.addTask { await self.read("\(server)") }
      }
    }
  }

  private func change(_ name: String, _ server: NodeID) async {
    while !environment.isOver {
      let key = "c\(environment.random.next(below: Self.names))"
      let request: RegisterRequest =
        environment.random.chance(0.6) ? .create(value: environment.newValue()) : .delete(seen: nil)
      _ = await history.perform(request, on: key, at: server, worker: name)
      await environment.pause()
    }
  }

  private func read(_ name: String) async {
    while !environment.isOver {
      let server = environment.anyServer()
      let isFresh = environment.random.chance(0.7)
      let notOlderThan = environment.acknowledged
      var options = ListOptions(resourceVersion: isFresh ? "" : "0")
      options.limit = environment.random.pick(Self.pageSizes) ?? 0
      var list = ObservedList(
        name: "list \(lists.count + 1) at server \(server)", pages: [], isComplete: false,
        notOlderThan: isFresh ? notOlderThan : nil)
      do {
        repeat {
          // Every page at another server, as a client behind a balancer has it.
          let page = try await environment.client(environment.random.chance(0.5) ? server : environment.anyServer())
            .list(.configMaps, namespace: Self.namespace, options)
          list.pages.append(
            ObservedList.Page(
              revision: Int64(page.resourceVersion) ?? 0,
              items: page.items.map { ($0["metadata"]["name"].string ?? "", RegisterHistory.version($0)) }))
          options.continueToken = page.continueToken
          options.resourceVersion = ""
          if environment.random.chance(0.3) { await environment.pause() }
        } while !options.continueToken.isEmpty
        list.isComplete = true
      } catch {}
      if let last = list.pages.first { environment.note(acknowledged: last.revision) }
      lists.append(list)
      await environment.pause()
    }
  }

  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] {
    let truth = history.truth(monitor)
    return truth.checkWrites(history.operations) + lists.flatMap { truth.check($0) }
  }
}
