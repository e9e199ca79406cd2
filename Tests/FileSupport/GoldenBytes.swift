// Bytes that earlier versions wrote, by name: what formats are held against.

/// Pinned bytes. What is in a table is never edited: a format that changes gets a new version, a new name, and keeps its
/// old bytes as what must still be read.
public struct GoldenBytes: Sendable {
  private let table: [String: String]

  /// Names, and hexadecimal digits in any number of lines.
  public init(_ table: [String: String]) { self.table = table }

  /// The pinned bytes of that name.
  public subscript(_ name: String) -> [UInt8] {
    let digits = Array((table[name] ?? "").utf8.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\n") })
    func value(_ digit: UInt8) -> UInt8 { digit < 58 ? digit - 48 : digit - 87 }
    return stride(from: 0, to: digits.count, by: 2).map { value(digits[$0]) << 4 | value(digits[$0 + 1]) }
  }

  /// What to say of bytes that are not the pinned ones of that name; nil: they are.
  public func complaint(_ name: String, _ bytes: [UInt8]) -> String? {
    guard bytes != self[name] else { return nil }
    let hexadecimal = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    return "the format of \"\(name)\" has changed without a new version; it is now \(hexadecimal)"
  }
}
