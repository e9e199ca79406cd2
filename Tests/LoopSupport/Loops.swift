// Loops and streams for tests: a loop of one's own, conditions asked on it, and what a stream told.
import EventLoop
import World

/// Runs `body` with a loop on its own thread, which is stopped and joined afterwards.
public func withLoop<Value>(_ name: String = "test", _ body: (EventLoop) async throws -> Value) async throws -> Value {
  let loop = EventLoop.start(name: name)
  defer {
    loop.stop()
    loop.join()
  }
  return try await body(loop)
}

extension EventLoop {
  /// Runs `body` on the loop and returns what it returns.
  public func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      execute { continuation.resume(with: Result { try body() }) }
    }
  }

  /// Waits until `condition`, asked on the loop, holds.
  public func wait(
    atMost limit: Duration = .seconds(20), until condition: @escaping @Sendable () -> Bool
  ) async throws {
    try await withDeadline(limit) {
      while try await !self.run({ condition() }) { try await self.sleep(for: .milliseconds(1)) }
    }
  }
}

/// Remembers what a stream tells.
public final class RecordingHandler: StreamHandler {
  public private(set) var received: [UInt8] = []
  public private(set) var drains = 0
  public private(set) var closes = 0
  public private(set) var closeError: StreamError?
  public var onReceive: ((UnsafeRawBufferPointer) -> Void)?
  public var onDrain: (() -> Void)?
  public var onClose: ((StreamError?) -> Void)?

  public init() {}

  public func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
    received.append(contentsOf: bytes)
    onReceive?(bytes)
  }
  public func streamDidDrain() {
    drains += 1
    onDrain?()
  }
  public func streamDidClose(_ error: StreamError?) {
    closes += 1
    closeError = error
    onClose?(error)
    onReceive = nil
    onDrain = nil
    onClose = nil
  }
}
