// Cron jobs as their controller reads them.
import JSON
import Schema
import World

public struct CronJob: APIObject {
  public enum Concurrency: String, Sendable { case allow = "Allow", forbid = "Forbid", replace = "Replace" }

  public static let reference = ResourceReference.cronJobs
  public var metadata: ObjectMeta
  public var schedule: String
  public var timeZone: String?
  public var startingDeadlineSeconds: Int64?
  public var concurrency: Concurrency
  public var isSuspended: Bool
  public var jobTemplate: JSONValue
  public var successfulJobsHistoryLimit: Int
  public var failedJobsHistoryLimit: Int
  public var status: CronJobStatus
  /// The whole of it: a status is written back under the resourceVersion that was read.
  public var json: JSONValue

  public init(json: JSONValue) {
    self.json = json
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    schedule = spec["schedule"].string ?? ""
    timeZone = spec["timeZone"].string
    startingDeadlineSeconds = spec["startingDeadlineSeconds"].integer
    concurrency = Concurrency(rawValue: spec["concurrencyPolicy"].string ?? "") ?? .allow
    isSuspended = spec["suspend"].bool ?? false
    jobTemplate = spec["jobTemplate"]
    successfulJobsHistoryLimit = Int(spec["successfulJobsHistoryLimit"].integer ?? 3)
    failedJobsHistoryLimit = Int(spec["failedJobsHistoryLimit"].integer ?? 1)
    status = CronJobStatus(json: json["status"])
  }
}

/// `CronJobStatus`.
public struct CronJobStatus: Hashable, Sendable {
  /// References to jobs that run.
  public var active: [JSONValue]
  public var lastScheduleTime: WallTime?
  public var lastSuccessfulTime: WallTime?

  public init(json: JSONValue) {
    active = json["active"].elements
    lastScheduleTime = json["lastScheduleTime"].time
    lastSuccessfulTime = json["lastSuccessfulTime"].time
  }

  public var json: JSONValue {
    var value: JSONValue = [:]
    if !active.isEmpty { value["active"] = .array(active) }
    if let lastScheduleTime { value["lastScheduleTime"] = .string(lastScheduleTime.rfc3339) }
    if let lastSuccessfulTime { value["lastSuccessfulTime"] = .string(lastSuccessfulTime.rfc3339) }
    return value
  }

  public func isActive(uid: String) -> Bool { active.contains { $0["uid"].string == uid } }
}
