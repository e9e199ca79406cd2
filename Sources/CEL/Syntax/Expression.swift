// The abstract syntax of CEL. Macros are expanded already: what they become are comprehensions.

/// A node of the syntax tree. Its id leads to its place in the source, its type and the function it calls.
final class Expression: Sendable {
  indirect enum Kind: Sendable {
    case literal(CELValue)
    case identifier(String)
    /// `operand.field`; `testOnly` is `has(operand.field)`.
    case select(operand: Expression, field: String, testOnly: Bool)
    /// Operators are calls of the functions `Operator` names.
    case call(target: Expression?, function: String, arguments: [Expression])
    /// Optional elements (`[?e]`) by position.
    case list([Expression], optional: Set<Int>)
    case map([MapEntry])
    case structure(name: String)
    case comprehension(Comprehension)
  }

  struct MapEntry: Sendable {
    let key: Expression
    let value: Expression
    let isOptional: Bool
  }

  /// `accumulator = initial; for variable in range { if !condition { break }; accumulator = step }; result`.
  struct Comprehension: Sendable {
    let range: Expression
    let variable: String
    /// The value beside an index or a key, in comprehensions of two variables.
    let secondVariable: String?
    let accumulator: String
    let initial: Expression
    let condition: Expression
    let step: Expression
    let result: Expression
  }

  let id: Int
  let kind: Kind

  init(id: Int, _ kind: Kind) {
    self.id = id
    self.kind = kind
  }

  /// "a.b.c" of a chain of selections from an identifier.
  var qualifiedName: String? {
    switch kind {
    case .identifier(let name): return name
    case .select(let operand, let field, false):
      guard let prefix = operand.qualifiedName else { return nil }
      return prefix + "." + field
    default: return nil
    }
  }
}

/// The names operators have as functions.
enum Operator {
  static let and = "_&&_"
  static let or = "_||_"
  static let conditional = "_?_:_"
  static let not = "!_"
  static let negate = "-_"
  static let equals = "_==_"
  static let notEquals = "_!=_"
  static let less = "_<_"
  static let lessOrEqual = "_<=_"
  static let greater = "_>_"
  static let greaterOrEqual = "_>=_"
  static let add = "_+_"
  static let subtract = "_-_"
  static let multiply = "_*_"
  static let divide = "_/_"
  static let modulo = "_%_"
  static let contains = "@in"
  static let index = "_[_]"
  static let optionalIndex = "_[?_]"
  static let optionalSelect = "_?._"
  static let notStrictlyFalse = "@not_strictly_false"
}

/// A parsed expression: the tree, and for every node's id the offset it stands at.
struct ParsedExpression: Sendable {
  let root: Expression
  let offsets: [Int]
  let source: SourceText
}
