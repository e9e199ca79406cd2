// Functions whose name several libraries share: texts and lists have an indexOf, addresses and ranges an ip.

enum SharedNames {
  static let all: [CELFunction] = [
    search("indexOf", "index_of", fromEnd: false), search("lastIndexOf", "last_index_of", fromEnd: true),
  ]

  private static func search(_ name: String, _ id: String, fromEnd: Bool) -> CELFunction {
    let element = CELType.parameter("T")
    let overloads: [CELOverload] = [
      .member("list_a_\(id)_int", [.list(element), element], .int),
      .member("string_\(id)_string", [.string, .string], .int),
      .member("string_\(id)_string_int", [.string, .string, .int], .int),
    ]
    return CELFunction(name, overloads) { arguments throws(CELError) in
      if case .list(let list) = arguments[0], arguments.count == 2 {
        return try position(of: arguments[1], in: list, fromEnd: fromEnd)
      }
      guard let text = arguments[0].text, let part = arguments[1].text else { throw .noSuchOverload(name, arguments) }
      let hay = Array(text.unicodeScalars)
      let needle = Array(part.unicodeScalars)
      guard arguments.count > 2 else {
        return .count((fromEnd ? last(of: needle, in: hay, from: nil) : TextSearch.first(of: needle, in: hay)) ?? -1)
      }
      guard let start = arguments[2].integer else { throw .noSuchOverload(name, arguments) }
      if needle.isEmpty { return .int(start) }
      guard start >= 0, start <= hay.count || !fromEnd && hay.isEmpty else {
        throw CELError("index out of range: \(start)")
      }
      let found =
        fromEnd ? last(of: needle, in: hay, from: Int(start)) : TextSearch.first(of: needle, in: hay, from: Int(start))
      return .count(found ?? -1)
    }
  }

  private static func position(of value: CELValue, in list: CELList, fromEnd: Bool) throws(CELError) -> CELValue {
    for step in 0..<list.count {
      let index = fromEnd ? list.count - 1 - step : step
      if try list[index].equals(value) { return .count(index) }
    }
    return .int(-1)
  }

  /// The last place at or before `start` where `needle` stands in `hay`.
  private static func last(of needle: [Unicode.Scalar], in hay: [Unicode.Scalar], from start: Int?) -> Int? {
    guard needle.count <= hay.count else { return nil }
    let highest = hay.count - needle.count
    for place in stride(from: min(start ?? highest, highest), through: 0, by: -1)
    where hay[place..<(place + needle.count)].elementsEqual(needle) {
      return place
    }
    return nil
  }
}
