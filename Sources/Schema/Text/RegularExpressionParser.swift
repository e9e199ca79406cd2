// The syntax of RE2: no back references, no assertions that look around.

struct RegularExpressionParser {
  /// Groups within groups; deeper patterns are refused, not recursed into.
  private static let depthMaximum = 250
  private static let countMaximum = 1000

  private struct Flags {
    var ignoresCase = false
    var isMultiline = false
    var dotMatchesNewline = false
    var swapsLaziness = false
  }

  private let pattern: String
  private let scalars: [Unicode.Scalar]
  private var position = 0
  private var depth = 0
  private var flags = Flags()

  init(_ pattern: String) {
    self.pattern = pattern
    scalars = Array(pattern.unicodeScalars)
  }

  private typealias Failure = RegularExpression.ParseError

  private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }
  private func text(from start: Int) -> String { text(start..<position) }
  private func text(_ range: Range<Int>) -> String {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars[range])
    return String(text)
  }
  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard next == scalar else { return false }
    position += 1
    return true
  }
  private func looking(at text: String) -> Bool { scalars[position...].starts(with: text.unicodeScalars) }

  mutating func parse() throws(RegularExpression.ParseError) -> RegularExpressionNode {
    let node = try alternatives()
    if next == ")" { throw Failure("unexpected )", pattern) }
    return node
  }

  private mutating func alternatives() throws(RegularExpression.ParseError) -> RegularExpressionNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.depthMaximum else { throw Failure("expression nests too deeply", pattern) }
    var parts = [try sequence()]
    while take("|") { parts.append(try sequence()) }
    return parts.count == 1 ? parts[0] : .alternatives(parts)
  }

  private mutating func sequence() throws(RegularExpression.ParseError) -> RegularExpressionNode {
    var parts: [RegularExpressionNode] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      let start = position
      if let quantifier = try quantifier() {
        _ = quantifier
        throw Failure("missing argument to repetition operator", text(from: start))
      }
      guard let atom = try atom() else { continue }
      parts.append(try repeated(atom))
    }
    return parts.isEmpty ? .empty : parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func repeated(
    _ atom: RegularExpressionNode
  ) throws(RegularExpression.ParseError) -> RegularExpressionNode {
    let start = position
    guard let (minimum, maximum) = try quantifier() else { return atom }
    let isLazy = take("?") != flags.swapsLaziness
    let node = RegularExpressionNode.repetition(atom, minimum: minimum, maximum: maximum, isLazy: isLazy)
    if try quantifier() != nil { throw Failure("invalid nested repetition operator", text(from: start)) }
    return node
  }

  private mutating func quantifier() throws(RegularExpression.ParseError) -> (Int, Int?)? {
    let start = position
    if take("*") { return (0, nil) }
    if take("+") { return (1, nil) }
    if take("?") { return (0, 1) }
    guard take("{") else { return nil }
    guard let minimum = number() else { return literalBrace(start) }
    var maximum: Int? = minimum
    if take(",") {
      if next == "}" {
        maximum = nil
      } else {
        guard let given = number() else { return literalBrace(start) }
        maximum = given
      }
    }
    guard take("}") else { return literalBrace(start) }
    guard minimum <= Self.countMaximum, maximum ?? 0 <= Self.countMaximum, maximum.map({ $0 >= minimum }) ?? true
    else { throw Failure("invalid repeat count", text(from: start)) }
    return (minimum, maximum)
  }

  /// A brace that opens no count stands for itself.
  private mutating func literalBrace(_ start: Int) -> (Int, Int?)? {
    position = start
    return nil
  }

  private mutating func number() -> Int? {
    var value: Int?
    while let digit = next.flatMap({ Int(String($0)) }), next?.isASCII == true {
      value = min((value ?? 0) * 10 + digit, Self.countMaximum + 1)
      position += 1
    }
    return value
  }

  private mutating func literal(_ scalar: Unicode.Scalar) -> RegularExpressionNode {
    .set(folded(ScalarSet(scalar)))
  }
  private func folded(_ set: ScalarSet) -> ScalarSet {
    var set = set
    set.ignoresCase = flags.ignoresCase
    return set
  }

  /// nil: something that matches nothing by itself (flags).
  private mutating func atom() throws(RegularExpression.ParseError) -> RegularExpressionNode? {
    guard let scalar = next else { return nil }
    if scalar == "(" { return try group() }
    if scalar == "[" { return .set(folded(try characterClass())) }
    if scalar == "\\" { return try escape() }
    position += 1
    switch scalar {
    case ".": return .set(flags.dotMatchesNewline ? .anything : .anythingButNewline)
    case "^": return .assertion(flags.isMultiline ? .lineBegin : .textBegin)
    case "$": return .assertion(flags.isMultiline ? .lineEnd : .textEnd)
    default: return literal(scalar)
    }
  }

  // MARK: Groups

  private mutating func group() throws(RegularExpression.ParseError) -> RegularExpressionNode? {
    let start = position
    let outer = flags
    position += 1
    if take("?") {
      if looking(at: "P<") || (looking(at: "<") && !looking(at: "<=") && !looking(at: "<!")) {
        _ = take("P")
        try groupName(start)
      } else if try !readFlags(start) {
        // Flags without a group of their own hold to the end of the group that they stand in.
        return nil
      }
    }
    let node = try alternatives()
    guard take(")") else { throw Failure("missing closing )", pattern) }
    flags = outer
    return node
  }

  private mutating func groupName(_ start: Int) throws(RegularExpression.ParseError) {
    position += 1
    let begin = position
    while let scalar = next, scalar != ">" {
      guard ScalarSet.word.contains(scalar) else { break }
      position += 1
    }
    let isNamed = position > begin
    guard take(">"), isNamed else { throw Failure("invalid named capture", text(start..<scalars.count)) }
  }

  /// Whether a group with these flags follows.
  private mutating func readFlags(_ start: Int) throws(RegularExpression.ParseError) -> Bool {
    var value = true
    var new = flags
    while let scalar = next {
      position += 1
      switch scalar {
      case "i": new.ignoresCase = value
      case "m": new.isMultiline = value
      case "s": new.dotMatchesNewline = value
      case "U": new.swapsLaziness = value
      case "-" where value: value = false
      case ":":
        flags = new
        return true
      case ")":
        flags = new
        return false
      default: throw Failure("invalid or unsupported Perl syntax", text(from: start))
      }
    }
    throw Failure("missing closing )", pattern)
  }

  // MARK: Escapes

  private mutating func escape() throws(RegularExpression.ParseError) -> RegularExpressionNode {
    let start = position
    position += 1
    guard let scalar = next else { throw Failure("trailing backslash at end of expression", "") }
    switch scalar {
    case "A", "z", "b", "B":
      position += 1
      return .assertion(
        scalar == "A" ? .textBegin : scalar == "z" ? .textEnd : scalar == "b" ? .wordBoundary : .noWordBoundary)
    case "Q":
      position += 1
      var parts: [RegularExpressionNode] = []
      while let quoted = next, !looking(at: "\\E") {
        parts.append(literal(quoted))
        position += 1
      }
      if next != nil { position += 2 }
      return .sequence(parts)
    case "C": throw Failure("invalid escape sequence", text(start..<position + 1))
    default:
      position = start
      if let set = try setEscape() { return .set(folded(set)) }
      return literal(try scalarEscape())
    }
  }

  /// `\d`, `\pL` and their like.
  private mutating func setEscape() throws(RegularExpression.ParseError) -> ScalarSet? {
    let start = position
    guard looking(at: "\\"), position + 1 < scalars.count else { return nil }
    let known: [Unicode.Scalar: ScalarSet] = [
      "d": .digit, "D": ScalarSet.digit.negation, "w": .word, "W": ScalarSet.word.negation, "s": .space,
      "S": ScalarSet.space.negation,
    ]
    if let set = known[scalars[position + 1]] {
      position += 2
      return set
    }
    guard scalars[position + 1] == "p" || scalars[position + 1] == "P" else { return nil }
    var isNegated = scalars[position + 1] == "P"
    position += 2
    var name = ""
    if take("{") {
      let begin = position
      while let scalar = next, scalar != "}" {
        _ = scalar
        position += 1
      }
      name = text(from: begin)
      guard take("}") else { throw Failure("invalid character class range", text(start..<scalars.count)) }
    } else if let scalar = next {
      name = String(scalar)
      position += 1
    }
    if name.hasPrefix("^") {
      name.removeFirst()
      isNegated.toggle()
    }
    guard let category = ScalarCategory(name) else {
      throw Failure("invalid character class range", text(from: start))
    }
    let set = ScalarSet(category)
    return isNegated ? set.negation : set
  }

  private mutating func scalarEscape() throws(RegularExpression.ParseError) -> Unicode.Scalar {
    let start = position
    position += 1
    guard let scalar = next else { throw Failure("trailing backslash at end of expression", "") }
    position += 1
    switch scalar {
    case "a": return "\u{7}"
    case "f": return "\u{c}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "v": return "\u{b}"
    case "x": return try hexadecimal(start)
    case "0"..."7":
      // "\1" alone would be a back reference.
      guard scalar == "0" || next.map({ ("0"..."7").contains($0) }) == true else { break }
      var value = scalar.value - 48
      for _ in 0..<2 {
        guard let digit = next, ("0"..."7").contains(digit) else { break }
        value = value * 8 + digit.value - 48
        position += 1
      }
      if let result = Unicode.Scalar(value) { return result }
    default:
      if scalar.isASCII, !ScalarSet.word.contains(scalar) { return scalar }
    }
    throw Failure("invalid escape sequence", text(from: start))
  }

  private mutating func hexadecimal(_ start: Int) throws(RegularExpression.ParseError) -> Unicode.Scalar {
    var digits = ""
    if take("{") {
      while let scalar = next, scalar != "}", digits.utf8.count < 8 {
        digits.unicodeScalars.append(scalar)
        position += 1
      }
      guard take("}") else { throw Failure("invalid escape sequence", text(from: start)) }
    } else {
      while digits.utf8.count < 2, let scalar = next {
        digits.unicodeScalars.append(scalar)
        position += 1
      }
      guard digits.utf8.count == 2 else { throw Failure("invalid escape sequence", text(from: start)) }
    }
    guard let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value) else {
      throw Failure("invalid escape sequence", text(from: start))
    }
    return scalar
  }

  // MARK: Classes

  private mutating func characterClass() throws(RegularExpression.ParseError) -> ScalarSet {
    let start = position
    position += 1
    var set = ScalarSet()
    let isNegated = take("^")
    var isFirst = true
    while let scalar = next, scalar != "]" || isFirst {
      isFirst = false
      if looking(at: "[:"), let named = try namedClass() {
        set.insert(named)
        continue
      }
      if let escaped = try setEscape() {
        set.insert(escaped)
        continue
      }
      let rangeStart = position
      let low = try classScalar(start)
      guard looking(at: "-"), position + 1 < scalars.count, scalars[position + 1] != "]" else {
        set.insert(low...low)
        continue
      }
      position += 1
      let high = try classScalar(start)
      guard low <= high else { throw Failure("invalid character class range", text(from: rangeStart)) }
      set.insert(low...high)
    }
    guard take("]") else { throw Failure("missing closing ]", text(start..<scalars.count)) }
    set.isNegated = isNegated
    return set
  }

  private mutating func classScalar(_ start: Int) throws(RegularExpression.ParseError) -> Unicode.Scalar {
    guard let scalar = next else { throw Failure("missing closing ]", text(start..<scalars.count)) }
    if scalar == "\\" { return try scalarEscape() }
    position += 1
    return scalar
  }

  private mutating func namedClass() throws(RegularExpression.ParseError) -> ScalarSet? {
    let start = position
    var end = position + 2
    while end + 1 < scalars.count, !(scalars[end] == ":" && scalars[end + 1] == "]") { end += 1 }
    guard end + 1 < scalars.count else { return nil }
    var name = Substring(text(start + 2..<end))
    let isNegated = name.hasPrefix("^")
    if isNegated { name.removeFirst() }
    position = end + 2
    guard let set = ScalarSet.named(name) else {
      throw Failure("invalid character class range", text(from: start))
    }
    return isNegated ? set.negation : set
  }
}
