// Text of a type table to drafts, and drafts to fields once every structure is known. The notation: TypeTable.
import JSON
import Schema

/// A structure as read, its types still names.
struct StructureDraft {
  var package: String
  var localName: String
  var line: Int
  var description = ""
  var isKind = false
  var isAtomic = false
  var isUnion = false
  var fields: [FieldDraft] = []

  var name: String { "\(package).\(localName)" }
  func failure(_ message: String) -> TypeTable.Failure {
    TypeTable.Failure(package: package, line: line, message: message)
  }

  /// The fields with their types resolved.
  func link(_ structures: [String: Structure]) throws(TypeTable.Failure) -> [Field] {
    var result: [Field] = isKind ? TypeTable.typeMembers : []
    result.reserveCapacity(result.count + fields.count)
    for draft in fields {
      if result.contains(where: { $0.name == draft.field.name || ($0.number > 0 && $0.number == draft.field.number) }) {
        throw draft.failure(package, "field \(draft.field.name) or its number is there already")
      }
      result.append(try draft.link(structures, package: package))
    }
    return result
  }
}

/// A field as read: `field` is complete but for its type and what depends on it.
struct FieldDraft {
  var field: Field
  var line: Int
  var typeName: String
  var defaultText: String?
  var isGranular = false

  func failure(_ package: String, _ message: String) -> TypeTable.Failure {
    TypeTable.Failure(package: package, line: line, message: message)
  }

  func link(_ structures: [String: Structure], package: String) throws(TypeTable.Failure) -> Field {
    var result = field
    result.type = try resolve(Substring(typeName), structures, package: package)
    if case .structure(let structure) = result.type {
      result.isAtomic = result.isAtomic || (structure.isAtomic && !isGranular)
    } else if field.isInline {
      throw failure(package, "\(field.name): only structures can be inline")
    }
    if let defaultText { result.defaultValue = try defaultValue(defaultText, for: result.type, package: package) }
    switch result.type {
    case .array: break
    default:
      guard result.listSemantics == .atomic, !result.patchStrategy.merges else {
        throw failure(package, "\(field.name): only lists have merge keys")
      }
    }
    return result
  }

  private func resolve(
    _ name: Substring, _ structures: [String: Structure], package: String
  ) throws(TypeTable.Failure) -> FieldType {
    if name.hasSuffix("[]") { return .array(try resolve(name.dropLast(2), structures, package: package)) }
    if name.hasPrefix("map<"), name.hasSuffix(">") {
      return .map(try resolve(name.dropFirst(4).dropLast(), structures, package: package))
    }
    if let scalar = Self.scalars[String(name)] { return scalar }
    let qualified = name.contains(".") ? String(name) : "\(package).\(name)"
    guard let structure = structures[qualified] else { throw failure(package, "unknown type \(name)") }
    return structure.isUnion ? .union(structure) : .structure(structure)
  }

  private func defaultValue(
    _ text: String, for type: FieldType, package: String
  ) throws(TypeTable.Failure) -> JSONValue {
    switch type {
    case .string: return .string(text == "\"\"" ? "" : text)
    case .int32, .int64: if let number = Int64(text) { return .integer(number) }
    case .intOrString: return Int64(text).map { .integer($0) } ?? .string(text)
    case .boolean where text == "true" || text == "false": return .bool(text == "true")
    case .structure where text == "{}": return .object([:])
    case .array(.string) where text.hasPrefix("[") && text.hasSuffix("]"):
      return .array(text.dropFirst().dropLast().split(separator: ",").map { .string(String($0)) })
    default: break
    }
    throw failure(package, "\(field.name): \(text) cannot be a default of \(typeName)")
  }

  private static let scalars: [String: FieldType] = [
    "string": .string, "bytes": .bytes, "bool": .boolean, "int32": .int32, "int64": .int64, "double": .double,
    "Quantity": .quantity, "IntOrString": .intOrString, "Time": .time, "MicroTime": .microTime, "Duration": .duration,
    "RawExtension": .rawObject, "FieldsV1": .rawObject, "JSON": .anyValue, "Verbs": .array(.string),
    "ExtraValue": .array(.string),
  ]
}

/// Reads one section. Works on bytes: the tables of all groups are read at every start.
struct TypeTableParser {
  private let package: String
  private let bytes: [UInt8]
  private var line = 0
  private(set) var drafts: [StructureDraft] = []

  init(_ section: TypeTable.Section) {
    package = section.package
    bytes = Array(section.text.utf8)
  }

  mutating func run() throws(TypeTable.Failure) {
    var start = 0
    while start < bytes.count {
      var end = start
      while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
      line += 1
      try readLine(start..<end)
      start = end + 1
    }
  }

  private func failure(_ message: String) -> TypeTable.Failure {
    TypeTable.Failure(package: package, line: line, message: message)
  }

  private mutating func readLine(_ range: Range<Int>) throws(TypeTable.Failure) {
    guard let first = range.first(where: { bytes[$0] != UInt8(ascii: " ") }), bytes[first] != UInt8(ascii: "#")
    else { return }
    if first == range.lowerBound {
      guard bytes[range.upperBound - 1] == UInt8(ascii: ":") else { throw failure("a structure's line ends in \":\"") }
      try readHeader(try tokens(first..<(range.upperBound - 1)))
    } else {
      for segment in segments(first..<range.upperBound) { try readField(try tokens(segment)) }
    }
  }

  private mutating func readHeader(_ tokens: [Token]) throws(TypeTable.Failure) {
    guard case .word(let name)? = tokens.first else { throw failure("a structure needs a name") }
    var draft = StructureDraft(package: package, localName: name, line: line)
    for token in tokens.dropFirst() {
      switch token {
      case .word("@kind"): draft.isKind = true
      case .word("@atomic"): draft.isAtomic = true
      case .word("@union"): draft.isUnion = true
      case .quoted(let text): draft.description = text
      case .word(let word): throw failure("\(name): \(word) means nothing here")
      }
    }
    drafts.append(draft)
  }

  private mutating func readField(_ tokens: [Token]) throws(TypeTable.Failure) {
    guard !drafts.isEmpty else { throw failure("a field before any structure") }
    guard tokens.count >= 2, case .word(let head) = tokens[0], case .word(let typeName) = tokens[1],
      let colon = head.firstIndex(of: ":"), let number = Int(head[..<colon]), number > 0
    else { throw failure("a field is NUMBER:NAME TYPE") }
    var rest = head[head.index(after: colon)...]
    let isInline = rest.hasSuffix("(inline)")
    if isInline { rest = rest.dropLast("(inline)".count) }
    let name = rest.prefix { !"*?!".contains($0) }
    guard !name.isEmpty else { throw failure("a field needs a name") }
    var draft = FieldDraft(
      field: Field(name: String(name), number: number, type: .string), line: line, typeName: typeName)
    draft.field.isInline = isInline
    for flag in rest[name.endIndex...] {
      switch flag {
      case "*": draft.field.isRequired = true
      case "?": draft.field.isPointer = true
      case "!": draft.field.isAlwaysWritten = true
      default: throw failure("\(name): unknown flag \(flag)")
      }
    }
    for token in tokens.dropFirst(2) {
      switch token {
      case .quoted(let text): draft.field.description = text
      case .word(let word): try annotate(&draft, word)
      }
    }
    drafts[drafts.count - 1].fields.append(draft)
  }

  private func annotate(_ draft: inout FieldDraft, _ word: String) throws(TypeTable.Failure) {
    switch word {
    case "@set": draft.field.listSemantics = .set
    case "@atomic": draft.field.isAtomic = true
    case "@granular": draft.isGranular = true
    case "@merge": draft.field.patchStrategy.merges = true
    case "@retainKeys": draft.field.patchStrategy.retainsKeys = true
    case "@replace": draft.field.patchStrategy.replaces = true
    default:
      if word.hasPrefix("@map("), word.hasSuffix(")") {
        draft.field.listSemantics = .map(keys: list(word.dropFirst(5).dropLast()))
      } else if word.hasPrefix("@merge("), word.hasSuffix(")") {
        draft.field.patchStrategy.merges = true
        draft.field.patchStrategy.mergeKey = String(word.dropFirst(7).dropLast())
      } else if word.hasPrefix("=") {
        draft.defaultText = String(word.dropFirst())
      } else if word.hasPrefix("{"), word.hasSuffix("}") {
        draft.field.enumeration = list(word.dropFirst().dropLast())
      } else {
        throw failure("\(draft.field.name): \(word) means nothing here")
      }
    }
  }

  private func list(_ text: Substring) -> [String] { text.split(separator: ",").map(String.init) }

  /// The parts of a line between ";" outside of quotes.
  private func segments(_ range: Range<Int>) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var start = range.lowerBound
    var isQuoted = false
    for index in range {
      if bytes[index] == UInt8(ascii: "\"") { isQuoted.toggle() }
      guard !isQuoted, bytes[index] == UInt8(ascii: ";") else { continue }
      result.append(start..<index)
      start = index + 1
    }
    result.append(start..<range.upperBound)
    return result
  }

  private enum Token {
    case word(String)
    case quoted(String)
  }

  private func tokens(_ range: Range<Int>) throws(TypeTable.Failure) -> [Token] {
    var result: [Token] = []
    var index = range.lowerBound
    while index < range.upperBound {
      if bytes[index] == UInt8(ascii: " ") {
        index += 1
        continue
      }
      let start = index
      if bytes[index] == UInt8(ascii: "\"") {
        index += 1
        while index < range.upperBound, bytes[index] != UInt8(ascii: "\"") { index += 1 }
        guard index < range.upperBound else { throw failure("a description does not end") }
        result.append(.quoted(String(decoding: bytes[(start + 1)..<index], as: UTF8.self)))
        index += 1
      } else {
        while index < range.upperBound, bytes[index] != UInt8(ascii: " ") { index += 1 }
        result.append(.word(String(decoding: bytes[start..<index], as: UTF8.self)))
      }
    }
    return result
  }
}
