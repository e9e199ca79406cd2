// Asks every server how it is, all the time: who leads, and whether states that must be equal are.
import EventLoop
import Synchronization
import World

final class StatusSampler: Sendable {
  private static let interval = Duration.milliseconds(200)
  private let cluster: Cluster
  private let journal: Journal
  private let isStopping = Atomic<Bool>(false)
  private let task = Mutex<SpawnedTask?>(nil)

  init(cluster: Cluster, journal: Journal) {
    self.cluster = cluster
    self.journal = journal
  }

  func start() {
    let spawned = cluster.loop.spawn {
      while !self.isStopping.load(ordering: .relaxed) {
        let statuses = await self.cluster.statuses()
        let now = self.cluster.loop.now
        for status in statuses.compactMap({ $0 }) { self.journal.record(status, at: now) }
        try? await self.cluster.loop.sleep(for: Self.interval)
      }
    }
    task.withLock { $0 = spawned }
  }

  func stop() async {
    isStopping.store(true, ordering: .relaxed)
    await task.withLock { $0 }?.wait()
  }
}
