// What the versions of a definition have of their own: schemas, subresources, columns, fields to select by.
import JSON
import Schema

struct DefinitionParts {
  private let versions: [JSONValue]
  /// Members that all versions have alike: the reference keeps them in one place, and names them by it.
  private let shared: Set<String>

  private static let sharedPlaces = [
    "schema": "validation", "subresources": "subresources", "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
  ]

  init(_ spec: JSONValue) {
    let versions = spec["versions"].elements
    self.versions = versions
    shared = Set(
      Self.sharedPlaces.keys.filter { name in
        versions.allSatisfy { !$0[name].isEmptyValue && $0[name] == versions[0][name] }
      })
  }

  /// Where a member of a version is told of; nil if it is told of elsewhere.
  func place(_ member: String, _ index: Int) -> String? {
    guard shared.contains(member) else { return "spec.versions[\(index)].\(member)" }
    return index == 0 ? "spec.\(Self.sharedPlaces[member] ?? member)" : nil
  }

  /// What is wrong with the parts of a version, or with those that all versions share.
  func check(version index: Int, areShared: Bool, _ checks: inout Checks) {
    guard index < versions.count else { return }
    let version = versions[index]
    if !areShared { deprecation(version, "spec.versions[\(index)].deprecationWarning", &checks) }
    func place(_ member: String) -> String? {
      shared.contains(member) == areShared && !version[member].isNull ? self.place(member, index) : nil
    }
    if let place = place("schema") { schema(version, "\(place).openAPIV3Schema", areShared: areShared, &checks) }
    if let place = place("subresources") { scale(version["subresources"]["scale"], place, &checks) }
    if let place = place("additionalPrinterColumns") {
      for (number, column) in version["additionalPrinterColumns"].elements.enumerated() {
        self.column(column, "\(place)[\(number)]", &checks)
      }
    }
    if let place = place("selectableFields") { selectableFields(version, place, &checks) }
  }

  /// The versions as Go prints them: what is shared is not theirs, and of what else is there one sees an address.
  var printedVersions: String {
    let type = "apiextensions.CustomResourceDefinitionVersion"
    let texts = versions.map { version in
      func own(_ member: String) -> JSONValue { shared.contains(member) ? .null : version[member] }
      func flag(_ name: String) -> Bool { version[name].bool ?? false }
      func list(_ member: String, _ name: String) -> String {
        own(member).isEmptyValue ? "[]apiextensions.\(name)(nil)" : "[]apiextensions.\(name){…}"
      }
      let members = [
        "Name:\(GoSyntax.quoted(version["name"].text))", "Served:\(flag("served"))", "Storage:\(flag("storage"))",
        "Deprecated:\(flag("deprecated"))",
        "DeprecationWarning:\(GoSyntax.pointer(version["deprecationWarning"], "string"))",
        "Schema:\(GoSyntax.pointer(own("schema"), "apiextensions.CustomResourceValidation"))",
        "Subresources:\(GoSyntax.pointer(own("subresources"), "apiextensions.CustomResourceSubresources"))",
        "AdditionalPrinterColumns:\(list("additionalPrinterColumns", "CustomResourceColumnDefinition"))",
        "SelectableFields:\(list("selectableFields", "SelectableField"))",
      ]
      return "\(type){\(members.joined(separator: ", "))}"
    }
    return "[]\(type){\(texts.joined(separator: ", "))}"
  }

  private func deprecation(_ version: JSONValue, _ field: String, _ checks: inout Checks) {
    guard let text = version["deprecationWarning"].string else { return }
    guard version["deprecated"] == true else {
      return checks.invalid(field, .string(text), "can only be set for deprecated versions")
    }
    if text.utf8.count > 256 { checks.invalid(field, .string(text), "must be <= 256 characters long") }
    if text.isEmpty { checks.invalid(field, .string(text), "must not be an empty string") }
    if let index = text.unicodeScalars.firstIndex(where: { !Self.isPrinted($0) }) {
      let offset = text.utf8.distance(from: text.utf8.startIndex, to: index)
      checks.invalid(
        field, .string(text),
        "must only contain printable UTF-8 characters; non-printable character found at index \(offset)")
    }
  }

  private static func isPrinted(_ character: Unicode.Scalar) -> Bool {
    switch character.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: character == " "
    default: true
    }
  }

  // MARK: Schemas

  private func schema(_ version: JSONValue, _ field: String, areShared: Bool, _ checks: inout Checks) {
    let schema = version["schema"]["openAPIV3Schema"]
    guard !schema.isNull else { return }
    let hasStatus = (areShared ? versions : [version]).contains { !$0["subresources"]["status"].isNull }
    if hasStatus { root(schema, field, &checks) }
    let found = StructuralRules.errors(schema, path: field)
    checks.report(found.structure + found.general)
  }

  /// The schema of the status is taken out of the whole: what stands at the root would be lost.
  private func root(_ schema: JSONValue, _ field: String, _ checks: inout Checks) {
    let lost = (schema.object ?? [:]).filter { !$0.value.isEmptyValue && Self.isLost($0.key) }.map(\.key)
    let type = schema["type"]
    // (The first mistake counts, in the order of the members in Go.)
    if !type.isEmptyValue, type != "object", lost.allSatisfy({ !["id", "$schema", "$ref"].contains($0) }) {
      checks.invalid(
        "\(field).type", type,
        "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled")
    } else if !lost.isEmpty {
      checks.invalid(
        field, goValue: "apiextensions.JSONSchemaProps{}",
        "only [\(Self.fieldsAtRoot.map(\.go).joined(separator: " "))] fields are allowed at the root of the schema if "
          + "the status subresource is enabled")
    }
  }

  /// What the root of a schema may say when there is a status subresource, by its name in Go.
  private static let fieldsAtRoot: [(name: String, go: String)] = [
    ("description", "Description"), ("type", "Type"), ("format", "Format"), ("title", "Title"),
    ("maximum", "Maximum"), ("exclusiveMaximum", "ExclusiveMaximum"), ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"), ("maxLength", "MaxLength"), ("minLength", "MinLength"),
    ("pattern", "Pattern"), ("maxItems", "MaxItems"), ("minItems", "MinItems"), ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"), ("required", "Required"), ("items", "Items"), ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"), ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"), ("x-kubernetes-validations", "XValidations"),
  ]
  private static func isLost(_ name: String) -> Bool { !fieldsAtRoot.contains { $0.name == name } }

  // MARK: Subresources, columns, fields

  private func path(_ value: JSONValue, _ place: String, _ checks: inout Checks) -> Bool {
    if value.isEmptyValue {
      checks.required(place)
    } else if !value.text.hasPrefix(".") {
      checks.invalid(place, value, "must be a simple json path starting with .")
    } else {
      return true
    }
    return false
  }

  private func scale(_ scale: JSONValue, _ place: String, _ checks: inout Checks) {
    guard !scale.isNull else { return }
    for (name, root) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
      let field = "\(place).scale.\(name)"
      if path(scale[name], field, &checks), !scale[name].text.hasPrefix(root) {
        checks.invalid(field, scale[name], "should be a json path under \(root.dropLast())")
      }
    }
    let selector = scale["labelSelectorPath"]
    guard !selector.isEmptyValue, path(selector, "\(place).scale.labelSelectorPath", &checks) else { return }
    if !selector.text.hasPrefix(".spec."), !selector.text.hasPrefix(".status.") {
      checks.invalid(
        "\(place).scale.labelSelectorPath", selector, "should be a json path under either .spec or .status")
    }
  }

  private static let columnTypes = ["boolean", "date", "integer", "number", "string"]
  private static let columnFormats = [
    "byte", "date", "date-time", "double", "float", "int32", "int64", "password",
  ]

  private func column(_ column: JSONValue, _ place: String, _ checks: inout Checks) {
    if column["name"].isEmptyValue { checks.required("\(place).name") }
    let types = "must be one of \(Self.columnTypes.joined(separator: ","))"
    if column["type"].isEmptyValue {
      checks.required("\(place).type", types)
    } else if !Self.columnTypes.contains(column["type"].text) {
      checks.invalid("\(place).type", column["type"], types)
    }
    if !column["format"].isEmptyValue, !Self.columnFormats.contains(column["format"].text) {
      checks.invalid(
        "\(place).format", column["format"], "must be one of \(Self.columnFormats.joined(separator: ","))")
    }
    _ = path(column["jsonPath"], "\(place).JSONPath", &checks)
  }

  private static let selectableFieldsMaximum = 8

  private func selectableFields(_ version: JSONValue, _ place: String, _ checks: inout Checks) {
    var seen: Set<String> = []
    for (index, field) in version["selectableFields"].elements.enumerated() {
      let place = "\(place)[\(index)].jsonPath"
      let value = field["jsonPath"]
      guard !value.isEmptyValue else {
        checks.required(place)
        continue
      }
      let field = Self.field(value.text, of: version["schema"]["openAPIV3Schema"])
      if let reason = field.reason {
        checks.invalid(place, value, "is an invalid path: \(reason)")
        continue
      }
      let schema = field.schema
      if field.isOfMetadata { checks.invalid(place, value, "must not point to fields in metadata") }
      if !["string", "boolean", "integer"].contains(schema["type"].text) {
        checks.invalid(
          place, value,
          "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are "
            + "allowed.")
      }
      if !seen.insert(value.text).inserted { checks.duplicate(place, value) }
    }
    if seen.count > Self.selectableFieldsMaximum {
      checks.report(.tooMany(place, actual: seen.count, maximum: Self.selectableFieldsMaximum))
    }
  }

  /// What a path of names leads to in a schema, or why it leads nowhere.
  private static func field(
    _ path: String, of root: JSONValue
  ) -> (schema: JSONValue, isOfMetadata: Bool, reason: String?) {
    var rest = path[...]
    var schema = root
    var first: Substring?
    func fails(_ reason: String) -> (schema: JSONValue, isOfMetadata: Bool, reason: String?) { (.null, false, reason) }
    func isDelimiter(_ character: Character) -> Bool { ".[]".contains(character) }
    func takeToken() -> Substring? {
      guard let head = rest.first else { return nil }
      let token = isDelimiter(head) ? rest.prefix(1) : rest.prefix { !isDelimiter($0) }
      rest = rest.dropFirst(token.count)
      return token
    }
    while let token = takeToken() {
      if token == "[" { return fails("array notation is not allowed") }
      guard token == "." else { return fails("expected [ or . but got: \(token)") }
      guard let name = takeToken() else { return fails("unexpected end of JSON path") }
      let isNamed = !schema["properties"].isNull
      schema = isNamed ? schema["properties"][String(name)] : schema["additionalProperties"]
      guard schema.object != nil else { return fails("does not refer to a valid field") }
      first = first ?? name
    }
    return (schema, first == "metadata", nil)
  }
}
