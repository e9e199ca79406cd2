import Client
import Synchronization
import World

/// What a controller has asked for and not yet seen through its informer. Until it has, counting would be wrong: pods
/// just created would be created again.
final class Expectations: Sendable {
  private struct Entry {
    var creations = 0
    var deletions: Set<NamespacedName> = []
    var since: MonotonicTime
  }
  /// An event that has not come by then never will (spec/5 §5.1).
  private static let timeout = Duration.seconds(300)

  private let world: any World
  private let entries = Mutex<[NamespacedName: Entry]>([:])

  init(world: any World) { self.world = world }

  func isSatisfied(_ key: NamespacedName) -> Bool {
    if ControllerMutant.expectationsIgnored.isActive { return true }
    return entries.withLock { entries in
      guard let entry = entries[key] else { return true }
      if entry.creations <= 0 && entry.deletions.isEmpty { return true }
      return world.now - entry.since > Self.timeout
    }
  }

  func expectCreations(_ count: Int, by key: NamespacedName) {
    entries.withLock { $0[key] = Entry(creations: count, since: world.now) }
  }

  func expect(creations: Int, deletions: [NamespacedName], by key: NamespacedName) {
    entries.withLock { $0[key] = Entry(creations: creations, deletions: Set(deletions), since: world.now) }
  }

  func expectDeletions(_ objects: [NamespacedName], by key: NamespacedName) {
    entries.withLock { $0[key] = Entry(deletions: Set(objects), since: world.now) }
  }

  /// A creation was seen, or failed and will not be.
  func creationObserved(_ key: NamespacedName, count: Int = 1) {
    entries.withLock { $0[key]?.creations -= count }
  }

  func deletionObserved(_ key: NamespacedName, _ object: NamespacedName) {
    entries.withLock { _ = $0[key]?.deletions.remove(object) }
  }

  func forget(_ key: NamespacedName) { entries.withLock { $0[key] = nil } }
}
