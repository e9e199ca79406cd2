// Resource quantities: "100m", "1.5Gi", "2e3". Exact: every quantity is a whole number of billionths.

/// A quantity of a resource, as `resource.Quantity` of the reference: parsing, arithmetic, comparison and canonical
/// text. Values finer than a billionth are rounded away from zero; magnitudes end at 2^63-1.
public struct Quantity: Sendable {
  public enum Format: Sendable {
    /// Ki, Mi, Gi …
    case binarySI
    /// m, k, M …
    case decimalSI
    /// e3, e6 …
    case decimalExponent
  }

  public enum ParseError: String, Error, Sendable, CustomStringConvertible {
    case format =
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    case suffix = "unable to parse quantity's suffix"
    case numeric = "unable to parse numeric part of quantity"
    public var description: String { rawValue }
  }

  /// Billionths; the magnitude is at most `maximumNanos`.
  public private(set) var nanos: Int128
  public private(set) var format: Format

  private static let nanosPerUnit: Int128 = 1_000_000_000
  private static let maximumNanos: Int128 = Int128(Int64.max) * nanosPerUnit

  public static let zero = Quantity(0)

  public init(_ units: Int64, format: Format = .decimalSI) {
    nanos = Int128(units) * Self.nanosPerUnit
    self.format = format
    clamp()
  }

  public init(milli: Int64, format: Format = .decimalSI) {
    nanos = Int128(milli) * 1_000_000
    self.format = format
  }

  private mutating func clamp() { nanos = min(max(nanos, -Self.maximumNanos), Self.maximumNanos) }

  // MARK: Values

  /// Whole units, rounded up (away from zero); ends at the range of Int64.
  public var value: Int64 { scaled(by: Self.nanosPerUnit) }

  /// Thousandths, rounded up (away from zero); ends at the range of Int64.
  public var milliValue: Int64 { scaled(by: 1_000_000) }

  private func scaled(by unit: Int128) -> Int64 {
    let (quotient, remainder) = nanos.quotientAndRemainder(dividingBy: unit)
    return Int64(clamping: quotient + remainder.signum())
  }

  public var isZero: Bool { nanos == 0 }
  public var isNegative: Bool { nanos < 0 }
  /// For shares and percentages; not exact.
  public var approximateDouble: Double { Double(nanos) / 1e9 }

  // MARK: Arithmetic

  public static func += (left: inout Self, right: Self) {
    // Zero takes the other's way of writing, as sums in the reference do.
    if left.isZero { left.format = right.format }
    left.nanos += right.nanos
    left.clamp()
  }
  public static func -= (left: inout Self, right: Self) {
    if left.isZero { left.format = right.format }
    left.nanos -= right.nanos
    left.clamp()
  }
  public static func + (left: Self, right: Self) -> Self {
    var sum = left
    sum += right
    return sum
  }
  public static func - (left: Self, right: Self) -> Self {
    var difference = left
    difference -= right
    return difference
  }
}

extension Quantity: Hashable, Comparable {
  /// Equal amounts are equal however they are written.
  public static func == (left: Self, right: Self) -> Bool { left.nanos == right.nanos }
  public static func < (left: Self, right: Self) -> Bool { left.nanos < right.nanos }
  public func hash(into hasher: inout Hasher) { hasher.combine(nanos) }
}

// MARK: Text

extension Quantity: CustomStringConvertible {
  private static let binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
  private static let decimalSuffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]

  /// The canonical text: no fraction, the largest suffix that loses nothing.
  public var description: String {
    if isZero { return "0" }
    if format == .binarySI, nanos.magnitude >= 1024 * Self.nanosPerUnit.magnitude, nanos % Self.nanosPerUnit == 0 {
      var units = nanos / Self.nanosPerUnit
      var power = 0
      while units % 1024 == 0, power < Self.binarySuffixes.count - 1 {
        units /= 1024
        power += 1
      }
      return "\(units)\(Self.binarySuffixes[power])"
    }
    var mantissa = nanos
    var power = 0
    while mantissa % 1000 == 0, power < Self.decimalSuffixes.count - 1 {
      mantissa /= 1000
      power += 1
    }
    guard format == .decimalExponent else { return "\(mantissa)\(Self.decimalSuffixes[power])" }
    let exponent = (power - 3) * 3
    return exponent == 0 ? "\(mantissa)" : "\(mantissa)e\(exponent)"
  }

  /// Parses a quantity.
  public init(parsing text: String) throws(ParseError) {
    let parts = try Self.split(text)
    let (scale, format) = try Self.interpret(suffix: parts.suffix)
    guard !(parts.whole.isEmpty && parts.fraction.isEmpty) else { throw .numeric }
    var magnitude: Int128
    switch scale {
    case .multiply(let factor): magnitude = Self.multiplied(parts.whole, parts.fraction, by: factor)
    case .power(let exponent): magnitude = Self.shifted(parts.whole, parts.fraction, by: exponent)
    }
    magnitude = min(magnitude, Self.maximumNanos)
    nanos = parts.isNegative ? -magnitude : magnitude
    self.format = format
  }

  /// The quantity, or nil if the text is none.
  public init?(_ text: String) {
    guard let quantity = try? Quantity(parsing: text) else { return nil }
    self = quantity
  }

  private struct Parts {
    var isNegative = false
    var whole: Substring.UTF8View
    var fraction: Substring.UTF8View
    var suffix: Substring
  }

  private enum Scale {
    /// Nanos in one unit of the suffix.
    case multiply(UInt128)
    /// A power of ten in nanos.
    case power(Int)
  }

  private static func split(_ text: String) throws(ParseError) -> Parts {
    var rest = Substring(text).utf8
    guard !rest.isEmpty else { throw .format }
    var isNegative = false
    if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
      isNegative = first == UInt8(ascii: "-")
      rest = rest.dropFirst()
    }
    let isDigit: (UInt8) -> Bool = { $0 >= 48 && $0 <= 57 }
    let whole = rest.prefix(while: isDigit)
    rest = rest.dropFirst(whole.count)
    var fraction = rest.prefix(0)
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      fraction = rest.prefix(while: isDigit)
      rest = rest.dropFirst(fraction.count)
    }
    let suffix = Substring(rest)
    // The shape of a suffix: letters, then perhaps a sign, then digits.
    rest = rest.drop { "eEinumkKMGTP".utf8.contains($0) }
    if let first = rest.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") { rest = rest.dropFirst() }
    guard rest.allSatisfy(isDigit) else { throw .format }
    return Parts(isNegative: isNegative, whole: whole, fraction: fraction, suffix: suffix)
  }

  private static func interpret(suffix: Substring) throws(ParseError) -> (Scale, Format) {
    if let index = decimalSuffixes.firstIndex(of: String(suffix)) { return (.power(index * 3), .decimalSI) }
    if let index = binarySuffixes.firstIndex(of: String(suffix)) {
      return (.multiply(UInt128(1) << UInt128(index * 10) * nanosPerUnit.magnitude), .binarySI)
    }
    guard let first = suffix.utf8.first, first == UInt8(ascii: "e") || first == UInt8(ascii: "E"),
      let exponent = Int(suffix.dropFirst())
    else { throw .suffix }
    // Beyond this every value is zero, the smallest or the largest quantity.
    return (.power(min(max(exponent, -1000), 1000) + 9), .decimalExponent)
  }

  /// whole.fraction × factor, rounded up.
  private static func multiplied(
    _ whole: Substring.UTF8View, _ fraction: Substring.UTF8View, by factor: UInt128
  ) -> Int128 {
    let limit = maximumNanos.magnitude
    var units: UInt128 = 0
    for digit in whole {
      units = units * 10 + UInt128(digit - 48)
      if units > limit / factor { return maximumNanos }
    }
    // 27 digits of fraction of the largest unit are finer than a billionth; what follows only rounds.
    var numerator: UInt128 = 0
    var denominator: UInt128 = 1
    var rounds = false
    for (place, digit) in fraction.enumerated() {
      if place < 27 {
        numerator = numerator * 10 + UInt128(digit - 48)
        denominator *= 10
      } else if digit != 48 {
        rounds = true
      }
    }
    let (quotient, rest) = denominator.dividingFullWidth(numerator.multipliedFullWidth(by: factor))
    if rest != 0 { rounds = true }
    return Int128(min(units * factor + quotient + (rounds ? 1 : 0), limit))
  }

  /// whole.fraction × 10^exponent, rounded up.
  private static func shifted(
    _ whole: Substring.UTF8View, _ fraction: Substring.UTF8View, by exponent: Int
  ) -> Int128 {
    var result: UInt128 = 0
    let limit = maximumNanos.magnitude
    // Digits before the point that the exponent moves; those behind it only round.
    let kept = whole.count + exponent
    var position = 0
    var rounds = false
    for digits in [whole, fraction] {
      for digit in digits {
        if position < kept {
          result = result * 10 + UInt128(digit - 48)
          if result > limit { return maximumNanos }
        } else if digit != 48 {
          rounds = true
        }
        position += 1
      }
    }
    while position < kept, result > 0 {
      result *= 10
      if result > limit { return maximumNanos }
      position += 1
    }
    return Int128(min(result + (rounds ? 1 : 0), limit))
  }
}
