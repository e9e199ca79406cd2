// A whole cluster in one process and one thread: servers as production has them, the machines and the network they run
// on, and everything that may befall those. A run is what its seed says.
import APIServer
import Client
import ControlPlane
import HTTP
import Kubelet
import Logging
import Raft
import Replica
import Storage
import TLS
import World

public final class SimulatedCluster: @unchecked Sendable {
  public struct Options: Sendable {
    public var servers = 3
    /// Hollow kubelets.
    public var nodes = 0
    /// Scheduler and controllers stand for election on every server.
    public var runsLoops = true
    /// Scheduler and controllers run beside the servers, as a workload: no server stands for election.
    public var loopsAreRemote = false
    public var disk = DiskKind.memory
    /// A server whose replica stopped by itself is started again after so long, as systemd would; nil: never.
    public var restartDelay: Duration? = .seconds(1)
    /// Changes the settings of every replica.
    public var tune: @Sendable (inout ReplicaOptions) -> Void = { _ in }
    public init() {}
  }

  public enum DiskKind: String, Sendable, CaseIterable {
    /// The stores' protocols in memory: fast.
    case memory
    /// The production stores over a simulated file system: thorough.
    case sqlite
  }

  public let seed: UInt64
  public let options: Options
  public let simulator: Simulator
  public let network: SimulatedNetwork
  public private(set) var servers: [SimulatedServer] = []
  /// Called after every piece of work of a server's consensus loop, with that server: the place of invariants.
  public var everyStep: [(SimulatedCluster, SimulatedServer) -> Void] = []
  /// Called when a server is about to open its disk: the place of faults that strike meanwhile.
  public var onOpening: ((SimulatedServer) -> Void)?
  /// Called when a server refuses its disk, and why: what is on it is not what a server left there.
  public var onRefusedDisk: ((SimulatedServer, StorageError) -> Void)?
  /// The first invariant that was found violated.
  public private(set) var violation: String?
  public let journal: Journal

  /// Clients' machine: `client()` and `spawn` run there.
  public let clientWorld: VirtualWorld
  /// What starts servers again that stopped.
  private let supervisor: VirtualWorld
  private static let firstClientHost: HostNumber = 1000
  private static let firstKubeletHost: HostNumber = 2000
  private static let clusterID = "simulated"
  /// Made once: a key for each server and run would take longer than the run.
  private static let tokenKey: PrivateKey = {
    do { return try .generateP256() } catch { preconditionFailure("no key: \(error)") }
  }()
  public private(set) var kubelets: [SimulatedProcess] = []
  /// What kubelets know of servers: as agents learn of new ones, so do they.
  private var kubeletBalancers: [BalancedTransport] = []

  public init(seed: UInt64, options: Options = Options()) {
    self.seed = seed
    self.options = options
    let simulator = Simulator(seed: seed)
    self.simulator = simulator
    network = SimulatedNetwork(simulator: simulator)
    journal = Journal(simulator: simulator)
    supervisor = SimulatedProcess(on: SimulatedHost("supervisor", simulator: simulator)).makeWorld("supervisor")
    clientWorld = SimulatedProcess(on: SimulatedHost("clients", simulator: simulator)).makeWorld("clients")
    for number in 1...options.servers {
      let host = SimulatedHost("server-\(number)", simulator: simulator)
      let disk = Self.makeDisk(options.disk, simulator)
      servers.append(SimulatedServer(id: NodeID(number), host: host, disk: disk))
    }
    simulator.afterStep = { [unowned self] world in
      // What runs on behalf of a life that is over runs in vain.
      if let life = world.servedLife { stepped(life) }
    }
  }

  private func stepped(_ life: SimulatedServer.Life) {
    let server = life.server
    let applied = life.plane.replica.appliedIndex
    if life.appliedNoted != applied {
      life.appliedNoted = applied
      simulator.note(server.id << 48 ^ applied)
      simulator.note(life.plane.replica.appliedMark.stateHash)
    }
    if !everyStep.isEmpty { for check in everyStep { check(self, server) } }
  }

  /// Says that something is as it must never be; the first word counts, and the run ends.
  public func violated(_ what: String) {
    guard violation == nil else { return }
    violation = what
    journal.note("VIOLATION: \(what)")
  }

  private static func makeDisk(_ kind: DiskKind, _ simulator: Simulator) -> any ServerDisk {
    switch kind {
    case .memory: MemoryDisk(simulator: simulator)
    case .sqlite: SQLiteDisk(simulator: simulator)
    }
  }

  public func server(_ id: NodeID) -> SimulatedServer {
    guard let server = servers.first(where: { $0.id == id }) else { preconditionFailure("there is no server \(id)") }
    return server
  }
  /// Those that were not taken away for good.
  public var remaining: [SimulatedServer] { servers.filter { !$0.isRetired } }
  public var running: [SimulatedServer] { servers.filter(\.isRunning) }
  public var members: [Member] {
    remaining.map { Member(id: $0.id, name: $0.name, address: "10.0.0.\($0.id):6443") }
  }

  private var founders: [Member] { (1...options.servers).map { member(NodeID($0), "server-\($0)") } }
  private func member(_ id: NodeID, _ name: String) -> Member { Member(id: id, name: name, address: Self.address(id)) }
  static func address(_ id: NodeID) -> String { "10.0.0.\(id):6443" }

  // MARK: Servers

  /// Whether the group outlives the loss of this server and its disk: in every configuration that a server goes by, or
  /// went by when it died, those that are left can still agree. What is lost beyond that no consensus brings back.
  public func canSpare(_ id: NodeID) -> Bool {
    let left = Set(remaining.map(\.id)).subtracting([id])
    return remaining.allSatisfy { server in
      let configuration = server.configuration
      return [configuration.voters, configuration.outgoingVoters].allSatisfy { voters in
        voters.isEmpty || voters.intersection(left).count > voters.count / 2
      }
    }
  }

  /// Takes a server away for good, with its disk.
  public func retire(_ id: NodeID) {
    journal.note("\(server(id).name) is taken away for good")
    crash(id, powerLost: true)
    server(id).isRetired = true
  }

  /// A new server, with an empty disk, that the group has been told of.
  public func join(_ member: Member) {
    guard !servers.contains(where: { $0.id == member.id }) else { return start(member.id) }
    let host = SimulatedHost(member.name, simulator: simulator)
    servers.append(
      SimulatedServer(id: member.id, host: host, disk: Self.makeDisk(options.disk, simulator), joined: member))
    for balancer in kubeletBalancers { balancer.update(servers: addresses) }
    start(member.id)
  }

  public func startAll() {
    for server in servers where !server.isAlive { start(server.id) }
    if kubelets.isEmpty { for index in 0..<options.nodes { startKubelet(index) } }
  }

  /// Starts a server on its disk. A disk that cannot be read leaves it dead, and says why in `stoppedBecause`.
  public func start(_ id: NodeID) {
    let server = server(id)
    guard server.life == nil, !server.isRetired else { return }
    let process = SimulatedProcess(on: server.host)
    let (consensus, control) = (process.makeWorld("consensus"), process.makeWorld("control"))
    let api = [process.makeWorld("api-1"), process.makeWorld("api-2")]
    let disk = process.makeWorld("disk")
    server.starts += 1
    server.stoppedBecause = nil
    do {
      let opened = try openDisk(of: server, on: disk)
      let transport = SimulatedPeerTransport(node: id, world: consensus, network: network)
      var settings = ReplicaOptions(node: id, members: founders)
      if let joined = server.joined {
        settings = ReplicaOptions(joining: id, name: joined.name, address: joined.address, contacts: members)
      }
      options.tune(&settings)
      var configuration = ControlPlaneServer.Configuration(
        name: server.name, members: members, endpoint: "10.0.0.100:6443", certificateAuthorityPEM: "CA",
        tokenKey: Self.tokenKey, versions: ServerVersions(trireme: "simulated", kubernetes: "v1.32.4"))
      configuration.makeLogger = { [journal, name = server.name] in journal.logger("\(name) \($0)") }
      let simulator = simulator
      let plane = try ControlPlaneServer(
        configuration, disk: opened, options: settings, transport: transport,
        worlds: ControlPlaneServer.Worlds(
          consensus: consensus, control: control, current: { simulator.current ?? control }),
        reachedAt: { ServerEndpoint(address: "10.0.0.\($0.id)", port: 6443) })
      let life = SimulatedServer.Life(
        of: server, process: process, consensus: consensus, control: control, plane: plane)
      server.life = life
      consensus.servedLife = life
      network.httpStations[id] = HTTPStation(process: process, handler: plane.api, loops: api)
      plane.replica.onStopped { reason in
        guard let reason else { return }
        server.stoppedBecause = reason
        self.replaceStopped(server)
      }
      plane.startReplica()
      if options.runsLoops { plane.startLoops(standing: !options.loopsAreRemote) }
      journal.note("\(server.name) starts")
    } catch is PowerLoss {
      // Not the disk's fault: nobody starts it again but who brings the power back.
      process.kill()
      server.disk.crash(powerLost: true)
      journal.note("\(server.name) is killed with its power")
    } catch {
      process.kill()
      server.disk.crash(powerLost: false)
      server.stoppedBecause = "\(error)"
      replaceStopped(server)
      journal.note("\(server.name) cannot start: \(error)")
      if let error = error as? StorageError, error.isRefusal { onRefusedDisk?(server, error) }
    }
  }

  /// The machine went dark while its server opened the disk.
  private struct PowerLoss: Error {}

  private func openDisk(of server: SimulatedServer, on world: VirtualWorld) throws -> ReplicaDisk {
    server.opening = .underWay
    defer { server.opening = nil }
    onOpening?(server)
    let opened = Result {
      try server.disk.open(on: world, identity: StorageIdentity(cluster: Self.clusterID, node: server.id))
    }
    // Whatever came of it: what was done last may be done in vain, and no error.
    if server.opening == .dark { throw PowerLoss() }
    return try opened.get()
  }

  private func replaceStopped(_ server: SimulatedServer) {
    guard let delay = options.restartDelay else { return }
    let stopped = server.starts
    supervisor.schedule(after: delay) { [self] in
      guard server.starts == stopped, server.stoppedBecause != nil else { return }
      restart(server.id)
    }
  }

  /// kill -9; with `powerLost` the whole machine goes dark: nobody is told, and what was not durable is gone. That can
  /// befall a server that is only opening its disk, too.
  public func crash(_ id: NodeID, powerLost: Bool = false) {
    let server = server(id)
    guard let life = server.life else {
      if powerLost, server.opening != nil { server.opening = .dark }
      return
    }
    server.lastConfiguration = server.configuration
    journal.note("\(server.name) is killed\(powerLost ? " with its power" : "")")
    server.life = nil
    server.stoppedBecause = nil
    life.consensus.servedLife = nil
    life.process.kill()
    Graveyard.bury(life)
    server.disk.crash(powerLost: powerLost)
    network.processDied(on: id, silently: powerLost)
  }

  public func restart(_ id: NodeID) {
    crash(id)
    start(id)
  }

  /// SIGSTOP and SIGCONT.
  public func pause(_ id: NodeID) {
    journal.note("\(server(id).name) is paused")
    server(id).process?.pause()
  }
  public func resume(_ id: NodeID) {
    guard server(id).isPaused else { return }
    journal.note("\(server(id).name) goes on")
    server(id).process?.resume()
  }

  public func jumpClock(_ id: NodeID, by duration: Duration) {
    journal.note("\(server(id).name)'s clock jumps by \(duration)")
    server(id).host.jumpClock(by: duration)
  }
  public func drift(_ id: NodeID, partsPerMillion: Int) {
    journal.note("\(server(id).name)'s clocks drift by \(partsPerMillion) ppm")
    server(id).host.drift(partsPerMillion: partsPerMillion)
  }

  // MARK: Network

  /// Cuts both ways between every server of one side and every server of the other.
  public func partition(_ one: [NodeID], from other: [NodeID]) {
    journal.note("partition \(one) | \(other)")
    for a in one {
      for b in other {
        network.cut(from: a, to: b)
        network.cut(from: b, to: a)
      }
    }
  }

  /// Cuts a server off from its peers; clients still reach it.
  public func isolate(_ id: NodeID) { partition([id], from: servers.map(\.id).filter { $0 != id }) }

  /// One direction only.
  public func cut(from: NodeID, to: NodeID) {
    journal.note("cut \(from) → \(to)")
    network.cut(from: from, to: to)
  }

  /// Everything is connected again.
  public func heal() {
    journal.note("the network heals")
    network.mendAll()
  }

  /// The leader, as the servers that run see it; nil while they do not agree, or it does not run.
  public var leader: NodeID? {
    let views = running.compactMap { $0.replica?.leadership }
    guard let first = views.first?.leader, server(first).isRunning, views.allSatisfy({ $0.leader == first }),
      server(first).replica?.leadership.isLeader == true
    else { return nil }
    return first
  }

  // MARK: Clients

  /// A transport from the clients' machine (or another) to one server.
  public func transport(
    to id: NodeID, user: String = "admin", groups: [String]? = nil, host: HostNumber = firstClientHostNumber,
    on world: VirtualWorld? = nil
  ) -> SimulatedHTTPTransport {
    SimulatedHTTPTransport(
      from: host, on: world ?? clientWorld, to: id,
      identity: TrustedContext(user: user, groups: groups ?? Self.groups(of: user)), network: network)
  }
  public static let firstClientHostNumber: HostNumber = firstClientHost

  /// A client of one server.
  public func client(server id: NodeID, user: String = "admin") -> APIClient {
    APIClient(transport: transport(to: id, user: user), world: clientWorld, userAgent: "\(user)/1 (simulated)")
  }

  /// A client of whichever server answers, as an agent's balancer has it.
  public func client(user: String = "admin", host: HostNumber = firstClientHostNumber, on world: VirtualWorld? = nil)
    -> APIClient
  {
    let world = world ?? clientWorld
    return APIClient(
      transport: balancer(user: user, host: host, on: world), world: world, userAgent: "\(user)/1 (simulated)")
  }

  private func balancer(user: String, host: HostNumber, on world: VirtualWorld) -> BalancedTransport {
    BalancedTransport(servers: addresses, world: world) { [self] address in
      transport(to: NodeID(address) ?? 1, user: user, host: host, on: world)
    }
  }

  private var addresses: [String] { servers.map { "\($0.id)" } }

  private static func groups(of user: String) -> [String] {
    if user == "admin" { return ["system:masters"] }
    if user.hasPrefix("system:node:") { return ["system:nodes"] }
    return []
  }

  /// Starts a task on the clients' machine.
  @discardableResult
  public func spawn(_ story: @escaping @Sendable () async -> Void) -> SpawnedTask { clientWorld.spawn(story) }

  private func startKubelet(_ index: Int) {
    let (name, host) = ("node-\(index)", Self.firstKubeletHost + HostNumber(index))
    let process = SimulatedProcess(on: SimulatedHost(name, simulator: simulator))
    let world = process.makeWorld("kubelet")
    kubelets.append(process)
    let address = "10.1.0.\(index + 1)"
    let runtime = HollowRuntime(world: world, version: "1", podNetwork: "10.128.\(index).0", nodeAddress: address)
    let user = "system:node:\(name)"
    let balancer = balancer(user: user, host: host, on: world)
    kubeletBalancers.append(balancer)
    let kubelet = Kubelet(
      description: NodeDescription(name: name, address: address, kubeletVersion: "v1.32.4"),
      client: APIClient(transport: balancer, world: world, userAgent: "\(user)/1 (simulated)"), runtime: runtime,
      logger: journal.logger("\(name) kubelet"))
    world.spawn { await kubelet.run() }
  }

  // MARK: Turning

  /// Lets virtual time pass; ends early when something is violated.
  public func run(for duration: Duration) { _ = simulator.run(until: simulator.now + duration) { violation != nil } }

  /// Runs until `condition` holds or so much virtual time has passed; true if it held.
  public func run(within limit: Duration, until condition: () -> Bool) -> Bool {
    _ = simulator.run(until: simulator.now + limit) { violation != nil || condition() }
    return violation == nil && condition()
  }

  /// Plays a story on the clients' machine to its end.
  public func play<Value: Sendable>(
    within limit: Duration = .seconds(600), _ story: @escaping @Sendable () async throws -> Value
  ) throws -> Value {
    let outcome = Outcome<Value>()
    spawn {
      do { outcome.result = .success(try await story()) } catch { outcome.result = .failure(error) }
    }
    guard run(within: limit, until: { outcome.result != nil }), let result = outcome.result else {
      throw VirtualWorld.Stuck(description: violation ?? "the story did not end within \(limit)")
    }
    return try result.get()
  }

  private final class Outcome<Value: Sendable>: @unchecked Sendable {
    var result: Result<Value, any Error>?
  }
}

extension StorageError {
  /// Whether it is about what is on the disk, not about what could not be done now.
  fileprivate var isRefusal: Bool {
    switch self {
    case .damaged, .foreign: true
    default: false
    }
  }
}
