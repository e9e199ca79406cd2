// The executable form of an expression: names are resolved to places, constants are values.

indirect enum Node: Sendable {
  case constant(CELValue)
  /// A variable of the environment by its place in the program's list.
  case variable(Int)
  /// A variable of a comprehension.
  case local(Int)
  /// What a comprehension gathers; it may be an error.
  case accumulator(Int)
  case select(Node, field: String)
  /// `has(operand.field)`.
  case presence(Node, field: String)
  case optionalSelect(Node, field: String)
  case index(Node, Node)
  case optionalIndex(Node, Node)
  case and(Node, Node)
  case or(Node, Node)
  case conditional(Node, Node, Node)
  case notStrictlyFalse(Node)
  case list([Node], optional: Set<Int>)
  case map([(key: Node, value: Node, isOptional: Bool)])
  case call(CELFunction, [Node], overload: String)
  case comprehension(Loop)
  /// `accumulator + [element]`: the list grows in place.
  case append(Int, Node)
  /// `let slot = value in body`.
  case bind(Int, value: Node, body: Node)

  final class Loop: Sendable {
    let range: Node
    let variable: Int
    let secondVariable: Int?
    let accumulator: Int
    let initial: Node
    /// nil: always.
    let condition: Node?
    let step: Node
    let result: Node

    init(
      range: Node, variable: Int, secondVariable: Int?, accumulator: Int, initial: Node, condition: Node?, step: Node,
      result: Node
    ) {
      self.range = range
      self.variable = variable
      self.secondVariable = secondVariable
      self.accumulator = accumulator
      self.initial = initial
      self.condition = condition
      self.step = step
      self.result = result
    }
  }

  /// A name, or a chain of selections that begins with one: what the cost model calls an attribute.
  var isAttribute: Bool {
    switch self {
    case .variable, .local, .accumulator, .select, .index, .optionalSelect, .optionalIndex: true
    default: false
    }
  }
}

/// The state of one evaluation.
final class Frame {
  /// Values of comprehension variables, and errors where an accumulator holds one.
  var locals: [CELValue]
  var failures: [CELError?]
  private let names: [String]
  private let bindings: CELBindings
  private(set) var cost: UInt64 = 0
  private let costLimit: UInt64

  init(slots: Int, variables: [String], bindings: CELBindings, costLimit: UInt64) {
    locals = Array(repeating: .null, count: slots)
    failures = Array(repeating: nil, count: slots)
    names = variables
    self.bindings = bindings
    self.costLimit = costLimit
  }

  func charge(_ amount: UInt64) throws(CELError) {
    let (sum, overflow) = cost.addingReportingOverflow(amount)
    cost = overflow ? .max : sum
    if cost > costLimit { throw .costExceeded }
  }

  func variable(_ place: Int) throws(CELError) -> CELValue {
    guard let value = bindings[names[place]] else { throw CELError("no such attribute(s): \(names[place])") }
    return value
  }
}
