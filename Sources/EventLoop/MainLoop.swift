// The loop on which a program's commands run.
import World

/// The loop of the main thread.
public enum MainLoop {
  public static let shared = EventLoop(name: "main")

  /// Runs an asynchronous command to its end on the main thread.
  public static func run(_ body: @escaping @Sendable (EventLoop) async throws -> Void) throws {
    let outcome = Outcome()
    shared.spawn {
      do { try await body(shared) } catch { outcome.error = error }
      shared.stop()
    }
    shared.run()
    if let error = outcome.error { throw error }
  }

  /// Written on the main loop, read when it has stopped.
  private final class Outcome: @unchecked Sendable {
    var error: (any Error)?
  }
}
