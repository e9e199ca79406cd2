// Literals of the source as values.

enum Literals {
  /// An integer literal, decimal or hexadecimal; nil when it does not fit.
  static func integer(_ text: String, isNegative: Bool) -> Int64? {
    let (digits, radix) = split(text)
    return Int64((isNegative ? "-" : "") + digits, radix: radix)
  }

  static func unsigned(_ text: String) -> UInt64? {
    let (digits, radix) = split(String(text.dropLast()))
    return UInt64(digits, radix: radix)
  }

  private static func split(_ text: String) -> (Substring, Int) {
    text.hasPrefix("0x") ? (text.dropFirst(2), 16) : (text[...], 10)
  }

  /// The text of a STRING or BYTES token without quotes and with escapes resolved; throws a message.
  static func text(_ token: ArraySlice<Unicode.Scalar>) -> Result<String, LiteralError> {
    let (body, isRaw) = unquoted(token)
    guard !isRaw, body.contains("\\") else { return .success(string(normalized(body))) }
    var out = String.UnicodeScalarView()
    var rest = normalized(body)[...]
    while let scalar = rest.popFirst() {
      guard scalar == "\\" else {
        out.append(scalar)
        continue
      }
      guard let code = escaped(&rest) else { return .failure(LiteralError(message: "unable to unescape string")) }
      guard let value = Unicode.Scalar(code.value) else {
        return .failure(LiteralError(message: "invalid unicode code point"))
      }
      out.append(value)
    }
    return .success(String(out))
  }

  /// As `text`, but `\x` and octal escapes are bytes, and `\u` is not allowed.
  static func bytes(_ token: ArraySlice<Unicode.Scalar>) -> Result<[UInt8], LiteralError> {
    let (body, isRaw) = unquoted(token)
    var out: [UInt8] = []
    var rest = normalized(body)[...]
    while let scalar = rest.popFirst() {
      guard scalar == "\\", !isRaw else {
        out += String(Character(scalar)).utf8
        continue
      }
      guard let code = escaped(&rest), code.isByte || code.value < 0x80 else {
        return .failure(LiteralError(message: "unable to unescape string"))
      }
      out.append(UInt8(truncatingIfNeeded: code.value))
    }
    return .success(out)
  }

  struct LiteralError: Error { let message: String }

  private static func string(_ scalars: [Unicode.Scalar]) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  /// Line ends become "\n".
  private static func normalized(_ body: ArraySlice<Unicode.Scalar>) -> [Unicode.Scalar] {
    guard body.contains("\r") else { return Array(body) }
    var out: [Unicode.Scalar] = []
    var rest = body
    while let scalar = rest.popFirst() {
      if scalar == "\r" {
        if rest.first == "\n" { rest.removeFirst() }
        out.append("\n")
      } else {
        out.append(scalar)
      }
    }
    return out
  }

  private static func unquoted(_ token: ArraySlice<Unicode.Scalar>) -> (ArraySlice<Unicode.Scalar>, isRaw: Bool) {
    var rest = token
    var isRaw = false
    while let first = rest.first, first != "'", first != "\"" {
      if first == "r" || first == "R" { isRaw = true }
      rest.removeFirst()
    }
    let isTriple = rest.count >= 6 && rest.prefix(3).allSatisfy { $0 == rest.first }
    let width = isTriple ? 3 : 1
    return (rest.dropFirst(width).dropLast(width), isRaw)
  }

  /// The code an escape stands for; the backslash is consumed already.
  private static func escaped(_ rest: inout ArraySlice<Unicode.Scalar>) -> (value: UInt32, isByte: Bool)? {
    guard let scalar = rest.popFirst() else { return nil }
    switch scalar {
    case "a": return (7, false)
    case "b": return (8, false)
    case "f": return (12, false)
    case "n": return (10, false)
    case "r": return (13, false)
    case "t": return (9, false)
    case "v": return (11, false)
    case "\\", "'", "\"", "?", "`": return (scalar.value, false)
    case "x", "X": return number(&rest, 2, radix: 16).map { ($0, true) }
    case "u": return number(&rest, 4, radix: 16).map { ($0, false) }
    case "U": return number(&rest, 8, radix: 16).map { ($0, false) }
    case "0"..."3":
      rest = [scalar] + rest
      return number(&rest, 3, radix: 8).map { ($0, true) }
    default: return nil
    }
  }

  private static func number(_ rest: inout ArraySlice<Unicode.Scalar>, _ count: Int, radix: Int) -> UInt32? {
    guard rest.count >= count else { return nil }
    let digits = string(Array(rest.prefix(count)))
    rest = rest.dropFirst(count)
    return UInt32(digits, radix: radix)
  }
}
