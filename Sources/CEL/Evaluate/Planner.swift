// From a checked tree to its executable form.
import Schema

struct Planner {
  private let checked: CheckedExpression
  private let environment: CELEnvironment
  private(set) var slots = 0
  private(set) var variables: [String] = []
  private var scopes: [(name: String, slot: Int, isAccumulator: Bool)] = []

  init(_ checked: CheckedExpression, _ environment: CELEnvironment) {
    self.checked = checked
    self.environment = environment
  }

  mutating func plan(_ expression: Expression) -> Node {
    if let reference = checked.names[expression.id] { return plan(reference) }
    switch expression.kind {
    case .literal(let value): return .constant(value)
    case .identifier(let name): return plan(.variable(name))
    case .select(let operand, let field, let testOnly):
      let operand = plan(operand)
      return testOnly ? .presence(operand, field: field) : .select(operand, field: field)
    case .call(let target, let function, let arguments): return planCall(expression, target, function, arguments)
    case .list(let elements, let optional):
      let nodes = elements.map { plan($0) }
      let constants = nodes.compactMap { node -> CELValue? in
        if case .constant(let value) = node { value } else { nil }
      }
      if optional.isEmpty, !nodes.isEmpty, constants.count == nodes.count {
        return .constant(.list(.values(constants)))
      }
      return .list(nodes, optional: optional)
    case .map(let entries):
      return .map(entries.map { (key: plan($0.key), value: plan($0.value), isOptional: $0.isOptional) })
    case .structure: preconditionFailure("the checker refuses structures")
    case .comprehension(let loop): return planLoop(loop)
    }
  }

  private mutating func plan(_ reference: NameReference) -> Node {
    switch reference {
    case .type(let type): return .constant(.type(type))
    case .local(let name):
      guard let scope = scopes.last(where: { $0.name == name }) else { preconditionFailure("\(name) is out of scope") }
      return scope.isAccumulator ? .accumulator(scope.slot) : .local(scope.slot)
    case .variable(let name):
      if let place = variables.firstIndex(of: name) { return .variable(place) }
      variables.append(name)
      return .variable(variables.count - 1)
    }
  }

  private mutating func planCall(
    _ expression: Expression, _ target: Expression?, _ function: String, _ arguments: [Expression]
  ) -> Node {
    let namespaced = checked.namespacedCalls[expression.id]
    var nodes: [Node] = []
    if let target, namespaced == nil { nodes.append(plan(target)) }
    if function == Operator.add, let appended = planAppend(arguments) { return appended }
    for argument in arguments { nodes.append(plan(argument)) }
    switch function {
    case Operator.and: return .and(nodes[0], nodes[1])
    case Operator.or: return .or(nodes[0], nodes[1])
    case Operator.conditional: return .conditional(nodes[0], nodes[1], nodes[2])
    case Operator.notStrictlyFalse: return .notStrictlyFalse(nodes[0])
    case Operator.index: return .index(nodes[0], nodes[1])
    case Operator.optionalIndex: return .optionalIndex(nodes[0], nodes[1])
    case Operator.optionalSelect:
      guard case .constant(.string(let field)) = nodes[1] else { preconditionFailure("a field is a constant") }
      return .optionalSelect(nodes[0], field: field)
    default: break
    }
    let plain = function.hasPrefix(".") ? String(function.dropFirst()) : function
    guard let declared = environment.function(namespaced ?? plain) else {
      preconditionFailure("the checker knows every function")
    }
    if CompiledPattern.functions.contains(declared.name), nodes.count == 2,
      case .constant(.string(let pattern)) = nodes[1], let expression = try? RegularExpression(pattern)
    {
      nodes[1] = .constant(.opaque(CompiledPattern(expression: expression)))
    }
    return .call(declared, nodes, overload: checked.overloads[expression.id]?.first ?? "")
  }

  /// `accumulator + [element]`.
  private mutating func planAppend(_ arguments: [Expression]) -> Node? {
    guard case .identifier(MacroSet.accumulator) = arguments[0].kind,
      case .list(let elements, let optional) = arguments[1].kind, elements.count == 1, optional.isEmpty,
      case .accumulator(let slot) = plan(arguments[0])
    else { return nil }
    return .append(slot, plan(elements[0]))
  }

  private mutating func slot() -> Int {
    slots += 1
    return slots - 1
  }

  private mutating func planLoop(_ loop: Expression.Comprehension) -> Node {
    let accumulator = slot()
    if loop.variable == "#unused" {
      let value = plan(loop.initial)
      scopes.append((loop.accumulator, accumulator, false))
      defer { scopes.removeLast() }
      return .bind(accumulator, value: value, body: plan(loop.result))
    }
    let range = plan(loop.range)
    let initial = plan(loop.initial)
    let outer = scopes.count
    scopes.append((loop.accumulator, accumulator, true))
    let variable = slot()
    scopes.append((loop.variable, variable, false))
    var second: Int?
    if let name = loop.secondVariable {
      let place = slot()
      second = place
      scopes.append((name, place, false))
    }
    var condition: Node? = plan(loop.condition)
    if case .constant(.bool(true)) = condition { condition = nil }
    let step = plan(loop.step)
    scopes.removeLast(scopes.count - outer - 1)
    let result = plan(loop.result)
    scopes.removeLast()
    return .comprehension(
      Node.Loop(
        range: range, variable: variable, secondVariable: second, accumulator: accumulator, initial: initial,
        condition: condition, step: step, result: result))
  }
}
