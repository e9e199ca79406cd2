// The scheduler and the controllers as processes of their own, beside the servers or on any other Kubernetes endpoint:
// the same code that an elected server runs, over the network.
import ArgumentParser
import Client
import ControlPlane
import Controllers
import EventLoop
import Glibc
import Logging
import Scheduler
import Schema
import TLS
import World

struct LoopOptions: ParsableArguments {
  @Option(help: "Where the endpoint is, and as whom to ask it.")
  var kubeconfig: String?
  @Flag(inversion: .prefixedNo, help: "Work only while holding the lease that all candidates share.")
  var leaderElect = true
  @Option(help: "Name of this candidate (default: the host's name and a random part).")
  var identity: String?
  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel = "info"
  @OptionGroup(title: "Metrics and health") var endpoint: LoopEndpointOptions

  /// What a loop works with.
  struct Means: Sendable {
    let kubeconfig: Kubeconfig
    let metrics: LoopMetrics
    let loop: EventLoop
    /// A client that calls itself by a name.
    let client: @Sendable (String) -> APIClient
  }

  /// Runs `work` until SIGTERM or SIGINT, under the lease if one is wanted, and lets go of it then.
  /// `election`: the lease, and its times; the command line can only turn it off. `port`: where it is watched, unless the
  /// command line says otherwise.
  func run(
    _ election: LoopElection, kubeconfig other: String? = nil, port: UInt16,
    _ work: @escaping @Sendable (Means) async -> Void
  ) throws {
    LogOutput.install(level: Logger.Level(rawValue: logLevel) ?? .info)
    guard let path = kubeconfig ?? other else {
      throw ValidationError("Missing expected argument '--kubeconfig <kubeconfig>'")
    }
    let config = try Kubeconfig.read(path)
    let (elect, chosen, endpoint) = (leaderElect && election.isWanted, identity, endpoint)
    try MainLoop.run { loop in
      let metrics = LoopMetrics()
      let transport = try Self.transport(config, metrics, loop)
      let client: @Sendable (String) -> APIClient = { agent in
        APIClient(transport: transport, world: loop, userAgent: "\(agent)/\(Version.kubernetes) (linux/amd64)")
      }
      let means = Means(kubeconfig: config, metrics: metrics, loop: loop, client: client)
      try await endpoint.serve(
        defaultPort: port, config,
        connect: { reviewer in
          APIClient(
            transport: reviewer == config ? transport : try Self.transport(reviewer, metrics, loop), world: loop,
            userAgent: "\(election.lease)/\(Version.kubernetes) (linux/amd64)")
        }, metrics: metrics, on: loop)
      let task = loop.spawn {
        guard elect else { return await work(means) }
        let name = chosen ?? "\(Self.hostName)_\(loop.uuid())"
        let (elector, logger) = (client(election.lease), Logger(label: election.lease))
        await LeaderElector(
          client: elector, options: election.options(identity: name), logger: logger, metrics: metrics,
          recorder: EventRecorder(client: elector, component: election.lease, logger: logger),
          lead: { _ in await work(means) }
        ).run()
      }
      await EndSignal.wait(loop)
      task.cancel()
      await task.wait()
      LogWriter.shared.flush()
      Glibc.exit(0)
    }
  }

  private static func transport(
    _ config: Kubeconfig, _ metrics: LoopMetrics, _ loop: EventLoop
  ) throws -> MeteredTransport {
    let server = String(config.server.dropFirst("https://".count).prefix { $0 != "/" })
    let balanced = BalancedTransport(servers: [server], credentials: try ClientCredentials(config), loop: loop)
    return MeteredTransport(balanced, host: server, metrics: metrics, world: loop)
  }

  static var hostName: String {
    (try? FileSystem.readText("/proc/sys/kernel/hostname"))?.split(separator: "\n").first.map(String.init) ?? "trireme"
  }
}

/// Whom loops of one kind elect, and how fast.
struct LoopElection {
  var isWanted = true
  var namespace = "kube-system"
  var lease: String
  var leaseDuration = Duration.seconds(15)
  var renewDeadline = Duration.seconds(10)
  var retryPeriod = Duration.seconds(2)

  func options(identity: String) -> LeaderElector.Options {
    var options = LeaderElector.Options(lease: lease, identity: identity)
    options.namespace = namespace
    options.leaseDuration = leaseDuration
    options.renewDeadline = renewDeadline
    options.retryPeriod = retryPeriod
    return options
  }
}

struct SchedulerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scheduler", abstract: "Run a scheduler beside the servers.",
    discussion: """
      Every server is a candidate for the scheduler already; this is one more, or one of another name that schedules the
      pods that ask for it (spec.schedulerName):

        trireme scheduler --kubeconfig scheduler.conf
        trireme scheduler --kubeconfig scheduler.conf --scheduler-name batch --no-leader-elect
        trireme scheduler --kubeconfig scheduler.conf --config kube-scheduler.yaml

      A configuration file is kube-scheduler's own: KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1, with
      profiles, plugins, their arguments and extenders. Its leaderElection and clientConnection.kubeconfig hold where the
      command line says nothing.
      """)

  @OptionGroup var loop: LoopOptions
  @Option(name: .customLong("scheduler-name"), help: "Pods with this spec.schedulerName are scheduled.")
  var name: String?
  @Option(help: "A configuration file as kube-scheduler reads it.")
  var config: String?

  func validate() throws {
    if name != nil && config != nil {
      throw ValidationError("--scheduler-name and --config exclude each other: the file's profiles have the names")
    }
  }

  func run() throws {
    let name = name ?? Scheduler.defaultName
    var configuration = SchedulerConfiguration(schedulerName: name)
    // Another scheduler's election is its own.
    var election = LoopElection(lease: name == Scheduler.defaultName ? "kube-scheduler" : "kube-scheduler-\(name)")
    if let config {
      configuration = try SchedulerConfiguration(parsing: try FileSystem.read(config))
      let wanted = configuration.election
      election = LoopElection(
        isWanted: wanted.isWanted, namespace: wanted.namespace, lease: wanted.lease,
        leaseDuration: wanted.leaseDuration, renewDeadline: wanted.renewDeadline, retryPeriod: wanted.retryPeriod)
    }
    let chosen = configuration
    // One of another name may stand beside the usual one: it is watched where it is told to be.
    let port: UInt16 = election.lease == "kube-scheduler" ? 10259 : 0
    try loop.run(election, kubeconfig: chosen.kubeconfig.isEmpty ? nil : chosen.kubeconfig, port: port) { means in
      let connections: ExtenderConnections
      do {
        connections = try ExtenderConnections(chosen.extenders, loop: means.loop)
      } catch {
        Logger(label: "scheduler").critical("extenders: \(error)")
        LogWriter.shared.flush()
        Glibc.exit(1)
      }
      await Scheduler(
        client: means.client("kube-scheduler"), configuration: chosen, sender: connections.sender,
        host: LoopOptions.hostName, logger: Logger(label: "scheduler"), metrics: means.metrics
      ).run()
    }
  }
}

struct ControllerManagerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "controller-manager", abstract: "Run the controllers beside the servers.",
    discussion: """
      Every server is a candidate for the controllers already; this is one more. All of them act as the kubeconfig's user.

        trireme controller-manager --kubeconfig controller-manager.conf
      """)

  @OptionGroup var loop: LoopOptions
  @Option(help: "Authority that certificate requests are signed with (none: they are not signed here).")
  var clusterSigningCertFile: String?
  @Option(help: "Its private key.")
  var clusterSigningKeyFile: String?
  @Flag(name: .customLong("allocate-node-cidrs"), help: "Give every node its block.")
  var allocatesNodeNetworks = false
  @OptionGroup(title: "Networks") var networks: NodeNetworkOptions

  func validate() throws {
    if (clusterSigningCertFile == nil) != (clusterSigningKeyFile == nil) {
      throw ValidationError("--cluster-signing-cert-file and --cluster-signing-key-file are given together")
    }
    guard !allocatesNodeNetworks || networks.clusterNetworks != nil else {
      throw ValidationError("--allocate-node-cidrs needs --cluster-cidr")
    }
  }

  func run() throws {
    var authority: CertificateAuthority?
    if let clusterSigningCertFile, let clusterSigningKeyFile {
      authority = try CertificateAuthority(
        certificatePEM: FileSystem.readText(clusterSigningCertFile),
        privateKeyPEM: FileSystem.readText(clusterSigningKeyFile))
    }
    let signing = authority
    let podNetworks = allocatesNodeNetworks ? try networks.networks() : []
    try loop.run(LoopElection(lease: "kube-controller-manager"), port: 10257) { means in
      await ControllerManager(
        context: ControllerContext(
          world: means.loop, logger: Logger(label: "controllers"),
          certificateAuthorityPEM: means.kubeconfig.certificateAuthorityPEM,
          certificateSigner: signing.map { AuthoritySigner(authority: $0, world: means.loop) },
          podNetworks: podNetworks, metrics: means.metrics,
          transport: { _ in means.client("kube-controller-manager").transport })
      ).run()
    }
  }
}
