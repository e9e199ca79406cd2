// Points of time as `meta/v1` Time and MicroTime carry them. Any year from 0 to 9999: unlike 64-bit nanoseconds, so
// that no text a client sends can overflow.
import World

/// Seconds and nanoseconds since 1970-01-01T00:00:00Z.
public struct Timestamp: Sendable, Hashable, Comparable {
  public var seconds: Int64
  /// 0 ..< 1,000,000,000.
  public var nanoseconds: Int32

  public init(seconds: Int64, nanoseconds: Int32 = 0) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// Years 0 to 9999, what RFC 3339 can write.
  public static let secondsRange: ClosedRange<Int64> = -62_167_219_200...253_402_300_799

  public static func < (left: Self, right: Self) -> Bool {
    (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
  }

  /// Parses RFC 3339: any fraction, any offset; nil if the text is anything else.
  public init?(rfc3339 text: String) {
    var reader = Reader(rest: Substring(text).utf8)
    guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2), reader.skip("-"),
      let day = reader.number(2), reader.skip("T"), let hour = reader.number(2), reader.skip(":"),
      let minute = reader.number(2), reader.skip(":"), let second = reader.number(2),
      (1...12).contains(month), day >= 1, day <= Self.days(inMonth: month, of: year), hour <= 23, minute <= 59,
      second <= 59, let fraction = reader.fraction(), let offset = reader.offset(), reader.rest.isEmpty
    else { return nil }
    let days = CivilDate(year: year, month: month, day: day).daysSinceEpoch
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    nanoseconds = fraction
  }

  /// Whether `rfc3339` would write a text in just these bytes, where that is plain to see; false says nothing. Every write
  /// reads some times, and they are as the server wrote them.
  static func isPlainlyCanonical(_ text: String) -> Bool {
    text.utf8.withContiguousStorageIfAvailable { bytes in
      guard bytes.count == 20 else { return false }
      for (place, byte) in bytes.enumerated() {
        switch place {
        case 4, 7: guard byte == UInt8(ascii: "-") else { return false }
        case 10: guard byte == UInt8(ascii: "T") else { return false }
        case 13, 16: guard byte == UInt8(ascii: ":") else { return false }
        case 19: guard byte == UInt8(ascii: "Z") else { return false }
        default: guard (48...57).contains(byte) else { return false }
        }
      }
      func pair(_ at: Int) -> UInt8 { (bytes[at] - 48) * 10 + (bytes[at + 1] - 48) }
      return (1...12).contains(pair(5)) && (1...28).contains(pair(8)) && pair(11) < 24 && pair(14) < 60
        && pair(17) < 60
    } ?? false
  }

  /// Seconds since 1970 of an RFC 3339 text, fractions cut off; nil for anything else.
  public static func seconds(_ text: String) -> Int64? { Timestamp(rfc3339: text)?.seconds }

  private struct Reader {
    var rest: Substring.UTF8View

    mutating func number(_ digits: Int) -> Int64? {
      guard rest.count >= digits else { return nil }
      var value: Int64 = 0
      for byte in rest.prefix(digits) {
        guard byte >= 48, byte <= 57 else { return nil }
        value = value * 10 + Int64(byte - 48)
      }
      rest = rest.dropFirst(digits)
      return value
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(ascii: character) else { return false }
      rest = rest.dropFirst()
      return true
    }

    /// Nanoseconds; digits beyond the ninth are dropped.
    mutating func fraction() -> Int32? {
      guard skip(".") || skip(",") else { return 0 }
      let digits = rest.prefix { $0 >= 48 && $0 <= 57 }
      guard !digits.isEmpty else { return nil }
      var value: Int32 = 0
      var scale: Int32 = 100_000_000
      for digit in digits.prefix(9) {
        value += Int32(digit - 48) * scale
        scale /= 10
      }
      rest = rest.dropFirst(digits.count)
      return value
    }

    /// Seconds east of Greenwich.
    mutating func offset() -> Int64? {
      if skip("Z") { return 0 }
      let isWest = rest.first == UInt8(ascii: "-")
      guard skip("+") || skip("-"), let hours = number(2), skip(":"), let minutes = number(2), hours <= 23,
        minutes <= 59
      else { return nil }
      return (hours * 3600 + minutes * 60) * (isWest ? -1 : 1)
    }
  }

  private static func days(inMonth month: Int64, of year: Int64) -> Int64 {
    switch month {
    case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// "2025-01-01T00:00:00Z".
  public var rfc3339: String { text(microseconds: false) }
  /// "2025-01-01T00:00:00.000000Z".
  public var rfc3339Micro: String { text(microseconds: true) }

  private func text(microseconds: Bool) -> String {
    let clamped = min(max(seconds, Self.secondsRange.lowerBound), Self.secondsRange.upperBound)
    let (days, rest) = clamped.quotientAndRemainder(flooring: CivilDate.secondsPerDay)
    let date = CivilDate(daysSinceEpoch: days)
    return String(unsafeUninitializedCapacity: 27) { buffer in
      var at = 0
      func put(_ value: Int64, digits: Int, then separator: Unicode.Scalar) {
        var value = value
        for index in stride(from: at + digits - 1, through: at, by: -1) {
          buffer[index] = UInt8(48 + value % 10)
          value /= 10
        }
        buffer[at + digits] = UInt8(ascii: separator)
        at += digits + 1
      }
      put(date.year, digits: 4, then: "-")
      put(date.month, digits: 2, then: "-")
      put(date.day, digits: 2, then: "T")
      put(rest / 3600, digits: 2, then: ":")
      put(rest / 60 % 60, digits: 2, then: ":")
      put(rest % 60, digits: 2, then: microseconds ? "." : "Z")
      if microseconds { put(Int64(nanoseconds / 1000), digits: 6, then: "Z") }
      return at
    }
  }
}
