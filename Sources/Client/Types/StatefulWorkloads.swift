// StatefulSets, DaemonSets and their revisions, as their controllers read them.
import JSON
import Schema

/// A template that was, or is, in force for a workload.
public struct ControllerRevision: APIObject {
  public static let reference = ResourceReference.controllerRevisions
  public var metadata: ObjectMeta
  public var revision: Int64
  /// A strategic merge patch that restores the workload's template.
  public var data: JSONValue

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    revision = json["revision"].integer ?? 0
    data = json["data"]
  }

  /// The template it restores.
  public var template: PodTemplate {
    var template = data["spec"]["template"]
    template["$patch"] = .null
    return PodTemplate(json: template)
  }
}

public struct StatefulSet: SelectingOwner {
  public static let reference = ResourceReference.statefulSets
  public var metadata: ObjectMeta
  public var replicas: Int64
  public var selector: LabelSelector
  /// The equalities of the selector: its claims carry them as labels.
  public var matchLabels: [String: String]
  public var template: PodTemplate
  public var serviceName: String
  /// podManagementPolicy Parallel: nobody waits for anybody.
  public var isParallel: Bool
  /// updateStrategy OnDelete: pods are updated when somebody deletes them.
  public var updatesOnDelete: Bool
  /// Of the ordinals below it, pods keep the current revision; nil when rollingUpdate is not given.
  public var partition: Int64?
  public var startOrdinal: Int64
  public var minReadySeconds: Int64
  public var revisionHistoryLimit: Int64
  public var claimTemplates: [JSONValue]
  /// persistentVolumeClaimRetentionPolicy: claims go with the set, or with the pod that is one too many.
  public var deletesClaimsWithSet: Bool
  public var deletesClaimsWithPod: Bool
  public var status: StatefulSetStatus

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    replicas = spec["replicas"].integer ?? 1
    selector = (try? LabelSelector(spec["selector"])) ?? .nothing
    matchLabels = spec["selector"]["matchLabels"].stringMap
    template = PodTemplate(json: spec["template"])
    serviceName = spec["serviceName"].string ?? ""
    isParallel = spec["podManagementPolicy"].string == "Parallel"
    updatesOnDelete = spec["updateStrategy"]["type"].string == "OnDelete"
    let rolling = spec["updateStrategy"]["rollingUpdate"]
    partition = rolling.isNull ? nil : rolling["partition"].integer ?? 0
    startOrdinal = spec["ordinals"]["start"].integer ?? 0
    minReadySeconds = spec["minReadySeconds"].integer ?? 0
    revisionHistoryLimit = spec["revisionHistoryLimit"].integer ?? 10
    claimTemplates = spec["volumeClaimTemplates"].elements
    let retention = spec["persistentVolumeClaimRetentionPolicy"]
    deletesClaimsWithSet = retention["whenDeleted"].string == "Delete"
    deletesClaimsWithPod = retention["whenScaled"].string == "Delete"
    status = StatefulSetStatus(json: json["status"])
  }
}

public struct StatefulSetStatus: Hashable, Sendable {
  public var observedGeneration: Int64
  public var replicas: Int64
  public var readyReplicas: Int64
  public var availableReplicas: Int64
  public var currentReplicas: Int64
  public var updatedReplicas: Int64
  public var currentRevision: String
  public var updateRevision: String
  public var collisionCount: Int64
  /// As written: nobody here sets any.
  public var conditions: [JSONValue]

  public init(json: JSONValue = .null) {
    observedGeneration = json["observedGeneration"].integer ?? 0
    replicas = json["replicas"].integer ?? 0
    readyReplicas = json["readyReplicas"].integer ?? 0
    availableReplicas = json["availableReplicas"].integer ?? 0
    currentReplicas = json["currentReplicas"].integer ?? 0
    updatedReplicas = json["updatedReplicas"].integer ?? 0
    currentRevision = json["currentRevision"].string ?? ""
    updateRevision = json["updateRevision"].string ?? ""
    collisionCount = json["collisionCount"].integer ?? 0
    conditions = json["conditions"].elements
  }

  public var json: JSONValue {
    var value: JSONValue = [
      "observedGeneration": .integer(observedGeneration), "replicas": .integer(replicas),
      "readyReplicas": .integer(readyReplicas), "availableReplicas": .integer(availableReplicas),
      "currentReplicas": .integer(currentReplicas), "updatedReplicas": .integer(updatedReplicas),
      "currentRevision": .string(currentRevision), "updateRevision": .string(updateRevision),
      "collisionCount": .integer(collisionCount),
    ]
    if !conditions.isEmpty { value["conditions"] = .array(conditions) }
    return value
  }
}

public struct DaemonSet: SelectingOwner {
  public static let reference = ResourceReference.daemonSets
  public var metadata: ObjectMeta
  public var selector: LabelSelector
  public var template: PodTemplate
  /// updateStrategy OnDelete: pods are updated when somebody deletes them.
  public var updatesOnDelete: Bool
  public var maxUnavailable: IntOrPercent
  public var maxSurge: IntOrPercent
  public var minReadySeconds: Int64
  public var revisionHistoryLimit: Int64
  public var status: DaemonSetStatus

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    selector = (try? LabelSelector(spec["selector"])) ?? .nothing
    template = PodTemplate(json: spec["template"])
    updatesOnDelete = spec["updateStrategy"]["type"].string == "OnDelete"
    let rolling = spec["updateStrategy"]["rollingUpdate"]
    maxUnavailable = IntOrPercent(json: rolling["maxUnavailable"]) ?? .count(1)
    maxSurge = IntOrPercent(json: rolling["maxSurge"]) ?? .count(0)
    minReadySeconds = spec["minReadySeconds"].integer ?? 0
    revisionHistoryLimit = spec["revisionHistoryLimit"].integer ?? 10
    status = DaemonSetStatus(json: json["status"])
  }

  /// Counted up by the server with every change of the template: what pods were told apart by before revisions.
  public var templateGeneration: String {
    metadata.annotations["deprecated.daemonset.template.generation"] ?? ""
  }
}

public struct DaemonSetStatus: Hashable, Sendable {
  public var currentNumberScheduled: Int64
  public var numberMisscheduled: Int64
  public var desiredNumberScheduled: Int64
  public var numberReady: Int64
  public var observedGeneration: Int64
  public var updatedNumberScheduled: Int64
  public var numberAvailable: Int64
  public var numberUnavailable: Int64
  /// Nil until a revision's name was taken.
  public var collisionCount: Int64?
  public var conditions: [JSONValue]

  public init(json: JSONValue = .null) {
    currentNumberScheduled = json["currentNumberScheduled"].integer ?? 0
    numberMisscheduled = json["numberMisscheduled"].integer ?? 0
    desiredNumberScheduled = json["desiredNumberScheduled"].integer ?? 0
    numberReady = json["numberReady"].integer ?? 0
    observedGeneration = json["observedGeneration"].integer ?? 0
    updatedNumberScheduled = json["updatedNumberScheduled"].integer ?? 0
    numberAvailable = json["numberAvailable"].integer ?? 0
    numberUnavailable = json["numberUnavailable"].integer ?? 0
    collisionCount = json["collisionCount"].integer
    conditions = json["conditions"].elements
  }

  public var json: JSONValue {
    var value: JSONValue = [
      "currentNumberScheduled": .integer(currentNumberScheduled), "numberMisscheduled": .integer(numberMisscheduled),
      "desiredNumberScheduled": .integer(desiredNumberScheduled), "numberReady": .integer(numberReady),
      "observedGeneration": .integer(observedGeneration), "updatedNumberScheduled": .integer(updatedNumberScheduled),
      "numberAvailable": .integer(numberAvailable), "numberUnavailable": .integer(numberUnavailable),
    ]
    if let collisionCount { value["collisionCount"] = .integer(collisionCount) }
    if !conditions.isEmpty { value["conditions"] = .array(conditions) }
    return value
  }
}
