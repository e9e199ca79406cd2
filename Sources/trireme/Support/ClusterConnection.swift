// From what an operator has at hand (a kubeconfig, the folder of `trireme up`, a server's own folder) to a server that
// answers.
import ArgumentParser
import Client
import EventLoop
import Glibc
import HTTP
import JSON
import Replica
import Schema
import TLS
import World

struct ConnectionOptions: ParsableArguments {
  @Option(help: "kubeconfig of an administrator (default: $KUBECONFIG).")
  var kubeconfig: String?
  @Option(help: "Folder of `trireme up`, or of a server (default: $TRIREME_HOME, else .trireme here).")
  var home: String?
  @Option(
    name: .customLong("server"), help: "address:port of the server to ask; several times: the first that answers.")
  var servers: [String] = []

  func validate() throws {
    for server in servers where Address(server) == nil {
      throw ValidationError("--server \(server) is not of the form address:port")
    }
  }

  /// What was named wins over what lies around.
  func connect(on loop: EventLoop) throws -> ClusterConnection {
    if let kubeconfig { return try ClusterConnection(kubeconfig: kubeconfig, servers: servers, loop: loop) }
    if let home = home ?? Self.environment("TRIREME_HOME") {
      return try ClusterConnection(home: try FileSystemPaths.absolute(home), servers: servers, loop: loop)
    }
    if let path = Self.environment("KUBECONFIG")?.split(separator: ":").first {
      return try ClusterConnection(kubeconfig: String(path), servers: servers, loop: loop)
    }
    let standard = ClusterHome.standard(nil)
    if standard.plan != nil { return try ClusterConnection(home: standard.path, servers: servers, loop: loop) }
    let usual = Self.environment("HOME").map { "\($0)/.kube/config" }
    if let usual, FileSystem.exists(usual) {
      return try ClusterConnection(kubeconfig: usual, servers: servers, loop: loop)
    }
    throw CommandFailure(
      "which cluster? Name a kubeconfig (--kubeconfig FILE or $KUBECONFIG), or the folder of a cluster or server (--home)"
    )
  }

  private static func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }
}

extension ClusterConnection {
  /// `servers` empty: those that the file or folder names.
  init(kubeconfig path: String, servers: [String], loop: EventLoop) throws {
    let config = try Kubeconfig(
      parsing: try FileSystem.read(path), base64Decode: { try? Base64.decode($0) },
      readFile: { try FileSystem.read($0) })
    let server = String(config.server.dropFirst("https://".count).prefix { $0 != "/" })
    self.init(loop: loop, servers: servers.isEmpty ? [server] : servers, credentials: try ClientCredentials(config))
  }

  /// The folder of `trireme up`, or that of a server.
  init(home path: String, servers: [String], loop: EventLoop) throws {
    let cluster = ClusterHome(path: path)
    if let plan = cluster.plan {
      // The load balancer leads to a server that can write; behind it, each by itself, for when there is none.
      let known = [plan.endpoint] + plan.members.map(\.address)
      try self.init(servers.isEmpty ? known : servers, cluster.certificates, "admin", loop)
      return
    }
    let server = ServerHome(path: path)
    guard let record = try server.record() else {
      throw CommandFailure(
        "\(path) is neither the folder of a cluster (trireme up) nor that of a server that was started")
    }
    let known = [record.advertise] + record.members.map(\.address).filter { $0 != record.advertise }
    try self.init(servers.isEmpty ? known : servers, server.certificates, "server", loop)
  }

  private init(_ servers: [String], _ pki: String, _ name: String, _ loop: EventLoop) throws {
    let identity = try Identity(
      certificatePEM: FileSystem.readText("\(pki)/\(name).crt"),
      privateKeyPEM: FileSystem.readText("\(pki)/\(name).key"))
    let authority = try Certificate.all(inPEM: FileSystem.readText("\(pki)/ca.crt"))
    let tls = try TLSConfiguration.client(trust: .certificates(authority), identity: identity)
    self.init(loop: loop, servers: servers, credentials: ClientCredentials(tls: tls))
  }
}

/// Sends requests to the first server that can be reached.
struct ClusterConnection: Sendable {
  let loop: EventLoop
  let servers: [String]
  let credentials: ClientCredentials

  /// No server could be asked; each with why.
  struct NobodyAnswers: Error, CustomStringConvertible {
    var tried: [(server: String, why: String)]
    var description: String {
      "no server answers:\n" + tried.map { "  \($0.server): \($0.why)" }.joined(separator: "\n")
        + "\nIf only the load balancer is down, or no majority is left, ask a server by itself: --server ADDRESS:PORT"
    }
  }

  /// As this, but one server and no other.
  func asking(_ server: String) -> ClusterConnection {
    ClusterConnection(loop: loop, servers: [server], credentials: credentials)
  }

  /// An answer to a request. Throws `CommandFailure` with the server's words for errors, `NobodyAnswers` without any.
  func json(
    _ method: String, _ target: String, _ body: JSONValue? = nil, within limit: Duration = .seconds(75)
  ) async throws -> JSONValue {
    try await exchange(method, target, body, within: limit) { response in
      let bytes = try await response.body.collect(upTo: 64 << 20)
      return bytes.isEmpty ? .null : try JSONValue(parsing: bytes)
    }
  }

  /// As `json`, with an answer that is read by `consume` as it comes.
  func exchange<Value: Sendable>(
    _ method: String, _ target: String, _ body: JSONValue? = nil, within limit: Duration,
    _ consume: (HTTPResponse) async throws -> Value
  ) async throws -> Value {
    var tried: [(String, String)] = []
    for server in servers {
      let client = try client(server)
      defer { client.close() }
      var headers: HTTPHeaders = ["accept": "application/json", "user-agent": "trireme/\(Version.trireme)"]
      if !credentials.token.isEmpty { headers["authorization"] = "Bearer \(credentials.token)" }
      if body != nil { headers["content-type"] = "application/json" }
      let request = HTTPRequest(
        method: method, target: target, headers: headers, body: body.map { .bytes($0.bytes) } ?? .empty)
      let response: HTTPResponse
      do { response = try await client.send(request, within: limit) } catch {
        // A request that may have arrived is not sent again: only the operator knows whether that would be right.
        guard method == "GET" || Self.neverLeft(error) else {
          throw CommandFailure(
            "\(server) did not answer (\(error)); whether it was done shows: trireme status"
              + (await problems(besides: server)))
        }
        tried.append((server, "\(error)"))
        continue
      }
      guard response.status >= 400 else { return try await consume(response) }
      let bytes = try await response.body.collect(upTo: 1 << 20)
      throw CommandFailure(APIStatus(answer: bytes, code: response.status).message)
    }
    throw NobodyAnswers(tried: tried)
  }

  /// What a server says is wrong with the group: why another gave no answer (a load balancer breaks the connections to
  /// servers that have lost the majority). Empty where none answers or nothing is wrong.
  private func problems(besides silent: String) async -> String {
    for server in servers where server != silent {
      guard let view = try? await asking(server).json("GET", "/trireme/cluster", within: .seconds(5)) else { continue }
      return view["problems"].elements.compactMap(\.string).map { ". \($0)" }.joined()
    }
    return ""
  }

  private static func neverLeft(_ error: any Error) -> Bool {
    guard case HTTPError.connectFailed = error else { return false }
    return true
  }

  private func client(_ server: String) throws -> HTTPClient {
    guard let endpoint = Address(server) else { throw CommandFailure("\(server) is no address") }
    var limits = HTTPClientLimits()
    limits.connectTime = .seconds(3)
    return HTTPClient(
      loop: loop, endpoint: endpoint, tls: credentials.tls, serverName: ServerAddress.host(of: server), limits: limits)
  }
}
