import APIServer
import EventLoop
import HTTP
import JSON
import Replica
import World

/// Authentication, authorization and admission of a server.
enum ServerSecurity {
  static func dependencies(
    configuration: ServerConfiguration, certificates: ServerCertificates, store: any ObjectStore, world: any World,
    health: ServerHealth
  ) throws -> APIServer.Dependencies {
    let tokens = ServiceAccountTokens(key: certificates.tokenKey)
    let rbac = RBACAuthorizer(store: store, world: world)
    let authorizer = AuthorizerChain([HealthPathsAuthorizer(), MastersAuthorizer(), NodeAuthorizer(store: store), rbac])
    var dependencies = APIServer.Dependencies()
    dependencies.authenticator = RequestAuthenticator(
      store: store, tokens: tokens, authorizer: authorizer, wallClock: { world.wallClock })
    dependencies.authorizer = authorizer
    dependencies.admission = Admission(
      mutating: [
        ServiceAccountAdmission { world.randomBits() }, TaintNewNodes(), PriorityAdmission(), DefaultTolerations(),
      ], validating: [NamespaceLifecycle(), NodeRestriction(), EscalationCheck(rbac: rbac, authorizer: authorizer)])
    dependencies.paths["/readyz"] = ReadyPath(health: health)
    dependencies.paths["/livez"] = ReadyPath(health: nil)
    dependencies.paths["/healthz"] = ReadyPath(health: nil)
    return dependencies
  }
}

struct ReadyPath: PathHandler {
  let health: ServerHealth?
  func respond(to request: HTTPRequest, context: RequestContext) async -> HTTPResponse {
    let problem = health?.checks().first { $0.problem != nil }
    return HTTPResponse(
      status: problem == nil ? 200 : 500, headers: ["content-type": "text/plain"],
      body: .bytes(Array((problem.map { "[-]\($0.name) failed: \($0.problem ?? "")\n" } ?? "ok").utf8)))
  }
}
