// The functions and operators of the CEL specification.
import Schema

enum StandardFunctions {
  private static let listA = CELType.list(.parameter("A"))
  private static let mapAB = CELType.map(.parameter("A"), .parameter("B"))
  private static let a = CELType.parameter("A")

  static let all: [CELFunction] =
    logic + arithmetic + comparisons + containers + conversions + texts + Calendar.functions

  // MARK: Logic

  /// The bodies of the first three are the interpreter's: they do not evaluate all their arguments.
  private static let logic: [CELFunction] = [
    CELFunction(Operator.conditional, [CELOverload("conditional", [.bool, a, a], a)], unreachable),
    CELFunction(Operator.and, [CELOverload("logical_and", [.bool, .bool], .bool)], unreachable),
    CELFunction(Operator.or, [CELOverload("logical_or", [.bool, .bool], .bool)], unreachable),
    CELFunction(Operator.notStrictlyFalse, [CELOverload("not_strictly_false", [.bool], .bool)], unreachable),
    CELFunction(Operator.not, [CELOverload("logical_not", [.bool], .bool)]) { arguments throws(CELError) in
      guard case .bool(let value) = arguments[0] else { throw CELError("no such overload: \(Operator.not)") }
      return .bool(!value)
    },
    CELFunction(Operator.equals, [CELOverload("equals", [a, a], .bool)]) { arguments throws(CELError) in
      .bool(try arguments[0].equals(arguments[1]))
    },
    CELFunction(Operator.notEquals, [CELOverload("not_equals", [a, a], .bool)]) { arguments throws(CELError) in
      .bool(try !arguments[0].equals(arguments[1]))
    },
  ]

  private static let unreachable: CELFunction.Body = { _ throws(CELError) in throw .noSuchOverload }

  // MARK: Arithmetic

  private static let arithmetic: [CELFunction] = [
    CELFunction(
      Operator.add,
      [
        CELOverload("add_bytes", [.bytes, .bytes], .bytes), CELOverload("add_double", [.double, .double], .double),
        CELOverload("add_duration_duration", [.duration, .duration], .duration),
        CELOverload("add_duration_timestamp", [.duration, .timestamp], .timestamp),
        CELOverload("add_timestamp_duration", [.timestamp, .duration], .timestamp),
        CELOverload("add_int64", [.int, .int], .int), CELOverload("add_list", [listA, listA], listA),
        CELOverload("add_string", [.string, .string], .string), CELOverload("add_uint64", [.uint, .uint], .uint),
      ]
    ) { arguments throws(CELError) in try arguments[0].adding(arguments[1]) },
    CELFunction(
      Operator.subtract,
      [
        CELOverload("subtract_double", [.double, .double], .double),
        CELOverload("subtract_duration_duration", [.duration, .duration], .duration),
        CELOverload("subtract_int64", [.int, .int], .int),
        CELOverload("subtract_timestamp_duration", [.timestamp, .duration], .timestamp),
        CELOverload("subtract_timestamp_timestamp", [.timestamp, .timestamp], .duration),
        CELOverload("subtract_uint64", [.uint, .uint], .uint),
      ]
    ) { arguments throws(CELError) in try arguments[0].subtracting(arguments[1]) },
    CELFunction(
      Operator.multiply,
      [
        CELOverload("multiply_double", [.double, .double], .double),
        CELOverload("multiply_int64", [.int, .int], .int), CELOverload("multiply_uint64", [.uint, .uint], .uint),
      ]
    ) { arguments throws(CELError) in try arguments[0].multiplied(by: arguments[1]) },
    CELFunction(
      Operator.divide,
      [
        CELOverload("divide_double", [.double, .double], .double), CELOverload("divide_int64", [.int, .int], .int),
        CELOverload("divide_uint64", [.uint, .uint], .uint),
      ]
    ) { arguments throws(CELError) in try arguments[0].divided(by: arguments[1]) },
    CELFunction(
      Operator.modulo,
      [CELOverload("modulo_int64", [.int, .int], .int), CELOverload("modulo_uint64", [.uint, .uint], .uint)]
    ) { arguments throws(CELError) in try arguments[0].remainder(dividingBy: arguments[1]) },
    CELFunction(
      Operator.negate,
      [CELOverload("negate_double", [.double], .double), CELOverload("negate_int64", [.int], .int)]
    ) { arguments throws(CELError) in try arguments[0].negated() },
  ]

  // MARK: Comparison

  private static let comparisons: [CELFunction] = [
    comparison(Operator.less, "less") { $0 == .less },
    comparison(Operator.lessOrEqual, "less_equals") { $0 != .greater },
    comparison(Operator.greater, "greater") { $0 == .greater },
    comparison(Operator.greaterOrEqual, "greater_equals") { $0 != .less },
  ]

  private static func comparison(
    _ name: String, _ prefix: String, _ holds: @escaping @Sendable (CELValue.Order) -> Bool
  ) -> CELFunction {
    let numbers: [(String, CELType)] = [("int64", .int), ("uint64", .uint), ("double", .double)]
    var overloads = [CELOverload("\(prefix)_bool", [.bool, .bool], .bool)]
    for (left, leftType) in numbers {
      for (right, rightType) in numbers {
        let id = left == right ? "\(prefix)_\(left)" : "\(prefix)_\(left)_\(right)"
        overloads.append(CELOverload(id, [leftType, rightType], .bool))
      }
    }
    for (suffix, type) in [
      ("string", CELType.string), ("bytes", .bytes), ("timestamp", .timestamp), ("duration", .duration),
    ] {
      overloads.append(CELOverload("\(prefix)_\(suffix)", [type, type], .bool))
    }
    return CELFunction(name, overloads) { arguments throws(CELError) in
      guard let order = arguments[0].compare(to: arguments[1]) else {
        // Not a number is in no order with anything.
        if case .double(let left) = arguments[0], left.isNaN { return .bool(false) }
        if case .double(let right) = arguments[1], right.isNaN { return .bool(false) }
        throw .noSuchOverload
      }
      return .bool(holds(order))
    }
  }

  // MARK: Containers

  private static let containers: [CELFunction] = [
    CELFunction(
      Operator.index,
      [
        CELOverload("index_list", [listA, .int], a), CELOverload("index_map", [mapAB, a], .parameter("B")),
        CELOverload("optional_list_index_int", [.optional(listA), .int], .optional(a)),
        CELOverload("optional_map_index_value", [.optional(mapAB), a], .optional(.parameter("B"))),
      ], unreachable),
    CELFunction(
      Operator.optionalIndex,
      [
        CELOverload("list_optindex_optional_int", [listA, .int], .optional(a)),
        CELOverload("optional_list_optindex_optional_int", [.optional(listA), .int], .optional(a)),
        CELOverload("map_optindex_optional_value", [mapAB, a], .optional(.parameter("B"))),
        CELOverload("optional_map_optindex_optional_value", [.optional(mapAB), a], .optional(.parameter("B"))),
      ], unreachable),
    CELFunction(
      Operator.contains, [CELOverload("in_list", [a, listA], .bool), CELOverload("in_map", [a, mapAB], .bool)]
    ) { arguments throws(CELError) in
      switch arguments[1] {
      case .list(let list): return .bool(try list.contains(arguments[0]))
      case .map(let map):
        guard let key = CELKey(arguments[0]) else { return .bool(false) }
        return .bool(try map.value(key) != nil)
      default: throw CELError("no such overload: \(Operator.contains)")
      }
    },
    CELFunction(
      "size",
      [
        CELOverload("size_bytes", [.bytes], .int), .member("bytes_size", [.bytes], .int),
        CELOverload("size_list", [listA], .int), .member("list_size", [listA], .int),
        CELOverload("size_map", [mapAB], .int), .member("map_size", [mapAB], .int),
        CELOverload("size_string", [.string], .int), .member("string_size", [.string], .int),
      ]
    ) { arguments throws(CELError) in
      guard let size = arguments[0].size else { throw .noSuchOverload("size", arguments) }
      return .count(size)
    },
    CELFunction(
      "cel.@mapInsert",
      [
        CELOverload("@mapInsert_map_map", [mapAB, mapAB], mapAB),
        CELOverload("@mapInsert_map_key_value", [mapAB, a, .parameter("B")], mapAB),
      ]
    ) { arguments throws(CELError) in try insert(arguments) },
  ]

  /// A map with one more entry, or with those of another map.
  private static func insert(_ arguments: [CELValue]) throws(CELError) -> CELValue {
    guard case .map(.values(var entries)) = arguments[0] else { throw .noSuchOverload }
    var added: [(CELValue, CELValue)] = []
    if arguments.count == 3 {
      added.append((arguments[1], arguments[2]))
    } else if case .map(let other) = arguments[1] {
      for key in other.keys() {
        if let index = CELKey(key), let value = try other.value(index) { added.append((key, value)) }
      }
    }
    for (key, value) in added {
      guard let index = CELKey(key) else { throw CELError("unsupported key type: \(key.type.name)") }
      guard entries.insert(key, index, value) else {
        throw CELError("insert failed: key \(key.shown) already exists")
      }
    }
    return .map(.values(entries))
  }

  // MARK: Conversions

  private static func conversion(
    _ name: String, to result: CELType, from types: [(String, CELType)], _ convert: @escaping CELFunction.Body
  ) -> CELFunction {
    CELFunction(name, types.map { CELOverload($0.0, [$0.1], result) }, convert)
  }

  private static let conversions: [CELFunction] = [
    CELFunction("dyn", [CELOverload("to_dyn", [a], .dyn)]) { arguments throws(CELError) in arguments[0] },
    CELFunction("type", [CELOverload("type", [a], .type(a))]) { arguments throws(CELError) in
      .type(arguments[0].type)
    },
    conversion("bool", to: .bool, from: [("bool_to_bool", .bool), ("string_to_bool", .string)]) {
      arguments throws(CELError) in try arguments[0].toBool()
    },
    conversion("bytes", to: .bytes, from: [("bytes_to_bytes", .bytes), ("string_to_bytes", .string)]) {
      arguments throws(CELError) in try arguments[0].toBytes()
    },
    conversion(
      "double", to: .double,
      from: [
        ("double_to_double", .double), ("int64_to_double", .int), ("string_to_double", .string),
        ("uint64_to_double", .uint),
      ]
    ) { arguments throws(CELError) in try arguments[0].toDouble() },
    conversion(
      "duration", to: .duration, from: [("duration_to_duration", .duration), ("string_to_duration", .string)]
    ) { arguments throws(CELError) in try arguments[0].toDuration() },
    conversion(
      "int", to: .int,
      from: [
        ("int64_to_int64", .int), ("double_to_int64", .double), ("string_to_int64", .string),
        ("timestamp_to_int64", .timestamp), ("uint64_to_int64", .uint),
      ]
    ) { arguments throws(CELError) in try arguments[0].toInt() },
    conversion(
      "string", to: .string,
      from: [
        ("string_to_string", .string), ("bool_to_string", .bool), ("bytes_to_string", .bytes),
        ("double_to_string", .double), ("duration_to_string", .duration), ("int64_to_string", .int),
        ("timestamp_to_string", .timestamp), ("uint64_to_string", .uint), ("ip_to_string", .named("net.IP")),
        ("cidr_to_string", .named("net.CIDR")),
      ]
    ) { arguments throws(CELError) in try arguments[0].toText() },
    conversion(
      "timestamp", to: .timestamp,
      from: [
        ("timestamp_to_timestamp", .timestamp), ("int64_to_timestamp", .int), ("string_to_timestamp", .string),
      ]
    ) { arguments throws(CELError) in try arguments[0].toTimestamp() },
    conversion(
      "uint", to: .uint,
      from: [
        ("uint64_to_uint64", .uint), ("double_to_uint64", .double), ("int64_to_uint64", .int),
        ("string_to_uint64", .string),
      ]
    ) { arguments throws(CELError) in try arguments[0].toUint() },
  ]

  // MARK: Texts

  private static func predicate(
    _ name: String, _ id: String, _ holds: @escaping @Sendable (String, String) -> Bool
  ) -> CELFunction {
    CELFunction(name, [.member(id, [.string, .string], .bool)]) { arguments throws(CELError) in
      guard let text = arguments[0].text, let other = arguments[1].text else {
        throw .noSuchOverload(name, arguments)
      }
      return .bool(holds(text, other))
    }
  }

  private static let texts: [CELFunction] = [
    predicate("contains", "contains_string") { TextSearch.first(of: Array($1.utf8), in: Array($0.utf8)) != nil },
    predicate("startsWith", "starts_with_string") { $0.utf8.starts(with: $1.utf8) },
    predicate("endsWith", "ends_with_string") { $0.utf8.reversed().starts(with: $1.utf8.reversed()) },
    CELFunction(
      "matches",
      [CELOverload("matches", [.string, .string], .bool), .member("matches_string", [.string, .string], .bool)]
    ) { arguments throws(CELError) in
      guard let text = arguments[0].text, let pattern = try CompiledPattern.expression(arguments[1]) else {
        throw .noSuchOverload("matches", arguments)
      }
      return .bool(pattern.matches(text))
    },
  ]
}

/// Finding a text in another.
enum TextSearch {
  /// The first place at or after `start` where `needle` stands in `hay`.
  static func first<T: Equatable>(of needle: [T], in hay: [T], from start: Int = 0) -> Int? {
    guard !needle.isEmpty else { return start <= hay.count ? start : nil }
    guard hay.count >= needle.count, start <= hay.count - needle.count else { return nil }
    for place in max(start, 0)...(hay.count - needle.count) {
      var length = 0
      while length < needle.count, hay[place + length] == needle[length] { length += 1 }
      if length == needle.count { return place }
    }
    return nil
  }
}
