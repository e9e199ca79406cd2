// What the hub has for one loop that watches: changes on their way there, and who looks at which. What is delivered to
// whom is found by resource and, where thousands watch one value of a field each, by that value.

import World

/// One published batch, grouped by resource once for all loops.
final class ChangeBatch: Sendable {
  /// In the order of their first changes.
  let byResource: [(resource: String, changes: [Change])]
  let revision: Revision

  init(_ changes: [Change], through revision: Revision) {
    if let first = changes.first, changes.allSatisfy({ $0.key.resource == first.key.resource }) {
      byResource = [(first.key.resource, changes)]
    } else {
      var places: [String: Int] = [:]
      var groups: [(resource: String, changes: [Change])] = []
      for change in changes {
        if let place = places[change.key.resource] {
          groups[place].changes.append(change)
        } else {
          places[change.key.resource] = groups.count
          groups.append((change.key.resource, [change]))
        }
      }
      byResource = groups
    }
    self.revision = revision
  }
}

/// Where a subscription's watcher stands: among those of a resource, or of one value of a field of it.
struct WatcherPlace {
  let id: UInt64
  let resource: String
  let field: String?
  let value: String
}

extension Change {
  /// Whether the object has the value, or had it.
  fileprivate func concerns(_ value: String, of text: (StoredObject) -> String) -> Bool {
    text(object) == value || previous.map(text) == value
  }
}

/// A subscription's other half, on its loop.
struct Watcher: Sendable {
  let id: UInt64
  /// Everything up to here is in the backlog or was not wanted: batches that end at or before it are skipped.
  var seen: Revision
  /// The revision the subscriber named: nothing up to it is delivered.
  let floor: Revision
  let deliver: @Sendable ([Change], Revision) -> Void
  let ended: @Sendable () -> Void

  /// What of a batch is new to it.
  func take(_ changes: [Change], through revision: Revision) {
    guard revision > seen else { return }
    if changes[0].revision > floor { return deliver(changes, revision) }
    let wanted = changes.filter { $0.revision > floor }
    if !wanted.isEmpty { deliver(wanted, revision) }
  }
}

/// The watchers of one resource on one loop, each list in the order of their ids.
struct WatcherGroup {
  private struct Field {
    let name: String
    let text: @Sendable (StoredObject) -> String
    var byValue: [String: [Watcher]] = [:]
  }
  /// Those who want every change.
  private var all: [Watcher] = []
  /// Few, and in the order in which they came.
  private var fields: [Field] = []

  var watchers: [Watcher] { all + fields.flatMap { $0.byValue.values.joined() } }

  mutating func add(_ watcher: Watcher, at place: WatcherPlace, text: (@Sendable (StoredObject) -> String)?) {
    guard let name = place.field, let text else { return all.append(watcher) }
    let position =
      fields.firstIndex { $0.name == name }
      ?? {
        fields.append(Field(name: name, text: text))
        return fields.count - 1
      }()
    fields[position].byValue[place.value, default: []].append(watcher)
  }

  mutating func remove(_ place: WatcherPlace) {
    guard let name = place.field else {
      if let position = Self.position(of: place.id, in: all) { all.remove(at: position) }
      return
    }
    guard let field = fields.firstIndex(where: { $0.name == name }),
      let position = fields[field].byValue[place.value].flatMap({ Self.position(of: place.id, in: $0) })
    else { return }
    fields[field].byValue[place.value]?.remove(at: position)
    if fields[field].byValue[place.value]?.isEmpty == true { fields[field].byValue[place.value] = nil }
    if fields[field].byValue.isEmpty { fields.remove(at: field) }
  }

  func watcher(at place: WatcherPlace) -> Watcher? {
    let list = place.field.map { name in fields.first { $0.name == name }?.byValue[place.value] ?? [] } ?? all
    return Self.position(of: place.id, in: list).map { list[$0] }
  }

  /// By bisection, for thousands may come and go.
  private static func position(of id: UInt64, in list: [Watcher]) -> Int? {
    var (low, high) = (0, list.count)
    while low < high {
      let middle = (low + high) / 2
      if list[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low < list.count && list[low].id == id ? low : nil
  }

  func deliver(_ changes: [Change], through revision: Revision) {
    for watcher in all { watcher.take(changes, through: revision) }
    for field in fields {
      for (value, changes) in Self.split(changes, by: field) {
        for watcher in field.byValue[value] ?? [] { watcher.take(changes, through: revision) }
      }
    }
  }

  /// The changes that concern a value that somebody watches, by value, in the order of the first of each.
  private static func split(_ changes: [Change], by field: Field) -> [(value: String, changes: [Change])] {
    var places: [String: Int] = [:]
    var split: [(value: String, changes: [Change])] = []
    for change in changes {
      let now = field.text(change.object)
      let before = change.previous.map(field.text)
      for value in before == nil || before == now ? [now] : [before ?? now, now] where field.byValue[value] != nil {
        if let place = places[value] {
          split[place].changes.append(change)
        } else {
          places[value] = split.count
          split.append((value, [change]))
        }
      }
    }
    return split
  }
}

/// What waits to be delivered on one loop, in order. The queue and counts belong to the hub's lock, the watchers to the
/// loop: all that happens to them travels through the queue, so that nothing overtakes.
final class Outbox: @unchecked Sendable {
  enum Item {
    case add(Watcher, WatcherPlace, text: (@Sendable (StoredObject) -> String)?, backlog: [ArraySlice<Change>])
    case remove(WatcherPlace)
    case batch(ChangeBatch)
    case progress(WatcherPlace, through: Revision)
    case reset
  }
  let world: any World
  private var pending: [Item] = []
  private var isScheduled = false
  private var interest: [String: Int] = [:]
  private(set) var subscriptionCount = 0
  private var groups: [String: WatcherGroup] = [:]

  init(_ world: any World) { self.world = world }

  // MARK: Under the hub's lock. Each returns true when the loop must be woken.

  private func add(_ item: Item) -> Bool {
    pending.append(item)
    defer { isScheduled = true }
    return !isScheduled
  }
  func add(_ batch: ChangeBatch) -> Bool {
    batch.byResource.contains { interest[$0.resource] != nil } && add(.batch(batch))
  }
  func addReset() -> Bool { add(.reset) }
  func add(
    _ watcher: Watcher, at place: WatcherPlace, text: (@Sendable (StoredObject) -> String)?,
    backlog: [ArraySlice<Change>]
  ) -> Bool {
    interest[place.resource, default: 0] += 1
    subscriptionCount += 1
    return add(.add(watcher, place, text: text, backlog: backlog))
  }
  func addProgress(_ subscription: Subscription, through revision: Revision) -> Bool {
    add(.progress(subscription.place, through: revision))
  }
  func remove(_ subscription: Subscription) -> Bool {
    let resource = subscription.place.resource
    subscriptionCount -= 1
    let left = (interest[resource] ?? 1) - 1
    interest[resource] = left == 0 ? nil : left
    return add(.remove(subscription.place))
  }
  func take() -> [Item] {
    defer {
      pending = []
      isScheduled = false
    }
    return pending
  }

  // MARK: On the loop.

  /// Asks for one delivery run on the loop.
  func schedule(_ hub: WatchHub) {
    world.execute { self.deliverPending(hub) }
  }

  private func deliverPending(_ hub: WatchHub) {
    for item in hub.takePending(of: self) {
      switch item {
      case .add(let watcher, let place, let text, let backlog):
        groups[place.resource, default: WatcherGroup()].add(watcher, at: place, text: text)
        let changes = backlog.lazy.joined().filter { change in
          change.key.resource == place.resource && text.map { change.concerns(place.value, of: $0) } ?? true
        }
        if !changes.isEmpty { watcher.deliver(Array(changes), watcher.seen) }
      case .remove(let place): groups[place.resource]?.remove(place)
      case .batch(let batch):
        for (resource, changes) in batch.byResource {
          groups[resource]?.deliver(changes, through: batch.revision)
        }
      case .progress(let place, let revision):
        guard let watcher = groups[place.resource]?.watcher(at: place) else { continue }
        watcher.deliver([], max(revision, watcher.floor) + (ReplicaMutant.progressTooHigh.isActive ? 5 : 0))
      case .reset:
        let ending = groups.values.flatMap(\.watchers).sorted { $0.id < $1.id }
        groups = [:]
        for watcher in ending { watcher.ended() }
      }
    }
  }
}
