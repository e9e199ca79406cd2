// Cron jobs and their schedules.
import JSON
import Schema

struct CronJobRules: KindRules {
  /// A job's name gets eleven characters more than its cron job's.
  private static let maximumNameLength = 52

  /// Of the job only its pods get defaults here; the job gets its own when it is made.
  func applyDefaults(to object: inout JSONValue) {
    PodDefaults.applyToSpec(&object["spec"]["jobTemplate"]["spec"]["template"]["spec"])
  }

  func validate(_ object: JSONValue) -> [FieldError] { spec(object["spec"], replacing: .null) }

  func validateCreate(_ object: JSONValue) -> [FieldError] {
    let name = object["metadata"]["name"]
    guard name.text.utf8.count > Self.maximumNameLength else { return [] }
    return [.invalid("metadata.name", name, "must be no more than \(Self.maximumNameLength) characters")]
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] {
    spec(object["spec"], replacing: old["spec"])
  }

  private func spec(_ spec: JSONValue, replacing old: JSONValue) -> [FieldError] {
    var checks = Checks()
    schedule(spec, mayNameZone: old["schedule"].text.contains("TZ"), &checks)
    checks.nonNegative(spec["startingDeadlineSeconds"], "spec.startingDeadlineSeconds")
    if old.isNull || spec["timeZone"] != old["timeZone"] { timeZone(spec["timeZone"], &checks) }
    checks.oneOf(spec["concurrencyPolicy"], "spec.concurrencyPolicy", ["Allow", "Forbid", "Replace"])
    let template = spec["jobTemplate"]["spec"]
    checks.jobSpec(template, "spec.jobTemplate.spec")
    if !template["selector"].isNull {
      checks.invalid(
        "spec.jobTemplate.spec.selector", goValue: GoSyntax.labelSelector(template["selector"]),
        "`selector` will be auto-generated")
    }
    if template["manualSelector"] == true {
      checks.notSupported("spec.jobTemplate.spec.manualSelector", true, ["nil", "false"])
    }
    checks.nonNegative(spec["successfulJobsHistoryLimit"], "spec.successfulJobsHistoryLimit")
    checks.nonNegative(spec["failedJobsHistoryLimit"], "spec.failedJobsHistoryLimit")
    return checks.errors
  }

  /// Zones in schedules are of old; who has one keeps it.
  private func schedule(_ spec: JSONValue, mayNameZone: Bool, _ checks: inout Checks) {
    let schedule = spec["schedule"].text
    if schedule.isEmpty { return checks.required("spec.schedule") }
    if let problem = CronSchedule.problem(with: schedule) {
      checks.invalid("spec.schedule", .string(schedule), problem)
    }
    guard schedule.contains("TZ") else { return }
    if !mayNameZone {
      checks.invalid(
        "spec.schedule", .string(schedule), "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    } else if !spec["timeZone"].isNull {
      checks.invalid(
        "spec.schedule", .string(schedule), "cannot use both timeZone field and TZ or CRON_TZ in schedule")
    }
  }

  private func timeZone(_ zone: JSONValue, _ checks: inout Checks) {
    guard let name = zone.string else { return }
    let path = "spec.timeZone"
    if name.isEmpty { return checks.invalid(path, zone, "timeZone must be nil or non-empty string") }
    guard name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy(Self.isPartOfZone) else {
      return checks.invalid(path, zone, "unknown time zone \(name)")
    }
    if name.lowercased() == "local" {
      checks.invalid(path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
    }
    if name != "Local", !TimeZoneNames.all.contains(name) {
      checks.invalid(path, zone, "unknown time zone \(name)")
    }
  }

  private static func isPartOfZone(_ part: Substring) -> Bool {
    part != "." && part != ".." && !part.hasPrefix("-") && (1...14).contains(part.utf8.count)
      && part.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
          || ".-_+".utf8.contains(byte)
      }
  }

  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    var warnings: [String] = []
    if old.isNull || object["metadata"]["generation"] != old["metadata"]["generation"] {
      warnings = old.isNull ? NameWarnings.ofOwner(object) : []
      warnings += JobRules.warnings(ofSpec: object["spec"]["jobTemplate"]["spec"], "spec.jobTemplate.spec")
    }
    guard object["spec"]["schedule"].text.contains("TZ") else { return warnings }
    return warnings + [
      "CRON_TZ or TZ used in spec.schedule is not officially supported, see "
        + "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
    ]
  }
}
