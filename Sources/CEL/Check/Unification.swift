// When one type may stand for another, and what type parameters become by it.

/// What the variables of types stand for so far.
struct TypeBindings {
  private var bindings: [Int: CELType] = [:]
  private var next = 0

  mutating func fresh() -> CELType {
    next += 1
    return .variable(next)
  }

  /// The type with variables replaced by what they stand for; those that stand for nothing become `dyn` if asked.
  func substitute(_ type: CELType, unboundToDyn: Bool = false) -> CELType {
    switch type {
    case .variable(let number):
      guard let bound = bindings[number] else { return unboundToDyn ? .dyn : type }
      return substitute(bound, unboundToDyn: unboundToDyn)
    case .list(let element): return .list(substitute(element, unboundToDyn: unboundToDyn))
    case .map(let key, let value):
      return .map(
        substitute(key, unboundToDyn: unboundToDyn), substitute(value, unboundToDyn: unboundToDyn))
    case .type(let inner): return .type(inner.map { substitute($0, unboundToDyn: unboundToDyn) })
    case .opaque(let name, let parameters) where !parameters.isEmpty:
      return .opaque(name, parameters.map { substitute($0, unboundToDyn: unboundToDyn) })
    default: return type
    }
  }

  /// The overload's types with fresh variables for its parameters.
  mutating func instantiate(_ overload: CELOverload) -> (parameters: [CELType], result: CELType) {
    var names: [String: CELType] = [:]
    func replace(_ type: CELType, _ bindings: inout TypeBindings) -> CELType {
      switch type {
      case .parameter(let name):
        if let known = names[name] { return known }
        let variable = bindings.fresh()
        names[name] = variable
        return variable
      case .list(let element): return .list(replace(element, &bindings))
      case .map(let key, let value): return .map(replace(key, &bindings), replace(value, &bindings))
      case .type(let inner): return .type(inner.map { replace($0, &bindings) })
      case .opaque(let name, let parameters) where !parameters.isEmpty:
        return .opaque(name, parameters.map { replace($0, &bindings) })
      default: return type
      }
    }
    let parameters = overload.parameters.map { replace($0, &self) }
    return (parameters, replace(overload.result, &self))
  }

  /// Whether values of `actual` may stand where `expected` is asked for. On success variables are bound.
  mutating func isAssignable(_ expected: CELType, _ actual: CELType) -> Bool {
    var trial = self
    guard trial.agree(expected, actual) else { return false }
    self = trial
    return true
  }

  mutating func isAssignable(_ expected: [CELType], _ actual: [CELType]) -> Bool {
    guard expected.count == actual.count else { return false }
    var trial = self
    for (expected, actual) in zip(expected, actual) where !trial.agree(actual, expected) { return false }
    self = trial
    return true
  }

  private mutating func agree(_ left: CELType, _ right: CELType) -> Bool {
    if case .variable(let number) = right {
      let (isValid, isBound) = bind(number, to: left)
      if isValid { return true }
      if isBound { return false }
    }
    if case .variable(let number) = left { return bind(number, to: right).isValid }
    if left.isDynOrError || right.isDynOrError { return true }
    if left == .null { return right.isNullable }
    if right == .null { return left.isNullable }
    switch (left, right) {
    case (.type, .type): return true
    case (.list(let left), .list(let right)): return agree(left, right)
    case (.map(let leftKey, let leftValue), .map(let rightKey, let rightValue)):
      return agree(leftKey, rightKey) && agree(leftValue, rightValue)
    case (.opaque(let leftName, let left), .opaque(let rightName, let right)):
      guard leftName == rightName, left.count == right.count else { return false }
      for (left, right) in zip(left, right) where !agree(left, right) { return false }
      return true
    default: return left == right
    }
  }

  private mutating func bind(_ number: Int, to type: CELType) -> (isValid: Bool, isBound: Bool) {
    if type == .variable(number) { return (true, true) }
    if let bound = bindings[number] {
      if type == bound { return (true, true) }
      guard agree(type, bound) else { return (false, true) }
      let general = Self.mostGeneral(type, bound)
      if !occurs(number, in: general) { bindings[number] = general }
      return (true, true)
    }
    guard !occurs(number, in: type) else { return (false, false) }
    bindings[number] = type
    return (true, false)
  }

  private func occurs(_ number: Int, in type: CELType) -> Bool {
    if case .variable(let other) = type {
      if other == number { return true }
      return bindings[other].map { occurs(number, in: $0) } ?? false
    }
    return type.parameters.contains { occurs(number, in: $0) }
  }

  static func mostGeneral(_ left: CELType, _ right: CELType) -> CELType {
    isEqualOrLessSpecific(left, right) ? left : right
  }

  private static func isEqualOrLessSpecific(_ left: CELType, _ right: CELType) -> Bool {
    if left == .dyn { return true }
    if case .variable = left { return true }
    if right == .dyn { return false }
    if case .variable = right { return false }
    switch (left, right) {
    case (.type, .type): return true
    case (.list, .list), (.map, .map), (.opaque, .opaque):
      return left.name == right.name
        && zip(left.parameters, right.parameters).allSatisfy { isEqualOrLessSpecific($0, $1) }
    default: return left == right
    }
  }
}

extension CELType {
  /// Whether null may stand for a value of it.
  fileprivate var isNullable: Bool {
    switch self {
    case .null, .timestamp, .duration, .object, .opaque: true
    default: false
    }
  }
}
