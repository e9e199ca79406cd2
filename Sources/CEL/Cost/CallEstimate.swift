// What a call costs at least and at most.

/// A cost and, where it is known, the size of the result.
struct CallEstimate {
  var cost: CostRange
  var resultSize: CostRange?

  /// What is known of a target or an argument.
  struct Operand {
    let type: CELType
    let size: CostRange
    /// Schema of the elements, of a list that stands in a schema.
    let element: CELSchema?
    let literal: CELValue?
  }

  struct Call {
    let function: String
    let target: Operand?
    let arguments: [Operand]
    let argumentCosts: [CostRange]

    /// Target first.
    var operands: [Operand] { (target.map { [$0] } ?? []) + arguments }
    var argumentSum: CostRange { argumentCosts.reduce(.zero, +) }
  }

  private init(_ cost: CostRange, size: CostRange? = nil) {
    self.cost = cost
    resultSize = size
  }

  static func estimate(_ call: Call, overload: String) -> CallEstimate {
    // Operators that do not run all their arguments count them themselves.
    switch overload {
    case "logical_or", "logical_and":
      let left = call.argumentCosts[0]
      return CallEstimate(CostRange(low: left.low, high: (left + call.argumentCosts[1]).high))
    case "conditional":
      let costs = call.argumentCosts
      return CallEstimate(
        costs[0] + costs[1].union(costs[2]), size: call.arguments[1].size.union(call.arguments[2].size))
    default: break
    }
    var estimate = library(call, overload) ?? standard(call, overload)
    estimate.cost = estimate.cost + call.argumentSum
    return estimate
  }

  // MARK: The standard functions

  private static let textFactor = RuntimeCost.textFactor

  private static func standard(_ call: Call, _ overload: String) -> CallEstimate {
    let arguments = call.arguments
    switch overload {
    case "string_to_bytes":
      let size = arguments[0].size
      return CallEstimate(size.scaled(by: textFactor), size: size * CostRange(low: 1, high: 4))
    case "bytes_to_string":
      let size = arguments[0].size
      return CallEstimate(size.scaled(by: textFactor), size: CostRange(low: size.low / 4, high: size.high))
    case "starts_with_string", "ends_with_string": return CallEstimate(arguments[0].size.scaled(by: textFactor))
    case "in_list": return CallEstimate(arguments[1].size)
    case "matches_string":
      guard let target = call.target else { return CallEstimate(.one) }
      return CallEstimate(pattern(target.size, arguments[0].size))
    case "contains_string":
      guard let target = call.target else { return CallEstimate(.one) }
      return CallEstimate(target.size.scaled(by: textFactor) * arguments[0].size.scaled(by: textFactor))
    case "add_string", "add_bytes":
      let size = arguments[0].size + arguments[1].size
      return CallEstimate(size.scaled(by: textFactor), size: size)
    case "add_list": return CallEstimate(.one, size: arguments[0].size + arguments[1].size)
    case "less_string", "greater_string", "less_equals_string", "greater_equals_string", "less_bytes",
      "greater_bytes", "less_equals_bytes", "greater_equals_bytes", "equals", "not_equals":
      let smaller = min(arguments[0].size.high, arguments[1].size.high)
      return CallEstimate(CostRange(low: smaller > 0 ? 1 : 0, high: smaller).scaled(by: textFactor))
    default: return CallEstimate(.one)
    }
  }

  private static func pattern(_ text: CostRange, _ pattern: CostRange) -> CostRange {
    (text + .one).scaled(by: textFactor) * pattern.scaled(by: RuntimeCost.patternFactor)
  }

  // MARK: The libraries of Kubernetes

  private static func library(_ call: Call, _ overload: String) -> CallEstimate? {
    let arguments = call.arguments
    switch call.function {
    case "check": return CallEstimate(CostRange(350_000))
    case "serviceAccount", "path", "group", "resource", "subresource", "namespace", "name", "allowed", "reason",
      "error",
      "errored", "fieldSelector", "labelSelector", "sign", "asInteger", "isInteger", "asApproximateFloat",
      "isGreaterThan", "isLessThan", "compareTo", "add", "sub", "masked", "prefixLength", "family", "isUnspecified",
      "isLoopback", "isLinkLocalMulticast", "isLinkLocalUnicast", "isGlobalUnicast":
      return CallEstimate(.one)
    case "isSorted", "sum", "max", "min", "indexOf", "lastIndexOf": return call.target.map { traversal($0) }
    case "url", "cidr", "isIP", "isCIDR", "quantity", "isQuantity":
      return arguments.first.map { CallEstimate($0.size.scaled(by: textFactor)) }
    case "ip":
      guard let argument = arguments.first else { return CallEstimate(.one) }
      return CallEstimate(argument.size.scaled(by: textFactor))
    case "ip.isCanonical": return arguments.first.map { CallEstimate($0.size.scaled(by: 2 * textFactor)) }
    case "lowerAscii", "upperAscii", "substring", "trim":
      return call.target.map { CallEstimate($0.size.scaled(by: textFactor), size: $0.size) }
    case "replace": return replacement(call)
    case "split": return call.target.map { splitting($0) }
    case "join": return call.target.map { joining($0, arguments.first) }
    case "find", "findAll":
      return call.target.map {
        CallEstimate(pattern($0.size, arguments[0].size), size: CostRange(low: 0, high: $0.size.high))
      }
    case "containsIP", "containsCIDR": return ranges(call, overload)
    case "sets.contains", "sets.intersects", "sets.equivalent":
      let product = arguments[0].size * arguments[1].size
      return CallEstimate((call.function == "sets.equivalent" ? product * CostRange(2) : product) + .one)
    default: return nil
    }
  }

  private static func traversal(_ target: Operand) -> CallEstimate {
    guard case .list(let element) = target.type else { return CallEstimate(target.size.scaled(by: textFactor)) }
    var each = CostRange.one
    if element == .string || element == .bytes {
      each = each + (target.element?.sizeRange ?? .unknown).scaled(by: textFactor)
    }
    return CallEstimate(target.size * each)
  }

  private static func replacement(_ call: Call) -> CallEstimate? {
    guard let target = call.target, call.arguments.count >= 2 else { return nil }
    let size = target.size
    let old = call.arguments[0].size
    let new = call.arguments[1].size
    var count = CostRange.zero
    var retained = CostRange.zero
    if old.low == 0 {
      count.high = size.high == .max ? .max : size.high + 1
      retained.high = size.high
    } else if new.high <= old.low {
      retained.high = size.high
    } else {
      count.high = CostRange(size.high).scaled(by: 1 / Double(old.low)).high
    }
    if old.high == 0 {
      count.low = size.low == .max ? .max : size.low + 1
      retained.low = size.low
    } else if old.high <= new.low {
      retained.low = size.low
    } else {
      count.low = CostRange(size.low).scaled(by: 1 / Double(old.high)).low
    }
    return CallEstimate(size.scaled(by: 2 * textFactor), size: count * new + retained)
  }

  private static func splitting(_ target: Operand) -> CallEstimate {
    CallEstimate(target.size.scaled(by: 2 * textFactor), size: CostRange(low: 0, high: target.size.high))
  }

  private static func joining(_ target: Operand, _ separator: Operand?) -> CallEstimate {
    var size = CostRange.zero
    if case .list = target.type { size = target.size * (target.element?.sizeRange ?? .unknown) }
    if let separator {
      let gaps = CostRange(
        low: target.size.low > 0 ? target.size.low - 1 : 0, high: target.size.high > 0 ? target.size.high - 1 : 0)
      size = size + separator.size * gaps
    }
    return CallEstimate(size.scaled(by: textFactor), size: size)
  }

  private static func ranges(_ call: Call, _ overload: String) -> CallEstimate? {
    guard let argument = call.arguments.first else { return nil }
    // Addresses have 4 or 16 bytes.
    let address = CostRange(low: 4, high: 16)
    var cost = (address + address).scaled(by: textFactor)
    if call.function == "containsCIDR" { cost = cost + address.scaled(by: textFactor) + .one }
    if overload.hasSuffix("_string") { cost = cost + argument.size.scaled(by: textFactor) }
    return CallEstimate(cost)
  }
}
