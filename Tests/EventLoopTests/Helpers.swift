import EventLoop
import Synchronization
import World

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

/// Runs `body` with a loop on its own thread, which is stopped and joined afterwards.
func withLoop<Value>(_ name: String = "test", _ body: (EventLoop) async throws -> Value) async throws -> Value {
  let loop = EventLoop.start(name: name)
  defer {
    loop.stop()
    loop.join()
  }
  return try await body(loop)
}

extension EventLoop {
  /// Runs `body` on the loop and returns what it returns.
  func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      execute { continuation.resume(with: Result { try body() }) }
    }
  }

  /// Waits until `condition`, asked on the loop, holds.
  func wait(atMost limit: Duration = .seconds(10), until condition: @escaping @Sendable () -> Bool) async throws {
    try await withDeadline(limit) {
      while try await !self.run({ condition() }) { try await self.sleep(for: .milliseconds(1)) }
    }
  }
}

/// Remembers what a stream tells.
final class RecordingHandler: StreamHandler {
  private(set) var received: [UInt8] = []
  private(set) var drains = 0
  private(set) var closes = 0
  private(set) var closeError: StreamError?
  var onReceive: ((UnsafeRawBufferPointer) -> Void)?
  var onDrain: (() -> Void)?
  var onClose: ((StreamError?) -> Void)?

  func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
    received.append(contentsOf: bytes)
    onReceive?(bytes)
  }
  func streamDidDrain() {
    drains += 1
    onDrain?()
  }
  func streamDidClose(_ error: StreamError?) {
    closes += 1
    closeError = error
    onClose?(error)
    onReceive = nil
    onDrain = nil
    onClose = nil
  }
}
