import ArgumentParser
import EventLoop
import Glibc
import Logging

struct Server: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run one server of the group: API, consensus, storage, scheduler and controllers.",
    discussion: """
      All servers get the same --member list. The folder holds the certificates (pki/) and the data (data/); `trireme up` \
      makes both.
      """)

  @Option(help: "Name of this server; one of the members.")
  var name: String
  @Option(help: "Folder of this server: pki/ and data/.")
  var home: String
  @Option(help: "Address to listen on, for clients and peers alike: 10.0.0.1:6443.")
  var listen: String
  @Option(name: .customLong("member"), help: "name=address of a server of the group; once for each.")
  var members: [String]
  @Option(help: "Address under which clients reach the cluster (default: this server's own).")
  var endpoint: String?
  @Option(help: "Network of the Services' addresses.")
  var serviceNetwork = ServerDefaults.serviceNetwork
  @Option(help: "Event loops that serve the API (default: half of the processors).")
  var apiLoops: Int?
  @OptionGroup(title: "Audit") var audit: AuditOptions
  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel = "info"

  private var parsedMembers: [(name: String, address: String)] {
    members.map { member in
      let parts = member.split(separator: "=", maxSplits: 1)
      return (String(parts.first ?? ""), parts.count == 2 ? String(parts[1]) : "")
    }
  }

  func validate() throws {
    guard Address(listen) != nil else { throw ValidationError("--listen \(listen) is not of the form address:port") }
    for member in parsedMembers where member.name.isEmpty || Address(member.address) == nil {
      throw ValidationError("--member must be name=address:port, such as server-1=10.0.0.1:6443")
    }
    guard Set(parsedMembers.map(\.name)).count == members.count else {
      throw ValidationError("every --member needs a name of its own")
    }
    guard parsedMembers.contains(where: { $0.name == name }) else {
      throw ValidationError("--name \(name) is not among the members")
    }
    guard Logger.Level(rawValue: logLevel) != nil else { throw ValidationError("--log-level \(logLevel) is unknown") }
    if let apiLoops, !(1...256).contains(apiLoops) { throw ValidationError("--api-loops must be between 1 and 256") }
  }

  func run() throws {
    LogOutput.install(level: Logger.Level(rawValue: logLevel) ?? .info)
    guard let address = Address(listen) else { throw CommandFailure("\(listen) is no address") }
    let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    var configuration = ServerConfiguration(
      name: name, home: home, listen: address, members: parsedMembers, endpoint: endpoint ?? listen,
      serviceNetwork: serviceNetwork, apiLoops: apiLoops ?? max(1, processors / 2))
    let logger = Logger(label: "server")
    do {
      configuration.audit = try audit.open()
      let process = try ServerProcess(configuration, logger: logger)
      try MainLoop.run { loop in
        let code = try await process.run(on: loop)
        Glibc.exit(code)
      }
    } catch {
      LogWriter.shared.flush()
      throw error
    }
  }
}
