// Every node gets a type, every call the overloads it may mean.

/// A checked expression: what the checker found out, by the ids of nodes.
struct CheckedExpression: Sendable {
  let parsed: ParsedExpression
  /// Types by node id; `dyn` where none was found out.
  let types: [CELType]
  /// Ids of the overloads a call may mean.
  let overloads: [Int: [String]]
  /// Names of functions in a namespace (`optional.of`) by the id of the call: its target is no value.
  let namespacedCalls: [Int: String]
  /// Variables and types that an identifier or a chain of selections names.
  let names: [Int: NameReference]

  var resultType: CELType { types[parsed.root.id] }
}

enum NameReference: Sendable {
  /// Declared by the environment.
  case variable(String)
  /// Bound by a comprehension.
  case local(String)
  case type(CELType)
}

struct Checker {
  private let environment: CELEnvironment
  private let parsed: ParsedExpression
  private var bindings = TypeBindings()
  private var types: [CELType]
  private var overloads: [Int: [String]] = [:]
  private var namespacedCalls: [Int: String] = [:]
  private var names: [Int: NameReference] = [:]
  private var scopes: [[String: CELType]] = []
  private var issues: [CELIssue] = []

  static func check(_ parsed: ParsedExpression, in environment: CELEnvironment) throws(CELIssues) -> CheckedExpression {
    var checker = Checker(parsed, environment)
    checker.check(parsed.root)
    guard checker.issues.isEmpty else { throw CELIssues(checker.issues, in: parsed.source) }
    let bindings = checker.bindings
    return CheckedExpression(
      parsed: parsed, types: checker.types.map { bindings.substitute($0, unboundToDyn: true) },
      overloads: checker.overloads, namespacedCalls: checker.namespacedCalls, names: checker.names)
  }

  private init(_ parsed: ParsedExpression, _ environment: CELEnvironment) {
    self.parsed = parsed
    self.environment = environment
    types = Array(repeating: .dyn, count: parsed.offsets.count)
  }

  private mutating func report(_ message: String, at expression: Expression) {
    let place = parsed.source.position(of: parsed.offsets[expression.id])
    issues.append(CELIssue(line: place.line, column: place.column, message: message))
  }

  private mutating func set(_ expression: Expression, _ type: CELType) { types[expression.id] = type }
  private func type(of expression: Expression) -> CELType { types[expression.id] }

  private mutating func mismatch(_ expected: CELType, _ actual: CELType, at expression: Expression) {
    let expected = bindings.substitute(expected)
    let actual = bindings.substitute(actual)
    report("expected type '\(expected)' but found '\(actual)'", at: expression)
  }

  // MARK: Nodes

  private mutating func check(_ expression: Expression) {
    switch expression.kind {
    case .literal(let value): set(expression, value.type)
    case .identifier(let name): checkIdentifier(expression, name)
    case .select(let operand, let field, let testOnly): checkSelect(expression, operand, field, testOnly)
    case .call(let target, let function, let arguments): checkCall(expression, target, function, arguments)
    case .list(let elements, let optional): checkList(expression, elements, optional)
    case .map(let entries): checkMap(expression, entries)
    case .structure(let name):
      report("undeclared reference to '\(name)' (in container '')", at: expression)
      set(expression, .error)
    case .comprehension(let comprehension): checkComprehension(expression, comprehension)
    }
  }

  private func lookUp(_ name: String) -> (NameReference, CELType)? {
    for scope in scopes.reversed() {
      if let type = scope[name] { return (.local(name), type) }
    }
    let name = name.hasPrefix(".") ? String(name.dropFirst()) : name
    if let variable = environment.variable(name) { return (.variable(name), variable.schema.type) }
    if let type = environment.typeNamed(name) { return (.type(type), .type(type)) }
    return nil
  }

  private mutating func checkIdentifier(_ expression: Expression, _ name: String) {
    guard let (reference, type) = lookUp(name) else {
      report("undeclared reference to '\(name)' (in container '')", at: expression)
      set(expression, .error)
      return
    }
    names[expression.id] = reference
    set(expression, type)
  }

  private mutating func checkSelect(
    _ expression: Expression, _ operand: Expression, _ field: String, _ testOnly: Bool
  ) {
    if !testOnly, let name = expression.qualifiedName, let (reference, type) = lookUp(name) {
      names[expression.id] = reference
      set(expression, type)
      return
    }
    let result = checkField(expression, operand, field, isOptional: false)
    set(expression, testOnly ? .bool : bindings.substitute(result))
  }

  private mutating func checkField(
    _ expression: Expression, _ operand: Expression, _ field: String, isOptional: Bool
  ) -> CELType {
    check(operand)
    let operandType = bindings.substitute(type(of: operand))
    let target = operandType.optionalContent ?? operandType
    var result = CELType.dyn
    switch target {
    case .map(_, let value): result = value
    case .object(let schema):
      if let member = schema.members[field] {
        result = member.schema.type
      } else {
        report("undefined field '\(field)'", at: expression)
        result = .error
      }
    case .variable: _ = bindings.isAssignable(.dyn, target)
    case .dyn, .error: break
    default: report("type '\(target)' does not support field selection", at: expression)
    }
    return operandType.optionalContent != nil || isOptional ? .optional(result) : result
  }

  // MARK: Calls

  private mutating func checkCall(
    _ expression: Expression, _ target: Expression?, _ function: String, _ arguments: [Expression]
  ) {
    if function == Operator.optionalSelect, case .literal(.string(let field)) = arguments[1].kind {
      let result = checkField(expression, arguments[0], field, isOptional: true)
      set(expression, bindings.substitute(result))
      set(arguments[1], .string)
      overloads[expression.id] = ["select_optional_field"]
      return
    }
    for argument in arguments { check(argument) }
    guard let target else {
      let name = function.hasPrefix(".") ? String(function.dropFirst()) : function
      guard let declared = environment.function(name) else { return undeclared(function, at: expression) }
      resolve(expression, declared, arguments, isMember: false)
      return
    }
    if let prefix = target.qualifiedName, let declared = environment.function("\(prefix).\(function)") {
      namespacedCalls[expression.id] = declared.name
      resolve(expression, declared, arguments, isMember: false)
      return
    }
    check(target)
    guard let declared = environment.function(function) else { return undeclared(function, at: expression) }
    resolve(expression, declared, [target] + arguments, isMember: true)
  }

  private mutating func undeclared(_ function: String, at expression: Expression) {
    report("undeclared reference to '\(function)' (in container '')", at: expression)
    set(expression, .error)
  }

  private mutating func resolve(
    _ expression: Expression, _ function: CELFunction, _ arguments: [Expression], isMember: Bool
  ) {
    let argumentTypes = arguments.map { type(of: $0) }
    var result: CELType?
    var found: [String] = []
    for overload in function.overloads
    where overload.isMember == isMember && overload.parameters.count == argumentTypes.count {
      let (parameters, overloadResult) = bindings.instantiate(overload)
      guard bindings.isAssignable(parameters, argumentTypes) else { continue }
      found.append(overload.id)
      let type = bindings.substitute(overloadResult)
      if let earlier = result {
        if earlier != .dyn, earlier != type { result = .dyn }
      } else {
        result = type
      }
    }
    guard let result else {
      let shown = argumentTypes.map { bindings.substitute($0, unboundToDyn: true) }
      report(
        "found no matching overload for '\(function.name)' applied to "
          + "'\(CELType.signature(shown, isMember: isMember))'", at: expression)
      set(expression, .error)
      return
    }
    overloads[expression.id] = found
    set(expression, result)
  }

  // MARK: Aggregates

  /// The type of an aggregate of both; they must agree.
  private mutating func join(_ previous: CELType?, _ current: CELType, at expression: Expression) -> CELType {
    guard let previous else { return current }
    if bindings.isAssignable(previous, current) { return TypeBindings.mostGeneral(previous, current) }
    mismatch(previous, current, at: expression)
    return .error
  }

  /// What an optional entry contributes.
  private mutating func unwrapped(_ type: CELType, at expression: Expression) -> CELType {
    let type = bindings.substitute(type)
    if let content = type.optionalContent { return content }
    if !type.isDynOrError { mismatch(.optional(type), type, at: expression) }
    return type
  }

  private mutating func checkList(_ expression: Expression, _ elements: [Expression], _ optional: Set<Int>) {
    var element: CELType?
    for (index, child) in elements.enumerated() {
      check(child)
      let own = optional.contains(index) ? unwrapped(type(of: child), at: child) : type(of: child)
      element = join(element, own, at: child)
    }
    set(expression, .list(element ?? bindings.fresh()))
  }

  private mutating func checkMap(_ expression: Expression, _ entries: [Expression.MapEntry]) {
    var keyType: CELType?
    var valueType: CELType?
    for entry in entries {
      check(entry.key)
      keyType = join(keyType, type(of: entry.key), at: entry.key)
      check(entry.value)
      let own = entry.isOptional ? unwrapped(type(of: entry.value), at: entry.value) : type(of: entry.value)
      valueType = join(valueType, own, at: entry.value)
    }
    set(expression, .map(keyType ?? bindings.fresh(), valueType ?? bindings.fresh()))
  }

  private mutating func checkComprehension(_ expression: Expression, _ loop: Expression.Comprehension) {
    check(loop.range)
    let rangeType = bindings.substitute(type(of: loop.range))
    check(loop.initial)
    let accumulatorType = type(of: loop.initial)
    var first = CELType.error
    var second = CELType.error
    switch rangeType {
    case .list(let element): (first, second) = loop.secondVariable == nil ? (element, .error) : (.int, element)
    case .map(let key, let value): (first, second) = (key, value)
    case .dyn, .error, .variable:
      _ = bindings.isAssignable(.dyn, rangeType)
      (first, second) = (.dyn, .dyn)
    default:
      report(
        "expression of type '\(rangeType)' cannot be range of a comprehension (must be list, map, or dynamic)",
        at: loop.range)
    }
    scopes.append([loop.accumulator: accumulatorType])
    var variables = [loop.variable: first]
    if let name = loop.secondVariable { variables[name] = second }
    scopes.append(variables)
    check(loop.condition)
    assert(loop.condition, is: .bool)
    check(loop.step)
    assert(loop.step, is: accumulatorType)
    scopes.removeLast()
    check(loop.result)
    scopes.removeLast()
    set(expression, bindings.substitute(type(of: loop.result)))
  }

  private mutating func assert(_ expression: Expression, is expected: CELType) {
    if !bindings.isAssignable(expected, type(of: expression)) {
      mismatch(expected, type(of: expression), at: expression)
    }
  }
}
