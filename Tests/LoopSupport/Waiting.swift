// Waiting for what happens on other threads, and values that tests share with them.
import Synchronization

/// A value that tasks of a test share.
public final class Shared<Value: Sendable>: Sendable {
  private let stored: Mutex<Value>
  public init(_ value: Value) { stored = Mutex(value) }
  public var value: Value { stored.withLock { $0 } }
  public func update(_ body: (inout Value) -> Void) { stored.withLock { body(&$0) } }
}

/// A condition did not come to hold.
public struct WaitedTooLong: Error, CustomStringConvertible {
  public let description: String
}

/// Waits until a condition holds. The deadline is one that only a hang reaches.
public func eventually(
  _ what: @autoclosure () -> String, within limit: Duration = .seconds(60), file: String = #fileID, line: Int = #line,
  isolation: isolated (any Actor)? = #isolation, _ condition: () async throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + limit
  while try await !condition() {
    guard ContinuousClock.now < deadline else {
      throw WaitedTooLong(description: "\(file):\(line): waited too long: \(what())")
    }
    try await Task.sleep(for: .milliseconds(2))
  }
}
