// One server without its sockets: the replica, the API over it, the loops it runs when it is elected. The command
// `trireme server` gives it event loops, TLS and a disk; the simulator gives it others.
import APIServer
import Client
import HTTP
import Logging
import Replica
import Synchronization
import TLS
import World

/// What a server says of itself.
public struct ServerVersions: Sendable {
  /// Of Trireme itself.
  public var trireme: String
  /// Of the Kubernetes whose behaviour it has.
  public var kubernetes: String

  public init(trireme: String, kubernetes: String) {
    self.trireme = trireme
    self.kubernetes = kubernetes
  }
}

/// The parts of one server of the control plane, put together. Any thread.
public final class ControlPlaneServer: Sendable {
  public struct Configuration: Sendable {
    public var name: String
    /// All servers of the group, this one among them.
    public var members: [Member]
    /// Where clients find the cluster.
    public var endpoint: String
    public var serviceNetwork = "10.96.0.0/16"
    /// The cluster's authority, published for those who must trust its servers.
    public var certificateAuthorityPEM: String
    /// The authority with its key: signs certificate requests. Nil: nobody does.
    public var certificateAuthority: CertificateAuthority?
    /// Signs service account tokens; the same on every server.
    public var tokenKey: PrivateKey
    public var versions: ServerVersions
    /// Paths of the owner's own, beside health and status; as in `APIServer.Dependencies`.
    public var paths: [String: any PathHandler] = [:]
    /// What is recorded of requests, and where; nil: nothing.
    public var audit: AuditLog?
    /// Asked before the usual authorizers.
    public var authorizers: [any Authorizer] = []
    /// Who is believed and asked beside the cluster itself.
    public var security = SecurityOptions()
    /// The way to admission webhooks.
    public var webhooks: any WebhookTransport = UnreachableWebhooks()
    /// The way to the servers of aggregated APIs.
    public var aggregation: any AggregationTransport = UnreachableAPIs()
    /// Where the API server makes documents of all that it serves: what takes long.
    public var background: any BackgroundWork = WorkInPlace()
    /// Makes the authority by which those know this cluster.
    public var keepsFrontProxyAuthority = false
    /// The way to kubelets and pods.
    public var kubelets: any KubeletConnector = UnreachableKubelets()
    /// Admission plugins beside the usual ones, by name.
    public var enabledPlugins: Set<String> = []
    /// How scheduler and controllers work here when they are elected.
    public var loops = LoopSettings()
    /// A log for each part, by its name.
    public var makeLogger: @Sendable (String) -> Logger = { Logger(label: $0) }
    /// What `/metrics` says of the process; whole lines.
    public var processMetrics: @Sendable () -> String = { "" }

    public init(
      name: String, members: [Member], endpoint: String, certificateAuthorityPEM: String, tokenKey: PrivateKey,
      versions: ServerVersions
    ) {
      self.name = name
      self.members = members
      self.endpoint = endpoint
      self.certificateAuthorityPEM = certificateAuthorityPEM
      self.tokenKey = tokenKey
      self.versions = versions
    }
  }

  /// The loops that the parts live on.
  public struct Worlds: Sendable {
    public var consensus: any World
    public var control: any World
    /// The loop of its caller: requests are answered on the loop they came in on.
    public var current: @Sendable () -> any World

    public init(consensus: any World, control: any World, current: @escaping @Sendable () -> any World) {
      self.consensus = consensus
      self.control = control
      self.current = current
    }
  }

  public let replica: Replica
  public let api: APIServer
  public let health: ServerHealth
  private let worlds: Worlds
  private let bootstrap: BootstrapController
  private let loops: ControlPlaneLoops
  private let identity: ServerIdentity
  private let tasks = Mutex<[SpawnedTask]>([])

  /// Puts the parts together; nothing runs before `startReplica` and `startLoops`.
  ///
  /// `reachedAt` gives the address under which clients reach a member, nil where it has none that may be published.
  /// Throws when what is stored on the disk cannot be read.
  public init(
    _ configuration: Configuration, disk: ReplicaDisk, options: ReplicaOptions, transport: any PeerTransport,
    worlds: Worlds, reachedAt: @escaping @Sendable (Member) -> ServerEndpoint?
  ) throws {
    self.worlds = worlds
    let makeLogger = configuration.makeLogger
    let replica = try Replica(
      disk: disk, options: options, transport: transport, world: worlds.consensus, logger: makeLogger("replica"))
    self.replica = replica
    let health = ServerHealth(replica: replica, world: worlds.control)
    self.health = health

    var apiConfiguration = APIServer.Configuration()
    apiConfiguration.gitVersion = configuration.versions.kubernetes
    apiConfiguration.advertisedAddress = configuration.endpoint
    apiConfiguration.serviceNetwork = configuration.serviceNetwork
    var security = SecurityParts(
      store: replica, tokenKey: configuration.tokenKey, world: worlds.control, options: configuration.security,
      webhooks: configuration.webhooks)
    security.enabledPlugins = configuration.enabledPlugins
    var dependencies = security.dependencies { health.checks() }
    dependencies.kubelets = configuration.kubelets
    dependencies.paths["/trireme/status"] = StatusPath(
      name: configuration.name, version: configuration.versions.trireme, replica: replica)
    dependencies.paths["/trireme/servers"] = ServersPath(replica: replica)
    for (path, handler) in configuration.paths { dependencies.paths[path] = handler }
    if !configuration.authorizers.isEmpty {
      dependencies.authorizer = AuthorizerChain(configuration.authorizers + [security.authorizer])
    }
    dependencies.aggregation = configuration.aggregation
    dependencies.background = configuration.background
    dependencies.audit = configuration.audit
    dependencies.refusal = { replica.isBeingRepaired ? "this server's disk is being repaired: ask another" : nil }
    let loopMetrics = LoopMetrics()
    dependencies.processMetrics = { [processMetrics = configuration.processMetrics] in
      loopMetrics.render() + processMetrics()
    }
    dependencies.logger = makeLogger("apiserver")
    api = APIServer(
      store: replica, configuration: apiConfiguration, dependencies: dependencies, currentWorld: worlds.current)

    var bootstrapOptions = BootstrapController.Options()
    bootstrapOptions.serviceNetwork = configuration.serviceNetwork
    bootstrapOptions.clientAuthorityPEM = configuration.certificateAuthorityPEM
    bootstrapOptions.keepsFrontProxyAuthority = configuration.keepsFrontProxyAuthority
    bootstrap = BootstrapController(
      store: replica, options: bootstrapOptions, world: worlds.control, logger: makeLogger("bootstrap"),
      liveServers: {
        replica.status.members.filter { $0.isSelf || $0.isConnected }.compactMap { reachedAt($0.member) }
      })
    identity = ServerIdentity(
      server: configuration.name,
      client: APIClient(
        transport: InProcessTransport(
          handler: api, identity: TrustedContext(user: "system:apiserver", groups: ["system:masters"])),
        world: worlds.control, userAgent: "kube-apiserver/\(configuration.versions.kubernetes) (linux/amd64)"))
    loops = ControlPlaneLoops(
      server: configuration.name, api: api, world: worlds.control,
      certificateAuthorityPEM: configuration.certificateAuthorityPEM,
      certificateAuthority: configuration.certificateAuthority, replica: replica,
      versions: configuration.versions, settings: configuration.loops, metrics: loopMetrics, makeLogger: makeLogger)
  }

  /// Takes part in the group from here on.
  public func startReplica() { replica.start() }

  /// Keeps what every cluster has, and stands for election as scheduler and controller manager; unless `standing` is
  /// false: those run elsewhere.
  public func startLoops(standing: Bool = true) {
    let (bootstrap, replica, api, control, identity) = (bootstrap, replica, api, worlds.control, identity)
    replica.onLeadershipChange { [weak bootstrap] _ in bootstrap?.leadershipChanged() }
    let started = [
      control.spawn { await bootstrap.run { replica.leadership.isLeader } },
      control.spawn { await api.sweepEvents(on: control) { replica.leadership.isLeader } },
      control.spawn { await api.followDefinitions(on: control) { replica.leadership.isLeader } },
      control.spawn { await api.followAPIServices(on: control) { replica.leadership.isLeader } },
      control.spawn { await api.followPolicies(on: control) { replica.leadership.isLeader } },
      control.spawn { await identity.run { replica.leadership.isLeader } },
    ]
    tasks.withLock { $0 += started }
    if standing { loops.start() }
  }

  /// Tells the load balancer first, then hands over what the loops hold, then sends watchers elsewhere. Requests may
  /// still be answered.
  public func stopLoops() async {
    health.isStopping = true
    for task in tasks.withLock({ $0 }) { task.cancel() }
    await loops.stop()
    api.endWatches()
  }

  /// Hands leadership over if it is held, and closes the disk.
  public func stopReplica() async { await replica.stop() }
}
