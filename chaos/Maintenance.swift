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
    let index = cluster.plan.members.count
    let name = MachineNetwork.name(index)
    let address = "\(machines.network.address(of: .server(index))):\(cluster.plan.port)"
    let api = cluster.client(of: member)
    try await machines.buildSpare(index)
    let token = try await api.json(
      "POST", "/trireme/tokens", [],
      body: ["seconds": 600, "server": .string(name), "description": "trireme-chaos adds a server"])
    let file = "\(machines.home(name))/token"
    try FileSystem.write((token["token"].string ?? "") + "\n", to: file, permissions: 0o600)
    var arguments = ["--name", name, "--listen", address, "--token", "@\(file)"]
    for member in cluster.plan.members { arguments += ["--join", member.address] }
    try await machines.startServer(index, arguments)
    try await cluster.wait("\(name) is a voter", patience: Self.voterPatience) {
      guard machines.processIdentifier(name) != nil else { throw RunFailure("\(name) ended; its log says why") }
      let answer = try? await api.json("GET", "/trireme/members", [])
      let role = answer?["members"].elements.first { $0["name"].string == name }?["role"].string
      return role == "voter" || role == "leader"
    }
    try await cluster.loop.sleep(for: lasts)
    _ = try await api.json("DELETE", "/trireme/members/\(name)", [])
    try await machines.waitForEnd(name)
  }
}
