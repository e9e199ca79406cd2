// A tree of JSON, as a client sent it, to a custom resource: metadata typed, unknown members pruned and reported, keys
// in order. Types are checked later, by validation: a wrong one is 422, not 400.
import JSON

/// What a structural schema means for reading objects and for filling in defaults.
enum StructuralDecoder {
  static let resourceMembers: Set<String> = ["apiVersion", "kind", "metadata"]

  /// The canonical tree of a custom resource. Decoding what was decoded changes nothing.
  static func decode(
    _ value: JSONValue, as structure: Structure, _ schema: StructuralSchema, duplicates: [String]
  ) throws(TypeError) -> TypedDecoder.Result {
    guard case .object(let object) = value else {
      throw TypeError("json: cannot unmarshal \(value.goKind) into Go value of type map[string]interface {}")
    }
    var errors = duplicates.map { "duplicate field \"\($0)\"" }
    var pruner = Pruner()
    var result = try pruner.resource(object, schema, metadata: structure.metadataHolder)
    result.sortKeys()
    errors += pruner.unknown.texts.map { "unknown field \"\($0)\"" }
    return TypedDecoder.Result(value: .object(result), strictErrors: errors)
  }

  /// The first few of many texts, by their order. What there is to say of a small request may be much: a key of a
  /// megabyte is part of the path of all that is below it.
  private struct FewTexts {
    private var kept: [String] = []
    /// Kept at once before most are dropped.
    private static let keptMaximum = 2 * JSONLimits.duplicatesReportedMaximum
    /// Bytes of texts that may yet be made.
    private var room = JSONLimits.reportedBytesMaximum

    var texts: ArraySlice<String> { kept.sorted().prefix(JSONLimits.duplicatesReportedMaximum) }

    var hasRoom: Bool { room > 0 }

    mutating func append(_ text: String) {
      room -= text.utf8.count
      kept.append(text)
      if kept.count >= Self.keptMaximum { kept = Array(texts) }
    }
  }

  /// Removes what no schema knows.
  private struct Pruner {
    var unknown = FewTexts()
    private var path: [String] = []

    init() {}

    private func place(_ name: String) -> String { path.isEmpty ? name : path.joined() + ".\(name)" }

    /// A resource, at the root or embedded: its metadata is an ObjectMeta whatever the schema says.
    mutating func resource(
      _ object: JSONObject, _ schema: StructuralSchema, metadata holder: Structure?
    ) throws(TypeError) -> JSONObject {
      var result = JSONObject()
      result.reserveCapacity(object.count)
      for (name, value) in object {
        if name == "metadata", let holder {
          guard !value.isNull else { continue }
          let decoded = try TypedDecoder.decode(.object(JSONObject(uniqueMembers: [(name, value)])), as: holder)
          let prefix = path.isEmpty ? "" : path.joined() + "."
          for error in decoded.strictErrors where unknown.hasRoom { unknown.append(prefix + Self.field(of: error)) }
          var metadata = decoded.value["metadata"]
          // A null that built-in kinds always write; here it is left out.
          if metadata["creationTimestamp"].isNull { metadata["creationTimestamp"] = .null }
          result.appendUnique(name, metadata.sorted)
        } else if StructuralDecoder.resourceMembers.contains(name) {
          result.appendUnique(name, value)
        } else if let kept = try member(name, value, schema, holder) {
          result.appendUnique(name, kept)
        }
      }
      return result
    }

    /// "a.b" of `unknown field "a.b"`.
    private static func field(of error: String) -> String {
      let parts = error.split(separator: "\"", omittingEmptySubsequences: false)
      return parts.count == 3 ? String(parts[1]) : error
    }

    /// nil: there is no such member.
    private mutating func member(
      _ name: String, _ value: JSONValue, _ schema: StructuralSchema, _ holder: Structure?
    ) throws(TypeError) -> JSONValue? {
      switch value {
      case .object, .array: break
      default:
        let isKnown = schema.properties[name] != nil || schema.preservesUnknownFields || schema.allowsAdditional
        if !isKnown, unknown.hasRoom { unknown.append(place(name)) }
        return isKnown ? value : Optional.none
      }
      path.append(path.isEmpty ? name : ".\(name)")
      defer { path.removeLast() }
      if let property = schema.properties[name] { return try prune(value, property, holder) }
      switch schema.additionalProperties {
      case .schema(let property): return try prune(value, property, holder)
      // The reference knows no schema for what these members hold.
      case .any: return try prune(value, nil, holder)
      case .undeclared, .none:
        if schema.preservesUnknownFields { return value.sorted }
        if unknown.hasRoom { unknown.append(path.joined()) }
        return nil
      }
    }

    private mutating func prune(
      _ value: JSONValue, _ schema: StructuralSchema?, _ holder: Structure?
    ) throws(TypeError) -> JSONValue {
      switch value {
      case .object(let object):
        guard let schema else {
          for name in object.keys where unknown.hasRoom { unknown.append(place(name)) }
          return [:]
        }
        if schema.isEmbeddedResource {
          var result = try resource(object, schema, metadata: holder)
          result.sortKeys()
          return .object(result)
        }
        var result = JSONObject()
        result.reserveCapacity(object.count)
        for (name, member) in object {
          if let kept = try self.member(name, member, schema, holder) { result.appendUnique(name, kept) }
        }
        result.sortKeys()
        return .object(result)
      case .array(let items):
        let element = schema?.items
        if element == nil, schema?.preservesUnknownFields == true { return value.sorted }
        var result: [JSONValue] = []
        result.reserveCapacity(items.count)
        for (index, item) in items.enumerated() {
          switch item {
          case .object, .array:
            path.append("[\(index)]")
            result.append(try prune(item, element, holder))
            path.removeLast()
          default: result.append(item)
          }
        }
        return .array(result)
      default: return value
      }
    }
  }
}

extension StructuralSchema {
  /// Members beside the declared ones are data.
  fileprivate var allowsAdditional: Bool {
    switch additionalProperties {
    case .any, .schema: true
    case .undeclared, .none: false
    }
  }

  // MARK: - Defaults

  /// What defaults may add to one object, in bytes of JSON. A list of a hundred thousand empty items is a small request,
  /// each item's defaults may be a page: what goes past this is more than twice what can be stored, and is refused as
  /// too large with what it has by then.
  private static let defaultBytesMaximum = 4 << 20

  /// Fills in defaults, and removes nulls where null is no value (the reference's two passes in one).
  func applyDefaults(to value: inout JSONValue) {
    var room = Self.defaultBytesMaximum
    applyDefaults(to: &value, &room)
  }

  /// A default, if there is one and room for it; what it takes of the room is taken.
  private func takeDefault(_ room: inout Int) -> JSONValue? {
    guard room > 0, let defaultValue else { return nil }
    room -= defaultValue.leastBytes
    return defaultValue.sorted
  }

  private func applyDefaults(to value: inout JSONValue, _ room: inout Int) {
    switch value {
    case .object(var object):
      value = .null
      let count = object.count
      for name in propertyNames {
        guard let property = properties[name], property.defaultValue != nil else { continue }
        if let index = object.index(of: name) {
          guard object[position: index].isNull, !property.isNullable else { continue }
          if let defaultValue = property.takeDefault(&room) { object[position: index] = defaultValue }
        } else if let defaultValue = property.takeDefault(&room) {
          room -= name.utf8.count
          object.appendUnique(name, defaultValue)
        }
      }
      if object.count != count { object.sortKeys() }
      var nulls: [String] = []
      for index in object.members.indices {
        let name = object.members[index].key
        guard let schema = member(name) else { continue }
        if object.members[index].value.isNull, !schema.isNullable {
          guard schema.defaultValue != nil else {
            nulls.append(name)
            continue
          }
          if let defaultValue = schema.takeDefault(&room) { object[position: index] = defaultValue }
        }
        schema.applyDefaults(to: &object[position: index], &room)
      }
      for name in nulls { object[name] = nil }
      value = .object(object)
    case .array:
      guard let items else { return }
      value.mutateElements { item in
        if item.isNull, !items.isNullable, let defaultValue = items.takeDefault(&room) { item = defaultValue }
        items.applyDefaults(to: &item, &room)
      }
    default: return
    }
  }
}

extension JSONValue {
  /// No more than the bytes of the value as JSON, and at least one.
  fileprivate var leastBytes: Int {
    switch self {
    case .object(let object): object.reduce(2) { $0 + $1.key.utf8.count + 3 + $1.value.leastBytes }
    case .array(let items): items.reduce(2) { $0 + $1.leastBytes }
    case .string(let text): text.utf8.count + 2
    default: 1
    }
  }
}

extension JSONValue {
  /// With the keys of every object in order, so that equal objects are equal bytes.
  var sorted: JSONValue {
    switch self {
    case .object(let object):
      var result = JSONObject(uniqueMembers: object.map { ($0.key, $0.value.sorted) })
      result.sortKeys()
      return .object(result)
    case .array(let items): return .array(items.map(\.sorted))
    default: return self
    }
  }
}
