// The cluster under test: real processes, started as a user starts them.
import Client
import EventLoop
import Glibc
import HTTP
import JSON
import TLS
import World

struct ClusterPlan: Sendable {
  var executable: String
  var home: String
  var servers: Int
  var nodes: Int
  var port: UInt16
  var network: String
  /// Each server in a network and on a disk of its own, the load balancer at .254 of the network.
  var isOnMachines = false
  /// Two load balancers with one address, instead of one in the hub.
  var hasBalancerPair = false
  /// The servers' wall clocks can be moved.
  var movesClocks = false
  /// The bug that is planted in the servers, in a build that can (deploy/mutants.sh).
  var mutant: String?

  struct Member: Sendable, Hashable {
    var name: String
    var address: String
  }
  var members: [Member] {
    (1...servers).map { Member(name: "server-\($0)", address: "\(network).\($0):\(port)") }
  }
  /// Of the load balancer.
  var endpoint: String {
    guard isOnMachines else { return "127.0.0.1:\(port)" }
    return hasBalancerPair ? "\(BalancerPair.address(of: self)):\(port)" : "\(network).254:\(port)"
  }
  /// Where clients are, beside the servers themselves: on machines also behind the load balancer.
  var entrances: [Member] { members + (isOnMachines ? [Member(name: Machines.balancer, address: endpoint)] : []) }
  var kubeconfig: String { "\(home)/kubeconfig" }
}

/// What a server says of itself at /trireme/status.
struct ServerStatus: Sendable {
  var server: String
  var isLeader: Bool
  var term: Int64
  var commitIndex: Int64
  var appliedIndex: Int64
  var stateHash: String

  init?(server: String, json: JSONValue) {
    guard let role = json["role"].string, let term = json["term"].integer,
      let commitIndex = json["commitIndex"].integer, let appliedIndex = json["appliedIndex"].integer,
      let stateHash = json["stateHash"].string
    else { return nil }
    self.server = server
    isLeader = role == "leader"
    self.term = term
    self.commitIndex = commitIndex
    self.appliedIndex = appliedIndex
    self.stateHash = stateHash
  }
}

struct Cluster: Sendable {
  let plan: ClusterPlan
  let loop: EventLoop
  let tls: TLSConfiguration
  let machines: Machines?
  private let statusClients: [HTTPClient]

  /// `trireme up` needs this long on a starved machine.
  private static let upDeadline = Duration.seconds(240)
  private static let statusPatience = Duration.seconds(2)

  /// Starts the cluster; throws with what `trireme up` said when it does not come up.
  static func start(_ plan: ClusterPlan, on loop: EventLoop) async throws -> Cluster {
    if plan.isOnMachines { return try await startOnMachines(plan, on: loop) }
    try await up(
      plan, on: loop,
      arguments: [
        "--port", "\(plan.port)", "--network", plan.network, "--servers", "\(plan.servers)", "--nodes", "\(plan.nodes)",
      ])
    return try Cluster(plan: plan, loop: loop)
  }

  private static func startOnMachines(_ plan: ClusterPlan, on loop: EventLoop) async throws -> Cluster {
    let machines = try Machines(plan: plan, loop: loop)
    do {
      try await machines.build()
      try await machines.startMissing()
      let cluster = try Cluster(plan: plan, loop: loop, machines: machines)
      try await cluster.wait("every server answers, and \(plan.nodes) nodes are ready", patience: upDeadline) {
        let statuses = await cluster.statuses().compactMap { $0 }
        guard statuses.count == plan.members.count, statuses.contains(where: \.isLeader) else { return false }
        let api = cluster.client(of: plan.entrances[plan.entrances.count - 1])
        let nodes = (try? await api.list(.nodes).items) ?? []
        return nodes.count { Node(json: $0).isReady } == plan.nodes
      }
      return cluster
    } catch {
      await machines.down()
      throw error
    }
  }

  /// A cluster that runs already.
  init(plan: ClusterPlan, loop: EventLoop, machines: Machines? = nil) throws {
    self.plan = plan
    self.machines = machines
    self.loop = loop
    let authority = try Certificate(pem: FileSystem.readText("\(plan.home)/pki/ca.crt"))
    let identity = try Identity(
      certificatePEM: FileSystem.readText("\(plan.home)/pki/admin.crt"),
      privateKeyPEM: FileSystem.readText("\(plan.home)/pki/admin.key"))
    let tls = try TLSConfiguration.client(trust: .certificates([authority]), identity: identity)
    self.tls = tls
    statusClients = plan.members.map { Self.connect($0, tls, loop) }
  }

  /// Starts what does not run.
  func up() async throws {
    if let machines { return try await machines.startMissing() }
    try await Self.up(plan, on: loop, arguments: [])
  }

  private static func up(_ plan: ClusterPlan, on loop: EventLoop, arguments: [String]) async throws {
    var options = ChildProcessOptions(
      executable: plan.executable, arguments: ["up", "--home", plan.home] + arguments)
    options.standardOutput = .capture(limit: 1 << 20)
    options.standardError = .capture(limit: 1 << 20)
    let result = try await ChildProcess.run(options, on: loop, deadline: upDeadline)
    guard result.isSuccess else {
      let said = String(decoding: result.standardOutput + result.standardError, as: UTF8.self)
      throw RunFailure("trireme up failed (\(result.status)):\n\(said)")
    }
  }

  /// Stops all processes; the folder stays, as evidence.
  func down() async {
    if let machines { return await machines.down() }
    await Self.down(plan, on: loop)
  }

  static func down(_ plan: ClusterPlan, on loop: EventLoop) async {
    // Machines vanish with this process.
    guard !plan.isOnMachines else { return }
    let options = ChildProcessOptions(
      executable: plan.executable, arguments: ["down", "--keep-data", "--home", plan.home])
    _ = try? await ChildProcess.run(options, on: loop, deadline: .seconds(60))
  }

  // MARK: Clients

  /// A client of one server, with connections of its own.
  func client(of member: ClusterPlan.Member, limits: HTTPClientLimits = HTTPClientLimits()) -> APIClient {
    APIClient(
      transport: Self.connect(member, tls, loop, limits), world: loop, userAgent: "trireme-chaos/1 (linux)")
  }

  /// As `client(of:)`, for those who say requests themselves.
  func transport(of member: ClusterPlan.Member) -> any HTTPTransport { Self.connect(member, tls, loop) }

  private static func connect(
    _ member: ClusterPlan.Member, _ tls: TLSConfiguration, _ loop: EventLoop,
    _ limits: HTTPClientLimits = HTTPClientLimits()
  ) -> HTTPClient {
    guard let endpoint = Address(member.address) else { preconditionFailure("\(member.address) is no address") }
    return HTTPClient(
      loop: loop, endpoint: endpoint, tls: tls, serverName: String(member.address.prefix { $0 != ":" }), limits: limits)
  }

  // MARK: Status

  func status(ofServer index: Int) async -> ServerStatus? {
    guard
      let response = try? await statusClients[index].send(
        HTTPRequest(method: "GET", target: "/trireme/status"), within: Self.statusPatience),
      response.status == 200, let bytes = try? await response.body.collect(upTo: 1 << 20),
      let json = try? JSONValue(parsing: bytes)
    else { return nil }
    return ServerStatus(server: plan.members[index].name, json: json)
  }

  /// What every server (of those at `indices`) says, asked at the same time; nil for one that does not answer.
  func statuses(of indices: [Int]? = nil) async -> [ServerStatus?] {
    await withTaskGroup(of: (Int, ServerStatus?).self) { group in
      for index in indices ?? Array(plan.members.indices) { group.addTask { (index, await status(ofServer: index)) } }
      var all = [ServerStatus?](repeating: nil, count: plan.members.count)
      for await (index, status) in group { all[index] = status }
      return all
    }
  }

  /// The server (of those at `indices`) that says it leads, in the highest term.
  func leader(among indices: [Int]? = nil) async -> ServerStatus? {
    await statuses(of: indices).compactMap { $0 }.filter(\.isLeader).max { $0.term < $1.term }
  }

  /// Waits for `condition`; throws when it does not come true within `patience`.
  func wait(_ what: String, patience: Duration, until condition: () async throws -> Bool) async throws {
    let start = loop.now
    while try await !condition() {
      guard loop.now - start < patience else { throw RunFailure("\(what): not within \(patience)") }
      try await loop.sleep(for: .milliseconds(50))
    }
  }

  // MARK: Processes

  /// The process of a server, if it lives. The folder in its command line proves that it is ours.
  func processIdentifier(of member: ClusterPlan.Member) -> Int32? {
    if let machines { return machines.processIdentifier(member.name) }
    let folder = "\(plan.home)/\(member.name)"
    guard let text = try? FileSystem.readText("\(folder)/pid"),
      let pid = Int32(text.split(separator: "\n").first ?? ""), pid > 1,
      let command = try? FileSystem.read("/proc/\(pid)/cmdline"),
      String(decoding: command, as: UTF8.self).contains(folder)
    else { return nil }
    return pid
  }

  func signal(_ signal: Int32, _ member: ClusterPlan.Member) throws {
    guard let pid = processIdentifier(of: member) else { throw RunFailure("\(member.name) does not run") }
    guard Glibc.kill(pid, signal) == 0 else {
      throw RunFailure("cannot signal \(member.name): \(String(cString: strerror(errno)))")
    }
  }
}
