// A Lease as a lock: candidates at every server, with the elector that Trireme's own loops use. Whoever holds it writes under
// its fence; no two may hold it at once, and a deposed one's writes must not come after its successor's.
import ChaosChecker
import ChaosPlan
import Client
import EventLoop
import HTTP
import JSON
import Logging
import Schema
import World

final class LockTraffic: Sendable {
  static let namespace = "chaos-locks"
  private static let lease = "lock"
  static let object = "guarded"
  private static let pause = Duration.milliseconds(25)

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

  func start() async throws {
    try await cluster.client(of: cluster.plan.members[0]).create(
      .configMaps, namespace: Self.namespace, Self.guarded("nobody", 0))
    for (index, member) in cluster.plan.members.enumerated() {
      var options = LeaderElector.Options(lease: Self.lease, identity: "candidate-at-\(member.name)")
      options.namespace = Self.namespace
      (options.leaseDuration, options.renewDeadline, options.retryPeriod) = (
        .seconds(3), .seconds(2), .milliseconds(400)
      )
      let (api, settings) = (cluster.client(of: member), options)
      let random = SeededGenerator(seed: seed, stream: UInt64(5000 + index))
      workers.start { await self.campaign(settings, api, random) }
    }
  }

  /// Returns when nobody holds it any more.
  func stop() async {
    await workers.stop()
  }

  /// Stands again and again, for some seconds each time, so that others have their turn.
  private func campaign(_ options: LeaderElector.Options, _ api: APIClient, _ generator: SeededGenerator) async {
    var random = generator
    while workers.goOn {
      let elector = LeaderElector(
        client: api, options: options, logger: Logger(label: "locks", factory: { _ in SwiftLogNoOpLogHandler() })
      ) { fence in await self.hold(fence, options.identity, api) }
      let task = cluster.loop.spawn { await elector.run() }
      let until = cluster.loop.now + .milliseconds(Int.random(in: 2000...8000, using: &random))
      while workers.goOn, cluster.loop.now < until {
        try? await cluster.loop.sleep(for: Self.pause)
      }
      task.cancel()
      await task.wait()
      try? await cluster.loop.sleep(for: .milliseconds(Int.random(in: 100...1000, using: &random)))
    }
  }

  private func hold(_ fence: TrustedContext.Fence, _ name: String, _ api: APIClient) async {
    let index = journal.edit { content in
      content.holds.append(LockHold(holder: name, token: fence.transitions, from: self.cluster.loop.now, to: nil))
      return content.holds.count - 1
    }
    let (journal, loop) = (journal, cluster.loop)
    let end = { @Sendable in
      journal.edit { if $0.holds[index].to == nil { $0.holds[index].to = loop.now } }
    }
    // It no longer believes that it holds the lock from the moment on in which it is told, whatever is under way.
    await withTaskCancellationHandler {
      while !Task.isCancelled {
        await write(fence, name, api)
        try? await cluster.loop.sleep(for: Self.pause)
      }
    } onCancel: {
      end()
    }
    end()
  }

  /// Compare and set: a successor's write in between makes it fail.
  private func write(_ fence: TrustedContext.Fence, _ name: String, _ api: APIClient) async {
    do {
      var object = try await api.get(.configMaps, namespace: Self.namespace, name: Self.object)
      guard let before = object["data"]["token"].string.flatMap({ UInt64($0) }), before <= fence.transitions,
        !Task.isCancelled
      else { return }
      object["data"] = Self.guarded(name, fence.transitions)["data"]
      let written = try await api.update(.configMaps, namespace: Self.namespace, name: Self.object, object)
      guard let revision = RegisterClient.version(written).revision else { return }
      journal.edit {
        $0.fencedWrites.append(FencedWrite(holder: name, token: fence.transitions, revision: revision))
      }
    } catch {
      // Refused or not answered: what counts is what was acknowledged.
    }
  }

  private static func guarded(_ holder: String, _ token: UInt64) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": ["name": .string(object), "namespace": .string(namespace)],
      "data": ["holder": .string(holder), "token": .string("\(token)")],
    ]
  }
}
