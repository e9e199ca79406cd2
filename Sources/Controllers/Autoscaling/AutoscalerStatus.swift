// The status of an autoscaler: its conditions, and what its metrics were.
import Client
import JSON
import Schema
import World

struct AutoscalerStatus {
  private(set) var json: JSONValue
  private let old: JSONValue
  private let now: WallTime

  init(_ autoscaler: HorizontalPodAutoscaler, now: WallTime) {
    old = autoscaler.status
    self.now = now
    json = [
      "desiredReplicas": .integer(old["desiredReplicas"].integer ?? 0),
      "currentReplicas": .integer(old["currentReplicas"].integer ?? 0), "currentMetrics": old["currentMetrics"],
    ]
    if !old["conditions"].isNull { json["conditions"] = old["conditions"] }
    if !old["lastScaleTime"].isNull { json["lastScaleTime"] = old["lastScaleTime"] }
  }

  var hasChanged: Bool {
    for name in ["desiredReplicas", "currentReplicas"] where old[name].integer ?? 0 != json[name].integer ?? 0 {
      return true
    }
    return ["currentMetrics", "conditions", "lastScaleTime"].contains { name in
      !(old[name].isEmpty && json[name].isEmpty) && old[name] != json[name]
    }
  }

  mutating func set(_ type: String, _ holds: Bool, _ remark: ScalingRemark) {
    let status: JSONValue = holds ? "True" : "False"
    var conditions = json["conditions"].elements
    let position = conditions.firstIndex { $0["type"].string == type }
    let former = position.map { conditions[$0] } ?? .null
    let since = former["status"] == status ? former["lastTransitionTime"] : .string(now.rfc3339)
    let condition: JSONValue = [
      "type": .string(type), "status": status, "lastTransitionTime": since, "reason": .string(remark.reason),
      "message": .string(remark.message),
    ]
    if let position { conditions[position] = condition } else { conditions.append(condition) }
    json["conditions"] = .array(conditions)
  }

  mutating func set(current: Int64) {
    json["currentReplicas"] = .integer(current)
  }

  /// In the order of the spec's metrics.
  mutating func show(metrics: [JSONValue]) {
    json["currentMetrics"] = metrics.isEmpty ? .null : .array(metrics)
  }

  mutating func set(current: Int64, desired: Int64, isScaled: Bool) {
    json["currentReplicas"] = .integer(current)
    json["desiredReplicas"] = .integer(desired)
    if isScaled { json["lastScaleTime"] = .string(now.rfc3339) }
  }
}

extension JSONValue {
  fileprivate var isEmpty: Bool { isNull || elements.isEmpty && string == nil }
}
