import Synchronization

/// One suspended sleep: resumed once, by its timer or by cancellation, whichever comes first.
final class Sleeper: Sendable {
  private enum State {
    case idle
    case waiting(CheckedContinuation<Void, any Error>, (any ScheduledTimer)?)
    case finished(Result<Void, any Error>)
  }
  private let state = Mutex<State>(.idle)

  /// Stores the continuation, then starts the timer; resumes at once if the task was cancelled in between.
  func begin(_ continuation: CheckedContinuation<Void, any Error>, start: () -> any ScheduledTimer) {
    let early: Result<Void, any Error>? = state.withLock { state in
      if case .finished(let result) = state { return result }
      state = .waiting(continuation, nil)
      return nil
    }
    if let early { return continuation.resume(with: early) }
    let timer = start()
    let late = state.withLock { state in
      guard case .waiting(let continuation, _) = state else { return true }
      state = .waiting(continuation, timer)
      return false
    }
    if late { timer.cancel() }
  }

  func finish(_ result: Result<Void, any Error>) {
    let resumed: (CheckedContinuation<Void, any Error>, (any ScheduledTimer)?)? = state.withLock { state in
      switch state {
      case .idle:
        state = .finished(result)
        return nil
      case .waiting(let continuation, let timer):
        state = .finished(result)
        return (continuation, timer)
      case .finished: return nil
      }
    }
    guard let (continuation, timer) = resumed else { return }
    timer?.cancel()
    continuation.resume(with: result)
  }
}
