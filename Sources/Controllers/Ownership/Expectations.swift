import Client
import Synchronization
import World

/// What a controller has asked for and not yet seen through its informer, by name. Until it has, counting would be wrong:
/// pods just created would be created again.
final class Expectations: Sendable {
  private struct Entry {
    var creations: Set<NamespacedName> = []
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
      if entry.creations.isEmpty && entry.deletions.isEmpty { return true }
      return world.now - entry.since > Self.timeout
    }
  }

  /// Before anything is asked for: what is seen meanwhile counts.
  func expect(creations: [NamespacedName] = [], deletions: [NamespacedName] = [], by key: NamespacedName) {
    entries.withLock {
      $0[key] = Entry(creations: Set(creations), deletions: Set(deletions), since: world.now)
    }
  }

  /// The object comes under another name.
  func expectCreation(_ object: NamespacedName, insteadOf former: NamespacedName, by key: NamespacedName) {
    entries.withLock { entries in
      entries[key]?.creations.remove(former)
      entries[key]?.creations.insert(object)
    }
  }

  /// A creation was seen, or failed and is not waited for.
  func creationObserved(_ key: NamespacedName, _ object: NamespacedName) {
    entries.withLock { _ = $0[key]?.creations.remove(object) }
  }

  func deletionObserved(_ key: NamespacedName, _ object: NamespacedName) {
    entries.withLock { _ = $0[key]?.deletions.remove(object) }
  }

  func forget(_ key: NamespacedName) { entries.withLock { $0[key] = nil } }
}
