// Base64 (RFC 4648), plain with padding and URL-safe without: Secrets, certificates in Status, tokens.

extension Crypto {
  /// Base64 with "+", "/" and padding.
  public static func base64(_ bytes: some Collection<UInt8>) -> String {
    Base64.encode(bytes, Base64.standardDigits, isPadded: true)
  }

  /// Base64 with "-", "_" and no padding, as tokens use it.
  public static func base64URL(_ bytes: some Collection<UInt8>) -> String {
    Base64.encode(bytes, Base64.urlDigits, isPadded: false)
  }

  /// Decodes plain base64; nil unless padding is right and nothing else stands in it. Line breaks are skipped, as Go
  /// skips them.
  public static func decodeBase64(_ text: some Collection<UInt8>) -> [UInt8]? {
    Base64.decode(text, Base64.standardValues, isPadded: true)
  }
  public static func decodeBase64(_ text: String) -> [UInt8]? { decodeBase64(text.utf8) }

  /// Decodes URL-safe base64 without padding; nil if anything else stands in it.
  public static func decodeBase64URL(_ text: some Collection<UInt8>) -> [UInt8]? {
    Base64.decode(text, Base64.urlValues, isPadded: false)
  }
  public static func decodeBase64URL(_ text: some StringProtocol) -> [UInt8]? { decodeBase64URL(text.utf8) }
}

private enum Base64 {
  private static let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
  static let standardDigits = Array("\(letters)+/".utf8)
  static let urlDigits = Array("\(letters)-_".utf8)
  static let standardValues = values(of: standardDigits)
  static let urlValues = values(of: urlDigits)

  private static let invalid: UInt8 = 0xff
  private static let lineBreak: UInt8 = 0xfe

  private static func values(of digits: [UInt8]) -> [UInt8] {
    var values = [UInt8](repeating: invalid, count: 256)
    for (value, digit) in digits.enumerated() { values[Int(digit)] = UInt8(value) }
    values[Int(UInt8(ascii: "\n"))] = lineBreak
    values[Int(UInt8(ascii: "\r"))] = lineBreak
    return values
  }

  static func encode(_ bytes: some Collection<UInt8>, _ digits: [UInt8], isPadded: Bool) -> String {
    let encoded = bytes.withContiguousStorageIfAvailable { encode($0, digits, isPadded) }
    return encoded ?? Array(bytes).withUnsafeBufferPointer { encode($0, digits, isPadded) }
  }

  private static func encode(_ bytes: UnsafeBufferPointer<UInt8>, _ digits: [UInt8], _ isPadded: Bool) -> String {
    String(unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { text in
      digits.withUnsafeBufferPointer { digits in
        var at = 0
        func put(_ value: UInt32) {
          text[at] = digits[Int(value & 63)]
          at += 1
        }
        var index = 0
        while index + 3 <= bytes.count {
          let group = UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2])
          put(group >> 18); put(group >> 12); put(group >> 6); put(group)
          index += 3
        }
        let rest = bytes.count - index
        guard rest > 0 else { return at }
        let group = UInt32(bytes[index]) << 16 | (rest == 2 ? UInt32(bytes[index + 1]) << 8 : 0)
        put(group >> 18); put(group >> 12)
        if rest == 2 { put(group >> 6) }
        if isPadded {
          for _ in rest..<3 {
            text[at] = UInt8(ascii: "=")
            at += 1
          }
        }
        return at
      }
    }
  }

  static func decode(_ text: some Collection<UInt8>, _ values: [UInt8], isPadded: Bool) -> [UInt8]? {
    let decoded = text.withContiguousStorageIfAvailable { decode($0, values, isPadded) }
    return decoded ?? Array(text).withUnsafeBufferPointer { decode($0, values, isPadded) }
  }

  private static func decode(_ text: UnsafeBufferPointer<UInt8>, _ values: [UInt8], _ isPadded: Bool) -> [UInt8]? {
    var isValid = true
    let decoded = [UInt8](unsafeUninitializedCapacity: text.count / 4 * 3 + 3) { bytes, written in
      values.withUnsafeBufferPointer { values in
        var group: UInt32 = 0
        var digits = 0
        var padding = 0
        for character in text {
          let value = values[Int(character)]
          if value < 64, padding == 0 {
            group = group << 6 | UInt32(value)
            digits += 1
            if digits == 4 {
              bytes[written] = UInt8(truncatingIfNeeded: group >> 16)
              bytes[written + 1] = UInt8(truncatingIfNeeded: group >> 8)
              bytes[written + 2] = UInt8(truncatingIfNeeded: group)
              written += 3
              digits = 0
              group = 0
            }
          } else if value == lineBreak, isPadded {
            continue
          } else if character == UInt8(ascii: "="), isPadded, digits >= 2, digits + padding < 4 {
            padding += 1
          } else {
            isValid = false
            return
          }
        }
        switch digits {
        case 0: break
        case 2:
          bytes[written] = UInt8(truncatingIfNeeded: group >> 4)
          written += 1
        case 3:
          bytes[written] = UInt8(truncatingIfNeeded: group >> 10)
          bytes[written + 1] = UInt8(truncatingIfNeeded: group >> 2)
          written += 2
        default: isValid = false
        }
        if isPadded, digits > 0, digits + padding != 4 { isValid = false }
      }
    }
    return isValid ? decoded : nil
  }
}
