// Budgets and roles as their controllers read them.
import JSON
import Schema
import World

public struct PodDisruptionBudget: APIObject {
  public static let reference = ResourceReference.podDisruptionBudgets
  public var metadata: ObjectMeta
  public var selector: LabelSelector
  public var minAvailable: IntOrPercent?
  public var maxUnavailable: IntOrPercent?
  public var status: DisruptionStatus
  /// The whole of it: a status is written back under the resourceVersion that was read.
  public var json: JSONValue

  public init(json: JSONValue) {
    self.json = json
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    selector = (try? LabelSelector(spec["selector"])) ?? .nothing
    minAvailable = IntOrPercent(json: spec["minAvailable"])
    maxUnavailable = IntOrPercent(json: spec["maxUnavailable"])
    status = DisruptionStatus(json: json["status"])
  }
}

/// `PodDisruptionBudgetStatus`.
public struct DisruptionStatus: Hashable, Sendable {
  public var disruptionsAllowed: Int64
  public var currentHealthy: Int64
  public var desiredHealthy: Int64
  public var expectedPods: Int64
  public var observedGeneration: Int64
  /// When evictions were granted, by name of the pod.
  public var disruptedPods: [String: WallTime]
  public var conditions: [JSONValue]

  public init(json: JSONValue) {
    disruptionsAllowed = json["disruptionsAllowed"].integer ?? 0
    currentHealthy = json["currentHealthy"].integer ?? 0
    desiredHealthy = json["desiredHealthy"].integer ?? 0
    expectedPods = json["expectedPods"].integer ?? 0
    observedGeneration = json["observedGeneration"].integer ?? 0
    disruptedPods = (json["disruptedPods"].object ?? [:]).reduce(into: [:]) { times, member in
      times[member.key] = member.value.time
    }
    conditions = json["conditions"].elements
  }

  public var json: JSONValue {
    var value: JSONValue = [
      "disruptionsAllowed": .integer(disruptionsAllowed), "currentHealthy": .integer(currentHealthy),
      "desiredHealthy": .integer(desiredHealthy), "expectedPods": .integer(expectedPods),
      "observedGeneration": .integer(observedGeneration), "conditions": .array(conditions),
    ]
    for (name, time) in disruptedPods { value["disruptedPods"][name] = .string(time.rfc3339) }
    return value
  }
}

public struct ClusterRole: APIObject {
  public static let reference = ResourceReference.clusterRoles
  public var metadata: ObjectMeta
  public var rules: [JSONValue]
  /// Of the roles whose rules this one gathers; nil for a role that has its own.
  public var gathered: [LabelSelector]?

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    rules = json["rules"].elements
    let aggregation = json["aggregationRule"]
    gathered =
      aggregation.isNull
      ? nil : aggregation["clusterRoleSelectors"].elements.map { (try? LabelSelector($0)) ?? .nothing }
  }
}
