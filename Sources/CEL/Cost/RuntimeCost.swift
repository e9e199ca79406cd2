// What calls cost at run time: the reference's figures, so that limits mean the same.

enum RuntimeCost {
  /// Cost of a character passed over.
  static let textFactor = 0.1
  /// Cost of a character of a regular expression.
  static let patternFactor = 0.25

  static func call(_ function: String, overload: String, _ arguments: [CELValue], result: CELValue) -> UInt64 {
    if let cost = library(function, overload, arguments, result) { return cost }
    switch function {
    case "startsWith", "endsWith", "bytes", "string": return bytesOrOne(function, arguments)
    case Operator.contains:
      if case .list(let list) = arguments[1] { return UInt64(list.count) }
      return 1
    case Operator.equals, Operator.notEquals: return scaled(min(size(arguments[0]), size(arguments[1])))
    case Operator.less, Operator.lessOrEqual, Operator.greater, Operator.greaterOrEqual:
      switch arguments[0] {
      case .string, .bytes: return scaled(min(size(arguments[0]), size(arguments[1])))
      default: return 1
      }
    case Operator.add:
      switch arguments[0] {
      case .string, .bytes: return scaled(size(arguments[0]) + size(arguments[1]))
      default: return 1
      }
    case "matches": return pattern(arguments)
    case "contains": return product(scaled(size(arguments[0])), scaled(size(arguments[1])))
    default: return 1
    }
  }

  private static func bytesOrOne(_ function: String, _ arguments: [CELValue]) -> UInt64 {
    switch (function, arguments[0]) {
    case ("bytes", .string), ("string", .bytes), ("startsWith", _), ("endsWith", _): scaled(size(arguments[0]))
    default: 1
    }
  }

  /// Costs of the libraries of Kubernetes.
  private static func library(
    _ function: String, _ overload: String, _ arguments: [CELValue], _ result: CELValue
  ) -> UInt64? {
    switch function {
    case "check": return 350_000
    case "isSorted", "sum", "max", "min", "indexOf", "lastIndexOf": return traversal(arguments[0])
    case "url", "lowerAscii", "upperAscii", "substring", "trim", "cidr", "isIP", "isCIDR", "quantity", "isQuantity":
      return scaled(size(arguments[0]))
    case "ip":
      if case .opaque = arguments[0] { return 1 }
      return scaled(size(arguments[0]))
    case "replace", "split", "ip.isCanonical": return scaled(size(arguments[0]) * 2)
    case "join": return scaled(size(result) * 2)
    case "find", "findAll": return pattern(arguments)
    case "validate": return scaled(arguments.last.map(size) ?? 1)
    case "containsIP", "containsCIDR":
      let base = size(arguments[0])
      var cost = scaled(base * 2)
      if function == "containsCIDR" { cost += scaled(base) + 1 }
      if case .string = arguments[1] { cost += scaled(size(arguments[1])) }
      return cost
    case "sets.contains", "sets.intersects", "sets.equivalent":
      let cost = product(size(arguments[0]), size(arguments[1]))
      return function == "sets.equivalent" ? product(cost, 2) : cost
    default: return nil
    }
  }

  /// Regular expressions: the text, one longer so that an empty one is not free, times the pattern.
  private static func pattern(_ arguments: [CELValue]) -> UInt64 {
    let text = scaled(size(arguments[0]) + 1)
    return product(text, UInt64((Double(size(arguments[1])) * patternFactor).rounded(.up)))
  }

  static func size(_ value: CELValue) -> UInt64 {
    if case .opaque(let value) = value { return value.costSize }
    return UInt64(value.size ?? 1)
  }

  private static func scaled(_ size: UInt64) -> UInt64 { UInt64((Double(size) * textFactor).rounded(.up)) }

  private static func product(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (product, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? .max : product
  }

  private static func traversal(_ value: CELValue, depth: Int = 0) -> UInt64 {
    guard depth < CELLimits.valueDepthMaximum else { return 1 }
    switch value {
    case .string(let text): return UInt64(Double(text.utf8.count) * textFactor)
    case .bytes(let bytes): return UInt64(Double(bytes.count) * textFactor)
    case .list(let list):
      var sum: UInt64 = 0
      for element in (try? list.values()) ?? [] { sum += traversal(element, depth: depth + 1) }
      return sum
    case .map(let map):
      var sum: UInt64 = 0
      for key in map.keys() {
        sum += traversal(key, depth: depth + 1)
        if let index = CELKey(key), let inner = try? map.value(index) { sum += traversal(inner, depth: depth + 1) }
      }
      return sum
    default: return 1
    }
  }
}
