// Running the executable form. Every step is charged, so that nothing runs for long.

extension Node {
  func evaluate(_ frame: Frame) throws(CELError) -> CELValue {
    switch self {
    case .constant(let value): return value
    case .variable, .local, .accumulator: return try attribute(frame, charged: true)
    case .select, .index, .optionalSelect, .optionalIndex: return try attribute(frame, charged: true)
    case .presence(let operand, let field):
      let value = try operand.attribute(frame, charged: false)
      try frame.charge(1)
      return .bool(try value.find(.string(field)) != nil)
    case .and(let left, let right): return try Self.logical(left, right, decisive: false, frame)
    case .or(let left, let right): return try Self.logical(left, right, decisive: true, frame)
    case .conditional(let condition, let whenTrue, let whenFalse):
      guard case .bool(let holds) = try condition.evaluate(frame) else { throw .noSuchOverload }
      return try (holds ? whenTrue : whenFalse).attribute(frame, charged: false)
    case .notStrictlyFalse(let node): return try Self.notStrictlyFalse(node, frame)
    case .list(let elements, let optional): return try Self.list(elements, optional, frame)
    case .map(let entries): return try Self.map(entries, frame)
    case .call(let function, let nodes, let overload):
      return try Self.call(function, nodes, overload: overload, frame)
    case .comprehension(let loop): return try loop.run(frame)
    case .append(let slot, let element): return try Self.append(slot, element, frame)
    case .bind(let slot, let value, let body):
      frame.locals[slot] = try value.evaluate(frame)
      return try body.evaluate(frame)
    }
  }

  // MARK: Attributes

  /// The value of a name or a chain of selections. The cost model charges one for every selection, and one for the
  /// chain as a whole where it is a value of its own.
  private func attribute(_ frame: Frame, charged: Bool) throws(CELError) -> CELValue {
    switch self {
    case .variable(let place):
      if charged { try frame.charge(1) }
      return try frame.variable(place)
    case .local(let slot):
      if charged { try frame.charge(1) }
      return frame.locals[slot]
    case .accumulator(let slot):
      if charged { try frame.charge(1) }
      if let failure = frame.failures[slot] { throw failure }
      return frame.locals[slot]
    case .select(let operand, let field):
      let value = try operand.operand(frame, charged: charged)
      return try value.qualified(by: .string(field))
    case .optionalSelect(let operand, let field):
      let value = try operand.operand(frame, charged: charged)
      return try value.optionallyQualified(by: .string(field))
    case .index(let operand, let key):
      let value = try operand.operand(frame, charged: charged)
      return try value.qualified(by: try key.attribute(frame, charged: false))
    case .optionalIndex(let operand, let key):
      let value = try operand.operand(frame, charged: charged)
      return try value.optionallyQualified(by: try key.attribute(frame, charged: false))
    default: return try evaluate(frame)
    }
  }

  /// What a selection selects from, the selection itself charged.
  private func operand(_ frame: Frame, charged: Bool) throws(CELError) -> CELValue {
    let value = try attribute(frame, charged: charged)
    try frame.charge(isAttribute || !charged ? 1 : 2)
    return value
  }

  // MARK: Logic

  /// `&&` and `||`: a side that decides wins over an error of the other.
  private static func logical(
    _ left: Node, _ right: Node, decisive: Bool, _ frame: Frame
  ) throws(CELError) -> CELValue {
    let leftSide = try truth(left, frame)
    if case .success(decisive) = leftSide { return .bool(decisive) }
    let rightSide = try truth(right, frame)
    if case .success(decisive) = rightSide { return .bool(decisive) }
    switch (leftSide, rightSide) {
    case (.failure(let error), _), (_, .failure(let error)): throw error
    case (.success, .success): return .bool(!decisive)
    }
  }

  private static func truth(_ node: Node, _ frame: Frame) throws(CELError) -> Result<Bool, CELError> {
    do throws(CELError) {
      guard case .bool(let value) = try node.evaluate(frame) else { return .failure(.noSuchOverload) }
      return .success(value)
    } catch {
      guard error.kind == .evaluation else { throw error }
      return .failure(error)
    }
  }

  private static func notStrictlyFalse(_ node: Node, _ frame: Frame) throws(CELError) -> CELValue {
    let value = try truth(node, frame)
    try frame.charge(1)
    if case .success(let holds) = value { return .bool(holds) }
    return .bool(true)
  }

  // MARK: Aggregates

  private static func list(
    _ elements: [Node], _ optional: Set<Int>, _ frame: Frame
  ) throws(CELError) -> CELValue {
    var values: [CELValue] = []
    values.reserveCapacity(elements.count)
    for (index, element) in elements.enumerated() {
      let value = try element.evaluate(frame)
      guard optional.contains(index) else {
        values.append(value)
        continue
      }
      guard case .optional(let content) = value else {
        throw CELError("cannot initialize optional list element from non-optional value \(value.shown)")
      }
      if let content { values.append(content) }
    }
    try frame.charge(10)
    return .list(.values(values))
  }

  private static func map(
    _ entries: [(key: Node, value: Node, isOptional: Bool)], _ frame: Frame
  ) throws(CELError) -> CELValue {
    var built = CELEntries()
    for entry in entries {
      let key = try entry.key.evaluate(frame)
      var value = try entry.value.evaluate(frame)
      if entry.isOptional {
        guard case .optional(let content) = value else {
          throw CELError("cannot initialize optional entry '\(key.shown)' from non-optional value \(value.shown)")
        }
        guard let content else { continue }
        value = content
      }
      guard let index = CELKey(key) else { throw CELError("unsupported key type") }
      guard built.insert(key, index, value) else { throw CELError("Failed with repeated key") }
    }
    try frame.charge(30)
    return .map(.values(built))
  }

  private static func append(_ slot: Int, _ element: Node, _ frame: Frame) throws(CELError) -> CELValue {
    // The accumulator is looked at, the list made and the sum built: 1 + 10 + 1.
    try frame.charge(12)
    let value = try element.evaluate(frame)
    if let failure = frame.failures[slot] { throw failure }
    let accumulated = frame.locals[slot]
    frame.locals[slot] = .null
    guard case .list(.values(var values)) = consume accumulated else { throw .noSuchOverload }
    values.append(value)
    return .list(.values(values))
  }

  // MARK: Calls

  private static func call(
    _ function: CELFunction, _ nodes: [Node], overload: String, _ frame: Frame
  ) throws(CELError) -> CELValue {
    var arguments: [CELValue] = []
    arguments.reserveCapacity(nodes.count)
    for node in nodes { arguments.append(try node.evaluate(frame)) }
    let result = try function.body(arguments)
    try frame.charge(RuntimeCost.call(function.name, overload: overload, arguments, result: result))
    return result
  }
}

extension Node.Loop {
  func run(_ frame: Frame) throws(CELError) -> CELValue {
    let range = try self.range.evaluate(frame)
    frame.locals[accumulator] = try initial.evaluate(frame)
    frame.failures[accumulator] = nil
    switch range {
    case .list(let list):
      for index in 0..<list.count {
        let element = try list[index]
        let goesOn =
          secondVariable == nil
          ? try turn(frame, element) : try turn(frame, .count(index), element)
        if !goesOn { break }
      }
    case .map(let map):
      for key in map.keys() {
        var second: CELValue?
        if secondVariable != nil, let index = CELKey(key) { second = try map.value(index) }
        if try !turn(frame, key, second) { break }
      }
    default: throw CELError("got '\(range.type.name)', expected iterable type")
    }
    return try result.evaluate(frame)
  }

  /// One turn; false when the condition ends the loop. Errors become what is accumulated: a later turn may decide.
  private func turn(_ frame: Frame, _ first: CELValue, _ second: CELValue? = nil) throws(CELError) -> Bool {
    frame.locals[variable] = first
    if let secondVariable, let second { frame.locals[secondVariable] = second }
    if let condition {
      guard case .bool(true) = try condition.evaluate(frame) else { return false }
    } else {
      try frame.charge(1)
    }
    do throws(CELError) {
      let value = try step.evaluate(frame)
      frame.locals[accumulator] = value
      frame.failures[accumulator] = nil
    } catch {
      guard error.kind == .evaluation else { throw error }
      frame.failures[accumulator] = error
    }
    return true
  }
}

// MARK: Members and elements

extension CELValue {
  /// The member or element; nil when there is none.
  func find(_ key: CELValue) throws(CELError) -> CELValue? {
    switch self {
    case .map(let map):
      if case .string(let name) = key { return try map.member(name) }
      guard let index = CELKey(key) else { return nil }
      return try map.value(index)
    case .list(let list):
      guard let place = try Self.place(key) else { return nil }
      return list.count > place && place >= 0 ? try list[place] : nil
    case .optional(let content): return try content?.find(key)
    default: return nil
    }
  }

  /// A position in a list; throws for what is no number.
  private static func place(_ key: CELValue) throws(CELError) -> Int? {
    switch key {
    case .int(let value): return Int(value)
    case .uint(let value): return Int(exactly: value)
    case .double(let value):
      guard let place = Int(exactly: value) else { throw CELError("unsupported index value \(key.shown) in list") }
      return place
    default: throw CELError("unsupported index type '\(key.type.name)' in list")
    }
  }

  /// `self.key`, `self[key]`: an error when it is absent; from an optional an optional.
  func qualified(by key: CELValue) throws(CELError) -> CELValue {
    if case .optional = self { return try optionallyQualified(by: key) }
    if let value = try find(key) { return value }
    if case .list = self { throw CELError("index out of bounds: \(key.shown)") }
    throw .noSuchKey(key)
  }

  /// `self.?key`, `self[?key]`.
  func optionallyQualified(by key: CELValue) throws(CELError) -> CELValue {
    .optional(try find(key))
  }
}
