// HorizontalPodAutoscaler in its two versions. autoscaling/v1 knows one target, the CPU; everything else of v2 travels in
// annotations, so that nothing is lost by reading and writing through v1.
import JSON

enum AutoscalerConversion {
  private static let prefix = "autoscaling.alpha.kubernetes.io/"

  // MARK: v2 → v1

  static func toV1(_ object: JSONValue) -> JSONValue {
    var result = object
    let spec = object["spec"]
    var metrics = spec["metrics"].elements
    result["spec"]["metrics"] = .null
    result["spec"]["behavior"] = .null
    if let index = metrics.firstIndex(where: isCPUTarget) {
      result["spec"]["targetCPUUtilizationPercentage"] =
        metrics.remove(at: index)["resource"]["target"]["averageUtilization"]
    }
    annotate(&result, "metrics", metrics.map { metricToV1($0, .spec) })
    if !spec["behavior"].isNull {
      result["metadata"]["annotations"]["\(prefix)behavior"] = .string(spec["behavior"].description)
    }
    let status = object["status"]
    var current = status["currentMetrics"].elements
    if !status.isNull {
      result["status"]["currentMetrics"] = .null
      result["status"]["conditions"] = .null
    }
    if let index = current.firstIndex(where: {
      $0["type"] == "Resource" && $0["resource"]["name"] == "cpu"
        && !$0["resource"]["current"]["averageUtilization"].isNull
    }) {
      result["status"]["currentCPUUtilizationPercentage"] =
        current.remove(at: index)["resource"]["current"]["averageUtilization"]
    }
    annotate(&result, "current-metrics", current.map { metricToV1($0, .status) })
    annotate(&result, "conditions", status["conditions"].elements)
    return result
  }

  private static func isCPUTarget(_ metric: JSONValue) -> Bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
      && !metric["resource"]["target"]["averageUtilization"].isNull
  }

  private static func annotate(_ object: inout JSONValue, _ name: String, _ items: [JSONValue]) {
    guard !items.isEmpty else { return }
    object["metadata"]["annotations"][prefix + name] = .string(JSONValue.array(items).description)
  }

  // MARK: v1 → v2

  static func toV2(_ object: JSONValue) -> JSONValue {
    var result = object
    let annotations = object["metadata"]["annotations"]
    var metrics = parsed(annotations["\(prefix)metrics"]).elements.map { metricToV2($0, .spec) }
    let percentage = object["spec"]["targetCPUUtilizationPercentage"]
    result["spec"]["targetCPUUtilizationPercentage"] = .null
    if !percentage.isNull {
      metrics.insert(
        [
          "type": "Resource",
          "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": percentage]],
        ], at: 0)
    }
    if !metrics.isEmpty { result["spec"]["metrics"] = .array(metrics) }
    let behavior = parsed(annotations["\(prefix)behavior"])
    if !behavior.isNull { result["spec"]["behavior"] = behavior }
    var current = parsed(annotations["\(prefix)current-metrics"]).elements.map { metricToV2($0, .status) }
    let utilization = object["status"]["currentCPUUtilizationPercentage"]
    if !utilization.isNull {
      result["status"]["currentCPUUtilizationPercentage"] = .null
      current.insert(
        [
          "type": "Resource",
          "resource": ["name": "cpu", "current": ["averageUtilization": utilization]],
        ], at: 0)
    }
    if !current.isEmpty { result["status"]["currentMetrics"] = .array(current) }
    let conditions = parsed(annotations["\(prefix)conditions"])
    if !conditions.isNull { result["status"]["conditions"] = conditions }
    for name in ["metrics", "behavior", "current-metrics", "conditions"]
    where !annotations[prefix + name].isNull {
      result["metadata"]["annotations"][prefix + name] = .null
    }
    if result["metadata"]["annotations"].isEmptyValue { result["metadata"]["annotations"] = .null }
    return result
  }

  private static func parsed(_ annotation: JSONValue) -> JSONValue {
    annotation.string.flatMap { try? JSONValue(parsing: $0) } ?? .null
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

  private static func member(_ metric: JSONValue) -> String {
    let type = metric["type"].text
    return type.prefix(1).lowercased() + type.dropFirst()
  }

  private static func metricToV1(_ metric: JSONValue, _ side: Side) -> JSONValue {
    let name = member(metric)
    let body = metric[name]
    let amounts = body[side.amounts]
    var result: JSONValue = [:]
    switch name {
    case "resource", "containerResource":
      result["name"] = body["name"]
      result["container"] = body["container"]
      result[side.utilization] = amounts["averageUtilization"]
      result[side.averageValue] = amounts["averageValue"]
    case "pods", "object", "external":
      result["metricName"] = body["metric"]["name"]
      result[name == "external" ? "metricSelector" : "selector"] = body["metric"]["selector"]
      result[side.value] = amounts["value"]
      result[name == "object" ? "averageValue" : side.averageValue] = amounts["averageValue"]
      result["target"] = body["describedObject"]
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
