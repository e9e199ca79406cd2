// A tree as bytes: compact or indented, in member order.

extension JSONValue: CustomStringConvertible {
  /// Compact JSON.
  public var description: String { String(decoding: bytes, as: UTF8.self) }

  /// Compact JSON as UTF-8.
  public var bytes: [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(256)
    write(to: &out)
    return out
  }

  /// Indented JSON as UTF-8, as `?pretty=true` asks for it.
  public func prettyBytes(indent: Int = 2) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(512)
    writePretty(to: &out, indent: indent, depth: 0)
    out.append(0x0a)
    return out
  }

  /// Appends compact JSON to `out`.
  public func write(to out: inout [UInt8]) {
    switch self {
    case .array(let values):
      out.append(0x5b)
      var isFirst = true
      for value in values {
        if !isFirst { out.append(0x2c) }
        isFirst = false
        value.write(to: &out)
      }
      out.append(0x5d)
    case .object(let object):
      out.append(0x7b)
      var isFirst = true
      for member in object.members {
        if !isFirst { out.append(0x2c) }
        isFirst = false
        Self.write(member.key, to: &out)
        out.append(0x3a)
        member.value.write(to: &out)
      }
      out.append(0x7d)
    default: writeScalar(to: &out)
    }
  }

  private func writeScalar(to out: inout [UInt8]) {
    switch self {
    case .bool(true): out += "true".utf8
    case .bool(false): out += "false".utf8
    case .integer(let value): Self.write(value, to: &out)
    case .double(let value): Self.write(value, to: &out)
    case .string(let value): Self.write(value, to: &out)
    default: out += "null".utf8
    }
  }

  private func writePretty(to out: inout [UInt8], indent: Int, depth: Int) {
    func newLine(_ depth: Int) {
      out.append(0x0a)
      out.append(contentsOf: repeatElement(0x20, count: indent * depth))
    }
    switch self {
    case .array(let values) where !values.isEmpty:
      out.append(0x5b)
      for (index, value) in values.enumerated() {
        if index > 0 { out.append(0x2c) }
        newLine(depth + 1)
        value.writePretty(to: &out, indent: indent, depth: depth + 1)
      }
      newLine(depth)
      out.append(0x5d)
    case .object(let object) where !object.isEmpty:
      out.append(0x7b)
      for (index, member) in object.members.enumerated() {
        if index > 0 { out.append(0x2c) }
        newLine(depth + 1)
        Self.write(member.key, to: &out)
        out += ": ".utf8
        member.value.writePretty(to: &out, indent: indent, depth: depth + 1)
      }
      newLine(depth)
      out.append(0x7d)
    default: write(to: &out)
    }
  }

  // MARK: Scalars

  /// Appends a quoted string; control characters, quote and backslash are escaped.
  public static func write(_ text: String, to out: inout [UInt8]) {
    var text = text
    text.withUTF8 { utf8 in
      out.append(0x22)
      var start = 0
      var index = firstSpecial(utf8, from: 0)
      while index < utf8.count {
        out.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start..<index]))
        writeEscaped(utf8[index], to: &out)
        start = index + 1
        index = firstSpecial(utf8, from: start)
      }
      out.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start...]))
      out.append(0x22)
    }
  }

  /// Position of the first byte that must be escaped, or the end.
  @inline(__always)
  private static func firstSpecial(_ utf8: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
    var index = start
    while index &+ 8 <= utf8.count {
      let word = UnsafeRawPointer(utf8.baseAddress! + index).loadUnaligned(as: UInt64.self).littleEndian
      let found = JSONScanner.specialBytes(word)
      if found != 0 { return index &+ found.trailingZeroBitCount >> 3 }
      index &+= 8
    }
    while index < utf8.count, utf8[index] >= 0x20, utf8[index] != 0x22, utf8[index] != 0x5c { index &+= 1 }
    return index
  }

  private static func writeEscaped(_ byte: UInt8, to out: inout [UInt8]) {
    out.append(0x5c)
    switch byte {
    case 0x22, 0x5c: out.append(byte)
    case 0x08: out.append(UInt8(ascii: "b"))
    case 0x09: out.append(UInt8(ascii: "t"))
    case 0x0a: out.append(UInt8(ascii: "n"))
    case 0x0c: out.append(UInt8(ascii: "f"))
    case 0x0d: out.append(UInt8(ascii: "r"))
    default:
      out += "u00".utf8
      out.append(0x30 + byte >> 4)
      out.append(byte & 15 < 10 ? 0x30 + byte & 15 : 0x57 + byte & 15)
    }
  }

  private static func write(_ value: Int64, to out: inout [UInt8]) {
    // Nineteen digits and a sign at most.
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
      var index = 20
      var rest = value.magnitude
      repeat {
        index -= 1
        let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 10)
        digits[index] = 0x30 + UInt8(truncatingIfNeeded: remainder)
        rest = quotient
      } while rest > 0
      if value < 0 {
        index -= 1
        digits[index] = 0x2d
      }
      out.append(contentsOf: UnsafeBufferPointer(rebasing: UnsafeBufferPointer(digits)[index...]))
    }
  }

  /// As Go's encoder: the shortest digits that read back the same; an exponent below 1e-6 and from 1e21 on.
  private static func write(_ value: Double, to out: inout [UInt8]) {
    guard value.isFinite else {
      out += "null".utf8
      return
    }
    let (digits, exponent) = decimal(value)
    if value.sign == .minus { out.append(0x2d) }
    let count = digits.count
    if value != 0, exponent < -5 || exponent > 21 {
      out.append(digits[0])
      if count > 1 {
        out.append(0x2e)
        out += digits[1...]
      }
      out.append(0x65)
      out.append(exponent > 0 ? 0x2b : 0x2d)
      out += String(abs(exponent - 1)).utf8
    } else if exponent <= 0 {
      out += "0.".utf8
      out.append(contentsOf: repeatElement(0x30, count: -exponent))
      out += digits
    } else if count <= exponent {
      out += digits
      out.append(contentsOf: repeatElement(0x30, count: exponent - count))
    } else {
      out += digits[..<exponent]
      out.append(0x2e)
      out += digits[exponent...]
    }
  }

  /// The shortest digits of a number without leading and trailing zeros, and the place of the point:
  /// 0.digits × 10^exponent.
  private static func decimal(_ value: Double) -> (digits: [UInt8], exponent: Int) {
    let text = value.magnitude.description
    let mantissa = text.utf8.prefix { $0 != 0x65 }
    var digits = mantissa.filter { $0 != 0x2e }
    var exponent = mantissa.prefix { $0 != 0x2e }.count
    if mantissa.endIndex < text.utf8.endIndex {
      exponent += Int(text[text.utf8.index(after: mantissa.endIndex)...]) ?? 0
    }
    let leading = digits.prefix { $0 == 0x30 }.count
    if leading == digits.count { return ([0x30], 1) }
    digits.removeFirst(leading)
    exponent -= leading
    while digits.last == 0x30 { digits.removeLast() }
    return (digits, exponent)
  }
}
