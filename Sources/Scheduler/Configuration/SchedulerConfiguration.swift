// A configuration file as kube-scheduler reads it: KubeSchedulerConfiguration, kubescheduler.config.k8s.io/v1.
import Client
import JSON
import Schema

/// Why a configuration cannot be used, in kube-scheduler's words.
public struct SchedulerConfigurationError: Error, Hashable, CustomStringConvertible {
  public var problems: [String]

  public init(_ problems: [String]) { self.problems = problems }
  init(_ problem: String) { problems = [problem] }

  public var description: String {
    problems.count == 1 ? problems[0] : "[\(problems.joined(separator: ", "))]"
  }
}

/// What a scheduler is told by its file.
public struct SchedulerConfiguration: Sendable {
  /// The scheduler's election.
  public struct Election: Sendable, Equatable {
    public var isWanted = true
    public var namespace = "kube-system"
    public var lease = "kube-scheduler"
    public var leaseDuration = Duration.seconds(15)
    public var renewDeadline = Duration.seconds(10)
    public var retryPeriod = Duration.seconds(2)
  }

  /// By schedulerName.
  var profiles: [String: SchedulerProfile] = [Scheduler.defaultName: .standard]
  /// 1 s doubling to 10 s (spec/6 §6.3).
  public internal(set) var initialBackoff = Duration.seconds(1)
  public internal(set) var maximumBackoff = Duration.seconds(10)
  public internal(set) var election = Election()
  /// Where the API is, if the file says so; "" otherwise.
  public internal(set) var kubeconfig = ""
  public internal(set) var extenders: [ExtenderConfiguration] = []

  public var schedulerNames: [String] { profiles.keys.sorted() }

  /// Of kube-scheduler without a file.
  public init() {}

  /// Of the one profile of that name, else as without a file.
  public init(schedulerName: String) {
    var profile = SchedulerProfile.standard
    profile.name = schedulerName
    profiles = [schedulerName: profile]
  }

  private static let version = "kubescheduler.config.k8s.io/v1"
  private static let kind = "KubeSchedulerConfiguration"

  /// Reads YAML or JSON. Throws `SchedulerConfigurationError` for a file that kube-scheduler would not take.
  public init(parsing text: [UInt8]) throws {
    var duplicates: [String] = []
    let json: JSONValue
    do {
      json = try YAML.parse(text, reportingDuplicates: &duplicates)
    } catch {
      throw SchedulerConfigurationError("\(error)")
    }
    let (version, kind) = (json["apiVersion"].string ?? "", json["kind"].string ?? "")
    if kind.isEmpty {
      throw SchedulerConfigurationError("Object 'Kind' is missing in '\(String(decoding: text, as: UTF8.self))'")
    }
    guard version == Self.version, kind == Self.kind else {
      throw SchedulerConfigurationError("no kind \"\(kind)\" is registered for version \"\(version)\"")
    }
    var reader = ConfigurationReader(problems: duplicates.map { "yaml: \($0)" })
    let file = reader.object(
      json, "",
      [
        "apiVersion", "kind", "parallelism", "leaderElection", "clientConnection", "enableProfiling",
        "enableContentionProfiling", "percentageOfNodesToScore", "podInitialBackoffSeconds", "podMaxBackoffSeconds",
        "profiles", "extenders", "delayCacheUntilActive",
      ])
    let parts = Parts(
      election: reader.object(
        file["leaderElection"], "leaderElection",
        [
          "leaderElect", "leaseDuration", "renewDeadline", "retryPeriod", "resourceLock", "resourceName",
          "resourceNamespace",
        ]),
      connection: reader.object(
        file["clientConnection"], "clientConnection",
        ["kubeconfig", "acceptContentTypes", "contentType", "qps", "burst"]),
      profiles: reader.list(file["profiles"], "profiles").enumerated().map {
        ProfileFile($0.element, "profiles[\($0.offset)]", &reader)
      },
      extenders: reader.list(file["extenders"], "extenders").enumerated().map {
        ExtenderConfiguration($0.element, "extenders[\($0.offset)]", &reader)
      })
    try reader.end()
    try take(file, parts)
  }

  /// The file's objects, each known to hold nothing unknown.
  private struct Parts {
    var election: JSONValue
    var connection: JSONValue
    var profiles: [ProfileFile]
    var extenders: [ExtenderConfiguration]
  }

  private mutating func take(_ file: JSONValue, _ parts: Parts) throws {
    var checks = ConfigurationChecks()
    let first = file["podInitialBackoffSeconds"].integer ?? 1
    let last = file["podMaxBackoffSeconds"].integer ?? 10
    checks.election(parts.election, &election)
    kubeconfig = parts.connection["kubeconfig"].string ?? ""
    checks.positive("parallelism", file["parallelism"].integer ?? 16, "should be an integer value greater than zero")
    let percentage = checks.percentage(file, "")
    var files = parts.profiles
    if files.isEmpty { files = [ProfileFile(.null)] }
    if files.count == 1, files[0].name.isEmpty { files[0].name = Scheduler.defaultName }
    checks.profiles(files)
    checks.positive("podInitialBackoffSeconds", first, "must be greater than 0")
    if last < first {
      checks.invalid(
        "podMaxBackoffSeconds", .integer(last), "must be greater than or equal to PodInitialBackoffSeconds")
    }
    checks.extenders(parts.extenders)
    try checks.end()
    initialBackoff = .seconds(first)
    maximumBackoff = .seconds(last)
    extenders = parts.extenders
    profiles = [:]
    for file in files { profiles[file.name] = try file.profile(percentage: percentage) }
  }
}
