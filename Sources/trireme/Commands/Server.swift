import APIServer
import ArgumentParser
import Controllers
import EventLoop
import Glibc
import Logging
import Replica
import Scheduler
import Schema
import World

struct Server: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run one server of the group: API, consensus, storage, scheduler and controllers.",
    discussion: """
      The folder holds the certificates (pki/), the data (data/) and, after the first start, what this server is in \
      its cluster (server.json): it starts again with nothing but its folder.

        trireme server --home /var/lib/trireme

      Only what is asked of it beyond the usual is said at every start: options of the scheduler, the networks of pods, audit, \
      authentication, authorization, admission and encryption, best in the service's own file.

      To join a running cluster, from an empty folder to a voter (make the token there: trireme token create):

        trireme server --home /var/lib/trireme --name server-4 --listen 10.0.0.4:6443 \\
          --join 10.0.0.1:6443 --token trireme::…

      Joining may be repeated: what was cut short goes on. A server whose disk was lost takes its own place with \
      --replace. The first servers of a new cluster get the same --member list each; `trireme up` does all of this on \
      one machine.
      """)

  @Option(help: "Folder of this server: pki/ and data/.")
  var home: String
  @Option(help: "Name of this server (first start, and to join).")
  var name: String?
  @Option(help: "Address to listen on, for clients and peers alike: 10.0.0.1:6443.")
  var listen: String?
  @Option(help: "Address under which the other servers reach this one (default: --listen).")
  var advertise: String?
  @Option(name: .customLong("join"), help: "address:port of a server of the cluster to join, or of its load balancer.")
  var join: [String] = []
  @Option(help: "Token to join with; @FILE reads it from a file.")
  var token: String?
  @Flag(help: "Take the place of the member of this name, whose disk is lost.")
  var replace = false
  @Option(name: .customLong("member"), help: "name=address of a first server of a new cluster; once for each.")
  var members: [String] = []
  @Option(help: "Address under which clients reach the cluster (default: this server's own).")
  var endpoint: String?
  @Option(help: "Network of the Services' addresses (default: \(ServerDefaults.serviceNetwork)).")
  var serviceNetwork: String?
  @Option(help: "Event loops that serve the API (default: as many as processors, 16 at most).")
  var apiLoops: Int?
  @Option(
    name: .customLong("encrypt-resource"),
    help: """
      Resource whose objects are encrypted on this server's disk: secrets, widgets.example.com; once for each \
      (default: secrets).
      """)
  var encryptedResources: [String] = []
  @Option(help: "EncryptionConfiguration (apiserver.config.k8s.io/v1) that names these resources instead.")
  var encryptionProviderConfig: String?
  @Option(help: "Admission plugins beside the usual ones, separated by commas: DenyServiceExternalIPs.")
  var enableAdmissionPlugins: String?
  @Option(
    help: """
      KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): profiles, plugins, extenders. The same on every \
      server; leaderElection and clientConnection are not asked, servers elect among themselves.
      """)
  var schedulerConfig: String?
  @OptionGroup(title: "Networks") var networks: NodeNetworkOptions
  @OptionGroup(title: "Audit") var audit: AuditOptions
  @OptionGroup(title: "Authentication") var authentication: AuthenticationFlags
  @OptionGroup(title: "Authorization") var authorization: AuthorizationFlags
  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel = "info"

  func validate() throws {
    for (option, address) in [("--listen", listen), ("--advertise", advertise)] {
      if let address, Address(address) == nil {
        throw ValidationError("\(option) \(address) is not of the form address:port")
      }
    }
    for address in join where Address(address) == nil {
      throw ValidationError("--join \(address) is not of the form address:port")
    }
    for plugin in enabledPlugins where !SecurityParts.optionalPlugins.contains(where: { $0.name == plugin }) {
      throw ValidationError("--enable-admission-plugins: \(plugin) is unknown")
    }
    guard Logger.Level(rawValue: logLevel) != nil else { throw ValidationError("--log-level \(logLevel) is unknown") }
    if encryptionProviderConfig != nil, !encryptedResources.isEmpty {
      throw ValidationError("--encryption-provider-config and --encrypt-resource exclude each other")
    }
    if let apiLoops, !(1...256).contains(apiLoops) { throw ValidationError("--api-loops must be between 1 and 256") }
    if join.isEmpty, token != nil || replace { throw ValidationError("--token and --replace go with --join") }
    if !join.isEmpty {
      guard members.isEmpty else { throw ValidationError("--member is for new clusters, --join for running ones") }
      guard name != nil, listen != nil, token != nil else {
        throw ValidationError("--join needs --name, --listen and --token")
      }
    }
    _ = try parsedMembers()
    if let name, let problem = ServerName.problem(name) { throw ValidationError(problem) }
  }

  private var enabledPlugins: [String] { (enableAdmissionPlugins ?? "").split(separator: ",").map(String.init) }

  private func parsedMembers() throws -> [Member] {
    let parsed = members.enumerated().map { index, member in
      let parts = member.split(separator: "=", maxSplits: 1)
      return Member(
        id: UInt64(index + 1), name: String(parts.first ?? ""), address: parts.count == 2 ? String(parts[1]) : "")
    }
    for member in parsed {
      guard Addresses.isUsable(member.address) else {
        throw ValidationError("--member must be name=address:port, such as server-1=10.0.0.1:6443")
      }
      if let problem = ServerName.problem(member.name) { throw ValidationError(problem) }
    }
    guard Set(parsed.map(\.name)).count == parsed.count else {
      throw ValidationError("every --member needs a name of its own")
    }
    guard parsed.isEmpty || parsed.contains(where: { $0.name == name }) else {
      throw ValidationError("--name \(name ?? "") is not among the members")
    }
    return parsed
  }

  func run() throws {
    LogOutput.install(level: Logger.Level(rawValue: logLevel) ?? .info)
    try PlantedBug.plant()
    let loops = apiLoops ?? ServerDefaults.apiLoops(servers: 1)
    let logger = Logger(label: "server")
    let home = ServerHome(path: try FileSystemPaths.absolute(home))
    let command = self
    TimeZones.use { name in try? FileSystem.read("/usr/share/zoneinfo/\(name)", limit: Self.timeZoneBytesMaximum) }
    do {
      try MainLoop.run { loop in
        let scheduler = try command.scheduler()
        let record = try await command.record(home, loop)
        guard let address = Address(record.listen) else { throw CommandFailure("\(record.listen) is no address") }
        var configuration = ServerConfiguration(home: home, record: record, listen: address, apiLoops: loops)
        configuration.encryptedResources = try command.encrypted(logger)
        configuration.enabledPlugins = Set(command.enabledPlugins)
        configuration.audit = try command.audit.open()
        configuration.scheduler = scheduler
        configuration.podNetworks = try command.podNetworks(beside: record.serviceNetwork)
        configuration.security = { loop in
          var options = SecurityOptions()
          options.tokens = try command.authentication.authenticators(on: loop)
          options.authorizers = try command.authorization.authorizers(on: loop)
          return options
        }
        let process = try ServerProcess(configuration, logger: logger)
        let code = try await process.run(on: loop)
        Glibc.exit(code)
      }
    } catch {
      LogWriter.shared.flush()
      throw error
    }
  }

  /// The largest file of a time zone takes 3.5 KiB.
  private static let timeZoneBytesMaximum = 64 << 10

  private func encrypted(_ logger: Logger) throws -> Set<String> {
    guard let encryptionProviderConfig else {
      return encryptedResources.isEmpty ? EncryptionKeyring.defaultResources : Set(encryptedResources)
    }
    let file = try ConfigurationFile.explaining(encryptionProviderConfig) {
      try EncryptionConfiguration(parsing: Array($0.utf8))
    }
    for remark in file.remarks { logger.notice("\(encryptionProviderConfig): \(remark)") }
    return file.resources
  }

  private func scheduler() throws -> SchedulerConfiguration {
    guard let schedulerConfig else { return SchedulerConfiguration() }
    return try ConfigurationFile.explaining(schedulerConfig) { try SchedulerConfiguration(parsing: Array($0.utf8)) }
  }

  private func podNetworks(beside services: String) throws -> [PodNetwork] {
    let networks = try networks.networks()
    let taken = services.split(separator: ",").compactMap { CIDR(String($0)) }
    // Nobody would know whose such an address is.
    for network in networks where taken.contains(where: network.range.overlaps) {
      throw CommandFailure("--cluster-cidr \(network.range) overlaps the network of the Services, \(services)")
    }
    return networks
  }

  /// How this server is started: as the folder says, as the cluster it joins says, or as the first time.
  private func record(_ home: ServerHome, _ loop: EventLoop) async throws -> ServerRecord {
    if let name, let listen, let token, !join.isEmpty, try !hasJoined(home, token) {
      guard let token = JoinToken(try Self.read(token)) else {
        throw CommandFailure(
          "this is no token to join with: they read trireme::HASH::ID.SECRET. Make one: trireme token create")
      }
      let options = Joining.Options(
        servers: join, token: token, name: name, listen: listen, advertise: try advertised(listen), replaces: replace)
      return try await Joining(home: home, options: options, loop: loop).run()
    }
    if var record = try home.record() {
      if record.phase == .removed { throw CommandFailure(RemovedServer.text(record, home: home)) }
      if record.phase == .started, !home.hasDisk { throw CommandFailure(WipedServer.text(record, home: home)) }
      if let name, name != record.name {
        throw CommandFailure("\(home.path) is the folder of the server \(record.name), not of \(name)")
      }
      if let listen { record.listen = listen }
      if let endpoint { record.endpoint = endpoint }
      return record
    }
    return try firstRecord(home)
  }

  /// Joining ended well before, and the token was thrown away since.
  private func hasJoined(_ home: ServerHome, _ token: String) throws -> Bool {
    guard token.hasPrefix("@"), !FileSystem.exists(String(token.dropFirst())) else { return false }
    return try home.record()?.phase == .started && home.hasDisk
  }

  private func firstRecord(_ home: ServerHome) throws -> ServerRecord {
    let parsed = try parsedMembers()
    guard let name, let listen, let own = parsed.first(where: { $0.name == name }) else {
      throw CommandFailure(
        "\(home.path) holds no server yet. Say how it begins: --name, --listen, and --join with --token for a running "
          + "cluster or --member for a new one (trireme server --help)")
    }
    let certificates = try ServerCertificates(folder: home.certificates)
    return ServerRecord(
      name: name, listen: listen, advertise: own.address, endpoint: endpoint ?? own.address,
      serviceNetwork: serviceNetwork ?? ServerDefaults.serviceNetwork, cluster: certificates.firstClusterID,
      node: own.id, members: parsed)
  }

  private func advertised(_ listen: String) throws -> String {
    let address = advertise ?? listen
    guard !ServerAddress.isWildcard(address) else {
      throw CommandFailure("others cannot connect to \(address): say where they can, with --advertise ADDRESS:PORT")
    }
    return address
  }

  /// "@FILE" or the text itself.
  private static func read(_ text: String) throws -> String {
    guard text.hasPrefix("@") else { return text }
    let content = try FileSystem.readText(String(text.dropFirst()))
    return String(content.split(whereSeparator: \.isWhitespace).first ?? "")
  }
}
