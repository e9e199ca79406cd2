// The paths below /trireme/ that change the group: who may, which one it is, and where it is carried out.
import APIServer
import HTTP
import JSON
import Schema
import Synchronization
import World

/// Servers of the cluster, proven by their certificates, may use each other's paths; everybody else needs a role
/// (nonResourceURLs: /trireme/...) or system:masters.
struct ServersAuthorizer: Authorizer {
  func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
    !attributes.isResourceRequest && attributes.path.hasPrefix("/trireme/")
      && attributes.user.groups.contains(ServerIdentity.organization) ? .allow() : .noOpinion()
  }
}

/// Everything below /trireme/ that is not answered elsewhere. The operations are put in when the server stands.
final class OperationsPaths: PathHandler {
  private let operations = Mutex<Operations?>(nil)

  func serve(_ operations: Operations) { self.operations.withLock { $0 = operations } }

  func respond(to request: HTTPRequest, context: RequestContext) async -> HTTPResponse {
    guard let operations = operations.withLock({ $0 }) else {
      return Self.response(APIStatus.serviceUnavailable("the server is starting"))
    }
    do {
      return try await operations.respond(to: request, user: context.user)
    } catch let status as APIStatus {
      return Self.response(status)
    } catch let failure as HTTPError {
      return Self.response(APIStatus.serviceUnavailable("\(failure)"))
    } catch {
      return Self.response(APIStatus.internalError("\(error)"))
    }
  }

  static func response(_ status: APIStatus) -> HTTPResponse {
    HTTPResponse(
      status: status.code, headers: ["content-type": "application/json"], body: .bytes(status.json.bytes))
  }

  static func response(_ body: JSONValue, status: Int = 200) -> HTTPResponse {
    HTTPResponse(status: status, headers: ["content-type": "application/json"], body: .bytes(body.bytes))
  }
}

extension APIStatus {
  /// The request is understood and refused as things are: nothing was changed.
  static func refused(_ message: String) -> APIStatus { APIStatus(code: 409, reason: "Conflict", message: message) }
  static func absent(_ message: String) -> APIStatus { APIStatus(code: 404, reason: "NotFound", message: message) }
}
