// Wakes whoever keeps up with objects of a few kinds when one of them changed: definitions, API services, flow control.
import Replica
import Schema
import Synchronization
import World

final class ChangeSignal: Sendable {
  /// Looked at this often even when nothing seems to have changed.
  static let pollInterval = Duration.seconds(30)
  /// After a pass that could not finish, or while deleted definitions wait for their objects' finalizers.
  static let retryInterval = Duration.milliseconds(500)

  private struct State {
    var isRaised = false
    var hasEnded = false
    var waiter: CheckedContinuation<Void, Never>?
  }
  private let world: any World
  private let state = Mutex(State())

  init(world: any World) { self.world = world }

  /// The watch cannot go on: subscribe again.
  var hasEnded: Bool { state.withLock(\.hasEnded) }

  /// Raised by every change of such an object from now on. nil: nothing is heard, time alone wakes.
  func subscribe(
    _ store: any ObjectStore, resource: String = DefinedKinds.resource.description,
    concerning concerns: @escaping @Sendable (ObjectKey) -> Bool = { _ in true }
  ) -> (any WatchSubscription)? {
    state.withLock { $0.hasEnded = false }
    let start = store.watch(
      resource: resource, after: store.current.revision, on: world,
      deliver: { [weak self] changes, _ in if changes.contains(where: { concerns($0.key) }) { self?.raise() } },
      ended: { [weak self] in
        self?.state.withLock { $0.hasEnded = true }
        self?.raise()
      })
    guard case .started(let subscription) = start else { return nil }
    return subscription
  }

  func raise() {
    let waiter = state.withLock { state in
      state.isRaised = state.waiter == nil
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  /// Returns when raised, or when the time is up; throws when the task is cancelled.
  func wait(atMost limit: Duration) async throws {
    try Task.checkCancellation()
    let timer = world.schedule(after: limit) { self.raise() }
    defer { timer.cancel() }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isRaised = state.withLock { state in
          if state.isRaised {
            state.isRaised = false
            return true
          }
          state.waiter = continuation
          return false
        }
        if isRaised { continuation.resume() }
      }
    } onCancel: {
      self.raise()
    }
    try Task.checkCancellation()
  }
}
