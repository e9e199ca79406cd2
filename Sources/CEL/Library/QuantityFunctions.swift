// Resource quantities: quantity('1.5Gi').isGreaterThan(…).
import Schema

struct CELQuantity: CELOpaque, Hashable {
  let quantity: Quantity

  var typeName: String { "kubernetes.Quantity" }
  func equals(_ other: any CELOpaque) -> Bool { (other as? CELQuantity) == self }
}

enum QuantityFunctions {
  private static let quantity = CELType.named("kubernetes.Quantity")

  static let all: [CELFunction] = [
    CELFunction("quantity", [CELOverload("string_to_quantity", [.string], quantity)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("quantity", arguments) }
      do throws(Quantity.ParseError) { return .opaque(CELQuantity(quantity: try Quantity(parsing: text))) } catch {
        throw CELError(error.description)
      }
    },
    CELFunction("isQuantity", [CELOverload("is_quantity_string", [.string], .bool)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("isQuantity", arguments) }
      return .bool(Quantity(text) != nil)
    },
    property("sign", "quantity_sign", .int) { .int($0.isZero ? 0 : $0.isNegative ? -1 : 1) },
    property("isInteger", "quantity_is_integer", .bool) { .bool($0.wholeUnits != nil) },
    property("asApproximateFloat", "quantity_get_float", .double) { .double($0.approximateDouble) },
    CELFunction("asInteger", [.member("quantity_get_int", [quantity], .int)]) { arguments throws(CELError) in
      guard let units = try amount(arguments[0], "asInteger", arguments).wholeUnits else {
        throw CELError("cannot convert value to integer")
      }
      return .int(units)
    },
    comparison("isGreaterThan", "quantity_is_greater_than", .bool) { .bool($0 > $1) },
    comparison("isLessThan", "quantity_is_less_than", .bool) { .bool($0 < $1) },
    comparison("compareTo", "quantity_compare_to", .int) { .int($0 == $1 ? 0 : $0 < $1 ? -1 : 1) },
    sum("add") { $0 + $1 },
    sum("sub") { $0 - $1 },
  ]

  private static func amount(
    _ value: CELValue, _ name: String, _ arguments: [CELValue]
  ) throws(CELError) -> Quantity {
    guard case .opaque(let opaque) = value, let quantity = opaque as? CELQuantity else {
      throw .noSuchOverload(name, arguments)
    }
    return quantity.quantity
  }

  private static func property(
    _ name: String, _ id: String, _ type: CELType, _ value: @escaping @Sendable (Quantity) -> CELValue
  ) -> CELFunction {
    CELFunction(name, [.member(id, [quantity], type)]) { arguments throws(CELError) in
      value(try amount(arguments[0], name, arguments))
    }
  }

  private static func comparison(
    _ name: String, _ id: String, _ type: CELType, _ value: @escaping @Sendable (Quantity, Quantity) -> CELValue
  ) -> CELFunction {
    CELFunction(name, [.member(id, [quantity, quantity], type)]) { arguments throws(CELError) in
      value(try amount(arguments[0], name, arguments), try amount(arguments[1], name, arguments))
    }
  }

  private static func sum(
    _ name: String, _ combine: @escaping @Sendable (Quantity, Quantity) -> Quantity
  ) -> CELFunction {
    let overloads: [CELOverload] = [
      .member("quantity_\(name)", [quantity, quantity], quantity),
      .member("quantity_\(name)_int", [quantity, .int], quantity),
    ]
    return CELFunction(name, overloads) { arguments throws(CELError) in
      let left = try amount(arguments[0], name, arguments)
      if let units = arguments[1].integer { return .opaque(CELQuantity(quantity: combine(left, Quantity(units)))) }
      return .opaque(CELQuantity(quantity: combine(left, try amount(arguments[1], name, arguments))))
    }
  }
}

extension Quantity {
  /// The amount in units where it is whole.
  fileprivate var wholeUnits: Int64? { nanos % 1_000_000_000 == 0 ? Int64(exactly: nanos / 1_000_000_000) : nil }
}
