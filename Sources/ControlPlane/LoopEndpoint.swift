// What a loop that runs as a process of its own says of itself, where monitoring looks for it: the secure port of
// kube-scheduler and kube-controller-manager.
import APIServer
import Client
import HTTP
import JSON
import Schema
import World

/// /metrics, /healthz, /livez and /readyz of a scheduler or controller manager beside the servers. Any thread.
///
/// Health is for everybody; for the rest the cluster is asked who sends a token and what they may.
public struct LoopEndpoint: HTTPHandler {
  /// Paths that need no permission, unless their owner names others.
  public static let openPaths = ["/healthz", "/readyz", "/livez"]

  private let access: DelegatedAccess
  private let world: any World
  private let open: [String]
  private let metrics: @Sendable () -> String
  private let checks: HealthChecks
  private let health = HealthMetrics()

  /// - Parameters:
  ///   - client: asks the cluster about tokens and permissions.
  ///   - open: paths that need no permission; one that ends in "*" stands for all that begin so.
  ///   - metrics: whole lines.
  public init(
    client: APIClient, open: [String] = LoopEndpoint.openPaths,
    checks: @escaping HealthChecks = { [("ping", nil), ("leaderElection", nil)] },
    metrics: @escaping @Sendable () -> String
  ) {
    access = DelegatedAccess(client: client)
    world = client.world
    self.open = open
    self.checks = checks
    self.metrics = metrics
  }

  public func respond(to request: HTTPRequest) async -> HTTPResponse {
    let path = String(request.target.prefix { $0 != "?" && $0 != "#" })
    let user: RequestUser
    do throws(APIStatus) {
      user = try await access.user(of: request)
      if !isOpen(path) { try await access.check(user, request.method.lowercased(), path) }
    } catch {
      return Self.answer(error)
    }
    let context = RequestContext(user: user, now: world.wallClock, world: world)
    for name in ["healthz", "livez", "readyz"] where path == "/\(name)" || path.hasPrefix("/\(name)/") {
      return await HealthPath(name: name, metrics: health, checks: checks).respond(to: request, context: context)
    }
    if path == "/metrics/slis" { return await health.respond(to: request, context: context) }
    guard path == "/metrics" else { return Self.text(404, "404 page not found\n") }
    guard request.method == "GET" || request.method == "HEAD" else { return Self.text(405, "Method Not Allowed\n") }
    return HTTPResponse(
      status: 200, headers: ["content-type": "text/plain; version=0.0.4; charset=utf-8"],
      body: .bytes(Array(metrics().utf8)))
  }

  private func isOpen(_ path: String) -> Bool {
    open.contains { $0.hasSuffix("*") ? path.hasPrefix($0.dropLast()) : path == $0 }
  }

  private static func text(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(
      status: status,
      headers: ["content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"],
      body: .bytes(Array(text.utf8)))
  }

  private static func answer(_ status: APIStatus) -> HTTPResponse {
    HTTPResponse(
      status: status.code, headers: ["content-type": "application/json"], body: .bytes(status.json.bytes))
  }
}
