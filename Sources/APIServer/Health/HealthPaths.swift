// Is this server well: /livez, /readyz, /healthz (spec/2 §2.10). Load balancers ask ten times a second, so the common
// answer is one comparison per check and a constant.
import HTTP
import Schema
import World

/// One named check of a server, asked at every probe: must be cheap and must not block. `problem` is nil when all is well.
public typealias HealthChecks = @Sendable () -> [(name: String, problem: String?)]

/// Answers one health path and the paths of its single checks below it.
public struct HealthPath: PathHandler {
  /// "livez", "readyz" or "healthz".
  private let name: String
  private let checks: HealthChecks
  /// The checks that count here; nil for all of them.
  private let included: Set<String>?
  private let metrics: HealthMetrics?

  /// - Parameter metrics: who counts what the checks say.
  public init(
    name: String, including included: Set<String>? = nil, metrics: HealthMetrics? = nil, checks: @escaping HealthChecks
  ) {
    self.name = name
    self.checks = checks
    self.included = included
    self.metrics = metrics
  }

  /// Plain text; the type says so and browsers shall believe it.
  private static let headers: HTTPHeaders = [
    "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff",
  ]
  private static let well = Array("ok".utf8)

  public func respond(to request: HTTPRequest, context: RequestContext) async -> HTTPResponse {
    guard request.method == "GET" || request.method == "HEAD" else { return Self.text(405, "Method Not Allowed\n") }
    let checks = self.checks().filter { included?.contains($0.name) ?? true }
    for check in checks { metrics?.observed(check.name, of: name, isWell: check.problem == nil) }
    if request.target.utf8.count == name.utf8.count + 1, checks.allSatisfy({ $0.problem == nil }) {
      return HTTPResponse(status: 200, headers: Self.headers, body: .bytes(Self.well))
    }
    guard let path = RequestPath(request.target) else { return Self.text(400, "the request's path is malformed\n") }
    if path.segments.count > 1 { return single(path.segments.dropFirst().joined(separator: "/"), checks) }
    return report(path.query, checks)
  }

  /// /livez/NAME.
  private func single(_ wanted: String, _ checks: [(name: String, problem: String?)]) -> HTTPResponse {
    guard let check = checks.first(where: { $0.name == wanted }) else { return Self.text(404, "404 page not found\n") }
    guard let problem = check.problem else {
      return HTTPResponse(status: 200, headers: Self.headers, body: .bytes(Self.well))
    }
    return Self.text(500, "internal server error: \(problem)\n")
  }

  /// All checks; the reasons of those that fail are for the log and for those who may ask for the single check.
  private func report(_ query: Query, _ checks: [(name: String, problem: String?)]) -> HTTPResponse {
    var unmatched = Set(query.values("exclude"))
    var lines = ""
    var isWell = true
    for check in checks {
      if unmatched.remove(check.name) != nil || query.values("exclude").contains(check.name) {
        lines += "[+]\(check.name) excluded: ok\n"
      } else if check.problem == nil {
        lines += "[+]\(check.name) ok\n"
      } else {
        lines += "[-]\(check.name) failed: reason withheld\n"
        isWell = false
      }
    }
    if !unmatched.isEmpty {
      let names = unmatched.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
      lines += "warn: some health checks cannot be excluded: no matches for \(names)\n"
    }
    guard isWell else { return Self.text(500, "\(lines)\(name) check failed\n") }
    guard query["verbose"] != nil else {
      return HTTPResponse(status: 200, headers: Self.headers, body: .bytes(Self.well))
    }
    return Self.text(200, "\(lines)\(name) check passed\n")
  }

  private static func text(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(status: status, headers: headers, body: .bytes(Array(text.utf8)))
  }
}

/// Lets everybody ask whether the server is well. Health must not depend on roles in a store that may be unreachable,
/// or empty because the cluster is a second old.
public struct HealthAuthorizer: Authorizer {
  static let paths: Set<String> = ["/livez", "/readyz", "/healthz"]
  public init() {}

  public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
    !attributes.isResourceRequest && ["get", "head"].contains(attributes.verb)
      && Self.paths.contains(attributes.path)
      ? .allow() : .noOpinion()
  }
}
