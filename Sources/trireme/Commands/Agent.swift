import ArgumentParser
import Client
import EventLoop
import Glibc
import JSON
import Kubelet
import Logging
import TLS
import World

struct Agent: ParsableCommand {
  enum Runtime: String, ExpressibleByArgument, CaseIterable { case hollow }

  static let configuration = CommandConfiguration(
    abstract: "Run a node: register, show that it lives, and run the pods bound to it.",
    discussion: """
      The folder holds pki/ca.crt and, for every node, pki/NAME.crt and pki/NAME.key. The hollow runtime keeps pods in \
      memory with the timing of real ones; one process can be many such nodes (--count).
      """)

  @Option(help: "Folder of the agent.")
  var home: String
  @Option(help: "Name of the node; with --count, the prefix of the names (node- makes node-1, node-2, …).")
  var name: String
  @Option(help: "Number of nodes in this process (hollow runtime only).")
  var count: Int?
  @Option(name: .customLong("server"), help: "address:port of a server; once for each. The list is kept current later.")
  var servers: [String]
  @Option(help: "How containers are run: \(Runtime.allCases.map(\.rawValue).joined(separator: ", ")).")
  var runtime = Runtime.hollow
  @Flag(help: "Hollow containers start and stop at once, without the time that real ones take: for measurements.")
  var instantContainers = false
  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel = "info"

  /// Pod networks are numbered within 10.128.0.0/9, node addresses within 10.64.0.0/10.
  private static let maximumNodes = 32_768

  private var names: [String] {
    guard let count else { return [name] }
    return (1...count).map { "\(name)\($0)" }
  }

  func validate() throws {
    for server in servers where Address(server) == nil {
      throw ValidationError("--server \(server) is not of the form address:port")
    }
    if servers.isEmpty { throw ValidationError("--server is needed at least once") }
    if let count, !(1...Self.maximumNodes).contains(count) {
      throw ValidationError("--count must be between 1 and \(Self.maximumNodes)")
    }
  }

  func run() throws {
    LogOutput.install(level: Logger.Level(rawValue: logLevel) ?? .info)
    let authority = try Certificate.all(inPEM: FileSystem.readText("\(home)/pki/ca.crt"))
    let nodes = try names.map { name in
      let identity = try Identity(
        certificatePEM: FileSystem.readText("\(home)/pki/\(name).crt"),
        privateKeyPEM: FileSystem.readText("\(home)/pki/\(name).key"))
      return (name, try TLSConfiguration.client(trust: .certificates(authority), identity: identity))
    }
    let servers = servers
    let timing = instantContainers ? HollowRuntime.Timing.none : .measured
    try MainLoop.run { loop in
      let logger = Logger(label: "agent")
      let tasks = nodes.enumerated().map { index, node in
        loop.spawn { await Self.run(node: node.0, index: index, tls: node.1, servers: servers, timing, loop, logger) }
      }
      logger.info("running \(tasks.count) hollow nodes", metadata: ["servers": "\(servers.joined(separator: ","))"])
      await EndSignal.wait(loop)
      for task in tasks { task.cancel() }
      LogWriter.shared.flush()
      Glibc.exit(0)
    }
  }

  private static func run(
    node name: String, index: Int, tls: TLSConfiguration, servers: [String], _ timing: HollowRuntime.Timing,
    _ loop: EventLoop, _ logger: Logger
  ) async {
    let transport = BalancedTransport(servers: servers, credentials: ClientCredentials(tls: tls), loop: loop)
    let client = APIClient(
      transport: transport, world: loop, userAgent: "kubelet/\(Version.kubernetes) (linux/amd64)")
    let address = "10.\(64 + index / 62_500).\(index / 250 % 250).\(index % 250 + 1)"
    var description = NodeDescription(name: name, address: address, kubeletVersion: Version.kubernetes)
    description.osImage = "Trireme hollow node"
    description.kernelVersion = kernelRelease()
    let runtime = HollowRuntime(
      world: loop, version: Version.trireme, podNetwork: "10.\(128 + index >> 8).\(index & 255).0",
      nodeAddress: address, timing: timing)
    let list = loop.spawn { await keepServersCurrent(transport, client, loop) }
    await Kubelet(description: description, client: client, runtime: runtime, logger: logger).run()
    list.cancel()
  }

  /// Servers come and go; the agent asks any of them for the list.
  private static func keepServersCurrent(_ transport: BalancedTransport, _ client: APIClient, _ loop: EventLoop) async {
    while !Task.isCancelled {
      try? await loop.sleep(for: .seconds(15))
      guard let answer = try? await client.json("GET", "/trireme/servers", []) else { continue }
      transport.update(servers: answer["servers"].elements.compactMap(\.string))
    }
  }

  private static func kernelRelease() -> String {
    guard let text = try? FileSystem.readText("/proc/sys/kernel/osrelease") else { return "" }
    return String(text.prefix { $0 != "\n" })
  }
}
