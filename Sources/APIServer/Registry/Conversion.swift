// Between the version an object is stored in and another that it is served in. Two kinds have two: Event (stored as
// core/v1) and HorizontalPodAutoscaler (stored as autoscaling/v2); see spec/3 §3.1.
import JSON
import Schema

enum Conversion {
  static func fromStorage(_ object: JSONValue, to kind: KindDescriptor) -> JSONValue {
    if let custom = kind.custom {
      return CustomConversion.renamed(CustomConversion.refreshed(object, custom), to: kind.kind, custom)
    }
    guard kind.storage != kind.kind else { return object }
    var result = convert(object, from: kind.storage, to: kind.kind)
    result["apiVersion"] = .string(kind.kind.apiVersion)
    return result
  }

  static func toStorage(_ object: JSONValue, from kind: KindDescriptor) -> JSONValue {
    if let custom = kind.custom { return CustomConversion.renamed(object, to: kind.storage, custom) }
    guard kind.storage != kind.kind else { return object }
    var result = convert(object, from: kind.kind, to: kind.storage)
    result["apiVersion"] = .string(kind.storage.apiVersion)
    return result
  }

  private static func convert(
    _ object: JSONValue, from source: GroupVersionKind, to target: GroupVersionKind
  ) -> JSONValue {
    switch (source.kind, target.group, target.version) {
    case ("Event", "events.k8s.io", _): rename(object, eventMembers)
    case ("Event", _, _): rename(object, eventMembers.map { ($0.1, $0.0) })
    case ("HorizontalPodAutoscaler", _, "v1"): HorizontalPodAutoscalerConversion.toV1(object)
    case ("HorizontalPodAutoscaler", _, _): HorizontalPodAutoscalerConversion.toV2(object)
    default: object
    }
  }

  /// Where a field of `kind` stands in stored objects.
  static func storagePath(_ path: [String], of kind: KindDescriptor) -> [String] {
    guard kind.storage != kind.kind, kind.kind.kind == "Event", let first = path.first,
      let stored = eventMembers.first(where: { $0.1 == first })
    else { return path }
    return [stored.0] + path.dropFirst()
  }

  /// Members of core/v1 Event and what events.k8s.io/v1 calls them.
  private static let eventMembers: [(String, String)] = [
    ("involvedObject", "regarding"), ("message", "note"), ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"), ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"), ("reportingComponent", "reportingController"),
  ]

  private static func rename(_ object: JSONValue, _ names: [(String, String)]) -> JSONValue {
    guard case .object(let members) = object else { return object }
    let renamed = members.members.map { member in
      (key: names.first { $0.0 == member.key }?.1 ?? member.key, value: member.value)
    }
    return .object(JSONObject(uniqueMembers: renamed))
  }
}

/// autoscaling/v1 knows one metric (CPU); what else v2 says travels in annotations.
enum HorizontalPodAutoscalerConversion {
  private static let prefix = "autoscaling.alpha.kubernetes.io/"

  static func toV1(_ object: JSONValue) -> JSONValue {
    var result = object
    var annotations = object["metadata"]["annotations"]
    let metrics = object["spec"]["metrics"].elements
    let cpu = metrics.firstIndex(where: isCPUUtilization)
    result["spec"]["metrics"] = .null
    result["spec"]["targetCPUUtilizationPercentage"] =
      cpu.map { metrics[$0]["resource"]["target"]["averageUtilization"] } ?? .null
    let others = metrics.indices.filter { $0 != cpu }.map { metrics[$0] }
    if !others.isEmpty { annotations["\(prefix)metrics"] = .string(JSONValue.array(others).description) }
    result["spec"]["behavior"] = .null
    let behavior = object["spec"]["behavior"]
    if !behavior.isNull { annotations["\(prefix)behavior"] = .string(behavior.description) }
    let current = object["status"]["currentMetrics"].elements
    result["status"]["currentMetrics"] = .null
    result["status"]["currentCPUUtilizationPercentage"] =
      current.first { $0["type"] == "Resource" && $0["resource"]["name"] == "cpu" }?["resource"]["current"][
        "averageUtilization"] ?? .null
    if !current.isEmpty { annotations["\(prefix)current-metrics"] = .string(JSONValue.array(current).description) }
    let conditions = object["status"]["conditions"]
    result["status"]["conditions"] = .null
    if !conditions.isNull { annotations["\(prefix)conditions"] = .string(conditions.description) }
    result["metadata"]["annotations"] = annotations
    return result
  }

  static func toV2(_ object: JSONValue) -> JSONValue {
    var result = object
    var annotations = object["metadata"]["annotations"]
    func take(_ name: String) -> JSONValue {
      guard let text = annotations[prefix + name].string, let value = try? JSONValue(parsing: text) else {
        return .null
      }
      annotations[prefix + name] = .null
      return value
    }
    var metrics: [JSONValue] = []
    if let percentage = object["spec"]["targetCPUUtilizationPercentage"].integer {
      metrics.append([
        "type": "Resource",
        "resource": [
          "name": "cpu", "target": ["type": "Utilization", "averageUtilization": .integer(percentage)],
        ],
      ])
    }
    metrics += take("metrics").elements
    result["spec"]["targetCPUUtilizationPercentage"] = .null
    if !metrics.isEmpty { result["spec"]["metrics"] = .array(metrics) }
    let behavior = take("behavior")
    if !behavior.isNull { result["spec"]["behavior"] = behavior }
    let current = take("current-metrics")
    result["status"]["currentCPUUtilizationPercentage"] = .null
    if !current.isNull { result["status"]["currentMetrics"] = current }
    let conditions = take("conditions")
    if !conditions.isNull { result["status"]["conditions"] = conditions }
    if case .object(let object) = annotations, object.isEmpty { annotations = .null }
    result["metadata"]["annotations"] = annotations
    return result
  }

  private static func isCPUUtilization(_ metric: JSONValue) -> Bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
      && metric["resource"]["target"]["type"] == "Utilization"
  }
}
