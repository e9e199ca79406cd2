// One server, put together: storage, consensus, the API, and the loops it runs when it is elected.
import APIServer
import Client
import EventLoop
import Glibc
import HTTP
import JSON
import Logging
import Replica
import Storage
import TLS
import World

final class ServerProcess: Sendable {
  private static let shutdownDeadline = Duration.seconds(10)

  private let configuration: ServerConfiguration
  private let certificates: ServerCertificates
  private let logger: Logger
  private let apiLoops: [EventLoop]
  private let consensusLoop: EventLoop
  private let controlLoop: EventLoop
  private let replica: Replica
  private let api: APIServer
  private let server: HTTPServer
  private let control: ControlPlaneLoops
  private let health: ServerHealth
  private let bootstrap: BootstrapController

  /// Opens the disk and puts the parts together; blocks. Nothing is served before `run`.
  init(_ configuration: ServerConfiguration, logger: Logger) throws {
    self.configuration = configuration
    self.logger = logger
    certificates = try ServerCertificates(folder: "\(configuration.home)/pki")
    consensusLoop = EventLoop.start(name: "consensus")
    controlLoop = EventLoop.start(name: "control")
    apiLoops = (1...configuration.apiLoops).map { EventLoop.start(name: "api-\($0)") }

    let disk = try ReplicaDisk.open(
      path: configuration.dataFolder,
      identity: StorageIdentity(cluster: certificates.clusterID, node: configuration.node))
    let members = configuration.members.enumerated().map { index, member in
      Member(id: UInt64(index + 1), name: member.name, address: member.address)
    }
    let peerTLS = try TLSConfiguration.client(
      trust: .certificates([certificates.authority.certificate]), identity: certificates.identity,
      protocols: [TLSPeerTransport.applicationProtocol])
    let names = Dictionary(uniqueKeysWithValues: members.map { ($0.id, ServerIdentity.commonName($0.name)) })
    let transport = TLSPeerTransport(
      loop: consensusLoop, cluster: certificates.clusterID, node: configuration.node,
      configuration: { peerTLS },
      authorize: { certificate, node in
        certificate.organizations.contains(ServerIdentity.organization) && names[node] == certificate.commonName
      }, logger: Logger(label: "peers"))
    replica = try Replica(
      disk: disk, options: ReplicaOptions(node: configuration.node, members: members), transport: transport,
      world: consensusLoop, logger: Logger(label: "replica"))

    let health = ServerHealth(replica: replica, world: controlLoop)
    self.health = health
    let replica = replica
    var apiConfiguration = APIServer.Configuration()
    apiConfiguration.gitVersion = Version.kubernetes
    apiConfiguration.advertisedAddress = configuration.endpoint
    apiConfiguration.serviceNetwork = configuration.serviceNetwork
    let fallback = controlLoop
    let currentWorld: @Sendable () -> any World = { EventLoop.current ?? fallback }
    let security = SecurityParts(store: replica, tokenKey: certificates.tokenKey, world: controlLoop)
    var dependencies = security.dependencies { health.checks() }
    dependencies.paths["/trireme/status"] = StatusPath(name: configuration.name, replica: replica)
    dependencies.paths["/trireme/servers"] = ServersPath(members: members)
    dependencies.logger = Logger(label: "apiserver")
    api = APIServer(
      store: replica, configuration: apiConfiguration, dependencies: dependencies, currentWorld: currentWorld)

    let serverTLS = try TLSConfiguration.server(
      identity: certificates.identity, clientTrust: [certificates.authority.certificate],
      protocols: ["h2", "http/1.1", TLSPeerTransport.applicationProtocol])
    server = HTTPServer(
      loops: apiLoops, address: configuration.listen, tls: serverTLS, handler: api,
      alpnHandlers: [
        TLSPeerTransport.applicationProtocol: { stream, peer in transport.accept(stream, certificate: peer) }
      ],
      onEvent: { event in logger.debug("\(event)") })
    var bootstrapOptions = BootstrapController.Options()
    bootstrapOptions.serviceNetwork = configuration.serviceNetwork
    bootstrapOptions.clientAuthorityPEM = certificates.authority.certificate.pem
    bootstrap = BootstrapController(
      store: replica, options: bootstrapOptions, world: controlLoop,
      liveServers: {
        replica.status.members.filter { $0.isSelf || $0.isConnected }.compactMap { member in
          guard case .ip(let address, let port) = Address(member.member.address) else { return nil }
          return ServerEndpoint(address: address, port: Int(port))
        }
      })
    control = ControlPlaneLoops(
      server: configuration.name, api: api, world: controlLoop,
      certificateAuthorityPEM: certificates.authority.certificate.pem, members: members, replica: replica)
  }

  /// Serves until a signal asks it to end, or the replica cannot go on. Returns the process's exit code.
  func run(on loop: EventLoop) async throws -> Int32 {
    let ended = WaitForEnd()
    loop.execute { [logger] in
      for number in [SIGTERM, SIGINT] {
        do {
          let source = try SignalSource(number, on: loop) {
            logger.info("asked to end by signal \(number)")
            ended.end(0)
          }
          ended.keep(source)
        } catch {
          logger.error("cannot watch signal \(number): \(error)")
        }
      }
    }
    replica.onStopped { [logger] reason in
      guard let reason else { return }
      logger.critical("the replica stopped: \(reason)")
      ended.end(1)
    }
    replica.start()
    let address = try await server.start()
    logger.info(
      "serving",
      metadata: [
        "server": "\(configuration.name)", "address": "\(address)", "version": "\(Version.trireme)",
        "members": "\(configuration.members.map(\.name).joined(separator: ","))",
      ])
    let bootstrap = bootstrap
    let replica = replica
    let bootstrapping = controlLoop.spawn { await bootstrap.run { replica.leadership.isLeader } }
    let sweeping = controlLoop.spawn { [api, controlLoop] in
      await api.sweepEvents(on: controlLoop) { replica.leadership.isLeader }
    }
    control.start()
    let code = await ended.wait()
    bootstrapping.cancel()
    sweeping.cancel()
    await shutDown()
    return code
  }

  /// Tells the load balancer first, then hands over what is held, then lets requests finish.
  private func shutDown() async {
    health.isStopping = true
    await control.stop()
    api.endWatches()
    await server.shutdown(deadline: Self.shutdownDeadline)
    await replica.stop()
    LogWriter.shared.flush()
  }
}

/// Holds the main task until the server shall end.
private final class WaitForEnd: @unchecked Sendable {
  private let queue: WorkQueue<Int32>
  // Touched on the main loop alone.
  private var sources: [SignalSource] = []

  init() { queue = WorkQueue(world: MainLoop.shared) }
  func end(_ code: Int32) { queue.add(code) }
  func keep(_ source: SignalSource) { sources.append(source) }
  func wait() async -> Int32 { await queue.next() ?? 0 }
}
