// Publishes versions of the state: the newest by one pointer, changes to the watches of every loop in batches, older
// versions for pages, and those who wait for a revision. One thread publishes; any thread reads and subscribes.

import Synchronization
import World

/// Versions and changes for readers. The lock is held for pointer work only; filtering and delivery happen on the
/// subscribers' loops, and a loop is woken once however many batches wait for it.
final class WatchHub: Sendable {
  private struct State {
    var history: ChangeHistory
    /// One for each loop that watches: few, and in the order in which they came (a simulated run must repeat itself).
    var outboxes: [Outbox] = []
    var waiters: [UInt64: (revision: Revision, continuation: CheckedContinuation<Bool, Never>)] = [:]
    var nextID: UInt64 = 0
    /// Older versions found again lately: the pages of one list ask for the same revision many times.
    var found: [StateVersion] = []
  }
  private let state: Mutex<State>
  private let limits: ChangeHistory.Limits
  /// Older versions that are kept once found.
  private static let foundVersions = 16

  init(_ version: StateVersion, limits: ChangeHistory.Limits = ChangeHistory.Limits()) {
    self.limits = limits
    state = Mutex(State(history: ChangeHistory(at: version, limits: limits)))
  }

  /// The newest published version.
  var current: StateVersion { state.withLock { $0.history.end } }

  /// The oldest revision that a watch can resume from.
  var oldestRevision: Revision { state.withLock { $0.history.start } }

  /// Number of live subscriptions.
  var subscriptionCount: Int { state.withLock { $0.outboxes.reduce(0) { $0 + $1.subscriptionCount } } }

  /// Publishes the changes that led to `version`. Called by one thread at a time, in order.
  func publish(_ version: StateVersion, changes: [Change]) {
    guard !changes.isEmpty else { return }
    let batch = ChangeBatch(changes, through: version.revision)
    let (outboxes, waiters) = state.withLock { state in
      state.history.append(changes, leadingTo: version)
      let woken = state.outboxes.filter { $0.add(batch) }
      return (woken, Self.takeWaiters(&state, through: version.revision))
    }
    for outbox in outboxes { outbox.schedule(self) }
    for waiter in waiters { waiter.resume(returning: true) }
  }

  /// Replaces the state by one that did not come about change by change (a snapshot from the leader). Watches cannot go
  /// on without a gap: all of them end.
  func reset(to version: StateVersion) {
    let (outboxes, waiters) = state.withLock { state in
      state.history = ChangeHistory(at: version, limits: limits)
      state.found = []
      let woken = state.outboxes.filter { ReplicaMutant.watchesOutliveSnapshot.isActive ? false : $0.addReset() }
      return (woken, Self.takeWaiters(&state, through: version.revision))
    }
    for outbox in outboxes { outbox.schedule(self) }
    for waiter in waiters { waiter.resume(returning: true) }
  }

  /// The state at exactly `revision`; nil when history does not reach it. Work is done on the caller's thread.
  func version(at revision: Revision) -> StateVersion? {
    let known = state.withLock { state -> StateVersion? in
      let end = state.history.end
      return end.revision == revision ? end : state.found.first { $0.revision == revision }
    }
    if let known { return known }
    guard let path = state.withLock({ $0.history.pathBack(to: revision) }) else { return nil }
    let version = path.from.undoing(path.undoing)
    state.withLock { state in
      if state.found.count == Self.foundVersions { state.found.removeFirst() }
      state.found.append(version)
    }
    return version
  }

  /// Every change after `revision`; nil when history does not reach back that far.
  func changes(since revision: Revision) -> [Change]? {
    state.withLock { state in
      guard revision <= state.history.end.revision else { return nil }
      return state.history.since(revision).map { slices in
        slices.flatMap { $0.filter { $0.revision > revision } }
      }
    }
  }

  // MARK: Waiting for a revision

  /// Suspends until `revision` is published; false when that has not happened within `timeout`, or on cancellation.
  func wait(for revision: Revision, timeout: Duration, world: any World) async -> Bool {
    let id: UInt64? = state.withLock { state in
      guard state.history.end.revision < revision else { return nil }
      state.nextID += 1
      return state.nextID
    }
    guard let id else { return true }
    let timer = world.schedule(after: timeout) { self.giveUp(id) }
    defer { timer.cancel() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let early: Bool? = state.withLock { state in
          if state.history.end.revision >= revision { return true }
          if Task.isCancelled { return false }
          state.waiters[id] = (revision, continuation)
          return nil
        }
        if let early { continuation.resume(returning: early) }
      }
    } onCancel: {
      giveUp(id)
    }
  }

  /// Number of those who wait for a revision.
  var waiterCount: Int { state.withLock { $0.waiters.count } }

  private func giveUp(_ id: UInt64) {
    let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
    waiter?.continuation.resume(returning: false)
  }

  private static func takeWaiters(
    _ state: inout State, through revision: Revision
  ) -> [CheckedContinuation<Bool, Never>] {
    guard !state.waiters.isEmpty else { return [] }
    let ready = state.waiters.filter { $0.value.revision <= revision }
    for id in ready.keys { state.waiters[id] = nil }
    return ready.sorted { $0.key < $1.key }.map(\.value.continuation)
  }

  // MARK: Watching

  /// See `ObjectStore.watch`.
  func watch(
    resource: String, after revision: Revision, on world: any World,
    deliver: @escaping @Sendable ([Change], Revision) -> Void, ended: @escaping @Sendable () -> Void
  ) -> WatchStart {
    let result: (start: WatchStart, woken: Outbox?) = state.withLock { state in
      // A revision from the future is awaited: another server was ahead of this one.
      let revision =
        ReplicaMutant.eventTwiceAtResume.isActive && revision > state.history.start ? revision - 1 : revision
      guard let backlog = state.history.since(revision) else { return (.tooOld(oldest: state.history.start), nil) }
      state.nextID += 1
      let outbox: Outbox
      if let known = state.outboxes.first(where: { $0.world === world }) {
        outbox = known
      } else {
        outbox = Outbox(world)
        state.outboxes.append(outbox)
      }
      let subscription = Subscription(id: state.nextID, resource: resource, outbox: outbox, hub: self)
      let watcher = Watcher(
        id: state.nextID, seen: max(revision, state.history.end.revision), floor: revision, deliver: deliver,
        ended: ended)
      return (.started(subscription), outbox.add(watcher, to: resource, backlog: backlog) ? outbox : nil)
    }
    result.woken?.schedule(self)
    return result.start
  }

  fileprivate func cancel(_ subscription: Subscription) {
    let woken = state.withLock { state in
      let woken = subscription.outbox.remove(subscription)
      if subscription.outbox.subscriptionCount == 0 { state.outboxes.removeAll { $0 === subscription.outbox } }
      return woken
    }
    if woken { subscription.outbox.schedule(self) }
  }

  fileprivate func requestProgress(_ subscription: Subscription) {
    let woken = state.withLock { state in
      subscription.outbox.addProgress(subscription, through: state.history.end.revision)
    }
    if woken { subscription.outbox.schedule(self) }
  }

  /// Takes what waits for a loop. Called on that loop.
  fileprivate func takePending(of outbox: Outbox) -> [Outbox.Item] { state.withLock { _ in outbox.take() } }
}

/// One published batch, grouped by resource once for all loops.
private final class ChangeBatch: Sendable {
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

private final class Subscription: WatchSubscription {
  let id: UInt64
  let resource: String
  let outbox: Outbox
  private let hub: WatchHub
  let isCancelled = Atomic(false)

  init(id: UInt64, resource: String, outbox: Outbox, hub: WatchHub) {
    self.id = id
    self.resource = resource
    self.outbox = outbox
    self.hub = hub
  }
  func cancel() {
    guard !isCancelled.exchange(true, ordering: .relaxed) else { return }
    hub.cancel(self)
  }
  func requestProgress() {
    guard !isCancelled.load(ordering: .relaxed) else { return }
    hub.requestProgress(self)
  }
}

/// A subscription's other half, on its loop.
private struct Watcher: Sendable {
  let id: UInt64
  /// Everything up to here is in the backlog or was not wanted: batches that end at or before it are skipped.
  var seen: Revision
  /// The revision the subscriber named: nothing up to it is delivered.
  let floor: Revision
  let deliver: @Sendable ([Change], Revision) -> Void
  let ended: @Sendable () -> Void
}

/// What waits to be delivered on one loop, in order. The queue and counts belong to the hub's lock, the watchers to the
/// loop: all that happens to them travels through the queue, so that nothing overtakes.
private final class Outbox: @unchecked Sendable {
  enum Item {
    case add(Watcher, resource: String, backlog: [ArraySlice<Change>])
    case remove(UInt64, resource: String)
    case batch(ChangeBatch)
    case progress(UInt64, resource: String, through: Revision)
    case reset
  }
  let world: any World
  private var pending: [Item] = []
  private var isScheduled = false
  private var interest: [String: Int] = [:]
  private(set) var subscriptionCount = 0
  /// By resource, in the order of their ids.
  private var watchers: [String: [Watcher]] = [:]

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
  func add(_ watcher: Watcher, to resource: String, backlog: [ArraySlice<Change>]) -> Bool {
    interest[resource, default: 0] += 1
    subscriptionCount += 1
    return add(.add(watcher, resource: resource, backlog: backlog))
  }
  func addProgress(_ subscription: Subscription, through revision: Revision) -> Bool {
    add(.progress(subscription.id, resource: subscription.resource, through: revision))
  }
  func remove(_ subscription: Subscription) -> Bool {
    subscriptionCount -= 1
    let left = (interest[subscription.resource] ?? 1) - 1
    interest[subscription.resource] = left == 0 ? nil : left
    return add(.remove(subscription.id, resource: subscription.resource))
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
      case .add(let watcher, let resource, let backlog):
        watchers[resource, default: []].append(watcher)
        let changes = backlog.lazy.joined().filter { $0.key.resource == resource }
        if !changes.isEmpty { watcher.deliver(Array(changes), watcher.seen) }
      case .remove(let id, let resource):
        if let place = place(of: id, resource) { watchers[resource]?.remove(at: place) }
      case .batch(let batch): deliver(batch)
      case .progress(let id, let resource, let revision):
        guard let place = place(of: id, resource), let watcher = watchers[resource]?[place] else { continue }
        watcher.deliver([], max(revision, watcher.floor) + (ReplicaMutant.progressTooHigh.isActive ? 5 : 0))
      case .reset:
        let ending = watchers.values.flatMap { $0 }.sorted { $0.id < $1.id }
        watchers = [:]
        for watcher in ending { watcher.ended() }
      }
    }
  }

  /// Where a watcher stands among those of its resource: by bisection, for thousands may come and go.
  private func place(of id: UInt64, _ resource: String) -> Int? {
    guard let group = watchers[resource] else { return nil }
    var (low, high) = (0, group.count)
    while low < high {
      let middle = (low + high) / 2
      if group[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low < group.count && group[low].id == id ? low : nil
  }

  private func deliver(_ batch: ChangeBatch) {
    for (resource, changes) in batch.byResource {
      guard let group = watchers[resource] else { continue }
      for watcher in group where batch.revision > watcher.seen {
        if changes[0].revision > watcher.floor {
          watcher.deliver(changes, batch.revision)
        } else {
          let wanted = changes.filter { $0.revision > watcher.floor }
          if !wanted.isEmpty { watcher.deliver(wanted, batch.revision) }
        }
      }
    }
  }
}
