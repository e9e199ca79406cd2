// What may be wrong with the spec of a job but for its selector: in jobs and in the templates of cron jobs.
import JSON
import Schema

/// Bounds of indexed jobs: their indexes must fit a status.
private let maximumIndexedParallelism: Int64 = 100_000
private let maximumFailedIndexes: Int64 = 100_000
private let manyCompletions: Int64 = 100_000
private let parallelismOfMany: Int64 = 10_000
private let failedIndexesOfMany: Int64 = 10_000
/// Bounds of policies.
private let maximumRules = 20
private let maximumExitCodes = 255
private let maximumConditions = 20
private let maximumManagerLength = 63
private let maximumIndexesLength = 64 * 1024

extension Checks {
  mutating func jobSpec(_ spec: JSONValue, _ path: String) {
    for name in [
      "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
      "backoffLimitPerIndex", "maxFailedIndexes",
    ] {
      nonNegative(spec[name], "\(path).\(name)")
    }
    if !spec["maxFailedIndexes"].isNull, spec["backoffLimitPerIndex"].isNull {
      required("\(path).backoffLimitPerIndex", "when maxFailedIndexes is specified")
    }
    if let manager = spec["managedBy"].string {
      report(Validate.domainPrefixedPath(manager, "\(path).managedBy"))
      if manager.utf8.count > maximumManagerLength {
        report(.tooLong("\(path).managedBy", maximumBytes: maximumManagerLength))
      }
    }
    completionMode(spec, path)
    if !spec["podFailurePolicy"].isNull { failurePolicy(spec, "\(path).podFailurePolicy") }
    successPolicy(spec, "\(path).successPolicy")
    let replacement = spec["podReplacementPolicy"]
    if !replacement.isNull {
      let hasFailurePolicy = !spec["podFailurePolicy"].isNull
      choice(
        replacement, "\(path).podReplacementPolicy", hasFailurePolicy ? ["Failed"] : ["Failed", "TerminatingOrFailed"])
    }
    podTemplate(spec["template"], "\(path).template")
    restartPolicy(spec, "\(path).template.spec.restartPolicy")
  }

  private mutating func restartPolicy(_ spec: JSONValue, _ place: String) {
    let policy = spec["template"]["spec"]["restartPolicy"]
    switch policy.text {
    case "", "Always": required(place, "valid values: \"OnFailure\", \"Never\"")
    case "Never": break
    case "OnFailure":
      if !spec["podFailurePolicy"].isNull {
        invalid(place, policy, "only \"Never\" is supported when podFailurePolicy is specified")
      }
    default: notSupported(place, policy, ["OnFailure", "Never"])
    }
  }

  private mutating func completionMode(_ spec: JSONValue, _ path: String) {
    let mode = spec["completionMode"]
    if !mode.isNull { choice(mode, "\(path).completionMode", ["NonIndexed", "Indexed"]) }
    if mode == "Indexed" { indexes(spec, path) }
    guard mode.isNull || mode == "NonIndexed" else { return }
    for name in ["backoffLimitPerIndex", "maxFailedIndexes"] where !spec[name].isNull {
      invalid("\(path).\(name)", spec[name], "requires indexed completion mode")
    }
  }

  private mutating func indexes(_ spec: JSONValue, _ path: String) {
    let completions = spec["completions"].integer
    let parallelism = spec["parallelism"].integer
    let failed = spec["maxFailedIndexes"].integer
    func no(_ name: String, above limit: Int64, _ detail: String, _ value: Int64?, _ checks: inout Checks) {
      guard let value, value > limit else { return }
      checks.invalid("\(path).\(name)", .integer(value), "must be less than or equal to \(detail)")
    }
    if completions == nil { required("\(path).completions", "when completion mode is Indexed") }
    no(
      "parallelism", above: maximumIndexedParallelism,
      "\(maximumIndexedParallelism) when completion mode is Indexed", parallelism, &self)
    if let completions { no("maxFailedIndexes", above: completions, "completions", failed, &self) }
    no("maxFailedIndexes", above: maximumFailedIndexes, "\(maximumFailedIndexes)", failed, &self)
    guard let completions, completions > manyCompletions, !spec["backoffLimitPerIndex"].isNull else { return }
    if failed == nil {
      required("\(path).maxFailedIndexes", "must be specified when completions is above \(manyCompletions)")
    }
    let why = "when completions are above \(manyCompletions) and used with backoff limit per index"
    no("parallelism", above: parallelismOfMany, "\(parallelismOfMany) \(why)", parallelism, &self)
    no("maxFailedIndexes", above: failedIndexesOfMany, "\(failedIndexesOfMany) \(why)", failed, &self)
  }

  // MARK: When pods fail

  private static let actions = ["Count", "FailIndex", "FailJob", "Ignore"]
  private static let exitOperators = ["In", "NotIn"]
  private static let conditionStatuses = ["False", "True", "Unknown"]

  private mutating func failurePolicy(_ spec: JSONValue, _ path: String) {
    let rules = spec["podFailurePolicy"]["rules"].elements
    if rules.count > maximumRules {
      report(.tooMany("\(path).rules", actual: rules.count, maximum: maximumRules))
    }
    let pod = spec["template"]["spec"]
    let containers = (pod["containers"].elements + pod["initContainers"].elements).map { $0["name"].text }
    for (index, rule) in rules.enumerated() {
      let place = "\(path).rules[\(index)]"
      let codes = rule["onExitCodes"]
      let conditions = rule["onPodConditions"].elements
      if rule["action"] == "FailIndex" {
        if spec["backoffLimitPerIndex"].isNull {
          invalid("\(place).action", rule["action"], "requires the backoffLimitPerIndex to be set")
        }
      } else {
        chosen(rule["action"], "\(place).action", Self.actions)
      }
      if !codes.isNull { exitCodes(codes, "\(place).onExitCodes", containers) }
      if !conditions.isEmpty { podConditions(conditions, "\(place).onPodConditions") }
      if !codes.isNull, !conditions.isEmpty {
        invalid(place, "specifying both OnExitCodes and OnPodConditions is not supported")
      }
      if codes.isNull, conditions.isEmpty {
        invalid(place, "specifying one of OnExitCodes and OnPodConditions is required")
      }
    }
  }

  /// One of these texts, which are named when there is none.
  private mutating func chosen(_ value: JSONValue, _ place: String, _ supported: [String]) {
    if value.isEmptyValue { return required(place, "valid values: \(GoSyntax.quotedList(supported))") }
    choice(value, place, supported)
  }

  private mutating func podConditions(_ patterns: [JSONValue], _ path: String) {
    if patterns.count > maximumConditions {
      report(.tooMany(path, actual: patterns.count, maximum: maximumConditions))
    }
    for (index, pattern) in patterns.enumerated() {
      text(pattern["type"], "\(path)[\(index)].type", Validate.qualifiedName)
      chosen(pattern["status"], "\(path)[\(index)].status", Self.conditionStatuses)
    }
  }

  private mutating func exitCodes(_ codes: JSONValue, _ path: String, _ containers: [String]) {
    chosen(codes["operator"], "\(path).operator", Self.exitOperators)
    if let name = codes["containerName"].string, !containers.contains(name) {
      invalid(
        "\(path).containerName", codes["containerName"],
        "must be one of the container or initContainer names in the pod template")
    }
    let shown = GoSyntax.integers(codes["values"])
    let values = codes["values"].elements.compactMap(\.integer)
    if values.isEmpty {
      invalid("\(path).values", goValue: shown, "at least one value is required")
    } else if values.count > maximumExitCodes {
      report(.tooMany("\(path).values", actual: values.count, maximum: maximumExitCodes))
    }
    var seen: Set<Int64> = []
    for (index, value) in values.enumerated() {
      let place = "\(path).values[\(index)]"
      if codes["operator"] == "In", value == 0 { invalid(place, 0, "must not be 0 for the In operator") }
      if !seen.insert(value).inserted { duplicate(place, .integer(value)) }
    }
    if zip(values, values.dropFirst()).contains(where: >) {
      invalid("\(path).values", goValue: shown, "must be ordered")
    }
  }

  // MARK: When the job has succeeded

  private mutating func successPolicy(_ spec: JSONValue, _ path: String) {
    let policy = spec["successPolicy"]
    guard !policy.isNull else { return }
    guard spec["completionMode"] == "Indexed" else {
      return invalid(path, policy, "requires indexed completion mode")
    }
    let rules = policy["rules"].elements
    if rules.isEmpty {
      required("\(path).rules", "at least one rules must be specified when the successPolicy is specified")
    }
    if rules.count > maximumRules {
      report(.tooMany("\(path).rules", actual: rules.count, maximum: maximumRules))
    }
    guard let completions = spec["completions"].integer else { return }
    for (index, rule) in rules.enumerated() { successRule(rule, "\(path).rules[\(index)]", completions) }
  }

  private mutating func successRule(_ rule: JSONValue, _ path: String, _ completions: Int64) {
    let indexes = rule["succeededIndexes"].string
    if indexes == nil, rule["succeededCount"].isNull {
      required(path, "at least one of succeededCount or succeededIndexes must be specified")
    }
    var total: Int64 = 0
    if let indexes {
      let place = "\(path).succeededIndexes"
      if indexes.utf8.count > maximumIndexesLength {
        report(.tooLong(place, maximumBytes: maximumIndexesLength))
      }
      do { total = try JobIndexes.count(indexes, completions: completions) } catch {
        invalid(place, .string(indexes), "error parsing succeededIndexes: \(error.message)")
      }
    }
    guard let count = rule["succeededCount"].integer else { return }
    let place = "\(path).succeededCount"
    nonNegative(.integer(count), place)
    if count > completions {
      invalid(
        place, .integer(count),
        "must be less than or equal to \(completions) (the number of specified completions)")
    }
    if indexes != nil, count > total {
      invalid(
        place, .integer(count),
        "must be less than or equal to \(total) (the number of indexes in the specified succeededIndexes field)")
    }
  }
}

/// Indexes of a job as text: "1,3-5,7".
enum JobIndexes {
  struct Failure: Error { var message: String }

  /// How many there are.
  static func count(_ text: String, completions: Int64) throws(Failure) -> Int64 {
    guard !text.isEmpty else { return 0 }
    var total: Int64 = 0
    var last: Int64?
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let range = try interval(part, completions)
      if let last, last >= range.lowerBound {
        throw Failure(message: "non-increasing order, previous: \(last), current: \(range.lowerBound)")
      }
      total += Int64(range.count)
      last = range.upperBound
    }
    return total
  }

  /// The first index that both have; what cannot be read is passed over.
  static func overlap(_ completed: String, _ failed: String, completions: Int64) -> Int64? {
    func intervals(_ text: String) -> [ClosedRange<Int64>] {
      guard !text.isEmpty else { return [] }
      return text.split(separator: ",", omittingEmptySubsequences: false).compactMap { try? interval($0, completions) }
    }
    var (left, right) = (intervals(completed)[...], intervals(failed)[...])
    while let one = left.first, let other = right.first {
      if one.overlaps(other) { return max(one.lowerBound, other.lowerBound) }
      if one.lowerBound <= other.lowerBound { left.removeFirst() } else { right.removeFirst() }
    }
    return nil
  }

  private static func interval(_ text: Substring, _ completions: Int64) throws(Failure) -> ClosedRange<Int64> {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count <= 2 else {
      throw Failure(
        message: "the fragment \(GoSyntax.quoted(String(text))) violates the requirement that an index interval can "
          + "have at most two parts separated by '-'")
    }
    let first = try index(ends[0], completions)
    guard ends.count == 2 else { return first...first }
    let last = try index(ends[1], completions)
    guard first < last else {
      throw Failure(message: "non-increasing order, previous: \(first), current: \(last)")
    }
    return first...last
  }

  private static func index(_ text: Substring, _ completions: Int64) throws(Failure) -> Int64 {
    guard let value = Int64(text) else {
      throw Failure(message: "cannot convert string to integer for index: \(GoSyntax.quoted(String(text)))")
    }
    guard value < completions else {
      throw Failure(message: "too large index: \(GoSyntax.quoted(String(text)))")
    }
    return value
  }
}
