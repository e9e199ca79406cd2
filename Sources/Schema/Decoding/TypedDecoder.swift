// A tree of JSON, as a client sent it, to the canonical tree of its type: checked, pruned, in schema order.
import JSON

/// Why a tree is no object of its type, in the words of the reference's decoder.
public struct TypeError: Error, Sendable, Hashable, CustomStringConvertible {
  public let description: String
  /// The same in the words of the reference's converter of trees, which reads strategic patches.
  public let conversion: String
  public init(_ description: String, conversion: String? = nil) {
    self.description = description
    self.conversion = conversion ?? description
  }
}

/// Makes a tree what the reference would store of it:
/// - members of the wrong type are errors, `null` members are absent, unknown members are dropped and reported;
/// - members stand in the order of the schema, maps in the order of their keys, so equal objects are equal bytes;
/// - zero values are left out or written as the reference's types have it;
/// - quantities, times, durations and base64 are rewritten canonically.
///
/// Decoding what was decoded changes nothing.
public struct TypedDecoder {
  public struct Result: Sendable {
    public var value: JSONValue
    /// `unknown field "spec.foo"` and `duplicate field "spec.bar"`, in the order of the document, each once.
    public var strictErrors: [String] = []
  }

  /// The canonical tree of `structure`.
  /// - Parameter duplicates: paths of duplicate members, as the JSON parser reports them; those the type knows become
  ///   strict errors.
  /// - Parameter canonical: a version of the tree that is canonical; what both share in memory is not looked at.
  public static func decode(
    _ value: JSONValue, as structure: Structure, duplicates: [String] = [], editedSince canonical: JSONValue = .null
  ) throws(TypeError) -> Result {
    if let schema = structure.custom {
      return try StructuralDecoder.decode(value, as: structure, schema, duplicates: duplicates)
    }
    var decoder = Self(duplicates: duplicates)
    let result = try decoder.structure(value, structure, canonical)
    return Result(value: result ?? value, strictErrors: decoder.strictErrors)
  }

  /// A tree that was decoded once and edited since, in canonical form again; as it is where an edit broke its type.
  public static func canonicalized(
    _ value: JSONValue, as structure: Structure, editedSince canonical: JSONValue = .null
  ) -> JSONValue {
    (try? decode(value, as: structure, editedSince: canonical).value) ?? value
  }

  /// The canonical form of a value that stands alone.
  static func decode(_ value: JSONValue, as type: FieldType) throws(TypeError) -> JSONValue {
    var decoder = Self(duplicates: [])
    return try decoder.value(value, type, .null) ?? value
  }

  /// One value in the canonical form of its type; as it is where it is none.
  static func canonicalized(_ value: JSONValue, as type: FieldType) -> JSONValue {
    var decoder = Self(duplicates: [])
    return (try? decoder.value(value, type, .null)) ?? value
  }

  // MARK: Where the decoder is

  private enum Step {
    /// By its position in the structure; the n-th such step is into the n-th of `structures`.
    case member(Int)
    case key(String)
    case element(Int)
  }
  private var path: [Step] = []
  /// The structures being decoded, innermost last: error messages name it.
  private var structures: [Structure] = []
  private let duplicates: Set<String>
  private var strictErrors: [String] = []

  private init(duplicates: [String]) { self.duplicates = Set(duplicates) }

  private var fullPath: String {
    var text = ""
    var depth = 0
    for step in path {
      switch step {
      case .member(let position):
        text += (text.isEmpty ? "" : ".") + structures[depth].members[position].name
        depth += 1
      case .key(let name): text += text.isEmpty ? name : ".\(name)"
      case .element(let index): text += "[\(index)]"
      }
    }
    return text
  }

  private mutating func reportStrict(_ error: String) {
    guard strictErrors.count < JSONLimits.duplicatesReportedMaximum, !strictErrors.contains(error) else { return }
    strictErrors.append(error)
  }

  /// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`
  private func mismatch(_ value: JSONValue, _ type: FieldType, isRange: Bool = false) -> TypeError {
    let what =
      switch value {
      case .integer(let number) where isRange: "number \(number)"
      case .double(let number) where isRange: "number \(number)"
      case .null: "null"
      case .bool: "bool"
      case .integer, .double: "number"
      case .string: "string"
      case .array: "array"
      case .object: "object"
      }
    let positions = path.compactMap { if case .member(let position) = $0 { position } else { nil } }
    let members = zip(structures, positions).map { $0.members[$1].name }
    guard let structure = structures.last, !members.isEmpty else {
      return TypeError(
        "json: cannot unmarshal \(what) into Go value of type \(type.referenceName)",
        conversion: Self.conversion(value, type))
    }
    let field = "\(structure.localName).\(members.joined(separator: "."))"
    return TypeError(
      "json: cannot unmarshal \(what) into Go struct field \(field) of type \(type.referenceName)",
      conversion: Self.conversion(value, type))
  }

  /// `unrecognized type: int32`, for text where a number belongs.
  private static func conversion(_ value: JSONValue, _ type: FieldType) -> String? {
    switch (type, value) {
    case (.string, .integer), (.int32, .double), (.int64, .double):
      "cannot convert \(value.goKind) to \(type.referenceName)"
    case (.int32, .integer), (.int64, .integer): nil
    case (.string, _), (.boolean, _), (.int32, _), (.int64, _), (.double, _):
      "unrecognized type: \(type.referenceName)"
    case (.structure, _): "cannot restore struct from: \(value.goKind)"
    case (.map, _): "cannot restore map from \(value.goKind)"
    case (.array, _), (.bytes, _): "cannot restore slice from \(value.goKind)"
    default: nil
    }
  }

  // MARK: Structures

  // What is canonical already, and that is most of most trees, is not made anew: nil says so, here and below. `canonical`
  // is the value in another version of the tree that is known to be; null: there is none.

  private mutating func structure(
    _ value: JSONValue, _ structure: Structure, _ canonical: JSONValue
  ) throws(TypeError) -> JSONValue? {
    switch value {
    case .object(let object): return try members(object, structure, canonical.object).map(JSONValue.object)
    case .null: return structure.zero
    default: throw mismatch(value, .structure(structure))
    }
  }

  /// The members of an object in the form and the order of its structure, with their positions there.
  private struct Found {
    var members: [(position: Int, value: JSONValue)] = []
    var unknown: [JSONObject.Member] = []
    /// Clients mostly send members in some order that is not the schema's.
    var isSorted = true

    mutating func append(_ position: Int, _ value: JSONValue) {
      if let last = members.last, last.position > position { isSorted = false }
      members.append((position, value))
    }
  }

  private mutating func members(
    _ object: JSONObject, _ structure: Structure, _ canonical: JSONObject?
  ) throws(TypeError) -> JSONObject? {
    if let canonical, object.isShared(with: canonical) { return nil }
    structures.append(structure)
    defer { structures.removeLast() }
    let members = object.members
    var last = -1
    // Nil as long as everything stands as it is to be written.
    var found: Found?
    var always = structure.alwaysWrittenPositions[...]
    for index in members.indices {
      let key = members[index].key
      guard let position = structure.position(of: key, after: last) else {
        if found == nil { found = Self.prefix(members[..<index], structure) }
        path.append(.key(key))
        if structure.preservesUnknownFields {
          found?.unknown.append((key, members[index].value))
        } else {
          reportStrict("unknown field \"\(fullPath)\"")
        }
        path.removeLast()
        continue
      }
      path.append(.member(position))
      let value = members[index].value
      let former = Self.counterpart(of: value, key, in: canonical)
      let decoded = value.isNull ? .null : try self.value(value, structure.members[position].type, former)
      if !duplicates.isEmpty { reportIfDuplicate() }
      path.removeLast()
      let isWritten = Self.isWritten(decoded ?? value, structure, position)
      if found == nil {
        if decoded == nil, isWritten, position > last, always.first.map({ $0 >= position }) ?? true {
          if always.first == position { always.removeFirst() }
          last = position
          continue
        }
        found = Self.prefix(members[..<index], structure)
        found?.members.reserveCapacity(members.count)
      }
      last = position
      if isWritten { found?.append(position, decoded ?? value) }
    }
    if found == nil {
      if always.isEmpty { return nil }
      found = Self.prefix(members[...], structure)
    }
    return found.map { Self.merged($0, structure) }
  }

  /// The member of that key in the canonical version. Scalars need none.
  private static func counterpart(of value: JSONValue, _ key: String, in canonical: JSONObject?) -> JSONValue {
    guard let canonical else { return .null }
    switch value {
    case .object, .array: return canonical[key] ?? .null
    default: return .null
    }
  }

  /// Members that were seen to be as they are to be.
  private static func prefix(_ members: ArraySlice<JSONObject.Member>, _ structure: Structure) -> Found {
    var found = Found()
    var last = -1
    for member in members {
      guard let position = structure.position(of: member.key, after: last) else { continue }
      found.members.append((position, member.value))
      last = position
    }
    return found
  }

  private mutating func reportIfDuplicate() {
    let path = fullPath
    if duplicates.contains(path) { reportStrict("duplicate field \"\(path)\"") }
  }

  /// The members found, and those written even when absent, in order; at the end what the structure does not know.
  private static func merged(_ found: consuming Found, _ structure: Structure) -> JSONObject {
    if !found.isSorted { found.members.sort { $0.position < $1.position } }
    var result = JSONObject()
    result.reserveCapacity(
      found.members.count + structure.alwaysWrittenPositions.count + found.unknown.count)
    var always = structure.alwaysWrittenPositions[...]
    for (position, value) in found.members {
      while let next = always.first, next <= position {
        if next < position { append(next) }
        always = always.dropFirst()
      }
      result.appendUnique(structure.members[position].name, value)
    }
    for position in always { append(position) }
    found.unknown.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    for member in found.unknown { result.appendUnique(member.key, member.value) }
    return result

    func append(_ position: Int) {
      let isPointer = structure.members[position].isPointer
      result.appendUnique(
        structure.members[position].name, isPointer ? .null : structure.members[position].type.zero)
    }
  }

  /// Whether a member of that value is written. (Fields are read where they lie: copying one is expensive.)
  private static func isWritten(_ value: JSONValue, _ structure: Structure, _ position: Int) -> Bool {
    if value.isNull { return false }
    guard value.isZero, !structure.members[position].isPointer else { return true }
    if !structure.members[position].isAlwaysWritten { return false }
    if case .array = value, !structure.keepsEmptyLists { return false }
    return true
  }

  // MARK: Values

  private mutating func value(
    _ value: JSONValue, _ type: FieldType, _ canonical: JSONValue
  ) throws(TypeError) -> JSONValue? {
    if value.isNull { return type.zero }
    switch type {
    case .string:
      guard case .string = value else { throw mismatch(value, type) }
      return nil
    case .boolean:
      guard case .bool = value else { throw mismatch(value, type) }
      return nil
    case .int32: return try integer(value, type, Int64(Int32.min)...Int64(Int32.max))
    case .int64: return try integer(value, type, Int64.min...Int64.max)
    case .double: return try double(value)
    case .bytes: return try bytes(value)
    case .quantity: return try quantity(value)
    case .intOrString: return try intOrString(value)
    case .time:
      if case .string(let text) = value, Timestamp.isPlainlyCanonical(text) { return nil }
      return text(try timestamp(value).rfc3339, insteadOf: value)
    case .microTime: return text(try timestamp(value).rfc3339Micro, insteadOf: value)
    case .duration: return try duration(value)
    case .rawObject, .anyValue: return nil
    case .structure(let structure): return try self.structure(value, structure, canonical)
    case .union(let message): return try SchemaUnion(message).decode(value)
    case .array(let element): return try array(value, element, canonical)
    case .map(let element): return try map(value, element, canonical)
    }
  }

  private mutating func array(
    _ value: JSONValue, _ element: FieldType, _ canonical: JSONValue
  ) throws(TypeError) -> JSONValue? {
    guard case .array(let elements) = value else { throw mismatch(value, .array(element)) }
    if value.isShared(with: canonical) { return nil }
    var result: [JSONValue]?
    for index in elements.indices {
      path.append(.element(index))
      let item = elements[index]
      let decoded = item.isNull ? element.zeroItem : try self.value(item, element, canonical[index])
      path.removeLast()
      guard let decoded else { continue }
      if result == nil { result = elements }
      result?[index] = decoded
    }
    return result.map(JSONValue.array)
  }

  private mutating func map(
    _ value: JSONValue, _ element: FieldType, _ canonical: JSONValue
  ) throws(TypeError) -> JSONValue? {
    guard case .object(let object) = value else { throw mismatch(value, .map(element)) }
    if value.isShared(with: canonical) { return nil }
    let members = object.members
    var result: JSONObject?
    var isSorted = true
    for index in members.indices {
      path.append(.key(members[index].key))
      let item = members[index].value
      let decoded = item.isNull ? element.zeroItem : try self.value(item, element, .null)
      if !duplicates.isEmpty { reportIfDuplicate() }
      path.removeLast()
      if isSorted, index > 0, !members[index - 1].key.utf8.lexicographicallyPrecedes(members[index].key.utf8) {
        isSorted = false
      }
      guard let decoded else { continue }
      if result == nil { result = object }
      result?[position: index] = decoded
    }
    guard !isSorted else { return result.map(JSONValue.object) }
    var sorted = result ?? object
    sorted.sortKeys()
    return .object(sorted)
  }

  // MARK: Scalars

  private func integer(_ value: JSONValue, _ type: FieldType, _ range: ClosedRange<Int64>) throws(TypeError)
    -> JSONValue?
  {
    switch value {
    case .integer(let number) where range.contains(number): return nil
    case .integer, .double: throw mismatch(value, type, isRange: true)
    default: throw mismatch(value, type)
    }
  }

  private func double(_ value: JSONValue) throws(TypeError) -> JSONValue? {
    switch value {
    case .integer: return nil
    case .double(let number):
      // One number, one text: whole numbers have no fraction.
      if let whole = Int64(exactly: number), whole.magnitude < 1 << 53 { return .integer(whole) }
      return nil
    default: throw mismatch(value, .double)
    }
  }

  private func bytes(_ value: JSONValue) throws(TypeError) -> JSONValue? {
    guard case .string(let text) = value else { throw mismatch(value, .bytes) }
    do throws(Base64.DecodeError) {
      return self.text(Base64.encode(try Base64.decode(text)), insteadOf: value)
    } catch {
      throw TypeError(error.description)
    }
  }

  private func quantity(_ value: JSONValue) throws(TypeError) -> JSONValue? {
    let text =
      switch value {
      case .string(let text): text
      case .integer(let number): String(number)
      case .double(let number): "\(number)"
      default: throw TypeError(Quantity.ParseError.format.description)
      }
    do throws(Quantity.ParseError) {
      return self.text(try Quantity(parsing: text).description, insteadOf: value)
    } catch {
      throw TypeError(error.description)
    }
  }

  private func intOrString(_ value: JSONValue) throws(TypeError) -> JSONValue? {
    switch value {
    case .string: return nil
    case .integer(let number) where Int32(exactly: number) != nil: return nil
    case .integer(let number): throw bareMismatch("number \(number)", "int32")
    case .double(let number): throw bareMismatch("number \(number)", "int32")
    case .bool: throw bareMismatch("bool", "int32")
    case .array: throw bareMismatch("array", "int32")
    default: throw bareMismatch("object", "int32")
    }
  }

  /// Types that decode themselves do not know where they stand.
  private func bareMismatch(_ what: String, _ type: String) -> TypeError {
    TypeError("json: cannot unmarshal \(what) into Go value of type \(type)")
  }

  private func text(_ canonical: String, insteadOf value: JSONValue) -> JSONValue? {
    if case .string(canonical) = value { return nil }
    return .string(canonical)
  }

  private func text(_ value: JSONValue) throws(TypeError) -> String {
    switch value {
    case .string(let text): return text
    case .bool: throw bareMismatch("bool", "string")
    case .integer, .double: throw bareMismatch("number", "string")
    case .array: throw bareMismatch("array", "string")
    default: throw bareMismatch("object", "string")
    }
  }

  private func timestamp(_ value: JSONValue) throws(TypeError) -> Timestamp {
    let text = try text(value)
    guard let time = Timestamp(rfc3339: text), Timestamp.secondsRange.contains(time.seconds) else {
      throw TypeError(
        "parsing time \"\(text)\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\(text)\" as \"2006\"")
    }
    return time
  }

  private func duration(_ value: JSONValue) throws(TypeError) -> JSONValue? {
    let text = try text(value)
    guard let nanoseconds = DurationText.nanoseconds(text) else {
      throw TypeError("time: invalid duration \"\(text)\"")
    }
    return self.text(DurationText.text(nanoseconds: nanoseconds), insteadOf: value)
  }
}
