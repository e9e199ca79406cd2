// What is wrong with a configuration that can be read, in the reference's words.
import JSON
import Schema

struct ConfigurationChecks {
  private var problems: [String] = []

  func end() throws { if !problems.isEmpty { throw SchedulerConfigurationError(problems) } }

  mutating func add(_ error: FieldError) { problems.append("\(error.field): \(error.message)") }
  mutating func invalid(_ field: String, _ value: JSONValue, _ detail: String) {
    add(.invalid(field, value, detail))
  }
  mutating func positive(_ field: String, _ value: Int64, _ detail: String) {
    if value <= 0 { invalid(field, .integer(value), detail) }
  }

  /// `percentageOfNodesToScore` of a file or a profile; nil where it says nothing.
  mutating func percentage(_ json: JSONValue, _ path: String) -> Int64? {
    guard let percentage = json["percentageOfNodesToScore"].integer else { return nil }
    if !(0...100).contains(percentage) {
      let field = "percentageOfNodesToScore"
      invalid(path.isEmpty ? field : "\(path).\(field)", .integer(percentage), "not in valid range [0-100]")
    }
    return percentage
  }

  mutating func election(_ json: JSONValue, _ election: inout SchedulerConfiguration.Election) {
    election.isWanted = json["leaderElect"].bool ?? true
    election.namespace = json["resourceNamespace"].string ?? election.namespace
    election.lease = json["resourceName"].string ?? election.lease
    func time(_ name: String, _ standard: Duration) -> Duration {
      guard let text = json[name].string else { return standard }
      guard let time = GoDuration.parse(text) else {
        invalid("leaderElection.\(name)", json[name], "time: invalid duration \"\(text)\"")
        return standard
      }
      if time <= .zero { invalid("leaderElection.\(name)", json[name], "must be greater than zero") }
      return time
    }
    election.leaseDuration = time("leaseDuration", election.leaseDuration)
    election.renewDeadline = time("renewDeadline", election.renewDeadline)
    election.retryPeriod = time("retryPeriod", election.retryPeriod)
    guard election.isWanted else { return }
    if election.leaseDuration <= election.renewDeadline {
      invalid("leaderElection.leaseDuration", json["leaseDuration"], "LeaseDuration must be greater than RenewDeadline")
    }
    if election.renewDeadline <= election.retryPeriod {
      invalid("leaderElection.renewDeadline", json["renewDeadline"], "RenewDeadline must be greater than RetryPeriod")
    }
    if let lock = json["resourceLock"].string, lock != "leases" {
      invalid("leaderElection.resourceLock", .string(lock), "resourceLock value must be \"leases\"")
    }
  }

  mutating func profiles(_ files: [ProfileFile]) {
    var seen: [String: Int] = [:]
    for (position, file) in files.enumerated() {
      let path = "profiles[\(position)]"
      if file.name.isEmpty { add(.required("\(path).schedulerName")) }
      _ = percentage(file.json, path)
      file.check(path, &self)
      if let first = seen[file.name] {
        add(.duplicate("\(path).schedulerName", .string("profiles[\(first)].schedulerName")))
      }
      seen[file.name] = position
    }
    for (position, file) in files.enumerated() where file.queueSort != files[0].queueSort {
      invalid("profiles[\(position)].plugins.queueSort", file.queueSort, "must be the same for all profiles")
    }
  }

  mutating func extenders(_ extenders: [ExtenderConfiguration]) {
    var managed: Set<String> = []
    for (position, extender) in extenders.enumerated() {
      let path = "extenders[\(position)]"
      if !extender.prioritizeVerb.isEmpty && extender.weight <= 0 {
        invalid("\(path).weight", .integer(extender.weight), "must have a positive weight applied to it")
      }
      for (number, resource) in extender.managedResources.enumerated() {
        let field = "\(path).managedResources[\(number)].name"
        for problem in Validate.qualifiedName(resource.name) { invalid(field, .string(resource.name), problem) }
        if !resource.name.contains("/") || resource.name.hasPrefix("kubernetes.io/") {
          invalid(field, .string(resource.name), "is an invalid extended resource name")
        }
        if !managed.insert(resource.name).inserted {
          invalid(field, .string(resource.name), "duplicate extender managed resource name")
        }
      }
      if let problem = extender.urlProblem { invalid("\(path).urlPrefix", .string(extender.urlPrefix), problem) }
    }
    let binders = extenders.count { !$0.bindVerb.isEmpty }
    if binders > 1 {
      invalid(
        "extenders", .string("found \(binders) extenders implementing bind"), "only one extender can implement bind")
    }
  }
}
