// HorizontalPodAutoscaler in its two versions. autoscaling/v1 knows one target, the CPU; everything else of v2 travels in
// annotations, so that nothing is lost by reading and writing through v1. The annotations are those of the reference, to
// the order of their members: clients and dashboards read them.
import JSON

enum AutoscalerConversion {
  private static let prefix = "autoscaling.alpha.kubernetes.io/"
  /// The annotations that stand for what autoscaling/v1 cannot say.
  private static let annotations = ["metrics", "behavior", "current-metrics", "conditions"].map { prefix + $0 }
  /// What autoscaling/v1 means by naming no target at all.
  private static let defaultUtilization: JSONValue = 80

  // MARK: v2 → v1

  static func toV1(_ object: JSONValue) -> JSONValue {
    var result = withoutAnnotations(object)
    let spec = object["spec"]
    result["spec"]["metrics"] = .null
    result["spec"]["behavior"] = .null
    let metrics = spec["metrics"].elements
    let target = metrics.first(where: isCPU)?["resource"]["target"]["averageUtilization"] ?? .null
    if !target.isNull { result["spec"]["targetCPUUtilizationPercentage"] = target }
    let others = metrics.filter { !isCPU($0) || $0["resource"]["target"]["averageUtilization"].isNull }
    annotate(&result, "metrics", others.map { metricToV1($0, .spec) })
    if !spec["behavior"].isNull {
      result["metadata"]["annotations"]["\(prefix)behavior"] = .string(
        behaviorToAnnotation(spec["behavior"]).description)
    }
    let status = object["status"]
    guard !status.isNull else { return result }
    result["status"]["currentMetrics"] = .null
    result["status"]["conditions"] = .null
    let current = status["currentMetrics"].elements
    let utilization = current.last { isCPU($0) && !$0["resource"]["current"]["averageUtilization"].isNull }
    if let utilization {
      result["status"]["currentCPUUtilizationPercentage"] = utilization["resource"]["current"]["averageUtilization"]
    }
    // All of them: a utilization's raw value has no other place.
    annotate(&result, "current-metrics", current.map { metricToV1($0, .status) })
    annotate(&result, "conditions", status["conditions"].elements)
    return result
  }

  private static func isCPU(_ metric: JSONValue) -> Bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
  }

  private static func annotate(_ object: inout JSONValue, _ name: String, _ items: [JSONValue]) {
    guard !items.isEmpty else { return }
    object["metadata"]["annotations"][prefix + name] = .string(JSONValue.array(items).description)
  }

  private static func withoutAnnotations(_ object: JSONValue) -> JSONValue {
    var result = object
    let present = object["metadata"]["annotations"]
    for name in annotations where !present[name].isNull { result["metadata"]["annotations"][name] = .null }
    if !present.isNull, result["metadata"]["annotations"].isEmptyValue { result["metadata"]["annotations"] = .null }
    return result
  }

  // MARK: v1 → v2

  static func toV2(_ object: JSONValue) -> JSONValue {
    var result = withoutAnnotations(object)
    let annotations = object["metadata"]["annotations"]
    var metrics = parsed(annotations["\(prefix)metrics"]).elements.map { metricToV2($0, .spec) }
    var percentage = object["spec"]["targetCPUUtilizationPercentage"]
    result["spec"]["targetCPUUtilizationPercentage"] = .null
    if metrics.isEmpty, percentage.isNull { percentage = defaultUtilization }
    if !percentage.isNull {
      metrics.append([
        "type": "Resource",
        "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": percentage]],
      ])
    }
    result["spec"]["metrics"] = .array(metrics)
    let behavior = behaviorFromAnnotation(parsed(annotations["\(prefix)behavior"]))
    if !behavior.isEmptyValue { result["spec"]["behavior"] = behavior }
    let utilization = object["status"]["currentCPUUtilizationPercentage"]
    if !utilization.isNull {
      result["status"]["currentCPUUtilizationPercentage"] = .null
      result["status"]["currentMetrics"] = [
        ["type": "Resource", "resource": ["name": "cpu", "current": ["averageUtilization": utilization]]]
      ]
    }
    let current = parsed(annotations["\(prefix)current-metrics"]).elements.map { metricToV2($0, .status) }
    if !current.isEmpty { result["status"]["currentMetrics"] = .array(current) }
    let conditions = parsed(annotations["\(prefix)conditions"])
    if !conditions.isNull { result["status"]["conditions"] = conditions }
    return result
  }

  private static func parsed(_ annotation: JSONValue) -> JSONValue {
    annotation.string.flatMap { try? JSONValue(parsing: $0) } ?? .null
  }

  // MARK: Behavior

  /// The annotation holds the reference's internal form: members with capitals, and those that are absent as null.
  private static func behaviorToAnnotation(_ behavior: JSONValue) -> JSONValue {
    [
      "ScaleUp": behavior["scaleUp"].isNull ? .null : rules(behavior["scaleUp"]),
      "ScaleDown": behavior["scaleDown"].isNull ? .null : rules(behavior["scaleDown"]),
    ]
  }

  private static func rules(_ rules: JSONValue) -> JSONValue {
    let policies = rules["policies"].elements.map { policy -> JSONValue in
      ["Type": policy["type"], "Value": policy["value"], "PeriodSeconds": policy["periodSeconds"]]
    }
    return [
      "StabilizationWindowSeconds": rules["stabilizationWindowSeconds"], "SelectPolicy": rules["selectPolicy"],
      "Policies": rules["policies"].isNull ? .null : .array(policies),
    ]
  }

  /// Members whatever their first letter, as Go reads them.
  private static func behaviorFromAnnotation(_ value: JSONValue) -> JSONValue {
    switch value {
    case .object(let members):
      var result: JSONValue = [:]
      for (key, value) in members where !value.isNull {
        result[key.prefix(1).lowercased() + key.dropFirst()] = behaviorFromAnnotation(value)
      }
      return result
    case .array(let elements): return .array(elements.map(behaviorFromAnnotation))
    default: return value
    }
  }

  // MARK: One metric

  private enum Side {
    case spec
    case status
    /// The member of v2 that holds the amounts.
    var amounts: String { self == .spec ? "target" : "current" }
    /// The names of v1: what is aimed at, and what is measured.
    var value: String { self == .spec ? "targetValue" : "currentValue" }
    var averageValue: String { self == .spec ? "targetAverageValue" : "currentAverageValue" }
    var utilization: String { self == .spec ? "targetAverageUtilization" : "currentAverageUtilization" }
  }

  /// Where a metric of this type keeps its particulars.
  private static func member(_ metric: JSONValue) -> String {
    let type = metric["type"].text
    return type.prefix(1).lowercased() + type.dropFirst()
  }

  /// Amounts that autoscaling/v1 cannot leave out.
  private static func always(_ amount: JSONValue) -> JSONValue { amount.isNull ? "0" : amount }

  private static func metricToV1(_ metric: JSONValue, _ side: Side) -> JSONValue {
    let name = member(metric)
    let body = metric[name]
    let amounts = body[side.amounts]
    let measured = { (amount: JSONValue) in side == .status ? always(amount) : amount }
    var result: JSONValue = [:]
    switch name {
    case "resource", "containerResource":
      result["name"] = body["name"]
      result[side.utilization] = amounts["averageUtilization"]
      result[side.averageValue] = measured(amounts["averageValue"])
      result["container"] = body["container"]
    case "pods":
      result["metricName"] = body["metric"]["name"]
      result[side.averageValue] = always(amounts["averageValue"])
      result["selector"] = body["metric"]["selector"]
    case "object":
      result["target"] = body["describedObject"]
      result["metricName"] = body["metric"]["name"]
      result[side.value] = always(amounts["value"])
      result["selector"] = body["metric"]["selector"]
      result["averageValue"] = amounts["averageValue"]
    case "external":
      result["metricName"] = body["metric"]["name"]
      result["metricSelector"] = body["metric"]["selector"]
      result[side.value] = measured(amounts["value"])
      result[side.averageValue] = amounts["averageValue"]
    default: result = body
    }
    var outer: JSONValue = ["type": metric["type"]]
    outer[name] = result
    return outer
  }

  private static func metricToV2(_ metric: JSONValue, _ side: Side) -> JSONValue {
    let name = member(metric)
    let body = metric[name]
    var amounts: JSONValue = [:]
    amounts["averageUtilization"] = body[side.utilization]
    amounts["value"] = body[side.value]
    amounts["averageValue"] = body[name == "object" ? "averageValue" : side.averageValue]
    // The zero that stands for nothing (`always`).
    for amount in ["value", "averageValue"] where amounts[amount] == "0" { amounts[amount] = .null }
    if side == .spec {
      amounts["type"] =
        !amounts["averageUtilization"].isNull
        ? "Utilization" : !amounts["averageValue"].isNull ? "AverageValue" : "Value"
    }
    var result: JSONValue = [:]
    switch name {
    case "resource", "containerResource":
      result["name"] = body["name"]
      result["container"] = body["container"]
    default:
      result["metric"] = ["name": body["metricName"]]
      result["metric"]["selector"] = body[name == "external" ? "metricSelector" : "selector"]
      result["describedObject"] = body["target"]
    }
    result[side.amounts] = amounts
    var outer: JSONValue = ["type": metric["type"]]
    outer[name] = result
    return outer
  }
}
