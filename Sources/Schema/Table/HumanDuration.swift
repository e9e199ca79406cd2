// Spans of time as tables show them (spec/3 §3.3).
import JSON

public enum HumanDuration {
  /// "45s", "3m12s", "25h", "3d4h", "2y40d". A little in the future counts as now, more is `<invalid>`.
  public static func text(_ seconds: Int64) -> String {
    if seconds < -1 { return "<invalid>" }
    if seconds < 0 { return "0s" }
    if seconds < 120 { return "\(seconds)s" }
    let minutes = seconds / 60
    if minutes < 10 { return pair(minutes, "m", seconds % 60, "s") }
    if minutes < 180 { return "\(minutes)m" }
    let hours = minutes / 60
    if hours < 8 { return pair(hours, "h", minutes % 60, "m") }
    if hours < 48 { return "\(hours)h" }
    let days = hours / 24
    if days < 8 { return pair(days, "d", hours % 24, "h") }
    if days < 365 * 2 { return "\(days)d" }
    if days < 365 * 8 { return pair(days / 365, "y", days % 365, "d") }
    return "\(days / 365)y"
  }

  private static func pair(_ large: Int64, _ largeUnit: String, _ small: Int64, _ smallUnit: String) -> String {
    small == 0 ? "\(large)\(largeUnit)" : "\(large)\(largeUnit)\(small)\(smallUnit)"
  }

  /// How long ago a timestamp of an object was; `<unknown>` when it is not set. `now` in seconds since 1970.
  public static func age(_ timestamp: JSONValue, now: Int64) -> String {
    guard let text = timestamp.string, let seconds = Timestamp.seconds(text) else { return "<unknown>" }
    return Self.text(now - seconds)
  }
}

/// RFC 3339 texts of objects as seconds.
public enum Timestamp {
  /// Seconds since 1970 of "2025-01-02T03:04:05Z", fractions cut off, offsets honoured; nil for anything else.
  public static func seconds(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
      bytes[10] | 0x20 == UInt8(ascii: "t"), bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":"),
      let year = number(bytes[0..<4]), let month = number(bytes[5..<7]), let day = number(bytes[8..<10]),
      let hour = number(bytes[11..<13]), let minute = number(bytes[14..<16]), let second = number(bytes[17..<19]),
      (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61
    else { return nil }
    var rest = bytes[19...]
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst().drop { (0x30...0x39).contains($0) }
    }
    guard let offset = offset(rest) else { return nil }
    return days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> Int64? {
    var value: Int64 = 0
    for digit in digits {
      guard (0x30...0x39).contains(digit) else { return nil }
      value = value * 10 + Int64(digit - 0x30)
    }
    return value
  }

  /// "Z", "+01:30".
  private static func offset(_ text: ArraySlice<UInt8>) -> Int64? {
    guard let sign = text.first else { return nil }
    if sign | 0x20 == UInt8(ascii: "z") { return text.count == 1 ? 0 : nil }
    let start = text.startIndex
    guard text.count == 6, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"),
      text[start + 3] == UInt8(ascii: ":"), let hours = number(text[start + 1..<start + 3]),
      let minutes = number(text[start + 4..<start + 6])
    else { return nil }
    return (sign == UInt8(ascii: "-") ? -1 : 1) * (hours * 3_600 + minutes * 60)
  }

  /// Days since 1970 of a date of the Gregorian calendar.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    // Years begin in March, so that the day added by a leap year is the last one.
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}
