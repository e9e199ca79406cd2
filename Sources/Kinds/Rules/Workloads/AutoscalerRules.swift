// Horizontal pod autoscalers and disruption budgets.
import JSON
import Schema

/// For both versions: the members of autoscaling/v1 are checked where they are there.
struct AutoscalerRules: KindRules {
  private static let metricMembers = [
    "Object": "object", "Pods": "pods", "Resource": "resource", "External": "external",
    "ContainerResource": "containerResource",
  ]

  func applyDefaults(to object: inout JSONValue) {
    guard object["apiVersion"] != "autoscaling/v1" else { return }
    if object["spec"]["metrics"].isEmptyValue, !object["spec"].isNull {
      object["spec"]["metrics"] = [
        [
          "type": "Resource",
          "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 80]],
        ]
      ]
    }
    guard !object["spec"]["behavior"].isNull else { return }
    scalingDefaults(
      &object["spec"]["behavior"]["scaleUp"], window: 0,
      policies: [
        ["type": "Pods", "value": 4, "periodSeconds": 15], ["type": "Percent", "value": 100, "periodSeconds": 15],
      ])
    scalingDefaults(
      &object["spec"]["behavior"]["scaleDown"], window: nil,
      policies: [["type": "Percent", "value": 100, "periodSeconds": 15]])
  }

  private func scalingDefaults(_ rules: inout JSONValue, window: Int64?, policies: JSONValue) {
    if let window { rules["stabilizationWindowSeconds"].setDefault(.integer(window)) }
    rules["selectPolicy"].setDefaultText("Max")
    rules["policies"].setDefault(policies)
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let minimum = spec["minReplicas"].integer
    let maximum = spec["maxReplicas"].integer ?? 0
    if let minimum, minimum < 1 {
      checks.invalid("spec.minReplicas", .integer(minimum), "must be greater than or equal to 1")
    }
    if maximum < 1 { checks.invalid("spec.maxReplicas", .integer(maximum), "must be greater than 0") }
    if let minimum, maximum < minimum {
      checks.invalid(
        "spec.maxReplicas", .integer(maximum), "must be greater than or equal to `minReplicas`")
    }
    checks.requiredText(spec["scaleTargetRef"]["kind"], "spec.scaleTargetRef.kind") { Validate.pathSegmentName($0) }
    checks.requiredText(spec["scaleTargetRef"]["name"], "spec.scaleTargetRef.name") { Validate.pathSegmentName($0) }
    for (index, metric) in spec["metrics"].elements.enumerated() {
      self.metric(metric, "spec.metrics[\(index)]", &checks)
    }
    for name in ["scaleUp", "scaleDown"] where !spec["behavior"][name].isNull {
      scaling(spec["behavior"][name], "spec.behavior.\(name)", &checks)
    }
    return checks.errors
  }

  private func metric(_ metric: JSONValue, _ place: String, _ checks: inout Checks) {
    if metric["type"].isEmptyValue { return checks.required("\(place).type", "must specify a metric source type") }
    guard let member = Self.metricMembers[metric["type"].text] else {
      return checks.notSupported(
        "\(place).type", metric["type"], Self.metricMembers.keys.sorted())
    }
    for other in Self.metricMembers.values.sorted() where other != member && !metric[other].isNull {
      checks.forbidden("\(place).\(other)", "must populate the given metric source only")
    }
    let body = metric[member]
    if body.isNull {
      return checks.required("\(place).\(member)", "must populate information for the given metric source")
    }
    // The form of autoscaling/v1 never stands here; its metrics travel in annotations.
    let target = body["target"]
    if target["type"].isEmptyValue {
      checks.required("\(place).\(member).target.type", "must specify a metric target type")
    } else if !["Utilization", "Value", "AverageValue"].contains(target["type"].text) {
      checks.invalid(
        "\(place).\(member).target.type", target["type"],
        "must be either Utilization, Value, or AverageValue")
    }
    if let utilization = target["averageUtilization"].integer, utilization < 1 {
      checks.invalid(
        "\(place).\(member).target.averageUtilization", .integer(utilization), "must be greater than 0")
    }
    if member == "resource" || member == "containerResource", body["name"].isEmptyValue {
      checks.required("\(place).\(member).name", "must specify a resource name")
    }
  }

  private func scaling(_ rules: JSONValue, _ place: String, _ checks: inout Checks) {
    if let window = rules["stabilizationWindowSeconds"].integer {
      if window < 0 {
        checks.invalid(
          "\(place).stabilizationWindowSeconds", .integer(window), "must be greater than or equal to zero")
      } else if window > 3600 {
        checks.invalid(
          "\(place).stabilizationWindowSeconds", .integer(window), "must be less than or equal to 3600")
      }
    }
    checks.oneOf(rules["selectPolicy"], "\(place).selectPolicy", ["Disabled", "Max", "Min"], orAbsent: true)
    if rules["policies"].isEmptyValue { checks.required("\(place).policies", "must specify at least one Policy") }
    for (index, policy) in rules["policies"].elements.enumerated() {
      let place = "\(place).policies[\(index)]"
      checks.oneOf(policy["type"], "\(place).type", ["Percent", "Pods"])
      if (policy["value"].integer ?? 0) <= 0 {
        checks.invalid("\(place).value", .integer(policy["value"].integer ?? 0), "must be greater than zero")
      }
      let period = policy["periodSeconds"].integer ?? 0
      if period <= 0 {
        checks.invalid("\(place).periodSeconds", .integer(period), "must be greater than zero")
      } else if period > 1800 {
        checks.invalid("\(place).periodSeconds", .integer(period), "must be less than or equal to 1800")
      }
    }
  }
}

struct DisruptionBudgetRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    if !spec["minAvailable"].isNull, !spec["maxUnavailable"].isNull {
      checks.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    }
    for name in ["minAvailable", "maxUnavailable"] where !spec[name].isNull {
      checks.rollingPace(spec[name], "spec.\(name)")
    }
    if !spec["selector"].isNull { checks.labelSelector(spec["selector"], "spec.selector") }
    checks.oneOf(
      spec["unhealthyPodEvictionPolicy"], "spec.unhealthyPodEvictionPolicy", ["AlwaysAllow", "IfHealthyBudget"],
      orAbsent: true)
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for name in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
      checks.nonNegative(object["status"][name], "status.\(name)")
    }
    return checks.errors
  }
}
