// Flow schemas and priority levels.
import JSON
import Schema

struct FlowSchemaRules: KindRules {
  private static let highestPrecedence: Int64 = 10000

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let name = object["metadata"]["name"].text
    let precedence = spec["matchingPrecedence"].integer ?? 0
    if precedence <= 0 {
      checks.invalid("spec.matchingPrecedence", .integer(precedence), "must be a positive value")
    } else if precedence > Self.highestPrecedence {
      checks.invalid(
        "spec.matchingPrecedence", .integer(precedence), "must not be greater than \(Self.highestPrecedence)")
    }
    if precedence == 1, name != "exempt" {
      checks.invalid(
        "spec.matchingPrecedence", .integer(precedence), "only the schema named 'exempt' may have matchingPrecedence 1")
    }
    if !spec["distinguisherMethod"].isNull {
      checks.oneOf(spec["distinguisherMethod"]["type"], "spec.distinguisherMethod.type", ["ByNamespace", "ByUser"])
    }
    checks.requiredText(
      spec["priorityLevelConfiguration"]["name"], "spec.priorityLevelConfiguration.name"
    ) { Validate.nameIsDNSSubdomain($0) }
    for (index, rule) in spec["rules"].elements.enumerated() { self.rule(rule, "spec.rules[\(index)]", &checks) }
    return checks.errors
  }

  private func rule(_ rule: JSONValue, _ place: String, _ checks: inout Checks) {
    if rule["subjects"].isEmptyValue {
      checks.required("\(place).subjects", "subjects must contain at least one value")
    }
    for (index, subject) in rule["subjects"].elements.enumerated() {
      checks.oneOf(subject["kind"], "\(place).subjects[\(index)].kind", ["Group", "ServiceAccount", "User"])
    }
    if rule["resourceRules"].isEmptyValue, rule["nonResourceRules"].isEmptyValue {
      checks.required(place, "at least one of resourceRules and nonResourceRules has to be non-empty")
    }
    for (index, entry) in rule["resourceRules"].elements.enumerated() {
      for name in ["verbs", "apiGroups", "resources"] where entry[name].isEmptyValue {
        checks.required("\(place).resourceRules[\(index)].\(name)")
      }
      if entry["namespaces"].isEmptyValue, entry["clusterScope"] != true {
        checks.required(
          "\(place).resourceRules[\(index)].namespaces",
          "resource rules that are not cluster scoped must supply at least one namespace")
      }
    }
    for (index, entry) in rule["nonResourceRules"].elements.enumerated() {
      for name in ["verbs", "nonResourceURLs"] where entry[name].isEmptyValue {
        checks.required("\(place).nonResourceRules[\(index)].\(name)")
      }
    }
  }
}

struct PriorityLevelRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {
    if object["spec"]["type"] == "Exempt" {
      object["spec"]["exempt"]["nominalConcurrencyShares"].setDefault(0)
      object["spec"]["exempt"]["lendablePercent"].setDefault(0)
    }
    guard object["spec"]["limited"]["limitResponse"]["type"] == "Queue" else { return }
    object["spec"]["limited"]["limitResponse"]["queuing"]["queues"].setDefault(64)
    object["spec"]["limited"]["limitResponse"]["queuing"]["handSize"].setDefault(8)
    object["spec"]["limited"]["limitResponse"]["queuing"]["queueLengthLimit"].setDefault(50)
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let limited = spec["limited"]
    switch spec["type"].text {
    case "Exempt":
      if !limited.isNull { checks.forbidden("spec.limited", "must be nil if the type is not Limited") }
    case "Limited":
      if !spec["exempt"].isNull { checks.forbidden("spec.exempt", "must be nil if the type is Limited") }
      if limited.isNull {
        checks.required("spec.limited", "must not be empty when type is Limited")
      } else {
        self.limited(limited, &checks)
      }
    default: checks.notSupported("spec.type", spec["type"], ["Exempt", "Limited"])
    }
    return checks.errors
  }

  private func limited(_ limited: JSONValue, _ checks: inout Checks) {
    let place = "spec.limited"
    checks.nonNegative(limited["nominalConcurrencyShares"], "\(place).nominalConcurrencyShares")
    checks.inRange(limited["lendablePercent"], "\(place).lendablePercent", 0...100)
    checks.nonNegative(limited["borrowingLimitPercent"], "\(place).borrowingLimitPercent")
    let response = limited["limitResponse"]
    switch response["type"].text {
    case "Reject":
      if !response["queuing"].isNull {
        checks.forbidden("\(place).limitResponse.queuing", "must be nil if limited.limitResponse.type is not Limited")
      }
    case "Queue":
      if response["queuing"].isNull {
        checks.required(
          "\(place).limitResponse.queuing", "must not be empty if limited.limitResponse.type is Limited")
      }
      for name in ["queues", "handSize", "queueLengthLimit"] where (response["queuing"][name].integer ?? 0) <= 0 {
        checks.invalid(
          "\(place).limitResponse.queuing.\(name)", response["queuing"][name], "must be positive")
      }
    default: checks.notSupported("\(place).limitResponse.type", response["type"], ["Queue", "Reject"])
    }
  }
}
