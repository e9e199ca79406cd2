// The way to kubelets and pods over sockets: logs, exec, attach, port forwarding, proxying (spec/7).
import EventLoop
import HTTP
import JSON
import Schema
import Synchronization
import TLS

public final class KubeletConnections: KubeletConnector {
  private struct Place: Hashable {
    var host: String
    var port: UInt16
    var isSecure: Bool
    /// Whoever listens there is shown the certificate of the API server: kubelets are, pods and services never.
    var isKubelet: Bool
  }

  /// Places with connections at one time; beyond that those of all others are closed when their requests are done.
  private static let clientsMaximum = 256

  private let loop: EventLoop
  private let identity: Identity?
  /// Addresses of this cluster's own servers, "10.0.0.1:6443": nobody is proxied to them.
  private let servers: @Sendable () -> Set<String>
  private let clients = Mutex<[Place: HTTPClient]>([:])

  /// `identity`: the certificate by which kubelets know the API server.
  public init(loop: EventLoop, identity: Identity?, servers: @escaping @Sendable () -> Set<String>) {
    self.loop = loop
    self.identity = identity
    self.servers = servers
  }

  public func forward(
    _ request: HTTPRequest, to node: JSONValue, path: String
  ) async throws(APIStatus) -> HTTPResponse {
    let endpoint = KubeletEndpoint(node)
    guard endpoint.isServed else { throw endpoint.unreachable(path, "connect: connection refused") }
    do {
      return try await send(
        request, path, Place(host: endpoint.host, port: endpoint.port, isSecure: true, isKubelet: true))
    } catch {
      throw endpoint.unreachable(path, "\(error)")
    }
  }

  public func reach(
    _ request: HTTPRequest, host: String, port: UInt16, isSecure: Bool, path: String
  ) async throws(APIStatus) -> HTTPResponse {
    do {
      return try await send(
        request, path, Place(host: host, port: port, isSecure: isSecure, isKubelet: false))
    } catch {
      throw .serviceUnavailable("error trying to reach service: \(error)")
    }
  }

  private func send(
    _ request: HTTPRequest, _ path: String, _ place: Place
  ) async throws -> HTTPResponse {
    guard !servers().contains(where: { Self.isSame($0, place) }) else {
      throw HTTPError.connectFailed("dial tcp \(place.host):\(place.port): address not allowed")
    }
    return try await Self.relay(request, path: path, through: try client(place))
  }

  /// Whether a server's address leads there, however either is spelled: "::ffff:10.0.0.1" is 10.0.0.1.
  private static func isSame(_ server: String, _ place: Place) -> Bool {
    guard let colon = server.lastIndex(of: ":"), UInt16(server[server.index(after: colon)...]) == place.port else {
      return false
    }
    var host = server[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    if let own = IPAddress(String(host)), let other = IPAddress(place.host) { return own == other }
    return host == place.host
  }

  /// Sends a request on without what is the client's own, and returns what may go back.
  public static func relay(
    _ request: HTTPRequest, path: String, through client: HTTPClient
  ) async throws -> HTTPResponse {
    BackendHeaders.response(try await client.send(BackendHeaders.request(request, target: path)))
  }

  private func client(_ place: Place) throws -> HTTPClient {
    if let known = clients.withLock({ $0[place] }) { return known }
    // Kubelets sign for themselves unless told otherwise; pods as they like.
    let tls =
      place.isSecure
      ? try TLSConfiguration.client(
        trust: .anything, identity: place.isKubelet ? identity : nil, minimumVersion: .tls12) : nil
    let client = HTTPClient(
      loop: loop, endpoint: .ip(place.host, port: place.port), tls: tls, serverName: place.host)
    let surplus: [HTTPClient] = clients.withLock { clients in
      var surplus: [HTTPClient] = []
      if clients.count >= Self.clientsMaximum {
        surplus = Array(clients.values)
        clients = [:]
      }
      clients[place] = client
      return surplus
    }
    for client in surplus { client.close() }
    return client
  }
}

/// Where a node says that its kubelet listens.
struct KubeletEndpoint {
  var host: String
  var port: UInt16
  /// A node that names no port has no kubelet that listens: hollow ones have addresses that nobody has, or somebody else.
  var isServed: Bool

  init(_ node: JSONValue) {
    let addresses = node["status"]["addresses"].elements
    // In the order in which the reference prefers them; nothing here resolves names.
    let found = ["InternalIP", "ExternalIP", "Hostname"].lazy.compactMap { type in
      addresses.first { $0["type"].string == type }?["address"].string
    }.first
    host = found ?? addresses.first?["address"].string ?? node["metadata"]["name"].string ?? ""
    let told = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].integer ?? 0
    isServed = told > 0
    port = UInt16(clamping: isServed ? told : 10_250)
  }

  private var text: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }

  /// What the reference answers when nothing listens at the kubelet's port.
  func unreachable(_ path: String, _ why: String) -> APIStatus {
    APIStatus(code: 500, reason: "", message: "Get \"https://\(text)\(path)\": dial tcp \(text): \(why)")
  }
}
