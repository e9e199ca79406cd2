/// Health is nobody's secret, and a load balancer must learn of it also from a server whose roles are not there yet
/// (kube-apiserver's always-allow-paths).
public struct HealthPathsAuthorizer: Authorizer {
  private static let paths: Set<String> = ["/livez", "/readyz", "/healthz"]
  public init() {}

  public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
    guard !attributes.isResourceRequest, attributes.verb == "get" else { return .noOpinion() }
    return Self.paths.contains(attributes.path) ? .allow() : .noOpinion()
  }
}
