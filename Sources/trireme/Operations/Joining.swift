// The side of the server that joins: from an empty folder to one that a server can be started in.
import Client
import EventLoop
import Glibc
import HTTP
import JSON
import Raft
import Replica
import Schema
import TLS
import World

/// One attempt to join; nothing but the folder is changed here, and a second attempt goes on where the first ended.
struct Joining: Sendable {
  struct Options: Sendable {
    /// Servers of the cluster, or a load balancer before them.
    var servers: [String]
    var token: JoinToken
    var name: String
    var listen: String
    var advertise: String
    var replaces: Bool
  }

  let home: ServerHome
  let options: Options
  let loop: EventLoop

  private static let requestPatience = Duration.seconds(20)
  /// How long servers that do not answer are tried again.
  private static let deadline = Duration.seconds(60)

  /// Throws `CommandFailure` in words for the operator.
  func run() async throws -> ServerRecord {
    if let record = try home.record() {
      try checkRecord(record)
      if record.phase == .started, home.hasDisk {
        try await requireSameCluster(record)
        Terminal.say(
          "\(record.name) is a member of cluster \(record.cluster) already (server \(record.node)): it goes on.")
        return record
      }
    } else if home.hasDisk {
      throw CommandFailure(
        "\(home.data) holds a server's disk, but \(home.path) does not say whose. Nothing was changed. Choose another --home, "
          + "or, if nothing of it is needed any more: rm -r \(home.data)")
    }
    try PortCheck.requireFree(options.listen, for: options.name, advice: "Choose another --listen")
    let introduction = try await introduce()
    let key = try serverKey()
    let answer = try await ask(introduction, key)
    let record = try keep(answer, introduction)
    Terminal.say(
      "  ✓ \(record.name) is server \(record.node) of cluster \(record.cluster), without a vote until it has caught up")
    return record
  }

  // MARK: Before

  private func checkRecord(_ record: ServerRecord) throws {
    if record.phase == .removed { throw CommandFailure(RemovedServer.text(record, home: home)) }
    guard record.name == options.name else {
      throw CommandFailure(
        "\(home.path) is the folder of the server \(record.name), not of \(options.name). Nothing was changed. Choose another --home"
      )
    }
    guard record.advertise == options.advertise else {
      throw CommandFailure(
        "\(record.name) is known to the cluster at \(record.advertise), not at \(options.advertise). To move it, remove it "
          + "(trireme member remove \(record.name)) and join anew from an empty folder")
    }
    if record.phase == .started, !home.hasDisk, !options.replaces {
      throw CommandFailure(WipedServer.text(record, home: home))
    }
    // Of which cluster it is, a disk does not forget; a token says only by its hash.
    let authority = try? Certificate(pem: FileSystem.readText("\(home.certificates)/ca.crt"))
    if let authority, authority.fingerprint != options.token.authority {
      throw CommandFailure(
        "\(home.path) belongs to another cluster (\(record.cluster)) than the token. Nothing was changed. Choose another "
          + "--home, or wipe this one: rm -r \(home.path)")
    }
  }

  /// A server that goes on needs nobody; but if somebody answers, it must be the cluster that it belongs to.
  private func requireSameCluster(_ record: ServerRecord) async throws {
    let tls = try TLSConfiguration.client(trust: .anything)
    for server in options.servers {
      let cluster = ClusterConnection(loop: loop, servers: [server], credentials: ClientCredentials(tls: tls))
      guard let told = try? await cluster.json("GET", "/trireme/authority", within: .seconds(2)),
        let other = told["cluster"].string, other != record.cluster
      else { continue }
      throw CommandFailure(
        "\(home.path) belongs to cluster \(record.cluster), and \(server) to cluster \(other). Nothing was changed. Choose "
          + "another --home, or wipe this one: rm -r \(home.path)")
    }
  }

  private struct Introduction: Sendable {
    var authority: Certificate
    var cluster: String
    var server: String
  }

  /// Asks who is there, without believing it; believes it when the authority's hash is the token's.
  private func introduce() async throws -> Introduction {
    let tls = try TLSConfiguration.client(trust: .anything)
    let (server, body) = try await anyServer(tls) { client, _ in
      let response = try await client.send(
        HTTPRequest(method: "GET", target: "/trireme/authority"), within: Self.requestPatience)
      return (response.status, try JSONValue(parsing: try await response.body.collect(upTo: 1 << 16)))
    }
    guard let pem = body["authority"].string, let authority = try? Certificate(pem: pem) else {
      throw CommandFailure(
        "what answers at \(server) is no server of Trireme's, or of a version that does not take part in this")
    }
    guard Crypto.isEqual(Array(authority.fingerprint.utf8), Array(options.token.authority.utf8)) else {
      throw CommandFailure(
        "\(server) is not a server of the cluster that made the token: its authority's hash is \(authority.fingerprint), "
          + "the token's \(options.token.authority). Either the address is wrong, or somebody stands between. Nothing was said to it"
      )
    }
    let time = body["time"].string.flatMap(WallTime.init(rfc3339:))
    if let time, let problem = ClockCheck.problem(own: loop.wallClock, cluster: time) { throw CommandFailure(problem) }
    if let version = body["version"].string,
      let problem = ServerVersion.problem(joiner: Version.trireme, cluster: version)
    {
      throw CommandFailure(problem)
    }
    let cluster = body["cluster"].string ?? ""
    if let record = try home.record(), record.cluster != cluster {
      throw CommandFailure(
        "\(home.path) belongs to cluster \(record.cluster), and \(server) to cluster \(cluster). Nothing was changed. Choose "
          + "another --home, or wipe this one: rm -r \(home.path)")
    }
    Terminal.say("  ✓ The cluster at \(server) is the token's")
    return Introduction(authority: authority, cluster: cluster, server: server)
  }

  /// The key that the certificate is for; made once.
  private func serverKey() throws -> PrivateKey {
    try FileSystem.createDirectory(home.path, permissions: 0o700)
    try FileSystem.createDirectory(home.certificates, permissions: 0o700)
    let path = "\(home.certificates)/server.key"
    if FileSystem.exists(path) { return try PrivateKey(pem: FileSystem.readText(path)) }
    let key = try PrivateKey.generateP256()
    try FileSystem.write(key.pem, to: path, permissions: 0o600)
    return key
  }

  // MARK: Asking

  private func ask(_ introduction: Introduction, _ key: PrivateKey) async throws -> JSONValue {
    let tls = try TLSConfiguration.client(trust: .certificates([introduction.authority]))
    let known = try home.record()
    // The disk of a server that is replaced is another one.
    let request = JoinRequest(
      credential: options.token.credential, name: options.name, address: options.advertise, version: Version.trireme,
      time: loop.wallClock,
      certificateRequestPEM: try CertificateRequest(
        subject: DistinguishedName(commonName: ServerIdentity.commonName(options.name)), privateKey: key
      ).pem,
      node: known?.phase == .started && !home.hasDisk ? nil : known?.node, replaces: options.replaces)
    let (server, body) = try await anyServer(tls) { client, _ in
      let response = try await client.send(
        HTTPRequest(
          method: "POST", target: "/trireme/join", headers: ["content-type": "application/json"],
          body: .bytes(request.json.bytes)), within: Operations.changePatience)
      return (response.status, try JSONValue(parsing: try await response.body.collect(upTo: 1 << 20)))
    }
    guard body["node"].integer != nil else {
      throw CommandFailure("\(server): \(body["message"].string ?? "an answer that cannot be understood")")
    }
    return body
  }

  /// The first answer of any of the servers; they are asked again for a while when none can.
  private func anyServer(
    _ tls: TLSConfiguration, _ send: @Sendable (HTTPClient, String) async throws -> (Int, JSONValue)
  ) async throws -> (server: String, body: JSONValue) {
    let start = loop.now
    var lastError = ""
    var isTold = false
    while true {
      for server in options.servers {
        guard let endpoint = Address(server) else { throw CommandFailure("\(server) is no address") }
        let client = HTTPClient(
          loop: loop, endpoint: endpoint, tls: tls, serverName: ServerAddress.host(of: server))
        defer { client.close() }
        do {
          let (status, body) = try await send(client, server)
          if status < 300 { return (server, body) }
          lastError = body["message"].string ?? "it answers \(status)"
          // What is refused stays refused; what is too early does not.
          guard status == 503 else { throw CommandFailure("\(server): \(lastError)") }
        } catch let failure as CommandFailure {
          throw failure
        } catch {
          lastError = "\(error)"
        }
      }
      guard loop.now - start < Self.deadline else {
        throw CommandFailure(
          "no server of \(options.servers.joined(separator: ", ")) can let this one in: \(lastError). The same command "
            + "goes on where this one ended")
      }
      if !isTold {
        isTold = true
        Terminal.say("  … \(lastError); tried again for \(Self.deadline)")
      }
      try await loop.sleep(for: .milliseconds(500))
    }
  }

  // MARK: Keeping

  private func keep(_ answer: JSONValue, _ introduction: Introduction) throws -> ServerRecord {
    guard let node = answer["node"].integer, let cluster = answer["cluster"].string,
      let certificate = answer["certificate"].string, let authorityKey = answer["authorityKey"].string,
      let tokenKey = answer["tokenKey"].string, let backupKey = answer["backupKey"].string,
      let endpoint = answer["endpoint"].string,
      let serviceNetwork = answer["serviceNetwork"].string
    else {
      throw CommandFailure("\(introduction.server) gave an answer that is not complete: is it of another version?")
    }
    let folder = home.certificates
    try FileSystem.write(authorityKey, to: "\(folder)/ca.key", permissions: 0o600)
    try FileSystem.write(tokenKey, to: "\(folder)/sa.key", permissions: 0o600)
    try FileSystem.write(backupKey, to: "\(folder)/backup.key", permissions: 0o600)
    try FileSystem.write(certificate, to: "\(folder)/server.crt")
    try FileSystem.write(introduction.authority.pem, to: "\(folder)/ca.crt")
    if let old = try home.record(), old.node != NodeID(node), home.hasDisk { try FileSystem.removeTree(home.data) }
    var record = ServerRecord(
      name: options.name, listen: options.listen, advertise: options.advertise, endpoint: endpoint,
      serviceNetwork: serviceNetwork, cluster: cluster, node: NodeID(node),
      members: answer["members"].elements.compactMap(Member.init(json:)))
    record.hasJoined = true
    try home.write(record)
    return record
  }
}

enum WipedServer {
  static func text(_ record: ServerRecord, home: ServerHome) -> String {
    """
    The disk of \(record.name) is gone: \(home.data) is empty, but server \(record.node) has taken part in cluster \
    \(record.cluster). What it promised there it does not know any more: it must not vote as its former self, and was \
    not started. Let it take its own place as a new member:

      trireme token create --for \(record.name)        # on a machine that administers the cluster
      trireme server --home \(home.path) --name \(record.name) --listen \(record.listen) --join SERVER --token TOKEN --replace
    """
  }
}

enum RemovedServer {
  static func text(_ record: ServerRecord, home: ServerHome) -> String {
    """
    \(record.name) (server \(record.node)) was removed from cluster \(record.cluster) and must not start again on this disk. \
    To use this machine again, wipe it and join as a new member:

      rm -r \(home.data) \(home.path)/server.json
      trireme server --home \(home.path) --name \(record.name) --listen \(record.listen) --join SERVER --token TOKEN
    """
  }
}
