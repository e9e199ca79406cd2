// A store of one server without log or disk: the state machine behind a lock. For tests and tools.

import Synchronization
import World

/// An `ObjectStore` in memory that applies commands directly, through the same entries, state machine and hub as the
/// replicated one.
public final class LocalStore: ObjectStore {
  private struct State {
    var machine = StateMachine()
    var nextSequence: UInt64 = 1
  }
  private let world: any World
  private let state = Mutex(State())
  private let hub = WatchHub(StateMachine().version)

  public init(world: any World) { self.world = world }

  public var current: any StateView { hub.current }

  public func state(at revision: Revision) -> (any StateView)? { hub.version(at: revision) }

  public func commit(_ command: Command) async throws(StoreError) -> CommandOutcome {
    try commitNow(command)
  }

  /// `commit` for callers that cannot wait.
  public func commitNow(_ command: Command) throws(StoreError) -> CommandOutcome {
    let result: Result<CommandOutcome, StoreError> = state.withLock { state in
      do throws(StoreError) { return .success(try apply(command, to: &state)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private func apply(_ command: Command, to state: inout State) throws(StoreError) -> CommandOutcome {
    let request = RequestID(origin: 1, incarnation: 1, sequence: state.nextSequence)
    let entry = try CommandEntry(request: request, lowWatermark: request.sequence, command: command).encoded()
    state.nextSequence += 1
    var changes: [Change] = []
    let applied: Applied
    do {
      applied = try state.machine.apply(entry, index: state.machine.appliedIndex + 1, term: 1, changes: &changes)
    } catch {
      throw .stopped("an entry that was just written cannot be read: \(error)")
    }
    // Published under the lock that orders the commands: watches see them in order.
    hub.publish(state.machine.version, changes: changes)
    guard let outcome = applied.outcome else { throw .stopped("a new request was taken for an old one") }
    return outcome
  }

  public func linearizableState() async throws(StoreError) -> any StateView { hub.current }

  public func state(atLeast revision: Revision, timeout: Duration) async -> (any StateView)? {
    await hub.wait(for: revision, timeout: timeout, world: world) ? hub.current : nil
  }

  public func watch(
    resource: String, only: WatchedValue?, after revision: Revision, on world: any World,
    deliver: @escaping @Sendable ([Change], Revision) -> Void, ended: @escaping @Sendable () -> Void
  ) -> WatchStart {
    hub.watch(resource: resource, only: only, after: revision, on: world, deliver: deliver, ended: ended)
  }
}
