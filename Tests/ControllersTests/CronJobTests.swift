// Cron jobs: schedules, what is decided of them, and how they go.
import Client
import Glibc
import JSON
import Kinds
import Kubelet
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

private func time(_ text: String) -> WallTime { WallTime(rfc3339: text)! }

/// The suite gives the process its time zones; nobody else's tests here use names.
@Suite(.serialized) struct CronScheduleTests {
  private static let hasFiles = access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0

  private static func readZone(_ name: String) -> [UInt8]? {
    guard let file = fopen("/usr/share/zoneinfo/\(name)", "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes.prefix(count))
  }

  /// The next times after one, as texts.
  private func times(_ schedule: String, after start: String, _ count: Int, zone: String = "") throws -> [String] {
    let schedule = try CronSchedule(schedule)
    let rules = try #require(TimeZones.rules(of: zone))
    var times: [String] = []
    var at = time(start)
    while times.count < count, let next = schedule.next(after: at, in: rules) {
      times.append(next.rfc3339)
      at = next
    }
    return times
  }

  @Test(arguments: [
    ("*/15 * * * *", "2026-01-01T12:07:30Z", ["2026-01-01T12:15:00Z", "2026-01-01T12:30:00Z"]),
    ("0 0 1 1 *", "2026-01-01T00:00:00Z", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
    ("5 4 * * sun", "2026-01-01T00:00:00Z", ["2026-01-04T04:05:00Z", "2026-01-11T04:05:00Z"]),
    ("0 22 * * 1-5", "2026-01-02T22:00:00Z", ["2026-01-05T22:00:00Z", "2026-01-06T22:00:00Z"]),
    ("59 23 28,29 feb ?", "2026-01-01T00:00:00Z", ["2026-02-28T23:59:00Z", "2027-02-28T23:59:00Z"]),
    // Where both days are given, one of them is enough.
    ("0 12 13 * 5", "2026-02-01T00:00:00Z", ["2026-02-06T12:00:00Z", "2026-02-13T12:00:00Z"]),
    ("0 12 */10 * 5", "2026-02-01T13:00:00Z", ["2026-02-06T12:00:00Z", "2026-02-11T12:00:00Z"]),
    ("10-30/10,45 8 * * *", "2026-02-01T08:20:00Z", ["2026-02-01T08:30:00Z", "2026-02-01T08:45:00Z"]),
    ("@hourly", "2026-01-01T12:00:00Z", ["2026-01-01T13:00:00Z", "2026-01-01T14:00:00Z"]),
    ("@weekly", "2026-01-01T12:00:00Z", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"]),
    ("@monthly", "2026-12-01T00:00:00Z", ["2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"]),
    ("@yearly", "2026-01-01T12:00:00Z", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
    ("@midnight", "2026-01-01T12:00:00Z", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]),
    ("@every 1h30m", "2026-01-01T12:00:05Z", ["2026-01-01T13:30:05Z", "2026-01-01T15:00:05Z"]),
    ("@every 10ms", "2026-01-01T12:00:05Z", ["2026-01-01T12:00:06Z", "2026-01-01T12:00:07Z"]),
    ("0 0 31 2 *", "2026-01-01T12:00:00Z", []),
  ])
  func schedulesNameTimes(_ schedule: String, _ start: String, _ expected: [String]) throws {
    #expect(try times(schedule, after: start, 2) == expected)
  }

  @Test(arguments: [
    "", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *", "@now",
  ])
  func whatIsNoScheduleIsRefused(_ text: String) { #expect(CronSchedule.problem(with: text) != nil) }

  @Test(.enabled(if: hasFiles)) func clocksAreThoseOfTheZone() throws {
    TimeZones.use { Self.readZone($0) }
    #expect(
      try times("30 9 * * *", after: "2026-03-27T12:00:00Z", 3, zone: "Europe/Berlin") == [
        "2026-03-28T08:30:00Z", "2026-03-29T07:30:00Z", "2026-03-30T07:30:00Z",
      ])
    // The hour that clocks skip is nobody's; the hour they show twice is had twice.
    #expect(
      try times("30 2 * * *", after: "2026-03-28T12:00:00Z", 1, zone: "Europe/Berlin") == ["2026-03-30T00:30:00Z"])
    #expect(
      try times("30 2 * * *", after: "2026-10-24T12:00:00Z", 2, zone: "Europe/Berlin") == [
        "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z",
      ])
    #expect(
      try times("0 0 1 * *", after: "2026-03-15T00:00:00Z", 2, zone: "America/New_York") == [
        "2026-04-01T04:00:00Z", "2026-05-01T04:00:00Z",
      ])
    // In Beirut clocks skip midnight.
    #expect(
      try times("0 0 * * *", after: "2024-03-29T23:00:00Z", 2, zone: "Asia/Beirut") == [
        "2024-03-31T21:00:00Z", "2024-04-01T21:00:00Z",
      ])
    #expect(try CronSchedule("TZ=Asia/Tokyo 0 0 * * *").zone == "Asia/Tokyo")
    #expect(TimeZones.rules(of: "Nowhere/Atall") == nil)
  }

  /// Against a walk over every minute.
  @Test(.enabled(if: hasFiles)) func noTimeIsMissed() throws {
    TimeZones.use { Self.readZone($0) }
    for (schedule, hour, minute) in [("30 2 * * *", 2, 30), ("0 0 * * *", 0, 0), ("15 23 * * *", 23, 15)] {
      for zone in ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"] {
        let rules = try #require(TimeZones.rules(of: zone))
        let parsed = try CronSchedule(schedule)
        for start in ["2018-02-15T00:00:00Z", "2018-10-20T00:00:00Z", "2026-03-20T00:00:00Z"].map(time) {
          var expected: [Int64] = []
          for at in stride(from: start.secondsSinceEpoch + 60, to: start.secondsSinceEpoch + 30 * 86_400, by: 60) {
            let local = WallTime(secondsSinceEpoch: at + rules.offset(at: at)).civil
            if local.hour == hour, local.minute == minute { expected.append(at) }
          }
          var found: [Int64] = []
          var at = start
          while let next = parsed.next(after: at, in: rules), found.count < expected.count {
            found.append(next.secondsSinceEpoch)
            at = next
          }
          #expect(found == expected, "\(schedule) in \(zone) from \(start.rfc3339)")
        }
      }
    }
  }
}

@Suite struct CronJobPlanTests {
  private let now = time("2026-01-01T12:00:10Z")

  private func cronJob(_ spec: JSONValue = [:], status: JSONValue = [:], created: String = "2026-01-01T11:59:30Z")
    -> CronJob
  {
    var json: JSONValue = [
      "metadata": [
        "name": "c", "namespace": "default", "uid": "cu", "creationTimestamp": .string(created),
      ],
      "spec": [
        "schedule": "*/1 * * * *", "concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": [
          "metadata": ["labels": ["a": "b"], "annotations": ["x": "y"]], "spec": ["template": ["spec": [:]]],
        ],
      ], "status": status,
    ]
    for (key, value) in spec.object ?? [:] { json["spec"][key] = value }
    return CronJob(json: json)
  }

  private func job(_ name: String, ended: String? = nil, began: String = "2026-01-01T11:00:00Z", at: String? = nil)
    -> Job
  {
    var json: JSONValue = [
      "metadata": ["name": .string(name), "namespace": "default", "uid": .string("uid-\(name)")],
      "status": ["startTime": .string(began)],
    ]
    if let at { json["metadata"]["annotations"][CronJobNames.scheduledTime] = .string(at) }
    if let ended {
      json["status"]["conditions"] = [["type": .string(ended), "status": "True"]]
      if ended == "Complete" { json["status"]["completionTime"] = "2026-01-01T11:30:00Z" }
    }
    return Job(json: json)
  }

  private func plan(_ cronJob: CronJob, _ jobs: [Job] = [], vanished: Set<String> = []) -> CronJobPlan {
    CronJobPlan(cronJob, jobs: jobs, vanished: vanished, now: now)
  }

  @Test func aJobIsMadeForTheTimeThatHasCome() throws {
    let plan = plan(cronJob())
    let start = try #require(plan.start)
    #expect(start.time == time("2026-01-01T12:00:00Z") && start.name == "c-29454480")
    #expect(start.job["metadata"]["labels"] == ["a": "b"])
    #expect(start.job["metadata"]["annotations"]["x"] == "y")
    #expect(start.job["metadata"]["annotations"][CronJobNames.scheduledTime] == "2026-01-01T12:00:00Z")
    #expect(start.job["metadata"]["ownerReferences"][0]["uid"] == "cu")
    #expect(plan.recheck == .milliseconds(50_100))
  }

  @Test func aTimeIsDealtWithOnce() {
    #expect(plan(cronJob(status: ["lastScheduleTime": "2026-01-01T12:00:00Z"])).start == nil)
    #expect(plan(cronJob(status: ["active": [["name": "c-29454480", "uid": "u"]]])).start == nil)
    #expect(plan(cronJob(["suspend": true])).start == nil)
    #expect(plan(cronJob(["suspend": true])).recheck == nil)
    #expect(plan(cronJob(created: "2026-01-01T12:00:05Z")).start == nil)
  }

  @Test func onlyTheLatestOfManyMissedTimesIsMadeUpFor() {
    let missed = plan(cronJob(created: "2025-12-31T12:00:00Z"))
    #expect(missed.start?.time == time("2026-01-01T12:00:00Z"))
    #expect(missed.remarks.map(\.reason) == ["TooManyMissedTimes"])
    let few = plan(cronJob(created: "2026-01-01T11:00:00Z"))
    #expect(few.start?.time == time("2026-01-01T12:00:00Z") && few.remarks.isEmpty)
    let bounded = plan(cronJob(["startingDeadlineSeconds": 200], created: "2025-12-31T12:00:00Z"))
    #expect(bounded.start?.time == time("2026-01-01T12:00:00Z") && bounded.remarks.isEmpty)
  }

  @Test func aTimeLongPastIsMissed() {
    let hourly = plan(
      cronJob(["schedule": "30 * * * *", "startingDeadlineSeconds": 600], created: "2026-01-01T09:00:00Z"))
    #expect(hourly.start == nil && hourly.recheck == .milliseconds(29 * 60_000 + 50_100))
    // Ages ago, and for ages: nothing overflows.
    let endless = plan(cronJob(["startingDeadlineSeconds": .integer(.max)], created: "2026-01-01T09:00:00Z"))
    #expect(endless.start != nil)
  }

  @Test(arguments: ["Allow", "Forbid", "Replace"])
  func policiesDecideWhoRuns(_ policy: String) {
    let status: JSONValue = ["active": [["name": "c-1", "uid": "uid-c-1"]]]
    let plan = plan(cronJob(["concurrencyPolicy": .string(policy)], status: status), [job("c-1")])
    #expect((plan.start != nil) == (policy != "Forbid"))
    #expect(plan.remarks.map(\.reason) == (policy == "Forbid" ? ["JobAlreadyActive"] : []))
    #expect(plan.start?.replacing.count ?? 0 == (policy == "Replace" ? 1 : 0))
  }

  @Test func jobsThatEndedLeaveTheList() {
    let status: JSONValue = [
      "active": [
        ["name": "well", "uid": "uid-well"], ["name": "bad", "uid": "uid-bad"], ["name": "gone", "uid": "uid-gone"],
      ], "lastScheduleTime": "2026-01-01T12:00:00Z",
    ]
    let plan = plan(
      cronJob(status: status), [job("well", ended: "Complete"), job("bad", ended: "Failed"), job("stranger")],
      vanished: ["uid-gone"])
    #expect(plan.status.active.isEmpty && plan.status.lastSuccessfulTime == time("2026-01-01T11:30:00Z"))
    #expect(
      plan.remarks.map(\.message) == [
        "Saw completed job: bad, condition: Failed",
        "Saw a job that the controller did not create or forgot: stranger",
        "Saw completed job: well, condition: Complete", "Active job went missing: gone",
      ])
  }

  @Test func aJobWhoseMakerWasKilledIsTakenUp() {
    let plan = plan(cronJob(), [job("c-29454480", at: "2026-01-01T12:00:00Z")])
    #expect(plan.start == nil && plan.remarks.isEmpty)
    #expect(plan.status.isActive(uid: "uid-c-29454480"))
    #expect(plan.status.lastScheduleTime == time("2026-01-01T12:00:00Z"))
  }

  @Test func historyIsCut() {
    let jobs =
      (0..<5).map { job("s\($0)", ended: "Complete", began: "2026-01-01T1\($0):00:00Z") }
      + (0..<3).map { job("f\($0)", ended: "Failed", began: "2026-01-01T1\($0):00:00Z") }
    let plan = plan(cronJob(), jobs)
    #expect(plan.toDelete.map(\.name) == ["s0", "s1", "f0", "f1"])
    let none = self.plan(cronJob(["successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0]), jobs)
    #expect(none.toDelete.count == 8)
  }

  @Test func whatCannotBeReadIsSaid() {
    #expect(plan(cronJob(["schedule": "x"])).remarks.map(\.reason) == ["UnparseableSchedule"])
    #expect(plan(cronJob(["timeZone": "Nowhere/Atall"])).remarks.map(\.reason) == ["UnknownTimeZone"])
    let old = plan(cronJob(["schedule": "TZ=UTC 0 * * * *"])).remarks
    #expect(old.first?.reason == "UnsupportedSchedule" && old.first?.type == .warning)
    let never = plan(cronJob(["schedule": "59 23 31 2 *"]))
    #expect(never.remarks.map(\.reason) == ["InvalidSchedule"] && never.remarks.first?.type == .warning)
    #expect(
      never.remarks.first?.message
        == "invalid schedule: 59 23 31 2 * : time difference between two schedules is less than 1 second")
    #expect(never.start == nil && never.recheck == nil)
  }

  @Test func timesOfTheRemarksAreWrittenAsInMails() {
    #expect(now.rfc1123 == "Thu, 01 Jan 2026 12:00:10 +0000")
  }
}

@Suite struct CronJobStories {
  private static func cronJob(_ spec: JSONValue = [:], seconds: Int = 2) -> JSONValue {
    var template = JobFixture.job("", seconds: seconds)
    template["apiVersion"] = .null
    template["kind"] = .null
    template["metadata"] = .null
    var cronJob: JSONValue = [
      "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": "tick"],
      "spec": ["schedule": "*/1 * * * *", "jobTemplate": template],
    ]
    for (key, value) in spec.object ?? [:] { cronJob["spec"][key] = value }
    return cronJob
  }

  @Test func everyMinuteAJobRunsAndFewAreKept() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.admin.create(.cronJobs, namespace: "default", Self.cronJob(["successfulJobsHistoryLimit": 2]))
      try await plane.world.sleep(for: .seconds(290))
      let cronJob = CronJob(json: try await plane.admin.get(.cronJobs, namespace: "default", name: "tick"))
      #expect(cronJob.status.active.isEmpty && cronJob.status.lastSuccessfulTime != nil)
      let jobs = try await plane.admin.list(.jobs, namespace: "default").items.map(Job.init(json:))
      #expect(jobs.count == 2 && jobs.allSatisfy(\.hasSucceeded))
      let events = try await plane.events(of: "tick")
      #expect(events.filter { $0.hasPrefix("SuccessfulCreate: Created job tick-") }.count >= 4)
      #expect(events.contains { $0.hasPrefix("SawCompletedJob: Saw completed job: tick-") && $0.hasSuffix("Complete") })
      #expect(events.contains { $0.hasPrefix("SuccessfulDelete: Deleted job tick-") })
      // Pods go with their jobs.
      try await plane.world.eventually("pods of two jobs") { try await plane.pods().count <= 2 }
    }
  }

  @Test func aReplacedJobIsGoneBeforeTheNextRuns() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.admin.create(
        .cronJobs, namespace: "default", Self.cronJob(["concurrencyPolicy": "Replace"], seconds: 1000))
      var seen: Set<String> = []
      for _ in 0..<3 {
        try await plane.world.sleep(for: .seconds(61))
        let jobs = try await plane.admin.list(.jobs, namespace: "default").items.map(Job.init(json:))
          .filter { !$0.metadata.isBeingDeleted }
        #expect(jobs.count == 1)
        seen.formUnion(jobs.map(\.name))
      }
      #expect(seen.count == 3)
    }
  }

  @Test func aNewSpecTakesEffectAtOnce() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.admin.create(.cronJobs, namespace: "default", Self.cronJob(["schedule": "0 0 1 1 *"]))
      try await plane.world.sleep(for: .seconds(120))
      #expect(try await plane.admin.list(.jobs, namespace: "default").items.isEmpty)
      try await plane.admin.patch(
        .cronJobs, namespace: "default", name: "tick", ["spec": ["schedule": "@every 30s"]], type: .merge)
      try await plane.world.eventually("it runs", within: .seconds(40)) {
        try await !plane.admin.list(.jobs, namespace: "default").items.isEmpty
      }
    }
  }

  @Test func aFinishedJobIsDeletedWhenItsTimeHasPassed() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.create(JobFixture.job("brief", ["ttlSecondsAfterFinished": 30]))
      let end = try #require(try await plane.ended("brief").finished?.lastTransitionTime)
      try await plane.world.eventually("it is gone") {
        try await plane.admin.find(.jobs, namespace: "default", name: "brief") == nil
      }
      #expect(plane.world.wallClock - end >= .seconds(30) && plane.world.wallClock - end < .seconds(40))
      #expect(try await plane.podsOf("brief").isEmpty)
    }
  }
}
