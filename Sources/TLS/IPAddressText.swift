// IP addresses between their text and the bytes that certificates carry.

import COpenSSL

enum IPAddressText {
  /// 4 or 16 bytes; nil if the text is not an address.
  static func bytes(of text: String) -> [UInt8]? {
    guard let octets = a2i_IPADDRESS(text) else { return nil }
    defer { ASN1_OCTET_STRING_free(octets) }
    return Array(
      UnsafeBufferPointer(start: ASN1_STRING_get0_data(octets), count: Int(ASN1_STRING_length(octets))))
  }

  /// The canonical text (RFC 5952) of 4 or 16 bytes; nil for any other count.
  static func text(of bytes: [UInt8]) -> String? {
    if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
    guard bytes.count == 16 else { return nil }
    let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
    // The longest run of two zero groups or more, the first of equals, is written "::".
    var run = 0..<0
    var start = 0
    while start < groups.count {
      var end = start
      while end < groups.count, groups[end] == 0 { end += 1 }
      if end - start >= 2, end - start > run.count { run = start..<end }
      start = end + 1
    }
    func text(_ groups: some Sequence<UInt16>) -> String {
      groups.map { String($0, radix: 16) }.joined(separator: ":")
    }
    if run.isEmpty { return text(groups) }
    return text(groups[..<run.lowerBound]) + "::" + text(groups[run.upperBound...])
  }
}
