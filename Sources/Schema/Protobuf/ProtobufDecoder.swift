// Protobuf messages to trees of JSON, by the schema.
import JSON

/// Reads messages of the API. Fields the schema does not know are skipped, as protobuf has it.
///
/// The tree is not canonical: the reference's encoder writes zero values explicitly, and only the schema's flags tell
/// which of them mean something. `TypedDecoder` applies them, here as for JSON.
public struct ProtobufDecoder {
  private var depth = 0

  /// A field without the cost of copying it: only errors name it.
  private struct Place {
    let structure: Structure
    let index: Int
    var name: String { structure.fields[index].name }
  }

  /// The canonical tree of a message.
  public static func decode(_ message: [UInt8], as structure: Structure) throws(ProtobufError) -> JSONValue {
    let tree = try rawTree(message, as: structure)
    do throws(TypeError) {
      return try TypedDecoder.decode(tree, as: structure).value
    } catch {
      throw ProtobufError(error.description)
    }
  }

  /// The tree of a message with everything that was sent.
  static func rawTree(_ message: [UInt8], as structure: Structure) throws(ProtobufError) -> JSONValue {
    try message.withUnsafeBytes { buffer in
      Result { () throws(ProtobufError) in
        var decoder = Self()
        return .object(try decoder.message(buffer, structure))
      }
    }.get()
  }

  static func text(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> String {
    guard let text = bytes.withMemoryRebound(to: UInt8.self, { String(checkedUTF8: $0) }) else {
      throw ProtobufError("proto: string field contains invalid UTF-8")
    }
    return text
  }

  // MARK: Messages

  private mutating func message(
    _ bytes: UnsafeRawBufferPointer, _ structure: Structure
  ) throws(ProtobufError) -> JSONObject {
    depth += 1
    defer { depth -= 1 }
    guard depth <= JSONLimits.depthMaximum else { throw ProtobufError("proto: message is nested too deeply") }
    var values = [JSONValue?](repeating: nil, count: structure.fields.count)
    var inlined: [JSONObject] = []
    var reader = ProtobufReader(bytes)
    while !reader.atEnd {
      let (number, wire) = try reader.tag()
      guard let index = structure.fieldIndex(number: number) else {
        try reader.skip(wire)
        continue
      }
      let field = Place(structure: structure, index: index)
      if structure.fields[index].isInline, case .structure(let inner) = structure.fields[index].type {
        inlined.append(try message(try payload(&reader, wire, field), inner))
      } else {
        try read(&reader, wire, structure.fields[index].type, field, into: &values[index])
      }
    }
    var members: [JSONObject.Member] = []
    for (index, value) in values.enumerated() {
      guard let value else { continue }
      members.append((structure.fields[index].name, Self.finished(value, structure.fields[index].type)))
    }
    for object in inlined { members += object.members }
    return inlined.isEmpty ? JSONObject(uniqueMembers: members) : Self.lastOfEach(members)
  }

  /// Adds one occurrence of a field to what came before: lists and maps grow, anything else is replaced.
  private mutating func read(
    _ reader: inout ProtobufReader, _ wire: WireType, _ type: FieldType, _ field: Place, into value: inout JSONValue?
  ) throws(ProtobufError) {
    switch type {
    case .array(let element):
      var elements: [JSONValue] = []
      if case .array(let present)? = value { elements = present }
      value = nil
      if wire == .lengthDelimited, element.isPackable {
        var packed = ProtobufReader(try reader.lengthDelimited())
        while !packed.atEnd { elements.append(try self.value(&packed, element.packedWire, element, field)) }
      } else {
        elements.append(try self.value(&reader, wire, element, field))
      }
      value = .array(elements)
    case .map(let element):
      var object = JSONObject()
      if case .object(let present)? = value { object = present }
      value = nil
      let entry = try mapEntry(try payload(&reader, wire, field), element, field)
      object.appendUnique(entry.key, entry.value)
      value = .object(object)
    default: value = try self.value(&reader, wire, type, field)
    }
  }

  /// Maps may hold a key more than once on the wire; the last counts.
  private static func finished(_ value: JSONValue, _ type: FieldType) -> JSONValue {
    guard case .map = type, case .object(let object) = value else { return value }
    return .object(lastOfEach(object.members))
  }

  private static func lastOfEach(_ members: [JSONObject.Member]) -> JSONObject {
    var builder = JSONObjectBuilder()
    for member in members { builder.insert(member.key, member.value) }
    return builder.object
  }

  private mutating func mapEntry(
    _ bytes: UnsafeRawBufferPointer, _ element: FieldType, _ field: Place
  ) throws(ProtobufError) -> JSONObject.Member {
    var reader = ProtobufReader(bytes)
    var key = ""
    var value: JSONValue?
    while !reader.atEnd {
      let (number, wire) = try reader.tag()
      switch number {
      case 1: key = try Self.text(try payload(&reader, wire, field))
      case 2:
        // A map's value cannot repeat, so lists of texts come in a message of their own.
        if case .array(let item) = element {
          let items = try items(try payload(&reader, wire, field), item, field)
          value = items.isEmpty ? .null : .array(items)
        } else {
          value = try self.value(&reader, wire, element, field)
        }
      default: try reader.skip(wire)
      }
    }
    return (key, value ?? element.zeroItem)
  }

  private mutating func items(
    _ bytes: UnsafeRawBufferPointer, _ element: FieldType, _ field: Place
  ) throws(ProtobufError) -> [JSONValue] {
    var reader = ProtobufReader(bytes)
    var result: [JSONValue] = []
    while !reader.atEnd {
      let (number, wire) = try reader.tag()
      if number == 1 {
        result.append(try value(&reader, wire, element, field))
      } else {
        try reader.skip(wire)
      }
    }
    return result
  }

  // MARK: Values

  private func payload(
    _ reader: inout ProtobufReader, _ wire: WireType, _ field: Place
  ) throws(ProtobufError) -> UnsafeRawBufferPointer {
    guard wire == .lengthDelimited else { throw wrongWire(wire, field) }
    return try reader.lengthDelimited()
  }

  private func wrongWire(_ wire: WireType, _ field: Place) -> ProtobufError {
    ProtobufError("proto: wrong wireType = \(wire.rawValue) for field \(field.name)")
  }

  private mutating func value(
    _ reader: inout ProtobufReader, _ wire: WireType, _ type: FieldType, _ field: Place
  ) throws(ProtobufError) -> JSONValue {
    switch type {
    case .boolean, .int32, .int64:
      guard wire == .varint else { throw wrongWire(wire, field) }
      let raw = try reader.varint()
      switch type {
      case .boolean: return .bool(raw != 0)
      case .int32: return .integer(Int64(Int32(truncatingIfNeeded: raw)))
      default: return .integer(Int64(bitPattern: raw))
      }
    case .double:
      guard wire == .fixed64 else { throw wrongWire(wire, field) }
      let number = Double(bitPattern: try reader.fixed64())
      guard number.isFinite else { throw ProtobufError("proto: \(field.name) is no finite number") }
      return .double(number)
    default: break
    }
    let bytes = try payload(&reader, wire, field)
    switch type {
    case .string: return .string(try Self.text(bytes))
    case .bytes: return .string(Base64.encode(bytes))
    case .structure(let structure): return .object(try message(bytes, structure))
    case .union(let union): return SchemaUnion(union).value(of: try message(bytes, union))
    case .quantity:
      let text = try scalars(bytes).texts[1] ?? ""
      return .string(text.isEmpty ? "0" : text)
    case .intOrString:
      let parts = try scalars(bytes)
      if parts.numbers[1] ?? 0 == 1 { return .string(parts.texts[3] ?? "") }
      return .integer(Int64(Int32(truncatingIfNeeded: parts.numbers[2] ?? 0)))
    case .time, .microTime: return try timestamp(bytes, type)
    case .duration: return .string(DurationText.text(nanoseconds: try scalars(bytes).numbers[1] ?? 0))
    case .rawObject, .anyValue: return try raw(bytes, field)
    default: throw wrongWire(wire, field)
    }
  }

  /// The numbers and texts of one of the small special messages.
  private func scalars(
    _ bytes: UnsafeRawBufferPointer
  ) throws(ProtobufError) -> (numbers: [Int: Int64], texts: [Int: String]) {
    var reader = ProtobufReader(bytes)
    var numbers: [Int: Int64] = [:]
    var texts: [Int: String] = [:]
    while !reader.atEnd {
      let (number, wire) = try reader.tag()
      switch wire {
      case .varint: numbers[number] = Int64(bitPattern: try reader.varint())
      case .lengthDelimited: texts[number] = try Self.text(try reader.lengthDelimited())
      default: try reader.skip(wire)
      }
    }
    return (numbers, texts)
  }

  private func timestamp(_ bytes: UnsafeRawBufferPointer, _ type: FieldType) throws(ProtobufError) -> JSONValue {
    // An empty message is the zero time, which JSON writes as null.
    if bytes.isEmpty { return .null }
    let numbers = try scalars(bytes).numbers
    let seconds = numbers[1] ?? 0
    let nanoseconds = numbers[2] ?? 0
    guard Timestamp.secondsRange.contains(seconds), (0..<1_000_000_000).contains(nanoseconds) else {
      throw ProtobufError("proto: time out of range")
    }
    let time = Timestamp(seconds: seconds, nanoseconds: Int32(nanoseconds))
    if case .microTime = type { return .string(time.rfc3339Micro) }
    return .string(time.rfc3339)
  }

  /// RawExtension, FieldsV1, JSON: bytes of JSON in field 1.
  private func raw(_ bytes: UnsafeRawBufferPointer, _ field: Place) throws(ProtobufError) -> JSONValue {
    var reader = ProtobufReader(bytes)
    var result = JSONValue.null
    while !reader.atEnd {
      let (number, wire) = try reader.tag()
      guard number == 1, wire == .lengthDelimited else {
        throw ProtobufError("proto: \(field.name) can only be sent as JSON")
      }
      let text = try reader.lengthDelimited()
      if text.isEmpty { continue }
      do throws(JSONParseError) {
        result = try JSONValue(parsing: text)
      } catch {
        throw ProtobufError("proto: \(field.name): \(error)")
      }
    }
    return result
  }
}

extension FieldType {
  /// May come packed, many in one field.
  fileprivate var isPackable: Bool {
    switch self {
    case .boolean, .int32, .int64, .double: true
    default: false
    }
  }
  fileprivate var packedWire: WireType { if case .double = self { .fixed64 } else { .varint } }
}
