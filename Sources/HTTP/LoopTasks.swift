// Tasks that start on a loop and stay there.

import EventLoop

/// The isolation of a loop's tasks: an actor whose executor is the loop. A task that starts isolated to it runs
/// nonisolated async code (handlers) on the loop as well, without a hop and without a task executor preference, which
/// would make every suspension dearer.
actor LoopTasks {
  private nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  /// The one of the loop. Loop-confined.
  static func on(_ loop: EventLoop) -> LoopTasks { loop.local(LoopTasks.self) { LoopTasks(loop) } }

  private init(_ loop: EventLoop) { self.loop = loop }

  /// Starts a task of `owner` on the loop. Loop-confined.
  ///
  /// The owner is passed to `body` and not captured as `self`: a closure that captures `self` does not inherit the
  /// caller's isolation (Swift 6.3), and would run on the process's default executor.
  @discardableResult
  nonisolated func start<Owner: Sendable>(
    for owner: Owner, _ body: @escaping @Sendable (Owner) async -> Void
  ) -> Task<Void, Never> {
    assumeIsolated { $0.startIsolated(owner, body) }
  }

  private func startIsolated<Owner: Sendable>(
    _ owner: Owner, _ body: @escaping @Sendable (Owner) async -> Void
  ) -> Task<Void, Never> {
    Task {
      // The capture makes the task isolated to this actor.
      _ = self
      await body(owner)
    }
  }
}

/// One task that waits until a connection has sent what it had queued. Loop-confined.
struct DrainWaiter {
  private var continuation: CheckedContinuation<Void, Never>?

  mutating func wait(_ continuation: CheckedContinuation<Void, Never>) {
    precondition(self.continuation == nil, "one task writes to a connection")
    self.continuation = continuation
  }

  mutating func resume() { continuation.take()?.resume() }
}
