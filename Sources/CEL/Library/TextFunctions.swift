// Texts: charAt, join, lowerAscii, replace, split, substring, trim, upperAscii, strings.quote. Places count code
// points. format stands in TextFormat.

enum TextFunctions {
  static let all: [CELFunction] = [
    CELFunction("charAt", [.member("string_char_at_int", [.string, .int], .string)]) { arguments throws(CELError) in
      guard let text = arguments[0].text, let place = arguments[1].integer else {
        throw .noSuchOverload("charAt", arguments)
      }
      let scalars = Array(text.unicodeScalars)
      guard place >= 0, place <= scalars.count else { throw CELError("index out of range: \(place)") }
      return .string(place == scalars.count ? "" : String(Character(scalars[Int(place)])))
    },
    mapped("lowerAscii", "string_lower_ascii") { $0.isASCIIUpper ? Unicode.Scalar($0.value + 32)! : $0 },
    mapped("upperAscii", "string_upper_ascii") { $0.isASCIILower ? Unicode.Scalar($0.value - 32)! : $0 },
    CELFunction("trim", [.member("string_trim", [.string], .string)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("trim", arguments) }
      var rest = text.unicodeScalars[...]
      while rest.first?.properties.isWhitespace == true { rest.removeFirst() }
      while rest.last?.properties.isWhitespace == true { rest.removeLast() }
      return .string(String(rest))
    },
    CELFunction(
      "replace",
      [
        .member("string_replace_string_string", [.string, .string, .string], .string),
        .member("string_replace_string_string_int", [.string, .string, .string, .int], .string),
      ]
    ) { arguments throws(CELError) in
      guard let text = arguments[0].text, let old = arguments[1].text, let new = arguments[2].text else {
        throw .noSuchOverload("replace", arguments)
      }
      let limit = arguments.count > 3 ? arguments[3].integer : -1
      guard let limit else { throw .noSuchOverload("replace", arguments) }
      return .string(try replaced(text, old, with: new, limit: limit))
    },
    CELFunction(
      "split",
      [
        .member("string_split_string", [.string, .string], .list(.string)),
        .member("string_split_string_int", [.string, .string, .int], .list(.string)),
      ]
    ) { arguments throws(CELError) in
      guard let text = arguments[0].text, let separator = arguments[1].text else {
        throw .noSuchOverload("split", arguments)
      }
      let limit = arguments.count > 2 ? arguments[2].integer : -1
      guard let limit else { throw .noSuchOverload("split", arguments) }
      return .list(.values(split(text, separator, limit: limit).map { .string($0) }))
    },
    CELFunction(
      "substring",
      [
        .member("string_substring_int", [.string, .int], .string),
        .member("string_substring_int_int", [.string, .int, .int], .string),
      ]
    ) { arguments throws(CELError) in
      guard let text = arguments[0].text, let start = arguments[1].integer else {
        throw .noSuchOverload("substring", arguments)
      }
      let scalars = Array(text.unicodeScalars)
      let end = arguments.count > 2 ? arguments[2].integer : Int64(scalars.count)
      guard let end else { throw .noSuchOverload("substring", arguments) }
      if arguments.count > 2, start > end {
        throw CELError("invalid substring range. start: \(start), end: \(end)")
      }
      guard start >= 0, start <= scalars.count else { throw CELError("index out of range: \(start)") }
      guard end >= 0, end <= scalars.count else { throw CELError("index out of range: \(end)") }
      return .string(string(scalars[Int(start)..<Int(end)]))
    },
    CELFunction(
      "join",
      [
        .member("list_join", [.list(.string)], .string),
        .member("list_join_string", [.list(.string), .string], .string),
      ]
    ) { arguments throws(CELError) in try joined(arguments) },
    CELFunction("strings.quote", [CELOverload("strings_quote", [.string], .string)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("strings.quote", arguments) }
      return .string(quoted(text))
    },
    CELFunction("format", [.member("string_format", [.string, .list(.dyn)], .string)]) { arguments throws(CELError) in
      guard let text = arguments[0].text, case .list(let list) = arguments[1] else {
        throw .noSuchOverload("format", arguments)
      }
      return .string(try TextFormat.format(text, try list.values()))
    },
  ]

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  private static func mapped(
    _ name: String, _ id: String, _ change: @escaping @Sendable (Unicode.Scalar) -> Unicode.Scalar
  ) -> CELFunction {
    CELFunction(name, [.member(id, [.string], .string)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload(name, arguments) }
      return .string(string(text.unicodeScalars.lazy.map(change)))
    }
  }

  private static func replaced(
    _ text: String, _ old: String, with new: String, limit: Int64
  ) throws(CELError) -> String {
    let hay = Array(text.unicodeScalars)
    let needle = Array(old.unicodeScalars)
    var out = String.UnicodeScalarView()
    var bytes = 0
    var count: Int64 = 0
    var place = 0
    while limit < 0 || count < limit, let found = TextSearch.first(of: needle, in: hay, from: place) {
      // An empty text stands before every character and at the end.
      let end = needle.isEmpty ? min(found + (count == 0 ? 0 : 1), hay.count) : found
      if needle.isEmpty, count > 0, place >= hay.count { break }
      out.append(contentsOf: hay[place..<end])
      bytes += (end - place) * 4 + new.utf8.count
      guard bytes <= CELLimits.textBytesMaximum else { throw .costExceeded }
      out.append(contentsOf: new.unicodeScalars)
      place = end + needle.count
      count += 1
    }
    out.append(contentsOf: hay[place...])
    return String(out)
  }

  private static func split(_ text: String, _ separator: String, limit: Int64) -> [String] {
    guard limit != 0 else { return [] }
    guard limit != 1 else { return [text] }
    let hay = Array(text.unicodeScalars)
    let needle = Array(separator.unicodeScalars)
    var parts: [String] = []
    if needle.isEmpty {
      for (index, scalar) in hay.enumerated() {
        if limit > 0, parts.count == limit - 1 { return parts + [string(hay[index...])] }
        parts.append(String(Character(scalar)))
      }
      return parts
    }
    var place = 0
    while limit < 0 || parts.count < limit - 1, let found = TextSearch.first(of: needle, in: hay, from: place) {
      parts.append(string(hay[place..<found]))
      place = found + needle.count
    }
    parts.append(string(hay[place...]))
    return parts
  }

  private static func joined(_ arguments: [CELValue]) throws(CELError) -> CELValue {
    guard case .list(let list) = arguments[0], let separator = arguments.count > 1 ? arguments[1].text : "" else {
      throw .noSuchOverload("join", arguments)
    }
    var out = ""
    for (index, value) in try list.values().enumerated() {
      guard let text = value.text else { throw CELError("join: invalid input: \(value.shown)") }
      if index > 0 { out += separator }
      out += text
      guard out.utf8.count <= CELLimits.textBytesMaximum else { throw .costExceeded }
    }
    return .string(out)
  }

  static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\u{7}": out += "\\a"
      case "\u{8}": out += "\\b"
      case "\u{c}": out += "\\f"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case "\u{b}": out += "\\v"
      case "\\": out += "\\\\"
      case "\"": out += "\\\""
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}

extension Unicode.Scalar {
  fileprivate var isASCIIUpper: Bool { ("A"..."Z").contains(self) }
  fileprivate var isASCIILower: Bool { ("a"..."z").contains(self) }
}
