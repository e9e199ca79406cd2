// Durations as Go writes them: "1h30m0s", "1.5s", "300ms".

/// `meta/v1 Duration`: nanoseconds as text.
public enum DurationText {
  private static let units: [(name: String, nanoseconds: UInt64)] = [
    ("ns", 1), ("us", 1000), ("µs", 1000), ("μs", 1000), ("ms", 1_000_000), ("s", 1_000_000_000),
    ("m", 60_000_000_000), ("h", 3_600_000_000_000),
  ]

  /// The nanoseconds of a text, nil if it is no duration or does not fit.
  public static func nanoseconds(_ text: String) -> Int64? {
    var rest = Substring(text)
    let isNegative = rest.first == "-"
    if rest.first == "-" || rest.first == "+" { rest = rest.dropFirst() }
    if rest == "0" { return 0 }
    guard !rest.isEmpty else { return nil }
    var total: UInt64 = 0
    while !rest.isEmpty {
      let whole = rest.utf8.prefix { $0 >= 48 && $0 <= 57 }
      rest = rest[whole.endIndex...]
      var fraction = whole.prefix(0)
      if rest.utf8.first == UInt8(ascii: ".") {
        rest = rest.dropFirst()
        fraction = rest.utf8.prefix { $0 >= 48 && $0 <= 57 }
        rest = rest[fraction.endIndex...]
      }
      guard !(whole.isEmpty && fraction.isEmpty) else { return nil }
      let name = rest.prefix { $0 != "." && !("0"..."9").contains($0) }
      rest = rest.dropFirst(name.count)
      guard let unit = units.first(where: { $0.name == name })?.nanoseconds else { return nil }
      guard let count = whole.isEmpty ? 0 : UInt64(Substring(whole)) else { return nil }
      let (product, overflow) = count.multipliedReportingOverflow(by: unit)
      guard !overflow, product <= UInt64(Int64.max) else { return nil }
      var part = product
      var scale = unit
      for digit in fraction {
        // Digits below a nanosecond vanish.
        scale /= 10
        part += UInt64(digit - 48) * scale
      }
      total &+= part
      guard part <= UInt64(Int64.max), total <= UInt64(Int64.max) else { return nil }
    }
    return isNegative ? -Int64(total) : Int64(total)
  }

  /// A text that is no duration may be a megabyte long; so much of it is told, in bytes.
  private static let toldMaximum = 1024

  /// What is wrong with a text, in Go's words; nil when it is a duration.
  public static func problem(with text: String) -> String? {
    guard nanoseconds(text) == nil else { return nil }
    let quoted = "\"\(told(text[...]))\""
    let isNumber: (Character) -> Bool = { $0 == "." || ("0"..."9").contains($0) }
    var rest = Substring(text)
    if rest.first == "-" || rest.first == "+" { rest = rest.dropFirst() }
    while rest.first.map(isNumber) ?? false, rest.prefix(while: isNumber) != "." {
      rest = rest.drop(while: isNumber)
      let unit = rest.prefix { !isNumber($0) }
      if unit.isEmpty { return "time: missing unit in duration \(quoted)" }
      guard units.contains(where: { $0.name == unit }) else {
        return "time: unknown unit \"\(told(unit))\" in duration \(quoted)"
      }
      rest = rest.dropFirst(unit.count)
    }
    return "time: invalid duration \(quoted)"
  }

  private static func told(_ text: Substring) -> String {
    guard text.utf8.count > toldMaximum else { return String(text) }
    return String(decoding: text.utf8.prefix(toldMaximum), as: UTF8.self) + "…"
  }

  /// The canonical text.
  public static func text(nanoseconds: Int64) -> String {
    if nanoseconds == 0 { return "0s" }
    let sign = nanoseconds < 0 ? "-" : ""
    let magnitude = nanoseconds.magnitude
    if magnitude < 1000 { return "\(sign)\(magnitude)ns" }
    if magnitude < 1_000_000 { return sign + decimal(magnitude, unit: 1000) + "µs" }
    if magnitude < 1_000_000_000 { return sign + decimal(magnitude, unit: 1_000_000) + "ms" }
    let minutes = magnitude / 60_000_000_000
    let seconds = decimal(magnitude % 60_000_000_000, unit: 1_000_000_000) + "s"
    if minutes == 0 { return sign + seconds }
    if minutes < 60 { return "\(sign)\(minutes)m\(seconds)" }
    return "\(sign)\(minutes / 60)h\(minutes % 60)m\(seconds)"
  }

  private static func decimal(_ value: UInt64, unit: UInt64) -> String {
    let fraction = value % unit
    if fraction == 0 { return "\(value / unit)" }
    var digits = String(fraction + unit).dropFirst()
    while digits.last == "0" { digits = digits.dropLast() }
    return "\(value / unit).\(digits)"
  }
}
