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

  /// HTTP/2 connections to each server: one would make a single loop of the server do all the work.
  private static let connectionsPerServer = 8

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
    credentials = try ClientCredentials(config)
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

  /// Connections for `clients` closed loops, spread evenly over the servers.
  func connections(for clients: Int) -> [HTTPClient] {
    var limits = HTTPClientLimits()
    limits.http2Connections = 1
    return (0..<min(clients, Self.connectionsPerServer * servers.count)).map { connect($0, limits: limits) }
  }

  /// User and system time of all processes so far, in seconds; nil when none was named.
  var processorSeconds: Double? {
    guard !processes.isEmpty else { return nil }
    let ticks = processes.reduce(0) { $0 + Self.processorTicks(of: $1) }
    return Double(ticks) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
  }

  /// Fields 14 and 15 of /proc/PID/stat; the name before them may hold spaces.
  private static func processorTicks(of process: Int32) -> Int {
    guard let text = try? FileSystem.readText("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
      return 0
    }
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 12 else { return 0 }
    return (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0)
  }
}
