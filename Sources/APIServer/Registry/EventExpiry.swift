// Events live for an hour (spec/3 §3.4). The server that leads the group sweeps.
import JSON
import Logging
import Replica
import Schema
import World

extension APIServer {
  public static let eventLifetime = Duration.seconds(3600)
  /// Deletions of one command.
  private static let sweepBatch = 64

  private static let sweepInterval = Duration.seconds(60)

  /// Sweeps once a minute while `isLeader` says so, until the task is cancelled.
  public func sweepEvents(on world: any World, isLeader: @escaping @Sendable () -> Bool) async {
    while !Task.isCancelled {
      do { try await world.sleep(for: Self.sweepInterval) } catch { return }
      guard isLeader() else { continue }
      do { _ = try await expireEvents() } catch {
        dependencies.logger.warning("cannot remove expired events now: \(error)")
      }
    }
  }

  /// Removes events that nobody has touched for `eventLifetime`. Returns how many went. Events that change meanwhile
  /// stay; their whole batch waits for the next sweep.
  public func expireEvents() async throws(StoreError) -> Int {
    let state = store.current
    let deadline = currentTime + (.zero - Self.eventLifetime)
    let expired = state.objects(resource: "events", namespace: "", after: nil, limit: 0).objects.filter {
      Self.lastTouched($0).map { $0 < deadline } ?? false
    }
    var removed = 0
    for start in stride(from: 0, to: expired.count, by: Self.sweepBatch) {
      let batch = expired[start..<min(start + Self.sweepBatch, expired.count)]
      let command = Command(
        preconditions: batch.map { .revision($0.key, $0.revision) }, mutations: batch.map { .delete($0.key) })
      if case .committed = try await store.commit(command) { removed += batch.count }
    }
    return removed
  }

  /// When an event was last written: its own last time, else its creation.
  private static func lastTouched(_ event: StoredObject) -> WallTime? {
    let root = event.tape.root
    let times = [root["lastTimestamp"], root["series"]["lastObservedTime"], root["metadata"]["creationTimestamp"]]
    return times.compactMap { $0.string.flatMap { WallTime(rfc3339: $0) } }.max()
  }
}
