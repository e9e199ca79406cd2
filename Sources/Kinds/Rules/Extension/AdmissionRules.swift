// Webhook configurations and validating admission policies.
import JSON
import Schema

/// For both kinds of webhooks.
struct WebhookConfigurationRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    var names: Set<String> = []
    for (index, webhook) in object["webhooks"].elements.enumerated() {
      let place = "webhooks[\(index)]"
      self.webhook(webhook, place, &checks)
      if !webhook["name"].isEmptyValue, !names.insert(webhook["name"].text).inserted {
        checks.duplicate("\(place).name", webhook["name"])
      }
    }
    return checks.errors
  }

  private func webhook(_ webhook: JSONValue, _ place: String, _ checks: inout Checks) {
    let name = webhook["name"].text
    if name.isEmpty {
      checks.required("\(place).name")
    } else {
      checks.text(webhook["name"], "\(place).name", Validate.dns1123Subdomain)
      if name.split(separator: ".").count < 3 {
        checks.invalid(
          "\(place).name", webhook["name"], "should be a domain with at least three segments separated by dots")
      }
    }
    if webhook["admissionReviewVersions"].isEmptyValue {
      checks.required(
        "\(place).admissionReviewVersions", "must specify one of v1, v1beta1")
    } else if !webhook["admissionReviewVersions"].elements.contains(where: { $0 == "v1" || $0 == "v1beta1" }) {
      checks.invalid(
        "\(place).admissionReviewVersions", webhook["admissionReviewVersions"],
        "must include at least one of v1, v1beta1")
    }
    for (number, rule) in webhook["rules"].elements.enumerated() {
      checks.admissionRule(rule, "\(place).rules[\(number)]")
    }
    checks.oneOf(webhook["failurePolicy"], "\(place).failurePolicy", ["Fail", "Ignore"])
    checks.oneOf(webhook["matchPolicy"], "\(place).matchPolicy", ["Equivalent", "Exact"])
    checks.oneOf(webhook["sideEffects"], "\(place).sideEffects", ["None", "NoneOnDryRun"])
    checks.oneOf(
      webhook["reinvocationPolicy"], "\(place).reinvocationPolicy", ["IfNeeded", "Never"], orAbsent: true)
    if let seconds = webhook["timeoutSeconds"].integer, !(1...30).contains(seconds) {
      checks.invalid(
        "\(place).timeoutSeconds", .integer(seconds),
        "the timeout value must be between 1 and 30 seconds")
    }
    for name in ["namespaceSelector", "objectSelector"] where !webhook[name].isNull {
      checks.labelSelector(webhook[name], "\(place).\(name)")
    }
    checks.webhookClient(webhook["clientConfig"], "\(place).clientConfig")
  }
}

extension Checks {
  private static let operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]

  mutating func admissionRule(_ rule: JSONValue, _ place: String) {
    if rule["operations"].isEmptyValue { required("\(place).operations") }
    if rule["operations"].elements.count > 1, rule["operations"].elements.contains("*") {
      invalid(
        "\(place).operations", rule["operations"],
        "if '*' is present, must not specify other operations")
    }
    for (index, operation) in rule["operations"].elements.enumerated()
    where !Self.operations.contains(operation.text) {
      notSupported("\(place).operations[\(index)]", operation, Self.operations)
    }
    for name in ["apiGroups", "apiVersions", "resources"] {
      if rule[name].isEmptyValue { required("\(place).\(name)") }
      if name != "resources", rule[name].elements.count > 1, rule[name].elements.contains("*") {
        invalid(
          "\(place).\(name)", rule[name],
          "if '*' is present, must not specify other \(name == "apiGroups" ? "API groups" : "API versions")")
      }
    }
    oneOf(rule["scope"], "\(place).scope", ["*", "Cluster", "Namespaced"], orAbsent: true)
  }

  mutating func webhookClient(_ client: JSONValue, _ place: String) {
    let hasURL = !client["url"].isNull
    let service = client["service"]
    if hasURL == !service.isNull {
      return required(place, "exactly one of url or service is required")
    }
    if hasURL {
      if !client["url"].text.hasPrefix("https://") {
        invalid(
          "\(place).url", client["url"], "'https' is the only allowed URL scheme; desired format: https://host[/path]")
      }
      return
    }
    if service["name"].isEmptyValue { required("\(place).service.name", "service name is required") }
    if service["namespace"].isEmptyValue { required("\(place).service.namespace", "service namespace is required") }
    if !service["path"].isNull, !service["path"].text.hasPrefix("/") {
      invalid("\(place).service.path", service["path"], "must start with a '/'")
    }
    if !service["port"].isNull { port(service["port"], "\(place).service.port") }
  }
}

struct AdmissionPolicyRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.oneOf(spec["failurePolicy"], "spec.failurePolicy", ["Fail", "Ignore"])
    if let kind = spec["paramKind"].object {
      if kind["apiVersion"]?.isEmptyValue ?? true { checks.required("spec.paramKind.apiVersion") }
      if kind["kind"]?.isEmptyValue ?? true { checks.required("spec.paramKind.kind") }
    }
    if spec["matchConstraints"].isNull {
      checks.required("spec.matchConstraints")
    } else {
      if spec["matchConstraints"]["resourceRules"].isEmptyValue {
        checks.required("spec.matchConstraints.resourceRules")
      }
      for (index, rule) in spec["matchConstraints"]["resourceRules"].elements.enumerated() {
        checks.admissionRule(rule, "spec.matchConstraints.resourceRules[\(index)]")
      }
    }
    if spec["validations"].isEmptyValue, spec["auditAnnotations"].isEmptyValue {
      checks.required("spec.validations", "validations or auditAnnotations must contain at least one item")
    }
    for (index, validation) in spec["validations"].elements.enumerated()
    where validation["expression"].isEmptyValue {
      checks.required("spec.validations[\(index)].expression", "expression is not specified")
    }
    return checks.errors
  }
}

struct AdmissionPolicyBindingRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.requiredText(spec["policyName"], "spec.policyName") { Validate.nameIsDNSSubdomain($0) }
    let actions = spec["validationActions"].elements
    if actions.isEmpty { checks.required("spec.validationActions", "at least one validation action is required") }
    for (index, action) in actions.enumerated() where !["Audit", "Deny", "Warn"].contains(action.text) {
      checks.notSupported("spec.validationActions[\(index)]", action, ["Audit", "Deny", "Warn"])
    }
    if actions.contains("Deny"), actions.contains("Warn") {
      checks.invalid(
        "spec.validationActions", spec["validationActions"],
        "must not contain both Deny and Warn (repeating the same validation failure information in the API response "
          + "and headers serves no purpose)")
    }
    let reference = spec["paramRef"]
    if !reference.isNull {
      if reference["name"].isEmptyValue == reference["selector"].isNull {
        checks.required("spec.paramRef.name", "one of name or selector must be specified")
      }
      checks.oneOf(
        reference["parameterNotFoundAction"], "spec.paramRef.parameterNotFoundAction", ["Allow", "Deny"])
    }
    return checks.errors
  }
}
