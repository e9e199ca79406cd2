// The command line: real servers are started, broken and judged by what their clients saw.
import ArgumentParser
import ChaosPlan
import Client
import EventLoop
import Glibc

@main
struct TriremeChaos: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trireme-chaos",
    abstract: "Break a real Trireme cluster under load, and check what its clients saw.",
    subcommands: [Run.self, List.self, Writes.self, Fuzz.self, DelayPackets.self])

  static func main() {
    signal(SIGPIPE, SIG_IGN)
    // The fuzzer's bodies of megabytes leave holes otherwise: gigabytes in ten minutes.
    Allocator.configure()
    EventLoop.installAsDefaultExecutors([MainLoop.shared])
    Self.main(nil)
  }
}

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Name the scenarios.")

  func run() {
    for scenario in Scenario.all {
      let padding = String(repeating: " ", count: max(1, 18 - scenario.name.count))
      Terminal.say("\(scenario.name)\(padding)\(scenario.abstract)")
    }
    let obstacles = Facilities.obstacles()
    guard !obstacles.isEmpty else { return }
    Terminal.say("\nNot possible here:")
    for fault in Fault.allCases {
      let reasons = fault.facilities.compactMap { obstacles[$0] }.sorted()
      if !reasons.isEmpty { Terminal.say("  \(fault): \(reasons.joined(separator: "; "))") }
    }
  }
}

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a scenario against a cluster of its own.",
    discussion: """
      The cluster lives in --home beside any other; it is stopped at the end, and its folder keeps the logs, the data \
      and report.html. Scenarios that break more than processes put each server on a machine of its own: a network \
      namespace behind HAProxy, and a file system on a loop device. That needs root, and leaves nothing behind.

        trireme-chaos run partitions --minutes 5 --seed 7
        trireme-chaos run leader-kill --machines

      The exit code is 0 when nothing happened that must not, 1 when something did, and 3 when the scenario cannot be \
      run here and was skipped.
      """)

  @Argument(help: "Name of the scenario (trireme-chaos list).")
  var scenario: String
  @Option(help: "How long faults are injected.")
  var minutes = 2.0
  @Option(
    name: [.customLong("faults"), .customLong("kills")],
    help: "How many faults are spread over that time (default: five a minute).")
  var count: Int?
  @Option(help: "The schedule of faults and the traffic are drawn from it.")
  var seed: UInt64 = 1
  @Option(
    help: "Folder for the cluster and the report; must not hold a cluster yet (default: .trireme-chaos/SCENARIO-SEED).")
  var home: String?
  @Flag(help: "Put the servers on machines of their own although the scenario can do without.")
  var machines = false
  @Option(help: "The trireme executable (default: the one beside this program).")
  var trireme: String?
  @Option(help: "A bug to be planted in the servers, where the build can: the verdict must find it.")
  var mutant: String?
  @Option(help: "Number of servers: 3 or 5.")
  var servers = 3
  @Option(help: "Number of hollow nodes.")
  var nodes = 3
  @Option(help: "Port of the load balancer and the servers.")
  var port: UInt16 = 8643
  @Option(help: "Network of the servers (default: 127.0.66; with machines 10.200.0).")
  var network: String?

  func validate() throws {
    guard Scenario.named(scenario) != nil else {
      let names = Scenario.all.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no scenario \(scenario); there are: \(names)")
    }
    guard [3, 5].contains(servers) else {
      throw ValidationError("--servers must be 3 or 5: one server has no survivor")
    }
    guard minutes > 0, minutes <= 24 * 60 else { throw ValidationError("--minutes must be between 0 and 1440") }
    if let count, !(1...10_000).contains(count) { throw ValidationError("--faults must be between 1 and 10000") }
    guard (1...1000).contains(nodes) else { throw ValidationError("--nodes must be between 1 and 1000") }
    #if !TRIREME_MUTANTS
      if mutant != nil {
        throw ValidationError("--mutant: this build plants no bugs; deploy/chaos-mutants.sh makes one that does")
      }
    #endif
    guard let network else { return }
    let numbers = network.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    guard numbers.count == 3, !numbers.contains(nil) else {
      throw ValidationError("--network must be three numbers, such as 10.200.0")
    }
    guard (numbers[0] == 127) == !isOnMachines else {
      throw ValidationError(
        isOnMachines
          ? "--network \(network): machines reach nothing but themselves by addresses of 127"
          : "--network \(network) must begin with 127: servers that are processes are on loopback")
    }
  }

  private var isOnMachines: Bool { machines || Scenario.named(scenario)?.needsMachines == true }

  func run() throws {
    guard let named = Scenario.named(scenario) else { return }
    let scenario = try playable(named)
    let cluster = ClusterPlan(
      executable: try Paths.absolute(trireme ?? Paths.beside("trireme")),
      home: try Paths.absolute(home ?? ".trireme-chaos/\(scenario.name)-\(seed)"), servers: servers, nodes: nodes,
      port: port, network: network ?? (isOnMachines ? "10.200.0" : "127.0.66"), isOnMachines: isOnMachines,
      hasBalancerPair: scenario.faults.contains(.failOver), movesClocks: scenario.faults.contains(.moveClock),
      mutant: mutant)
    guard access(cluster.executable, X_OK) == 0 else {
      throw RunFailure("\(cluster.executable) cannot be run. Build it: swift build -c release --product trireme")
    }
    guard !FileSystem.exists("\(cluster.home)/cluster.json"), !FileSystem.exists("\(cluster.home)/disks") else {
      throw RunFailure("\(cluster.home) holds a cluster already. Choose another --home, or remove it")
    }
    guard let kubectl = Paths.kubectl() else {
      throw RunFailure("kubectl is not in PATH; it is part of the traffic. Install it (deploy/dependencies.sh)")
    }
    if isOnMachines, !Hub.isInside { try Hub.enter() }
    plantBug()
    let options = RunOptions(
      scenario: scenario, duration: .seconds(minutes * 60),
      faults: count ?? max(1, Int(minutes * Self.faultsPerMinute)),
      seed: seed, kubectl: kubectl)
    let verdict = VerdictBox()
    try MainLoop.run { loop in
      verdict.isGood = try await ChaosRun(options: options, plan: cluster, loop: loop).run()
    }
    if !verdict.isGood { throw ExitCode(1) }
  }

  /// In the servers, which inherit it, and in what the traffic has of the clients' code.
  private func plantBug() {
    #if TRIREME_MUTANTS
      guard let mutant else { return }
      setenv("TRIREME_MUTANT", mutant, 1)
      ClientMutant.active = ClientMutant(rawValue: mutant)
    #endif
  }

  /// The scenario without what this machine cannot do, which is said; ends the run where nothing is left of it.
  private func playable(_ scenario: Scenario) throws -> Scenario {
    // What was tried outside need not be tried in the namespaces.
    if Hub.isInside { return scenario.playable(with: Hub.facilities) ?? scenario }
    var wanted = scenario.faults.reduce(into: Set<Facility>()) { $0.formUnion($1.facilities) }
    if machines { wanted.insert(.machines) }
    let obstacles = Facilities.obstacles(wanted)
    let leftOut = Facilities.leftOut(scenario, obstacles)
    let present = Set(Facility.allCases).subtracting(obstacles.keys)
    for (fault, why) in leftOut { Terminal.say("Skipped: \(fault): \(why).") }
    guard let left = scenario.playable(with: present), !isOnMachines || present.contains(.machines) else {
      if leftOut.isEmpty {
        Terminal.say("Skipped: \(scenario.name): \(obstacles.values.sorted().joined(separator: "; ")).")
      }
      throw ExitCode(Self.skipped)
    }
    Hub.facilities = present
    return left
  }

  private static let faultsPerMinute = 5.0
  /// Exit code: neither good nor bad.
  private static let skipped: Int32 = 3

  /// Written on the main loop, read when it has stopped.
  private final class VerdictBox: @unchecked Sendable {
    var isGood = false
  }
}

/// What stops a run before there is a verdict, in words for its user.
struct RunFailure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

enum Terminal {
  /// Straight to the descriptor: what is said is seen, also through a pipe.
  static func say(_ text: String = "") {
    var rest = Array("\(text)\n".utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}

enum Paths {
  /// This program.
  static func own() throws -> String { try real("/proc/self/exe") }

  /// A program that lies beside this one.
  static func beside(_ program: String) throws -> String { FileSystem.parent(of: try own()) + "/\(program)" }

  /// A program in PATH or where those of the system lie.
  static func find(_ program: String) -> String? {
    let path = (getenv("PATH").map { String(cString: $0) } ?? "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
    return path.split(separator: ":").lazy.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
  }

  static func absolute(_ path: String) throws -> String {
    guard !path.hasPrefix("/") else { return path }
    return "\(try real("."))/\(path)"
  }

  /// kubectl 1.32, which lies beside the dispatcher of that name on some machines; else the one in PATH.
  static func kubectl() -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    for folder in path.split(separator: ":") {
      guard access("\(folder)/kubectl", X_OK) == 0, let found = try? real("\(folder)/kubectl") else { continue }
      let exact = FileSystem.parent(of: found) + "/kubectl.1.32"
      return access(exact, X_OK) == 0 ? exact : found
    }
    return nil
  }

  /// Without links.
  private static func real(_ path: String) throws -> String {
    guard let resolved = realpath(path, nil) else {
      throw RunFailure("\(path): \(String(cString: strerror(errno)))")
    }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
