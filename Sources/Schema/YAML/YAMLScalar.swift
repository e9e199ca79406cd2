// What a YAML scalar means, by the rules of YAML 1.1 as the reference's library has them.
import JSON

enum YAMLScalar {
  private static let words: [String: JSONValue] = {
    var words: [String: JSONValue] = [:]
    for word in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] { words[word] = true }
    for word in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] { words[word] = false }
    for word in ["", "~", "null", "Null", "NULL"] { words[word] = .null }
    return words
  }()

  private static let notFinite: Set<String> = [
    ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
  ]

  /// A plain scalar without a tag.
  static func resolved(_ text: String) throws(YAMLError) -> JSONValue {
    if let word = words[text] { return word }
    if notFinite.contains(text) { throw YAMLError("json: unsupported value: \(text)") }
    return number(text) ?? .string(text)
  }

  /// A scalar that is quoted, or has a tag.
  static func tagged(_ text: String, _ tag: String) throws(YAMLError) -> JSONValue {
    let kinds: [String: (JSONValue) -> Bool] = [
      "bool": { $0.bool != nil }, "int": { $0.integer != nil }, "null": \.isNull,
      "float": { $0.integer != nil || { if case .double = $0 { true } else { false } }($0) },
    ]
    let prefix = "tag:yaml.org,2002:"
    guard tag.hasPrefix(prefix), let fits = kinds[String(tag.dropFirst(prefix.count))] else { return .string(text) }
    let value = try resolved(text)
    guard fits(value) else {
      throw YAMLError("yaml: cannot decode `\(text)` as a !!\(tag.dropFirst(prefix.count))")
    }
    return value
  }

  /// A scalar as the name of a member.
  static func key(_ value: JSONValue) throws(YAMLError) -> String {
    switch value {
    case .string(let text): return text
    case .array, .object: throw YAMLError("yaml: map keys must be scalars")
    default: return value.description
    }
  }

  private static func number(_ text: String) -> JSONValue? {
    guard let first = text.utf8.first, "+-.0123456789".utf8.contains(first) else { return nil }
    let plain = text.contains("_") && first != UInt8(ascii: ".") ? text.filter { $0 != "_" } : text
    return integer(plain) ?? float(plain)
  }

  /// Decimal, 0x, 0o, 0b, and 0 for octal.
  private static func integer(_ text: String) -> JSONValue? {
    var digits = Substring(text)
    let isNegative = digits.first == "-"
    if isNegative || digits.first == "+" { digits = digits.dropFirst() }
    guard let first = digits.utf8.first, first >= 48, first <= 57 else { return nil }
    var radix = 10
    if first == 48, digits.utf8.count > 1 {
      switch digits.dropFirst().first {
      case "x", "X": (radix, digits) = (16, digits.dropFirst(2))
      case "o", "O": (radix, digits) = (8, digits.dropFirst(2))
      case "b", "B": (radix, digits) = (2, digits.dropFirst(2))
      default: (radix, digits) = (8, digits.dropFirst())
      }
    }
    guard let lead = digits.utf8.first, lead != UInt8(ascii: "+"), lead != UInt8(ascii: "-") else { return nil }
    if let value = Int64((isNegative ? "-" : "") + digits, radix: radix) { return .integer(value) }
    return nil
  }

  /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`; whole numbers become integers, as on the way through JSON.
  private static func float(_ text: String) -> JSONValue? {
    var rest = Substring(text).utf8
    func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }
    if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
    let whole = rest.prefix(while: isDigit)
    rest = rest.dropFirst(whole.count)
    var fractionCount = 0
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      fractionCount = rest.prefix(while: isDigit).count
      rest = rest.dropFirst(fractionCount)
    }
    guard !whole.isEmpty || fractionCount > 0 else { return nil }
    if let mark = rest.first, mark | 0x20 == UInt8(ascii: "e") {
      rest = rest.dropFirst()
      if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
      guard !rest.isEmpty, rest.allSatisfy(isDigit) else { return nil }
    } else if !rest.isEmpty {
      return nil
    }
    guard let value = Double(text), value.isFinite else { return nil }
    if value.magnitude < 1e18, let integer = Int64(exactly: value) { return .integer(integer) }
    return .double(value)
  }

  /// Would be read as something else than a text if it stood there plain; and the base 60 numbers of old parsers.
  static func needsQuotes(_ text: String) -> Bool {
    if words[text] != nil || notFinite.contains(text) || text == "<<" || text == "=" { return true }
    if number(text) != nil { return true }
    guard let first = text.utf8.first, (first >= 48 && first <= 57) || first == 0x2b || first == 0x2d else {
      return false
    }
    return text.contains(":") && text.utf8.allSatisfy { ($0 >= 48 && $0 <= 58) || "+-._".utf8.contains($0) }
      || looksLikeDate(text)
  }

  /// "2006-1-2", with a time or without.
  private static func looksLikeDate(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard bytes.count >= 8, bytes[4] == UInt8(ascii: "-"), bytes[..<4].allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
      return false
    }
    return bytes.allSatisfy { ($0 >= 48 && $0 <= 58) || "-+.TtZz ".utf8.contains($0) }
  }
}
