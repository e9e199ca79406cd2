// API services.
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
    if spec["group"].isEmptyValue {
      if spec["version"] != "v1" {
        checks.required("spec.group", "only v1 may have an empty group and it better be legacy kube")
      }
    } else {
      checks.text(spec["group"], "spec.group", Validate.dns1123Subdomain)
    }
    checks.text(spec["version"], "spec.version", Validate.dns1035Label)
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
        let size = (try? Base64.decode(spec["caBundle"].text).count) ?? 0
        checks.invalid("spec.caBundle", .string("\(size) bytes"), "local APIServices may not have a caBundle")
      }
      if spec["insecureSkipTLSVerify"] == true {
        checks.invalid(
          "spec.insecureSkipTLSVerify", true, "local APIServices may not have insecureSkipTLSVerify")
      }
      return checks.errors
    }
    for name in ["namespace", "name"] { checks.requiredText(spec["service"][name], "spec.service.\(name)") }
    let port = spec["service"]["port"].integer ?? 0
    if !(1...65535).contains(port) {
      checks.invalid(
        "spec.service.port", .integer(port), "port is not valid: \(Checks.rangeMessage(1...65535))")
    }
    if spec["insecureSkipTLSVerify"] == true, !spec["caBundle"].isEmptyValue {
      checks.invalid(
        "spec.insecureSkipTLSVerify", true, "may not be true if caBundle is present")
    }
    return checks.errors
  }

  var keptByStatus: [[String]] { [["metadata"]] }
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    keepMetadata(of: old, in: &object)
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for (index, condition) in object["status"]["conditions"].elements.enumerated() {
      checks.choice(condition["status"], "status.conditions[\(index)].status", ["True", "False", "Unknown"])
    }
    return checks.errors
  }
}
