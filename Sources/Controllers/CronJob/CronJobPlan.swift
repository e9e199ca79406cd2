// What a cron job should do next, as a value: whom to take off its list, whether to begin a job, which to forget.
import Client
import JSON
import World

enum CronJobNames {
  static let scheduledTime = "batch.kubernetes.io/cronjob-scheduled-timestamp"
}

struct CronJobPlan {
  struct Remark: Hashable {
    var type = EventRecorder.EventType.normal
    var reason: String
    var message: String
  }
  struct Start {
    var time: WallTime
    /// A job, without a kind's defaults.
    var job: JSONValue
    var name: String
    /// References to jobs that make room for it.
    var replacing: [JSONValue]
  }
  /// A little late rather than too early: clocks are not exact.
  private static let slack = Duration.milliseconds(100)

  private(set) var status: CronJobStatus
  private(set) var remarks: [Remark] = []
  /// Finished jobs beyond the history.
  private(set) var toDelete: [Job] = []
  private(set) var start: Start?
  /// When it is due again; nil for never, as things are.
  private(set) var recheck: Duration?

  /// `jobs`: those it controls. `vanished`: UIDs of active jobs that are there no more.
  init(_ cronJob: CronJob, jobs: [Job], vanished: Set<String>, now: WallTime) {
    status = cronJob.status
    toDelete =
      Self.surplus(jobs.filter { $0.isFinished && $0.hasSucceeded }, cronJob.successfulJobsHistoryLimit)
      + Self.surplus(jobs.filter { $0.isFinished && !$0.hasSucceeded }, cronJob.failedJobsHistoryLimit)
    for job in jobs.sorted(by: { $0.name < $1.name }) { note(job, of: cronJob) }
    for reference in status.active where vanished.contains(reference["uid"].string ?? "") {
      remarks.append(
        Remark(reason: "MissingJob", message: "Active job went missing: \(reference["name"].string ?? "")"))
      status.active.removeAll { $0 == reference }
    }
    guard !cronJob.metadata.isBeingDeleted, !cronJob.isSuspended else { return }
    if cronJob.schedule.contains("TZ") {
      remarks.append(
        Remark(
          type: .warning, reason: "UnsupportedSchedule",
          message: "CRON_TZ or TZ used in schedule \"\(cronJob.schedule)\" is not officially supported, see "
            + "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"))
    }
    do {
      let times = try CronTimes(cronJob)
      schedule(cronJob, times, now)
      var after = cronJob
      after.status = status
      if let start { after.status.lastScheduleTime = start.time }
      recheck = times.next(after, after: now).map { $0 + Self.slack - now }
    } catch {
      remarks.append(Remark(type: .warning, reason: error.reason, message: error.message))
    }
  }

  private static func surplus(_ jobs: [Job], _ limit: Int) -> [Job] {
    let oldest = jobs.sorted { one, other in
      (one.status.startTime ?? .latest, one.name) < (other.status.startTime ?? .latest, other.name)
    }
    return Array(oldest.prefix(max(0, jobs.count - limit)))
  }

  // MARK: Jobs that are there

  private mutating func note(_ job: Job, of cronJob: CronJob) {
    let isListed = status.isActive(uid: job.metadata.uid)
    if !isListed && !job.isFinished {
      guard let time = Self.scheduledTime(of: job, cronJob) else {
        remarks.append(
          Remark(
            type: .warning, reason: "UnexpectedJob",
            message: "Saw a job that the controller did not create or forgot: \(job.name)"))
        return
      }
      // Made just before whoever made it was killed.
      status.active.append(Self.reference(to: job))
      status.lastScheduleTime = max(status.lastScheduleTime ?? time, time)
    } else if let end = job.finished {
      if isListed {
        status.active.removeAll { $0["uid"].string == job.metadata.uid }
        remarks.append(
          Remark(reason: "SawCompletedJob", message: "Saw completed job: \(job.name), condition: \(end.type)"))
      }
      guard job.hasSucceeded, let time = job.status.completionTime else { return }
      status.lastSuccessfulTime = max(status.lastSuccessfulTime ?? time, time)
    }
  }

  /// The time a job was made for, where this cron job's controller has made it.
  private static func scheduledTime(of job: Job, _ cronJob: CronJob) -> WallTime? {
    guard let time = job.metadata.annotations[CronJobNames.scheduledTime].flatMap(WallTime.init(rfc3339:)),
      job.name == name(cronJob, time)
    else { return nil }
    return time
  }

  static func reference(to job: Job) -> JSONValue {
    [
      "apiVersion": .string(Job.reference.apiVersion), "kind": .string(Job.reference.kind),
      "namespace": .string(job.namespace), "name": .string(job.name), "uid": .string(job.metadata.uid),
      "resourceVersion": .string(job.metadata.resourceVersion),
    ]
  }

  // MARK: The next one

  /// One name for one time: whoever makes it first has made it.
  static func name(_ cronJob: CronJob, _ time: WallTime) -> String {
    "\(cronJob.name)-\(time.secondsSinceEpoch / 60)"
  }

  private mutating func schedule(_ cronJob: CronJob, _ times: CronTimes, _ now: WallTime) {
    var current = cronJob
    current.status = status
    let due = times.due(current, at: now)
    if due.isNever {
      remarks.append(
        Remark(
          type: .warning, reason: "InvalidSchedule",
          message: "invalid schedule: \(cronJob.schedule) : time difference between two schedules is less than 1 "
            + "second"))
    }
    if due.hasMissedMany {
      remarks.append(
        Remark(
          type: .warning, reason: "TooManyMissedTimes",
          message: "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"))
    }
    guard let time = due.time, time != status.lastScheduleTime else { return }
    let name = Self.name(cronJob, time)
    guard !status.active.contains(where: { $0["name"].string == name }) else { return }
    if let limit = cronJob.startingDeadline, time + .seconds(limit) < now {
      remarks.append(
        Remark(
          type: .warning, reason: "MissSchedule", message: "Missed scheduled time to start a job: \(time.rfc1123)"))
      return
    }
    if cronJob.concurrency == .forbid, !status.active.isEmpty {
      remarks.append(
        Remark(
          reason: "JobAlreadyActive",
          message: "Not starting job because prior execution is running and concurrency policy is Forbid"))
      return
    }
    start = Start(
      time: time, job: Self.job(cronJob, name, times.text(time)), name: name,
      replacing: cronJob.concurrency == .replace ? status.active : [])
  }

  private static func job(_ cronJob: CronJob, _ name: String, _ time: String) -> JSONValue {
    let template = cronJob.jobTemplate
    var metadata: JSONValue = [
      "name": .string(name), "namespace": .string(cronJob.namespace),
      "ownerReferences": [cronJob.controllerReference.json],
    ]
    if !template["metadata"]["labels"].isNull { metadata["labels"] = template["metadata"]["labels"] }
    metadata["annotations"] = template["metadata"]["annotations"]
    metadata["annotations"][CronJobNames.scheduledTime] = .string(time)
    return ["apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]]
  }
}

extension WallTime {
  fileprivate static let latest = WallTime(nanosecondsSinceEpoch: .max)

  /// "Thu, 01 Jan 1970 00:00:00 +0000".
  var rfc1123: String {
    let date = civil
    let days = secondsSinceEpoch.quotientAndRemainder(flooring: CivilDate.secondsPerDay).quotient
    let weekday = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][
      Int((days + 4).quotientAndRemainder(flooring: 7).remainder)]
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][
      Int(date.month - 1)]
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(weekday), \(two(date.day)) \(month) \(date.year) "
      + "\(two(date.hour)):\(two(date.minute)):\(two(date.second)) +0000"
  }
}
