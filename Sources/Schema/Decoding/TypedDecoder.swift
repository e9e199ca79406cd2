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
  public static func decode(
    _ value: JSONValue, as structure: Structure, duplicates: [String] = []
  ) throws(TypeError) -> Result {
    if let schema = structure.custom {
      return try StructuralDecoder.decode(value, as: structure, schema, duplicates: duplicates)
    }
    var decoder = Self(duplicates: duplicates)
    let result = try decoder.structure(value, structure)
    return Result(value: result, strictErrors: decoder.strictErrors)
  }

  /// A tree that was decoded once and edited since, in canonical form again; as it is where an edit broke its type.
  public static func canonicalized(_ value: JSONValue, as structure: Structure) -> JSONValue {
    (try? decode(value, as: structure).value) ?? value
  }

  /// The canonical form of a value that stands alone.
  static func decode(_ value: JSONValue, as type: FieldType) throws(TypeError) -> JSONValue {
    var decoder = Self(duplicates: [])
    return try decoder.value(value, type)
  }

  /// One value in the canonical form of its type; as it is where it is none.
  static func canonicalized(_ value: JSONValue, as type: FieldType) -> JSONValue {
    var decoder = Self(duplicates: [])
    return (try? decoder.value(value, type)) ?? value
  }

  // MARK: Where the decoder is

  private enum Step {
    case member(String)
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
    for step in path {
      switch step {
      case .member(let name), .key(let name): text += text.isEmpty ? name : ".\(name)"
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
    let members = path.compactMap { if case .member(let name) = $0 { name } else { nil } }
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

  private mutating func structure(_ value: JSONValue, _ structure: Structure) throws(TypeError) -> JSONValue {
    switch value {
    case .object(let object): return .object(try members(object, structure))
    case .null: return structure.zero
    default: throw mismatch(value, .structure(structure))
    }
  }

  private mutating func members(_ object: JSONObject, _ structure: Structure) throws(TypeError) -> JSONObject {
    structures.append(structure)
    defer { structures.removeLast() }
    // Members with their positions; clients mostly send them in some order that is not the schema's.
    var found: [(position: Int, value: JSONValue)] = []
    found.reserveCapacity(object.count + structure.alwaysWrittenPositions.count)
    var unknown: [JSONObject.Member] = []
    var isSorted = true
    for (key, value) in object {
      path.append(.member(key))
      if let position = structure.memberPosition(key) {
        if let decoded = try member(value, structure, position) {
          if let last = found.last, last.position > position { isSorted = false }
          found.append((position, decoded))
        }
        if !duplicates.isEmpty { reportIfDuplicate() }
      } else if structure.preservesUnknownFields {
        unknown.append((key, value))
      } else {
        reportStrict("unknown field \"\(fullPath)\"")
      }
      path.removeLast()
    }
    if !isSorted { found.sort { $0.position < $1.position } }
    var result = Self.merged(found, structure)
    unknown.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    for member in unknown { result.appendUnique(member.key, member.value) }
    return result
  }

  private mutating func reportIfDuplicate() {
    let path = fullPath
    if duplicates.contains(path) { reportStrict("duplicate field \"\(path)\"") }
  }

  /// The members found, and those written even when absent, in order.
  private static func merged(_ found: [(position: Int, value: JSONValue)], _ structure: Structure) -> JSONObject {
    var result = JSONObject()
    result.reserveCapacity(found.count + structure.alwaysWrittenPositions.count)
    var always = structure.alwaysWrittenPositions[...]
    for (position, value) in found {
      while let next = always.first, next <= position {
        if next < position { append(next) }
        always = always.dropFirst()
      }
      result.appendUnique(structure.members[position].name, value)
    }
    for position in always { append(position) }
    return result

    func append(_ position: Int) {
      let isPointer = structure.members[position].isPointer
      result.appendUnique(
        structure.members[position].name, isPointer ? .null : structure.members[position].type.zero)
    }
  }

  /// A member's canonical value, nil if it is left out. (Fields are read where they lie: copying one is expensive.)
  private mutating func member(
    _ value: JSONValue, _ structure: Structure, _ position: Int
  ) throws(TypeError) -> JSONValue? {
    if value.isNull { return nil }
    let decoded = try self.value(value, structure.members[position].type)
    if decoded.isNull { return nil }
    guard decoded.isZero, !structure.members[position].isPointer else { return decoded }
    if !structure.members[position].isAlwaysWritten { return nil }
    if case .array = decoded, !structure.keepsEmptyLists { return nil }
    return decoded
  }

  // MARK: Values

  private mutating func value(_ value: JSONValue, _ type: FieldType) throws(TypeError) -> JSONValue {
    if value.isNull { return type.zero }
    switch type {
    case .string:
      guard case .string = value else { throw mismatch(value, type) }
      return value
    case .boolean:
      guard case .bool = value else { throw mismatch(value, type) }
      return value
    case .int32: return try integer(value, type, Int64(Int32.min)...Int64(Int32.max))
    case .int64: return try integer(value, type, Int64.min...Int64.max)
    case .double: return try double(value)
    case .bytes: return try bytes(value)
    case .quantity: return try quantity(value)
    case .intOrString: return try intOrString(value)
    case .time: return .string(try timestamp(value).rfc3339)
    case .microTime: return .string(try timestamp(value).rfc3339Micro)
    case .duration: return try duration(value)
    case .rawObject, .anyValue: return value
    case .structure(let structure): return try self.structure(value, structure)
    case .union(let message): return try SchemaUnion(message).decode(value)
    case .array(let element): return try array(value, element)
    case .map(let element): return try map(value, element)
    }
  }

  private mutating func array(_ value: JSONValue, _ element: FieldType) throws(TypeError) -> JSONValue {
    guard case .array(let elements) = value else { throw mismatch(value, .array(element)) }
    var result: [JSONValue] = []
    result.reserveCapacity(elements.count)
    for (index, item) in elements.enumerated() {
      path.append(.element(index))
      result.append(item.isNull ? element.zeroItem : try self.value(item, element))
      path.removeLast()
    }
    return .array(result)
  }

  private mutating func map(_ value: JSONValue, _ element: FieldType) throws(TypeError) -> JSONValue {
    guard case .object(let object) = value else { throw mismatch(value, .map(element)) }
    var result = JSONObject()
    result.reserveCapacity(object.count)
    var isSorted = true
    var previous: String?
    for (key, item) in object {
      path.append(.key(key))
      result.appendUnique(key, item.isNull ? element.zeroItem : try self.value(item, element))
      if !duplicates.isEmpty { reportIfDuplicate() }
      path.removeLast()
      if isSorted, let previous, !previous.utf8.lexicographicallyPrecedes(key.utf8) { isSorted = false }
      previous = key
    }
    if !isSorted { result.sortKeys() }
    return .object(result)
  }

  // MARK: Scalars

  private func integer(_ value: JSONValue, _ type: FieldType, _ range: ClosedRange<Int64>) throws(TypeError)
    -> JSONValue
  {
    switch value {
    case .integer(let number) where range.contains(number): return value
    case .integer, .double: throw mismatch(value, type, isRange: true)
    default: throw mismatch(value, type)
    }
  }

  private func double(_ value: JSONValue) throws(TypeError) -> JSONValue {
    switch value {
    case .integer: return value
    case .double(let number):
      // One number, one text: whole numbers have no fraction.
      if let whole = Int64(exactly: number), whole.magnitude < 1 << 53 { return .integer(whole) }
      return value
    default: throw mismatch(value, .double)
    }
  }

  private func bytes(_ value: JSONValue) throws(TypeError) -> JSONValue {
    guard case .string(let text) = value else { throw mismatch(value, .bytes) }
    do throws(Base64.DecodeError) {
      return .string(Base64.encode(try Base64.decode(text)))
    } catch {
      throw TypeError(error.description)
    }
  }

  private func quantity(_ value: JSONValue) throws(TypeError) -> JSONValue {
    let text =
      switch value {
      case .string(let text): text
      case .integer(let number): String(number)
      case .double(let number): "\(number)"
      default: throw TypeError(Quantity.ParseError.format.description)
      }
    do throws(Quantity.ParseError) {
      return .string(try Quantity(parsing: text).description)
    } catch {
      throw TypeError(error.description)
    }
  }

  private func intOrString(_ value: JSONValue) throws(TypeError) -> JSONValue {
    switch value {
    case .string: return value
    case .integer(let number) where Int32(exactly: number) != nil: return value
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

  private func duration(_ value: JSONValue) throws(TypeError) -> JSONValue {
    let text = try text(value)
    guard let nanoseconds = DurationText.nanoseconds(text) else {
      throw TypeError("time: invalid duration \"\(text)\"")
    }
    return .string(DurationText.text(nanoseconds: nanoseconds))
  }
}
