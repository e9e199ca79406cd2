// The libraries that Kubernetes adds to CEL.
import Schema

enum KubernetesLibraries {
  static let all: [CELFunction] =
    OptionalFunctions.all + TextFunctions.all + ListFunctions.all + RegexFunctions.all + SetFunctions.all
    + SharedNames.all + NetworkFunctions.all + QuantityFunctions.all + URLFunctions.all + FormatFunctions.all
    + AuthorizerFunctions.all
}

enum RegexFunctions {
  static let all: [CELFunction] = [
    CELFunction("find", [.member("string_find_string", [.string, .string], .string)]) { arguments throws(CELError) in
      guard let text = arguments[0].text, let pattern = try CompiledPattern.expression(arguments[1]) else {
        throw .noSuchOverload("find", arguments)
      }
      return .string(pattern.allMatches(in: text, limit: 1).first ?? "")
    },
    CELFunction(
      "findAll",
      [
        .member("string_find_all_string", [.string, .string], .list(.string)),
        .member("string_find_all_string_int", [.string, .string, .int], .list(.string)),
      ]
    ) { arguments throws(CELError) in
      guard let text = arguments[0].text, let pattern = try CompiledPattern.expression(arguments[1]) else {
        throw .noSuchOverload("findAll", arguments)
      }
      let limit = arguments.count > 2 ? arguments[2].integer : -1
      guard let limit else { throw .noSuchOverload("findAll", arguments) }
      let found = pattern.allMatches(in: text, limit: Int(limit))
      return .list(.values(found.map { .string($0) }))
    },
  ]
}

enum SetFunctions {
  private static let lists: [CELType] = [.list(.parameter("T")), .list(.parameter("T"))]

  private static func function(
    _ name: String, _ id: String, _ holds: @escaping @Sendable (CELList, CELList) throws(CELError) -> Bool
  ) -> CELFunction {
    CELFunction(name, [CELOverload(id, lists, .bool)]) { arguments throws(CELError) in
      guard case .list(let left) = arguments[0], case .list(let right) = arguments[1] else {
        throw .noSuchOverload(name, arguments)
      }
      return .bool(try holds(left, right))
    }
  }

  private static func contains(_ list: CELList, allOf other: CELList) throws(CELError) -> Bool {
    for index in 0..<other.count where try !list.contains(other[index]) { return false }
    return true
  }

  private static func intersects(_ left: CELList, _ right: CELList) throws(CELError) -> Bool {
    for index in 0..<left.count where try right.contains(left[index]) { return true }
    return false
  }

  static let all: [CELFunction] = [
    function("sets.contains", "list_sets_contains_list") { left, right throws(CELError) in
      try contains(left, allOf: right)
    },
    function("sets.equivalent", "list_sets_equivalent_list") { left, right throws(CELError) in
      guard try contains(left, allOf: right) else { return false }
      return try contains(right, allOf: left)
    },
    function("sets.intersects", "list_sets_intersects_list") { left, right throws(CELError) in
      try intersects(left, right)
    },
  ]
}
