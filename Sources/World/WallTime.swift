/// A point of calendar time in UTC, in nanoseconds since 1970-01-01T00:00:00Z (leap seconds do not exist here).
public struct WallTime: Hashable, Comparable, Sendable {
  public var nanosecondsSinceEpoch: Int64

  public init(nanosecondsSinceEpoch: Int64) { self.nanosecondsSinceEpoch = nanosecondsSinceEpoch }

  public init(secondsSinceEpoch: Int64, nanoseconds: Int64 = 0) {
    // Texts of clients name any year; 64 bits of nanoseconds end in 2262. Beyond, time stands still.
    let (product, overflows) = secondsSinceEpoch.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, sumOverflows) = product.addingReportingOverflow(nanoseconds)
    nanosecondsSinceEpoch = overflows || sumOverflows ? (secondsSinceEpoch < 0 ? -Self.limit : Self.limit) : sum
  }

  private static let limit: Int64 = 9_223_372_036_000_000_000
  /// The end of the calendar: what is later counts as this.
  public static let last = WallTime(nanosecondsSinceEpoch: limit)

  /// Whole seconds since the epoch, rounded down.
  public var secondsSinceEpoch: Int64 {
    let (quotient, remainder) = nanosecondsSinceEpoch.quotientAndRemainder(dividingBy: 1_000_000_000)
    return remainder < 0 ? quotient - 1 : quotient
  }

  /// The nanoseconds of the second, 0 ..< 1,000,000,000.
  public var nanosecondOfSecond: Int64 { nanosecondsSinceEpoch - secondsSinceEpoch * 1_000_000_000 }

  public static func < (left: Self, right: Self) -> Bool { left.nanosecondsSinceEpoch < right.nanosecondsSinceEpoch }
  /// The time that lies `duration` after (or, if negative, before) this one; at the ends of the calendar it stands still.
  public static func + (left: Self, duration: Duration) -> Self {
    let (sum, overflows) = left.nanosecondsSinceEpoch.addingReportingOverflow(duration.wholeNanoseconds)
    let bounded = overflows ? (duration < .zero ? -limit : limit) : min(max(sum, -limit), limit)
    return Self(nanosecondsSinceEpoch: bounded)
  }
  /// Exact: two times may lie further apart than 64 bits of nanoseconds.
  public static func - (left: Self, right: Self) -> Duration {
    .nanoseconds(left.nanosecondsSinceEpoch) - .nanoseconds(right.nanosecondsSinceEpoch)
  }

  /// `meta.Time` of the Kubernetes API: "2025-01-01T00:00:00Z".
  public var rfc3339: String { format(fractionDigits: 0) }

  /// `meta.MicroTime` of the Kubernetes API: "2025-01-01T00:00:00.000000Z", always six digits.
  public var rfc3339Micro: String { format(fractionDigits: 6) }

  /// RFC 3339 with nine digits of fraction, as container logs carry it.
  public var rfc3339Nano: String { format(fractionDigits: 9) }

  /// Year, month, day, hour, minute, second in the proleptic Gregorian calendar.
  public var civil: (year: Int64, month: Int64, day: Int64, hour: Int64, minute: Int64, second: Int64) {
    let seconds = secondsSinceEpoch
    let (days, rest) = seconds.quotientAndRemainder(flooring: CivilDate.secondsPerDay)
    let date = CivilDate(daysSinceEpoch: days)
    return (date.year, date.month, date.day, rest / 3600, rest / 60 % 60, rest % 60)
  }

  /// The time of a civil date in UTC.
  public init(
    year: Int64, month: Int64, day: Int64, hour: Int64 = 0, minute: Int64 = 0, second: Int64 = 0, nanoseconds: Int64 = 0
  ) {
    let days = CivilDate(year: year, month: month, day: day).daysSinceEpoch
    self.init(
      secondsSinceEpoch: days * 86_400 + hour * 3600 + minute * 60 + second, nanoseconds: nanoseconds)
  }

  /// Parses RFC 3339 ("2025-01-01T00:00:00Z", any fraction, any offset); nil if the text is anything else.
  public init?(rfc3339 text: String) {
    var bytes = Array(text.utf8)[...]
    func number(_ digits: Int) -> Int64? {
      guard bytes.count >= digits else { return nil }
      var value: Int64 = 0
      for byte in bytes.prefix(digits) {
        guard byte >= 48, byte <= 57 else { return nil }
        value = value * 10 + Int64(byte - 48)
      }
      bytes = bytes.dropFirst(digits)
      return value
    }
    func skip(_ choices: StaticString) -> Bool {
      guard let first = bytes.first, choices.withUTF8Buffer({ $0.contains(first) }) else { return false }
      bytes = bytes.dropFirst()
      return true
    }
    guard let year = number(4), skip("-"), let month = number(2), skip("-"), let day = number(2), skip("Tt"),
      let hour = number(2), skip(":"), let minute = number(2), skip(":"), let second = number(2),
      (1...12).contains(month), day >= 1, day <= Self.days(inMonth: month, of: year), hour <= 23, minute <= 59,
      second <= 59
    else { return nil }
    var nanoseconds: Int64 = 0
    if skip(".,") {
      var scale: Int64 = 100_000_000
      var seen = false
      while let digit = bytes.first, digit >= 48, digit <= 57 {
        nanoseconds += Int64(digit - 48) * scale
        scale /= 10
        seen = true
        bytes = bytes.dropFirst()
      }
      guard seen else { return nil }
    }
    var offset: Int64 = 0
    if !skip("Zz") {
      let negative = bytes.first == UInt8(ascii: "-")
      guard skip("+-"), let hours = number(2), skip(":"), let minutes = number(2), hours <= 23, minutes <= 59 else {
        return nil
      }
      offset = (hours * 3600 + minutes * 60) * (negative ? -1 : 1)
    }
    guard bytes.isEmpty else { return nil }
    let local = WallTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
    self.init(secondsSinceEpoch: local.secondsSinceEpoch - offset, nanoseconds: nanoseconds)
  }

  private static func days(inMonth month: Int64, of year: Int64) -> Int64 {
    switch month {
    case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  private func format(fractionDigits: Int) -> String {
    let parts = civil
    return String(unsafeUninitializedCapacity: 36) { buffer in
      var at = 0
      func put(_ value: Int64, _ digits: Int) {
        var rest = value
        for index in stride(from: at + digits - 1, through: at, by: -1) {
          buffer[index] = UInt8(48 + rest % 10)
          rest /= 10
        }
        at += digits
      }
      func put(_ character: Unicode.Scalar) {
        buffer[at] = UInt8(ascii: character)
        at += 1
      }
      put(parts.year, 4); put("-"); put(parts.month, 2); put("-"); put(parts.day, 2); put("T")
      put(parts.hour, 2); put(":"); put(parts.minute, 2); put(":"); put(parts.second, 2)
      if fractionDigits > 0 {
        put(".")
        var fraction = nanosecondOfSecond
        for _ in fractionDigits..<9 { fraction /= 10 }
        put(fraction, fractionDigits)
      }
      put("Z")
      return at
    }
  }
}
