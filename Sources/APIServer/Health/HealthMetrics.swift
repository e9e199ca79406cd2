// What health checks said, as metrics of their own: service levels are computed from them.
import HTTP
import World

/// GET /metrics/slis: the checks of /healthz, /livez and /readyz as they were last asked, and how often they said what.
public final class HealthMetrics: PathHandler {
  private let latest = MetricFamily(
    "kubernetes_healthcheck", .gauge, help: "What the check said last: 1 for well.", labels: ["name", "type"])
  private let counts = MetricFamily(
    "kubernetes_healthchecks_total", .counter, help: "What the check said, how often.",
    labels: ["name", "status", "type"])

  public init() {}

  func observed(_ check: String, of type: String, isWell: Bool) {
    latest.set(isWell ? 1 : 0, [check, type])
    counts.add(1, [check, isWell ? "success" : "error", type])
  }

  /// Whole lines.
  public func render() -> String {
    var out = ""
    for family in [latest, counts] { family.render(to: &out) }
    return out
  }

  public func respond(to request: HTTPRequest, context: RequestContext) async -> HTTPResponse {
    HTTPResponse(
      status: 200, headers: ["content-type": "text/plain; version=0.0.4; charset=utf-8"],
      body: .bytes(Array(render().utf8)))
  }
}
