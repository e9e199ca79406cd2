// Limit ranges, resource quotas, priority classes and runtime classes.
import JSON
import Schema

struct LimitRangeRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {
    object["spec"]["limits"].mutateElements { item in
      guard item["type"] == "Container" else { return }
      // What may not be exceeded is also what one gets, what one gets is what one asks for, and only where that is not
      // known it is what is needed at least.
      let maximum = item["max"].object ?? [:]
      for (name, value) in maximum { item["default"][name].setDefault(value) }
      let standard = item["default"].object ?? [:]
      for (name, value) in standard { item["defaultRequest"][name].setDefault(value) }
      for (name, value) in item["min"].object ?? [:] { item["defaultRequest"][name].setDefault(value) }
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    var types: Set<String> = []
    for (index, item) in object["spec"]["limits"].elements.enumerated() {
      let place = "spec.limits[\(index)]"
      let type = item["type"].text
      checks.text(item["type"], "\(place).type") { text in
        let problems = Validate.qualifiedName(text)
        let isKnown = text.contains("/") || ["Pod", "Container", "PersistentVolumeClaim"].contains(text)
        return problems.isEmpty && !isKnown ? ["must be a standard limit type or fully qualified"] : problems
      }
      if !types.insert(type).inserted { checks.duplicate("\(place).type", item["type"]) }
      bounds(item, place, &checks)
    }
    return checks.errors
  }

  private func bounds(_ item: JSONValue, _ place: String, _ checks: inout Checks) {
    var names: Set<String> = []
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
      if item["type"] == "Pod", list == "default" || list == "defaultRequest" {
        if !item[list].isEmptyValue {
          checks.forbidden("\(place).\(list)", "may not be specified when `type` is 'Pod'")
        }
        continue
      }
      if list == "maxLimitRequestRatio", item["type"] == "PersistentVolumeClaim", item["min"]["storage"].isNull,
        item["max"]["storage"].isNull
      {
        checks.required(
          "\(place).limits", "either minimum or maximum storage value is required, but neither was provided")
      }
      for name in item[list].object?.keys.map({ $0 }) ?? [] {
        names.insert(name)
        if item["type"] == "Pod" || item["type"] == "Container" {
          checks.containerResourceName(name, "\(place).\(list)[\(name)]")
        } else {
          checks.resourceName(name, "\(place).\(list)[\(name)]")
        }
      }
    }
    for name in names.sorted() {
      func amount(_ list: String) -> Quantity? { item[list][name].string.flatMap { Quantity($0) } }
      /// `shown`: the list that the error names; `printed`: the one whose value it prints.
      func ordered(_ low: String, _ high: String, shown: String, printed: String) {
        guard let lower = amount(low), let upper = amount(high), lower > upper else { return }
        var names = ["min": "min", "max": "max", "default": "default", "defaultRequest": "default request"]
        if low == "defaultRequest", high == "default" { names["default"] = "default limit" }
        checks.invalid(
          "\(place).\(shown)[\(name)]", goValue: GoSyntax.quantity(item[printed][name].text),
          "\(names[low] ?? low) value \(lower) is greater than \(names[high] ?? high) value \(upper)")
      }
      ordered("min", "max", shown: "min", printed: "min")
      ordered("min", "defaultRequest", shown: "defaultRequest", printed: "defaultRequest")
      ordered("defaultRequest", "max", shown: "defaultRequest", printed: "defaultRequest")
      ordered("defaultRequest", "default", shown: "defaultRequest", printed: "defaultRequest")
      ordered("min", "default", shown: "default", printed: "min")
      ordered("default", "max", shown: "default", printed: "max")
      if let ratio = amount("maxLimitRequestRatio"), ratio < Quantity(1) {
        checks.invalid(
          "\(place).maxLimitRequestRatio[\(name)]",
          goValue: GoSyntax.quantity(item["maxLimitRequestRatio"][name].text), "ratio \(ratio) is less than 1")
      }
      if let ratio = amount("maxLimitRequestRatio"), let low = amount("min"), let high = amount("max") {
        let limit = Double(high.milliValue) / Double(low.milliValue)
        if Double(ratio.milliValue) / 1000 > limit {
          checks.invalid(
            "\(place).maxLimitRequestRatio[\(name)]",
            goValue: GoSyntax.quantity(item["maxLimitRequestRatio"][name].text),
            "ratio \(ratio) is greater than max/min = \(limit.goFixedText)")
        }
      }
      if !ResourceName.allowsOvercommit(name), let limit = amount("default"), let request = amount("defaultRequest"),
        limit != request
      {
        checks.invalid(
          "\(place).defaultRequest[\(name)]", goValue: GoSyntax.quantity(item["defaultRequest"][name].text),
          "default value \(limit) must equal to defaultRequest value \(request) in \(name)")
      }
    }
  }
}

struct ResourceQuotaRules: KindRules {
  private static let scopes = [
    "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
  ]

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    for (name, value) in spec["hard"].object ?? [:] {
      quotaResource(name, "spec.hard[\(name)]", &checks)
      checks.resourceQuantity(name, value, "spec.hard[\(name)]")
    }
    scopes(spec, &checks)
    for term in spec["scopeSelector"]["matchExpressions"].elements {
      let place = "spec.scopeSelector.matchExpressions"
      if !Self.scopes.contains(term["scopeName"].text) {
        checks.invalid("\(place).scopeName", term["scopeName"], "unsupported scope")
      }
      for resource in (spec["hard"].object?.keys.map { $0 } ?? []).sorted()
      where ResourceName.isStandardQuota(resource) && !Self.isScope(term["scopeName"].text, for: resource) {
        checks.invalid(
          place, goValue: GoSyntax.scopeSelector(spec["scopeSelector"]), "unsupported scope applied to resource")
      }
      if term["scopeName"] != "PriorityClass", Self.scopes.contains(term["scopeName"].text),
        term["operator"] != "Exists"
      {
        checks.invalid(
          "\(place).operator", .string(term["operator"].text),
          "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
            + "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
            + "ResourceQuotaScopeCrossNamespacePodAffinity")
      }
      switch term["operator"].text {
      case "In", "NotIn":
        if term["values"].isEmptyValue {
          checks.required(
            "\(place).values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
        }
      case "Exists", "DoesNotExist":
        if !term["values"].isEmptyValue {
          checks.invalid(
            "\(place).values", term["values"],
            "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
        }
      default:
        checks.invalid("\(place).operator", .string(term["operator"].text), "not a valid selector operator")
      }
    }
    conflicts(
      spec["scopeSelector"]["matchExpressions"].elements.map { $0["scopeName"].text },
      "spec.scopeSelector.matchExpressions", spec["scopes"], &checks)
    return checks.errors
  }

  private func scopes(_ spec: JSONValue, _ checks: inout Checks) {
    let names = spec["scopes"].elements.map(\.text)
    let shown = GoSyntax.strings(spec["scopes"], of: "core.ResourceQuotaScope")
    for name in names {
      if !Self.scopes.contains(name) { checks.invalid("spec.scopes", goValue: shown, "unsupported scope") }
      for resource in (spec["hard"].object?.keys.map { $0 } ?? []).sorted()
      where ResourceName.isStandardQuota(resource) && !Self.isScope(name, for: resource) {
        checks.invalid("spec.scopes", goValue: shown, "unsupported scope applied to resource")
      }
    }
    conflicts(names, "spec.scopes", spec["scopes"], &checks)
  }

  private func conflicts(_ names: [String], _ place: String, _ shown: JSONValue, _ checks: inout Checks) {
    for pair in [["BestEffort", "NotBestEffort"], ["NotTerminating", "Terminating"]]
    where pair.allSatisfy(names.contains) {
      checks.invalid(place, goValue: GoSyntax.strings(shown, of: "core.ResourceQuotaScope"), "conflicting scopes")
    }
  }

  private static func isScope(_ scope: String, for resource: String) -> Bool {
    switch scope {
    case "Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity":
      resource == "pods" || ResourceName.isCompute(resource)
    case "BestEffort": resource == "pods"
    default: true
    }
  }

  private func quotaResource(_ name: String, _ place: String, _ checks: inout Checks) {
    checks.resourceName(name, place)
    if !name.contains("/"), !ResourceName.isStandardQuota(name) {
      checks.invalid(place, .string(name), "must be a standard resource for quota")
    }
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for list in ["hard", "used"] {
      for (name, value) in object["status"][list].object ?? [:] {
        quotaResource(name, "status.\(list)[\(name)]", &checks)
        checks.resourceQuantity(name, value, "status.\(list)[\(name)]")
      }
    }
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    let new = Set(object["spec"]["scopes"].elements)
    let before = Set(old["spec"]["scopes"].elements)
    guard new != before else { return [] }
    var checks = Checks()
    checks.invalid(
      "spec.scopes", goValue: GoSyntax.strings(object["spec"]["scopes"], of: "core.ResourceQuotaScope"),
      Checks.immutableMessage)
    return checks.errors
  }
}

struct PriorityClassRules: KindRules {
  /// Above this stand the classes of the system.
  private static let highestUserValue: Int64 = 1_000_000_000

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let name = object["metadata"]["name"].text
    let value = object["value"].integer ?? 0
    if name.hasPrefix("system-") {
      if let problem = systemProblem(name, value, object) {
        checks.forbidden(
          "metadata.name",
          "priority class names with 'system-' prefix are reserved for system use only. error: \(problem)")
      }
    } else if value > Self.highestUserValue {
      checks.forbidden(
        "value", "maximum allowed value of a user defined priority is \(Self.highestUserValue)")
    }
    if !object["preemptionPolicy"].isNull {
      checks.oneOf(object["preemptionPolicy"], "preemptionPolicy", ["PreemptLowerPriority", "Never"])
    }
    return checks.errors
  }

  /// Nothing that could be wrong can change.
  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { [] }

  private func systemProblem(_ name: String, _ value: Int64, _ object: JSONValue) -> String? {
    guard let known = ClusterBootstrap.systemPriorities.first(where: { $0.name == name }) else {
      return "\(name) is not a known system priority class"
    }
    if known.value != value { return "value of \(name) PriorityClass must be \(known.value)" }
    return object["globalDefault"] == true ? "globalDefault of \(name) PriorityClass must be false" : nil
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    if (object["value"].integer ?? 0) != (old["value"].integer ?? 0) {
      checks.forbidden("value", "may not be changed in an update.")
    }
    checks.immutable(object["preemptionPolicy"], old["preemptionPolicy"], "preemptionPolicy")
    return checks.errors
  }

  /// Its generation is 1 and stays 1.
  func generationChanged(_ object: JSONValue, old: JSONValue) -> Bool { false }
}

struct RuntimeClassRules: KindRules {
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    (object["scheduling"]["nodeSelector"].object ?? [:]).compactMap { label, _ in
      NodeLabelWarnings.message(label).map { "scheduling.nodeSelector: \($0)" }
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.text(object["handler"], "handler", Validate.dns1123Label)
    // (Told of as the limits that it is added to.)
    if !object["overhead"].isNull {
      checks.resources(["limits": object["overhead"]["podFixed"]], "overhead", claims: [])
    }
    checks.labels(object["scheduling"]["nodeSelector"], "scheduling.nodeSelector")
    checks.tolerations(object["scheduling"]["tolerations"], "scheduling.tolerations")
    return checks.errors
  }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutable(object["handler"], old["handler"], "handler")
    return checks.errors
  }
}
