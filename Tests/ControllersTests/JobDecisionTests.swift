// What the job controller decides and counts, without an API.
import Client
import JSON
import Schema
import Testing
import World

@testable import Controllers

private let now = WallTime(rfc3339: "2026-01-01T12:00:00Z")!

/// A job and pods in words.
private enum Make {
  static func job(_ spec: JSONValue = [:], status: JSONValue = ["startTime": "2026-01-01T11:00:00Z"]) -> Job {
    var json: JSONValue = [
      "metadata": ["name": "j", "namespace": "default", "uid": "u", "generation": 1],
      "spec": [
        "completions": 1, "parallelism": 1, "backoffLimit": 6,
        "template": ["spec": ["restartPolicy": "Never", "containers": [["name": "c", "image": "i"]]]],
      ], "status": status,
    ]
    for (key, value) in spec.object ?? [:] { json["spec"][key] = value }
    return Job(json: json)
  }

  static func indexed(_ completions: Int64, _ spec: JSONValue = [:], status: JSONValue = [:]) -> Job {
    var all: JSONValue = [
      "completionMode": "Indexed", "completions": .integer(completions), "parallelism": .integer(completions),
    ]
    for (key, value) in spec.object ?? [:] { all[key] = value }
    return job(all, status: status)
  }

  /// `ended`: seconds ago.
  static func pod(
    _ name: String, _ phase: String = "Running", index: Int? = nil, ended: Int64 = 60, code: Int64? = nil,
    deleted: Bool = false, tracked: Bool = true, failures: Int? = nil, conditions: JSONValue = [],
    restarts: Int64? = nil
  ) -> Pod {
    var json: JSONValue = [
      "metadata": [
        "name": .string(name), "namespace": "default", "uid": .string("uid-\(name)"),
        "creationTimestamp": "2026-01-01T11:00:00Z",
      ], "spec": ["nodeName": "n"],
      "status": ["phase": .string(phase), "conditions": conditions],
    ]
    if tracked { json["metadata"]["finalizers"] = [.string(JobNames.finalizer)] }
    if let index { json["metadata"]["annotations"][JobNames.completionIndex] = .string("\(index)") }
    if let failures { json["metadata"]["annotations"][JobNames.failureCount] = .string("\(failures)") }
    if deleted { json["metadata"]["deletionTimestamp"] = "2026-01-01T11:59:59Z" }
    if let restarts {
      json["status"]["containerStatuses"] = [["name": "c", "restartCount": .integer(restarts)]]
    }
    if phase == "Failed" || phase == "Succeeded" {
      json["status"]["containerStatuses"] = [
        [
          "name": "c",
          "state": [
            "terminated": [
              "exitCode": .integer(code ?? (phase == "Failed" ? 1 : 0)),
              "finishedAt": .string((now + .seconds(-ended)).rfc3339),
            ]
          ],
        ]
      ]
    }
    return Pod(json: json)
  }

  static func view(_ job: Job, _ pods: [Pod], untracking: Set<String> = [], settled: Bool = true) -> JobView {
    JobView(job, pods: pods, untracking: untracking, isSettled: settled, now: now)
  }

  static func plan(_ job: Job, _ pods: [Pod], backoff: JobBackoff = JobBackoff()) -> JobPlan {
    JobPlan(view(job, pods), backoff: backoff)
  }
}

extension JobPlan {
  /// "+2", "+[1,3]", "-[a,b]", "".
  fileprivate var text: String {
    switch action {
    case .nothing: ""
    case .create(let requests):
      requests.contains { $0.index == nil } ? "+\(requests.count)" : "+\(requests.compactMap(\.index))"
    case .delete(let pods): "-\(pods.map(\.name).sorted())"
    }
  }
}

@Suite struct JobIndexSetTests {
  @Test(arguments: [
    ([], ""), ([0], "0"), ([1, 0], "0,1"), ([2, 0, 1], "0-2"), ([0, 2, 3, 7, 8, 9, 7], "0,2,3,7-9"),
  ])
  func indexesAreWrittenAsIntervals(_ indexes: [Int], _ text: String) {
    let set = JobIndexSet(indexes)
    #expect(set.description == text)
    #expect(set.count == Set(indexes).count)
    #expect(JobIndexSet(text, completions: 100) == set)
    for index in 0..<12 { #expect(set.contains(index) == indexes.contains(index)) }
    #expect(set.missing(20, below: 12) == (0..<12).filter { !indexes.contains($0) })
  }

  @Test func indexesBeyondTheEndAreCutOff() {
    #expect(JobIndexSet("0-5,8,10-20", completions: 12).description == "0-5,8,10,11")
    #expect(JobIndexSet("nonsense,3,9-4", completions: 12).description == "3")
    #expect(JobIndexSet("5", completions: 5).isEmpty)
  }

  @Test func setsAreJoinedAndCompared() {
    let (one, other) = (JobIndexSet("0-3,9", completions: 20), JobIndexSet("2-5,8,10", completions: 20))
    #expect(one.union(other).description == "0-5,8-10")
    #expect(one.countCommon(with: other) == 2)
    #expect(JobIndexSet("0-99999", completions: 100_000).missing(3, below: 100_002) == [100_000, 100_001])
  }
}

@Suite struct JobPlanTests {
  @Test(arguments: [
    // completions, parallelism, succeeded before, running; what is done
    (1, 1, 0, 0, "+1"), (5, 2, 0, 0, "+2"), (5, 2, 0, 2, ""), (5, 2, 4, 1, ""), (5, 2, 4, 0, "+1"), (5, 10, 3, 0, "+2"),
    (5, 0, 0, 2, "-[\"p0\", \"p1\"]"), (5, 1, 4, 2, "-[\"p0\"]"), (5, 5, 5, 0, ""), (1000, 900, 0, 0, "+500"),
  ])
  func asManyPodsRunAsAreLeft(completions: Int64, parallelism: Int64, succeeded: Int64, running: Int, text: String) {
    let job = Make.job(
      ["completions": .integer(completions), "parallelism": .integer(parallelism)],
      status: ["succeeded": .integer(succeeded)])
    #expect(Make.plan(job, (0..<running).map { Make.pod("p\($0)") }).text == text)
  }

  @Test func aWorkQueueDrainsOnceOnePodHasSucceeded() {
    let job = Make.job(["completions": .null, "parallelism": 3])
    #expect(Make.plan(job, []).text == "+3")
    let done = Make.pod("a", "Succeeded")
    #expect(Make.plan(job, [done, Make.pod("b"), Make.pod("c")]).text == "")
    let view = Make.view(job, [done, Make.pod("b", "Succeeded")])
    let account = JobAccount(view, JobPlan(view, backoff: JobBackoff()), PodOutcome())
    #expect(account.verdict == .completed)
  }

  @Test func nothingIsMadeBeforeWhatWasMadeIsSeen() {
    let plan = JobPlan(Make.view(Make.job(), [], settled: false), backoff: JobBackoff())
    #expect(plan.text == "" && !plan.manages)
  }

  @Test func failuresAreFollowedByAWaitThatDoubles() {
    var backoff = JobBackoff()
    let waits = (1...9).map { attempt -> Int64 in
      backoff.observe(succeeded: [], failed: [Make.pod("p\(attempt)", "Failed", ended: 0)])
      return backoff.remaining(at: now).components.seconds
    }
    #expect(waits == [10, 20, 40, 80, 160, 320, 600, 600, 600])
    let plan = Make.plan(Make.job(), [], backoff: backoff)
    #expect(plan.text == "" && plan.recheck == .seconds(600))
    // A failure before the success counts no longer, one after it does.
    backoff.observe(
      succeeded: [Make.pod("well", "Succeeded", ended: 20)],
      failed: [Make.pod("before", "Failed", ended: 30), Make.pod("after", "Failed", ended: 4)])
    #expect(backoff.failures == 1 && backoff.remaining(at: now) == .seconds(6))
    backoff.observe(succeeded: [Make.pod("again", "Succeeded", ended: 1)], failed: [])
    #expect(backoff == JobBackoff())
  }

  @Test func tooManyFailuresEndAJob() {
    let job = Make.job(["backoffLimit": 2, "parallelism": 2, "completions": 5], status: ["failed": 2])
    let plan = Make.plan(job, [Make.pod("a", "Failed"), Make.pod("b")])
    #expect(plan.verdict?.reason == "BackoffLimitExceeded")
    #expect(plan.verdict?.message == "Job has reached the specified backoff limit")
    #expect(plan.text == "-[\"b\"]")
    #expect(Make.plan(job, [Make.pod("b")]).verdict == nil)
  }

  @Test(arguments: [(0, 0, false), (0, 1, true), (3, 2, false), (3, 3, true)])
  func restartsInPlaceAreFailuresToo(limit: Int64, restarts: Int64, ends: Bool) {
    let job = Make.job([
      "backoffLimit": .integer(limit),
      "template": ["spec": ["restartPolicy": "OnFailure", "containers": [["name": "c", "image": "i"]]]],
    ])
    #expect((Make.plan(job, [Make.pod("a", restarts: restarts)]).verdict != nil) == ends)
  }

  @Test func aDeadlineEndsAJobAndIsWaitedFor() {
    let late = Make.job(["activeDeadlineSeconds": 3600])
    #expect(Make.plan(late, [Make.pod("a")]).verdict?.reason == "DeadlineExceeded")
    let early = Make.job(["activeDeadlineSeconds": 3700])
    #expect(Make.plan(early, [Make.pod("a")]).recheck == .seconds(100))
    #expect(Make.plan(Make.job(["activeDeadlineSeconds": 10, "suspend": true]), []).verdict == nil)
  }

  @Test func aSuspendedJobHasNoPods() {
    let job = Make.job(["suspend": true, "parallelism": 2])
    #expect(Make.plan(job, [Make.pod("a"), Make.pod("b")]).text == "-[\"a\", \"b\"]")
    #expect(Make.plan(job, []).text == "")
  }

  @Test func podsThatGoAreReplacedAtOnceOrWhenTheyHaveGone() {
    let going = Make.pod("a", deleted: true)
    #expect(Make.plan(Make.job(), [going]).text == "+1")
    let patient = Make.job(["podReplacementPolicy": "Failed"])
    #expect(Make.plan(patient, [going]).text == "")
    #expect(Make.plan(patient, [Make.pod("a", "Failed", deleted: true)]).text == "+1")
  }

  // MARK: Policies

  private func failurePolicy(_ rules: JSONValue) -> Job {
    Make.job(["completions": 3, "parallelism": 3, "podFailurePolicy": ["rules": rules]])
  }

  @Test func theFirstRuleThatMatchesDecides() {
    let rules: JSONValue = [
      ["action": "FailJob", "onExitCodes": ["containerName": "c", "operator": "In", "values": [42, 43]]],
      ["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]],
      ["action": "Count", "onExitCodes": ["operator": "NotIn", "values": [7]]],
    ]
    let job = failurePolicy(rules)
    func verdict(_ pod: Pod) -> PodFailureVerdict { PodFailureVerdict(pod, rules: job.failureRules) }
    #expect(verdict(Make.pod("a", "Failed", code: 42)).action == .failJob)
    #expect(verdict(Make.pod("a", "Failed", code: 1)).action == .count)
    #expect(verdict(Make.pod("a", "Failed", code: 7)).action == nil)
    #expect(verdict(Make.pod("a", "Failed", code: 7)).counts)
    let disrupted = Make.pod(
      "a", "Failed", code: 137, conditions: [["type": "DisruptionTarget", "status": "True", "reason": "r"]])
    #expect(verdict(disrupted).action == .ignore && !verdict(disrupted).counts)

    let plan = Make.plan(job, [Make.pod("a", "Failed", code: 42), Make.pod("b")])
    #expect(plan.verdict?.reason == "PodFailurePolicy")
    #expect(
      plan.verdict?.message
        == "Container c for pod default/a failed with exit code 42 matching FailJob rule at index 0")
    #expect(Make.view(job, [disrupted]).failed == 0)
  }

  @Test func aConditionIsNamedInTheEnd() {
    let job = failurePolicy([["action": "FailJob", "onPodConditions": [["type": "ConfigIssue"]]]])
    let pod = Make.pod("a", "Failed", conditions: [["type": "ConfigIssue", "status": "True"]])
    #expect(
      Make.plan(job, [pod]).verdict?.message
        == "Pod default/a has condition ConfigIssue matching FailJob rule at index 0")
  }

  @Test(
    arguments: [
      ([["succeededCount": 2]], "0", nil), ([["succeededCount": 2]], "0,3", 0),
      ([["succeededIndexes": "0,2-3"]], "0,2", nil), ([["succeededIndexes": "0,2-3"]], "0,2,3", 0),
      ([["succeededIndexes": "4"], ["succeededIndexes": "0-3", "succeededCount": 2]], "0,1", 1),
    ] as [(JSONValue, String, Int?)])
  func enoughOfTheRightIndexesAreASuccess(rules: JSONValue, done: String, rule: Int?) {
    let job = Make.indexed(5, ["successPolicy": ["rules": rules]], status: ["completedIndexes": .string(done)])
    let verdict = Make.plan(job, [Make.pod("x", index: 4)]).verdict
    #expect(verdict?.reason == (rule == nil ? nil : "SuccessPolicy"))
    if let rule { #expect(verdict?.message == "Matched rules at index \(rule)") }
  }

  // MARK: Indexes

  @Test func indexesThatAreMissingAreMade() {
    let job = Make.indexed(6, ["parallelism": 3], status: ["completedIndexes": "0,2"])
    #expect(Make.plan(job, [Make.pod("a", index: 3), Make.pod("b", "Failed", index: 4)]).text == "+[1, 4]")
  }

  @Test func twinsAndIndexesNobodyWantsAreDeleted() {
    let job = Make.indexed(3, ["parallelism": 3])
    let pods = [
      Make.pod("a0", index: 0), Make.pod("b0", "Pending", index: 0), Make.pod("c5", index: 5), Make.pod("d"),
    ]
    #expect(Make.plan(job, pods).text == "-[\"b0\", \"c5\", \"d\"]")
  }

  @Test func eachIndexHasItsOwnFailures() {
    let job = Make.indexed(4, ["backoffLimitPerIndex": 1, "backoffLimit": 2_147_483_647])
    let pods = [
      // Just failed for the first time, failed so long ago, failed once too often, well.
      Make.pod("a", "Failed", index: 0, ended: 3, failures: 0), Make.pod("b", "Failed", index: 1, failures: 0),
      Make.pod("c", "Failed", index: 2, failures: 1), Make.pod("d", "Succeeded", index: 3),
    ]
    let view = Make.view(job, pods)
    #expect(view.failedIndexes?.description == "2" && view.succeededIndexes.description == "3")
    let plan = JobPlan(view, backoff: JobBackoff())
    #expect(plan.text == "+[1]" && plan.recheck == .seconds(7))
    guard case .create(let requests) = plan.action else { return }
    #expect(requests == [JobPodRequest(index: 1, failures: 1)])
    // What will be replaced is kept for its history; the rest is counted.
    let account = JobAccount(view, plan, PodOutcome(created: 1))
    #expect(account.toUntrack.map(\.name) == ["c", "d"])
    #expect(account.status.failedIndexes == "2" && account.status.completedIndexes == "3")
  }

  @Test(
    arguments: [(nil, 2, "FailedIndexes"), (nil, 1, nil), (0, 1, "MaxFailedIndexesExceeded"), (1, 1, nil)]
      as [(Int64?, Int, String?)])
  func failedIndexesEndAJob(maximum: Int64?, failed: Int, reason: String?) {
    var spec: JSONValue = ["backoffLimitPerIndex": 0, "backoffLimit": 2_147_483_647]
    if let maximum { spec["maxFailedIndexes"] = .integer(maximum) }
    let job = Make.indexed(3, spec, status: ["completedIndexes": "2"])
    let pods = (0..<2).map { Make.pod("p\($0)", $0 < failed ? "Failed" : "Running", index: $0, failures: 0) }
    #expect(Make.plan(job, pods).verdict?.reason == reason)
  }
}

@Suite struct JobAccountTests {
  private func account(_ job: Job, _ pods: [Pod], untracking: Set<String> = []) -> JobAccount {
    let view = Make.view(job, pods, untracking: untracking)
    return JobAccount(view, JobPlan(view, backoff: JobBackoff()), PodOutcome())
  }

  @Test func aPodIsNotedThenReleasedThenCounted() {
    let job = Make.job(["completions": 3])
    var first = account(job, [Make.pod("a", "Succeeded"), Make.pod("b", "Failed"), Make.pod("c")])
    #expect(first.status.uncountedSucceeded == ["uid-a"] && first.status.uncountedFailed == ["uid-b"])
    #expect(first.status.succeeded == 0 && first.status.failed == 0 && first.status.active == 1)
    #expect(first.toUntrack.map(\.name) == ["a", "b"])
    first.untracked(["uid-a"])
    #expect(first.status.uncountedSucceeded == [] && first.status.uncountedFailed == ["uid-b"])
    #expect(first.status.succeeded == 1 && first.status.failed == 0)
  }

  /// Killed between any two steps, whoever follows counts each pod once.
  @Test func whoeverFollowsCountsEachPodOnce() {
    let noted: JSONValue = ["uncountedTerminatedPods": ["succeeded": ["uid-a"], "failed": ["uid-b"]]]
    let spec: JSONValue = ["completions": 3]
    // Noted, finalizers still there: noted no second time.
    let again = account(Make.job(spec, status: noted), [Make.pod("a", "Succeeded"), Make.pod("b", "Failed")])
    #expect(again.status.uncountedSucceeded == ["uid-a"] && again.status.uncountedFailed == ["uid-b"])
    #expect(again.toUntrack.count == 2)
    // Noted, finalizers gone, or pods.
    for pods in [[Make.pod("a", "Succeeded", tracked: false), Make.pod("b", "Failed", tracked: false)], []] {
      let after = account(Make.job(spec, status: noted), pods)
      #expect(after.status.succeeded == 1 && after.status.failed == 1)
      #expect(after.status.uncountedSucceeded.isEmpty && after.status.uncountedFailed.isEmpty)
    }
    // Counted: what has no finalizer is never looked at again, nor what this controller has asked to be released.
    let counted: JSONValue = ["succeeded": 1, "failed": 1]
    let stale = [Make.pod("a", "Succeeded"), Make.pod("b", "Failed")]
    let late = account(Make.job(spec, status: counted), stale, untracking: ["uid-a", "uid-b"])
    #expect(late.status.succeeded == 1 && late.status.uncountedSucceeded.isEmpty && late.toUntrack.isEmpty)
  }

  @Test func aPodThatFailedBeforeItSucceededStaysFailed() {
    let job = Make.job(["completions": 2], status: ["uncountedTerminatedPods": ["failed": ["uid-a"]]])
    let account = account(job, [Make.pod("a", "Succeeded")])
    #expect(account.status.uncountedFailed == ["uid-a"] && account.status.uncountedSucceeded.isEmpty)
  }

  @Test func aJobIsCompleteWhenItsLastPodIsCounted() {
    var account = account(Make.job(), [Make.pod("a", "Succeeded")])
    #expect(account.status.conditions.map(\.type) == ["SuccessCriteriaMet"])
    #expect(account.status.conditions[0].reason == "CompletionsReached")
    #expect(account.status.conditions[0].message == "Reached expected number of succeeded pods")
    let isEarly = account.finish(at: now)
    account.untracked(["uid-a"])
    let isInTime = account.finish(at: now)
    #expect(!isEarly && isInTime)
    #expect(account.status.conditions.map(\.type) == ["SuccessCriteriaMet", "Complete"])
    #expect(account.status.completionTime == now && account.status.succeeded == 1)
  }

  @Test func aJobHasFailedWhenItsLastPodHasGone() {
    let spec: JSONValue = ["backoffLimit": 0, "parallelism": 2, "completions": 2]
    let pods = [Make.pod("a", "Failed"), Make.pod("b")]
    let view = Make.view(Make.job(spec), pods)
    var first = JobAccount(view, JobPlan(view, backoff: JobBackoff()), PodOutcome(deleted: [pods[1]]))
    #expect(first.status.conditions.map(\.type) == ["FailureTarget"])
    // A job that fails fails with all its pods.
    #expect(first.status.uncountedFailed == ["uid-a", "uid-b"] && first.status.active == 0)
    first.untracked(["uid-a", "uid-b"])
    let isEarly = first.finish(at: now)
    #expect(first.status.terminating == 1 && !isEarly)

    let job = Make.job(spec, status: first.status.json)
    var second = account(job, [Make.pod("a", "Failed", tracked: false)])
    let isInTime = second.finish(at: now)
    #expect(second.status.terminating == 0 && isInTime)
    #expect(second.status.conditions.map(\.type) == ["FailureTarget", "Failed"])
    #expect(second.status.conditions[1].reason == "BackoffLimitExceeded")
    #expect(second.status.failed == 2 && second.status.completionTime == nil)
  }

  @Test func suspensionIsAConditionThatComesAndGoes() {
    let suspended = account(Make.job(["suspend": true], status: [:]), [])
    #expect(suspended.suspensionChange == true && suspended.status.startTime == nil)
    #expect(suspended.status.conditions.map(\.reason) == ["JobSuspended"])
    let resumed = account(Make.job(status: suspended.status.json), [])
    #expect(resumed.suspensionChange == false && resumed.status.startTime == now)
    #expect(resumed.status.conditions.map(\.status) == ["False"] && resumed.status.conditions[0].reason == "JobResumed")
    #expect(account(Make.job(status: resumed.status.json), []).suspensionChange == nil)
    // One that was never suspended says nothing of it.
    #expect(account(Make.job(), []).status.conditions.isEmpty)
  }

  @Test func aStatusReadsBackAsItWasWritten() {
    let status = account(Make.job(["completions": 2]), [Make.pod("a", "Succeeded"), Make.pod("b", "Failed")]).status
    #expect(JobStatus(json: status.json) == status)
    #expect(JobStatus(json: [:]).json == ["uncountedTerminatedPods": [:]])
  }
}

@Suite struct JobPodTests {
  @Test func podsOfAnIndexedJobKnowTheirIndex() {
    let pod = JobPodRequest(index: 3, failures: 1, ignoredFailures: 2).pod(of: Make.indexed(5))
    let metadata = pod["metadata"]
    #expect(metadata["generateName"].string == "j-3-")
    #expect(metadata["finalizers"] == [.string(JobNames.finalizer)])
    #expect(metadata["labels"][JobNames.completionIndex] == "3")
    #expect(metadata["annotations"][JobNames.completionIndex] == "3")
    #expect(metadata["annotations"][JobNames.failureCount] == "1")
    #expect(metadata["annotations"][JobNames.ignoredFailureCount] == "2")
    #expect(pod["spec"]["hostname"] == "j-3")
    let variable = pod["spec"]["containers"][0]["env"][0]
    #expect(variable["name"] == "JOB_COMPLETION_INDEX")
    #expect(
      variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-completion-index']")
    #expect(metadata["ownerReferences"][0]["uid"] == "u")
  }

  @Test func longNamesLeaveRoomForTheirIndex() {
    var job = Make.indexed(5)
    job.metadata.name = String(repeating: "x", count: 63)
    let name = JobPodRequest(index: 4).pod(of: job)["metadata"]["generateName"].string ?? ""
    #expect(name.utf8.count == 58 && name.hasSuffix("x-4-"))
  }
}
