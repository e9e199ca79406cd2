// The seams for what is served beside stored objects: reviews and tokens (answers computed on create), paths that are
// no resources (health, issuer documents), and the way to a kubelet.
import HTTP
import JSON
import Schema
import World

/// Who asks, about what: the part of a request that computed answers need.
public struct RequestContext: Sendable {
  public var user: RequestUser
  public var namespace: String
  /// The parent object's name for a subresource, else empty.
  public var name: String
  public var isDryRun: Bool
  public var now: WallTime
  /// The loop the request runs on.
  public var world: any World

  public init(
    user: RequestUser, namespace: String = "", name: String = "", isDryRun: Bool = false, now: WallTime,
    world: any World
  ) {
    self.user = user
    self.namespace = namespace
    self.name = name
    self.isDryRun = isDryRun
    self.now = now
    self.world = world
  }
}

/// A resource whose create computes an answer and stores nothing: TokenReview, SubjectAccessReview, serviceaccounts/token.
/// The body reaches it decoded, pruned and defaulted; the answer goes out with 201.
public protocol ComputedResource: Sendable {
  func create(_ object: JSONValue, context: RequestContext, objects: ObjectLookup) async throws(APIStatus) -> JSONValue
}

/// Answers paths that are no resources: "/livez", "/openid/v1/jwks". Requests reach it authenticated and authorized.
public protocol PathHandler: Sendable {
  func respond(to request: HTTPRequest, context: RequestContext) async -> HTTPResponse
}

/// The way to the kubelets: logs, exec, attach, port forwarding, proxying (spec/7).
public protocol KubeletConnector: Sendable {
  /// Forwards a request to the kubelet of `node` (a Node object as a tree); `path` begins with "/containerLogs/…",
  /// "/exec/…", … and carries its query. Throws 502-like statuses when the kubelet cannot be reached.
  func forward(_ request: HTTPRequest, to node: JSONValue, path: String) async throws(APIStatus) -> HTTPResponse

  /// Sends a request on to a pod. `host` is an address that `ProxyAddress` allows. Throws 503 when nobody answers there.
  func reach(
    _ request: HTTPRequest, host: String, port: UInt16, isSecure: Bool, path: String
  ) async throws(APIStatus) -> HTTPResponse
}

extension KubeletConnector {
  public func reach(
    _ request: HTTPRequest, host: String, port: UInt16, isSecure: Bool, path: String
  ) async throws(APIStatus) -> HTTPResponse {
    throw .serviceUnavailable("error trying to reach service: no route from this server to the pod network")
  }
}

/// Reaches no kubelet: the answer is what the reference says when nothing listens at the kubelet's port.
public struct UnreachableKubelets: KubeletConnector {
  public init() {}
  public func forward(_ request: HTTPRequest, to node: JSONValue, path: String) async throws(APIStatus) -> HTTPResponse
  {
    throw KubeletEndpoint(node).unreachable(path, "connect: connection refused")
  }
}
