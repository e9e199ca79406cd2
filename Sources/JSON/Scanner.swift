// The lexical half of JSON, shared by the tree parser and the tape: white space, strings, numbers, literals, and the
// words of the reference implementation for what is wrong.

/// Why bytes are no JSON: the words of the reference implementation, and where.
public struct JSONParseError: Error, Sendable, Hashable, CustomStringConvertible {
  public var message: String
  /// Of the byte that is wrong; the length of the document where it ends too early.
  public var offset: Int
  public init(_ message: String, at offset: Int) {
    self.message = message
    self.offset = offset
  }
  public var description: String { message }
}

/// Bounds on a document.
public enum JSONLimits {
  /// Nesting of arrays and objects. The reference allows 10,000; no Kubernetes object comes near a tenth of this, and
  /// recursion must stay far from the end of a thread's stack.
  public static let depthMaximum = 512
  /// The tape addresses bytes with 32 bits.
  public static let bytesMaximum = Int(Int32.max)
  /// Reports of duplicate members per document; more help nobody and cost memory.
  public static let duplicatesReportedMaximum = 100
  /// Bytes of all that is said of one document's mistakes: a key of a megabyte is in the path of all that is below it.
  public static let reportedBytesMaximum = 1 << 20
}

/// Walks over a document's bytes. The owner keeps the memory alive.
struct JSONScanner {
  let base: UnsafePointer<UInt8>
  let count: Int
  var offset = 0

  init(_ buffer: UnsafeBufferPointer<UInt8>) {
    // An empty buffer may have no address; nothing is read from it then.
    base = buffer.baseAddress ?? UnsafePointer(bitPattern: 1)!
    count = buffer.count
  }

  @inline(__always) var atEnd: Bool { offset >= count }

  @inline(__always) mutating func skipWhitespace() {
    while offset < count {
      switch base[offset] {
      case 0x20, 0x0a, 0x0d, 0x09: offset &+= 1
      default: return
      }
    }
  }

  /// A string whose opening quote is at `offset`: moves behind the closing quote and returns where the text lies.
  @inline(__always)
  mutating func scanString() throws(JSONParseError) -> (start: Int, end: Int, hasEscapes: Bool) {
    offset &+= 1
    let start = offset
    var hasEscapes = false
    while true {
      // Eight bytes at a time: is one of them a quote, a backslash or a control character?
      while offset &+ 8 <= count {
        let word = UnsafeRawPointer(base + offset).loadUnaligned(as: UInt64.self).littleEndian
        let found = Self.specialBytes(word)
        if found != 0 {
          offset &+= found.trailingZeroBitCount >> 3
          break
        }
        offset &+= 8
      }
      while offset < count, base[offset] != 0x22, base[offset] != 0x5c, base[offset] >= 0x20 { offset &+= 1 }
      guard offset < count else { throw endOfInput() }
      if base[offset] == 0x22 {
        offset &+= 1
        return (start, offset &- 1, hasEscapes)
      }
      if base[offset] < 0x20 { throw unexpected("in string literal") }
      hasEscapes = true
      try skipEscape()
    }
  }

  /// The high bit of every byte that ends a run of plain text. (A borrow may mark bytes above the first; only the
  /// lowest mark is used.)
  @inline(__always) static func specialBytes(_ word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let highs: UInt64 = 0x8080_8080_8080_8080
    let quote = word ^ 0x2222_2222_2222_2222
    let backslash = word ^ 0x5c5c_5c5c_5c5c_5c5c
    return
      (((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)
      | ((word &- 0x2020_2020_2020_2020) & ~word)) & highs
  }

  private mutating func skipEscape() throws(JSONParseError) {
    offset &+= 1
    guard offset < count else { throw endOfInput() }
    switch base[offset] {
    case 0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74: offset &+= 1
    case 0x75:
      offset &+= 1
      for _ in 0..<4 {
        guard offset < count else { throw endOfInput() }
        guard Self.hexadecimal(base[offset]) != nil else {
          throw unexpected("in \\u hexadecimal character escape")
        }
        offset &+= 1
      }
    default: throw unexpected("in string escape code")
    }
  }

  @inline(__always) static func hexadecimal(_ byte: UInt8) -> UInt32? {
    switch byte {
    case 0x30...0x39: UInt32(byte &- 0x30)
    case 0x41...0x46: UInt32(byte &- 0x37)
    case 0x61...0x66: UInt32(byte &- 0x57)
    default: nil
    }
  }

  /// The text of a string that `scanString` accepted. Bytes that are no UTF-8 are replaced, as the reference does.
  func text(start: Int, end: Int, hasEscapes: Bool) -> String {
    let raw = UnsafeBufferPointer(start: base + start, count: end &- start)
    guard hasEscapes else { return String(checkedUTF8: raw) ?? String(repairing: raw) }
    return unescaped(raw)
  }

  private func unescaped(_ raw: UnsafeBufferPointer<UInt8>) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(raw.count)
    var index = 0
    func codeUnit(_ at: Int) -> UInt32 {
      (at..<at + 4).reduce(0) { $0 << 4 | (Self.hexadecimal(raw[$1]) ?? 0) }
    }
    while index < raw.count {
      guard raw[index] == 0x5c else {
        out.append(raw[index])
        index += 1
        continue
      }
      index += 2
      switch raw[index - 1] {
      case 0x62: out.append(0x08)
      case 0x66: out.append(0x0c)
      case 0x6e: out.append(0x0a)
      case 0x72: out.append(0x0d)
      case 0x74: out.append(0x09)
      case 0x75:
        var value = codeUnit(index)
        index += 4
        if value & 0xfc00 == 0xd800, index + 6 <= raw.count, raw[index] == 0x5c, raw[index + 1] == 0x75 {
          let low = codeUnit(index + 2)
          if low & 0xfc00 == 0xdc00 {
            value = 0x10000 + (value & 0x3ff) << 10 + (low & 0x3ff)
            index += 6
          }
        }
        // Half a surrogate pair stands for no character: replaced, as the reference does.
        let scalar = Unicode.Scalar(value) ?? "\u{FFFD}"
        out.append(contentsOf: Unicode.UTF8.encode(scalar)!)
      default: out.append(raw[index - 1])
      }
    }
    return out.withUnsafeBufferPointer { String(checkedUTF8: $0) ?? String(repairing: $0) }
  }

  /// A number that begins at `offset`: moves behind it; integers are whole texts of digits that fit 64 bits.
  @inline(__always)
  mutating func scanNumber() throws(JSONParseError) -> (start: Int, end: Int, integer: Int64?) {
    let start = offset
    let isNegative = base[offset] == 0x2d
    if isNegative { offset &+= 1 }
    guard offset < count else { throw endOfInput() }
    let firstDigit = offset
    var magnitude: UInt64 = 0
    if base[offset] == 0x30 {
      offset &+= 1
    } else {
      guard base[offset] &- 0x30 < 10 else { throw unexpected("in numeric literal") }
      while offset < count, base[offset] &- 0x30 < 10 {
        magnitude = magnitude &* 10 &+ UInt64(base[offset] &- 0x30)
        offset &+= 1
      }
    }
    var isInteger = true
    let digits = offset &- firstDigit
    if offset < count, base[offset] == 0x2e {
      isInteger = false
      offset &+= 1
      try skipDigits("after decimal point in numeric literal")
    }
    if offset < count, base[offset] | 0x20 == 0x65 {
      isInteger = false
      offset &+= 1
      if offset < count, base[offset] == 0x2b || base[offset] == 0x2d { offset &+= 1 }
      try skipDigits("in exponent of numeric literal")
    }
    guard isInteger else { return (start, offset, nil) }
    if digits <= 18 { return (start, offset, isNegative ? -Int64(magnitude) : Int64(magnitude)) }
    // Nineteen digits may or may not fit; the library decides.
    return (start, offset, Int64(number(start, offset)))
  }

  private mutating func skipDigits(_ place: String) throws(JSONParseError) {
    guard offset < count else { throw endOfInput() }
    guard base[offset] &- 0x30 < 10 else { throw unexpected(place) }
    while offset < count, base[offset] &- 0x30 < 10 { offset &+= 1 }
  }

  /// A number's text.
  func number(_ start: Int, _ end: Int) -> String {
    String(decoding: UnsafeBufferPointer(start: base + start, count: end - start), as: UTF8.self)
  }

  /// A number that is no 64-bit integer.
  func double(_ start: Int, _ end: Int) throws(JSONParseError) -> Double {
    let text = number(start, end)
    guard let value = Double(text), value.isFinite else {
      throw JSONParseError("json: cannot unmarshal number \(text) into Go value of type float64", at: start)
    }
    return value
  }

  /// `true`, `false` or `null`, whose first letter is at `offset`.
  @inline(__always)
  mutating func scanLiteral(_ literal: StaticString) throws(JSONParseError) {
    let letters = literal.utf8Start
    for index in 1..<literal.utf8CodeUnitCount {
      guard offset &+ index < count else { throw endOfInput() }
      guard base[offset &+ index] == letters[index] else {
        offset &+= index
        throw unexpected("in literal \(literal) (expecting \(Self.quoted(letters[index])))")
      }
    }
    offset &+= literal.utf8CodeUnitCount
  }

  /// Where the value of an object's member lies; nil when it has no such member. Brackets are counted, and nothing is
  /// checked that this does not need.
  mutating func member(_ key: String) throws(JSONParseError) -> Range<Int>? {
    skipWhitespace()
    guard !atEnd, base[offset] == 0x7b else { return nil }
    offset &+= 1
    while true {
      skipWhitespace()
      guard !atEnd, base[offset] == 0x22 else { return nil }
      let name = try scanString()
      let isFound =
        name.hasEscapes
        ? text(start: name.start, end: name.end, hasEscapes: true) == key
        : UnsafeBufferPointer(start: base + name.start, count: name.end &- name.start).elementsEqual(key.utf8)
      skipWhitespace()
      guard !atEnd, base[offset] == 0x3a else { throw unexpected("after object key") }
      offset &+= 1
      skipWhitespace()
      let start = offset
      try skipValue()
      if isFound { return start..<offset }
      skipWhitespace()
      guard !atEnd, base[offset] == 0x2c else { return nil }
      offset &+= 1
    }
  }

  private mutating func skipValue() throws(JSONParseError) {
    var depth = 0
    while offset < count {
      switch base[offset] {
      case 0x22: _ = try scanString()
      case 0x7b, 0x5b:
        depth &+= 1
        offset &+= 1
        continue
      case 0x7d, 0x5d:
        // Of the collection that holds this value.
        guard depth > 0 else { return }
        depth &-= 1
        offset &+= 1
      case 0x2c, 0x20, 0x0a, 0x0d, 0x09:
        guard depth > 0 else { return }
        offset &+= 1
        continue
      default:
        offset &+= 1
        continue
      }
      if depth == 0 { return }
    }
    throw endOfInput()
  }

  func endOfInput() -> JSONParseError { JSONParseError("unexpected end of JSON input", at: count) }

  /// "invalid character 'x' " and where it was met.
  func unexpected(_ place: String) -> JSONParseError {
    guard offset < count else { return endOfInput() }
    return JSONParseError("invalid character \(Self.quoted(base[offset])) \(place)", at: offset)
  }

  private static func quoted(_ byte: UInt8) -> String {
    switch byte {
    case 0x27: return #"'\''"#
    case 0x5c: return #"'\\'"#
    case 0x07: return #"'\a'"#
    case 0x08: return #"'\b'"#
    case 0x09: return #"'\t'"#
    case 0x0a: return #"'\n'"#
    case 0x0b: return #"'\v'"#
    case 0x0c: return #"'\f'"#
    case 0x0d: return #"'\r'"#
    case 0x00..<0x20, 0x7f..<0xa0:
      let digits = String(byte, radix: 16)
      let padded = (digits.utf8.count < 2 ? "0" : "") + digits
      return byte < 0x80 ? "'\\x\(padded)'" : "'\\u00\(padded)'"
    default: return "'\(Unicode.Scalar(byte))'"
    }
  }
}

extension String {
  /// The text of bytes of which some are no UTF-8: each such byte becomes U+FFFD, as Go has it (Swift's own repair makes
  /// one of several).
  init(repairing bytes: UnsafeBufferPointer<UInt8>) {
    var text = String()
    text.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      let length = Self.lengthOfScalar(in: bytes, at: index)
      if length == 0 {
        text.unicodeScalars.append("\u{FFFD}")
        index += 1
      } else {
        text += String(decoding: UnsafeBufferPointer(rebasing: bytes[index..<index + length]), as: UTF8.self)
        index += length
      }
    }
    self = text
  }

  /// How many bytes the scalar takes that begins there; zero where none does (Unicode, table 3-7).
  private static func lengthOfScalar(in bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> Int {
    let (length, second): (Int, ClosedRange<UInt8>)
    switch bytes[index] {
    case 0x00...0x7f: return 1
    case 0xc2...0xdf: (length, second) = (2, 0x80...0xbf)
    case 0xe0: (length, second) = (3, 0xa0...0xbf)
    case 0xed: (length, second) = (3, 0x80...0x9f)
    case 0xe1...0xef: (length, second) = (3, 0x80...0xbf)
    case 0xf0: (length, second) = (4, 0x90...0xbf)
    case 0xf1...0xf3: (length, second) = (4, 0x80...0xbf)
    case 0xf4: (length, second) = (4, 0x80...0x8f)
    default: return 0
    }
    guard index + length <= bytes.count, second.contains(bytes[index + 1]) else { return 0 }
    return bytes[(index + 2)..<(index + length)].allSatisfy { $0 & 0xc0 == 0x80 } ? length : 0
  }

  /// The text of bytes that are UTF-8; nil if they are not. `String(validating:)` is not specialized and costs more
  /// than the text; plain ASCII, which is nearly everything, needs no validation.
  @inline(__always)
  public init?(checkedUTF8 bytes: UnsafeBufferPointer<UInt8>) {
    var index = 0
    var seen: UInt64 = 0
    while index &+ 8 <= bytes.count {
      seen |= UnsafeRawPointer(bytes.baseAddress! + index).loadUnaligned(as: UInt64.self)
      index &+= 8
    }
    while index < bytes.count {
      seen |= UInt64(bytes[index])
      index &+= 1
    }
    if seen & 0x8080_8080_8080_8080 == 0 {
      self = String(decoding: bytes, as: UTF8.self)
    } else {
      self.init(validating: bytes, as: UTF8.self)
    }
  }
}
