// components.schemas: structures as JSON schemas, those that are reachable from the kinds of one document.
import JSON

/// Collects the schemas of a document while its paths refer to them.
struct OpenAPISchemas {
  private let sources: OpenAPISources
  private var byName: [String: JSONObject] = [:]

  init(sources: OpenAPISources) { self.sources = sources }

  /// All schemas, in order of their names.
  var components: JSONObject {
    JSONObject(uniqueMembers: byName.sorted { $0.key < $1.key }.map { ($0.key, .object($0.value)) })
  }

  // MARK: - What paths refer to

  /// A reference to the schema of a kind that is served.
  mutating func reference(to descriptor: KindDescriptor) -> JSONValue {
    let name = OpenAPIName.of(descriptor.structure) ?? OpenAPIName.ofCustom(descriptor.kind)
    if let own = sources.schema(descriptor.kind), case .object(let schema) = own {
      if byName[name] == nil { byName[name] = Self.completed(schema, by: reference(to: .objectMeta)) }
    } else {
      add(descriptor.structure, as: name)
    }
    addKind(descriptor.kind, to: name)
    return Self.reference(name)
  }

  /// A reference to the list of a kind.
  mutating func listReference(to descriptor: KindDescriptor) -> JSONValue {
    let item = reference(to: descriptor)
    let name = (OpenAPIName.of(descriptor.structure) ?? OpenAPIName.ofCustom(descriptor.kind)) + "List"
    if byName[name] == nil {
      let metadata: JSONValue =
        sources.structure(.listMeta).map { structure in
          add(structure, as: OpenAPIName.of(structure) ?? structure.name)
          return Self.reference(OpenAPIName.of(structure) ?? structure.name)
        } ?? ["type": "object"]
      byName[name] = [
        "description": .string("\(descriptor.listKind) is a list of \(descriptor.resource)."), "type": "object",
        "required": ["items"],
        "properties": [
          "apiVersion": ["description": "Group and version of the objects.", "type": "string"],
          "kind": ["description": "What the list is called.", "type": "string"],
          "metadata": Self.described(metadata, "The state that the list is of, and how to go on."),
          "items": [
            "description": .string("The \(descriptor.resource)."), "type": "array", "items": Self.defaulted(item),
          ],
        ],
      ]
      addKind(
        GroupVersionKind(group: descriptor.kind.group, version: descriptor.kind.version, kind: descriptor.listKind),
        to: name)
    }
    return Self.reference(name)
  }

  private static func described(_ schema: JSONValue, _ text: String) -> JSONValue {
    var result = defaulted(schema)
    result["description"] = .string(text)
    return result
  }

  /// A member or an element that is never absent: what it is when nobody says anything of it.
  private static func defaulted(_ schema: JSONValue) -> JSONValue {
    guard let name = schema["$ref"].string else {
      var result = schema
      switch schema["type"].string {
      case "string" where schema["format"] != "byte": result["default"] = ""
      case "integer", "number": result["default"] = 0
      case "boolean": result["default"] = false
      default: break
      }
      return result
    }
    // Texts that look like structures to programs of Go have no default.
    if OpenAPIFacts.texts.contains(where: { name.hasSuffix($0) }) { return schema }
    return ["default": [:], "allOf": [schema]]
  }

  /// A reference to the schema of a body that is no kind of this server, or any object when it is not described.
  mutating func reference(to kind: GroupVersionKind) -> JSONValue {
    guard let structure = sources.structure(kind) else { return ["type": "object"] }
    let name = OpenAPIName.of(structure) ?? OpenAPIName.ofCustom(kind)
    add(structure, as: name)
    if kind == .deleteOptions {
      byName[name]?[OpenAPIName.kindExtension] = OpenAPIScheme.kinds(kind.kind)
    } else if kind != .objectMeta {
      addKind(kind, to: name)
    }
    return Self.reference(name)
  }

  /// The body of every patch.
  mutating func patchReference() -> JSONValue {
    scalar(
      "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
      [
        "description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.",
        "type": "object",
      ])
  }

  /// An event of a watch.
  mutating func watchEventReference() -> JSONValue {
    let object = type(.rawObject)
    return scalar(
      "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent",
      [
        "description": "One event of a watch.", "type": "object", "required": ["type", "object"],
        "properties": [
          "object": ["description": "The object, or the status of what went wrong.", "allOf": [object]],
          "type": ["default": "", "description": "ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.", "type": "string"],
        ],
        OpenAPIName.kindExtension: OpenAPIScheme.kinds("WatchEvent"),
      ])
  }

  /// What /version says.
  mutating func versionReference() -> JSONValue { scalar(OpenAPIFacts.versionName, OpenAPIFacts.version) }

  /// A document of discovery.
  mutating func discoveryReference(_ kind: String) -> JSONValue {
    for (name, schema) in OpenAPIFacts.discovery(kind) where byName[name] == nil { byName[name] = schema }
    return Self.reference(OpenAPIFacts.meta + kind)
  }

  private static func reference(_ name: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(name)")] }

  /// Schemas of kinds list what they are; several kinds may share one.
  private mutating func addKind(_ kind: GroupVersionKind, to name: String) {
    let entry: JSONValue = [
      "group": .string(kind.group), "kind": .string(kind.kind), "version": .string(kind.version),
    ]
    var entries = byName[name]?[OpenAPIName.kindExtension]?.elements ?? []
    guard !entries.contains(entry) else { return }
    entries.append(entry)
    byName[name]?[OpenAPIName.kindExtension] = .array(entries)
  }

  /// A definition's own schema with the members that every object has.
  private static func completed(_ schema: JSONObject, by metadata: JSONValue) -> JSONObject {
    var result = embedded(.object(schema), metadata).object ?? schema
    var properties = result["properties"]?.object ?? JSONObject()
    for (name, member) in members(metadata) { properties[name] = member }
    result["properties"] = .object(properties)
    result["type"] = "object"
    return result
  }

  /// What every object has, as it is told of built-in kinds.
  private static func members(_ metadata: JSONValue) -> [(String, JSONValue)] {
    [
      ("apiVersion", ["description": .string(KindMembers.apiVersion), "type": "string"]),
      ("kind", ["description": .string(KindMembers.kind), "type": "string"]),
      ("metadata", ["allOf": [metadata], "description": .string(KindMembers.metadata)]),
    ]
  }

  /// Objects within an object are objects of some kind, too.
  private static func embedded(_ value: JSONValue, _ metadata: JSONValue) -> JSONValue {
    guard case .object(var schema) = value else { return value }
    if case .object(let properties)? = schema["properties"] {
      schema["properties"] = .object(
        JSONObject(uniqueMembers: properties.members.map { ($0.key, embedded($0.value, metadata)) }))
    }
    for key in ["items", "additionalProperties"] {
      if let inner = schema[key] { schema[key] = embedded(inner, metadata) }
    }
    guard schema["x-kubernetes-embedded-resource"] == true else { return .object(schema) }
    var properties = schema["properties"]?.object ?? JSONObject()
    for (name, member) in members(metadata) { properties[name] = member }
    schema["properties"] = .object(properties)
    let required = schema["required"]?.elements ?? []
    schema["required"] = .array(required + ["kind", "apiVersion"].filter { !required.contains($0) })
    return .object(schema)
  }

  // MARK: - Structures

  private mutating func add(_ structure: Structure, as name: String) {
    guard byName[name] == nil else { return }
    // Named before its members are described: structures may contain themselves.
    byName[name] = JSONObject()
    byName[name] = describe(structure)
  }

  private mutating func describe(_ structure: Structure) -> JSONObject {
    var schema = JSONObject()
    let description =
      structure.description.isEmpty ? sources.description(structure.name, nil) : structure.description
    if !description.isEmpty { schema["description"] = .string(description) }
    schema["type"] = "object"
    var properties = JSONObject()
    properties.reserveCapacity(structure.members.count)
    for member in structure.members { properties.appendUnique(member.name, property(member, of: structure)) }
    if !properties.isEmpty { schema["properties"] = .object(properties) }
    let required = structure.members.filter(\.isRequired).map { JSONValue.string($0.name) }
    if !required.isEmpty { schema["required"] = .array(required) }
    if structure.isAtomic { schema["x-kubernetes-map-type"] = "atomic" }
    for (key, value) in OpenAPIFacts.extensions[structure.name] ?? JSONObject() { schema[key] = value }
    if structure.preservesUnknownFields { schema["x-kubernetes-preserve-unknown-fields"] = true }
    return schema
  }

  private mutating func property(_ field: Field, of structure: Structure) -> JSONValue {
    var extra = JSONObject()
    let description =
      field.description.isEmpty ? sources.description(structure.name, field.name) : field.description
    if !description.isEmpty { extra["description"] = .string(description) }
    let place = "\(structure.name).\(field.name)"
    if OpenAPIFacts.defaults.contains(place), let value = field.defaultValue { extra["default"] = value }
    if !field.enumeration.isEmpty { extra["enum"] = .array(field.enumeration.map { .string($0) }) }
    describeMerging(of: field, in: &extra)
    for (key, value) in OpenAPIFacts.extensions[place] ?? JSONObject() { extra[key] = value }
    let isText = OpenAPIFacts.isFieldSet(place)
    var type = isText ? scalar(OpenAPIFacts.meta + "FieldsV1", OpenAPIFacts.fieldSet) : self.type(field.type)
    if extra["default"] == nil, !field.isPointer, field.isStructure || field.isAlwaysWritten, !isText {
      let full = Self.defaulted(type)
      if let value = full["default"].nonNull { extra["default"] = value }
      if type["$ref"].isNull { type = full }
    }
    guard case .object(let schema) = type, schema["$ref"] != nil else {
      var members = extra
      for (key, value) in type.object ?? JSONObject() { members[key] = value }
      return .object(members)
    }
    if extra.isEmpty { return type }
    // A reference has no siblings; what the field adds stands beside it.
    extra["allOf"] = [type]
    return .object(extra)
  }

  private func describeMerging(of field: Field, in schema: inout JSONObject) {
    switch field.type {
    case .array:
      switch field.listSemantics {
      case .atomic: schema["x-kubernetes-list-type"] = "atomic"
      case .set: schema["x-kubernetes-list-type"] = "set"
      case .map(let keys):
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = .array(keys.map { .string($0) })
      }
    case .map where field.isAtomic: schema["x-kubernetes-map-type"] = "atomic"
    default: break
    }
    let strategy = field.patchStrategy
    var names: [String] = []
    if strategy.merges { names.append("merge") }
    if strategy.retainsKeys { names.append("retainKeys") }
    if strategy.replaces { names.append("replace") }
    if !names.isEmpty { schema["x-kubernetes-patch-strategy"] = .string(names.joined(separator: ",")) }
    if let key = strategy.mergeKey { schema["x-kubernetes-patch-merge-key"] = .string(key) }
  }

  // MARK: - Types

  private mutating func type(_ type: FieldType) -> JSONValue {
    switch type {
    case .string: return ["type": "string"]
    case .bytes: return ["type": "string", "format": "byte"]
    case .boolean: return ["type": "boolean"]
    case .int32: return ["type": "integer", "format": "int32"]
    case .int64: return ["type": "integer", "format": "int64"]
    case .double: return ["type": "number", "format": "double"]
    case .array(let element): return ["type": "array", "items": Self.defaulted(self.type(element))]
    case .map(let element): return ["type": "object", "additionalProperties": Self.defaulted(self.type(element))]
    case .structure(let structure):
      guard let name = OpenAPIName.of(structure) else { return .object(describe(structure)) }
      add(structure, as: name)
      return Self.reference(name)
    case .quantity:
      return scalar(
        "io.k8s.apimachinery.pkg.api.resource.Quantity",
        [
          "description": "A number with a suffix, as text: 100m, 1Gi.",
          "oneOf": [["type": "string"], ["type": "number"]],
        ])
    case .intOrString:
      return scalar(
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        [
          "description": "A number, or a text such as 25%.", "format": "int-or-string",
          "oneOf": [["type": "integer"], ["type": "string"]],
        ])
    case .time:
      return scalar(
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
        ["description": "A point in time, RFC 3339 with seconds.", "type": "string", "format": "date-time"])
    case .microTime:
      return scalar(
        "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
        ["description": "A point in time, RFC 3339 with microseconds.", "type": "string", "format": "date-time"])
    case .duration:
      return scalar(
        "io.k8s.apimachinery.pkg.apis.meta.v1.Duration",
        ["description": "A span of time such as 1m30s.", "type": "string"])
    case .rawObject:
      return scalar(
        "io.k8s.apimachinery.pkg.runtime.RawExtension",
        ["description": "Any object, kept as it is.", "type": "object"])
    case .union(let structure):
      return scalar(
        OpenAPIName.of(structure) ?? structure.name, ["description": "An object, or something simpler in its place."])
    case .anyValue:
      return scalar(
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", ["description": "Any JSON value."])
    }
  }

  private mutating func scalar(_ name: String, _ schema: JSONObject) -> JSONValue {
    if byName[name] == nil { byName[name] = schema }
    return Self.reference(name)
  }
}

/// Names of schemas: those of the reference's packages, because clients know kinds by them.
enum OpenAPIName {
  static let kindExtension = "x-kubernetes-group-version-kind"

  private static let packages: [String: String] = [
    "meta": "io.k8s.apimachinery.pkg.apis.meta",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
  ]
  private static let apiPackages: Set<String> = [
    "admissionregistration", "apps", "authentication", "authorization", "autoscaling", "batch", "certificates",
    "coordination", "core", "discovery", "events", "flowcontrol", "networking", "node", "policy", "rbac", "scheduling",
    "storage",
  ]

  /// Of a built-in structure, "core.v1.Pod"; nil for one of a custom resource, which has no name clients could know.
  static func of(_ structure: Structure) -> String? {
    let parts = structure.name.split(separator: ".", maxSplits: 1)
    guard parts.count == 2, parts[1].utf8.first == UInt8(ascii: "v") else { return nil }
    let package = String(parts[0])
    if let full = packages[package] { return "\(full).\(parts[1])" }
    return apiPackages.contains(package) ? "io.k8s.api.\(structure.name)" : nil
  }

  /// Of a custom resource: "com.example.stable.v1.CronTab".
  static func ofCustom(_ kind: GroupVersionKind) -> String {
    let group = kind.group.split(separator: ".").reversed().joined(separator: ".")
    return "\(group.isEmpty ? "" : group + ".")\(kind.version).\(kind.kind)"
  }
}

extension GroupVersionKind {
  /// Asked for under these names of `OpenAPISources.structure`.
  static let objectMeta = GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "ObjectMeta")
  static let listMeta = GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "ListMeta")
  static let status = GroupVersionKind(group: "", version: "v1", kind: "Status")
  static let deleteOptions = GroupVersionKind(group: "", version: "v1", kind: "DeleteOptions")
}
