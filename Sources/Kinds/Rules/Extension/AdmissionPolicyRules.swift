// Validating admission policies and their bindings: everything but their expressions, which are checked where the
// language is known.
import JSON
import Schema

struct AdmissionPolicyRules: KindRules {
  private static let auditAnnotationsMaximum = 20
  private static let valueExpressionBytesMaximum = 5 * 1024
  private static let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"]

  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    keepMetadata(of: old, in: &object)
  }

  func validate(_ object: JSONValue) -> [FieldError] { validate(object, replacing: .null) }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.oneOf(spec["failurePolicy"], "spec.failurePolicy", ["Fail", "Ignore"])
    if !spec["paramKind"].isNull { paramKind(spec["paramKind"], "spec.paramKind", &checks) }
    if spec["matchConstraints"].isNull {
      checks.required("spec.matchConstraints")
    } else {
      checks.matchResources(spec["matchConstraints"], "spec.matchConstraints")
      if spec["matchConstraints"]["resourceRules"].isEmptyValue {
        checks.required("spec.matchConstraints.resourceRules")
      }
    }
    // What stands there already is not judged again.
    let before = old["spec"]
    if old.isNull || spec["paramKind"] != before["paramKind"] || spec["matchConditions"] != before["matchConditions"] {
      checks.matchConditions(spec["matchConditions"], "spec.matchConditions")
    }
    for (index, variable) in spec["variables"].elements.enumerated() {
      self.variable(variable, "spec.variables[\(index)]", &checks)
    }
    if spec["validations"].isEmptyValue, spec["auditAnnotations"].isEmptyValue {
      let why = "validations or auditAnnotations must contain at least one item"
      checks.required("spec.validations", why)
      checks.required("spec.auditAnnotations", why)
      return checks.errors
    }
    for (index, validation) in spec["validations"].elements.enumerated() {
      self.validation(validation, "spec.validations[\(index)]", &checks)
    }
    auditAnnotations(spec["auditAnnotations"], object["metadata"]["name"].text, &checks)
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let status = object["status"]
    for (index, warning) in status["typeChecking"]["expressionWarnings"].elements.enumerated() {
      let place = "status.typeChecking.expressionWarnings[\(index)]"
      if warning["warning"].isEmptyValue { checks.required("\(place).warning") }
      if warning["fieldRef"].text.isBlank { checks.required("\(place).fieldRef") }
    }
    checks.conditions(status["conditions"], "status.conditions")
    return checks.errors
  }

  private func paramKind(_ kind: JSONValue, _ place: String, _ checks: inout Checks) {
    let version = kind["apiVersion"].text
    let parts = version.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    if version.isEmpty {
      checks.required("\(place).apiVersion")
    } else if parts.count > 2 {
      checks.invalid("\(place).apiVersion", kind["apiVersion"], "unexpected GroupVersion string: \(version)")
    } else {
      let group = parts.count == 2 ? parts[0] : ""
      let problems = group.isEmpty ? [] : Validate.dns1123Subdomain(group)
      if !problems.isEmpty {
        checks.invalid("\(place).apiVersion", .string(group), problems.joined(separator: ","))
      }
      let last = parts.last ?? ""
      if last.isEmpty {
        checks.invalid("\(place).apiVersion", kind["apiVersion"], "version must be specified")
      } else {
        let problems = Validate.dns1035Label(last)
        if !problems.isEmpty { checks.invalid("\(place).apiVersion", .string(last), problems.joined(separator: ",")) }
      }
    }
    if kind["kind"].isEmptyValue { return checks.required("\(place).kind") }
    let problems = Validate.dns1035Label(kind["kind"].text.lowercased())
    if !problems.isEmpty {
      checks.invalid(
        "\(place).kind", kind["kind"],
        "may have mixed case, but should otherwise match: \(problems.joined(separator: ","))")
    }
  }

  private func variable(_ variable: JSONValue, _ place: String, _ checks: inout Checks) {
    if variable["name"].text.isBlank {
      checks.required("\(place).name", "name is not specified")
    } else if !Self.isIdentifier(variable["name"].text) {
      checks.invalid("\(place).name", variable["name"], "name is not a valid CEL identifier")
    }
    if variable["expression"].text.isBlank { checks.required("\(place).expression", "expression is not specified") }
  }

  private static let reserved: Set<String> = [
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
    "let", "loop", "package", "namespace", "return", "var", "void", "while",
  ]

  private static func isIdentifier(_ name: String) -> Bool {
    Validate.cIdentifier(name).isEmpty && !reserved.contains(name)
  }

  private func validation(_ validation: JSONValue, _ place: String, _ checks: inout Checks) {
    if validation["expression"].text.isBlank {
      checks.required("\(place).expression", "expression is not specified")
    }
    let messageExpression = validation["messageExpression"]
    if !messageExpression.isEmptyValue, messageExpression.text.isBlank {
      checks.invalid("\(place).messageExpression", messageExpression, "must be non-empty if specified")
    }
    let message = validation["message"]
    if !message.isEmptyValue {
      if message.text.isBlank {
        checks.invalid("\(place).message", message, "message must be non-empty if specified")
      } else if Self.hasLineBreakInside(message.text) {
        checks.invalid("\(place).message", message, "message must not contain line breaks")
      }
    }
    if !validation["reason"].isNull, !Self.reasons.contains(validation["reason"].text) {
      checks.notSupported("\(place).reason", validation["reason"], Self.reasons)
    }
  }

  /// A line break with something before and after it.
  private static func hasLineBreakInside(_ text: String) -> Bool {
    let trimmed = text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace)
    return trimmed.contains { $0.isNewline }
  }

  private func auditAnnotations(_ annotations: JSONValue, _ policy: String, _ checks: inout Checks) {
    let all = annotations.elements
    if all.count > Self.auditAnnotationsMaximum {
      checks.invalid(
        "spec.auditAnnotations", annotations,
        "must not have more than \(Self.auditAnnotationsMaximum) auditAnnotations")
    }
    var keys: Set<String> = []
    for (index, annotation) in all.enumerated() {
      let place = "spec.auditAnnotations[\(index)]"
      let key = annotation["key"].text
      if policy.isEmpty {
        checks.invalid("\(place).key", .string(key), "requires metadata.name be non-empty")
      } else {
        checks.text(.string("\(policy)/\(key)"), "\(place).key", Validate.qualifiedName)
      }
      let expression = annotation["valueExpression"].text.trimmed
      if expression.isEmpty {
        checks.required("\(place).valueExpression", "valueExpression is not specified")
      } else if expression.utf8.count > Self.valueExpressionBytesMaximum {
        checks.required(
          "\(place).valueExpression", "must not exceed \(Self.valueExpressionBytesMaximum) bytes in length")
      }
      if !keys.insert(key).inserted { checks.duplicate("\(place).key", .string(key)) }
    }
  }
}

struct AdmissionPolicyBindingRules: KindRules {
  private static let actions = ["Audit", "Deny", "Warn"]

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.requiredText(spec["policyName"], "spec.policyName") { Validate.nameIsDNSSubdomain($0) }
    if !spec["paramRef"].isNull { paramReference(spec["paramRef"], "spec.paramRef", &checks) }
    // The reference spells the field so in its messages.
    if !spec["matchResources"].isNull { checks.matchResources(spec["matchResources"], "spec.matchResouces") }
    validationActions(spec["validationActions"], "spec.validationActions", &checks)
    return checks.errors
  }

  private func validationActions(_ value: JSONValue, _ place: String, _ checks: inout Checks) {
    let actions = value.elements
    var seen: Set<String> = []
    for (index, action) in actions.enumerated() {
      if !Self.actions.contains(action.text) { checks.notSupported("\(place)[\(index)]", action, Self.actions) }
      if !seen.insert(action.text).inserted { checks.duplicate("\(place)[\(index)]", action) }
    }
    if seen.isSuperset(of: ["Deny", "Warn"]) {
      checks.invalid(
        place, goValue: GoSyntax.strings(value, of: "admissionregistration.ValidationAction"),
        "must not contain both Deny and Warn (repeating the same validation failure information in the API response "
          + "and headers serves no purpose)")
    }
    if actions.isEmpty { checks.required(place, "at least one validation action is required") }
  }

  private func paramReference(_ reference: JSONValue, _ place: String, _ checks: inout Checks) {
    let (name, selector) = (reference["name"], reference["selector"])
    if !name.isEmptyValue {
      checks.text(name, "\(place).name") { Validate.pathSegmentName($0) }
      if !selector.isNull { checks.forbidden("\(place).name", "name and selector are mutually exclusive") }
    }
    if !selector.isNull {
      checks.labelSelector(selector, "\(place).selector")
      if !name.isEmptyValue { checks.forbidden("\(place).selector", "name and selector are mutually exclusive") }
    }
    if name.isEmptyValue, selector.isNull { checks.required(place, "one of name or selector must be specified") }
    checks.oneOf(reference["parameterNotFoundAction"], "\(place).parameterNotFoundAction", ["Deny", "Allow"])
  }
}

extension Checks {
  /// `MatchResources` of policies and bindings.
  mutating func matchResources(_ match: JSONValue, _ place: String) {
    checkPresent(match["matchPolicy"], "\(place).matchPolicy", ["Equivalent", "Exact"])
    for name in ["namespaceSelector", "objectSelector"] {
      if match[name].isNull { required("\(place).\(name)") } else { labelSelector(match[name], "\(place).\(name)") }
    }
    for list in ["resourceRules", "excludeResourceRules"] {
      for (index, rule) in match[list].elements.enumerated() { namedRule(rule, "\(place).\(list)[\(index)]") }
    }
  }

  private mutating func checkPresent(_ value: JSONValue, _ place: String, _ supported: [String]) {
    if value.isNull { return required(place) }
    if !supported.contains(value.text) { notSupported(place, value, supported) }
  }

  private mutating func namedRule(_ rule: JSONValue, _ place: String) {
    var names: Set<String> = []
    for (index, name) in rule["resourceNames"].elements.enumerated() {
      text(name, "\(place).resourceNames[\(index)]") { Validate.pathSegmentName($0) }
      if !names.insert(name.text).inserted { duplicate("\(place).resourceNames[\(index)]", name) }
    }
    admissionRule(rule, place)
  }
}
