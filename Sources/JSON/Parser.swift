// Bytes to a tree.

extension JSONValue {
  /// Parses one JSON document (RFC 8259). Of duplicate members the last wins.
  public init(parsing bytes: [UInt8]) throws(JSONParseError) { self = try JSONParser.parse(bytes) }

  /// As `init(parsing:)`, from memory the caller keeps alive during the call.
  public init(parsing bytes: UnsafeRawBufferPointer) throws(JSONParseError) { self = try JSONParser.parse(bytes) }

  /// As `init(parsing:)`, from a text.
  public init(parsing text: String) throws(JSONParseError) { self = try JSONParser.parse(Array(text.utf8)) }
}

/// A recursive-descent parser. Strict where RFC 8259 is: no comments, no trailing commas. Texts that are no UTF-8 are repaired.
public struct JSONParser {
  private enum PathStep {
    case member(String)
    case element(Int)
  }

  private var scanner: JSONScanner
  private var depth = 0
  private let reportsDuplicates: Bool
  /// Where the parser is; kept only when duplicates are reported.
  private var path: [PathStep] = []
  private var duplicates: [String] = []
  /// Bytes of them that may yet be made.
  private var duplicateRoom = JSONLimits.reportedBytesMaximum

  private init(_ buffer: UnsafeBufferPointer<UInt8>, reportsDuplicates: Bool) {
    scanner = JSONScanner(buffer)
    self.reportsDuplicates = reportsDuplicates
  }

  /// The document as a tree.
  public static func parse(_ bytes: [UInt8]) throws(JSONParseError) -> JSONValue {
    try bytes.withUnsafeBufferPointer { buffer in
      Result { () throws(JSONParseError) in try document(buffer, reportsDuplicates: false).value }
    }.get()
  }

  /// The document as a tree, from memory the caller keeps alive during the call.
  public static func parse(_ bytes: UnsafeRawBufferPointer) throws(JSONParseError) -> JSONValue {
    try bytes.withMemoryRebound(to: UInt8.self) { buffer in
      Result { () throws(JSONParseError) in try document(buffer, reportsDuplicates: false).value }
    }.get()
  }

  /// The document as a tree, and the paths of members that occur twice in one object ("spec.replicas",
  /// "spec.containers[0].name"), each once, at most `JSONLimits.duplicatesReportedMaximum`.
  public static func parse(
    _ bytes: [UInt8], reportingDuplicates duplicates: inout [String]
  ) throws(JSONParseError) -> JSONValue {
    let result = try bytes.withUnsafeBufferPointer { buffer in
      Result { () throws(JSONParseError) in try document(buffer, reportsDuplicates: true) }
    }.get()
    duplicates += result.duplicates
    return result.value
  }

  private static func document(
    _ buffer: UnsafeBufferPointer<UInt8>, reportsDuplicates: Bool
  ) throws(JSONParseError) -> (value: JSONValue, duplicates: [String]) {
    var parser = Self(buffer, reportsDuplicates: reportsDuplicates)
    let value = try parser.value()
    parser.scanner.skipWhitespace()
    guard parser.scanner.atEnd else { throw parser.scanner.unexpected("after top-level value") }
    return (value, parser.duplicates)
  }

  private mutating func value() throws(JSONParseError) -> JSONValue {
    scanner.skipWhitespace()
    guard !scanner.atEnd else { throw scanner.endOfInput() }
    switch scanner.base[scanner.offset] {
    case 0x7b: return .object(try object())
    case 0x5b: return .array(try array())
    case 0x22: return .string(try string())
    case 0x74:
      try scanner.scanLiteral("true")
      return .bool(true)
    case 0x66:
      try scanner.scanLiteral("false")
      return .bool(false)
    case 0x6e:
      try scanner.scanLiteral("null")
      return .null
    case 0x2d, 0x30...0x39:
      let number = try scanner.scanNumber()
      if let integer = number.integer { return .integer(integer) }
      return .double(try scanner.double(number.start, number.end))
    default: throw scanner.unexpected("looking for beginning of value")
    }
  }

  private mutating func string() throws(JSONParseError) -> String {
    let found = try scanner.scanString()
    return scanner.text(start: found.start, end: found.end, hasEscapes: found.hasEscapes)
  }

  private mutating func descend() throws(JSONParseError) {
    depth &+= 1
    guard depth <= JSONLimits.depthMaximum else { throw JSONParseError("exceeded max depth", at: scanner.offset) }
    scanner.offset &+= 1
    scanner.skipWhitespace()
  }

  private mutating func array() throws(JSONParseError) -> [JSONValue] {
    try descend()
    defer { depth &-= 1 }
    var elements: [JSONValue] = []
    if !scanner.atEnd, scanner.base[scanner.offset] == 0x5d {
      scanner.offset &+= 1
      return elements
    }
    while true {
      if reportsDuplicates { path.append(.element(elements.count)) }
      elements.append(try value())
      if reportsDuplicates { path.removeLast() }
      scanner.skipWhitespace()
      guard !scanner.atEnd else { throw scanner.endOfInput() }
      switch scanner.base[scanner.offset] {
      case 0x2c: scanner.offset &+= 1
      case 0x5d:
        scanner.offset &+= 1
        return elements
      default: throw scanner.unexpected("after array element")
      }
    }
  }

  private mutating func object() throws(JSONParseError) -> JSONObject {
    try descend()
    defer { depth &-= 1 }
    var members = JSONObjectBuilder()
    if !scanner.atEnd, scanner.base[scanner.offset] == 0x7d {
      scanner.offset &+= 1
      return JSONObject()
    }
    while true {
      scanner.skipWhitespace()
      guard !scanner.atEnd else { throw scanner.endOfInput() }
      guard scanner.base[scanner.offset] == 0x22 else {
        throw scanner.unexpected("looking for beginning of object key string")
      }
      let key = try string()
      scanner.skipWhitespace()
      guard !scanner.atEnd, scanner.base[scanner.offset] == 0x3a else { throw scanner.unexpected("after object key") }
      scanner.offset &+= 1
      if reportsDuplicates { path.append(.member(key)) }
      let value = try value()
      if members.insert(key, value), reportsDuplicates { reportDuplicate() }
      if reportsDuplicates { path.removeLast() }
      scanner.skipWhitespace()
      guard !scanner.atEnd else { throw scanner.endOfInput() }
      switch scanner.base[scanner.offset] {
      case 0x2c: scanner.offset &+= 1
      case 0x7d:
        scanner.offset &+= 1
        return members.object
      default: throw scanner.unexpected("after object key:value pair")
      }
    }
  }

  private mutating func reportDuplicate() {
    guard duplicates.count < JSONLimits.duplicatesReportedMaximum, duplicateRoom > 0 else { return }
    var text = ""
    for step in path {
      switch step {
      case .member(let name): text += text.isEmpty ? name : ".\(name)"
      case .element(let index): text += "[\(index)]"
      }
    }
    duplicateRoom -= text.utf8.count
    if !duplicates.contains(text) { duplicates.append(text) }
  }
}
