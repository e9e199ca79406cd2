// JSON read without a tree: one pass leaves a tape of 16-byte nodes over the document's own bytes, and nothing becomes
// a String until somebody asks. For looking into stored objects: labels, metadata, a field or two.

/// A parsed document. Immutable, so any thread may read it.
public final class JSONTape: Sendable {
  public enum Kind: UInt8, Sendable {
    case null, `true`, `false`, number, string, array, object
  }

  /// Where a value lies. A member is two nodes: its key, a string, and its value.
  struct Node {
    var offset: UInt32
    var length: UInt32
    /// The node after this value and all that is inside it.
    var next: UInt32
    var kind: Kind
    var hasEscapes = false
  }

  public let bytes: [UInt8]
  let nodes: [Node]

  /// Parses a document. Strings are checked for their grammar, not for being UTF-8: what is none is repaired when it
  /// is read as a String.
  public init(parsing bytes: [UInt8]) throws(JSONParseError) {
    guard bytes.count <= JSONLimits.bytesMaximum else { throw JSONParseError("document is too large", at: 0) }
    self.bytes = bytes
    nodes = try bytes.withUnsafeBufferPointer { buffer in
      Result { () throws(JSONParseError) in
        var builder = TapeBuilder(buffer)
        return try builder.run()
      }
    }.get()
  }

  /// The bytes of a member of a document that is an object; empty when it has none. What comes behind the member is not
  /// read, and what comes before it no more than that takes: for documents that have been checked.
  public static func rawBytes(of key: String, in bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let range = bytes.withUnsafeBufferPointer { buffer in
      var scanner = JSONScanner(buffer)
      return try? scanner.member(key)
    }
    guard let range else { return [] }
    return bytes[bytes.startIndex + range.lowerBound..<bytes.startIndex + range.upperBound]
  }

  /// What it takes in memory, about.
  public var byteCount: Int { bytes.count + nodes.capacity * MemoryLayout<Node>.stride }

  /// The document's value.
  public var root: Cursor { Cursor(tape: self, index: 0) }

  /// A value in the document, or the absence of one.
  public struct Cursor: Sendable {
    let tape: JSONTape
    /// -1: absent.
    let index: Int

    /// The document that the value is in.
    public var document: JSONTape { tape }

    private var node: Node? { index < 0 ? nil : tape.nodes[index] }

    public var exists: Bool { index >= 0 }
    /// nil when absent.
    public var kind: Kind? { node?.kind }

    /// The value's own bytes: `{…}`, `"…"`, `12`; empty when absent.
    public var rawBytes: ArraySlice<UInt8> {
      guard let node else { return [] }
      return tape.bytes[Int(node.offset)..<Int(node.offset + node.length)]
    }

    /// The member of an object; absent if there is none. Of duplicates the last.
    public subscript(key: String) -> Cursor { Cursor(tape: tape, index: tape.member(key, of: index)) }

    /// The element of an array; absent if there is none.
    public subscript(position: Int) -> Cursor {
      var found = -1
      var at = 0
      forEachIndex { _, valueIndex in
        if at == position { found = valueIndex }
        at += 1
      }
      return Cursor(tape: tape, index: kind == .array ? found : -1)
    }

    /// Number of members or elements.
    public var count: Int {
      var count = 0
      forEachIndex { _, _ in count += 1 }
      return count
    }

    /// The elements of an array; none for anything else.
    public var elements: [Cursor] {
      guard kind == .array else { return [] }
      var result: [Cursor] = []
      forEachIndex { result.append(Cursor(tape: tape, index: $1)) }
      return result
    }

    /// Calls `body` for every member of an object.
    public func forEachMember(_ body: (_ key: String, _ value: Cursor) -> Void) {
      guard kind == .object else { return }
      forEachIndex { body(tape.text($0), Cursor(tape: tape, index: $1)) }
    }

    /// Positions of keys (-1 in arrays) and values.
    private func forEachIndex(_ body: (_ key: Int, _ value: Int) -> Void) {
      guard let node, node.kind == .object || node.kind == .array else { return }
      var at = index + 1
      while at < Int(node.next) {
        let key = node.kind == .object ? at : -1
        let value = node.kind == .object ? at + 1 : at
        body(key, value)
        at = Int(tape.nodes[value].next)
      }
    }

    public var string: String? { kind == .string ? tape.text(index) : nil }
    public var bool: Bool? {
      switch kind {
      case .true: true
      case .false: false
      default: nil
      }
    }
    /// A number that is a 64-bit integer, however it is written.
    public var integer: Int64? { kind == .number ? number.integer : nil }
    public var double: Double? { kind == .number ? Double(String(decoding: rawBytes, as: UTF8.self)) : nil }

    /// Is this the text?
    public func equals(_ text: String) -> Bool { kind == .string && tape.text(index, equals: text) }

    /// An object of strings; members that are no strings are left out.
    public var stringMap: [String: String] {
      var result: [String: String] = [:]
      guard kind == .object else { return result }
      result.reserveCapacity(count)
      forEachMember { key, value in if let text = value.string { result[key] = text } }
      return result
    }

    private var number: JSONValue {
      let text = String(decoding: rawBytes, as: UTF8.self)
      return Int64(text).map { .integer($0) } ?? .double(Double(text) ?? 0)
    }

    /// The value as a tree; null when absent.
    public var value: JSONValue {
      switch kind {
      case nil, .null: return .null
      case .true: return .bool(true)
      case .false: return .bool(false)
      case .string: return .string(tape.text(index))
      case .number: return number
      case .array: return .array(elements.map(\.value))
      case .object:
        var builder = JSONObjectBuilder()
        forEachMember { builder.insert($0, $1.value) }
        return .object(builder.object)
      }
    }
  }

  /// Where the value of an object's member is; -1 if there is none.
  fileprivate func member(_ key: String, of index: Int) -> Int {
    guard index >= 0, nodes[index].kind == .object else { return -1 }
    var found = -1
    var at = index + 1
    while at < Int(nodes[index].next) {
      if text(at, equals: key) { found = at + 1 }
      at = Int(nodes[at + 1].next)
    }
    return found
  }

  /// The text of a string node.
  fileprivate func text(_ index: Int) -> String {
    let node = nodes[index]
    return bytes.withUnsafeBufferPointer { buffer in
      // Without the quotes.
      let start = Int(node.offset) + 1
      let end = Int(node.offset + node.length) - 1
      let scanner = JSONScanner(buffer)
      return scanner.text(start: start, end: end, hasEscapes: node.hasEscapes)
    }
  }

  fileprivate func text(_ index: Int, equals key: String) -> Bool {
    let node = nodes[index]
    if node.hasEscapes { return text(index) == key }
    guard Int(node.length) == key.utf8.count + 2 else { return false }
    return bytes.withUnsafeBufferPointer { bytes in
      var place = Int(node.offset)
      return key.utf8.allSatisfy {
        place &+= 1
        return bytes[place] == $0
      }
    }
  }
}

/// One pass over a document that writes the tape.
private struct TapeBuilder {
  private var scanner: JSONScanner
  private var nodes: [JSONTape.Node] = []
  private var depth = 0

  init(_ buffer: UnsafeBufferPointer<UInt8>) {
    scanner = JSONScanner(buffer)
    // Objects of Kubernetes have a node for every ten bytes or so.
    nodes.reserveCapacity(buffer.count / 8 + 4)
  }

  mutating func run() throws(JSONParseError) -> [JSONTape.Node] {
    try value()
    scanner.skipWhitespace()
    guard scanner.atEnd else { throw scanner.unexpected("after top-level value") }
    return nodes
  }

  private mutating func push(_ kind: JSONTape.Kind, from start: Int, hasEscapes: Bool = false) {
    nodes.append(
      JSONTape.Node(
        offset: UInt32(truncatingIfNeeded: start), length: UInt32(truncatingIfNeeded: scanner.offset &- start),
        next: UInt32(truncatingIfNeeded: nodes.count &+ 1), kind: kind, hasEscapes: hasEscapes))
  }

  private mutating func value() throws(JSONParseError) {
    scanner.skipWhitespace()
    guard !scanner.atEnd else { throw scanner.endOfInput() }
    let start = scanner.offset
    switch scanner.base[start] {
    case 0x7b: try collection(.object, closing: 0x7d, "after object key:value pair")
    case 0x5b: try collection(.array, closing: 0x5d, "after array element")
    case 0x22: try string()
    case 0x74:
      try scanner.scanLiteral("true")
      push(.true, from: start)
    case 0x66:
      try scanner.scanLiteral("false")
      push(.false, from: start)
    case 0x6e:
      try scanner.scanLiteral("null")
      push(.null, from: start)
    case 0x2d, 0x30...0x39:
      _ = try scanner.scanNumber()
      push(.number, from: start)
    default: throw scanner.unexpected("looking for beginning of value")
    }
  }

  private mutating func string() throws(JSONParseError) {
    let start = scanner.offset
    let found = try scanner.scanString()
    push(.string, from: start, hasEscapes: found.hasEscapes)
  }

  private mutating func collection(
    _ kind: JSONTape.Kind, closing: UInt8, _ place: String
  ) throws(JSONParseError) {
    depth &+= 1
    defer { depth &-= 1 }
    guard depth <= JSONLimits.depthMaximum else { throw JSONParseError("exceeded max depth", at: scanner.offset) }
    let start = scanner.offset
    let index = nodes.count
    push(kind, from: start)
    scanner.offset &+= 1
    scanner.skipWhitespace()
    var isDone = !scanner.atEnd && scanner.base[scanner.offset] == closing
    if isDone { scanner.offset &+= 1 }
    while !isDone {
      if kind == .object { try key() }
      try value()
      scanner.skipWhitespace()
      guard !scanner.atEnd else { throw scanner.endOfInput() }
      let byte = scanner.base[scanner.offset]
      guard byte == 0x2c || byte == closing else { throw scanner.unexpected(place) }
      isDone = byte == closing
      scanner.offset &+= 1
    }
    nodes[index].length = UInt32(truncatingIfNeeded: scanner.offset &- start)
    nodes[index].next = UInt32(truncatingIfNeeded: nodes.count)
  }

  private mutating func key() throws(JSONParseError) {
    scanner.skipWhitespace()
    guard !scanner.atEnd else { throw scanner.endOfInput() }
    guard scanner.base[scanner.offset] == 0x22 else {
      throw scanner.unexpected("looking for beginning of object key string")
    }
    try string()
    scanner.skipWhitespace()
    guard !scanner.atEnd, scanner.base[scanner.offset] == 0x3a else { throw scanner.unexpected("after object key") }
    scanner.offset &+= 1
  }
}
