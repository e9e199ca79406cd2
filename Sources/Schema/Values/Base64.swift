// Base64 as RFC 4648 §4 has it, and as Go's decoder takes it.

/// Bytes in JSON.
public enum Base64 {
  /// Where a text stops being base64.
  public struct DecodeError: Error, Sendable, Hashable, CustomStringConvertible {
    public var offset: Int
    public var description: String { "illegal base64 data at input byte \(offset)" }
  }

  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let invalid: UInt8 = 0xff
  private static let values: [UInt8] = {
    var table = [UInt8](repeating: invalid, count: 256)
    for (value, letter) in alphabet.enumerated() { table[Int(letter)] = UInt8(value) }
    return table
  }()

  public static func encode(_ bytes: some Sequence<UInt8>) -> String {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.underestimatedCount + 2) / 3 * 4)
    var group: UInt32 = 0
    var held = 0
    for byte in bytes {
      group = group << 8 | UInt32(byte)
      held += 1
      if held == 3 {
        for shift in [18, 12, 6, 0] as [UInt32] { out.append(alphabet[Int(group >> shift & 63)]) }
        group = 0
        held = 0
      }
    }
    if held > 0 {
      group <<= held == 1 ? 16 : 8
      out.append(alphabet[Int(group >> 18 & 63)])
      out.append(alphabet[Int(group >> 12 & 63)])
      out.append(held == 2 ? alphabet[Int(group >> 6 & 63)] : UInt8(ascii: "="))
      out.append(UInt8(ascii: "="))
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Line ends inside are skipped; padding is demanded.
  public static func decode(_ text: String) throws(DecodeError) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(text.utf8.count / 4 * 3)
    var group: UInt32 = 0
    var held = 0
    var padding = 0
    var offset = 0
    for byte in text.utf8 {
      defer { offset += 1 }
      if byte == 0x0a || byte == 0x0d { continue }
      if byte == UInt8(ascii: "=") {
        padding += 1
        guard held >= 2, held + padding <= 4 else { throw DecodeError(offset: offset) }
        continue
      }
      let value = values[Int(byte)]
      guard value != invalid, padding == 0 else { throw DecodeError(offset: offset) }
      group = group << 6 | UInt32(value)
      held += 1
      if held == 4 {
        out.append(UInt8(truncatingIfNeeded: group >> 16))
        out.append(UInt8(truncatingIfNeeded: group >> 8))
        out.append(UInt8(truncatingIfNeeded: group))
        group = 0
        held = 0
      }
    }
    guard held == 0 || held + padding == 4 else { throw DecodeError(offset: offset) }
    if held >= 2 { out.append(UInt8(truncatingIfNeeded: held == 2 ? group >> 4 : group >> 10)) }
    if held == 3 { out.append(UInt8(truncatingIfNeeded: group >> 2)) }
    return out
  }
}
