// `trireme up --servers N` on a cluster that is there: servers join and leave one at a time, online.
import EventLoop
import JSON
import World

struct ClusterResizing: Sendable {
  let home: ClusterHome
  let starter: ClusterStarter
  let executable: String
  let loop: EventLoop

  private static let voterDeadline = Duration.seconds(90)
  private static let endDeadline = Duration.seconds(20)

  func resize(to wanted: Int) async throws {
    var plan = starter.plan
    let isRunning = starter.isRunning
    if !isRunning { try await starter.start() }
    Terminal.say(
      Terminal.bold(
        "From \(plan.servers) to \(wanted) servers, one at a time, while the cluster in \(home.path) goes on"))
    while plan.servers < wanted {
      let number = (1...ClusterPlan.maximumServers).first { !plan.numbers.contains($0) } ?? plan.servers + 1
      let grown = plan
      try await Terminal.step(
        "\(ClusterPlan.name(number)) joins at https://\(plan.address(ofServer: number))", on: loop
      ) {
        try await add(number, to: grown)
      }
      plan.numbers = (plan.numbers + [number]).sorted()
      try home.write(plan)
    }
    while plan.servers > wanted, let number = plan.numbers.last {
      let shrunk = plan
      try await Terminal.step("\(ClusterPlan.name(number)) leaves", on: loop) { try await remove(number, from: shrunk) }
      plan.numbers.removeLast()
      try home.write(plan)
    }
    Terminal.say()
    Terminal.say(
      "The cluster has \(plan.servers) server\(plan.servers == 1 ? "" : "s") and survives the loss of \((plan.servers - 1) / 2)."
    )
  }

  /// The plan without servers that were removed from the group while they did not run: started again they would only
  /// say so. Where nobody can be asked, the plan as it is.
  static func withoutRemoved(_ plan: ClusterPlan, home: ClusterHome, loop: EventLoop) async -> ClusterPlan {
    let isRunning = { (number: Int) in
      let name = ClusterPlan.name(number)
      return ManagedProcess(name: name, folder: home.server(name)).pid != nil
    }
    guard plan.numbers.contains(where: isRunning),
      let cluster = try? ClusterConnection(home: home.path, servers: [], loop: loop),
      let answer = try? await cluster.json("GET", "/trireme/members", within: .seconds(5)),
      let members = answer["members"].array, !members.isEmpty
    else { return plan }
    let names = members.compactMap { $0["name"].string }
    var plan = plan
    plan.numbers.removeAll { !names.contains(ClusterPlan.name($0)) && !isRunning($0) }
    return plan
  }

  private func connection(_ plan: ClusterPlan) throws -> ClusterConnection {
    try ClusterConnection(home: home.path, servers: [], loop: loop)
  }

  private func add(_ number: Int, to plan: ClusterPlan) async throws {
    let name = ClusterPlan.name(number)
    let process = ManagedProcess(name: name, folder: home.server(name))
    let server = ServerHome(path: process.folder)
    let cluster = try connection(plan)
    let members = try await cluster.json("GET", "/trireme/members")["members"].elements
    // The folder of one that was removed before is of no use any more.
    let isMember = members.contains { $0["name"].string == name }
    if process.pid == nil, !isMember, FileSystem.exists(process.folder) { try FileSystem.removeTree(process.folder) }
    let token = try await cluster.json(
      "POST", "/trireme/tokens", ["seconds": 600, "server": .string(name), "description": "trireme up --servers"])
    try FileSystem.createDirectory(process.folder, permissions: 0o700)
    let tokenFile = "\(process.folder)/token"
    try FileSystem.write((token["token"].string ?? "") + "\n", to: tokenFile, permissions: 0o600)
    var arguments = ["server", "--home", process.folder, "--name", name, "--listen", plan.address(ofServer: number)]
    for address in members.compactMap({ $0["address"].string }) { arguments += ["--join", address] }
    arguments += ["--token", "@\(tokenFile)"] + plan.loopArguments
    // It is gone from the group, or was never heard of: then its number is free for a new disk.
    if try server.record() == nil, isMember { arguments.append("--replace") }
    if process.pid == nil { try await process.start(executable, arguments, on: loop) }
    try await waitForVote(process, cluster)
    try FileSystem.remove(tokenFile)
    _ = try? await cluster.json("DELETE", "/trireme/tokens/\(token["id"].string ?? "")")
  }

  private func waitForVote(_ process: ManagedProcess, _ cluster: ClusterConnection) async throws {
    let start = loop.now
    while true {
      let answer = try? await cluster.json("GET", "/trireme/members", within: .seconds(5))
      let member = answer?["members"].elements.first { $0["name"].string == process.name }
      if member?["role"].string == "voter" || member?["role"].string == "leader" { return }
      guard process.pid != nil else {
        throw CommandFailure("\(process.name) ended. The end of its log (\(process.log)):\n\(process.lastWords)")
      }
      guard loop.now - start < Self.voterDeadline else {
        throw CommandFailure(
          "\(process.name) is not a voter after \(Self.voterDeadline). The end of its log (\(process.log)):\n\(process.lastWords)"
        )
      }
      try await loop.sleep(for: .milliseconds(100))
    }
  }

  private func remove(_ number: Int, from plan: ClusterPlan) async throws {
    let name = ClusterPlan.name(number)
    _ = try await connection(plan).json("DELETE", "/trireme/members/\(name)")
    let process = ManagedProcess(name: name, folder: home.server(name))
    let start = loop.now
    while process.pid != nil, loop.now - start < Self.endDeadline { try await loop.sleep(for: .milliseconds(50)) }
    await process.stop(on: loop)
    try FileSystem.removeTree(process.folder)
  }
}
