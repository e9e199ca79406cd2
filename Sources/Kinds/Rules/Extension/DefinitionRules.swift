// CustomResourceDefinitions: names, versions, schemas, conversion.
import JSON
import Schema

struct CustomResourceDefinitionRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {
    guard !object["spec"].isNull else { return }
    let kind = object["spec"]["names"]["kind"].text
    object["spec"]["names"]["singular"].setDefaultText(kind.lowercased())
    object["spec"]["names"]["listKind"].setDefaultText(kind + "List")
    object["spec"]["conversion"]["strategy"].setDefaultText("None")
  }

  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    object["status"] = ["conditions": .null, "acceptedNames": ["plural": "", "kind": ""]]
    let stored = object["spec"]["versions"].elements.filter { $0["storage"] == true }.map { $0["name"] }
    object["status"]["storedVersions"] = .array(stored)
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    for version in object["spec"]["versions"].elements
    where version["storage"] == true && !object["status"]["storedVersions"].elements.contains(version["name"]) {
      object["status"]["storedVersions"].append(version["name"])
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] { validate(object, replacing: .null) }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    if object["metadata"]["name"].text != "\(spec["names"]["plural"].text).\(spec["group"].text)" {
      checks.invalid(
        "metadata.name", object["metadata"]["name"], "must be spec.names.plural+\".\"+spec.group")
    }
    group(spec["group"], &checks)
    checks.oneOf(spec["scope"], "spec.scope", ["Cluster", "Namespaced"])
    versions(spec, &checks)
    for name in ["plural", "singular", "kind", "listKind"] where spec["names"][name].isEmptyValue {
      checks.required("spec.names.\(name)")
    }
    names(spec["names"], "spec.names", &checks)
    schemas(spec, &checks)
    parts(spec, &checks)
    conversion(spec["conversion"], &checks)
    // Authorities that were wrong before are not held against an update.
    if Self.authorityProblem(old) == nil, let (value, problem) = Self.authorityProblem(object) {
      checks.invalid("spec.conversion.webhookClientConfig.caBundle", goValue: GoSyntax.bytes(value), problem)
    }
    names(object["status"]["acceptedNames"], "status.acceptedNames", &checks)
    if spec["preserveUnknownFields"] == true {
      checks.invalid(
        "spec.preserveUnknownFields", true,
        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead")
    }
    return checks.errors
  }

  private static func authorityProblem(_ definition: JSONValue) -> (value: [UInt8], problem: String)? {
    let conversion = definition["spec"]["conversion"]
    let text = conversion["webhook"]["clientConfig"]["caBundle"]
    guard conversion["strategy"] == "Webhook", !text.isEmptyValue, let bytes = try? Base64.decode(text.text) else {
      return nil
    }
    return PEMText.problem(ofAuthorities: bytes).map { (bytes, $0) }
  }

  private func group(_ group: JSONValue, _ checks: inout Checks) {
    guard !group.isEmptyValue else { return checks.required("spec.group") }
    let wrong = Validate.dns1123Subdomain(group.text)
    if !wrong.isEmpty {
      checks.invalid("spec.group", group, wrong.joined(separator: ","))
    } else if !group.text.contains(".") {
      checks.invalid("spec.group", group, "should be a domain with at least one dot")
    }
  }

  /// Groups of the project itself are not for everybody.
  func validateCreate(_ object: JSONValue) -> [FieldError] {
    expressions(object["spec"]) + approvalErrors(object, old: nil)
  }

  private func approvalErrors(_ object: JSONValue, old: JSONValue?) -> [FieldError] {
    guard let approval = DefinitionApproval(object) else { return [] }
    // Who changes something else is not asked for what was missing before.
    if let old = old.flatMap({ DefinitionApproval($0, group: object["spec"]["group"].text) }),
      old.state == approval.state
    {
      return []
    }
    let field = "metadata.annotations[\(DefinitionApproval.annotation)]"
    switch approval.state {
    case .approved, .bypassed: return []
    case .missing: return [.required(field, approval.message)]
    case .invalid:
      return [.invalid(field, object["metadata"]["annotations"][DefinitionApproval.annotation], approval.message)]
    }
  }

  private func names(_ names: JSONValue, _ path: String, _ checks: inout Checks) {
    func check(_ value: JSONValue, _ place: String, lowercased: Bool = false) {
      guard !value.isEmptyValue else { return }
      let wrong = Validate.dns1035Label(lowercased ? value.text.lowercased() : value.text)
      guard !wrong.isEmpty else { return }
      let detail = wrong.joined(separator: ",")
      checks.invalid(
        place, value, lowercased ? "may have mixed case, but should otherwise match: \(detail)" : detail)
    }
    for name in ["plural", "singular"] { check(names[name], "\(path).\(name)") }
    for name in ["kind", "listKind"] { check(names[name], "\(path).\(name)", lowercased: true) }
    for (index, name) in names["shortNames"].elements.enumerated() { check(name, "\(path).shortNames[\(index)]") }
    if !names["kind"].isEmptyValue, names["kind"] == names["listKind"] {
      checks.invalid("\(path).listKind", names["listKind"], "kind and listKind may not be the same")
    }
    for (index, name) in names["categories"].elements.enumerated() { check(name, "\(path).categories[\(index)]") }
  }

  private func versions(_ spec: JSONValue, _ checks: inout Checks) {
    var seen: Set<String> = []
    var areUnique = true
    var storedCount = 0
    for (index, version) in spec["versions"].elements.enumerated() {
      let place = "spec.versions[\(index)]"
      if version["storage"] == true { storedCount += 1 }
      let wrong = Validate.dns1035Label(version["name"].text)
      if !wrong.isEmpty { checks.invalid("\(place).name", version["name"], wrong.joined(separator: ",")) }
      if !seen.insert(version["name"].text).inserted { areUnique = false }
      if version["schema"]["openAPIV3Schema"].isNull {
        checks.required("\(place).schema.openAPIV3Schema", "schemas are required")
      }
      deprecation(version, place, &checks)
    }
    if !areUnique { checks.invalid("spec.versions", spec["versions"], "must contain unique version names") }
    if storedCount != 1 {
      checks.invalid(
        "spec.versions", spec["versions"], "must have exactly one version marked as storage version")
    }
  }

  private func deprecation(_ version: JSONValue, _ place: String, _ checks: inout Checks) {
    guard let text = version["deprecationWarning"].string else { return }
    let field = "\(place).deprecationWarning"
    if version["deprecated"] != true {
      checks.invalid(field, .string(text), "can only be set for deprecated versions")
    } else if text.utf8.count > 256 {
      checks.invalid(field, .string(text), "must be <= 256 characters long")
    } else if text.isEmpty {
      checks.invalid(field, .string(text), "must not be an empty string")
    }
  }

  /// What all versions have alike the reference keeps in one place, and names by it.
  private func place(_ member: String, _ old: String, _ index: Int, _ spec: JSONValue) -> String? {
    let versions = spec["versions"].elements
    let areAlike = versions.allSatisfy { !$0[member].isEmptyValue && $0[member] == versions[0][member] }
    if areAlike { return index == 0 ? "spec.\(old)" : nil }
    return "spec.versions[\(index)].\(member)"
  }

  private func schemas(_ spec: JSONValue, _ checks: inout Checks) {
    for (index, version) in spec["versions"].elements.enumerated() {
      let schema = version["schema"]["openAPIV3Schema"]
      guard !schema.isNull, let place = place("schema", "validation", index, spec) else { continue }
      let field = "\(place).openAPIV3Schema"
      // The schema of the status is taken out of the whole: what stands at the root would be lost.
      let hasStatus =
        place == "spec.validation"
        ? spec["versions"].elements.contains { !$0["subresources"]["status"].isNull }
        : !version["subresources"]["status"].isNull
      if hasStatus, schema.object?.contains(where: { Self.isLost($0.key) && !$0.value.isEmptyValue }) == true {
        checks.invalid(
          field, goValue: "apiextensions.JSONSchemaProps{}",
          "only [\(Self.fieldsAtRoot.map(\.go).joined(separator: " "))] fields are allowed at the root of the schema if "
            + "the status subresource is enabled")
      }
      let found = StructuralRules.errors(schema, path: field)
      checks.report(found.structure + found.general)
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

  /// What is wrong with the rules of the schemas, but for those that stay as they were.
  private func expressions(_ spec: JSONValue, old: JSONValue = .null) -> [FieldError] {
    let known = DefinitionExpressions.Known(old)
    var errors: [FieldError] = []
    for (index, version) in spec["versions"].elements.enumerated() {
      let schema = version["schema"]["openAPIV3Schema"]
      guard !schema.isNull, let place = place("schema", "validation", index, spec) else { continue }
      let former = old["spec"]["versions"].elements.first { $0["name"] == version["name"] }
      if former?["schema"]["openAPIV3Schema"] == schema { continue }
      let found = StructuralRules.errors(schema, path: "\(place).openAPIV3Schema")
      guard found.structure.isEmpty else { continue }
      let defaults = Self.defaultErrors(schema, "\(place).openAPIV3Schema")
      guard defaults.isEmpty else {
        errors += defaults
        continue
      }
      errors += DefinitionExpressions.errors(
        schema, path: "\(place).openAPIV3Schema", known: known, schemaErrors: found.general)
    }
    return errors
  }

  /// What the rules of a schema say of the defaults that stand in it.
  private static func defaultErrors(_ schema: JSONValue, _ path: String) -> [FieldError] {
    var errors: [FieldError] = []
    if !schema["default"].isNull {
      let structural = StructuralSchema(schema)
      if structural.hasRules {
        errors += SchemaRules(structural, isRoot: false).errors(inDefault: schema["default"], path: "\(path).default")
      }
    }
    for (name, property) in (schema["properties"].object ?? [:]).sorted(by: { $0.key < $1.key }) {
      errors += defaultErrors(property, "\(path).properties[\(name)]")
    }
    for member in ["items", "additionalProperties"] where schema[member].object != nil {
      errors += defaultErrors(schema[member], "\(path).\(member)")
    }
    return errors
  }

  private func parts(_ spec: JSONValue, _ checks: inout Checks) {
    for (index, version) in spec["versions"].elements.enumerated() {
      if let place = place("subresources", "subresources", index, spec) {
        scale(version["subresources"]["scale"], place, &checks)
      }
      if let place = place("additionalPrinterColumns", "additionalPrinterColumns", index, spec) {
        for (number, column) in version["additionalPrinterColumns"].elements.enumerated() {
          self.column(column, "\(place)[\(number)]", &checks)
        }
      }
      if let place = place("selectableFields", "selectableFields", index, spec) {
        selectableFields(version, place, &checks)
      }
    }
  }

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
      guard let names = (try? FieldPath(value.text))?.names, let first = names.first else {
        checks.invalid(place, value, "is an invalid path: does not refer to a valid field")
        continue
      }
      if first == "metadata" { checks.invalid(place, value, "must not point to fields in metadata") }
      var schema = version["schema"]["openAPIV3Schema"]
      for name in names { schema = schema["properties"][name] }
      if schema.isNull {
        checks.invalid(place, value, "is an invalid path: does not refer to a valid field")
        continue
      }
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

  private func conversion(_ conversion: JSONValue, _ checks: inout Checks) {
    checks.oneOf(conversion["strategy"], "spec.conversion.strategy", ["None", "Webhook"])
    let client = conversion["webhook"]["clientConfig"]
    let versions = conversion["webhook"]["conversionReviewVersions"]
    guard conversion["strategy"] == "Webhook" else {
      if !client.isNull {
        checks.forbidden(
          "spec.conversion.webhookClientConfig", "should not be set when strategy is not set to Webhook")
      }
      if !versions.isEmptyValue {
        checks.forbidden(
          "spec.conversion.conversionReviewVersions", "should not be set when strategy is not set to Webhook")
      }
      return
    }
    if client.isNull {
      checks.required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook")
    } else {
      checks.webhookClient(client, "spec.conversion.webhookClientConfig")
    }
    if versions.isEmptyValue {
      checks.required("spec.conversion.conversionReviewVersions")
      return
    }
    var seen: Set<String> = []
    for (index, version) in versions.elements.enumerated() {
      let place = "spec.conversion.conversionReviewVersions[\(index)]"
      if !seen.insert(version.text).inserted {
        checks.invalid(place, version, "duplicate version")
      } else {
        checks.text(version, place, Validate.dns1035Label)
      }
    }
    if !versions.elements.contains(where: { $0 == "v1" || $0 == "v1beta1" }) {
      checks.invalid(
        "spec.conversion.conversionReviewVersions", versions, "must include at least one of v1, v1beta1")
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let isEstablished = old["status"]["conditions"].elements.contains {
      $0["type"] == "Established" && $0["status"] == "True"
    }
    if isEstablished {
      checks.immutable(object["spec"]["scope"], old["spec"]["scope"], "spec.scope")
      checks.immutable(object["spec"]["names"]["kind"], old["spec"]["names"]["kind"], "spec.names.kind")
    }
    checks.immutable(object["spec"]["group"], old["spec"]["group"], "spec.group")
    checks.immutable(object["spec"]["names"]["plural"], old["spec"]["names"]["plural"], "spec.names.plural")
    let storedVersions = object["status"]["storedVersions"]
    if storedVersions.isEmptyValue {
      checks.invalid("status.storedVersions", goValue: "[]string(nil)", "must have at least one stored version")
    }
    for (index, stored) in storedVersions.elements.enumerated()
    where !object["spec"]["versions"].elements.contains(where: { $0["name"] == stored }) {
      checks.invalid(
        "status.storedVersions[\(index)]", stored,
        "missing from spec.versions; \(stored.text) was previously a storage "
          + "version, and must remain in spec.versions until a storage migration ensures no data remains persisted "
          + "in \(stored.text) and removes \(stored.text) from status.storedVersions")
    }
    return checks.errors + expressions(object["spec"], old: old) + approvalErrors(object, old: old)
  }
}
