// paths: every address of a group version with its operations.
import JSON

enum OpenAPIPaths {
  /// The paths of the kinds of one group version, which stands under `prefix`: "/api/v1", "/apis/apps/v1".
  static func paths(of kinds: [KindDescriptor], under prefix: String, schemas: inout OpenAPISchemas) -> JSONObject {
    var paths: [(address: String, operations: JSONValue)] = []
    for kind in kinds {
      var writer = Writer(kind: kind, prefix: prefix)
      writer.write(schemas: &schemas)
      paths += writer.paths
    }
    let group = identifier(of: String(prefix.dropFirst()))
    paths.append(
      (
        prefix + "/",
        [
          "get": [
            "description": "get available resources", "operationId": .string("get\(group)APIResources"),
            "responses": ["200": ["description": "OK"], "401": ["description": "Unauthorized"]],
          ]
        ]
      ))
    paths.sort { $0.address < $1.address }
    return JSONObject(uniqueMembers: paths.map { ($0.address, $0.operations) })
  }

  /// "api/v1" is "CoreV1", "apis/rbac.authorization.k8s.io/v1" is "RbacAuthorizationV1".
  static func identifier(of key: String) -> String {
    var parts = key.split(separator: "/").map(String.init)
    switch parts.first {
    case "api": parts[0] = "core"
    case "apis" where parts.count > 1: parts.removeFirst()
    default: break
    }
    return parts.flatMap { part -> [String] in
      let name = part.hasSuffix(".k8s.io") ? String(part.dropLast(".k8s.io".count)) : part
      return name.split(whereSeparator: { $0 == "." || $0 == "-" }).map { capitalized(String($0)) }
    }.joined()
  }

  static func capitalized(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }

  /// The paths of one kind.
  private struct Writer {
    let kind: KindDescriptor
    let prefix: String
    /// "CoreV1"
    let group: String
    /// "Namespaced" or "".
    let scope: String
    let isCustom: Bool
    var paths: [(address: String, operations: JSONValue)] = []

    init(kind: KindDescriptor, prefix: String) {
      self.kind = kind
      self.prefix = prefix
      group = OpenAPIPaths.identifier(of: String(prefix.dropFirst()))
      scope = kind.isNamespaced ? "Namespaced" : ""
      isCustom = OpenAPIName.of(kind.structure) == nil
    }

    private var collection: String {
      kind.isNamespaced ? "\(prefix)/namespaces/{namespace}/\(kind.resource)" : "\(prefix)/\(kind.resource)"
    }

    mutating func write(schemas: inout OpenAPISchemas) {
      let object = schemas.reference(to: kind)
      writeCollection(object, &schemas)
      writeItem(object, &schemas)
      for subresource in kind.subresources { write(subresource, &schemas) }
    }

    private mutating func writeCollection(_ object: JSONValue, _ schemas: inout OpenAPISchemas) {
      var operations: [JSONObject.Member] = []
      let name = kind.kind.kind
      if kind.verbs.contains(.list) {
        let list = operation(
          "list", id: "list\(group)\(scope)\(name)", kind.kind, parameters: OpenAPIParameters.list,
          response: schemas.listReference(to: kind))
        operations.append(("get", list))
        if kind.isNamespaced {
          let everywhere = operation(
            "list", id: "list\(group)\(name)ForAllNamespaces", kind.kind, parameters: OpenAPIParameters.list,
            response: schemas.listReference(to: kind))
          add("\(prefix)/\(kind.resource)", [("get", everywhere)], names: [])
        }
      }
      if kind.verbs.contains(.create) {
        let create = operation(
          "post", id: "create\(group)\(scope)\(name)", kind.kind, parameters: OpenAPIParameters.write, body: object,
          response: object, codes: ["200", "201", "202"])
        operations.append(("post", create))
      }
      if kind.verbs.contains(.deletecollection) {
        let delete = operation(
          "deletecollection", id: "delete\(group)Collection\(scope)\(name)", kind.kind,
          parameters: OpenAPIParameters.list + OpenAPIParameters.delete, body: schemas.reference(to: .deleteOptions),
          response: schemas.reference(to: .status))
        operations.append(("delete", delete))
      }
      add(collection, operations, names: kind.isNamespaced ? ["namespace"] : [])
    }

    private mutating func writeItem(_ object: JSONValue, _ schemas: inout OpenAPISchemas) {
      var operations: [JSONObject.Member] = []
      let id = "\(group)\(scope)\(kind.kind.kind)"
      if kind.verbs.contains(.get) {
        operations.append(("get", operation("get", id: "read\(id)", kind.kind, response: object)))
      }
      if kind.verbs.contains(.update) {
        let replace = operation(
          "put", id: "replace\(id)", kind.kind, parameters: OpenAPIParameters.write, body: object, response: object,
          codes: ["200", "201"])
        operations.append(("put", replace))
      }
      if kind.verbs.contains(.patch) { operations.append(("patch", patch(id, kind.kind, object, &schemas))) }
      if kind.verbs.contains(.delete) {
        let delete = operation(
          "delete", id: "delete\(id)", kind.kind, parameters: OpenAPIParameters.delete,
          body: schemas.reference(to: .deleteOptions), response: schemas.reference(to: .status), codes: ["200", "202"])
        operations.append(("delete", delete))
      }
      add("\(collection)/{name}", operations, names: kind.isNamespaced ? ["name", "namespace"] : ["name"])
    }

    private mutating func write(_ subresource: Subresource, _ schemas: inout OpenAPISchemas) {
      let body = subresource.kind == kind.kind ? schemas.reference(to: kind) : schemas.reference(to: subresource.kind)
      let id = "\(group)\(scope)\(kind.kind.kind)\(OpenAPIPaths.capitalized(subresource.name))"
      var operations: [JSONObject.Member] = []
      for verb in subresource.verbs {
        switch verb {
        case .get:
          operations.append(("get", operation("get", id: "read\(id)", subresource.kind, response: body)))
        case .create:
          let create = operation(
            "post", id: "create\(id)", subresource.kind, parameters: OpenAPIParameters.write, body: body,
            response: body, codes: ["200", "201", "202"])
          operations.append(("post", create))
        case .update:
          let replace = operation(
            "put", id: "replace\(id)", subresource.kind, parameters: OpenAPIParameters.write, body: body,
            response: body, codes: ["200", "201"])
          operations.append(("put", replace))
        case .patch: operations.append(("patch", patch(id, subresource.kind, body, &schemas)))
        case .delete:
          operations.append(("delete", operation("delete", id: "delete\(id)", subresource.kind, response: body)))
        case .deletecollection, .list, .watch: break
        }
      }
      add(
        "\(collection)/{name}/\(subresource.name)", operations,
        names: kind.isNamespaced ? ["name", "namespace"] : ["name"])
    }

    private mutating func add(_ address: String, _ operations: [JSONObject.Member], names: [String]) {
      guard !operations.isEmpty else { return }
      let parameters = names.map(OpenAPIParameters.path) + [OpenAPIParameters.pretty]
      paths.append(
        (address, .object(JSONObject(uniqueMembers: operations + [("parameters", .array(parameters))]))))
    }

    private func patch(
      _ id: String, _ kind: GroupVersionKind, _ object: JSONValue, _ schemas: inout OpenAPISchemas
    ) -> JSONValue {
      var operation = operation(
        "patch", id: "patch\(id)", kind, parameters: OpenAPIParameters.patch, response: object, codes: ["200", "201"])
      let reference = schemas.patchReference()
      // Clients learn from this list that custom resources have no strategic merge patch.
      let types =
        ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
        + (isCustom ? [] : ["application/strategic-merge-patch+json"])
      operation["requestBody"] = [
        "content": .object(JSONObject(uniqueMembers: types.map { ($0, ["schema": reference]) })), "required": true,
      ]
      return operation
    }

    private func operation(
      _ action: String, id: String, _ kind: GroupVersionKind, parameters: [JSONValue] = [], body: JSONValue? = nil,
      response: JSONValue, codes: [String] = ["200"]
    ) -> JSONValue {
      var operation: JSONValue = ["operationId": .string(id)]
      if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
      if let body { operation["requestBody"] = ["content": content(body)] }
      var responses = JSONObject()
      for code in codes {
        let description = code == "200" ? "OK" : code == "201" ? "Created" : "Accepted"
        responses[code] = ["description": .string(description), "content": content(response)]
      }
      responses["401"] = ["description": "Unauthorized"]
      operation["responses"] = .object(responses)
      operation["x-kubernetes-action"] = .string(action)
      operation[OpenAPIName.kindExtension] = [
        "group": .string(kind.group), "kind": .string(kind.kind), "version": .string(kind.version),
      ]
      return operation
    }

    private func content(_ schema: JSONValue) -> JSONValue {
      let types =
        ["application/json", "application/yaml"] + (isCustom ? [] : ["application/vnd.kubernetes.protobuf"])
      return .object(JSONObject(uniqueMembers: types.map { ($0, ["schema": schema]) }))
    }
  }
}

/// Parameters of operations, made once.
enum OpenAPIParameters {
  private static func query(_ name: String, _ type: String, _ description: String) -> JSONValue {
    [
      "name": .string(name), "in": "query", "description": .string(description),
      "schema": ["type": .string(type), "uniqueItems": true],
    ]
  }

  static let pretty = query("pretty", "string", "If 'true', the output is indented.")
  private static let dryRun = query("dryRun", "string", "All: do everything but store the result.")
  private static let fieldManager = query(
    "fieldManager", "string", "The name of the actor that makes this change, at most 128 printable characters.")
  private static let fieldValidation = query(
    "fieldValidation", "string",
    "What to do about unknown or duplicate fields: Ignore drops them, Warn (the default) says so, Strict fails.")
  private static let force = query(
    "force", "boolean", "Apply only: take fields from managers that own them. Must be unset for other patches.")

  static let write = [dryRun, fieldManager, fieldValidation]
  static let patch = write + [force]
  static let delete = [
    dryRun, query("gracePeriodSeconds", "integer", "Seconds before the object is deleted; 0 deletes at once."),
    query("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    query("propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground."),
  ]
  static let list = [
    query("allowWatchBookmarks", "boolean", "Watch events of type BOOKMARK may be sent."),
    query("continue", "string", "Where to go on with a list, as its last page said."),
    query("fieldSelector", "string", "Restricts the objects by their fields."),
    query("labelSelector", "string", "Restricts the objects by their labels."),
    query("limit", "integer", "At most so many objects."),
    query("resourceVersion", "string", "Which versions may be served."),
    query("resourceVersionMatch", "string", "How resourceVersion is applied: Exact or NotOlderThan."),
    query("sendInitialEvents", "boolean", "A watch begins with the state as events and a bookmark."),
    query("timeoutSeconds", "integer", "How long the call may last."),
    query("watch", "boolean", "Watch for changes instead of listing."),
  ]

  static func path(_ name: String) -> JSONValue {
    [
      "name": .string(name), "in": "path", "required": true,
      "description": .string(name == "name" ? "Name of the object." : "The namespace of the objects."),
      "schema": ["type": "string", "uniqueItems": true],
    ]
  }
}
