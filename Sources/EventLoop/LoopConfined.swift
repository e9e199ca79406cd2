// A pass for a loop's own object through code that only lets Sendable values by.

/// A value that lives on one loop, in a box that may travel anywhere: opening it elsewhere traps.
public struct LoopConfined<Value>: @unchecked Sendable {
  public let loop: EventLoop
  private let stored: Value

  /// Boxes `value`, which belongs to `loop`.
  public init(_ value: Value, on loop: EventLoop) {
    self.loop = loop
    stored = value
  }

  /// The value; only on its loop.
  public var value: Value {
    loop.preconditionOnLoop()
    return stored
  }

  /// Runs `body` with the value on its loop, later.
  public func execute(_ body: @escaping @Sendable (Value) -> Void) {
    loop.execute { body(self.value) }
  }
}
