// One reader at every entrance, at a steady pace: how long nobody could read.
import ChaosPlan
import Client
import EventLoop
import HTTP
import JSON
import Schema
import World

final class ReadTraffic: Sendable {
  static let object = "read"
  /// The precision of what is measured.
  private static let interval = Duration.milliseconds(20)
  private static let patience = Duration.seconds(30)

  private let cluster: Cluster
  private let journal: Journal
  private let workers: Workers

  init(cluster: Cluster, journal: Journal) {
    self.cluster = cluster
    workers = Workers(loop: cluster.loop)
    self.journal = journal
  }

  func start() {
    var limits = HTTPClientLimits()
    limits.responseHeaderTime = Self.patience
    for entrance in cluster.plan.entrances {
      let api = cluster.client(of: entrance, limits: limits)
      workers.start {
        while self.workers.goOn {
          await self.read(api, entrance.name)
          try? await self.cluster.loop.sleep(for: Self.interval)
        }
      }
    }
  }

  func stop() async {
    await workers.stop()
  }

  private func read(_ api: APIClient, _ entrance: String) async {
    let from = cluster.loop.now
    do {
      _ = try await api.get(.configMaps, namespace: ChaosObjects.registers, name: Self.object)
      let to = cluster.loop.now
      journal.edit { $0.reads[entrance, default: []].append(to) }
    } catch {
      journal.record(Problem(server: entrance, from: from, to: cluster.loop.now, what: "read: \(error)"))
    }
  }
}
