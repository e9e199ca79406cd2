// A place for what takes long and nobody's turn: documents of all that is served take hundreds of milliseconds where
// there are hundreds of definitions, and a loop that makes them answers nobody else meanwhile.
import Synchronization

/// Runs what is handed in, one piece after the other, in the order it came. Any thread may hand work in.
public protocol BackgroundWork: Sendable {
  func perform(_ body: @escaping @Sendable () -> Void)
}

/// Runs it where it was handed in, at once: for tests and simulations, where there is no other place.
public struct WorkInPlace: BackgroundWork {
  public init() {}
  public func perform(_ body: @escaping @Sendable () -> Void) { body() }
}

extension BackgroundWork {
  /// What `body` returns, when its turn has come.
  func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in perform { continuation.resume(returning: body()) } }
  }
}

/// A value that is made when it is first asked for, once for all who ask. Any thread.
final class MadeOnce<Value: Sendable>: Sendable {
  private enum State {
    case unmade
    case underWay([CheckedContinuation<Value, Never>])
    case made(Value)
  }
  private let state = Mutex(State.unmade)

  /// The value, if it is there.
  var known: Value? { state.withLock { if case .made(let value) = $0 { value } else { nil } } }

  /// The value, made by `make` if nobody has asked before.
  func value(by work: any BackgroundWork, _ make: @escaping @Sendable () -> Value) async -> Value {
    if let known { return known }
    return await withCheckedContinuation { continuation in
      let (made, isFirst) = state.withLock { state -> (Value?, Bool) in
        switch state {
        case .made(let value): return (value, false)
        case .underWay(let waiters):
          state = .underWay(waiters + [continuation])
          return (nil, false)
        case .unmade:
          state = .underWay([continuation])
          return (nil, true)
        }
      }
      if let made { continuation.resume(returning: made) }
      if isFirst { work.perform { [self] in finish(make()) } }
    }
  }

  private func finish(_ value: Value) {
    let waiters = state.withLock { state -> [CheckedContinuation<Value, Never>] in
      guard case .underWay(let waiters) = state else { return [] }
      state = .made(value)
      return waiters
    }
    for waiter in waiters { waiter.resume(returning: value) }
  }
}
