// Every kind, every field: JSON to protobuf and back is the same object.
import JSON
import Schema
import Testing

@testable import Kinds

/// Makes an object in which every field says something, the same for the same seed.
struct FullObject {
  private var counter: Int
  /// A structure may stand inside itself this often (JSONSchemaProps).
  private static let repetitionsMaximum = 2

  init(seed: Int) { counter = seed * 7919 }

  private mutating func next() -> Int {
    counter += 1
    return counter
  }

  mutating func object(_ structure: Structure, inside outer: [String] = []) -> JSONValue {
    var object = JSONObject()
    let inside = outer + [structure.name]
    for member in structure.members {
      // Protobuf says what an object is in its envelope: objects inside of others do not.
      if member.number == 0, !outer.isEmpty { continue }
      if let value = value(member.type, inside) { object.appendUnique(member.name, value) }
    }
    return .object(object)
  }

  /// nil where a structure would stand inside itself once too often.
  private mutating func value(_ type: FieldType, _ inside: [String]) -> JSONValue? {
    let number = next()
    switch type {
    case .string: return .string("text-\(number)")
    case .bytes: return .string(Base64.encode([UInt8(number & 255), UInt8(number >> 8 & 255)]))
    case .boolean: return true
    case .int32: return .integer(number % 2 == 0 ? Int64(number) : Int64(-number))
    case .int64: return .integer(Int64(number) << 33)
    case .double: return .double(Double(number) + 0.25)
    case .quantity: return .string("\(number)m")
    case .intOrString: return number % 2 == 0 ? .integer(Int64(number % 60000)) : .string("port-\(number)")
    case .time: return .string(Timestamp(seconds: 1_700_000_000 + Int64(number), nanoseconds: 0).rfc3339)
    case .microTime:
      return .string(Timestamp(seconds: 1_700_000_000 + Int64(number), nanoseconds: 123_456_000).rfc3339Micro)
    case .duration: return .string("\(number % 59 + 1)m30s")
    case .rawObject: return ["kind": "Raw", "n": .integer(Int64(number)), "list": [1, "two", nil]]
    case .anyValue: return [.integer(Int64(number)), ["a": .string("\(number)")]]
    case .structure(let structure):
      guard inside.filter({ $0 == structure.name }).count < Self.repetitionsMaximum else { return nil }
      return object(structure, inside: inside)
    case .union(let message):
      // All three forms take turns.
      let forms = message.fields.compactMap { field -> JSONValue? in value(field.type, inside) }
      return forms.isEmpty ? nil : forms[number % forms.count]
    case .array(let element):
      let items = (0..<2).compactMap { _ in value(element, inside) }
      return items.isEmpty ? nil : .array(items)
    case .map(let element):
      let items = ["a", "b/c", "é"].compactMap { key in value(element, inside).map { (key, $0) } }
      return items.isEmpty ? nil : .object(JSONObject(uniqueMembers: items))
    }
  }
}

@Suite("Every field of every kind")
struct EncodingRoundTripTests {
  static let names: [String] = {
    let table = TypeTable.builtIn
    return table.kinds + table.kinds.map { $0 + "List" }.filter { table[$0] != nil }
  }()

  @Test("goes to protobuf and comes back", arguments: names)
  func roundTrip(name: String) throws {
    let structure = try #require(TypeTable.builtIn[name])
    for seed in 1...3 {
      var maker = FullObject(seed: seed)
      let made = maker.object(structure)
      let decoded = try TypedDecoder.decode(made, as: structure)
      #expect(decoded.strictErrors == [])
      let canonical = decoded.value
      #expect(Self.missing(in: canonical, of: made) == [])
      let message = ProtobufEncoder.message(canonical, as: structure)
      var back = try ProtobufDecoder.decode(message, as: structure)
      // They travel in the envelope.
      back["kind"] = canonical["kind"]
      back["apiVersion"] = canonical["apiVersion"]
      #expect(back == canonical)
      #expect(try TypedDecoder.decode(back, as: structure).value.description == canonical.description)
    }
  }

  @Test("is lost by none of its encodings: YAML")
  func yaml() throws {
    for name in Self.names {
      let structure = try #require(TypeTable.builtIn[name])
      var maker = FullObject(seed: 9)
      let canonical = try TypedDecoder.decode(maker.object(structure), as: structure).value
      #expect(try YAML.parse(YAML.bytes(canonical)) == canonical, "\(name)")
    }
  }

  /// A null inside a list or a map is what the reference's types make of it, whatever the kind.
  @Test("a null inside lists and maps is the item's zero, and survives protobuf as that", arguments: names)
  func nulls(name: String) throws {
    let structure = try #require(TypeTable.builtIn[name])
    var maker = FullObject(seed: 4)
    let holed = Self.holed(maker.object(structure), .structure(structure))
    let canonical = try TypedDecoder.decode(holed, as: structure).value
    #expect(try TypedDecoder.decode(canonical, as: structure).value == canonical)
    var back = try ProtobufDecoder.decode(ProtobufEncoder.message(canonical, as: structure), as: structure)
    back["kind"] = canonical["kind"]
    back["apiVersion"] = canonical["apiVersion"]
    #expect(back == canonical)
  }

  @Test("entries that are null are empty, lists that are empty are none where storage forgets them")
  func nullsByName() throws {
    func decoded(_ apiVersion: String, _ kind: String, _ text: String) throws -> String {
      let structure = try #require(KindRegistry.builtIn.kind(apiVersion: apiVersion, kind: kind)).structure
      return try TypedDecoder.decode(JSONValue(parsing: text), as: structure).value.description
    }
    let metadata = #""metadata":{"creationTimestamp":null}"#
    #expect(
      try decoded("v1", "ConfigMap", #"{"binaryData":{"c":null},"data":{"d":null}}"#)
        == "{\(metadata)" + #","data":{"d":""},"binaryData":{"c":""}}"#)
    #expect(try decoded("v1", "Secret", #"{"data":{"c":null}}"#) == "{\(metadata)" + #","data":{"c":""}}"#)
    #expect(
      try decoded("v1", "Pod", #"{"spec":{"containers":[null],"tolerations":[null]},"metadata":{"finalizers":[null]}}"#)
        == #"{"metadata":{"creationTimestamp":null,"finalizers":[""]},"spec":{"containers":[{"name":"","#
        + #""resources":{}}],"tolerations":[{}]},"status":{}}"#)
    #expect(
      try decoded("v1", "ResourceQuota", #"{"spec":{"hard":{"pods":null}}}"#)
        == "{\(metadata)" + #","spec":{"hard":{"pods":"0"}},"status":{}}"#)
    #expect(
      try decoded("rbac.authorization.k8s.io/v1", "ClusterRole", #"{"rules":[]}"#) == "{\(metadata)"
        + #","rules":null}"#)
    // Stored as JSON: what is empty stays empty. An array of schemas may stand for one.
    let definition = try decoded(
      "apiextensions.k8s.io/v1", "CustomResourceDefinition",
      #"{"spec":{"versions":[{"name":"v1","schema":{"openAPIV3Schema":{"additionalProperties":{"typo":1,"type":"string"},"#
        + #""items":[{"type":"object"}]}}}]},"status":{"conditions":[],"storedVersions":null}}"#)
    #expect(definition.contains(#""items":[{"type":"object"}],"additionalProperties":{"type":"string"}"#))
    #expect(definition.contains(#""conditions":[]"#) && definition.contains(#""storedVersions":null"#))
  }

  @Test("what stands for a schema is a schema, a boolean, a list; nothing else")
  func unions() throws {
    let structure = try #require(TypeTable.builtIn["apiextensions.v1.JSONSchemaProps"])
    func refused(_ text: String) throws -> String {
      let tree = try JSONValue(parsing: text)
      do throws(TypeError) {
        return try TypedDecoder.decode(tree, as: structure).value.description
      } catch { return error.description }
    }
    #expect(try refused(#"{"additionalProperties":"x"}"#) == "boolean or JSON schema expected")
    #expect(try refused(#"{"additionalProperties":false}"#) == #"{"additionalProperties":false}"#)
    #expect(try refused(#"{"items":"x"}"#) == "{}")
    #expect(
      try refused(#"{"items":{"minLength":"x"}}"#)
        == "json: cannot unmarshal string into Go struct field JSONSchemaProps.minLength of type int64")
    // As client-go writes it: additionalProperties { allows true, schema { type "string" } }.
    let message: [UInt8] = [0xf2, 0x01, 12, 0x08, 1, 0x12, 8, 0x2a, 6] + Array("string".utf8)
    #expect(
      try ProtobufDecoder.decode(message, as: structure).description == #"{"additionalProperties":{"type":"string"}}"#)
  }

  /// Members that were made and are not there.
  private static func missing(in value: JSONValue, of made: JSONValue, at path: String = "") -> [String] {
    switch (value, made) {
    case (.object(let object), .object(let members)):
      members.members.flatMap { missing(in: object[$0.key] ?? .null, of: $0.value, at: "\(path).\($0.key)") }
    case (.array(let left), .array(let right)):
      left.count != right.count
        ? [path] : zip(left, right).flatMap { missing(in: $0, of: $1, at: "\(path)[]") }
    case (.null, .null): []
    case (.null, _): [path]
    default: []
    }
  }

  /// With the first item of every list and the first value of every map null.
  private static func holed(_ value: JSONValue, _ type: FieldType) -> JSONValue {
    switch (type, value) {
    case (.structure(let structure), .object(let object)):
      .object(
        JSONObject(
          uniqueMembers: object.members.map { ($0.key, holed($0.value, structure.member($0.key)?.type ?? .anyValue)) }))
    case (.array(let element), .array(let items)):
      .array(items.enumerated().map { $0.offset == 0 ? .null : holed($0.element, element) })
    case (.map(let element), .object(let object)):
      .object(
        JSONObject(
          uniqueMembers: object.members.enumerated().map {
            ($0.element.key, $0.offset == 0 ? .null : holed($0.element.value, element))
          }))
    default: value
    }
  }
}
