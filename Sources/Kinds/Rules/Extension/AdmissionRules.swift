// Webhook configurations: whom they ask about what.
import JSON
import Schema

/// For both kinds of webhooks.
struct WebhookConfigurationRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] { validate(object, Demands()) }

  /// What stood there already, from before it was forbidden, is not held against an update.
  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] {
    validate(object, Demands(replacing: old["webhooks"].elements, by: object["webhooks"].elements))
  }

  /// What is demanded of webhooks beside what always was.
  private struct Demands {
    var uniqueNames = true
    var noSideEffects = true
    var knownReviewVersion = true
    var checksConditions = true
    var allowsInvalidLabelValues = false

    init() {}

    init(replacing old: [JSONValue], by new: [JSONValue]) {
      uniqueNames = Set(old.map { $0["name"].text }).count == old.count
      noSideEffects = old.allSatisfy { WebhookConfigurationRules.sideEffects.contains($0["sideEffects"].text) }
      knownReviewVersion = old.allSatisfy { webhook in
        let versions = webhook["admissionReviewVersions"].elements.map(\.text)
        return versions.isEmpty || versions.contains(where: WebhookConfigurationRules.reviewVersions.contains)
      }
      checksConditions = old.map { $0["matchConditions"] } != new.map { $0["matchConditions"] }
      allowsInvalidLabelValues = old.contains { webhook in
        ["namespaceSelector", "objectSelector"].contains { name in
          var checks = Checks()
          if !webhook[name].isNull { checks.labelSelector(webhook[name], name) }
          return !checks.errors.isEmpty
        }
      }
    }
  }

  private func validate(_ object: JSONValue, _ demands: Demands) -> [FieldError] {
    var checks = Checks()
    var names: Set<String> = []
    for (index, webhook) in object["webhooks"].elements.enumerated() {
      let place = "webhooks[\(index)]"
      self.webhook(webhook, place, demands, &checks)
      if demands.uniqueNames, !webhook["name"].isEmptyValue, !names.insert(webhook["name"].text).inserted {
        checks.duplicate("\(place).name", webhook["name"])
      }
    }
    return checks.errors
  }

  fileprivate static let sideEffects = ["None", "NoneOnDryRun"]
  private static let allSideEffects = ["None", "NoneOnDryRun", "Some", "Unknown"]
  fileprivate static let reviewVersions = ["v1", "v1beta1"]

  private func webhook(_ webhook: JSONValue, _ place: String, _ demands: Demands, _ checks: inout Checks) {
    checks.fullyQualifiedName(webhook["name"], "\(place).name")
    for (number, rule) in webhook["rules"].elements.enumerated() {
      checks.admissionRule(rule, "\(place).rules[\(number)]")
    }
    checks.oneOf(webhook["failurePolicy"], "\(place).failurePolicy", ["Fail", "Ignore"])
    checks.oneOf(webhook["matchPolicy"], "\(place).matchPolicy", ["Equivalent", "Exact"])
    let sideEffects = demands.noSideEffects ? Self.sideEffects : Self.allSideEffects
    if webhook["sideEffects"].isNull {
      checks.required("\(place).sideEffects", "must specify one of \(sideEffects.joined(separator: ", "))")
    } else if !sideEffects.contains(webhook["sideEffects"].text) {
      checks.notSupported("\(place).sideEffects", webhook["sideEffects"], sideEffects)
    }
    if let seconds = webhook["timeoutSeconds"].integer, !(1...30).contains(seconds) {
      checks.invalid(
        "\(place).timeoutSeconds", .integer(seconds), "the timeout value must be between 1 and 30 seconds")
    }
    for name in ["namespaceSelector", "objectSelector"]
    where !webhook[name].isNull && !demands.allowsInvalidLabelValues {
      checks.labelSelector(webhook[name], "\(place).\(name)")
    }
    checks.oneOf(
      webhook["reinvocationPolicy"], "\(place).reinvocationPolicy", ["IfNeeded", "Never"], orAbsent: true)
    checks.webhookClient(webhook["clientConfig"], "\(place).clientConfig")
    if demands.checksConditions {
      checks.matchConditions(webhook["matchConditions"], "\(place).matchConditions")
    }
    reviewVersions(
      webhook["admissionReviewVersions"], "\(place).admissionReviewVersions", demands.knownReviewVersion, &checks)
  }

  private func reviewVersions(
    _ versions: JSONValue, _ place: String, _ mustKnowOne: Bool, _ checks: inout Checks
  ) {
    let known = Self.reviewVersions.joined(separator: ", ")
    if versions.isEmptyValue { return checks.required(place, "must specify one of \(known)") }
    var seen: Set<String> = []
    for (index, version) in versions.elements.enumerated() {
      if !seen.insert(version.text).inserted {
        checks.invalid("\(place)[\(index)]", version, "duplicate version")
        continue
      }
      checks.text(version, "\(place)[\(index)]", Validate.dns1035Label)
    }
    if mustKnowOne, seen.isDisjoint(with: Self.reviewVersions) {
      checks.invalid(place, versions, "must include at least one of \(known)")
    }
  }
}

extension Checks {
  private static let operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]
  private static let wildcard: JSONValue = "*"

  /// A domain of at least three segments.
  mutating func fullyQualifiedName(_ value: JSONValue, _ place: String) {
    let name = value.text
    if name.isEmpty { return required(place) }
    let problems = Validate.dns1123Subdomain(name)
    if !problems.isEmpty { return invalid(place, value, problems.joined(separator: ",")) }
    if name.split(separator: ".").count < 3 {
      invalid(place, value, "should be a domain with at least three segments separated by dots")
    }
  }

  /// `RuleWithOperations`.
  mutating func admissionRule(_ rule: JSONValue, _ place: String) {
    let operations = rule["operations"].elements
    if operations.isEmpty { required("\(place).operations") }
    if operations.count > 1, operations.contains(Self.wildcard) {
      invalid(
        "\(place).operations", goValue: GoSyntax.strings(rule["operations"], of: "admissionregistration.OperationType"),
        "if '*' is present, must not specify other operations")
    }
    for (index, operation) in operations.enumerated() where !Self.operations.contains(operation.text) {
      notSupported("\(place).operations[\(index)]", operation, Self.operations)
    }
    for (name, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
      let values = rule[name].elements
      if values.isEmpty { required("\(place).\(name)") }
      if values.count > 1, values.contains(Self.wildcard) {
        invalid("\(place).\(name)", rule[name], "if '*' is present, must not specify other \(what)")
      }
    }
    for (index, version) in rule["apiVersions"].elements.enumerated() where version.isEmptyValue {
      required("\(place).apiVersions[\(index)]")
    }
    admissionResources(rule["resources"], "\(place).resources")
    oneOf(rule["scope"], "\(place).scope", ["*", "Cluster", "Namespaced"], orAbsent: true)
  }

  /// "pods", "pods/status", "pods/*", "*/scale", "*", "*/*": none of them said twice in other words.
  private mutating func admissionResources(_ resources: JSONValue, _ place: String) {
    let all = resources.elements
    if all.isEmpty { required(place) }
    var withEverySubresource: Set<Substring> = []
    var ofEveryResource: Set<Substring> = []
    var isLastWithoutSubresource = false
    for (index, resource) in all.enumerated() {
      let text = resource.text
      if text.isEmpty {
        required("\(place)[\(index)]")
        continue
      }
      let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else {
        isLastWithoutSubresource = text != "*"
        continue
      }
      if withEverySubresource.contains(parts[0]) {
        invalid("\(place)[\(index)]", resource, "if '\(parts[0])/*' is present, must not specify \(text)")
      }
      if ofEveryResource.contains(parts[1]) {
        invalid("\(place)[\(index)]", resource, "if '*/\(parts[1])' is present, must not specify \(text)")
      }
      if parts[1] == "*" { withEverySubresource.insert(parts[0]) }
      if parts[0] == "*" { ofEveryResource.insert(parts[1]) }
    }
    if all.count > 1, all.contains("*/*") {
      invalid(place, resources, "if '*/*' is present, must not specify other resources")
    }
    if isLastWithoutSubresource, all.contains(Self.wildcard) {
      invalid(place, resources, "if '*' is present, must not specify other resources without subresources")
    }
  }

  /// Names and presence; whether the expressions compile is found out where the language is known.
  mutating func matchConditions(_ conditions: JSONValue, _ place: String) {
    let all = conditions.elements
    if all.count > 64 { report(.tooMany(place, actual: all.count, maximum: 64)) }
    var names: Set<String> = []
    for (index, condition) in all.enumerated() {
      if condition["expression"].text.isBlank { required("\(place)[\(index)].expression") }
      guard !condition["name"].isEmptyValue else {
        required("\(place)[\(index)].name")
        continue
      }
      text(condition["name"], "\(place)[\(index)].name", Validate.qualifiedName)
      if !names.insert(condition["name"].text).inserted { duplicate("\(place)[\(index)].name", condition["name"]) }
    }
  }

  mutating func webhookClient(_ client: JSONValue, _ place: String) {
    let hasURL = !client["url"].isNull
    let service = client["service"]
    if hasURL == !service.isNull {
      return required(place, "exactly one of url or service is required")
    }
    if hasURL { return webhookURL(client["url"].text, "\(place).url") }
    if service["name"].isEmptyValue { required("\(place).service.name", "service name is required") }
    if service["namespace"].isEmptyValue { required("\(place).service.namespace", "service namespace is required") }
    if let port = service["port"].integer, !(1...65535).contains(port) {
      invalid(
        "\(place).service.port", .integer(port), "port is not valid: \(Self.rangeMessage(1...65535))")
    }
    webhookPath(service["path"].text, "\(place).service.path")
  }

  private mutating func webhookURL(_ url: String, _ place: String) {
    let form = "; desired format: https://host[/path]"
    let scheme = url.firstIndex(of: ":").map { url[..<$0] } ?? ""
    if scheme != "https" {
      invalid(place, .string(String(scheme)), "'https' is the only allowed URL scheme\(form)")
    }
    let rest = url.dropFirst(scheme.isEmpty ? 0 : scheme.count + 1)
    let authority = rest.hasPrefix("//") ? rest.dropFirst(2).prefix { !"/?#".contains($0) } : ""
    let user = authority.lastIndex(of: "@").map { authority[..<$0] }
    if authority.dropFirst(user.map { $0.count + 1 } ?? 0).isEmpty {
      invalid(place, "", "host must be provided\(form)")
    }
    if let user {
      invalid(place, .string(String(user)), "user information is not permitted in the URL")
    }
    if let mark = url.firstIndex(of: "#"), url.index(after: mark) < url.endIndex {
      invalid(
        place, .string(String(url[url.index(after: mark)...])), "fragments are not permitted in the URL")
    }
    let beforeFragment = url.prefix { $0 != "#" }
    if let mark = beforeFragment.firstIndex(of: "?"), beforeFragment.index(after: mark) < beforeFragment.endIndex {
      invalid(
        place, .string(String(beforeFragment[beforeFragment.index(after: mark)...])),
        "query parameters are not permitted in the URL")
    }
  }

  private mutating func webhookPath(_ path: String, _ place: String) {
    if path.isEmpty || path == "/" { return }
    if path == "//" { return invalid(place, .string(path), "segment[0] may not be empty") }
    if !path.hasPrefix("/") { invalid(place, .string(path), "must start with a '/'") }
    var steps = path.dropFirst()
    if steps.hasSuffix("/") { steps = steps.dropLast() }
    for (index, step) in steps.split(separator: "/", omittingEmptySubsequences: false).enumerated() {
      if step.isEmpty {
        invalid(place, .string(path), "segment[\(index)] may not be empty")
        continue
      }
      for problem in Validate.dns1123Subdomain(String(step)) {
        invalid(place, .string(path), "segment[\(index)]: \(problem)")
      }
    }
  }
}

extension String {
  /// Without white space at either end.
  var trimmed: String {
    var text = drop(while: \.isWhitespace)
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
  /// Nothing but white space.
  var isBlank: Bool { allSatisfy(\.isWhitespace) }
}
