// Lists: sum, min, max, isSorted. indexOf and lastIndexOf, which texts have too, stand in SharedNames.

enum ListFunctions {
  private static let comparable: [(String, CELType)] = [
    ("int", .int), ("uint", .uint), ("double", .double), ("bool", .bool), ("duration", .duration),
    ("timestamp", .timestamp), ("string", .string), ("bytes", .bytes),
  ]
  private static let summable: [(String, CELType)] = [
    ("int", .int), ("uint", .uint), ("double", .double), ("duration", .duration),
  ]

  static let all: [CELFunction] = [
    CELFunction("isSorted", comparable.map { .member("list_\($0.0)_is_sorted_bool", [.list($0.1)], .bool) }) {
      arguments throws(CELError) in
      let values = try ListFunctions.values(arguments, "isSorted")
      for (left, right) in zip(values, values.dropFirst()) {
        guard let order = left.compare(to: right) else { throw .noSuchOverload("isSorted", arguments) }
        if order == .greater { return .bool(false) }
      }
      return .bool(true)
    },
    CELFunction("sum", summable.map { .member("list_\($0.0)_sum_\($0.0)", [.list($0.1)], $0.1) }) {
      arguments throws(CELError) in
      let values = try ListFunctions.values(arguments, "sum")
      guard var sum = values.first else { return .int(0) }
      for value in values.dropFirst() { sum = try sum.adding(value) }
      return sum
    },
    extremum("max") { $0 == .greater },
    extremum("min") { $0 == .less },
  ]

  private static func values(_ arguments: [CELValue], _ name: String) throws(CELError) -> [CELValue] {
    guard case .list(let list) = arguments[0] else { throw .noSuchOverload(name, arguments) }
    return try list.values()
  }

  private static func extremum(
    _ name: String, _ isBetter: @escaping @Sendable (CELValue.Order) -> Bool
  ) -> CELFunction {
    CELFunction(name, comparable.map { .member("list_\($0.0)_\(name)_\($0.0)", [.list($0.1)], $0.1) }) {
      arguments throws(CELError) in
      let values = try ListFunctions.values(arguments, name)
      guard var best = values.first else { throw CELError("\(name) called on empty list") }
      for value in values.dropFirst() {
        guard let order = value.compare(to: best) else { throw .noSuchOverload(name, arguments) }
        if isBetter(order) { best = value }
      }
      return best
    }
  }
}
