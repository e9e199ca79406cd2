// What a status of a job may say, and what it may not take back. Controllers of others may write it (spec.managedBy), so
// it is checked closely; but what a status says wrong already, and goes on saying, stands in nobody's way.
import JSON
import Schema

struct JobStatusChecks {
  let job: JSONValue
  let old: JSONValue
  private var checks = Checks()

  init(job: JSONValue, old: JSONValue) {
    self.job = job
    self.old = old
  }

  private var status: JSONValue { job["status"] }
  private var before: JSONValue { old["status"] }
  private var isIndexed: Bool { job["spec"]["completionMode"] == "Indexed" }

  private static func has(_ type: String, _ job: JSONValue) -> Bool {
    job["status"]["conditions"].elements.contains { $0["type"].text == type && $0["status"] == "True" }
  }
  private func has(_ type: String) -> Bool { Self.has(type, job) }
  private static func isFinished(_ job: JSONValue) -> Bool { has("Complete", job) || has("Failed", job) }
  private func changed(condition type: String) -> Bool { has(type) != Self.has(type, old) }
  private func changed(_ name: String) -> Bool { status[name] != before[name] }
  private func changed(count name: String) -> Bool { count(status, name) != count(before, name) }
  private func count(_ status: JSONValue, _ name: String) -> Int64 { status[name].integer ?? 0 }

  mutating func run() -> [FieldError] {
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
      checks.nonNegative(status[name], "status.\(name)")
    }
    uncountedPods()
    exclusions()
    times()
    ends()
    finish()
    indexes()
    successCriteria()
    transitions()
    return checks.errors
  }

  private mutating func conditions(_ detail: String) { checks.invalid("status.conditions", detail) }

  private mutating func uncountedPods() {
    var seen: Set<String> = []
    for list in ["succeeded", "failed"] {
      for (index, uid) in status["uncountedTerminatedPods"][list].elements.enumerated() {
        let place = "status.uncountedTerminatedPods.\(list)[\(index)]"
        if uid.isEmptyValue {
          checks.invalid(place, "", "must not be empty")
        } else if !seen.insert(uid.text).inserted {
          checks.duplicate(place, uid)
        }
      }
    }
  }

  private mutating func exclusions() {
    let completes = changed(condition: "Complete")
    if completes || changed(condition: "Failed"), has("Complete"), has("Failed") {
      conditions("cannot set Complete=True and Failed=true conditions")
    }
    if completes || changed(condition: "FailureTarget"), has("Complete"), has("FailureTarget") {
      conditions("cannot set Complete=True and FailureTarget=true conditions")
    }
  }

  private mutating func times() {
    let completion = status["completionTime"]
    let completionChanged = changed("completionTime")
    let shown = GoSyntax.time(completion)
    if completionChanged || changed(condition: "Complete") {
      if !completion.isNull, !has("Complete") {
        checks.invalid(
          "status.completionTime", goValue: shown,
          "cannot set completionTime when there is no Complete=True condition")
      }
      if completion.isNull, has("Complete") {
        checks.required("status.completionTime", "completionTime is required for Complete jobs")
      }
    }
    // (Both are of UTC and of one form: their order is that of their texts.)
    if completionChanged || changed("startTime"), !status["startTime"].isNull, !completion.isNull,
      completion.text < status["startTime"].text
    {
      checks.invalid("status.completionTime", goValue: shown, "must be equal to or after `startTime`")
    }
  }

  private mutating func ends() {
    if changed(condition: "Failed") || changed("failedIndexes"), has("Failed"), !has("FailureTarget") {
      conditions("cannot set Failed=True condition without the FailureTarget=true condition")
    }
    if changed(condition: "Complete") || changed(condition: "SuccessCriteriaMet"), has("Complete"),
      !has("SuccessCriteriaMet")
    {
      conditions("cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
    }
  }

  private mutating func finish() {
    guard Self.isFinished(job) else { return }
    let finishes = !Self.isFinished(old)
    if finishes || changed(count: "active"), count(status, "active") > 0 {
      checks.invalid("status.active", status["active"], "active>0 is invalid for finished job")
    }
    if finishes || changed("startTime"), status["startTime"].isNull {
      checks.required("status.startTime", "startTime is required for finished job")
    }
    let pods = status["uncountedTerminatedPods"]
    if finishes || changed("uncountedTerminatedPods"), !(pods["failed"].isEmptyValue && pods["succeeded"].isEmptyValue)
    {
      let lists = ["succeeded", "failed"].map { GoSyntax.strings(pods[$0], of: "types.UID") }
      checks.invalid(
        "status.uncountedTerminatedPods",
        goValue: "batch.UncountedTerminatedPods{Succeeded:\(lists[0]), Failed:\(lists[1])}",
        "must be empty for finished job")
    }
  }

  private mutating func indexes() {
    let completed = status["completedIndexes"].text
    let completedChanged = completed != before["completedIndexes"].text
    let failedChanged = changed("failedIndexes")
    let failed = status["failedIndexes"]
    let completions = job["spec"]["completions"].integer
    let isPerIndex = !job["spec"]["backoffLimitPerIndex"].isNull
    if let completions, completedChanged { format(completed, "completedIndexes", completions) }
    if let completions, failedChanged, isPerIndex, !failed.isNull { format(failed.text, "failedIndexes", completions) }
    if completedChanged, !completed.isEmpty, !isIndexed {
      checks.invalid(
        "status.completedIndexes", .string(completed),
        "cannot set non-empty completedIndexes when non-indexed completion mode")
    }
    if failedChanged, !isPerIndex, !failed.isNull {
      checks.invalid(
        "status.failedIndexes", failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null")
    }
    if completedChanged || failedChanged, let completions, !failed.isNull,
      let index = JobIndexes.overlap(completed, failed.text, completions: completions)
    {
      checks.invalid("status.failedIndexes", failed, "failedIndexes and completedIndexes overlap at index: \(index)")
    }
    if Self.isFinished(job), !Self.isFinished(old) || changed("terminating"), count(status, "terminating") > 0 {
      checks.invalid("status.terminating", status["terminating"], "terminating>0 is invalid for finished job")
    }
    if changed("ready") || changed(count: "active"), count(status, "ready") > count(status, "active") {
      checks.invalid("status.ready", status["ready"], "cannot set more ready pods than active")
    }
  }

  private mutating func format(_ text: String, _ name: String, _ completions: Int64) {
    do { _ = try JobIndexes.count(text, completions: completions) } catch {
      checks.invalid("status.\(name)", .string(text), "error parsing \(name): \(error.message)")
    }
  }

  private mutating func successCriteria() {
    let isMet = has("SuccessCriteriaMet")
    if isMet, has("Failed") { conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions") }
    if isMet, has("FailureTarget") {
      conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
    }
    if !isMet, has("Complete"), !job["spec"]["successPolicy"].isNull {
      conditions("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
    }
  }

  /// What was said and may not be taken back.
  private mutating func transitions() {
    for type in ["Failed", "Complete", "FailureTarget"] where Self.has(type, old) && !has(type) {
      conditions("cannot disable the terminal \(type)=True condition")
    }
    if count(status, "failed") < count(before, "failed") {
      checks.invalid("status.failed", .integer(count(status, "failed")), "cannot decrease the failed counter")
    }
    let isElastic = isIndexed && job["spec"]["completions"] == job["spec"]["parallelism"]
    if !isElastic, count(status, "succeeded") < count(before, "succeeded") {
      checks.invalid("status.succeeded", .integer(count(status, "succeeded")), "cannot decrease the succeeded counter")
    }
    if !status["completionTime"].isNull, !before["completionTime"].isNull, changed("completionTime") {
      checks.invalid(
        "status.completionTime", goValue: GoSyntax.time(status["completionTime"]), Checks.immutableMessage)
    }
    // (A job that is resumed begins anew.)
    if !before["startTime"].isNull, status["startTime"].isNull, job["spec"]["suspend"] != true {
      checks.required("status.startTime", "startTime cannot be removed for unsuspended job")
    }
    let wasMet = Self.has("SuccessCriteriaMet", old)
    if wasMet, !has("SuccessCriteriaMet") { conditions("cannot disable the SuccessCriteriaMet=True condition") }
    if Self.has("Complete", old), !wasMet, has("SuccessCriteriaMet") {
      conditions("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
    }
  }
}
