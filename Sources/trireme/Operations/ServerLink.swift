// One server asking another, as itself: what only the leader can do is passed on to it, and what a report needs is
// gathered.
import EventLoop
import HTTP
import JSON
import TLS
import World

struct ServerLink: Sendable {
  /// Set on what was passed on once: it is not passed on again.
  static let forwardedHeader = "x-trireme-forwarded"

  let loop: EventLoop
  /// Shows this server's certificate, trusts the cluster's authority.
  let tls: TLSConfiguration

  /// Throws `HTTPError` when there is no answer.
  func send(
    _ method: String, _ target: String, body: [UInt8] = [], to address: String, within limit: Duration
  ) async throws -> HTTPResponse {
    guard let endpoint = Address(address) else { throw HTTPError.connectFailed("\(address) is no address") }
    var limits = HTTPClientLimits()
    limits.connectTime = min(limits.connectTime, limit)
    let client = HTTPClient(
      loop: loop, endpoint: endpoint, tls: tls, serverName: ServerAddress.host(of: address), limits: limits)
    defer { client.close() }
    let headers: HTTPHeaders = [Self.forwardedHeader: "1", "content-type": "application/json"]
    let response = try await client.send(
      HTTPRequest(
        method: method, target: target, headers: headers, body: body.isEmpty ? .empty : .bytes(body)), within: limit)
    // Read here: the connection does not outlive this call.
    return HTTPResponse(
      status: response.status, headers: ["content-type": response.headers["content-type"] ?? "application/json"],
      body: .bytes(try await response.body.collect(upTo: 16 << 20)))
  }

  func json(
    _ method: String, _ target: String, to address: String, within limit: Duration
  ) async throws -> (status: Int, body: JSONValue) {
    let response = try await send(method, target, to: address, within: limit)
    return (response.status, (try? JSONValue(parsing: try await response.body.collect())) ?? .null)
  }
}

enum ServerAddress {
  /// "10.0.0.1:6443" to "10.0.0.1", "[::1]:6443" to "::1".
  static func host(of address: String) -> String {
    let host = String(address[..<(address.lastIndex(of: ":") ?? address.endIndex)])
    return host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
  }

  /// Means every address of the machine: nobody can be told to connect there.
  static func isWildcard(_ address: String) -> Bool { ["0.0.0.0", "::", "*"].contains(host(of: address)) }
}
