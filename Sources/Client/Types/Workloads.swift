// The objects that controllers reconcile, as far as they read them.
import JSON
import Schema
import World

/// A pod template, kept as written: pods are made of all of it.
public struct PodTemplate: Sendable, Hashable {
  public var json: JSONValue
  public init(json: JSONValue) { self.json = json }
  public var labels: [String: String] { json["metadata"]["labels"].stringMap }
  public var annotations: [String: String] { json["metadata"]["annotations"].stringMap }
}

/// "25%" or 1.
public enum IntOrPercent: Hashable, Sendable {
  case count(Int64)
  case percent(Int64)

  public init?(json: JSONValue) {
    if let count = json.integer {
      self = .count(count)
    } else if let text = json.string, text.hasSuffix("%"), let percent = Int64(text.dropLast()) {
      self = .percent(percent)
    } else {
      return nil
    }
  }

  /// The number of `total` it stands for; as long as any count of pods at most: nothing bounds a percentage.
  public func resolved(of total: Int64, roundingUp: Bool) -> Int64 {
    switch self {
    case .count(let count): return count
    case .percent(let percent):
      let (product, overflows) = percent.multipliedReportingOverflow(by: total)
      let most = Int64(Int32.max)
      if overflows { return (percent < 0) == (total < 0) ? most : -most }
      // (In this order nothing overflows.)
      let whole = product / 100 + (roundingUp && product % 100 > 0 ? 1 : 0)
      return min(max(whole, -most), most)
    }
  }
}

/// A condition of a workload's status.
public struct StatusCondition: Hashable, Sendable {
  public var type: String
  public var status: String
  public var reason: String
  public var message: String
  public var lastUpdateTime: WallTime?
  public var lastTransitionTime: WallTime?

  public init(
    type: String, status: String, reason: String, message: String, lastUpdateTime: WallTime? = nil,
    lastTransitionTime: WallTime? = nil
  ) {
    self.type = type
    self.status = status
    self.reason = reason
    self.message = message
    self.lastUpdateTime = lastUpdateTime
    self.lastTransitionTime = lastTransitionTime
  }

  public init(json: JSONValue) {
    type = json["type"].string ?? ""
    status = json["status"].string ?? ""
    reason = json["reason"].string ?? ""
    message = json["message"].string ?? ""
    lastUpdateTime = json["lastUpdateTime"].time
    lastTransitionTime = json["lastTransitionTime"].time
  }

  public var json: JSONValue {
    var value: JSONValue = ["type": .string(type), "status": .string(status)]
    if let lastUpdateTime { value["lastUpdateTime"] = .string(lastUpdateTime.rfc3339) }
    if let lastTransitionTime { value["lastTransitionTime"] = .string(lastTransitionTime.rfc3339) }
    if !reason.isEmpty { value["reason"] = .string(reason) }
    if !message.isEmpty { value["message"] = .string(message) }
    return value
  }
}

/// ReplicaSet and ReplicationController differ in name, selector form and defaults alone; one controller serves both.
public protocol ReplicaOwner: SelectingOwner {
  var replicas: Int64 { get }
  var minReadySeconds: Int64 { get }
  var template: PodTemplate { get }
  var status: ReplicaStatus { get }
}

public struct ReplicaStatus: Hashable, Sendable {
  public var replicas: Int64
  public var fullyLabeledReplicas: Int64
  public var readyReplicas: Int64
  public var availableReplicas: Int64
  public var observedGeneration: Int64
  public var conditions: [StatusCondition]

  public init(json: JSONValue) {
    replicas = json["replicas"].integer ?? 0
    fullyLabeledReplicas = json["fullyLabeledReplicas"].integer ?? 0
    readyReplicas = json["readyReplicas"].integer ?? 0
    availableReplicas = json["availableReplicas"].integer ?? 0
    observedGeneration = json["observedGeneration"].integer ?? 0
    conditions = json["conditions"].elements.map(StatusCondition.init(json:))
  }
}

public struct ReplicaSet: ReplicaOwner {
  public static let reference = ResourceReference.replicaSets
  public var metadata: ObjectMeta
  public var replicas: Int64
  public var minReadySeconds: Int64
  public var selector: LabelSelector
  public var selectorJSON: JSONValue
  public var template: PodTemplate
  public var status: ReplicaStatus

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    replicas = spec["replicas"].integer ?? 1
    minReadySeconds = spec["minReadySeconds"].integer ?? 0
    selectorJSON = spec["selector"]
    selector = (try? LabelSelector(spec["selector"])) ?? .nothing
    template = PodTemplate(json: spec["template"])
    status = ReplicaStatus(json: json["status"])
  }
}

public struct ReplicationController: ReplicaOwner {
  public static let reference = ResourceReference.replicationControllers
  public var metadata: ObjectMeta
  public var replicas: Int64
  public var minReadySeconds: Int64
  public var selector: LabelSelector
  public var template: PodTemplate
  public var status: ReplicaStatus

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    replicas = spec["replicas"].integer ?? 1
    minReadySeconds = spec["minReadySeconds"].integer ?? 0
    selector = LabelSelector(matchLabels: spec["selector"].stringMap)
    template = PodTemplate(json: spec["template"])
    status = ReplicaStatus(json: json["status"])
  }
}

public struct Deployment: SelectingOwner {
  public static let reference = ResourceReference.deployments
  public var metadata: ObjectMeta
  public var replicas: Int64
  public var minReadySeconds: Int64
  public var isPaused: Bool
  public var isRecreate: Bool
  public var maxSurge: IntOrPercent
  public var maxUnavailable: IntOrPercent
  public var revisionHistoryLimit: Int64
  public var progressDeadlineSeconds: Int64
  public var selector: LabelSelector
  public var selectorJSON: JSONValue
  public var template: PodTemplate
  public var status: JSONValue

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    replicas = spec["replicas"].integer ?? 1
    minReadySeconds = spec["minReadySeconds"].integer ?? 0
    isPaused = spec["paused"].bool ?? false
    isRecreate = spec["strategy"]["type"].string == "Recreate"
    maxSurge = IntOrPercent(json: spec["strategy"]["rollingUpdate"]["maxSurge"]) ?? .percent(25)
    maxUnavailable = IntOrPercent(json: spec["strategy"]["rollingUpdate"]["maxUnavailable"]) ?? .percent(25)
    revisionHistoryLimit = spec["revisionHistoryLimit"].integer ?? 10
    progressDeadlineSeconds = spec["progressDeadlineSeconds"].integer ?? 600
    selectorJSON = spec["selector"]
    selector = (try? LabelSelector(spec["selector"])) ?? .nothing
    template = PodTemplate(json: spec["template"])
    status = json["status"]
  }

  public var conditions: [StatusCondition] { status["conditions"].elements.map(StatusCondition.init(json:)) }
}
