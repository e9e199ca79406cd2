// Custom resource definitions, API services, certificate signing requests.
import JSON
import Schema

struct APIServiceRules: KindRules {
  /// What this server itself answers for is available at once.
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    object["status"] = [:]
    guard object["spec"]["service"].isNull else { return }
    object["status"]["conditions"] = [
      [
        "type": "Available", "status": "True", "lastTransitionTime": .string(context.now), "reason": "Local",
        "message": "Local APIServices are always available",
      ]
    ]
  }

  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    NameRule.pathSegment.check(name, isGeneratePrefix: isGeneratePrefix)
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let expected = "\(spec["version"].text).\(spec["group"].text)"
    if object["metadata"]["name"].text != expected {
      checks.invalid(
        "metadata.name", object["metadata"]["name"], "must be `spec.version+\".\"+spec.group`: \"\(expected)\"")
    }
    checks.requiredText(spec["version"], "spec.version", Validate.dns1035Label)
    let minimum = spec["groupPriorityMinimum"].integer ?? 0
    if minimum <= 0 || minimum > 20000 {
      checks.invalid(
        "spec.groupPriorityMinimum", .integer(minimum), "must be positive and less than 20000")
    }
    let priority = spec["versionPriority"].integer ?? 0
    if priority <= 0 || priority > 1000 {
      checks.invalid("spec.versionPriority", .integer(priority), "must be positive and less than 1000")
    }
    guard !spec["service"].isNull else {
      if !spec["caBundle"].isEmptyValue {
        checks.invalid("spec.caBundle", "0 bytes", "local APIServices may not have a caBundle")
      }
      if spec["insecureSkipTLSVerify"] == true {
        checks.invalid(
          "spec.insecureSkipTLSVerify", true, "local APIServices may not have insecureSkipTLSVerify")
      }
      return checks.errors
    }
    for name in ["namespace", "name"] { checks.requiredText(spec["service"][name], "spec.service.\(name)") }
    if spec["insecureSkipTLSVerify"] == true, !spec["caBundle"].isEmptyValue {
      checks.invalid(
        "spec.insecureSkipTLSVerify", true, "may not be true if caBundle is present")
    }
    return checks.errors
  }
}

struct SigningRequestRules: KindRules {
  private static let minimumSeconds: Int64 = 600

  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    NameRule.pathSegment.check(name, isGeneratePrefix: isGeneratePrefix)
  }

  /// Who asks is what the server saw, not what the client says.
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    var spec = object["spec"]
    spec["username"] = .string(context.user.name)
    spec["uid"] = context.user.uid.isEmpty ? .null : .string(context.user.uid)
    spec["groups"] = context.user.groups.isEmpty ? .null : .array(context.user.groups.map { .string($0) })
    spec["extra"] = .null
    for (key, values) in context.user.extra.sorted(by: { $0.key < $1.key }) {
      spec["extra"][key] = .array(values.map { .string($0) })
    }
    object["spec"] = spec
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    object["spec"] = old["spec"]
    if context.subresource == "approval" {
      // Only the verdict changes here; the certificate belongs to the signer.
      object["status"]["certificate"] = old["status"]["certificate"]
      stampConditions(&object, old, context)
    } else if context.subresource.isEmpty {
      object["status"] = old["status"]
    }
  }

  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    // Verdicts come through approval only.
    func isVerdict(_ condition: JSONValue) -> Bool { condition["type"] == "Approved" || condition["type"] == "Denied" }
    let verdicts = old["status"]["conditions"].elements.filter(isVerdict)
    let others = object["status"]["conditions"].elements.filter { !isVerdict($0) }
    if !(verdicts + others).isEmpty { object["status"]["conditions"] = .array(verdicts + others) }
    stampConditions(&object, old, context)
  }

  private func stampConditions(_ object: inout JSONValue, _ old: JSONValue, _ context: RuleContext) {
    let before = old["status"]["conditions"].elements
    object["status"]["conditions"].mutateElements { condition in
      let isKnown = before.contains { $0["type"] == condition["type"] && $0["status"] == condition["status"] }
      if condition["lastTransitionTime"].isNull || !isKnown { condition["lastTransitionTime"] = .string(context.now) }
      if condition["lastUpdateTime"].isNull { condition["lastUpdateTime"] = .string(context.now) }
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let request = (try? Base64.decode(spec["request"].text)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    if !request.contains("-----BEGIN CERTIFICATE REQUEST-----") {
      checks.invalid(
        "spec.request", spec["request"].isNull ? "" : spec["request"],
        "PEM block type must be CERTIFICATE REQUEST")
    }
    if spec["usages"].isEmptyValue { checks.required("spec.usages", "usages are required") }
    let signer = spec["signerName"].text
    if signer.isEmpty {
      checks.required("spec.signerName")
    } else {
      let parts = signer.split(separator: "/", omittingEmptySubsequences: false)
      if parts.count != 2 {
        checks.invalid(
          "spec.signerName", .string(signer),
          "must be a fully qualified domain and path of the form 'example.com/signer-name'")
      } else if !parts[0].contains(".") {
        checks.invalid(
          "spec.signerName", .string(signer), "should be a domain with at least two segments separated by dots")
      }
    }
    if let seconds = spec["expirationSeconds"].integer, seconds < Self.minimumSeconds {
      checks.invalid(
        "spec.expirationSeconds", .integer(seconds), "may not specify a duration less than 600 seconds (10 minutes)")
    }
    let types = object["status"]["conditions"].elements.map { $0["type"].text }
    if types.contains("Approved"), types.contains("Denied") {
      checks.invalid(
        "status.conditions", object["status"]["conditions"], "Approved and Denied conditions are mutually exclusive")
    }
    return checks.errors
  }
}
