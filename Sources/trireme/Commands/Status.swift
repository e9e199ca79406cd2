import ArgumentParser
import EventLoop
import HTTP
import JSON
import TLS
import World

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show servers, leader and load balancer of the cluster of `trireme up`.")

  @OptionGroup var home: HomeOption
  @Flag(help: "Print the pid of the leading server and nothing else.")
  var leaderPid = false
  @Flag(help: "Print what every server says, as JSON.")
  var json = false

  func run() throws {
    let home = home.resolved
    guard let plan = home.plan else {
      throw CommandFailure("There is no cluster in \(home.path). Start one: trireme up")
    }
    let (leaderPid, asJSON) = (leaderPid, json)
    try MainLoop.run { loop in
      let report = try await ClusterReport.gather(home: home, plan: plan, on: loop)
      if leaderPid {
        guard let pid = report.leaderPid else { throw CommandFailure("No server leads at the moment.") }
        return Terminal.say("\(pid)")
      }
      Terminal.say(asJSON ? report.json.description : report.text)
    }
  }
}

/// What the servers of a cluster say of themselves, and which processes live.
struct ClusterReport: Sendable {
  struct Server: Sendable {
    var name: String
    var address: String
    var pid: Int32?
    /// Its answer to /trireme/status; null when there was none.
    var status: JSONValue
  }
  var servers: [Server]
  var loadBalancerPid: Int32?
  var endpoint: String

  private static let patience = Duration.seconds(2)

  static func gather(home: ClusterHome, plan: ClusterPlan, on loop: EventLoop) async throws -> ClusterReport {
    let processes = ClusterProcesses(home: home, plan: plan)
    let authority = try Certificate(pem: FileSystem.readText("\(home.certificates)/ca.crt"))
    let identity = try Identity(
      certificatePEM: FileSystem.readText("\(home.certificates)/admin.crt"),
      privateKeyPEM: FileSystem.readText("\(home.certificates)/admin.key"))
    let tls = try TLSConfiguration.client(trust: .certificates([authority]), identity: identity)
    let servers = await withTaskGroup(of: (Int, Server).self) { group in
      for (index, (process, member)) in zip(processes.servers, plan.members).enumerated() {
        let pid = process.pid
        group.addTask {
          let status = await ask(member.address, tls, loop)
          return (index, Server(name: member.name, address: member.address, pid: pid, status: status))
        }
      }
      return await group.reduce(into: [(Int, Server)]()) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
    }
    return ClusterReport(servers: servers, loadBalancerPid: processes.loadBalancer.pid, endpoint: plan.endpoint)
  }

  private static func ask(_ address: String, _ tls: TLSConfiguration, _ loop: EventLoop) async -> JSONValue {
    guard let endpoint = Address(address) else { return .null }
    let client = HTTPClient(
      loop: loop, endpoint: endpoint, tls: tls, serverName: String(address.prefix { $0 != ":" }))
    defer { client.close() }
    guard
      let response = try? await client.send(
        HTTPRequest(method: "GET", target: "/trireme/status"), within: patience),
      response.status == 200, let bytes = try? await response.body.collect(upTo: 1 << 20)
    else { return .null }
    return (try? JSONValue(parsing: bytes)) ?? .null
  }

  /// The server that says it leads, in the highest term.
  var leader: Server? {
    servers.filter { $0.status["role"].string == "leader" }
      .max { ($0.status["term"].integer ?? 0) < ($1.status["term"].integer ?? 0) }
  }
  var leaderPid: Int32? { leader?.pid }

  var json: JSONValue {
    .array(
      servers.map { server in
        [
          "name": .string(server.name), "address": .string(server.address),
          "pid": server.pid.map { .integer(Int64($0)) } ?? .null, "status": server.status,
        ]
      })
  }

  var text: String {
    func pad(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(1, width - text.count))
    }
    let header = ["NAME", "ADDRESS", "PID", "ROLE", "TERM", "APPLIED", "REVISION", "STATE HASH"]
    let widths = [12, 22, 8, 12, 6, 10, 10, 18]
    var lines = [zip(header, widths).map(pad).joined()]
    for server in servers {
      let status = server.status
      let role = status["role"].string ?? (server.pid == nil ? "stopped" : "no answer")
      func number(_ key: String) -> String { status[key].integer.map { "\($0)" } ?? "-" }
      let pid: String = server.pid.map { "\($0)" } ?? "-"
      let cells: [String] = [
        server.name, server.address, pid, role, number("term"), number("appliedIndex"), number("revision"),
        status["stateHash"].string ?? "-",
      ]
      lines.append(zip(cells, widths).map(pad).joined())
    }
    lines.append("")
    lines.append("Load balancer at \(endpoint): \(loadBalancerPid.map { "pid \($0)" } ?? "stopped")")
    if let leader {
      let losses = leader.status["tolerableLosses"].integer ?? 0
      lines.append(
        losses > 0
          ? "You can lose \(losses) more server\(losses == 1 ? "" : "s") without losing writes."
          : "You cannot lose another server without losing writes.")
    } else {
      lines.append("No server leads: writes wait until a majority of the servers runs.")
    }
    return lines.joined(separator: "\n")
  }
}
