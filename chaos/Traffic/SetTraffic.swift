// A collection of objects as a set: workers create, replace, delete and list it, page by page, moving from server to server
// between pages. A watch of everything tells what really happened; the lists and the filtered watches are judged by that.
import ChaosChecker
import ChaosPlan
import Client
import EventLoop
import HTTP
import JSON
import Schema
import Synchronization
import World

final class SetTraffic: Sendable {
  static let namespace = "chaos-sets"
  static let prefix = "member-"
  private static let names = 24
  private static let pageSize = 5
  private static let patience = Duration.seconds(30)
  private static let label = "shard"

  private let cluster: Cluster
  private let journal: Journal
  private let seed: UInt64
  private let workers: Workers
  /// The highest revision that anybody was told of.
  private let acknowledged = Mutex<Int64>(0)

  init(cluster: Cluster, journal: Journal, seed: UInt64) {
    self.cluster = cluster
    workers = Workers(loop: cluster.loop)
    self.journal = journal
    self.seed = seed
  }

  /// Two writers and a reader at every server.
  func start() {
    var limits = HTTPClientLimits()
    limits.responseHeaderTime = Self.patience
    let members = cluster.plan.members
    let clients = members.map { cluster.client(of: $0, limits: limits) }
    for index in members.indices {
      let writer = SeededGenerator(seed: seed, stream: UInt64(3000 + index))
      let reader = SeededGenerator(seed: seed, stream: UInt64(3100 + index))
      let name = members[index].name
      workers.start { await self.write(clients[index], name, writer) }
      workers.start { await self.list(clients, index, reader) }
    }
  }

  /// Ends with a write that every watch sees; returns its revision.
  func stop() async throws -> Int64 {
    await workers.stop()
    let member = cluster.plan.members[0]
    let client = client(cluster.client(of: member), member.name)
    var value = journal.newValue()
    while Self.shard(of: value) != "even" { value = journal.newValue() }
    // The watch by name sees it, too.
    let key = "\(Self.prefix)7"
    let request: RegisterRequest
    if case .found(let version)? = await client.perform(.read, on: key) {
      request = .update(value: value, seen: version)
    } else {
      request = .create(value: value)
    }
    guard case .done(let revision?)? = await client.perform(request, on: key) else {
      throw RunFailure("the last write of the set failed")
    }
    return revision
  }

  private func client(_ api: APIClient, _ server: String) -> RegisterClient {
    RegisterClient(
      api: api, server: server, name: "\(server)/set", journal: journal, namespace: Self.namespace,
      operations: \.setOperations, labels: { [Self.label: .string(Self.shard(of: $0))] })
  }

  // MARK: Writers

  private func write(_ api: APIClient, _ server: String, _ generator: SeededGenerator) async {
    var random = generator
    let client = client(api, server)
    while workers.goOn {
      let key = "\(Self.prefix)\(Int.random(in: 0..<Self.names, using: &random))"
      let request: RegisterRequest
      switch Int.random(in: 0..<100, using: &random) {
      case ..<55: request = .create(value: journal.newValue())
      case ..<75: request = .delete(seen: nil)
      default:
        guard case .found(let version)? = await client.perform(.read, on: key) else { continue }
        request = .update(value: journal.newValue(), seen: version)
      }
      if case .done(let revision?)? = await client.perform(request, on: key) {
        acknowledged.withLock { $0 = max($0, revision) }
      }
      try? await cluster.loop.sleep(for: .milliseconds(Int.random(in: 10..<60, using: &random)))
    }
  }

  // MARK: Lists

  private func list(_ clients: [APIClient], _ first: Int, _ generator: SeededGenerator) async {
    var random = generator
    var number = 0
    while workers.goOn {
      number += 1
      let name = "list \(first + 1)/\(number)"
      let from = cluster.loop.now
      var (server, token) = (first, "")
      var list = ObservedList(
        name: name, pages: [], isComplete: false, notOlderThan: acknowledged.withLock { $0 })
      do {
        repeat {
          let page = try await clients[server].list(
            .configMaps, namespace: Self.namespace, ListOptions(limit: Self.pageSize, continueToken: token))
          list.pages.append(Self.page(page))
          token = page.continueToken
          // The next page is another server's.
          server = Int.random(in: 0..<clients.count, using: &random)
        } while !token.isEmpty
        list.isComplete = true
      } catch let status as APIStatus where status.code == 410 {
        // The state of its first page is too long ago: its client begins anew.
      } catch {
        let problem = Problem(
          server: cluster.plan.members[server].name, from: from, to: cluster.loop.now, what: "\(name): \(error)")
        journal.record(problem)
        try? await cluster.loop.sleep(for: .milliseconds(50))
      }
      let seen = list
      journal.edit { $0.lists.append(seen) }
      try? await cluster.loop.sleep(for: .milliseconds(Int.random(in: 20..<80, using: &random)))
    }
  }

  private static func page(_ list: ObjectList) -> ObservedList.Page {
    ObservedList.Page(
      revision: Int64(list.resourceVersion) ?? 0,
      items: list.items.compactMap { object in
        let name = object["metadata"]["name"].string ?? ""
        return name.hasPrefix(prefix) ? (name, RegisterClient.version(object)) : nil
      })
  }

  // MARK: Watches

  /// Decides which filtered watch sees the object.
  private static func shard(of value: String) -> String { value.utf8.last.map { $0 % 2 == 0 } == true ? "even" : "odd" }

  /// Everything, twice, and two parts of it: by label, which objects enter and leave, and by name.
  static var watches: [WatchTraffic.Spec] {
    let path = ResourceReference.configMaps.path(namespace: namespace)
    return [
      WatchTraffic.Spec(name: "set watch 1", path: path, prefix: prefix),
      WatchTraffic.Spec(name: "set watch 2", path: path, prefix: prefix),
      WatchTraffic.Spec(
        name: "watch of even members", path: path, options: ListOptions(labelSelector: "\(label)=even"), prefix: prefix),
      WatchTraffic.Spec(
        name: "watch of member-7", path: path, options: ListOptions(fieldSelector: "metadata.name=\(prefix)7"),
        prefix: prefix),
    ]
  }

  /// What the logs of the watches and the lists show that must not be. Where history was gone (410: every server has started
  /// anew) nobody saw all that happened, and what came after is not judged.
  static func check(_ journal: Journal.Content, end: Int64) -> [Anomaly] {
    let whole = journal.setWatches.prefix(2).map { (log: $0, seen: $0.seenWithoutGap) }
    guard let best = whole.max(by: { $0.seen ?? .max < $1.seen ?? .max }) else { return [] }
    let cut = best.seen ?? .max
    var history = CommittedHistory()
    var anomalies = best.log.events.filter { $0.revision <= cut }.compactMap { event in
      history.append(CommittedChange(event.kind, key: event.key, value: event.value, revision: event.revision))
    }
    anomalies += history.checkWrites(
      journal.setOperations.filter { operation in
        if case .done(let revision?) = operation.operation.action.answer { return revision <= cut }
        return true
      })
    anomalies += history.check(journal.lists.filter { $0.pages.first?.revision ?? 0 <= cut })
    for log in journal.setWatches {
      let part: CommittedHistory
      switch log.name {
      case "watch of even members": part = history.filtered { shard(of: $0.value) == "even" }
      case "watch of member-7": part = history.filtered { $0.key == "\(prefix)7" }
      default: part = history
      }
      anomalies += part.check(log.through(cut), through: cut == .max ? end : nil)
    }
    return anomalies
  }
}
