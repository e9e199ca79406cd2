// Jobs as their controllers read them.
import JSON
import Schema
import World

public struct Job: SelectingOwner {
  public static let reference = ResourceReference.jobs
  public var metadata: ObjectMeta
  public var parallelism: Int
  /// How many pods must succeed; nil where one does, of as many as there are.
  public var completions: Int?
  public var activeDeadlineSeconds: Int64?
  public var backoffLimit: Int
  public var backoffLimitPerIndex: Int?
  public var maxFailedIndexes: Int?
  /// "NonIndexed" or "Indexed".
  public var completionMode: String
  public var isSuspended: Bool
  public var ttlSecondsAfterFinished: Int64?
  /// Who reconciles it; "" stands for the job controller.
  public var managedBy: String
  /// A pod that goes is replaced when it has gone ("Failed"), not as soon as it is told to go.
  public var replacesOnlyFailedPods: Bool
  /// spec.podFailurePolicy.rules; nil where there is no policy.
  public var failureRules: [JSONValue]?
  public var successRules: [JSONValue]
  public var selector: LabelSelector
  public var template: PodTemplate
  public var status: JobStatus
  /// The whole of it: a status is written back under the resourceVersion that was read.
  public var json: JSONValue

  public init(json: JSONValue) {
    self.json = json
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    func number(_ name: String) -> Int? { spec[name].integer.map { Int($0) } }
    parallelism = number("parallelism") ?? 1
    completions = number("completions")
    activeDeadlineSeconds = spec["activeDeadlineSeconds"].integer
    backoffLimit = number("backoffLimit") ?? 6
    backoffLimitPerIndex = number("backoffLimitPerIndex")
    maxFailedIndexes = number("maxFailedIndexes")
    completionMode = spec["completionMode"].string ?? "NonIndexed"
    isSuspended = spec["suspend"].bool ?? false
    ttlSecondsAfterFinished = spec["ttlSecondsAfterFinished"].integer
    managedBy = spec["managedBy"].string ?? ""
    let policy = spec["podFailurePolicy"]
    failureRules = policy.isNull ? nil : policy["rules"].elements
    replacesOnlyFailedPods = spec["podReplacementPolicy"].string == "Failed" || !policy.isNull
    successRules = spec["successPolicy"]["rules"].elements
    selector = (try? LabelSelector(spec["selector"])) ?? .nothing
    template = PodTemplate(json: spec["template"])
    status = JobStatus(json: json["status"])
  }

  public var isIndexed: Bool { completionMode == "Indexed" }
  /// Complete or failed: nothing will run again.
  public var isFinished: Bool { finished != nil }
  /// The condition that says how it ended.
  public var finished: JobCondition? {
    status.conditions.first { $0.status == "True" && ($0.type == "Complete" || $0.type == "Failed") }
  }
  public var hasSucceeded: Bool { finished?.type == "Complete" }
}

public struct JobCondition: Hashable, Sendable {
  public var type: String
  public var status: String
  public var reason: String
  public var message: String
  public var lastProbeTime: WallTime?
  public var lastTransitionTime: WallTime?

  public init(type: String, status: String = "True", reason: String, message: String, at now: WallTime) {
    self.type = type
    self.status = status
    self.reason = reason
    self.message = message
    lastProbeTime = now
    lastTransitionTime = now
  }

  public init(json: JSONValue) {
    type = json["type"].string ?? ""
    status = json["status"].string ?? ""
    reason = json["reason"].string ?? ""
    message = json["message"].string ?? ""
    lastProbeTime = json["lastProbeTime"].time
    lastTransitionTime = json["lastTransitionTime"].time
  }

  public var json: JSONValue {
    var value: JSONValue = ["type": .string(type), "status": .string(status)]
    if let lastProbeTime { value["lastProbeTime"] = .string(lastProbeTime.rfc3339) }
    if let lastTransitionTime { value["lastTransitionTime"] = .string(lastTransitionTime.rfc3339) }
    if !reason.isEmpty { value["reason"] = .string(reason) }
    if !message.isEmpty { value["message"] = .string(message) }
    return value
  }
}

/// `JobStatus`.
public struct JobStatus: Hashable, Sendable {
  public var active: Int
  public var ready: Int?
  public var terminating: Int?
  public var succeeded: Int
  public var failed: Int
  public var completedIndexes: String
  public var failedIndexes: String?
  /// UIDs of pods that have ended and whose finalizer may still be there: not yet part of the counts.
  public var uncountedSucceeded: [String]
  public var uncountedFailed: [String]
  public var startTime: WallTime?
  public var completionTime: WallTime?
  public var conditions: [JobCondition]

  public init(json: JSONValue) {
    func number(_ name: String) -> Int? { json[name].integer.map { Int($0) } }
    active = number("active") ?? 0
    ready = number("ready")
    terminating = number("terminating")
    succeeded = number("succeeded") ?? 0
    failed = number("failed") ?? 0
    completedIndexes = json["completedIndexes"].string ?? ""
    failedIndexes = json["failedIndexes"].string
    let uncounted = json["uncountedTerminatedPods"]
    uncountedSucceeded = uncounted["succeeded"].elements.compactMap(\.string)
    uncountedFailed = uncounted["failed"].elements.compactMap(\.string)
    startTime = json["startTime"].time
    completionTime = json["completionTime"].time
    conditions = json["conditions"].elements.map(JobCondition.init(json:))
  }

  public var json: JSONValue {
    var value: JSONValue = ["uncountedTerminatedPods": [:]]
    func put(_ name: String, _ number: Int?, evenZero: Bool = false) {
      if let number, evenZero || number != 0 { value[name] = .integer(Int64(number)) }
    }
    put("active", active)
    put("ready", ready, evenZero: true)
    put("terminating", terminating, evenZero: true)
    put("succeeded", succeeded)
    put("failed", failed)
    if !completedIndexes.isEmpty { value["completedIndexes"] = .string(completedIndexes) }
    if let failedIndexes { value["failedIndexes"] = .string(failedIndexes) }
    for (name, uids) in [("succeeded", uncountedSucceeded), ("failed", uncountedFailed)] where !uids.isEmpty {
      value["uncountedTerminatedPods"][name] = .array(uids.map { .string($0) })
    }
    if let startTime { value["startTime"] = .string(startTime.rfc3339) }
    if let completionTime { value["completionTime"] = .string(completionTime.rfc3339) }
    if !conditions.isEmpty { value["conditions"] = .array(conditions.map(\.json)) }
    return value
  }

  /// The condition of that type, where it holds.
  public func condition(_ type: String) -> JobCondition? {
    conditions.first { $0.type == type && $0.status == "True" }
  }
}
