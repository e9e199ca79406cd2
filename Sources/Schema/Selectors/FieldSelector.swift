// Field selectors: `metadata.name=a,status.phase!=Running`.
import JSON

/// A conjunction of comparisons of fields with texts.
public struct FieldSelector: Sendable, Hashable, CustomStringConvertible {
  public struct Requirement: Sendable, Hashable {
    public var field: String
    public var isNegated: Bool
    public var value: String
    public init(field: String, isNegated: Bool = false, value: String) {
      self.field = field
      self.isNegated = isNegated
      self.value = value
    }
  }

  /// Why a selector is none, in the reference's words.
  public struct ParseError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
  }

  public var requirements: [Requirement]

  public static let everything = FieldSelector(requirements: [])

  public init(requirements: [Requirement]) { self.requirements = requirements }

  /// Parses comparisons with `=`, `==` and `!=`, joined by commas; `\\`, `\,` and `\=` stand for themselves in values.
  public init(parsing text: String) throws(ParseError) {
    requirements = []
    for term in Self.terms(text).sorted(by: { $0.lexicographicallyPrecedes($1) }) where !term.isEmpty {
      guard let (field, isNegated, value) = Self.comparison(term) else {
        throw ParseError(
          description: "invalid selector: '\(text)'; can't understand '\(String(decoding: term, as: UTF8.self))'")
      }
      requirements.append(Requirement(field: field, isNegated: isNegated, value: try Self.unescaped(value)))
    }
  }

  public var isEverything: Bool { requirements.isEmpty }

  /// The value that `field` must have, if the selector demands one: lists by name need not scan.
  public func requiredValue(of field: String) -> String? {
    requirements.first { $0.field == field && !$0.isNegated }?.value
  }

  /// The first field that is not among those a kind can be selected by; 400 `field label not supported: x`.
  public func firstUnsupported(among supported: some Collection<String>) -> String? {
    requirements.first { !supported.contains($0.field) }?.field
  }

  /// `value` returns the text of a field, "" when it is absent.
  public func matches(_ value: (String) -> String) -> Bool {
    requirements.allSatisfy { (value($0.field) == $0.value) != $0.isNegated }
  }

  /// The text of a selectable field: scalars as text, "" when absent.
  public static func text(of value: JSONValue) -> String {
    switch value {
    case .string(let text): text
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): String(value)
    default: ""
    }
  }

  public var description: String {
    requirements.map { "\($0.field)\($0.isNegated ? "!=" : "=")\(Self.escaped($0.value))" }.joined(separator: ",")
  }

  private static func escaped(_ value: String) -> String {
    var out = ""
    for character in value.unicodeScalars {
      if character == "\\" || character == "," || character == "=" { out += "\\" }
      out.unicodeScalars.append(character)
    }
    return out
  }

  private static func terms(_ text: String) -> [[UInt8]] {
    var terms: [[UInt8]] = [[]]
    var isEscaped = false
    for byte in text.utf8 {
      if byte == UInt8(ascii: ","), !isEscaped {
        terms.append([])
      } else {
        terms[terms.count - 1].append(byte)
      }
      isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
    }
    return terms
  }

  private static func comparison(_ term: [UInt8]) -> (field: String, isNegated: Bool, value: ArraySlice<UInt8>)? {
    for index in term.indices {
      let rest = term[index...]
      for (symbol, isNegated) in [("!=", true), ("==", false), ("=", false)] where rest.starts(with: symbol.utf8) {
        let field = String(decoding: term[..<index], as: UTF8.self)
        return (field, isNegated, rest.dropFirst(symbol.utf8.count))
      }
    }
    return nil
  }

  private static func unescaped(_ value: ArraySlice<UInt8>) throws(ParseError) -> String {
    var out: [UInt8] = []
    var isEscaped = false
    for byte in value {
      let isSpecial = byte == UInt8(ascii: "\\") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "=")
      if isEscaped {
        guard isSpecial else {
          throw ParseError(
            description: "invalid field selector, illegal escape sequence: \\\(Unicode.Scalar(byte))")
        }
        out.append(byte)
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if isSpecial {
        throw ParseError(description: "invalid field selector: unescaped character in value: \(byte)")
      } else {
        out.append(byte)
      }
    }
    if isEscaped { throw ParseError(description: "invalid field selector: illegal escape sequence: \\") }
    return String(decoding: out, as: UTF8.self)
  }
}
