// OpenAPI v2 (Swagger): one document of everything, made from those of version 3 (spec/1 §1.4). Clients before 1.29, and
// tools that know no better, read it.
import JSON

extension OpenAPIDocuments {
  /// `/openapi/v2`. Costs a few hundred milliseconds: keep it.
  public func version2() -> JSONValue {
    var paths: [String: JSONValue] = [:]
    var definitions: [String: JSONValue] = [:]
    for (key, document) in documents {
      guard let tree = try? JSONValue(parsing: document.bytes) else { continue }
      for (path, item) in tree["paths"].object ?? JSONObject() {
        paths[path] = OpenAPIVersion2.pathItem(item, tag: OpenAPIVersion2.tag(of: key))
      }
      for (name, schema) in tree["components"]["schemas"].object ?? JSONObject() {
        merge(OpenAPIVersion2.schema(schema), into: &definitions, as: name)
      }
    }
    return [
      "swagger": "2.0", "info": ["title": "Kubernetes", "version": .string(gitVersion)],
      "paths": Self.sorted(paths), "definitions": Self.sorted(definitions),
    ]
  }

  /// Schemas of several documents differ in the kinds they say they are: Status and DeleteOptions are of every group.
  private func merge(_ schema: JSONValue, into definitions: inout [String: JSONValue], as name: String) {
    guard let known = definitions[name] else {
      definitions[name] = schema
      return
    }
    let entries = known[OpenAPIName.kindExtension].elements
    let more = schema[OpenAPIName.kindExtension].elements.filter { !entries.contains($0) }
    guard !more.isEmpty else { return }
    definitions[name]?[OpenAPIName.kindExtension] = .array(entries + more)
  }

  private static func sorted(_ members: [String: JSONValue]) -> JSONValue {
    .object(JSONObject(uniqueMembers: members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }))
  }
}

/// From version 3 to version 2, part by part.
enum OpenAPIVersion2 {
  private static let reference = "#/components/schemas/"
  private static let definition = "#/definitions/"
  /// Keywords that version 2 does not have.
  private static let unknown: Set<String> = ["oneOf", "anyOf", "not", "nullable", "default"]
  /// What a schema says of its content, which is left out where version 2 could only say it wrongly.
  private static let content: Set<String> = ["type", "items", "properties"]

  /// "apis/apps/v1" is "apps_v1", "api/v1" is "core_v1".
  static func tag(of key: String) -> String {
    let parts = key.split(separator: "/").map(String.init)
    switch parts.first {
    case "api": return (["core"] + parts.dropFirst()).joined(separator: "_")
    case "apis" where parts.count > 1:
      let group = parts[1].hasSuffix(".k8s.io") ? String(parts[1].dropLast(".k8s.io".count)) : parts[1]
      return ([group] + parts.dropFirst(2)).joined(separator: "_")
    default: return parts.first ?? ""
    }
  }

  static func schema(_ value: JSONValue) -> JSONValue {
    guard case .object(let schema) = value else { return value }
    // Of a kind that may hold anything, nothing else is said.
    if schema["x-kubernetes-preserve-unknown-fields"] == true, let kinds = schema[OpenAPIName.kindExtension] {
      return .object(JSONObject(uniqueMembers: [("type", "object"), (OpenAPIName.kindExtension, kinds)]))
    }
    var result = JSONObject()
    result.reserveCapacity(schema.count)
    let isAny = schema["nullable"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true
    for (key, member) in schema where !unknown.contains(key) && !(isAny && content.contains(key)) {
      switch key {
      case "$ref": result.appendUnique(key, .string(definition + (member.string ?? "").dropFirst(reference.count)))
      case "allOf":
        // A reference with siblings is written so in version 3; version 2 lets them stand beside it.
        guard member.elements.count == 1, case .object(let inner) = self.schema(member[0]) else { continue }
        for (name, value) in inner where result[name] == nil { result[name] = value }
      case "properties": result.appendUnique(key, mapped(member, self.schema))
      case "items", "additionalProperties": result.appendUnique(key, self.schema(member))
      default: result.appendUnique(key, member)
      }
    }
    // A number or a text: said as a text, which is how its format is known.
    if schema["oneOf"] != nil, schema["type"] == nil { result["type"] = "string" }
    return .object(result)
  }

  private static func mapped(_ value: JSONValue, _ transform: (JSONValue) -> JSONValue) -> JSONValue {
    guard case .object(let object) = value else { return value }
    return .object(JSONObject(uniqueMembers: object.members.map { ($0.key, transform($0.value)) }))
  }

  static func pathItem(_ item: JSONValue, tag: String) -> JSONValue {
    guard case .object(let operations) = item else { return item }
    var result = JSONObject()
    for (method, operation) in operations {
      if method == "parameters" {
        result.appendUnique(method, .array(operation.elements.map(parameter)))
      } else {
        result.appendUnique(method, self.operation(operation, tag: tag))
      }
    }
    return .object(result)
  }

  private static func operation(_ value: JSONValue, tag: String) -> JSONValue {
    guard case .object(let operation) = value else { return value }
    var parameters = operation["parameters"].map { $0.elements.map(parameter) } ?? []
    var result = JSONObject()
    let body = operation["requestBody"]
    if let content = body?["content"].object, let first = content.members.first {
      var parameter: JSONValue = ["in": "body", "name": "body", "schema": schema(first.value["schema"])]
      if body?["required"] == true { parameter["required"] = true }
      parameters.insert(parameter, at: 0)
      result["consumes"] = .array(content.members.map { .string($0.key) })
    } else {
      result["consumes"] = ["*/*"]
    }
    var produces: JSONValue = ["application/json"]
    var responses = JSONObject()
    for (code, response) in operation["responses"]?.object ?? JSONObject() {
      var converted: JSONValue = ["description": response["description"]]
      if let content = response["content"].object, let first = content.members.first {
        converted["schema"] = schema(first.value["schema"])
        produces = .array(content.members.map { .string($0.key) })
      }
      responses[code] = converted
    }
    result["produces"] = produces
    result["schemes"] = ["https"]
    result["tags"] = [.string(tag)]
    for key in ["description", "operationId"] where operation[key] != nil { result[key] = operation[key] }
    if !parameters.isEmpty { result["parameters"] = .array(parameters) }
    result["responses"] = .object(responses)
    for (key, member) in operation where key.hasPrefix("x-") { result[key] = member }
    return .object(result)
  }

  private static func parameter(_ value: JSONValue) -> JSONValue {
    guard case .object(let parameter) = value else { return value }
    var result = JSONObject()
    for (key, member) in parameter where key != "schema" { result[key] = member }
    for (key, member) in parameter["schema"]?.object ?? JSONObject() { result[key] = member }
    return .object(result)
  }
}
