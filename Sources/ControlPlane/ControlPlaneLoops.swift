// The scheduler and the controllers of one server: candidates always, at work when elected (DESIGN.md §4, "Leases").
import APIServer
import Client
import Controllers
import HTTP
import JSON
import Logging
import Replica
import Scheduler
import Schema
import Synchronization
import TLS
import World

/// How the loops of a server work; the same on every server.
public struct LoopSettings: Sendable {
  /// Profiles and extenders of the scheduler. Its election is not asked: servers elect among themselves.
  public var scheduler = SchedulerConfiguration()
  /// The way to the scheduler's extenders; needed when there are any.
  public var extenders: ExtenderSender?
  /// The networks of the pods, of which every node gets a block; none: nodes have theirs from elsewhere.
  public var podNetworks: [PodNetwork] = []

  public init() {}
}

final class ControlPlaneLoops: Sendable {
  private struct State {
    var tasks: [SpawnedTask] = []
  }
  private let server: String
  private let api: any HTTPHandler
  private let world: any World
  private let certificateAuthorityPEM: String
  private let certificateAuthority: CertificateAuthority?
  private let replica: Replica
  private let versions: ServerVersions
  private let settings: LoopSettings
  /// What the loops count while they run here.
  private let metrics: LoopMetrics
  private let makeLogger: @Sendable (String) -> Logger
  private let logger: Logger
  /// Scheduler and controllers follow much of the same.
  private let reading = SharedReading()
  private let state = Mutex(State())

  init(
    server: String, api: any HTTPHandler, world: any World, certificateAuthorityPEM: String,
    certificateAuthority: CertificateAuthority?, replica: Replica,
    versions: ServerVersions, settings: LoopSettings, metrics: LoopMetrics,
    makeLogger: @escaping @Sendable (String) -> Logger
  ) {
    self.versions = versions
    self.settings = settings
    self.metrics = metrics
    self.makeLogger = makeLogger
    logger = makeLogger("control")
    self.server = server
    self.api = api
    self.world = world
    self.certificateAuthorityPEM = certificateAuthorityPEM
    self.certificateAuthority = certificateAuthority
    self.replica = replica
  }

  func start() {
    replica.onMemberLost { [weak self] node in
      guard let self, let name = self.replica.status.members.first(where: { $0.member.id == node })?.member.name else {
        return
      }
      self.world.spawn { await self.handOverLeases(of: name) }
    }
    let identity = "\(server)_\(world.uuid())"
    // What this server held before it was started again is free as well: that process has ended. When all servers fall
    // at once there is nobody else to say so.
    world.spawn { await self.handOverLeases(of: self.server, except: identity) }
    let scheduler = elector("kube-scheduler", identity) { [self] fence in
      await Scheduler(
        client: client("system:kube-scheduler", fence: fence, agent: "kube-scheduler", gate: RequestGate()),
        configuration: settings.scheduler, sender: settings.extenders, host: server, logger: makeLogger("scheduler"),
        metrics: metrics
      ).run()
    }
    let controllers = elector("kube-controller-manager", identity) { [self] fence in
      await ControllerManager(
        context: ControllerContext(
          world: world, logger: makeLogger("controllers"), certificateAuthorityPEM: certificateAuthorityPEM,
          certificateSigner: certificateAuthority.map { AuthoritySigner(authority: $0, world: world) },
          podNetworks: settings.podNetworks, metrics: metrics, reading: reading,
          transport: { account in self.transport(account, fence: fence) })
      ).run()
    }
    let tasks = [scheduler, controllers].map { elector in world.spawn { await elector.run() } }
    state.withLock { $0.tasks = tasks }
  }

  /// Releases what is held and returns when the loops have ended.
  func stop() async {
    let tasks = state.withLock { $0.tasks }
    for task in tasks { task.cancel() }
    for task in tasks { await task.wait() }
  }

  // MARK: Identities

  private func elector(
    _ lease: String, _ identity: String, lead: @escaping @Sendable (TrustedContext.Fence) async -> Void
  ) -> LeaderElector {
    let client = client("system:\(lease)", fence: nil, agent: lease)
    return LeaderElector(
      client: client, options: LeaderElector.Options(lease: lease, identity: identity), logger: logger,
      metrics: metrics, recorder: EventRecorder(client: client, component: lease, logger: logger), lead: lead)
  }

  /// Loops inside a server wait in none of its queues (priority and fairness): `gate` bounds what they have under way.
  private func client(
    _ user: String, fence: TrustedContext.Fence?, agent: String, gate: RequestGate? = nil
  ) -> APIClient {
    APIClient(
      transport: InProcessTransport(handler: api, identity: TrustedContext(user: user, fence: fence)), world: world,
      userAgent: "\(agent)/\(versions.kubernetes) (linux/amd64)", gate: gate, reading: reading)
  }

  /// Controllers act as their service accounts, the manager as itself.
  private func transport(_ account: String, fence: TrustedContext.Fence) -> any HTTPTransport {
    let identity =
      account.isEmpty
      ? TrustedContext(user: "system:kube-controller-manager", fence: fence)
      : TrustedContext(
        user: "system:serviceaccount:kube-system:\(account)",
        groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system"], fence: fence)
    return InProcessTransport(handler: api, identity: identity)
  }

  // MARK: Hand-over

  /// A server died: the leases it held are free at once, and their transition counts move, so that what it may still
  /// have under way is refused.
  private func handOverLeases(of server: String, except identity: String = "") async {
    let client = APIClient(
      transport: InProcessTransport(
        handler: api, identity: TrustedContext(user: "system:trireme", groups: ["system:masters"])), world: world,
      userAgent: "trireme/\(versions.trireme)")
    for lease in ["kube-scheduler", "kube-controller-manager"] {
      do {
        guard var object = try await client.find(.leases, namespace: "kube-system", name: lease),
          let holder = object["spec"]["holderIdentity"].string, holder.hasPrefix("\(server)_"), holder != identity
        else { continue }
        object["spec"]["holderIdentity"] = ""
        object["spec"]["leaseDurationSeconds"] = 1
        let transitions = UInt64(clamping: object["spec"]["leaseTransitions"].integer ?? 0)
        object["spec"]["leaseTransitions"] = .integer(Int64(LeaderElector.transitions(after: transitions)))
        try await client.update(.leases, namespace: "kube-system", name: lease, object)
        logger.info("handed over", metadata: ["lease": "\(lease)", "from": "\(server)"])
      } catch {
        // A conflict means that somebody was faster; anything else is left to the lease's own end.
        logger.debug("handing over \(lease) from \(server): \(error)")
      }
    }
  }
}
