// OpenAPI v2 as protobuf: the messages of gnostic's openapi.v2, which kubectl before 1.29 insists on.
import JSON

extension OpenAPIVersion2 {
  /// `openapi.v2.Document`.
  static func protobuf(_ document: JSONValue) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.put(1, document["swagger"].string ?? "")
    writer.put(2) { info in
      info.put(1, document["info"]["title"].string ?? "")
      info.put(2, document["info"]["version"].string ?? "")
    }
    writer.put(8) { paths in
      for (path, item) in document["paths"].object ?? JSONObject() {
        paths.put(2) { named in
          named.put(1, path)
          named.put(2) { putPathItem(item, &$0) }
        }
      }
    }
    writer.put(9) { putNamedSchemas(document["definitions"], &$0) }
    return writer.bytes
  }

  // MARK: Paths

  private static let methods: [(String, Int)] = [
    ("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("options", 6), ("head", 7), ("patch", 8),
  ]

  private static func putPathItem(_ item: JSONValue, _ writer: inout ProtobufWriter) {
    for (method, number) in methods where !item[method].isNull {
      writer.put(number) { putOperation(item[method], &$0) }
    }
    putParameters(item["parameters"], 9, &writer)
  }

  private static func putOperation(_ operation: JSONValue, _ writer: inout ProtobufWriter) {
    putTexts(operation["tags"], 1, &writer)
    putText(operation["description"], 3, &writer)
    putText(operation["operationId"], 5, &writer)
    putTexts(operation["produces"], 6, &writer)
    putTexts(operation["consumes"], 7, &writer)
    putParameters(operation["parameters"], 8, &writer)
    writer.put(9) { responses in
      for (code, response) in operation["responses"].object ?? JSONObject() {
        responses.put(1) { named in
          named.put(1, code)
          named.put(2) { value in value.put(1) { putResponse(response, &$0) } }
        }
      }
    }
    putTexts(operation["schemes"], 10, &writer)
    putExtensions(operation, 13, &writer)
  }

  private static func putResponse(_ response: JSONValue, _ writer: inout ProtobufWriter) {
    putText(response["description"], 1, &writer)
    guard !response["schema"].isNull else { return }
    writer.put(2) { item in item.put(1) { putSchema(response["schema"], &$0) } }
  }

  private static func putParameters(_ parameters: JSONValue, _ number: Int, _ writer: inout ProtobufWriter) {
    for parameter in parameters.elements {
      writer.put(number) { item in item.put(1) { putParameter(parameter, &$0) } }
    }
  }

  private static func putParameter(_ parameter: JSONValue, _ writer: inout ProtobufWriter) {
    if parameter["in"] == "body" {
      writer.put(1) { body in
        putText(parameter["description"], 1, &body)
        putText(parameter["name"], 2, &body)
        putText(parameter["in"], 3, &body)
        if parameter["required"] == true { body.put(4, 1) }
        body.put(5) { putSchema(parameter["schema"], &$0) }
      }
      return
    }
    // Query and path parameters differ by one field, which moves those behind it.
    let isPath = parameter["in"] == "path"
    writer.put(2) { nonBody in
      nonBody.put(isPath ? 4 : 3) { one in
        if parameter["required"] == true { one.put(1, 1) }
        putText(parameter["in"], 2, &one)
        putText(parameter["description"], 3, &one)
        putText(parameter["name"], 4, &one)
        putText(parameter["type"], isPath ? 5 : 6, &one)
        if parameter["uniqueItems"] == true { one.put(isPath ? 19 : 20, 1) }
      }
    }
  }

  // MARK: Schemas

  private static func putNamedSchemas(_ schemas: JSONValue, _ writer: inout ProtobufWriter) {
    for (name, schema) in schemas.object ?? JSONObject() {
      writer.put(1) { named in
        named.put(1, name)
        named.put(2) { putSchema(schema, &$0) }
      }
    }
  }

  private static let texts: [(String, Int)] = [("$ref", 1), ("format", 2), ("title", 3), ("description", 4)]
  private static let doubles: [(String, Int)] = [("multipleOf", 6), ("maximum", 7), ("minimum", 9)]
  private static let counts: [(String, Int)] = [
    ("maxLength", 11), ("minLength", 12), ("maxItems", 14), ("minItems", 15), ("maxProperties", 17),
    ("minProperties", 18),
  ]
  private static let flags: [(String, Int)] = [
    ("exclusiveMaximum", 8), ("exclusiveMinimum", 10), ("uniqueItems", 16),
  ]

  private static func putSchema(_ schema: JSONValue, _ writer: inout ProtobufWriter) {
    for (key, number) in texts { putText(schema[key], number, &writer) }
    putAny(schema["default"], 5, &writer)
    for (key, number) in doubles { putDouble(schema[key], number, &writer) }
    for (key, number) in counts { if let value = schema[key].integer { writer.put(number, value) } }
    for (key, number) in flags where schema[key] == true { writer.put(number, 1) }
    putText(schema["pattern"], 13, &writer)
    putTexts(schema["required"], 19, &writer)
    for value in schema["enum"].elements { putAny(value, 20, &writer) }
    switch schema["additionalProperties"] {
    case .null: break
    case .bool(let flag): writer.put(21) { $0.put(2, flag ? 1 : 0) }
    case let value: writer.put(21) { item in item.put(1) { putSchema(value, &$0) } }
    }
    if let type = schema["type"].string { writer.put(22) { $0.put(1, type) } }
    if !schema["items"].isNull {
      writer.put(23) { items in items.put(1) { putSchema(schema["items"], &$0) } }
    }
    if !schema["properties"].isNull { writer.put(25) { putNamedSchemas(schema["properties"], &$0) } }
    putExtensions(schema, 31, &writer)
  }

  // MARK: Values

  private static func putText(_ value: JSONValue, _ number: Int, _ writer: inout ProtobufWriter) {
    if let text = value.string, !text.isEmpty { writer.put(number, text) }
  }

  private static func putTexts(_ value: JSONValue, _ number: Int, _ writer: inout ProtobufWriter) {
    for text in value.elements { writer.put(number, text.string ?? "") }
  }

  private static func putDouble(_ value: JSONValue, _ number: Int, _ writer: inout ProtobufWriter) {
    let double: Double
    switch value {
    case .integer(let integer): double = Double(integer)
    case .double(let exact): double = exact
    default: return
    }
    writer.tag(number, .fixed64)
    withUnsafeBytes(of: double.bitPattern.littleEndian) { writer.bytes += $0 }
  }

  /// Any value travels as YAML, of which JSON is a part.
  private static func putAny(_ value: JSONValue, _ number: Int, _ writer: inout ProtobufWriter) {
    guard !value.isNull else { return }
    writer.put(number) { $0.put(2, String(decoding: value.bytes, as: UTF8.self) + "\n") }
  }

  private static func putExtensions(_ value: JSONValue, _ number: Int, _ writer: inout ProtobufWriter) {
    guard case .object(let object) = value else { return }
    for (key, member) in object where key.hasPrefix("x-") {
      writer.put(number) { named in
        named.put(1, key)
        putAny(member, 2, &named)
      }
    }
  }
}

extension OpenAPIDocuments {
  /// `/openapi/v2` as protobuf, of what `version2()` returned.
  public static func version2Protobuf(_ document: JSONValue) -> [UInt8] { OpenAPIVersion2.protobuf(document) }
}

extension ProtobufWriter {
  /// A nested message.
  mutating func put(_ number: Int, _ body: (inout ProtobufWriter) -> Void) {
    var nested = ProtobufWriter()
    body(&nested)
    put(number, nested.bytes)
  }
}
