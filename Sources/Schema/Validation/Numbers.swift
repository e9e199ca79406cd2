// Ports, percentages, ranges, and other values that are no names.
import JSON

extension Validate {
  public static func port(_ number: Int64) -> [String] { inRange(number, 1...65535) }

  public static func inRange(_ number: Int64, _ range: ClosedRange<Int64>) -> [String] {
    range.contains(number)
      ? [] : ["must be between \(range.lowerBound) and \(range.upperBound), inclusive"]
  }

  public static func userID(_ number: Int64) -> [String] { inRange(number, 0...0xffff_ffff) }

  public static let nonNegativeError = "must be greater than or equal to 0"
  public static func nonNegative(_ number: Int64, _ field: String) -> [FieldError] {
    number >= 0 ? [] : [.invalid(field, .integer(number), nonNegativeError)]
  }

  /// Names of ports: at most 15 of `[-a-z0-9]` with a letter among them.
  public static func portName(_ text: String) -> [String] {
    var errors: [String] = []
    let bytes = text.utf8
    if bytes.count > 15 { errors.append(maximumLength(15)) }
    if bytes.isEmpty || !bytes.allSatisfy({ isLowerAlphanumeric($0) || $0 == 0x2d }) {
      errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    }
    if !bytes.contains(where: { $0 >= 0x61 && $0 <= 0x7a }) {
      errors.append("must contain at least one letter (a-z)")
    }
    if text.contains("--") { errors.append("must not contain consecutive hyphens") }
    if bytes.first == 0x2d || bytes.last == 0x2d { errors.append("must not begin or end with a hyphen") }
    return errors
  }

  /// "25%".
  public static func percent(_ text: String) -> [String] {
    let digits = text.utf8.dropLast()
    guard text.utf8.last == UInt8(ascii: "%"), !digits.isEmpty, digits.allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
      return [
        pattern(
          "a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", "1%", "93%")
      ]
    }
    return []
  }

  public static func httpHeaderName(_ text: String) -> [String] {
    guard !text.isEmpty, text.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 0x2d }) else {
      return [
        pattern(
          "a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", "X-Header-Name")
      ]
    }
    return []
  }

  // MARK: With their fields

  /// A domain name of at least two labels; a dot at the end is allowed.
  public static func fullyQualifiedDomainName(_ text: String, _ field: String) -> [FieldError] {
    qualifiedDomain(text.hasSuffix(".") ? String(text.dropLast()) : text, segments: 2, field)
  }

  /// A name of at least three labels: webhooks.
  public static func fullyQualifiedName(_ text: String, _ field: String) -> [FieldError] {
    qualifiedDomain(text, segments: 3, field)
  }

  private static func qualifiedDomain(_ text: String, segments: Int, _ field: String) -> [FieldError] {
    guard !text.isEmpty else { return [.required(field)] }
    let errors = dns1123Subdomain(text)
    guard errors.isEmpty else { return [.invalid(field, .string(text), errors.joined(separator: ","))] }
    guard text.utf8.split(separator: 0x2e).count >= segments else {
      let count = segments == 2 ? "two" : "three"
      return [.invalid(field, .string(text), "should be a domain with at least \(count) segments separated by dots")]
    }
    return []
  }

  /// "acme.io/foo": names of signers.
  public static func domainPrefixedPath(_ text: String, _ field: String) -> [FieldError] {
    guard !text.isEmpty else { return [.required(field)] }
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
      return [.invalid(field, .string(text), "must be a domain-prefixed path (such as \"acme.io/foo\")")]
    }
    let host = String(parts[0])
    var errors: [FieldError] = dns1123Subdomain(host).map { .invalid(field, .string(host), $0) }
    let legal = "/-._~%!$&'()*+,;=:".utf8
    if !parts[1].utf8.allSatisfy({ isAlphanumeric($0) || legal.contains($0) }) {
      errors.append(
        .invalid(
          field, .string(String(parts[1])), pattern("Invalid path", "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+")))
    }
    return errors
  }

  public static func ipAddress(_ text: String, _ field: String) -> [FieldError] {
    IPAddress(text) != nil
      ? []
      : [.invalid(field, .string(text), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
  }

  public static func cidr(_ text: String, _ field: String) -> [FieldError] {
    CIDR(text) != nil
      ? []
      : [.invalid(field, .string(text), "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
  }

  public static let immutableError = "field is immutable"

  /// `field is immutable` unless both say the same.
  public static func immutable(_ value: JSONValue, _ old: JSONValue, _ field: String) -> [FieldError] {
    value == old || (value.isZero && old.isZero) ? [] : [.invalid(field, value, immutableError)]
  }
}
