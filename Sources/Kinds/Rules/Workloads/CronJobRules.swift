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

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let name = object["metadata"]["name"]
    if name.text.utf8.count > Self.maximumNameLength {
      checks.invalid("metadata.name", name, "must be no more than \(Self.maximumNameLength) characters")
    }
    let schedule = spec["schedule"].text
    if schedule.isEmpty {
      checks.required("spec.schedule")
    } else {
      if schedule.contains("TZ") {
        checks.invalid(
          "spec.schedule", .string(schedule),
          "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
      } else if let problem = CronSchedule.problem(with: schedule) {
        checks.invalid("spec.schedule", .string(schedule), problem)
      }
    }
    timeZone(spec["timeZone"], &checks)
    checks.nonNegative(spec["startingDeadlineSeconds"], "spec.startingDeadlineSeconds")
    checks.oneOf(spec["concurrencyPolicy"], "spec.concurrencyPolicy", ["Allow", "Forbid", "Replace"])
    checks.nonNegative(spec["successfulJobsHistoryLimit"], "spec.successfulJobsHistoryLimit")
    checks.nonNegative(spec["failedJobsHistoryLimit"], "spec.failedJobsHistoryLimit")
    let template = spec["jobTemplate"]["spec"]
    if template["manualSelector"] == true {
      checks.notSupported("spec.jobTemplate.spec.manualSelector", true, ["nil", "false"])
    }
    JobRules.validate(template, "spec.jobTemplate.spec", &checks)
    return checks.errors
  }

  private func timeZone(_ zone: JSONValue, _ checks: inout Checks) {
    guard let name = zone.string else { return }
    let path = "spec.timeZone"
    if name.isEmpty {
      checks.invalid(path, zone, "timeZone must be nil or non-empty string")
    } else if name.lowercased() == "local" {
      checks.invalid(path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
    } else if !name.utf8.allSatisfy({
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
        || "/_-+".utf8.contains($0)
    }) {
      checks.invalid(path, zone, "unknown time zone \(name)")
    }
  }
}

/// The five fields of a schedule, or one of its short names.
public enum CronSchedule {
  private static let shortNames: Set<String> = [
    "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly",
  ]
  private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
  private static let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

  /// What is wrong with a schedule; nil when nothing is.
  public static func problem(with text: String) -> String? {
    if text.hasPrefix("@") {
      if shortNames.contains(text) { return nil }
      if text.hasPrefix("@every ") {
        return text.count > 7 ? nil : "failed to parse duration \(text)"
      }
      return "unrecognized descriptor: \(text)"
    }
    let fields = text.split(separator: " ")
    guard fields.count == 5 else {
      return "expected exactly 5 fields, found \(fields.count): [\(fields.joined(separator: " "))]"
    }
    for (field, shape) in zip(
      fields,
      [(0, 59, []), (0, 23, []), (1, 31, []), (1, 12, months), (0, 6, days)] as [(Int, Int, [String])])
    {
      for part in field.split(separator: ",", omittingEmptySubsequences: false) {
        if let problem = problem(withPart: part, shape.0, shape.1, shape.2) { return problem }
      }
    }
    return nil
  }

  private static func problem(withPart part: Substring, _ lowest: Int, _ highest: Int, _ names: [String]) -> String? {
    func number(_ text: Substring) -> Int? {
      if let index = names.firstIndex(of: text.lowercased()) { return index + lowest }
      return text.allSatisfy({ $0.isASCII && $0.isNumber }) ? Int(text) : nil
    }
    let pieces = part.split(separator: "/", omittingEmptySubsequences: false)
    guard pieces.count <= 2 else { return "too many slashes: \(part)" }
    if pieces.count == 2 {
      guard let step = number(pieces[1]) else { return "failed to parse int from \(pieces[1])" }
      if step == 0 { return "step of range should be a positive number: \(part)" }
    }
    let range = pieces[0]
    if range == "*" || range == "?" { return nil }
    let ends = range.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count <= 2 else { return "too many hyphens: \(part)" }
    guard let first = number(ends[0]) else { return "failed to parse int from \(ends[0])" }
    guard let last = ends.count == 2 ? number(ends[1]) : first else { return "failed to parse int from \(ends[1])" }
    if first < lowest { return "beginning of range (\(first)) below minimum (\(lowest)): \(part)" }
    if last > highest { return "end of range (\(last)) above maximum (\(highest)): \(part)" }
    return first > last ? "beginning of range (\(first)) beyond end of range (\(last)): \(part)" : nil
  }
}
