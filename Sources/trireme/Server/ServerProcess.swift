// One server, put together: storage, consensus, the API, and the loops it runs when it is elected.
import APIServer
import Client
import ControlPlane
import EventLoop
import Glibc
import HTTP
import Logging
import Replica
import Storage
import Synchronization
import TLS
import World

final class ServerProcess: Sendable {
  private static let shutdownDeadline = Duration.seconds(10)
  /// How long requests under way are waited for when the server leaves the group.
  private static let drainDeadline = Duration.seconds(8)
  /// Load balancers ask four times a second (`HAProxyConfiguration`).
  private static let noticeTime = Duration.milliseconds(300)

  private static let answerDeadline = Duration.seconds(3)
  /// Too few voters are connected: a broken connection stands again before, if its server lives.
  private static let silencePatience = Duration.milliseconds(400)
  /// No leader is known: an election takes less.
  private static let electionPatience = Duration.milliseconds(1200)

  private let configuration: ServerConfiguration
  private let certificates: ServerCertificates
  private let logger: Logger
  private let apiLoops: [EventLoop]
  private let consensusLoop: EventLoop
  private let controlLoop: EventLoop
  private let control: ControlPlaneServer
  private let server: HTTPServer
  private let operations: Operations
  private let drain: Drain
  private let climb: VoterClimb

  /// A server that has joined brings nothing to a group of its own: it waits to be sent the log.
  private static func options(_ record: ServerRecord) -> ReplicaOptions {
    if record.hasJoined {
      return ReplicaOptions(
        joining: record.node, name: record.name, address: record.advertise, contacts: record.members)
    }
    var options = ReplicaOptions(node: record.node, members: record.members)
    options.name = record.name
    options.address = record.advertise
    return options
  }

  /// Opens the disk and puts the parts together; blocks. Nothing is served before `run`.
  init(_ configuration: ServerConfiguration, logger: Logger) throws {
    let (home, record) = (configuration.home, configuration.record)
    self.configuration = configuration
    self.logger = logger
    let certificates = try ServerCertificates(folder: home.certificates)
    self.certificates = certificates
    consensusLoop = EventLoop.start(name: "consensus")
    controlLoop = EventLoop.start(name: "control")
    apiLoops = (1...configuration.apiLoops).map { EventLoop.start(name: "api-\($0)") }

    let disk = try ReplicaDisk.open(
      path: home.data, identity: StorageIdentity(cluster: record.cluster, node: record.node),
      cipher: try EncryptionKeyring.open(
        path: EncryptionKeyring.path(besides: home.data), resources: configuration.encryptedResources))
    let trust = TLSConfiguration.Trust.certificates([certificates.authority.certificate])
    let peerTLS = try TLSConfiguration.client(
      trust: trust, identity: certificates.identity, protocols: [TLSPeerTransport.applicationProtocol])
    let transport = TLSPeerTransport(
      loop: consensusLoop, cluster: GroupName(disk.identity).text, node: record.node, name: record.name,
      configuration: { peerTLS },
      authorize: { certificate, name in
        certificate.organizations.contains(ServerIdentity.organization)
          && ServerIdentity.commonName(name) == certificate.commonName
      }, logger: Logger(label: "peers"))
    let fallback = controlLoop
    var plane = ControlPlaneServer.Configuration(
      name: record.name, members: record.members, endpoint: record.endpoint,
      certificateAuthorityPEM: certificates.authority.certificate.pem, tokenKey: certificates.tokenKey,
      versions: Version.all)
    plane.serviceNetwork = record.serviceNetwork
    plane.audit = configuration.audit
    plane.webhooks = WebhookConnections(loop: controlLoop)
    plane.security = try configuration.security(controlLoop)
    plane.aggregation = FrontProxyConnections(loop: controlLoop)
    plane.background = BackgroundThread()
    plane.keepsFrontProxyAuthority = true
    plane.certificateAuthority = certificates.authority
    plane.enabledPlugins = configuration.enabledPlugins
    plane.loops = try configuration.loopSettings(on: controlLoop)
    let servers = GroupAddresses(record.members.map(\.address) + [record.endpoint, record.listen])
    plane.kubelets = KubeletConnections(
      loop: controlLoop, identity: certificates.identity, servers: { servers.all })
    let paths = OperationsPaths()
    plane.paths["/trireme/"] = paths
    plane.authorizers = [ServersAuthorizer()]
    _ = ProcessMetrics.startTime
    plane.processMetrics = { ProcessMetrics.text() }
    control = try ControlPlaneServer(
      plane, disk: disk, options: Self.options(record), transport: transport,
      worlds: ControlPlaneServer.Worlds(
        consensus: consensusLoop, control: controlLoop, current: { EventLoop.current ?? fallback }),
      reachedAt: { member in
        guard case .ip(let address, let port) = Address(member.address) else { return nil }
        return ServerEndpoint(address: address, port: Int(port))
      })
    let replica = control.replica
    servers.follow(replica)

    let link = ServerLink(
      loop: controlLoop, tls: try TLSConfiguration.client(trust: trust, identity: certificates.identity))
    let drain = Drain()
    self.drain = drain
    let client = APIClient(
      transport: InProcessTransport(
        handler: control.api, identity: TrustedContext(user: "system:trireme", groups: ["system:masters"])),
      world: controlLoop, userAgent: "trireme/\(Version.trireme)")
    operations = Operations(
      Operations.Parts(
        record: record, certificates: certificates, replica: replica, client: client, link: link, world: controlLoop,
        drain: { await drain.run() }))
    paths.serve(operations)
    climb = VoterClimb(home: home, record: record, replica: replica, world: controlLoop, logger: logger)

    let serverTLS = try TLSConfiguration.server(
      identity: certificates.identity, clientTrust: [certificates.authority.certificate],
      protocols: ["h2", "http/1.1", TLSPeerTransport.applicationProtocol])
    server = HTTPServer(
      loops: apiLoops, address: configuration.listen, tls: serverTLS,
      handler: PublicPaths(api: control.api, operations: operations),
      alpnHandlers: [
        TLSPeerTransport.applicationProtocol: { stream, peer in transport.accept(stream, certificate: peer) }
      ],
      openProbes: ["/readyz": { [health = control.health] in health.probeAnswer }],
      onEvent: { event in logger.debug("\(event)") })
    drain.serve { [self] in await letGoOfClients() }
    // From here on the disk takes part: one that is empty later was wiped.
    var started = record
    started.phase = .started
    try home.write(started)
  }

  /// Serves until a signal asks it to end, the replica cannot go on, or the group wants it otherwise; then does what that
  /// asks for. Returns the process's exit code; does not return where the server starts again.
  func run(on loop: EventLoop) async throws -> Int32 {
    let ended = WaitForEnd()
    watchSignals(loop, ended)
    watchReplica(ended)
    operations.onRecover { ended.end(.recovered) }
    control.startReplica()
    let address = try await server.start()
    let record = configuration.record
    logger.info(
      "serving",
      metadata: [
        "server": "\(record.name)", "address": "\(address)", "version": "\(Version.trireme)",
        "cluster": "\(record.cluster)",
      ])
    control.startLoops()
    climb.start()
    // The main loop has nothing to serve: a pause there keeps nobody waiting.
    let memory = loop.spawn { [logger, replica = control.replica] in
      await MemoryKeeper.run(on: loop, replica, logger: logger)
    }
    let end = await ended.wait()
    memory.cancel()
    await shutDown(end)
    let code = ServerEnd.perform(end, configuration, logger: logger)
    LogWriter.shared.flush()
    return code
  }

  private func watchSignals(_ loop: EventLoop, _ ended: WaitForEnd) {
    loop.execute { [logger] in
      for number in [SIGTERM, SIGINT] {
        do {
          let source = try SignalSource(number, on: loop) {
            logger.info("asked to end by signal \(number)")
            ended.end(.asked)
          }
          ended.keep(source)
        } catch {
          logger.error("cannot watch signal \(number): \(error)")
        }
      }
    }
  }

  private func watchReplica(_ ended: WaitForEnd) {
    let replica = control.replica
    replica.onStopped { [logger] reason in
      guard let reason else { return }
      logger.critical("the replica stopped: \(reason)")
      if replica.status.isRemoved { return ended.end(.removed) }
      if let recovery = replica.status.supersededBy { return ended.end(.leftBehind(recovery)) }
      ended.end(.failed)
    }
  }

  /// Tells the load balancer first, then hands over what is held, then lets requests finish.
  private func shutDown(_ end: ServerEnd) async {
    // Without a majority nothing can be handed over or finished: whoever waits would wait in vain.
    let isHopeless = end == .recovered
    // The command that removed this server is answered through it.
    let start = controlLoop.now
    while end == .removed, server.requestCount > 0, controlLoop.now - start < Self.answerDeadline {
      try? await controlLoop.sleep(for: .milliseconds(20))
    }
    let vigil = controlLoop.spawn { await self.endWhatWaitsInVain() }
    if !isHopeless {
      await tellLoadBalancers()
      await control.stopLoops()
    }
    await server.shutdown(deadline: isHopeless ? .milliseconds(300) : Self.shutdownDeadline)
    vigil.cancel()
    await vigil.wait()
    await control.stopReplica()
  }

  /// Who asks all the time is given the time to hear that nobody new is to come here; until then they are served.
  private func tellLoadBalancers() async {
    control.health.isStopping = true
    guard server.isProbed else { return }
    try? await controlLoop.sleep(for: Self.noticeTime)
  }

  /// While this server ends: without a majority its requests wait for what will not come, and the loops' last words with
  /// them. The replica, when it stops, ends them all.
  private func endWhatWaitsInVain() async {
    var (silent, leaderless) = (controlLoop.now, controlLoop.now)
    while !Task.isCancelled {
      let status = control.replica.status
      let now = controlLoop.now
      if GroupHealth(status).hasMajority { silent = now }
      if status.leadership.leader != nil { leaderless = now }
      if now - silent > Self.silencePatience || now - leaderless > Self.electionPatience {
        return await control.stopReplica()
      }
      try? await controlLoop.sleep(for: .milliseconds(50))
    }
  }

  /// The server leaves the group: clients are sent to other servers while this one can still answer them. Returns when
  /// what was under way is answered.
  private func letGoOfClients() async {
    climb.giveUp()
    await tellLoadBalancers()
    let (server, api) = (server, control.api)
    controlLoop.spawn { await server.shutdown(deadline: Self.drainDeadline) }
    api.endWatches()
    let start = controlLoop.now
    // The operators' own requests, this one among them, end when the work is done.
    while server.requestCount > operations.activeRequests, controlLoop.now - start < Self.drainDeadline {
      try? await controlLoop.sleep(for: .milliseconds(20))
    }
    await control.stopLoops()
  }
}

/// Runs once, for whoever asks first; everybody else waits for its end.
final class Drain: Sendable {
  private struct State {
    var body: (@Sendable () async -> Void)?
    var isDone = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  private let state = Mutex(State())

  func serve(_ body: @escaping @Sendable () async -> Void) { state.withLock { $0.body = body } }

  func run() async {
    let body = state.withLock { $0.body.take() }
    if let body {
      await body()
      let waiting = state.withLock { state in
        state.isDone = true
        return state.waiting
      }
      for continuation in waiting { continuation.resume() }
      return
    }
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if !state.isDone { state.waiting.append(continuation) }
        return state.isDone
      }
      if isDone { continuation.resume() }
    }
  }
}

/// Holds the main task until the server shall end.
private final class WaitForEnd: @unchecked Sendable {
  private let queue: WorkQueue<ServerEnd>
  // Touched on the main loop alone.
  private var sources: [SignalSource] = []

  init() { queue = WorkQueue(world: MainLoop.shared) }
  func end(_ end: ServerEnd) { queue.add(end) }
  func keep(_ source: SignalSource) { sources.append(source) }
  func wait() async -> ServerEnd { await queue.next() ?? .failed }
}
