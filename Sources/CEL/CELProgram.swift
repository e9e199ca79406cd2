// A compiled expression, and what comes of running it.

/// The least and the most a thing may cost.
public struct CELCostRange: Sendable, Hashable {
  public var minimum: UInt64
  /// `UInt64.max` where nothing bounds it.
  public var maximum: UInt64
  public init(minimum: UInt64, maximum: UInt64) {
    self.minimum = minimum
    self.maximum = maximum
  }
}

/// What variables stand for during one evaluation.
public struct CELBindings: Sendable {
  private var values: [String: CELValue]

  public init(_ values: [String: CELValue] = [:]) { self.values = values }

  public subscript(name: String) -> CELValue? {
    get { values[name] }
    set { values[name] = newValue }
  }
}

/// The result of one evaluation and what it cost.
public struct CELEvaluation: Sendable {
  public let result: Result<CELValue, CELError>
  public let cost: UInt64
}

/// A compiled expression: immutable, shared freely between threads.
public struct CELProgram: Sendable {
  public let text: String
  public let resultType: CELType
  /// Worst case by the sizes that schemas allow.
  public let estimatedCost: CELCostRange
  let node: Node
  /// Places for variables of comprehensions.
  let slots: Int
  /// Variables of the environment that the expression uses.
  let variables: [String]

  /// Whether the expression uses that variable of its environment ("oldSelf").
  public func uses(_ variable: String) -> Bool { variables.contains(variable) }

  /// Runs the expression; ends with an error when it costs more than `costLimit`.
  public func evaluate(_ bindings: CELBindings, costLimit: UInt64 = CELLimits.costPerCall) -> CELEvaluation {
    let frame = Frame(slots: slots, variables: variables, bindings: bindings, costLimit: costLimit)
    do throws(CELError) {
      let value = try node.evaluate(frame)
      return CELEvaluation(result: .success(value), cost: frame.cost)
    } catch {
      return CELEvaluation(result: .failure(error), cost: frame.cost)
    }
  }
}
