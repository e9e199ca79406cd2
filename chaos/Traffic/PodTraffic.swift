// Pods that come and go, so that the scheduler has work while servers fail: each gets a node, and never another.
import ChaosChecker
import ChaosPlan
import Client
import EventLoop
import JSON
import Schema
import World

final class PodTraffic: Sendable {
  static let namespace = "chaos-pods"
  private static let prefix = "load-"
  /// Pods that are there at a time.
  private static let most = 20
  private static let pause = Duration.milliseconds(200)

  private let cluster: Cluster
  private let journal: Journal
  private let seed: UInt64
  private let workers: Workers

  init(cluster: Cluster, journal: Journal, seed: UInt64) {
    self.cluster = cluster
    workers = Workers(loop: cluster.loop)
    self.journal = journal
    self.seed = seed
  }

  func start() {
    let clients = cluster.plan.members.map { cluster.client(of: $0) }
    workers.start { await self.make(clients) }
    workers.start { await self.look(clients) }
  }

  /// Returns when every pod that is left has a node; names those that have none.
  func stop(patience: Duration) async -> [Anomaly] {
    await workers.stop()
    let api = cluster.client(of: cluster.plan.members[0])
    let start = cluster.loop.now
    while true {
      let pods = (try? await api.list(.pods, namespace: Self.namespace).items) ?? []
      note(pods)
      let waiting = pods.filter { ($0["spec"]["nodeName"].string ?? "").isEmpty }
      if waiting.isEmpty { return Self.check(journal.all) }
      guard cluster.loop.now - start < patience else {
        let names = waiting.map { $0["metadata"]["name"].string ?? "" }
        return Self.check(journal.all)
          + [Anomaly("\(names.count) pods have no node \(patience.text) after the last fault", evidence: names)]
      }
      try? await cluster.loop.sleep(for: .milliseconds(100))
    }
  }

  private func make(_ clients: [APIClient]) async {
    var random = SeededGenerator(seed: seed, stream: 4000)
    var number = 0
    while workers.goOn {
      number += 1
      let api = clients[Int.random(in: 0..<clients.count, using: &random)]
      var pod = LoopProbe.pod("\(Self.prefix)\(number)")
      pod["metadata"]["namespace"] = .string(Self.namespace)
      // What fails is tried with the next one: whether it was done, the lists say.
      _ = try? await api.create(.pods, namespace: Self.namespace, pod)
      await removeOldest(upTo: number - Self.most, api)
      try? await cluster.loop.sleep(for: Self.pause)
    }
  }

  /// Deletes what should be gone by what a list says, for a deletion may have failed, and a creation be done after its
  /// client gave it up: an hour of pods that nobody deleted filled every node.
  private func removeOldest(upTo last: Int, _ api: APIClient) async {
    let pods = (try? await api.list(.pods, namespace: Self.namespace).items) ?? []
    note(pods)
    for name in pods.compactMap({ $0["metadata"]["name"].string }) {
      guard let number = Int(name.dropFirst(Self.prefix.count)), number <= last else { continue }
      _ = try? await api.delete(.pods, namespace: Self.namespace, name: name)
    }
  }

  private func look(_ clients: [APIClient]) async {
    var turn = 0
    while workers.goOn {
      turn += 1
      if let list = try? await clients[turn % clients.count].list(.pods, namespace: Self.namespace) { note(list.items) }
      try? await cluster.loop.sleep(for: Self.pause)
    }
  }

  private func note(_ pods: [JSONValue]) {
    let seen = pods.compactMap { pod -> (String, String)? in
      guard let node = pod["spec"]["nodeName"].string, !node.isEmpty else { return nil }
      return ("\(pod["metadata"]["name"].string ?? "") \(pod["metadata"]["uid"].string ?? "")", node)
    }
    journal.edit { content in
      for (pod, node) in seen { content.podsSeen[pod, default: []].insert(node) }
    }
  }

  static func check(_ journal: Journal.Content) -> [Anomaly] {
    journal.podsSeen.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }.map { pod, nodes in
      Anomaly("pod \(pod) was bound \(nodes.count) times", evidence: nodes.sorted())
    }
  }
}
