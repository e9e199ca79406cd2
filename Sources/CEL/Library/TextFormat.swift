// "%s is %d".format([…]).

enum TextFormat {
  /// As the reference caps it.
  private static let precisionMaximum = 1000

  static func format(_ format: String, _ arguments: [CELValue]) throws(CELError) -> String {
    var out = ""
    var rest = format.unicodeScalars[...]
    var used = 0
    while let scalar = rest.popFirst() {
      guard scalar == "%" else {
        out.unicodeScalars.append(scalar)
        continue
      }
      if rest.first == "%" {
        rest.removeFirst()
        out += "%"
        continue
      }
      guard !rest.isEmpty else { throw CELError("unexpected end of format string") }
      guard used < arguments.count else { throw CELError("index \(used) out of range") }
      let precision = try precision(&rest)
      guard let clause = rest.popFirst() else { throw CELError("could not parse formatting clause: end of string") }
      out += try text(arguments[used], clause, precision)
      guard out.utf8.count <= CELLimits.textBytesMaximum else { throw .costExceeded }
      used += 1
    }
    return out
  }

  private static func precision(_ rest: inout Substring.UnicodeScalarView) throws(CELError) -> Int? {
    guard rest.first == "." else { return nil }
    rest.removeFirst()
    var digits = ""
    while let scalar = rest.first, ("0"..."9").contains(scalar) {
      digits.unicodeScalars.append(scalar)
      rest.removeFirst()
    }
    guard let value = Int(digits), value <= precisionMaximum else {
      throw CELError("error while parsing precision: could not convert precision to integer")
    }
    return value
  }

  private static func text(_ value: CELValue, _ clause: Unicode.Scalar, _ precision: Int?) throws(CELError) -> String {
    switch clause {
    case "s": return try plain(value)
    case "d": return try decimal(value)
    case "f": return try fixed(value, precision ?? 6)
    case "e": return try scientific(value, precision ?? 6)
    case "b": return try binary(value)
    case "x", "X": return try hexadecimal(value, isUpper: clause == "X")
    case "o": return try octal(value)
    default: throw CELError("could not parse formatting clause: unrecognized formatting clause \"\(clause)\"")
    }
  }

  private static func wrong(_ clause: String, _ allowed: String, _ value: CELValue) -> CELError {
    CELError("error during formatting: \(clause) clause can only be used on \(allowed), was given \(value.type.name)")
  }

  private static func plain(_ value: CELValue, depth: Int = 0) throws(CELError) -> String {
    guard depth < CELLimits.valueDepthMaximum else { throw CELError("value is nested too deeply") }
    switch value {
    case .list(let list):
      var parts: [String] = []
      for element in try list.values() { parts.append(try plain(element, depth: depth + 1)) }
      return "[\(parts.joined(separator: ", "))]"
    case .map(let map):
      var parts: [String] = []
      for key in map.keys() {
        guard let index = CELKey(key), let value = try map.value(index) else { continue }
        parts.append("\(try plain(key, depth: depth + 1)): \(try plain(value, depth: depth + 1))")
      }
      return "{\(parts.sorted().joined(separator: ", "))}"
    case .double(let number): return number.isFinite ? GoNumber.plainText(number) : GoNumber.special(number)
    case .bytes(let bytes): return String(decoding: bytes, as: UTF8.self)
    case .null, .bool, .int, .uint, .string, .timestamp, .duration, .type: return value.shown
    case .optional, .opaque:
      throw wrong(
        "string", "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps", value)
    }
  }

  private static func decimal(_ value: CELValue) throws(CELError) -> String {
    switch value {
    case .int, .uint: return value.shown
    case .double(let number) where !number.isFinite: return GoNumber.special(number)
    default: throw wrong("decimal", "integers", value)
    }
  }

  private static func number(_ value: CELValue, _ clause: String) throws(CELError) -> Double {
    switch value {
    case .double(let number): return number
    case .int(let number): return Double(number)
    case .uint(let number): return Double(number)
    case .string("NaN"): return .nan
    case .string("Infinity"): return .infinity
    case .string("-Infinity"): return -.infinity
    default: throw wrong(clause, "doubles", value)
    }
  }

  private static func fixed(_ value: CELValue, _ precision: Int) throws(CELError) -> String {
    let number = try number(value, "fixed-point")
    return number.isFinite ? ExactDecimal(number).fixed(precision) : GoNumber.special(number)
  }

  private static func scientific(_ value: CELValue, _ precision: Int) throws(CELError) -> String {
    let number = try number(value, "scientific")
    return number.isFinite ? ExactDecimal(number).scientific(precision) : GoNumber.special(number)
  }

  private static func binary(_ value: CELValue) throws(CELError) -> String {
    switch value {
    case .int(let number): return String(number, radix: 2)
    case .uint(let number): return String(number, radix: 2)
    case .bool(let flag): return flag ? "1" : "0"
    default: throw wrong("binary", "integers and bools", value)
    }
  }

  private static func octal(_ value: CELValue) throws(CELError) -> String {
    switch value {
    case .int(let number): return String(number, radix: 8)
    case .uint(let number): return String(number, radix: 8)
    default: throw wrong("octal", "integers", value)
    }
  }

  private static func hexadecimal(_ value: CELValue, isUpper: Bool) throws(CELError) -> String {
    switch value {
    case .int(let number): return String(number, radix: 16, uppercase: isUpper)
    case .uint(let number): return String(number, radix: 16, uppercase: isUpper)
    case .string(let text): return hexadecimal(text.utf8, isUpper)
    case .bytes(let bytes): return hexadecimal(bytes, isUpper)
    default: throw wrong("hex", "integers, byte buffers, and strings", value)
    }
  }

  private static func hexadecimal(_ bytes: some Sequence<UInt8>, _ isUpper: Bool) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: isUpper) }.joined()
  }
}

extension GoNumber {
  /// Not a number and the infinities, as `format` writes them.
  static func special(_ value: Double) -> String {
    value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
  }
}

/// The exact decimal expansion of a double, for rounding to any number of digits.
struct ExactDecimal {
  private let isNegative: Bool
  /// Digits from the most significant on, and the place of the point: 0.digits × 10^point.
  private var digits: [UInt8]
  private var point: Int

  init(_ value: Double) {
    isNegative = value.sign == .minus
    guard value != 0 else {
      digits = [0]
      point = 1
      return
    }
    // significand × 2^exponent with a whole significand.
    let exponent = Int(value.exponent) - 52
    var number = [UInt8](String(UInt64(value.magnitude.significand * 4_503_599_627_370_496)).utf8.map { $0 - 48 })
    var scale = 0
    if exponent >= 0 {
      for _ in 0..<exponent { Self.multiply(&number, by: 2) }
    } else {
      // Halving is a multiplication by five and a place further behind the point.
      for _ in 0..<(-exponent) {
        Self.multiply(&number, by: 5)
        scale += 1
      }
    }
    digits = number
    point = number.count - scale
    while digits.count > 1, digits.first == 0 {
      digits.removeFirst()
      point -= 1
    }
  }

  private static func multiply(_ digits: inout [UInt8], by factor: UInt8) {
    var carry: UInt8 = 0
    for index in digits.indices.reversed() {
      let product = digits[index] * factor + carry
      digits[index] = product % 10
      carry = product / 10
    }
    if carry > 0 { digits.insert(carry, at: 0) }
  }

  /// Keeps `count` digits, rounding half to even.
  private func rounded(to count: Int) -> (digits: [UInt8], point: Int) {
    guard count < digits.count else { return (digits, point) }
    guard count >= 0 else { return ([0], point) }
    var kept = Array(digits[..<count])
    let rest = digits[count...]
    let isHalf = rest.first == 5 && rest.dropFirst().allSatisfy { $0 == 0 }
    let goesUp = isHalf ? (kept.last ?? 0) % 2 == 1 : rest.first! >= 5
    var place = point
    if goesUp {
      var index = count - 1
      while index >= 0, kept[index] == 9 {
        kept[index] = 0
        index -= 1
      }
      if index >= 0 {
        kept[index] += 1
      } else {
        kept.insert(1, at: 0)
        place += 1
      }
    }
    return (kept, place)
  }

  func fixed(_ precision: Int) -> String {
    let (digits, point) = rounded(to: self.point + precision)
    var whole = ""
    var fraction = ""
    for place in 0..<max(point, 0) { whole += place < digits.count ? "\(digits[place])" : "0" }
    for place in point..<(point + precision) {
      fraction += place >= 0 && place < digits.count ? "\(digits[place])" : "0"
    }
    let text = (whole.isEmpty ? "0" : whole) + (precision > 0 ? "." + fraction : "")
    return (isNegative ? "-" : "") + text
  }

  func scientific(_ precision: Int) -> String {
    let (digits, point) = rounded(to: precision + 1)
    var fraction = ""
    for place in 1..<(precision + 1) { fraction += place < digits.count ? "\(digits[place])" : "0" }
    let exponent = self.digits == [0] ? 0 : point - 1
    let magnitude = abs(exponent)
    return (isNegative ? "-" : "") + "\(digits[0])" + (precision > 0 ? "." + fraction : "")
      + "e" + (exponent < 0 ? "-" : "+") + (magnitude < 10 ? "0" : "") + "\(magnitude)"
  }
}
