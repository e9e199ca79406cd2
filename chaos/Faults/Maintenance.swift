// What operators do to a healthy cluster, through its own interface: it has to succeed, and nobody may notice.
import ChaosChecker
import ChaosPlan
import Client
import EventLoop
import Glibc
import JSON
import World

struct Maintenance: Sendable {
  private static let voterPatience = Duration.seconds(90)

  let cluster: Cluster
  let journal: Journal

  func perform(
    _ work: Fault, leader: Int, choice: UInt64, lasts: Duration, recovered: () async throws -> Void
  ) async throws {
    guard let machines = cluster.machines else { throw RunFailure("\(work) needs machines (--machines)") }
    let members = cluster.plan.members
    switch work {
    case .restartRolling:
      for index in members.indices { try await restart(index, machines, recovered) }
    case .transferLeadership:
      let successor = members[Fault.successor(leader: leader, servers: members.count, choice: choice)]
      _ = try await cluster.client(of: successor).json("POST", "/trireme/members/\(successor.name)/lead", [])
    case .changeMembership: try await growAndShrink(machines, through: members[leader], lasts)
    case .restoreBackup: try await restore(machines, beside: members[leader], lasts)
    default: preconditionFailure("\(work) is no work of operators")
    }
  }

  private func restart(_ index: Int, _ machines: Machines, _ recovered: () async throws -> Void) async throws {
    let member = cluster.plan.members[index]
    let from = cluster.loop.now
    journal.edit { $0.outages.append(Outage(server: member.name, from: from, isPlanned: true)) }
    try cluster.signal(SIGTERM, member)
    try await machines.waitForEnd(member.name)
    try await cluster.up()
    try await recovered()
    let to = cluster.loop.now
    journal.edit { content in
      if let last = content.outages.lastIndex(where: { $0.server == member.name && $0.to == nil }) {
        content.outages[last].to = to
      }
    }
  }

  /// One more server joins, votes, and leaves.
  private func growAndShrink(_ machines: Machines, through member: ClusterPlan.Member, _ lasts: Duration) async throws {
    let joining = Joining(cluster: cluster, machines: machines)
    let name = try await joining.join(cluster.plan.members.count, through: member)
    try await cluster.loop.sleep(for: lasts)
    _ = try await cluster.client(of: member).json("DELETE", "/trireme/members/\(name)", [])
    try await machines.waitForEnd(name)
  }

  /// A backup is refused where a server lives; elsewhere it becomes a cluster of its own, which leaves this one alone.
  private func restore(_ machines: Machines, beside member: ClusterPlan.Member, _ lasts: Duration) async throws {
    let (plan, tool) = (cluster.plan, machines.tool)
    let api = cluster.client(of: member)
    let folder = "\(plan.home)/scratch/restore"
    if FileSystem.exists(folder) { try FileSystem.removeTree(folder) }
    try FileSystem.createDirectory(folder)
    let (backup, key) = ("\(folder)/backup", "\(folder)/backup.key")
    try await tool.run(plan.executable, ["backup", backup, "--kubeconfig", plan.kubeconfig])
    try FileSystem.write(
      try await tool.run(plan.executable, ["backup", "key", "--kubeconfig", plan.kubeconfig]), to: key,
      permissions: 0o600)
    try await cluster.loop.sleep(for: lasts)
    let members = try await Self.members(api)
    let words = { (home: String, name: String, address: String) in
      [
        "restore", backup, "--key", key, "--pki", "\(machines.home(member.name))/pki", "--home", home, "--name", name,
        "--listen", address,
      ]
    }
    do {
      try await tool.run(plan.executable, words(machines.home(member.name), member.name, member.address))
      journal.record(Anomaly("a backup was restored over the disk of \(member.name), which lives"))
    } catch is RunFailure {}
    let index = plan.members.count
    let name = try await machines.buildSpare(index)
    let address = "\(machines.network.address(of: .server(index))):\(plan.port)"
    try await tool.run(plan.executable, words("\(machines.home(name))/restored", name, address))
    try await machines.start(
      name, plan.executable, ["server", "--home", "\(machines.home(name))/restored"],
      in: MachineNetwork.namespace(index))
    let restored = cluster.client(of: ClusterPlan.Member(name: name, address: address))
    try await cluster.wait("the restored cluster serves what was backed up", patience: Self.voterPatience) {
      guard machines.processIdentifier(name) != nil else { throw RunFailure("\(name) ended; its log says why") }
      let found = try? await restored.get(
        .configMaps, namespace: ChaosObjects.registers, name: ReadTraffic.object)
      return found != nil
    }
    try await cluster.loop.sleep(for: lasts)
    let (others, after) = (try await Self.members(restored), try await Self.members(api))
    if after != members || others.count != 1 {
      journal.record(
        Anomaly(
          "a restored cluster and the one that lives know of each other",
          evidence: ["before: \(members)", "after: \(after)", "restored: \(others)"]))
    }
    guard let pid = machines.processIdentifier(name) else { throw RunFailure("\(name) ended; its log says why") }
    Glibc.kill(pid, SIGTERM)
    try await machines.waitForEnd(name)
  }

  /// Names, addresses and whether they vote.
  private static func members(_ api: APIClient) async throws -> [String] {
    try await api.json("GET", "/trireme/members", [])["members"].elements.map { member in
      let role = member["role"].string ?? ""
      return "\(member["name"].string ?? "") \(role == "leader" ? "voter" : role)"
    }.sorted()
  }
}

/// Servers that join: with a token, as operators let them.
struct Joining: Sendable {
  private static let voterPatience = Duration.seconds(90)
  private static let attempts = 10

  let cluster: Cluster
  let machines: Machines

  /// A server with an empty disk becomes a voter; returns its name.
  @discardableResult
  func join(_ index: Int, through member: ClusterPlan.Member, replaces: Bool = false) async throws -> String {
    let name = try await machines.buildSpare(index)
    let address = "\(machines.network.address(of: .server(index))):\(cluster.plan.port)"
    let api = cluster.client(of: member)
    let former = replaces ? try await id(of: name, api) : nil
    let token = try await api.json(
      "POST", "/trireme/tokens", [],
      body: ["seconds": 600, "server": .string(name), "description": "trireme-chaos adds a server"])
    let file = "\(machines.home(name))/token"
    try FileSystem.write((token["token"].string ?? "") + "\n", to: file, permissions: 0o600)
    var arguments = ["--name", name, "--listen", address, "--token", "@\(file)"] + (replaces ? ["--replace"] : [])
    for member in cluster.plan.members where member.name != name { arguments += ["--join", member.address] }
    var attempts = 0
    try await cluster.wait("\(name) is a voter", patience: Self.voterPatience) {
      if machines.processIdentifier(name) == nil {
        // A refusal says what to wait for; who waits may ask again.
        attempts += 1
        guard attempts <= Self.attempts else { throw RunFailure("\(name) ended; its log says why") }
        try await machines.startServer(index, arguments)
        try await cluster.loop.sleep(for: .seconds(1))
      }
      let answer = try? await api.json("GET", "/trireme/members", [])
      guard let found = answer?["members"].elements.first(where: { $0["name"].string == name }) else { return false }
      return ["voter", "leader"].contains(found["role"].string) && Self.id(found) != former
    }
    return name
  }

  /// Of the member of that name.
  private func id(of name: String, _ api: APIClient) async throws -> String? {
    try await api.json("GET", "/trireme/members", [])["members"].elements.first { $0["name"].string == name }
      .flatMap(Self.id)
  }
  private static func id(_ member: JSONValue) -> String? { member["id"].string ?? member["id"].integer.map { "\($0)" } }

  /// A member whose disk is lost takes its own place with a new one.
  func replace(_ index: Int, through member: ClusterPlan.Member) async throws {
    try await join(index, through: member, replaces: true)
  }
}
