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

/// The five fields of a schedule, or one of its short names.
public enum CronSchedule {
  private static let shortNames: Set<String> = [
    "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly",
  ]
  private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
  private static let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

  /// What is wrong with a schedule; nil when nothing is. A zone before it is passed over when it is one.
  public static func problem(with text: String) -> String? {
    var schedule = Substring(text)
    if text.hasPrefix("TZ=") || text.hasPrefix("CRON_TZ=") {
      let parts = text.split(separator: "=", maxSplits: 1)[1].split(separator: " ", maxSplits: 1)
      let zone = parts.first.map(String.init) ?? ""
      if !zone.isEmpty, zone != "Local", !TimeZoneNames.all.contains(zone) {
        return "provided bad location \(zone): unknown time zone \(zone)"
      }
      schedule = parts.count == 2 ? parts[1].drop { $0.isWhitespace } : ""
    }
    if schedule.hasPrefix("@") { return problem(withName: String(schedule)) }
    let fields = schedule.split(whereSeparator: \.isWhitespace)
    guard fields.count == 5 else {
      return "expected exactly 5 fields, found \(fields.count): [\(fields.joined(separator: " "))]"
    }
    for (field, shape) in zip(
      fields,
      [(0, 59, []), (0, 23, []), (1, 31, []), (1, 12, months), (0, 6, days)] as [(Int, Int, [String])])
    {
      for part in field.split(separator: ",") {
        do { try check(part, lowest: shape.0, highest: shape.1, names: shape.2) } catch { return error.message }
      }
    }
    return nil
  }

  private static func problem(withName name: String) -> String? {
    if shortNames.contains(name) { return nil }
    let every = "@every "
    guard name.hasPrefix(every) else { return "unrecognized descriptor: \(name)" }
    let duration = String(name.dropFirst(every.count))
    if DurationText.nanoseconds(duration) != nil { return nil }
    return "failed to parse duration \(name): time: invalid duration \(GoSyntax.quoted(duration))"
  }

  private struct Failure: Error { var message: String }

  private static func number(_ text: Substring, _ names: [String] = []) throws(Failure) -> Int {
    if let index = names.firstIndex(of: text.lowercased()) {
      // Months begin with 1, days with 0.
      return names.count == months.count ? index + 1 : index
    }
    guard let number = Int(text) else {
      let digits = text.first == "-" || text.first == "+" ? text.dropFirst() : text
      let isTooLarge = !digits.isEmpty && digits.allSatisfy { $0.isASCII && $0.isNumber }
      throw Failure(
        message: "failed to parse int from \(text): strconv.Atoi: parsing \(GoSyntax.quoted(String(text))): "
          + (isTooLarge ? "value out of range" : "invalid syntax"))
    }
    guard number >= 0 else { throw Failure(message: "negative number (\(number)) not allowed: \(text)") }
    return number
  }

  /// `*`, `a`, `a-b`, each of them with `/step`.
  private static func check(
    _ part: Substring, lowest: Int, highest: Int, names: [String]
  ) throws(Failure) {
    let pieces = part.split(separator: "/", omittingEmptySubsequences: false)
    let ends = pieces[0].split(separator: "-", omittingEmptySubsequences: false)
    var (first, last) = (lowest, highest)
    if ends[0] != "*", ends[0] != "?" {
      first = try number(ends[0], names)
      last = first
      if ends.count == 2 { last = try number(ends[1], names) }
      if ends.count > 2 { throw Failure(message: "too many hyphens: \(part)") }
    }
    guard pieces.count <= 2 else { throw Failure(message: "too many slashes: \(part)") }
    var step = 1
    if pieces.count == 2 {
      step = try number(pieces[1])
      // "5/10" begins at 5 and has no end.
      if ends.count == 1 { last = highest }
    }
    if first < lowest {
      throw Failure(message: "beginning of range (\(first)) below minimum (\(lowest)): \(part)")
    }
    if last > highest { throw Failure(message: "end of range (\(last)) above maximum (\(highest)): \(part)") }
    if first > last {
      throw Failure(message: "beginning of range (\(first)) beyond end of range (\(last)): \(part)")
    }
    if step == 0 { throw Failure(message: "step of range should be a positive number: \(part)") }
  }
}
