// RFC 6902: a list of operations on one document, all or nothing.
import JSON

/// A decoded JSON patch. Decode once, apply to every version of the object that a conflicting write makes necessary.
public struct JSONPatch: Sendable {
  /// As many operations as the reference accepts.
  public static let maximumOperations = 10_000
  /// Bytes that all `copy` operations of one patch may add: a patch that doubles a value with every operation would
  /// grow a small body beyond any memory.
  public static let maximumCopiedBytes = 3 * 1024 * 1024
  /// Members looked at and moved by all operations of one patch: ten thousand operations on a large list or map would
  /// keep a server busy for a minute. An honest patch stays far below.
  public static let maximumWork = 50_000_000
  /// How deeply a patched document may nest: every walk over a tree is recursive.
  public static let maximumDepth = JSONLimits.depthMaximum

  enum Operation: Sendable {
    case add(Pointer, JSONValue)
    case remove(Pointer)
    case replace(Pointer, JSONValue)
    case move(from: Pointer, to: Pointer)
    case copy(from: Pointer, to: Pointer)
    case test(Pointer, JSONValue)
    /// What is no operation: like the reference, found out when it is its turn.
    case unusable
  }
  /// The unescaped tokens of an RFC 6901 pointer.
  typealias Pointer = [String]
  /// Why a patch does not fit its document; the client hears only of the failure itself.
  struct Mismatch: Error {}

  /// What the operations of one application have cost.
  private struct Budget {
    var copiedBytes = 0
    private var work = 0

    /// Accounts for members that are looked at or moved.
    mutating func spend(_ members: Int) throws {
      work += members
      guard work <= JSONPatch.maximumWork else { throw Mismatch() }
    }

    /// Accounts for a value that is walked over, and checks how deeply a document would nest that has it at `path`.
    mutating func place(_ value: JSONValue, at path: Pointer) throws {
      let measure = value.measure
      try spend(measure.nodes)
      guard path.count + measure.depth <= maximumDepth else { throw Mismatch() }
    }
  }

  let operations: [Operation]

  /// From the body of a request. Throws 400 for what is no list of operations, 413 for one of too many.
  public init(_ document: JSONValue) throws(APIStatus) {
    guard case .array(let elements) = document else {
      throw .badRequest("json: cannot unmarshal \(document.jsonKind) into Go value of type jsonpatch.Patch")
    }
    guard elements.count <= Self.maximumOperations else {
      throw APIStatus(
        code: 413, reason: "RequestEntityTooLarge",
        message:
          "Request entity too large: The allowed maximum operations in a JSON patch is \(Self.maximumOperations), "
          + "got \(elements.count)")
    }
    var operations: [Operation] = []
    operations.reserveCapacity(elements.count)
    for element in elements {
      guard case .object(let object) = element else {
        throw .badRequest("json: cannot unmarshal \(element.jsonKind) into Go value of type jsonpatch.Operation")
      }
      operations.append(Self.operation(object))
    }
    self.operations = operations
  }

  private static let memberNames: Set<String> = ["op", "path", "from", "value"]

  /// What is wrong with the form of a patch, for those who want to know: the members that operations do not have.
  /// Throws 400 for members of another type.
  public static func strictErrors(of document: JSONValue) throws(APIStatus) -> [String] {
    func mistyped(_ value: JSONValue, _ what: String) -> APIStatus {
      .badRequest("error decoding patch: json: cannot unmarshal \(value.jsonKind) into Go \(what)")
    }
    guard case .array(let elements) = document else {
      throw mistyped(document, "value of type []handlers.jsonPatchOp")
    }
    var errors: [String] = []
    for (index, element) in elements.enumerated() where !element.isNull {
      guard case .object(let object) = element else { throw mistyped(element, "value of type handlers.jsonPatchOp") }
      for (name, value) in object {
        if !memberNames.contains(name), errors.count < JSONLimits.duplicatesReportedMaximum {
          errors.append("json patch unknown field \"[\(index)].\(name)\"")
        }
        guard memberNames.contains(name), name != "value", !value.isNull, value.string == nil else { continue }
        throw mistyped(value, "struct field jsonPatchOp.\(name) of type string")
      }
    }
    return errors
  }

  /// The patched document. Throws 422 when an operation does not fit it.
  public func apply(to document: JSONValue) throws(APIStatus) -> JSONValue {
    var document = document
    var budget = Budget()
    do {
      for operation in operations { try Self.perform(operation, on: &document, &budget) }
    } catch {
      throw Self.unprocessable
    }
    return document
  }

  /// The reference's only word on a patch that cannot be applied.
  static let unprocessable = APIStatus.generic(
    code: 422, reason: "Invalid", message: "the server rejected our request due to an error in our request")
}

// MARK: - Decoding

extension JSONPatch {
  private static func operation(_ object: JSONObject) -> Operation {
    guard let path = pointer(object, "path") else { return .unusable }
    // What is not said is null.
    let value = object["value"] ?? .null
    switch object["op"]?.string {
    case "add": return .add(path, value)
    case "replace": return .replace(path, value)
    case "test": return .test(path, value)
    case "remove": return .remove(path)
    case "move": return pointer(object, "from").map { .move(from: $0, to: path) } ?? .unusable
    case "copy": return pointer(object, "from").map { .copy(from: $0, to: path) } ?? .unusable
    default: return .unusable
    }
  }

  private static func pointer(_ object: JSONObject, _ member: String) -> Pointer? {
    object[member]?.string.map { pointer($0) }
  }

  /// The tokens of a pointer. Like the reference's library, which takes what stands before the first "/" for nothing.
  static func pointer(_ text: String) -> Pointer {
    text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst().map { unescaped($0) }
  }

  /// "~1" is "/", "~0" is "~"; any other "~" stands for itself.
  private static func unescaped(_ part: Substring.UTF8View) -> String {
    guard part.contains(UInt8(ascii: "~")) else { return String(Substring(part)) }
    var out: [UInt8] = []
    var rest = part
    while let byte = rest.popFirst() {
      switch (byte, rest.first) {
      case (UInt8(ascii: "~"), UInt8(ascii: "0")): out.append(UInt8(ascii: "~"))
      case (UInt8(ascii: "~"), UInt8(ascii: "1")): out.append(UInt8(ascii: "/"))
      default:
        out.append(byte)
        continue
      }
      rest.removeFirst()
    }
    return String(decoding: out, as: UTF8.self)
  }
}

// MARK: - Performing

extension JSONPatch {
  private static func perform(_ operation: Operation, on document: inout JSONValue, _ budget: inout Budget) throws {
    switch operation {
    case .unusable: throw Mismatch()
    case .add(let path, let value): try add(value, at: path, to: &document, &budget)
    case .replace(let path, let value): try replace(path, with: value, in: &document, &budget)
    case .remove(let path): _ = try remove(path, from: &document, &budget)
    case .test(let path, let value):
      guard (try lookup(path, in: document, &budget) ?? .null).isSame(as: value) else { throw Mismatch() }
    case .move(let source, let target):
      // A value cannot move into itself.
      guard source == target || !target.starts(with: source) else { throw Mismatch() }
      try add(try remove(source, from: &document, &budget), at: target, to: &document, &budget)
    case .copy(let source, let target):
      guard let value = try lookup(source, in: document, &budget) else { throw Mismatch() }
      budget.copiedBytes += value.approximateSize
      guard budget.copiedBytes <= maximumCopiedBytes else { throw Mismatch() }
      try add(value, at: target, to: &document, &budget)
    }
  }

  private static func lookup(_ path: Pointer, in document: JSONValue, _ budget: inout Budget) throws -> JSONValue? {
    var value = document
    for token in path {
      switch value {
      case .object(let object):
        try budget.spend(object.count)
        guard let member = object[token] else { return nil }
        value = member
      case .array(let array):
        guard let index = index(token, of: array.count) else { return nil }
        value = array[index]
      default: return nil
      }
    }
    return value
  }

  private static func add(
    _ value: JSONValue, at path: Pointer, to document: inout JSONValue, _ budget: inout Budget
  ) throws {
    guard !path.isEmpty else { throw Mismatch() }
    try budget.place(value, at: path)
    try editParent(of: path[...], in: &document, &budget) { parent, token in
      switch parent {
      case .object(var object):
        parent = .null
        object[token] = value
        parent = .object(object)
      case .array(var array):
        guard let position = token == "-" ? array.count : index(token, of: array.count + 1) else { throw Mismatch() }
        parent = .null
        array.insert(value, at: position)
        parent = .array(array)
      default: throw Mismatch()
      }
    }
  }

  private static func replace(
    _ path: Pointer, with value: JSONValue, in document: inout JSONValue, _ budget: inout Budget
  ) throws {
    guard !path.isEmpty else { return document = value }
    try budget.place(value, at: path)
    try editParent(of: path[...], in: &document, &budget) { parent, token in
      switch parent {
      case .object(var object):
        guard object.index(of: token) != nil else { throw Mismatch() }
        parent = .null
        object[token] = value
        parent = .object(object)
      case .array(var array):
        guard let position = index(token, of: array.count) else { throw Mismatch() }
        parent = .null
        array[position] = value
        parent = .array(array)
      default: throw Mismatch()
      }
    }
  }

  private static func remove(
    _ path: Pointer, from document: inout JSONValue, _ budget: inout Budget
  ) throws -> JSONValue {
    guard !path.isEmpty else { throw Mismatch() }
    var removed = JSONValue.null
    try editParent(of: path[...], in: &document, &budget) { parent, token in
      switch parent {
      case .object(var object):
        guard let value = object[token] else { throw Mismatch() }
        parent = .null
        removed = value
        object[token] = nil
        parent = .object(object)
      case .array(var array):
        guard let position = index(token, of: array.count) else { throw Mismatch() }
        parent = .null
        removed = array.remove(at: position)
        parent = .array(array)
      default: throw Mismatch()
      }
    }
    return removed
  }

  /// Calls `edit` with the container that the last token of `path` is looked up in.
  private static func editParent(
    of path: ArraySlice<String>, in value: inout JSONValue, _ budget: inout Budget,
    _ edit: (inout JSONValue, String) throws -> Void
  ) throws {
    let token = path[path.startIndex]
    switch value {
    case .object(let object): try budget.spend(object.count)
    case .array(let array) where path.count == 1: try budget.spend(array.count)
    default: break
    }
    guard path.count > 1 else { return try edit(&value, token) }
    switch value {
    case .object(var object):
      guard object.index(of: token) != nil else { throw Mismatch() }
      value = .null
      defer { value = .object(object) }
      try editParent(of: path.dropFirst(), in: &object[token]!, &budget, edit)
    case .array(var array):
      guard let position = index(token, of: array.count) else { throw Mismatch() }
      value = .null
      defer { value = .array(array) }
      try editParent(of: path.dropFirst(), in: &array[position], &budget, edit)
    default: throw Mismatch()
    }
  }

  /// A place among `count`, as the reference's library reads it: any decimal number; a negative one counts from the end.
  private static func index(_ token: String, of count: Int) -> Int? {
    guard let number = Int(token), number < count, number >= -count else { return nil }
    return number < 0 ? number + count : number
  }
}

extension JSONValue {
  /// Equality in the sense of RFC 6902: 1 and 1.0 are the same number.
  fileprivate func isSame(as other: JSONValue) -> Bool {
    switch (self, other) {
    case (.integer(let left), .double(let right)), (.double(let right), .integer(let left)): Double(left) == right
    case (.array(let left), .array(let right)):
      left.count == right.count && zip(left, right).allSatisfy { $0.isSame(as: $1) }
    case (.object(let left), .object(let right)):
      left.count == right.count && left.allSatisfy { member in right[member.key]?.isSame(as: member.value) ?? false }
    default: self == other
    }
  }

  /// Bytes as compact JSON, escapes aside.
  fileprivate var approximateSize: Int {
    switch self {
    case .null, .bool: 5
    case .integer, .double: 8
    case .string(let text): text.utf8.count + 2
    case .array(let values): values.reduce(2) { $0 + $1.approximateSize + 1 }
    case .object(let object): object.reduce(2) { $0 + $1.key.utf8.count + $1.value.approximateSize + 4 }
    }
  }

  /// Levels of nesting, 0 for a scalar, and values in it.
  fileprivate var measure: (depth: Int, nodes: Int) {
    var depth = 0
    var nodes = 1
    func add(_ value: JSONValue) {
      let inner = value.measure
      depth = max(depth, 1 + inner.depth)
      nodes += inner.nodes
    }
    switch self {
    case .array(let values):
      depth = 1
      values.forEach(add)
    case .object(let object):
      depth = 1
      for member in object { add(member.value) }
    default: break
    }
    return (depth, nodes)
  }
}
