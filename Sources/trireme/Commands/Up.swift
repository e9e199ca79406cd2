import ArgumentParser
import EventLoop
import Glibc
import TLS
import World

struct HomeOption: ParsableArguments {
  @Option(name: .long, help: "Folder of the cluster (default: $TRIREME_HOME, else .trireme here).")
  var home: String?

  var resolved: ClusterHome { .standard(home) }
}

struct Up: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Start a highly available cluster on this machine.",
    discussion: """
      Three servers on loopback addresses of their own, HAProxy before them, and hollow nodes that keep pods in memory. \
      Everything lives in one folder; running it again starts what is not running. To have a second cluster beside it, \
      give another folder and port:

        trireme up --home .other --port 7443 --network 127.0.2

      With another number of servers, a cluster that is there grows or shrinks, online and one server at a time:

        trireme up --servers 5
      """)

  @OptionGroup var home: HomeOption
  @Option(help: "Port of the load balancer on 127.0.0.1, and of every server on its own address (default: 6443).")
  var port: UInt16?
  @Option(help: "Number of servers: 1, 3 (default) or 5; a cluster that is there grows or shrinks to it.")
  var servers: Int?
  @Option(help: "Number of hollow nodes (default: 5).")
  var nodes: Int?
  @Option(help: "Loopback network of the servers: they listen on its addresses .1, .2, … (default: 127.0.1).")
  var network: String?

  @Flag(help: "Hollow containers start and stop at once, without the time that real ones take: for measurements.")
  var instantContainers = false

  func validate() throws {
    if let servers, ![1, 3, 5].contains(servers) { throw ValidationError("--servers must be 1, 3 or 5") }
    if let nodes, !(0...5000).contains(nodes) { throw ValidationError("--nodes must be between 0 and 5000") }
    if let network {
      let parts = network.split(separator: ".").compactMap { UInt8($0) }
      guard parts.count == 3, parts[0] == 127 else {
        throw ValidationError("--network must be three numbers beginning with 127, such as 127.0.1")
      }
    }
  }

  func run() throws {
    let home = home.resolved
    let existing = home.plan
    let plan = try merge(with: existing)
    let wanted = servers ?? plan.servers
    let executable = try FileSystemPaths.ownExecutable()
    try MainLoop.run { loop in
      let plan = existing == nil ? plan : await ClusterResizing.withoutRemoved(plan, home: home, loop: loop)
      let starter = ClusterStarter(home: home, plan: plan, executable: executable, loop: loop)
      guard existing != nil, wanted != plan.servers else { return try await starter.start() }
      try await ClusterResizing(home: home, starter: starter, executable: executable, loop: loop).resize(to: wanted)
    }
  }

  /// The plan of the folder, if there is one: where a cluster listens cannot be changed by starting it again. Servers that
  /// were removed from the group are left out.
  private func merge(with existing: ClusterPlan?) throws -> ClusterPlan {
    var plan = existing ?? ClusterPlan()
    if let port { plan.port = port }
    if existing == nil, let servers { plan.numbers = Array(1...servers) }
    if let nodes { plan.nodes = nodes }
    if instantContainers { plan.instantContainers = true }
    if let network { plan.network = network }
    guard let existing else { return plan }
    guard existing.members.map(\.address) == plan.members.map(\.address) else {
      throw CommandFailure(
        "The cluster in \(home.resolved.path) has its servers on \(existing.network).x:\(existing.port). "
          + "Remove it first (trireme down), or choose another folder with --home.")
    }
    let home = home.resolved
    plan.numbers.removeAll { number in
      (try? ServerHome(path: home.server(ClusterPlan.name(number))).record())?.phase == .removed
    }
    guard !plan.numbers.isEmpty else {
      throw CommandFailure(
        "Every server of the cluster in \(home.path) was removed from it. Start anew: trireme down, trireme up")
    }
    return plan
  }
}

struct Down: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stop the cluster of `trireme up` and remove everything of it.")

  @OptionGroup var home: HomeOption
  @Flag(help: "Stop the processes, but keep the data, so that `trireme up` goes on with it.")
  var keepData = false

  func run() throws {
    let home = home.resolved
    guard let plan = home.plan else {
      Terminal.say("Nothing to stop: there is no cluster in \(home.path).")
      return
    }
    try MainLoop.run { loop in
      let processes = ClusterProcesses(home: home, plan: plan)
      _ = try await Terminal.step("Stopping nodes, load balancer and servers", on: loop) {
        await processes.nodes.stop(on: loop)
        await processes.loadBalancer.stop(on: loop)
        await withTaskGroup(of: Void.self) { group in
          for server in processes.places { group.addTask { await server.stop(on: loop, patience: .seconds(3)) } }
        }
      }
      if keepData { return Terminal.say("The data is kept in \(home.path); trireme up starts the cluster again.") }
      try FileSystem.removeTree(home.path)
      Terminal.say("Removed \(home.path).")
    }
  }
}

enum FileSystemPaths {
  static func ownExecutable() throws -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    let length = readlink("/proc/self/exe", &buffer, Int(PATH_MAX))
    guard length > 0 else { throw CommandFailure("cannot find the path of this program") }
    return String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// A path that does not depend on the working directory, without a slash at its end.
  static func absolute(_ path: String) throws -> String {
    var text = path
    while text.count > 1, text.hasSuffix("/") { text.removeLast() }
    guard !text.hasPrefix("/") else { return text }
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    guard let here = getcwd(&buffer, buffer.count).map({ String(cString: $0) }) else {
      throw CommandFailure("there is no working directory")
    }
    return here == "/" ? "/\(text)" : "\(here)/\(text)"
  }

  /// The path of a program in PATH and the places where daemons live.
  static func find(_ program: String) -> String? {
    let path = (getenv("PATH").map { String(cString: $0) } ?? "") + ":/usr/sbin:/sbin:/usr/local/sbin"
    for folder in path.split(separator: ":") {
      let candidate = "\(folder)/\(program)"
      if access(candidate, X_OK) == 0 { return candidate }
    }
    return nil
  }
}
