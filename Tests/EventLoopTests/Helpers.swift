import Synchronization

/// A value that comes later, from a loop to a test.
final class Promise<Value: Sendable>: Sendable {
  private let state = Mutex<(value: Value?, waiter: CheckedContinuation<Value, Never>?)>((nil, nil))

  func fulfil(_ value: Value) {
    let waiter = state.withLock { state -> CheckedContinuation<Value, Never>? in
      precondition(state.value == nil, "a promise is fulfilled once")
      state.value = value
      return state.waiter.take()
    }
    waiter?.resume(returning: value)
  }

  var value: Value {
    get async {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Value? in
          if state.value == nil { state.waiter = continuation }
          return state.value
        }
        if let ready { continuation.resume(returning: ready) }
      }
    }
  }
}
