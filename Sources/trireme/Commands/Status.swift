import ArgumentParser
import EventLoop
import JSON
import World

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "The cluster on one screen: members, roles, lag, disks, agreement, backups, and what may still be lost.",
    discussion: """
      Any server can be asked, also one that is alone: it says what is wrong and what to do.

        trireme status
        trireme status --home /var/lib/trireme            # on a server, with the server's own certificate
        trireme status --server 10.0.0.2:6443 -o json     # one server by itself

      Exit status 1 when something is wrong.
      """)

  @OptionGroup var connection: ConnectionOptions
  @Flag(help: "Print the pid of the leading server of `trireme up` and nothing else.")
  var leaderPid = false
  @Option(name: .shortAndLong, help: "table or json.")
  var output = OutputFormat.table
  @Flag(help: .hidden)
  var json = false

  func run() throws {
    let (options, leaderPid, asJSON) = (connection, leaderPid, json || output == .json)
    let local = LocalCluster.find(options)
    try MainLoop.run { loop in
      let report = try await StatusReport.gather(options, local, on: loop)
      if leaderPid { return Terminal.say("\(try report.leaderPid())") }
      Terminal.say(asJSON ? report.json.description : report.text(now: loop.wallClock))
      if !report.problems.isEmpty { throw ExitCode(1) }
    }
  }
}

/// The processes of `trireme up`, if that is the cluster in question.
struct LocalCluster: Sendable {
  var home: ClusterHome
  var plan: ClusterPlan

  static func find(_ options: ConnectionOptions) -> LocalCluster? {
    guard options.kubeconfig == nil else { return nil }
    let home = ClusterHome.standard(options.home)
    return home.plan.map { LocalCluster(home: home, plan: $0) }
  }

  /// By server name.
  var pids: [String: Int32] {
    plan.places.reduce(into: [:]) { pids, place in
      pids[place.name] = ManagedProcess(name: place.name, folder: home.server(place.name)).pid
    }
  }
  var loadBalancerPid: Int32? { ClusterProcesses(home: home, plan: plan).loadBalancer.pid }
}

/// What a server found out about the cluster, and, for `trireme up`, which processes live.
struct StatusReport: Sendable {
  private let survey: JSONValue
  private let pids: [String: Int32]
  private let local: LocalCluster?

  static func gather(_ options: ConnectionOptions, _ local: LocalCluster?, on loop: EventLoop) async throws
    -> StatusReport
  {
    let pids = local?.pids ?? [:]
    do {
      let survey = try await options.connect(on: loop).json("GET", "/trireme/cluster", within: .seconds(10))
      return StatusReport(survey: survey, pids: pids, local: local)
    } catch let nobody as ClusterConnection.NobodyAnswers {
      guard let local, pids.isEmpty else { throw nobody }
      throw CommandFailure(
        "No server of the cluster in \(local.home.path) runs. Start it: trireme up --home \(local.home.path)")
    }
  }

  var problems: [String] { survey["problems"].elements.compactMap(\.string) }

  func leaderPid() throws -> Int32 {
    guard let leader = survey["leader"].string, !leader.isEmpty else {
      throw CommandFailure("No server leads at the moment.")
    }
    if let pid = pids[leader] { return pid }
    let folder = local.map { "in \($0.home.path)" } ?? "of a cluster started here (--home)"
    throw CommandFailure(
      "\(leader) leads, and is no process that `trireme up` started \(folder). `trireme status` shows who is where.")
  }

  var json: JSONValue {
    var json = survey
    guard local != nil else { return json }
    json["servers"].mutateElements { server in
      if let pid = pids[server["name"].string ?? ""] { server["pid"] = .integer(Int64(pid)) }
    }
    return json
  }

  func text(now: WallTime) -> String {
    var lines = [serverTable, ""]
    if let local {
      lines.append("Load balancer  \(local.plan.endpoint): \(local.loadBalancerPid.map { "pid \($0)" } ?? "stopped")")
    }
    lines.append("Cluster        \(survey["cluster"].string ?? "-"), as \(survey["asked"].string ?? "-") sees it")
    lines.append("State          \(agreement)")
    lines.append("Last backup    \(Self.backup(survey["backup"], now: now))")
    lines.append("")
    let losses = survey["tolerableLosses"].integer ?? 0
    if survey["answering"].integer ?? 0 < survey["majority"].integer ?? 1 {
      lines.append(Terminal.bold("Writes are stopped."))
    } else {
      lines.append(
        Terminal.bold(
          losses > 0
            ? "You can lose \(losses) more server\(losses == 1 ? "" : "s")."
            : "You cannot lose another server without losing writes."))
    }
    for problem in problems { lines.append("✗ \(problem)") }
    return lines.joined(separator: "\n")
  }

  private var serverTable: String {
    var header = ["NAME", "ADDRESS", "ROLE", "STATE", "BEHIND", "DISK p50/p99", "REVISION", "VERSION"]
    if local != nil { header.append("PID") }
    let rows = survey["servers"].elements.map { server -> [String] in
      let name = server["name"].string ?? ""
      var row = [
        name, server["address"].string ?? "", server["role"].string ?? "-", Self.state(server),
        server["lag"].integer.map(String.init) ?? "-", Self.disk(server["fsyncSeconds"]),
        server["revision"].integer.map(String.init) ?? "-", server["version"].string ?? "-",
      ]
      if local != nil { row.append(pids[name].map { "\($0)" } ?? "-") }
      return row
    }
    return TextTable(header: header, rows: rows).text
  }

  private static func state(_ server: JSONValue) -> String {
    if server["answers"].bool == true { return server["receivingSnapshot"].bool == true ? "catching up" : "ok" }
    guard let silence = server["silentMilliseconds"].integer, silence >= 1000 else { return "silent" }
    return "silent for \(TimeText.short(seconds: silence / 1000))"
  }

  private static func disk(_ seconds: JSONValue) -> String {
    guard let median = number(seconds["median"]), let p99 = number(seconds["p99"]) else { return "-" }
    return "\(milliseconds(median))/\(milliseconds(p99)) ms"
  }
  private static func number(_ value: JSONValue) -> Double? {
    switch value {
    case .double(let number): number
    case .integer(let number): Double(number)
    default: nil
    }
  }
  private static func milliseconds(_ seconds: Double) -> String {
    let text = "\((seconds * 10_000).rounded() / 10)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  private var agreement: String {
    let agreement = survey["agreement"]
    guard let index = agreement["index"].integer else { return "unknown: no server answers" }
    func names(_ key: String) -> [String] { agreement[key].elements.compactMap(\.string) }
    if !names("differ").isEmpty {
      return "DIFFERS on \(names("differ").joined(separator: ", ")) after entry \(index)"
    }
    let unknown = names("unknown")
    return
      "equal on \(names("agree").joined(separator: ", ")) after entry \(index) (hash \(agreement["hash"].string ?? "-"))"
      + (unknown.isEmpty ? "" : "; not comparable on \(unknown.joined(separator: ", "))")
  }

  private static func backup(_ backup: JSONValue, now: WallTime) -> String {
    guard let time = backup["time"].string.flatMap(WallTime.init(rfc3339:)) else {
      return "none. Make one: trireme backup FILE"
    }
    let age = TimeText.short(seconds: (now - time).wholeNanoseconds / 1_000_000_000)
    return "\(time.rfc3339), \(age) ago, revision \(backup["revision"].string ?? "-"), verified"
  }
}

enum TimeText {
  /// "40 s", "5 min", "3 h", "2 days".
  static func short(seconds: Int64) -> String {
    if seconds < 120 { return "\(max(0, seconds)) s" }
    if seconds < 7200 { return "\(seconds / 60) min" }
    return seconds < 172_800 ? "\(seconds / 3600) h" : "\(seconds / 86_400) days"
  }
}
