// Macros: calls that become other syntax while parsing.

struct MacroCall {
  let function: String
  let target: Expression?
  let arguments: [Expression]
  /// The call itself, for the place of what it becomes.
  let place: Expression
}

/// The macros an environment knows.
struct MacroSet: Sendable {
  /// `all(i, v, …)`, `transformMap(…)` and their like.
  var hasTwoVariableComprehensions = false

  static let accumulator = "__result__"

  /// What the call becomes; nil when it is a plain call. A macro that is used wrongly is reported and stays a call.
  func expand(_ call: MacroCall, in parser: inout Parser) -> Expression? {
    var expansion = MacroExpansion(call: call, parser: parser)
    defer { parser = expansion.parser }
    guard call.target != nil else {
      return call.function == "has" && call.arguments.count == 1 ? expansion.has() : nil
    }
    switch (call.function, call.arguments.count) {
    case ("all", 2): return expansion.all(variables: 1)
    case ("exists", 2): return expansion.exists(variables: 1)
    case ("exists_one", 2): return expansion.existsOne(variables: 1)
    case ("map", 2), ("map", 3): return expansion.map()
    case ("filter", 2): return expansion.filter()
    case ("optMap", 2): return expansion.optionalMap(isFlat: false)
    case ("optFlatMap", 2): return expansion.optionalMap(isFlat: true)
    default: break
    }
    guard hasTwoVariableComprehensions else { return nil }
    switch (call.function, call.arguments.count) {
    case ("all", 3): return expansion.all(variables: 2)
    case ("exists", 3): return expansion.exists(variables: 2)
    case ("existsOne", 3), ("exists_one", 3): return expansion.existsOne(variables: 2)
    case ("transformList", 3), ("transformList", 4): return expansion.transformList()
    case ("transformMap", 3), ("transformMap", 4): return expansion.transformMap()
    case ("transformMapEntry", 3), ("transformMapEntry", 4): return expansion.transformMapEntry()
    default: return nil
    }
  }
}

private struct MacroExpansion {
  let call: MacroCall
  var parser: Parser

  private var arguments: [Expression] { call.arguments }

  private mutating func node(_ kind: Expression.Kind) -> Expression { parser.node(like: call.place, kind) }
  private mutating func identifier(_ name: String) -> Expression { node(.identifier(name)) }
  private mutating func accumulator() -> Expression { identifier(MacroSet.accumulator) }
  private mutating func literal(_ value: CELValue) -> Expression { node(.literal(value)) }
  private mutating func function(_ name: String, _ arguments: Expression...) -> Expression {
    node(.call(target: nil, function: name, arguments: arguments))
  }
  private mutating func method(_ name: String, of target: Expression, _ arguments: Expression...) -> Expression {
    node(.call(target: target, function: name, arguments: arguments))
  }

  /// The name an argument is; reported when it is none.
  private mutating func name(_ index: Int) -> String? {
    guard case .identifier(let name) = arguments[index].kind, !name.hasPrefix(".") else {
      parser.report("argument must be a simple name", at: arguments[index])
      return nil
    }
    guard name != MacroSet.accumulator else {
      parser.report("iteration variable overwrites accumulator variable", at: arguments[index])
      return nil
    }
    return name
  }

  private mutating func variables(_ count: Int) -> (first: String, second: String?)? {
    guard let first = name(0) else { return nil }
    guard count == 2 else { return (first, nil) }
    guard let second = name(1) else { return nil }
    guard first != second else {
      parser.report("duplicate variable name: \(second)", at: arguments[1])
      return nil
    }
    return (first, second)
  }

  private mutating func comprehension(
    _ variables: (first: String, second: String?), initial: Expression, condition: Expression, step: Expression,
    result: Expression
  ) -> Expression? {
    guard let range = call.target else { return nil }
    return node(
      .comprehension(
        Expression.Comprehension(
          range: range, variable: variables.first, secondVariable: variables.second,
          accumulator: MacroSet.accumulator, initial: initial, condition: condition, step: step, result: result)))
  }

  mutating func has() -> Expression? {
    guard case .select(let operand, let field, false) = arguments[0].kind else {
      parser.report("invalid argument to has() macro", at: arguments[0])
      return nil
    }
    return node(.select(operand: operand, field: field, testOnly: true))
  }

  mutating func all(variables count: Int) -> Expression? {
    guard let variables = variables(count) else { return nil }
    return comprehension(
      variables, initial: literal(.bool(true)),
      condition: function(Operator.notStrictlyFalse, accumulator()),
      step: function(Operator.and, accumulator(), arguments[count]), result: accumulator())
  }

  mutating func exists(variables count: Int) -> Expression? {
    guard let variables = variables(count) else { return nil }
    return comprehension(
      variables, initial: literal(.bool(false)),
      condition: function(Operator.notStrictlyFalse, function(Operator.not, accumulator())),
      step: function(Operator.or, accumulator(), arguments[count]), result: accumulator())
  }

  mutating func existsOne(variables count: Int) -> Expression? {
    guard let variables = variables(count) else { return nil }
    let one = function(Operator.add, accumulator(), literal(.int(1)))
    return comprehension(
      variables, initial: literal(.int(0)), condition: literal(.bool(true)),
      step: function(Operator.conditional, arguments[count], one, accumulator()),
      result: function(Operator.equals, accumulator(), literal(.int(1))))
  }

  /// `accumulator + [element]`, where the filter holds.
  private mutating func collected(_ element: Expression, where filter: Expression?) -> Expression {
    let single = node(.list([element], optional: []))
    let added = function(Operator.add, accumulator(), single)
    guard let filter else { return added }
    return function(Operator.conditional, filter, added, accumulator())
  }

  private mutating func list(_ variables: (first: String, second: String?), step: Expression) -> Expression? {
    comprehension(
      variables, initial: node(.list([], optional: [])), condition: literal(.bool(true)), step: step,
      result: accumulator())
  }

  mutating func map() -> Expression? {
    guard let variables = variables(1) else { return nil }
    let filter = arguments.count == 3 ? arguments[1] : nil
    return list(variables, step: collected(arguments[arguments.count - 1], where: filter))
  }

  mutating func filter() -> Expression? {
    guard let variables = variables(1) else { return nil }
    return list(variables, step: collected(arguments[0], where: arguments[1]))
  }

  mutating func transformList() -> Expression? {
    guard let variables = variables(2) else { return nil }
    let filter = arguments.count == 4 ? arguments[2] : nil
    return list(variables, step: collected(arguments[arguments.count - 1], where: filter))
  }

  private mutating func map(_ variables: (first: String, second: String?), inserted: Expression) -> Expression? {
    let filtered =
      arguments.count == 4 ? function(Operator.conditional, arguments[2], inserted, accumulator()) : inserted
    return comprehension(
      variables, initial: node(.map([])), condition: literal(.bool(true)), step: filtered, result: accumulator())
  }

  mutating func transformMap() -> Expression? {
    guard let variables = variables(2) else { return nil }
    let key = identifier(variables.first)
    let inserted = function("cel.@mapInsert", accumulator(), key, arguments[arguments.count - 1])
    return map(variables, inserted: inserted)
  }

  mutating func transformMapEntry() -> Expression? {
    guard let variables = variables(2) else { return nil }
    return map(variables, inserted: function("cel.@mapInsert", accumulator(), arguments[arguments.count - 1]))
  }

  /// `target.hasValue() ? optional.of(let name = target.value() in body) : optional.none()`.
  mutating func optionalMap(isFlat: Bool) -> Expression? {
    guard let target = call.target, let name = name(0) else { return nil }
    let bound = node(
      .comprehension(
        Expression.Comprehension(
          range: node(.list([], optional: [])), variable: "#unused", secondVariable: nil, accumulator: name,
          initial: method("value", of: target), condition: literal(.bool(false)), step: identifier(name),
          result: arguments[1])))
    let present = isFlat ? bound : function("optional.of", bound)
    return function(
      Operator.conditional, method("hasValue", of: target), present, function("optional.none"))
  }
}
