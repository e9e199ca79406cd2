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
  private let control: ControlPlaneServer
  private let server: HTTPServer

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
    let fallback = controlLoop
    var plane = ControlPlaneServer.Configuration(
      name: configuration.name, members: members, endpoint: configuration.endpoint,
      certificateAuthorityPEM: certificates.authority.certificate.pem, tokenKey: certificates.tokenKey,
      versions: Version.all)
    plane.serviceNetwork = configuration.serviceNetwork
    plane.audit = configuration.audit
    control = try ControlPlaneServer(
      plane, disk: disk, options: ReplicaOptions(node: configuration.node, members: members), transport: transport,
      worlds: ControlPlaneServer.Worlds(
        consensus: consensusLoop, control: controlLoop, current: { EventLoop.current ?? fallback }),
      reachedAt: { member in
        guard case .ip(let address, let port) = Address(member.address) else { return nil }
        return ServerEndpoint(address: address, port: Int(port))
      })

    let serverTLS = try TLSConfiguration.server(
      identity: certificates.identity, clientTrust: [certificates.authority.certificate],
      protocols: ["h2", "http/1.1", TLSPeerTransport.applicationProtocol])
    server = HTTPServer(
      loops: apiLoops, address: configuration.listen, tls: serverTLS, handler: control.api,
      alpnHandlers: [
        TLSPeerTransport.applicationProtocol: { stream, peer in transport.accept(stream, certificate: peer) }
      ],
      onEvent: { event in logger.debug("\(event)") })
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
    control.replica.onStopped { [logger] reason in
      guard let reason else { return }
      logger.critical("the replica stopped: \(reason)")
      ended.end(1)
    }
    control.startReplica()
    let address = try await server.start()
    logger.info(
      "serving",
      metadata: [
        "server": "\(configuration.name)", "address": "\(address)", "version": "\(Version.trireme)",
        "members": "\(configuration.members.map(\.name).joined(separator: ","))",
      ])
    control.startLoops()
    let code = await ended.wait()
    await shutDown()
    return code
  }

  /// Tells the load balancer first, then hands over what is held, then lets requests finish.
  private func shutDown() async {
    await control.stopLoops()
    await server.shutdown(deadline: Self.shutdownDeadline)
    await control.stopReplica()
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
