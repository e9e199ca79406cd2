// The defaults a schema states. Defaults that depend on other fields are rules of the kind.
import JSON

extension Structure {
  /// Fills in defaults, all the way down: where a member is absent, or zero and no pointer. Structures that are absent
  /// stay so, unless the default itself is a structure. The tree is canonical before and after.
  public func applyDefaults(to value: inout JSONValue) {
    if let custom { return custom.applyDefaults(to: &value) }
    guard case .object(var object) = value else { return }
    value = .null
    applyDefaults(to: &object)
    value = .object(object)
  }

  private func applyDefaults(to object: inout JSONObject) {
    for position in defaultedPositions {
      guard let defaultValue = members[position].defaultValue else { continue }
      if let index = object.index(of: members[position].name) {
        let present = object[position: index]
        let isUnset = members[position].isPointer ? present.isNull : present.isZero
        if isUnset { object[position: index] = defaultValue }
      } else {
        object.insertUnique(
          members[position].name, defaultValue, at: insertionIndex(of: position, in: object))
      }
    }
    var last = -1
    for index in object.members.indices {
      // Scalars need no lookup.
      switch object.members[index].value {
      case .object, .array:
        guard let position = position(of: object.members[index].key, after: last) else { continue }
        last = position
        if defaultsBelow[position] { memberTypes[position].applyDefaults(to: &object[position: index]) }
      default: continue
      }
    }
  }

  /// Where a member belongs among those that are there, in schema order.
  func insertionIndex(of position: Int, in object: JSONObject) -> Int {
    object.members.firstIndex { (memberPosition($0.key) ?? .max) > position } ?? object.count
  }
}

extension FieldType {
  fileprivate func applyDefaults(to value: inout JSONValue) {
    switch self {
    case .structure(let structure): structure.applyDefaults(to: &value)
    case .array(let element):
      guard element.mayHoldStructures else { return }
      value.mutateElements { element.applyDefaults(to: &$0) }
    case .map(.quantity): Self.roundUpToThousandths(&value)
    case .map(let element):
      guard element.mayHoldStructures, case .object(var object) = value else { return }
      value = .null
      for index in object.members.indices { element.applyDefaults(to: &object[position: index]) }
      value = .object(object)
    default: return
    }
  }

  /// Amounts of resources are counted in thousandths: what is finer is rounded away from zero.
  private static func roundUpToThousandths(_ amounts: inout JSONValue) {
    func isFiner(_ amount: JSONValue) -> Bool { amount.string?.utf8.last.map { $0 == 0x6e || $0 == 0x75 } ?? false }
    guard case .object(let object) = amounts, object.contains(where: { isFiner($0.value) }) else { return }
    for (name, amount) in object where isFiner(amount) {
      guard let quantity = try? Quantity(parsing: amount.string ?? "") else { continue }
      amounts[name] = .string(Quantity(milli: quantity.milliValue, format: quantity.format).description)
    }
  }
}
