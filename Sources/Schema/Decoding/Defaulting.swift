// The defaults a schema states. Defaults that depend on other fields are rules of the kind.
import JSON

extension Structure {
  /// Fills in defaults, all the way down: where a member is absent, or zero and no pointer. Structures that are absent
  /// stay so, unless the default itself is a structure. The tree is canonical before and after.
  public func applyDefaults(to value: inout JSONValue) {
    if let custom { return custom.applyDefaults(to: &value) }
    if let changed = defaulted(value) { value = changed }
  }

  // What needs no default is not made anew: nil says so, here and below. Most trees are shared with another version of
  // their object, and have been through this before.

  fileprivate func defaulted(_ value: JSONValue) -> JSONValue? {
    guard case .object(let object) = value else { return nil }
    return defaulted(object).map(JSONValue.object)
  }

  private func defaulted(_ object: JSONObject) -> JSONObject? {
    var result = object
    var isChanged = false
    for position in defaultedPositions {
      guard let defaultValue = members[position].defaultValue else { continue }
      if let index = result.index(of: members[position].name) {
        let present = result[position: index]
        guard members[position].isPointer ? present.isNull : present.isZero else { continue }
        result[position: index] = defaultValue
      } else {
        result.insertUnique(
          members[position].name, defaultValue, at: insertionIndex(of: position, in: result))
      }
      isChanged = true
    }
    var last = -1
    for index in result.members.indices {
      // Scalars need no lookup.
      switch result.members[index].value {
      case .object, .array:
        guard let position = position(of: result.members[index].key, after: last) else { continue }
        last = position
        guard defaultsBelow[position], let changed = memberTypes[position].defaulted(result.members[index].value) else {
          continue
        }
        result[position: index] = changed
        isChanged = true
      default: continue
      }
    }
    return isChanged ? result : nil
  }

  /// Where a member belongs among those that are there, in schema order.
  func insertionIndex(of position: Int, in object: JSONObject) -> Int {
    object.members.firstIndex { (memberPosition($0.key) ?? .max) > position } ?? object.count
  }
}

extension FieldType {
  fileprivate func defaulted(_ value: JSONValue) -> JSONValue? {
    switch self {
    case .structure(let structure): return structure.defaulted(value)
    case .array(let element):
      guard element.mayHoldStructures, case .array(let elements) = value else { return nil }
      var result: [JSONValue]?
      for index in elements.indices {
        guard let changed = element.defaulted(elements[index]) else { continue }
        if result == nil { result = elements }
        result?[index] = changed
      }
      return result.map(JSONValue.array)
    case .map(.quantity): return Self.roundedUpToThousandths(value)
    case .map(let element):
      guard element.mayHoldStructures, case .object(let object) = value else { return nil }
      var result: JSONObject?
      for index in object.members.indices {
        guard let changed = element.defaulted(object.members[index].value) else { continue }
        if result == nil { result = object }
        result?[position: index] = changed
      }
      return result.map(JSONValue.object)
    default: return nil
    }
  }

  /// Amounts of resources are counted in thousandths: what is finer is rounded away from zero.
  private static func roundedUpToThousandths(_ amounts: JSONValue) -> JSONValue? {
    func isFiner(_ amount: JSONValue) -> Bool { amount.string?.utf8.last.map { $0 == 0x6e || $0 == 0x75 } ?? false }
    guard case .object(let object) = amounts, object.contains(where: { isFiner($0.value) }) else { return nil }
    var result = amounts
    for (name, amount) in object where isFiner(amount) {
      guard let quantity = try? Quantity(parsing: amount.string ?? "") else { continue }
      result[name] = .string(Quantity(milli: quantity.milliValue, format: quantity.format).description)
    }
    return result
  }
}
