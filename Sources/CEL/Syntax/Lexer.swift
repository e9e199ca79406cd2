// Code points to tokens, by the longest match.

enum TokenKind: Sendable, Hashable {
  /// An operator or a bracket.
  case symbol(String)
  case `in`, `true`, `false`, null
  case float, int, uint, string, bytes, identifier
  case end

  /// As the reference's messages name it.
  var name: String {
    switch self {
    case .symbol(let text): "'\(text)'"
    case .in: "'in'"
    case .true: "'true'"
    case .false: "'false'"
    case .null: "'null'"
    case .float: "NUM_FLOAT"
    case .int: "NUM_INT"
    case .uint: "NUM_UINT"
    case .string: "STRING"
    case .bytes: "BYTES"
    case .identifier: "IDENTIFIER"
    case .end: "<EOF>"
    }
  }
}

struct Token: Sendable {
  let kind: TokenKind
  let start: Int
  let end: Int
}

struct Lexer {
  private let scalars: [Unicode.Scalar]
  private var offset = 0
  private(set) var issues: [(offset: Int, message: String)] = []

  init(_ source: SourceText) { scalars = source.scalars }

  /// All tokens, the last being `end`. Text that is no token is reported and passed over.
  mutating func tokens() -> [Token] {
    var tokens: [Token] = []
    while true {
      skipBlanks()
      guard offset < scalars.count else { break }
      let start = offset
      if let kind = next() {
        tokens.append(Token(kind: kind, start: start, end: offset))
      } else {
        reportUnrecognized(from: start)
      }
    }
    tokens.append(Token(kind: .end, start: scalars.count, end: scalars.count))
    return tokens
  }

  /// The text up to and with the code point that fits nothing is reported, and reading goes on behind it.
  private mutating func reportUnrecognized(from start: Int) {
    let end = min(offset, scalars.count - 1)
    if issues.count <= CELLimits.issuesMaximum {
      issues.append((start, "Syntax error: token recognition error at: '\(text(start, end + 1))'"))
    }
    offset = end + 1
  }

  private func text(_ start: Int, _ end: Int) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars[start..<end])
    return String(view)
  }

  private func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
    offset + ahead < scalars.count ? scalars[offset + ahead] : nil
  }

  private mutating func skipBlanks() {
    while let scalar = peek() {
      if scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r" || scalar == "\u{c}" {
        offset += 1
      } else if scalar == "/", peek(1) == "/" {
        while let next = peek(), next != "\n" { _ = next; offset += 1 }
      } else {
        return
      }
    }
  }

  /// The kind of the token at `offset`, which then stands behind it; nil leaves `offset` at what does not fit.
  private mutating func next() -> TokenKind? {
    guard let scalar = peek() else { return nil }
    if scalar.isIdentifierStart { return stringWithPrefix() ?? word() }
    if scalar.isDigit || scalar == "." && peek(1)?.isDigit == true { return number() }
    if scalar == "'" || scalar == "\"" { return quoted(isRaw: false) ? .string : nil }
    return symbol(scalar)
  }

  private mutating func symbol(_ scalar: Unicode.Scalar) -> TokenKind? {
    switch scalar {
    case "=", "&", "|":
      offset += 1
      let second: Unicode.Scalar = scalar
      guard peek() == second else { return nil }
      offset += 1
      return .symbol(String(Character(scalar)) + String(Character(second)))
    case "!", "<", ">":
      offset += 1
      guard peek() == "=" else { return .symbol(String(Character(scalar))) }
      offset += 1
      return .symbol(String(Character(scalar)) + "=")
    case "[", "]", "{", "}", "(", ")", ".", ",", "-", "?", ":", "+", "*", "/", "%":
      offset += 1
      return .symbol(String(Character(scalar)))
    default: return nil
    }
  }

  private mutating func word() -> TokenKind {
    let start = offset
    while let scalar = peek(), scalar.isIdentifierPart { _ = scalar; offset += 1 }
    switch text(start, offset) {
    case "in": return .in
    case "true": return .true
    case "false": return .false
    case "null": return .null
    default: return .identifier
    }
  }

  // MARK: Numbers

  private mutating func digits() {
    while peek()?.isDigit == true { offset += 1 }
  }

  private mutating func number() -> TokenKind {
    if peek() == "0", peek(1) == "x", peek(2)?.isHexDigit == true {
      offset += 2
      while peek()?.isHexDigit == true { offset += 1 }
      return unsignedSuffix() ? .uint : .int
    }
    digits()
    var isFloat = false
    if peek() == ".", peek(1)?.isDigit == true {
      isFloat = true
      offset += 1
      digits()
    }
    if exponent() { isFloat = true }
    if isFloat { return .float }
    return unsignedSuffix() ? .uint : .int
  }

  private mutating func unsignedSuffix() -> Bool {
    guard peek() == "u" || peek() == "U" else { return false }
    offset += 1
    return true
  }

  private mutating func exponent() -> Bool {
    guard peek() == "e" || peek() == "E" else { return false }
    let signed = peek(1) == "+" || peek(1) == "-"
    guard peek(signed ? 2 : 1)?.isDigit == true else { return false }
    offset += signed ? 2 : 1
    digits()
    return true
  }

  // MARK: Text

  /// r'…', b"…", br'''…''': nil, with `offset` unchanged, when the letters are no prefix of a quoted text.
  private mutating func stringWithPrefix() -> TokenKind? {
    let start = offset
    var isRaw = false
    var isBytes = false
    if peek() == "b" || peek() == "B" {
      isBytes = true
      offset += 1
    }
    if peek() == "r" || peek() == "R" {
      isRaw = true
      offset += 1
    }
    if offset > start, peek() == "'" || peek() == "\"", quoted(isRaw: isRaw) { return isBytes ? .bytes : .string }
    offset = start
    return nil
  }

  /// Passes over a quoted text; false, standing at the place where it fails, when it does not end.
  private mutating func quoted(isRaw: Bool) -> Bool {
    let quote = scalars[offset]
    if peek(1) == quote, peek(2) == quote {
      let start = offset
      offset += 3
      while let scalar = peek() {
        if scalar == "\\", !isRaw {
          offset += 2
        } else if scalar == quote, peek(1) == quote, peek(2) == quote {
          offset += 3
          return true
        } else {
          offset += 1
        }
      }
      // Not closed: the longest match is the empty text.
      offset = start + 2
      return true
    }
    offset += 1
    while let scalar = peek() {
      if scalar == quote {
        offset += 1
        return true
      }
      if scalar == "\n" || scalar == "\r" { return false }
      if scalar == "\\", !isRaw {
        guard escape() else { return false }
      } else {
        offset += 1
      }
    }
    return false
  }

  /// Passes over an escape sequence; false, standing at what does not fit.
  private mutating func escape() -> Bool {
    offset += 1
    guard let scalar = peek() else { return false }
    offset += 1
    switch scalar {
    case "a", "b", "f", "n", "r", "t", "v", "\\", "'", "\"", "?", "`": return true
    case "x", "X": return digits(2) { $0.isHexDigit }
    case "u": return digits(4) { $0.isHexDigit }
    case "U": return digits(8) { $0.isHexDigit }
    case "0"..."3": return digits(2) { ("0"..."7").contains($0) }
    default:
      offset -= 1
      return false
    }
  }

  private mutating func digits(_ count: Int, _ accepts: (Unicode.Scalar) -> Bool) -> Bool {
    for _ in 0..<count {
      guard let scalar = peek(), accepts(scalar) else { return false }
      offset += 1
    }
    return true
  }
}

extension Unicode.Scalar {
  var isDigit: Bool { ("0"..."9").contains(self) }
  var isHexDigit: Bool { isDigit || ("a"..."f").contains(self) || ("A"..."F").contains(self) }
  var isIdentifierStart: Bool { ("a"..."z").contains(self) || ("A"..."Z").contains(self) || self == "_" }
  var isIdentifierPart: Bool { isIdentifierStart || isDigit }
}
