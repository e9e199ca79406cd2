// Canonical trees to protobuf messages, by the schema.
import JSON

/// Appends fields in protobuf's wire format.
struct ProtobufWriter {
  var bytes: [UInt8] = []

  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func tag(_ number: Int, _ wire: WireType) { varint(UInt64(number) << 3 | wire.rawValue) }

  mutating func put(_ number: Int, _ value: Int64) {
    tag(number, .varint)
    varint(UInt64(bitPattern: value))
  }
  mutating func put(_ number: Int, _ text: String) {
    tag(number, .lengthDelimited)
    varint(UInt64(text.utf8.count))
    bytes += text.utf8
  }
  mutating func put(_ number: Int, _ payload: [UInt8]) {
    tag(number, .lengthDelimited)
    varint(UInt64(payload.count))
    bytes += payload
  }
}

/// Writes messages of the API. Absent members are left out: readers take them for zero.
public enum ProtobufEncoder {
  /// The message of a canonical tree; members that are not of their type are left out.
  public static func message(_ value: JSONValue, as structure: Structure) -> [UInt8] {
    var writer = ProtobufWriter()
    if case .object(let object) = value { put(object, structure, &writer) }
    return writer.bytes
  }

  /// An object with `kind` and `apiVersion`, in its envelope: what `application/vnd.kubernetes.protobuf` carries.
  public static func envelope(_ value: JSONValue, as structure: Structure) -> [UInt8] {
    ProtobufEnvelope(
      apiVersion: value["apiVersion"].string ?? "", kind: value["kind"].string ?? "",
      message: message(value, as: structure)
    ).bytes
  }

  private static func put(_ object: JSONObject, _ structure: Structure, _ writer: inout ProtobufWriter) {
    for field in structure.fields where field.number > 0 {
      if field.isInline, case .structure(let inner) = field.type {
        // The inner message takes its members out of the same object.
        var nested = ProtobufWriter()
        put(object, inner, &nested)
        if !nested.bytes.isEmpty { writer.put(field.number, nested.bytes) }
        continue
      }
      guard let value = object[field.name], !value.isNull else { continue }
      put(value, field.type, field.number, &writer)
    }
  }

  private static func put(
    _ value: JSONValue, _ type: FieldType, _ number: Int, _ writer: inout ProtobufWriter
  ) {
    switch (type, value) {
    case (.array(let element), .array(let elements)):
      for item in elements { put(item.isNull ? element.zeroItem : item, element, number, &writer) }
    case (.map(let element), .object(let object)):
      for (key, item) in object {
        var entry = ProtobufWriter()
        entry.put(1, key)
        if case .array(let inner) = element {
          var list = ProtobufWriter()
          put(item, .array(inner), 1, &list)
          entry.put(2, list.bytes)
        } else {
          put(item.isNull ? element.zeroItem : item, element, 2, &entry)
        }
        writer.put(number, entry.bytes)
      }
    case (.structure(let structure), .object(let object)):
      var nested = ProtobufWriter()
      put(object, structure, &nested)
      writer.put(number, nested.bytes)
    case (.union(let message), _):
      var nested = ProtobufWriter()
      put(SchemaUnion(message).fields(of: value), message, &nested)
      writer.put(number, nested.bytes)
    case (.rawObject, _), (.anyValue, _):
      var nested = ProtobufWriter()
      nested.put(1, value.bytes)
      writer.put(number, nested.bytes)
    default: putScalar(value, type, number, &writer)
    }
  }

  private static func putScalar(
    _ value: JSONValue, _ type: FieldType, _ number: Int, _ writer: inout ProtobufWriter
  ) {
    var nested = ProtobufWriter()
    switch (type, value) {
    case (.string, .string(let text)): return writer.put(number, text)
    case (.bytes, .string(let text)):
      if let bytes = try? Base64.decode(text) { writer.put(number, bytes) }
      return
    case (.boolean, .bool(let flag)): return writer.put(number, flag ? 1 : 0)
    case (.int32, .integer(let value)), (.int64, .integer(let value)): return writer.put(number, value)
    case (.double, .integer(let value)): return putDouble(Double(value), number, &writer)
    case (.double, .double(let value)): return putDouble(value, number, &writer)
    case (.quantity, .string(let text)): nested.put(1, text)
    case (.intOrString, .integer(let value)):
      nested.put(1, 0)
      nested.put(2, value)
    case (.intOrString, .string(let text)):
      nested.put(1, 1)
      nested.put(2, 0)
      nested.put(3, text)
    case (.time, .string(let text)), (.microTime, .string(let text)):
      guard let time = Timestamp(rfc3339: text) else { return }
      nested.put(1, time.seconds)
      nested.put(2, Int64(time.nanoseconds))
    case (.duration, .string(let text)): nested.put(1, DurationText.nanoseconds(text) ?? 0)
    default: return
    }
    writer.put(number, nested.bytes)
  }

  private static func putDouble(_ value: Double, _ number: Int, _ writer: inout ProtobufWriter) {
    writer.tag(number, .fixed64)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { writer.bytes += $0 }
  }
}
