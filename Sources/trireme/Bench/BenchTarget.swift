// Whom a run asks: addresses, credentials, connections, and the processes whose time is counted.
import Client
import EventLoop
import Glibc
import HTTP
import Schema
import TLS
import World

struct BenchTarget: Sendable {
  let loop: EventLoop
  /// "address:port" of the servers; clients take turns.
  let servers: [String]
  let credentials: ClientCredentials
  /// Processes of the system under test, on this machine.
  let processes: [Int32]

  init(loop: EventLoop, kubeconfig: String, servers: [String], processes: [Int32]) throws {
    let config = try Kubeconfig(
      parsing: try FileSystem.read(kubeconfig), base64Decode: { try? Base64.decode($0) },
      readFile: { try FileSystem.read($0) })
    self.loop = loop
    self.servers = (servers.isEmpty ? [config.server] : servers).map { server in
      String(server.hasPrefix("https://") ? server.dropFirst("https://".count) : server[...])
    }
    for server in self.servers where Address(server) == nil {
      throw CommandFailure("--server \(server) is not of the form https://address:port")
    }
    // TLS 1.2 too: other servers have no more.
    let identity =
      config.clientCertificatePEM.isEmpty
      ? nil : try Identity(certificatePEM: config.clientCertificatePEM, privateKeyPEM: config.clientKeyPEM)
    credentials = ClientCredentials(
      tls: try .client(
        trust: .certificates(try Certificate.all(inPEM: config.certificateAuthorityPEM)), identity: identity,
        minimumVersion: .tls12), token: config.token)
    self.processes = processes
  }

  /// A client of the server with this number (modulo their count), with connections of its own.
  func connect(_ number: Int, limits: HTTPClientLimits = HTTPClientLimits()) -> HTTPClient {
    let server = servers[number % servers.count]
    guard let endpoint = Address(server) else { preconditionFailure("addresses were checked") }
    let host = String(server[..<(server.lastIndex(of: ":") ?? server.endIndex)])
    return HTTPClient(
      loop: loop, endpoint: endpoint, tls: credentials.tls,
      serverName: host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host, limits: limits)
  }

  /// Throws what a person needs to know when one of the servers does not answer, or not as it is going to be asked.
  func checkThatAllAnswer(http2: Bool) async throws {
    for server in servers.indices {
      try await LoadConnection.open(self, server: server, templates: [], wantsHTTP2: http2).close()
    }
  }

  /// Memory of all processes together.
  var residentMebibytes: Double { processes.reduce(0) { $0 + ResourceMeter.residentMebibytes(of: $1) } }
}
