// Horizontal pod autoscalers.
import JSON
import Schema

/// For both versions: what autoscaling/v1 says is checked as what it means in autoscaling/v2.
struct AutoscalerRules: KindRules {
  private static let metricTypes = ["ContainerResource", "External", "Object", "Pods", "Resource"]
  /// In the order in which the reference looks for them.
  private static let metricMembers = ["object", "external", "pods", "resource", "containerResource"]
  private static let maximumWindow: Int64 = 3600
  private static let maximumPeriod: Int64 = 1800

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
    rules["selectPolicy"].setDefault("Max")
    rules["policies"].setDefault(policies)
  }

  func validate(_ object: JSONValue) -> [FieldError] { validate(object, lowestMinimum: 1) }

  /// Who scales to zero already goes on doing so.
  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] {
    validate(object, lowestMinimum: old["spec"]["minReplicas"] == 0 ? 0 : 1)
  }

  private func validate(_ object: JSONValue, lowestMinimum: Int64) -> [FieldError] {
    var checks = Checks()
    let isOldForm = object["apiVersion"] == "autoscaling/v1"
    let spec = (isOldForm ? AutoscalerConversion.toV2(object) : object)["spec"]
    let minimum = spec["minReplicas"].integer
    let maximum = spec["maxReplicas"].integer ?? 0
    if let minimum, minimum < lowestMinimum {
      checks.invalid("spec.minReplicas", .integer(minimum), "must be greater than or equal to \(lowestMinimum)")
    }
    if maximum < 1 { checks.invalid("spec.maxReplicas", .integer(maximum), "must be greater than 0") }
    if let minimum, maximum < minimum {
      checks.invalid(
        "spec.maxReplicas", .integer(maximum), "must be greater than or equal to `minReplicas`")
    }
    reference(spec["scaleTargetRef"], "spec.scaleTargetRef", &checks)
    let metrics = spec["metrics"].elements
    for (index, metric) in metrics.enumerated() { self.metric(metric, "spec.metrics[\(index)]", &checks) }
    if minimum == 0, !metrics.contains(where: { $0["type"] == "Object" || $0["type"] == "External" }) {
      checks.forbidden(
        "spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas")
    }
    for name in ["scaleUp", "scaleDown"] where !spec["behavior"][name].isNull {
      scaling(spec["behavior"][name], "spec.behavior.\(name)", &checks)
    }
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for name in ["currentReplicas", "desiredReplicas"] {
      checks.nonNegative(object["status"][name], "status.\(name)")
    }
    return checks.errors
  }

  private func reference(_ reference: JSONValue, _ place: String, _ checks: inout Checks) {
    for name in ["kind", "name"] {
      checks.requiredText(reference[name], "\(place).\(name)") { Validate.pathSegmentName($0) }
    }
  }

  // MARK: Metrics

  private func metric(_ metric: JSONValue, _ place: String, _ checks: inout Checks) {
    let type = metric["type"].text
    if type.isEmpty { checks.required("\(place).type", "must specify a metric source type") }
    checks.choice(metric["type"], "\(place).type", Self.metricTypes)
    var present = Self.metricMembers.filter { !metric[$0].isNull }
    if let first = present.first { source(metric[first], first, "\(place).\(first)", &checks) }
    let count = present.count
    if Self.metricTypes.contains(type) {
      let expected = type.prefix(1).lowercased() + type.dropFirst()
      if metric[expected].isNull {
        checks.required("\(place).\(expected)", "must populate information for the given metric source")
      }
      present.removeAll { $0 == expected }
    } else {
      // (The reference tells of it twice.)
      checks.notSupported("\(place).type", .string(type), Self.metricTypes)
    }
    guard count != 1 else { return }
    for name in present.sorted() {
      checks.forbidden("\(place).\(name)", "must populate the given metric source only")
    }
  }

  private func source(_ source: JSONValue, _ member: String, _ place: String, _ checks: inout Checks) {
    switch member {
    case "resource", "containerResource":
      if source["name"].isEmptyValue {
        checks.required("\(place).name", "must specify a resource name")
      } else if member == "containerResource" {
        checks.containerResourceName(source["name"].text, "\(place).name")
      }
      if member == "containerResource" {
        if source["container"].isEmptyValue {
          checks.required("\(place).container", "must specify a container")
        } else {
          checks.text(source["container"], "\(place).container", Validate.dns1123Label)
        }
      }
    default:
      if member == "object" { reference(source["describedObject"], "\(place).describedObject", &checks) }
      let name = source["metric"]["name"]
      if name.isEmptyValue {
        checks.required("\(place).metric.name", "must specify a metric name")
      } else {
        checks.text(name, "\(place).metric.name") { Validate.pathSegmentName($0) }
      }
    }
    target(source["target"], "\(place).target", &checks)
    amounts(source["target"], member, "\(place).target", &checks)
  }

  private func target(_ target: JSONValue, _ place: String, _ checks: inout Checks) {
    let type = target["type"].text
    if type.isEmpty { checks.required("\(place).type", "must specify a metric target type") }
    if !["Utilization", "Value", "AverageValue"].contains(type) {
      checks.invalid("\(place).type", .string(type), "must be either Utilization, Value, or AverageValue")
    }
    for name in ["value", "averageValue"] {
      guard let quantity = target[name].string.flatMap({ Quantity($0) }), quantity.isNegative || quantity.isZero
      else { continue }
      checks.invalid("\(place).\(name)", goValue: GoSyntax.quantity(target[name].text), "must be positive")
    }
    if let utilization = target["averageUtilization"].integer, utilization < 1 {
      checks.invalid("\(place).averageUtilization", .integer(utilization), "must be greater than 0")
    }
  }

  /// Which amounts a target of this source must have, and which exclude each other.
  private func amounts(_ target: JSONValue, _ member: String, _ place: String, _ checks: inout Checks) {
    let (hasValue, hasAverage) = (!target["value"].isNull, !target["averageValue"].isNull)
    let average = "\(place).averageValue"
    switch member {
    case "object":
      if !hasValue, !hasAverage { checks.required(average, "must set either a target value or averageValue") }
    case "external":
      if !hasValue, !hasAverage {
        checks.required(average, "must set either a target value for metric or a per-pod target")
      } else if hasValue, hasAverage {
        checks.forbidden("\(place).value", "may not set both a target value for metric and a per-pod target")
      }
    case "pods":
      if !hasAverage { checks.required(average, "must specify a positive target averageValue") }
    default:
      let hasUtilization = !target["averageUtilization"].isNull
      if !hasUtilization, !hasAverage {
        checks.required(
          "\(place).averageUtilization", "must set either a target raw value or a target utilization")
      } else if hasUtilization, hasAverage {
        checks.forbidden(average, "may not set both a target raw value and a target utilization")
      }
    }
  }

  // MARK: Behavior

  private func scaling(_ rules: JSONValue, _ place: String, _ checks: inout Checks) {
    let window = rules["stabilizationWindowSeconds"]
    if let seconds = window.integer, seconds < 0 {
      checks.invalid("\(place).stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    } else if let seconds = window.integer, seconds > Self.maximumWindow {
      checks.invalid(
        "\(place).stabilizationWindowSeconds", window, "must be less than or equal to \(Self.maximumWindow)")
    }
    if !rules["selectPolicy"].isNull {
      checks.choice(rules["selectPolicy"], "\(place).selectPolicy", ["Disabled", "Max", "Min"])
    }
    if rules["policies"].isEmptyValue { checks.required("\(place).policies", "must specify at least one Policy") }
    for (index, policy) in rules["policies"].elements.enumerated() {
      let place = "\(place).policies[\(index)]"
      checks.choice(policy["type"], "\(place).type", ["Percent", "Pods"])
      for name in ["value", "periodSeconds"] where (policy[name].integer ?? 0) <= 0 {
        checks.invalid("\(place).\(name)", .integer(policy[name].integer ?? 0), "must be greater than zero")
      }
      if let period = policy["periodSeconds"].integer, period > Self.maximumPeriod {
        checks.invalid(
          "\(place).periodSeconds", .integer(period), "must be less than or equal to \(Self.maximumPeriod)")
      }
    }
  }
}
