// The servers' machines: each with a network and a disk of its own, and the processes that run on them and in the hub.
import ChaosPlan
import EventLoop
import Glibc
import HTTP
import Synchronization
import World

final class Machines: Sendable {
  static let balancer = "load-balancer"
  private static let nodes = "nodes"
  /// A server that is asked to end hands over first.
  private static let endPatience = Duration.seconds(20)

  let plan: ClusterPlan
  let network: MachineNetwork
  private let loop: EventLoop
  let folder: MachineFolder
  let tool: Tool
  /// Where there are two load balancers.
  let pair: BalancerPair?
  private let running = Mutex<[String: Int32]>([:])

  init(plan: ClusterPlan, loop: EventLoop) throws {
    precondition(Hub.isInside, "machines are made in namespaces of their own")
    self.plan = plan
    self.loop = loop
    for name in ["logs", "scratch", "disks"] { try FileSystem.createDirectory("\(plan.home)/\(name)") }
    tool = Tool(loop: loop)
    let scratch = "\(plan.home)/scratch"
    pair = plan.hasBalancerPair ? BalancerPair(plan: plan, scratch: scratch, tool: tool) : nil
    network = MachineNetwork(
      network: plan.network, front: pair.map { _ in BalancerPair.network(of: plan) }, scratch: scratch, loop: loop)
    folder = try MachineFolder(plan: plan, now: loop.wallClock)
  }

  /// Machines without processes.
  func build() async throws {
    // What libfaketime leaves there goes with the run.
    if plan.movesClocks { try await tool.run("mount", ["-t", "tmpfs", "tmpfs", "/dev/shm"]) }
    try await network.build()
    try await pair?.build()
    for (index, member) in plan.members.enumerated() {
      try await network.add(index)
      try await disk(member.name).make()
      try folder.writeServer(member, to: home(member.name))
    }
    try folder.writeShared()
    try folder.writeNodes(to: "\(plan.home)/nodes")
  }

  /// A machine for a server that joins later, or a new disk for one that joins again.
  @discardableResult
  func buildSpare(_ index: Int) async throws -> String {
    let name = MachineNetwork.name(index)
    if !FileSystem.exists(MachineNetwork.namespace(index)) { try await network.add(index) }
    if FileSystem.exists(disk(name).image) { try await disk(name).unmount() }
    try await disk(name).make()
    return name
  }

  /// Mounted from the machine's own disk.
  func home(_ server: String) -> String { "\(plan.home)/\(server)" }

  func clock(_ server: String) -> MachineClock { MachineClock(file: "\(plan.home)/scratch/\(server).clock") }

  func log(_ name: String) -> String { "\(plan.home)/logs/\(name).log" }

  func disk(_ server: String) -> MachineDisk {
    MachineDisk(image: "\(plan.home)/disks/\(server).ext4", folder: home(server), tool: tool)
  }

  // MARK: Processes

  /// The process of a server or of the load balancer, if it lives.
  func processIdentifier(_ name: String) -> Int32? { running.withLock { $0[name] } }

  /// Starts what does not run.
  func startMissing() async throws {
    for (index, member) in plan.members.enumerated() where processIdentifier(member.name) == nil {
      try await startServer(index, arguments(of: member))
    }
    try await startBalancers()
    if processIdentifier(Self.nodes) == nil {
      var arguments = [
        "agent", "--runtime", "hollow", "--home", "\(plan.home)/nodes", "--count", "\(plan.nodes)", "--name", "node-",
      ]
      for member in plan.members { arguments += ["--server", member.address] }
      try await start(Self.nodes, plan.executable, arguments)
    }
  }

  /// The processes of the load balancer: HAProxy, once or twice.
  var balancers: [String] { pair == nil ? [Self.balancer] : BalancerPair.names }

  private func startBalancers() async throws {
    guard let haproxy = Paths.find("haproxy") else { throw RunFailure("haproxy is not installed") }
    let words = ["-db", "-f", "\(plan.home)/haproxy.cfg"]
    for name in balancers where processIdentifier(name) == nil {
      try await start(name, haproxy, words, in: pair == nil ? nil : BalancerPair.namespace(name))
    }
    guard let pair else { return }
    guard let keepalived = Paths.find("keepalived") else { throw RunFailure("keepalived is not installed") }
    for name in BalancerPair.names where processIdentifier(BalancerPair.keepalived(name)) == nil {
      await pair.forget(name)
      try await start(
        BalancerPair.keepalived(name), keepalived, pair.arguments(name), in: BalancerPair.namespace(name))
    }
  }

  private func arguments(of member: ClusterPlan.Member) -> [String] {
    var arguments: [String] = []
    // Who has started once knows everything else.
    if !FileSystem.exists("\(home(member.name))/server.json") {
      arguments += ["--name", member.name, "--listen", member.address, "--endpoint", plan.endpoint]
      for other in plan.members { arguments += ["--member", "\(other.name)=\(other.address)"] }
    }
    return arguments
  }

  /// Starts a server on its machine.
  func startServer(_ index: Int, _ arguments: [String] = []) async throws {
    let name = MachineNetwork.name(index)
    try await start(
      name, plan.executable, ["server", "--home", home(name)] + arguments, in: MachineNetwork.namespace(index),
      environment: plan.movesClocks ? try clock(name).environment() : [:])
  }

  /// Starts a program, in a network namespace or in the hub. The log lies outside of the machine: a full disk must not
  /// silence it.
  func start(
    _ name: String, _ program: String, _ arguments: [String], in namespace: String? = nil,
    environment: [String: String] = [:]
  ) async throws {
    var (executable, words) = (program, arguments)
    if let namespace {
      guard let nsenter = Paths.find("nsenter") else { throw RunFailure("nsenter is not installed") }
      guard let env = Paths.find("env") else { throw RunFailure("env is not installed") }
      let set = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      // Twice: libfaketime changes the environment of the first program it is loaded into, where Swift's runtime would look
      // for its arguments in vain.
      (executable, words) = (nsenter, ["--net=\(namespace)", env] + set + [env, program] + arguments)
    }
    let log = log(name)
    let descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw RunFailure("cannot write \(log): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var options = ChildProcessOptions(executable: executable, arguments: words)
    options.standardOutput = .descriptor(descriptor)
    options.standardError = .descriptor(descriptor)
    options.isDetached = true
    let (started, loop) = (options, loop)
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      loop.execute {
        do {
          let child = try ChildProcess(started, on: loop) { _ in
            self.running.withLock { $0[name] = nil }
          }
          self.running.withLock { $0[name] = child.processIdentifier }
          continuation.resume()
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
  }

  /// Returns when the process has ended; throws when it does not.
  func waitForEnd(_ name: String, patience: Duration = endPatience) async throws {
    let start = loop.now
    while processIdentifier(name) != nil {
      guard loop.now - start < patience else { throw RunFailure("\(name) does not end within \(patience.text)") }
      try await loop.sleep(for: .milliseconds(5))
    }
  }

  /// Ends a program that only a fault needs.
  func end(_ name: String) async throws {
    guard let pid = processIdentifier(name) else { return }
    Glibc.kill(pid, SIGTERM)
    try await waitForEnd(name)
  }

  /// Ends everything; the images and logs stay.
  func down() async {
    for pid in running.withLock({ Array($0.values) }) {
      Glibc.kill(pid, SIGCONT)
      Glibc.kill(pid, SIGTERM)
    }
    let start = loop.now
    while running.withLock({ !$0.isEmpty }), loop.now - start < .seconds(3) {
      try? await loop.sleep(for: .milliseconds(10))
    }
    for (name, pid) in running.withLock({ $0 }) {
      Glibc.kill(pid, SIGKILL)
      try? await waitForEnd(name)
    }
    for image in (try? FileSystem.list("\(plan.home)/disks")) ?? [] {
      try? await disk(String(image.prefix { $0 != "." })).unmount()
    }
  }
}
