// Limit ranges, resource quotas, priority classes and runtime classes.
import JSON
import Schema

struct LimitRangeRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {
    object["spec"]["limits"].mutateElements { item in
      guard item["type"] == "Container" else { return }
      // What may not be exceeded is also what one gets; what is needed at least is also what is asked for.
      let maximum = item["max"].object ?? [:]
      for (name, value) in maximum { item["default"][name].setDefault(value) }
      let standard = item["default"].object ?? [:]
      let minimum = item["min"].object ?? [:]
      for (name, value) in standard {
        item["defaultRequest"][name].setDefault(minimum[name] ?? value)
      }
      for (name, value) in minimum { item["defaultRequest"][name].setDefault(value) }
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    var types: Set<String> = []
    for (index, item) in object["spec"]["limits"].elements.enumerated() {
      let place = "spec.limits[\(index)]"
      let type = item["type"].text
      checks.text(item["type"], "\(place).type") { text in
        text.contains("/") || ["Pod", "Container", "PersistentVolumeClaim"].contains(text)
          ? [] : ["must be a standard limit type or fully qualified"]
      }
      if !types.insert(type).inserted { checks.duplicate("\(place).type", item["type"]) }
      if type == "Pod" {
        for name in ["default", "defaultRequest"] where !item[name].isEmptyValue {
          checks.forbidden("\(place).\(name)", "may not be specified when `type` is 'Pod'")
        }
      }
      if type == "PersistentVolumeClaim", item["min"]["storage"].isNull, item["max"]["storage"].isNull {
        checks.required(
          "\(place).limits", "either minimum or maximum storage value is required, but neither was provided")
      }
      bounds(item, place, &checks)
    }
    return checks.errors
  }

  private func bounds(_ item: JSONValue, _ place: String, _ checks: inout Checks) {
    var names: Set<String> = []
    for list in ["min", "max", "default", "defaultRequest", "maxLimitRequestRatio"] {
      for (name, value) in item[list].object ?? [:] {
        names.insert(name)
        checks.resourceName(name, "\(place).\(list)[\(name)]")
        checks.resourceQuantity(name, value, "\(place).\(list)[\(name)]")
      }
    }
    for name in names.sorted() {
      func amount(_ list: String) -> Quantity? { item[list][name].string.flatMap { Quantity($0) } }
      func ordered(_ low: String, _ high: String) {
        guard let lower = amount(low), let upper = amount(high), lower > upper else { return }
        let names = ["min": "min", "max": "max", "default": "default", "defaultRequest": "default request"]
        checks.invalid(
          "\(place).\(low)[\(name)]", .string(lower.description),
          "\(names[low] ?? low) value \(lower) is greater than \(names[high] ?? high) value \(upper)")
      }
      ordered("min", "max")
      ordered("min", "defaultRequest")
      ordered("defaultRequest", "max")
      ordered("defaultRequest", "default")
      ordered("min", "default")
      ordered("default", "max")
      if let ratio = amount("maxLimitRequestRatio"), ratio < Quantity(1) {
        checks.invalid(
          "\(place).maxLimitRequestRatio[\(name)]", .string(ratio.description), "ratio \(ratio) is less than 1")
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
    for scope in spec["scopes"].elements where !Self.scopes.contains(scope.text) {
      checks.invalid("spec.scopes", spec["scopes"], "unsupported scope")
    }
    for (index, term) in spec["scopeSelector"]["matchExpressions"].elements.enumerated() {
      let place = "spec.scopeSelector.matchExpressions[\(index)]"
      if !Self.scopes.contains(term["scopeName"].text) {
        checks.invalid("\(place).scopeName", term["scopeName"], "unsupported scope")
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
      default: checks.invalid("\(place).operator", term["operator"], "not a valid selector operator")
      }
    }
    return checks.errors
  }

  private func quotaResource(_ name: String, _ place: String, _ checks: inout Checks) {
    let errors = Validate.qualifiedName(name)
    for message in errors { checks.invalid(place, .string(name), message) }
    if errors.isEmpty, !name.contains("/"), !ResourceName.isStandard(name) {
      checks.invalid(place, .string(name), "must be a standard resource for quota")
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    let new = Set(object["spec"]["scopes"].elements)
    let before = Set(old["spec"]["scopes"].elements)
    guard new != before else { return [] }
    return [.invalid("spec.scopes", object["spec"]["scopes"], Checks.immutableMessage)]
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
      if !ClusterBootstrap.systemPriorities.contains(where: { $0.name == name && $0.value == value }) {
        checks.forbidden(
          "metadata.name", "priority class names with 'system-' prefix are reserved for system use only. error: \(name)"
        )
      }
    } else if value > Self.highestUserValue {
      checks.forbidden(
        "value", "maximum allowed value of a user defined priority is \(Self.highestUserValue)")
    }
    checks.oneOf(
      object["preemptionPolicy"], "preemptionPolicy", ["PreemptLowerPriority", "Never"], orAbsent: true)
    return checks.errors
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
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.text(object["handler"], "handler", Validate.dns1123Label)
    for (name, value) in object["overhead"]["podFixed"].object ?? [:] {
      checks.resourceName(name, "overhead.podFixed[\(name)]")
      checks.resourceQuantity(name, value, "overhead.podFixed[\(name)]")
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
