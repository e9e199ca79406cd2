// What an expression costs at least and at most, by the sizes its schemas allow: the reference's figures, since they
// decide which rules a CustomResourceDefinition may have.

struct CostEstimator {
  private let checked: CheckedExpression
  private let environment: CELEnvironment
  /// Where the value of a node stands in the schema of a variable, by the node's id.
  private var places: [Int: CELSchema] = [:]
  private var sizes: [Int: CostRange] = [:]
  private var scopes: [(name: String, place: CELSchema?)] = []

  static func estimate(_ checked: CheckedExpression, in environment: CELEnvironment) -> CELCostRange {
    var estimator = CostEstimator(checked: checked, environment: environment)
    let cost = estimator.cost(checked.parsed.root)
    return CELCostRange(minimum: cost.low, maximum: cost.high)
  }

  private init(checked: CheckedExpression, environment: CELEnvironment) {
    self.checked = checked
    self.environment = environment
  }

  private func type(of expression: Expression) -> CELType { checked.types[expression.id] }

  // MARK: Nodes

  private mutating func cost(_ expression: Expression) -> CostRange {
    switch expression.kind {
    case .literal, .structure: return .zero
    case .identifier(let name): return identifier(expression, name)
    case .select(let operand, let field, let testOnly):
      return select(expression, operand, field, testOnly)
    case .call(let target, let function, let arguments):
      return call(expression, target, function, arguments)
    case .list(let elements, _):
      return elements.reduce(CostRange(10)) { $0 + cost($1) }
    case .map(let entries):
      return entries.reduce(CostRange(30)) { $0 + cost($1.key) + cost($1.value) }
    case .comprehension(let loop): return comprehension(expression, loop)
    }
  }

  private mutating func identifier(_ expression: Expression, _ name: String) -> CostRange {
    if let scope = scopes.last(where: { $0.name == name }) {
      places[expression.id] = scope.place
    } else {
      places[expression.id] = environment.variable(name)?.schema
    }
    return .one
  }

  private mutating func select(
    _ expression: Expression, _ operand: Expression, _ field: String, _ testOnly: Bool
  ) -> CostRange {
    if checked.names[expression.id] != nil { return .one }
    // A test of presence costs nothing beyond what it looks at.
    if testOnly { return cost(operand) }
    var sum = cost(operand)
    switch type(of: operand) {
    case .map, .object, .parameter, .variable: sum = sum + .one
    default: break
    }
    if let place = places[operand.id] {
      places[expression.id] = place.kind == .map ? nil : place.members[field]?.schema
    }
    return sum
  }

  private mutating func call(
    _ expression: Expression, _ target: Expression?, _ function: String, _ arguments: [Expression]
  ) -> CostRange {
    let argumentCosts = arguments.map { cost($0) }
    guard let overloads = checked.overloads[expression.id], !overloads.isEmpty else { return .zero }
    let name = checked.namespacedCalls[expression.id] ?? function
    let isMember = target != nil && checked.namespacedCalls[expression.id] == nil
    var sum = CostRange.zero
    if let target, isMember { sum = cost(target) }
    let call = CallEstimate.Call(
      function: name, target: isMember ? target.map { operand($0) } : nil, arguments: arguments.map { operand($0) },
      argumentCosts: argumentCosts)
    var own = CostRange(low: .max, high: 0)
    var resultSize: CostRange?
    for overload in overloads {
      let estimate = CallEstimate.estimate(call, overload: overload)
      own = own.union(estimate.cost)
      if let size = estimate.resultSize { resultSize = resultSize?.union(size) ?? size }
      if overload == "index_list" || overload == "index_map" {
        places[expression.id] = places[arguments[0].id]?.element
      }
    }
    if let resultSize { sizes[expression.id] = resultSize }
    return sum + own
  }

  private mutating func comprehension(_ expression: Expression, _ loop: Expression.Comprehension) -> CostRange {
    var sum = cost(loop.range) + cost(loop.initial)
    if loop.variable == "#unused" {
      scopes.append((loop.accumulator, places[loop.initial.id]))
      defer { scopes.removeLast() }
      sum = sum + cost(loop.result)
      if let size = size(of: loop.result) { sizes[expression.id] = size }
      return sum
    }
    let rangePlace = places[loop.range.id]
    let isMap = if case .map = type(of: loop.range) { true } else { false }
    let outer = scopes.count
    scopes.append((loop.accumulator, nil))
    if let second = loop.secondVariable {
      scopes.append((loop.variable, isMap ? rangePlace.map { _ in CELSchema.mapKey } : nil))
      scopes.append((second, rangePlace?.element))
    } else {
      scopes.append((loop.variable, isMap ? rangePlace.map { _ in CELSchema.mapKey } : rangePlace?.element))
    }
    let turn = cost(loop.condition) + cost(loop.step)
    scopes.removeLast(scopes.count - outer - 1)
    sum = sum + cost(loop.result)
    scopes.removeLast()
    let count = size(of: loop.range) ?? .unknown
    sizes[expression.id] = count
    return sum + count * turn
  }

  // MARK: Sizes

  private func operand(_ expression: Expression) -> CallEstimate.Operand {
    let type = type(of: expression)
    var literal: CELValue?
    if case .literal(let value) = expression.kind { literal = value }
    return CallEstimate.Operand(
      type: type, size: size(of: expression) ?? .unknown, element: places[expression.id]?.element, literal: literal)
  }

  private func size(of expression: Expression) -> CostRange? {
    if let size = sizes[expression.id] { return size }
    switch expression.kind {
    case .literal(let value): return CostRange(UInt64(value.size ?? 1))
    case .list(let elements, _): return CostRange(UInt64(elements.count))
    case .map(let entries): return CostRange(UInt64(entries.count))
    default: break
    }
    if let place = places[expression.id], place.kind != .any { return place.sizeRange }
    return type(of: expression).isScalar ? .one : nil
  }
}

extension CELSchema {
  /// The key of a map: nothing bounds it, and the reference counts it as nothing.
  static let mapKey = CELSchema(.string, serializedSizeMinimum: 2)

  var sizeRange: CostRange? {
    if case .declared(let type) = kind { return type.isScalar ? .one : nil }
    return CostRange(low: 0, high: elementsMaximum)
  }
}

extension CELType {
  var isScalar: Bool {
    switch self {
    case .bool, .double, .duration, .int, .timestamp, .uint: true
    case .opaque("optional_type", let parameters): parameters.first?.isScalar ?? false
    default: false
    }
  }
}
