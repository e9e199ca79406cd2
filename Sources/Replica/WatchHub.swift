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

  /// Forgets older versions and the changes that led to `revision` and before (`ChangeHistory.forget`).
  func forget(through revision: Revision) {
    state.withLock { state in
      state.history.forget(through: revision)
      state.found.removeAll { $0.revision < revision }
    }
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
    resource: String, only: WatchedValue? = nil, after revision: Revision, on world: any World,
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
      let place = WatcherPlace(id: state.nextID, resource: resource, field: only?.field, value: only?.value ?? "")
      let subscription = Subscription(place, outbox: outbox, hub: self)
      let watcher = Watcher(
        id: state.nextID, seen: max(revision, state.history.end.revision), floor: revision, deliver: deliver,
        ended: ended)
      let isWoken = outbox.add(watcher, at: place, text: only?.text, backlog: backlog)
      return (.started(subscription), isWoken ? outbox : nil)
    }
    result.woken?.schedule(self)
    return result.start
  }

  func cancel(_ subscription: Subscription) {
    let woken = state.withLock { state in
      let woken = subscription.outbox.remove(subscription)
      if subscription.outbox.subscriptionCount == 0 { state.outboxes.removeAll { $0 === subscription.outbox } }
      return woken
    }
    if woken { subscription.outbox.schedule(self) }
  }

  func requestProgress(_ subscription: Subscription) {
    let woken = state.withLock { state in
      subscription.outbox.addProgress(subscription, through: state.history.end.revision)
    }
    if woken { subscription.outbox.schedule(self) }
  }

  /// Takes what waits for a loop. Called on that loop.
  func takePending(of outbox: Outbox) -> [Outbox.Item] { state.withLock { _ in outbox.take() } }
}

final class Subscription: WatchSubscription {
  let place: WatcherPlace
  let outbox: Outbox
  private let hub: WatchHub
  let isCancelled = Atomic(false)

  init(_ place: WatcherPlace, outbox: Outbox, hub: WatchHub) {
    self.place = place
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
