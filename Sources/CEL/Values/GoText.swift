// Numbers, durations and times as Go writes them.
import Schema

enum GoNumber {
  /// `%g` of Go: the shortest digits that read back, an exponent below 1e-4 and from 1e6 on.
  static func text(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if value == 0 { return value.sign == .minus ? "-0" : "0" }
    let (digits, point) = shortest(value.magnitude)
    let sign = value < 0 ? "-" : ""
    let exponent = point - 1
    if exponent < -4 || exponent >= 6 {
      var text = sign + String(digits.first!)
      if digits.count > 1 { text += "." + String(digits.dropFirst()) }
      let magnitude = abs(exponent)
      return text + "e" + (exponent < 0 ? "-" : "+") + (magnitude < 10 ? "0" : "") + "\(magnitude)"
    }
    return sign + plain(digits, point)
  }

  /// The digits without an exponent, as `%f` with the fewest digits.
  static func plainText(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if value == 0 { return "0" }
    let (digits, point) = shortest(value.magnitude)
    return (value < 0 ? "-" : "") + plain(digits, point)
  }

  private static func plain(_ digits: [Character], _ point: Int) -> String {
    if point <= 0 { return "0." + String(repeating: "0", count: -point) + String(digits) }
    if point >= digits.count { return String(digits) + String(repeating: "0", count: point - digits.count) }
    return String(digits[..<point]) + "." + String(digits[point...])
  }

  /// Significant digits and the place of the point: 0.digits × 10^point.
  static func shortest(_ value: Double) -> (digits: [Character], point: Int) {
    let parts = value.description.lowercased().split(separator: "e")
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    let fraction = mantissa.count > 1 ? mantissa[1] : ""
    var digits = Array(mantissa[0] + fraction)
    var point = mantissa[0].count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
    while digits.count > 1, digits.first == "0" {
      digits.removeFirst()
      point -= 1
    }
    while digits.count > 1, digits.last == "0" { digits.removeLast() }
    return (digits, point)
  }
}

enum DurationFormat {
  /// "90s", "1.5s": how a duration becomes a string.
  static func seconds(_ nanoseconds: Int64) -> String {
    let magnitude = nanoseconds.magnitude
    let whole = magnitude / 1_000_000_000
    let fraction = magnitude % 1_000_000_000
    let sign = nanoseconds < 0 ? "-" : ""
    guard fraction > 0 else { return "\(sign)\(whole)s" }
    return "\(sign)\(whole).\(fractionDigits(fraction))s"
  }

  /// Nine digits without the zeros at the end.
  static func fractionDigits(_ nanoseconds: UInt64) -> String {
    let digits = String(nanoseconds)
    var text = String(repeating: "0", count: 9 - digits.count) + digits
    while text.hasSuffix("0") { text.removeLast() }
    return text
  }
}

extension Timestamp {
  /// RFC 3339 with as many digits of fraction as there are.
  var rfc3339Nano: String {
    guard nanoseconds > 0 else { return rfc3339 }
    return rfc3339.dropLast() + "." + DurationFormat.fractionDigits(UInt64(nanoseconds)) + "Z"
  }
}
