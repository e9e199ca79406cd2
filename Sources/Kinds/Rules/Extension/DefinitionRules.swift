// CustomResourceDefinitions: names, versions, schemas, conversion.
import JSON
import Schema

struct CustomResourceDefinitionRules: KindRules {
  var keptByStatus: [[String]] { [["metadata"]] }

  func applyDefaults(to object: inout JSONValue) {
    guard !object["spec"].isNull else { return }
    let kind = object["spec"]["names"]["kind"].text
    object["spec"]["names"]["singular"].setDefaultText(kind.lowercased())
    if !kind.isEmpty { object["spec"]["names"]["listKind"].setDefaultText(kind + "List") }
    if object["spec"]["conversion"].isNull { object["spec"]["conversion"] = ["strategy": "None"] }
  }

  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    object["status"] = ["conditions": .null, "acceptedNames": ["plural": "", "kind": ""]]
    let stored = object["spec"]["versions"].elements.first { $0["storage"] == true }
    object["status"]["storedVersions"] = .array(stored.map { [$0["name"]] } ?? [])
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
    versions(DefinitionParts(spec), spec, &checks)
    for name in ["plural", "singular", "kind", "listKind"] where spec["names"][name].isEmptyValue {
      checks.required("spec.names.\(name)")
    }
    names(spec["names"], "spec.names", &checks)
    DefinitionParts(spec).check(version: 0, areShared: true, &checks)
    conversion(spec["conversion"], &checks)
    // Authorities may be wrong until the kind is served, and those that were wrong before are not held against an
    // update: somebody may be about to set them right.
    if Self.isEstablished(old), DefinitionAuthority.problem(old) == nil,
      let (value, problem) = DefinitionAuthority.problem(object)
    {
      checks.invalid("spec.conversion.webhookClientConfig.caBundle", goValue: GoSyntax.bytes(value), problem)
    }
    names(object["status"]["acceptedNames"], "status.acceptedNames", &checks)
    if old.isNull { storedVersions(object, &checks) }
    if spec["preserveUnknownFields"] == true {
      checks.invalid(
        "spec.preserveUnknownFields", true,
        "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead")
    }
    return checks.errors
  }

  private static func isEstablished(_ definition: JSONValue) -> Bool {
    definition["status"]["conditions"].elements.contains { $0["type"] == "Established" && $0["status"] == "True" }
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

  private func versions(_ parts: DefinitionParts, _ spec: JSONValue, _ checks: inout Checks) {
    let versions = spec["versions"].elements
    for (index, version) in versions.enumerated() where version["schema"]["openAPIV3Schema"].isNull {
      checks.required("spec.versions[\(index)].schema.openAPIV3Schema", "schemas are required")
    }
    for (index, version) in versions.enumerated() {
      let wrong = Validate.dns1035Label(version["name"].text)
      if !wrong.isEmpty {
        checks.invalid("spec.versions[\(index)].name", version["name"], wrong.joined(separator: ","))
      }
      parts.check(version: index, areShared: false, &checks)
    }
    if Set(versions.map { $0["name"] }).count < versions.count {
      checks.invalid("spec.versions", goValue: parts.printedVersions, "must contain unique version names")
    }
    if versions.count(where: { $0["storage"] == true }) != 1 {
      checks.invalid(
        "spec.versions", goValue: parts.printedVersions, "must have exactly one version marked as storage version")
    }
  }

  /// What is wrong with the rules of the schemas, but for those that stay as they were.
  private func expressions(_ spec: JSONValue, old: JSONValue = .null) -> [FieldError] {
    let known = DefinitionExpressions.Known(old)
    var errors: [FieldError] = []
    for (index, version) in spec["versions"].elements.enumerated() {
      let schema = version["schema"]["openAPIV3Schema"]
      guard !schema.isNull, let place = DefinitionParts(spec).place("schema", index) else { continue }
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
    if Self.isEstablished(old) {
      checks.immutable(object["spec"]["scope"], old["spec"]["scope"], "spec.scope")
      checks.immutable(object["spec"]["names"]["kind"], old["spec"]["names"]["kind"], "spec.names.kind")
    }
    checks.immutable(object["spec"]["group"], old["spec"]["group"], "spec.group")
    checks.immutable(object["spec"]["names"]["plural"], old["spec"]["names"]["plural"], "spec.names.plural")
    storedVersions(object, &checks)
    return checks.errors + expressions(object["spec"], old: old) + approvalErrors(object, old: old)
  }
  private func storedVersions(_ object: JSONValue, _ checks: inout Checks) {
    let path = "status.storedVersions"
    let stored = object["status"]["storedVersions"]
    if stored.isEmptyValue {
      return checks.invalid(path, goValue: "[]string(nil)", "must have at least one stored version")
    }
    let versions = object["spec"]["versions"].elements
    for version in versions where version["storage"] == true && !stored.elements.contains(version["name"]) {
      checks.invalid(path, stored, "must have the storage version \(version["name"].text)")
    }
    for (index, name) in stored.elements.enumerated() where !versions.contains(where: { $0["name"] == name }) {
      checks.invalid(
        "\(path)[\(index)]", name,
        "missing from spec.versions; \(name.text) was previously a storage "
          + "version, and must remain in spec.versions until a storage migration ensures no data remains persisted "
          + "in \(name.text) and removes \(name.text) from status.storedVersions")
    }
  }
}

/// Whom the converter of a definition is trusted by.
public enum DefinitionAuthority {
  static func problem(_ definition: JSONValue) -> (value: [UInt8], problem: String)? {
    let conversion = definition["spec"]["conversion"]
    let text = conversion["webhook"]["clientConfig"]["caBundle"]
    guard conversion["strategy"] == "Webhook", !text.isEmptyValue, let bytes = try? Base64.decode(text.text) else {
      return nil
    }
    return PEMText.problem(ofAuthorities: bytes).map { (bytes, $0) }
  }

  /// A kind whose converter cannot be trusted is not served.
  public static func isSound(_ definition: JSONValue) -> Bool { problem(definition) == nil }
}
