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
    let key = String(prefix.dropFirst())
    let resources = document(
      "get\(identifier(of: key))APIResources", "get available resources", tag: OpenAPIVersion2.tag(of: key),
      schema: schemas.discoveryReference("APIResourceList"),
      types: kinds.contains { OpenAPIName.of($0.structure) != nil } ? documentTypes : ["application/json"])
    paths.append((prefix + "/", ["get": resources]))
    paths.sort { $0.address < $1.address }
    return JSONObject(uniqueMembers: paths.map { ($0.address, $0.operations) })
  }

  /// The encodings of discovery.
  static let documentTypes = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]

  /// The operation that gets a document.
  static func document(
    _ id: String, _ description: String, tag: String, schema: JSONValue, types: [String]
  ) -> JSONValue {
    [
      "tags": [.string(tag)], "description": .string(description), "operationId": .string(id),
      "responses": [
        "200": [
          "description": "OK",
          "content": .object(JSONObject(uniqueMembers: types.map { ($0, ["schema": schema]) })),
        ],
        "401": ["description": "Unauthorized"],
      ],
    ]
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
      for subresource in kind.subresources {
        switch subresource.name {
        case "attach", "exec", "portforward", "proxy": writeConnection(subresource)
        case "log": writeLog()
        default: write(subresource, &schemas)
        }
      }
      writeWatches(&schemas)
    }

    private var itemNames: [String] { kind.isNamespaced ? ["name", "namespace"] : ["name"] }

    /// Streams and proxies: any method, no body that is known, and what comes back is somebody else's.
    private mutating func writeConnection(_ subresource: Subresource) {
      let isProxy = subresource.name == "proxy"
      let methods = isProxy ? ["delete", "get", "head", "options", "patch", "post", "put"] : ["get", "post"]
      let action = OpenAPIPaths.capitalized(subresource.name)
      func operations(_ suffix: String) -> [JSONObject.Member] {
        methods.map { method in
          let verb = method.uppercased()
          let id = "connect\(group)\(OpenAPIPaths.capitalized(method))\(scope)\(kind.kind.kind)\(action)\(suffix)"
          var result = operation(
            "connect", id: id, subresource.kind, "connect \(verb) requests to \(subresource.name) of \(kind.kind.kind)",
            response: ["type": "string"])
          result["responses"] = [
            "200": ["description": "OK", "content": ["*/*": ["schema": ["type": "string"]]]],
            "401": ["description": "Unauthorized"],
          ]
          return (method, result)
        }
      }
      let address = "\(collection)/{name}/\(subresource.name)"
      let parameters = OpenAPIParameters.connection[subresource.name] ?? []
      add(address, operations(""), names: itemNames, parameters)
      if isProxy {
        add("\(address)/{path}", operations("WithPath"), names: itemNames + ["path"], parameters)
      }
    }

    private mutating func writeLog() {
      let content = (["text/plain"] + OpenAPIPaths.documentTypes).map {
        ($0, ["schema": ["type": "string"]] as JSONValue)
      }
      var read = operation(
        "get", id: "read\(group)\(scope)\(kind.kind.kind)Log", kind.kind, "read log of the specified \(kind.kind.kind)",
        response: ["type": "string"])
      read["responses"]["200"]["content"] = .object(JSONObject(uniqueMembers: content))
      add(
        "\(collection)/{name}/log", [("get", read)], names: itemNames,
        OpenAPIParameters.log + [OpenAPIParameters.pretty])
    }

    /// The addresses under "watch", which are there for those who do not know the parameter.
    private mutating func writeWatches(_ schemas: inout OpenAPISchemas) {
      guard kind.verbs.contains(.watch), !isCustom else { return }
      let event = schemas.watchEventReference()
      let base = prefix + "/watch" + collection.dropFirst(prefix.count)
      let ending = " deprecated: use the 'watch' parameter with a list operation instead"
      let name = kind.kind.kind
      func watch(_ action: String, _ id: String, _ description: String) -> [JSONObject.Member] {
        var result = operation(action, id: id, kind.kind, description, response: event)
        result["responses"]["200"]["content"] = streamed(event)
        return [("get", result)]
      }
      let parameters = OpenAPIParameters.list + [OpenAPIParameters.pretty]
      let changes = "watch individual changes to a list of \(name).\(ending)."
      add(
        base, watch("watchlist", "watch\(group)\(scope)\(name)List", changes),
        names: kind.isNamespaced ? ["namespace"] : [], parameters)
      add(
        "\(base)/{name}",
        watch(
          "watch", "watch\(group)\(scope)\(name)",
          "watch changes to an object of kind \(name).\(ending), filtered to a single item with the 'fieldSelector' parameter."
        ),
        names: itemNames, parameters)
      if kind.isNamespaced {
        add(
          "\(prefix)/watch/\(kind.resource)", watch("watchlist", "watch\(group)\(name)ListForAllNamespaces", changes),
          names: [], parameters)
      }
    }

    private mutating func writeCollection(_ object: JSONValue, _ schemas: inout OpenAPISchemas) {
      var operations: [JSONObject.Member] = []
      let name = kind.kind.kind
      if kind.verbs.contains(.list) {
        let list = operation(
          "list", id: "list\(group)\(scope)\(name)", kind.kind, "list or watch objects of kind \(name)",
          parameters: OpenAPIParameters.list, response: schemas.listReference(to: kind))
        operations.append(("get", list))
        if kind.isNamespaced {
          let everywhere = operation(
            "list", id: "list\(group)\(name)ForAllNamespaces", kind.kind, "list or watch objects of kind \(name)",
            response: schemas.listReference(to: kind))
          add(
            "\(prefix)/\(kind.resource)", [("get", everywhere)], names: [],
            OpenAPIParameters.list + [OpenAPIParameters.pretty])
        }
      }
      if kind.verbs.contains(.create) {
        let create = operation(
          "post", id: "create\(group)\(scope)\(name)", kind.kind, "create \(article) \(name)",
          parameters: OpenAPIParameters.write, body: object, response: object, codes: ["200", "201", "202"])
        operations.append(("post", create))
      }
      if kind.verbs.contains(.deletecollection) {
        let delete = operation(
          "deletecollection", id: "delete\(group)Collection\(scope)\(name)", kind.kind, "delete collection of \(name)",
          parameters: OpenAPIParameters.selection + OpenAPIParameters.delete,
          body: schemas.reference(to: .deleteOptions),
          response: schemas.reference(to: .status))
        operations.append(("delete", delete))
      }
      add(collection, operations, names: kind.isNamespaced ? ["namespace"] : [])
    }

    private mutating func writeItem(_ object: JSONValue, _ schemas: inout OpenAPISchemas) {
      var operations: [JSONObject.Member] = []
      let name = kind.kind.kind
      let id = "\(group)\(scope)\(name)"
      if kind.verbs.contains(.get) {
        operations.append(
          ("get", operation("get", id: "read\(id)", kind.kind, "read the specified \(name)", response: object)))
      }
      if kind.verbs.contains(.update) {
        let replace = operation(
          "put", id: "replace\(id)", kind.kind, "replace the specified \(name)", parameters: OpenAPIParameters.write,
          body: object, response: object, codes: ["200", "201"])
        operations.append(("put", replace))
      }
      if kind.verbs.contains(.patch) {
        operations.append(("patch", patch(id, kind.kind, "partially update the specified \(name)", object, &schemas)))
      }
      if kind.verbs.contains(.delete) {
        let delete = operation(
          "delete", id: "delete\(id)", kind.kind, "delete \(article) \(name)", parameters: OpenAPIParameters.delete,
          body: schemas.reference(to: .deleteOptions),
          response: describesDeleted ? object : schemas.reference(to: .status), codes: ["200", "202"])
        operations.append(("delete", delete))
      }
      add("\(collection)/{name}", operations, names: itemNames)
    }

    private var article: String { "AEIOU".contains(kind.kind.kind.first ?? "x") ? "an" : "a" }

    /// Answered with the object. (A namespace is too, but the reference's documents say otherwise.)
    private var describesDeleted: Bool { kind.traits.deleteReturnsObject && kind.resource != "namespaces" }

    private mutating func write(_ subresource: Subresource, _ schemas: inout OpenAPISchemas) {
      let body = subresource.kind == kind.kind ? schemas.reference(to: kind) : schemas.reference(to: subresource.kind)
      let id = "\(group)\(scope)\(kind.kind.kind)\(OpenAPIPaths.capitalized(subresource.name))"
      let part = "\(subresource.name) of"
      let name = kind.kind.kind
      var operations: [JSONObject.Member] = []
      for verb in subresource.verbs {
        switch verb {
        case .get:
          operations.append(
            (
              "get",
              operation("get", id: "read\(id)", subresource.kind, "read \(part) the specified \(name)", response: body)
            ))
        case .create:
          let create = operation(
            "post", id: "create\(id)", subresource.kind, "create \(part) \(article) \(name)",
            parameters: OpenAPIParameters.write, body: body, response: body, codes: ["200", "201", "202"])
          operations.append(("post", create))
        case .update:
          let replace = operation(
            "put", id: "replace\(id)", subresource.kind, "replace \(part) the specified \(name)",
            parameters: OpenAPIParameters.write, body: body, response: body, codes: ["200", "201"])
          operations.append(("put", replace))
        case .patch:
          let description = "partially update \(part) the specified \(name)"
          operations.append(("patch", patch(id, subresource.kind, description, body, &schemas)))
        case .delete, .deletecollection, .list, .watch: break
        }
      }
      add(
        "\(collection)/{name}/\(subresource.name)", operations, names: itemNames)
    }

    private mutating func add(
      _ address: String, _ operations: [JSONObject.Member], names: [String],
      _ more: [JSONValue] = [OpenAPIParameters.pretty]
    ) {
      guard !operations.isEmpty else { return }
      let parameters = names.map(OpenAPIParameters.path) + more
      paths.append(
        (address, .object(JSONObject(uniqueMembers: operations + [("parameters", .array(parameters))]))))
    }

    private func patch(
      _ id: String, _ kind: GroupVersionKind, _ description: String, _ object: JSONValue,
      _ schemas: inout OpenAPISchemas
    ) -> JSONValue {
      var operation = operation(
        "patch", id: "patch\(id)", kind, description, parameters: OpenAPIParameters.patch, response: object,
        codes: ["200", "201"])
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
      _ action: String, id: String, _ kind: GroupVersionKind, _ description: String, parameters: [JSONValue] = [],
      body: JSONValue? = nil, response: JSONValue, codes: [String] = ["200"]
    ) -> JSONValue {
      var operation: JSONValue = [
        "tags": [.string(OpenAPIVersion2.tag(of: String(prefix.dropFirst())))], "description": .string(description),
        "operationId": .string(id),
      ]
      if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
      if let body {
        // Built-in kinds are taken in any encoding that the server knows.
        operation["requestBody"] = ["content": isCustom ? content(body) : ["*/*": ["schema": body]]]
        if !action.hasPrefix("delete") { operation["requestBody"]["required"] = true }
      }
      var responses = JSONObject()
      for code in codes {
        let description = code == "200" ? "OK" : code == "201" ? "Created" : "Accepted"
        responses[code] = [
          "description": .string(description), "content": action == "list" ? streamed(response) : content(response),
        ]
      }
      responses["401"] = ["description": "Unauthorized"]
      operation["responses"] = .object(responses)
      operation["x-kubernetes-action"] = .string(action)
      operation[OpenAPIName.kindExtension] = [
        "group": .string(kind.group), "kind": .string(kind.kind), "version": .string(kind.version),
      ]
      return operation
    }

    /// What can be watched comes as a stream as well.
    private func streamed(_ schema: JSONValue) -> JSONValue {
      guard !isCustom else { return content(schema) }
      var result = content(schema)
      for type in ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"] {
        result[type] = ["schema": schema]
      }
      return result
    }

    private func content(_ schema: JSONValue) -> JSONValue {
      let types =
        ["application/json", "application/yaml"] + (isCustom ? [] : ["application/vnd.kubernetes.protobuf"])
      return .object(JSONObject(uniqueMembers: types.map { ($0, ["schema": schema]) }))
    }
  }
}
