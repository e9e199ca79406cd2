// A server with the security it has in a cluster, over a store in memory: what the stories of security are told with.
import APIServer
import EventLoop
import HTTP
import JSON
import Replica
import Schema
import TLS
import Testing
import World

struct SecurityCluster {
  let inside: TestServer
  let parts: SecurityParts
  var store: LocalStore { inside.store }

  /// `clock`: by which tokens expire. `bootstrapped`: with the default roles.
  init(
    bootstrapped: Bool = true, clock: any World = testLoop, servers: [ServerEndpoint] = [],
    options: SecurityOptions = SecurityOptions()
  ) async throws {
    let store = LocalStore(world: testLoop)
    let parts = SecurityParts(
      store: store, tokenKey: try PrivateKey.generateP256(), world: clock, options: options)
    self.parts = parts
    inside = TestServer(store: store) { $0 = parts.dependencies(checks: { [("ping", nil), ("log", nil)] }) }
    if bootstrapped {
      try await Self.bootstrap(store, servers: servers).reconcile()
      // What controllers do in a cluster.
      try await inside.post("/api/v1/namespaces/default/serviceaccounts", account("default"))
    }
  }

  static func bootstrap(_ store: LocalStore, servers: [ServerEndpoint] = []) -> BootstrapController {
    var options = BootstrapController.Options()
    options.clientAuthorityPEM = "-----BEGIN CERTIFICATE-----\n"
    return BootstrapController(store: store, options: options, world: testLoop, liveServers: { servers })
  }

  /// The cluster as this user sees it.
  func user(_ name: String, groups: [String] = []) -> TestServer {
    var server = inside
    server.identity = TrustedContext(user: name, groups: groups)
    return server
  }
  func node(_ name: String) -> TestServer { user("system:node:\(name)", groups: ["system:nodes"]) }
  func serviceAccount(_ name: String, in namespace: String = "default") -> TestServer {
    user(
      "system:serviceaccount:\(namespace):\(name)",
      groups: ["system:serviceaccounts", "system:serviceaccounts:\(namespace)"])
  }

  /// A request that came over a socket: nobody vouches for it.
  func outside(
    _ method: String, _ target: String, _ body: JSONValue? = nil, token: String? = nil, peer: PeerIdentity? = nil,
    headers: HTTPHeaders = [:]
  ) async throws -> Reply {
    var headers = headers
    if let token { headers["authorization"] = "Bearer \(token)" }
    let response = await inside.server.respond(
      to: HTTPRequest(
        method: method, target: target, headers: headers, body: body.map { .bytes($0.bytes) } ?? .empty, peer: peer))
    let bytes = try await response.body.collect()
    return Reply(
      status: response.status, headers: response.headers, json: (try? JSONValue(parsing: bytes)) ?? .null,
      text: String(decoding: bytes, as: UTF8.self))
  }

  /// Who the server takes the sender for.
  func whoAmI(token: String? = nil, peer: PeerIdentity? = nil, headers: HTTPHeaders = [:]) async throws -> Reply {
    try await outside(
      "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
      ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"], token: token, peer: peer,
      headers: headers)
  }

  /// A token of a service account, asked for by the administrator.
  func token(_ account: String, in namespace: String = "default", _ spec: JSONValue = [:]) async throws -> Reply {
    try await inside.post(
      "/api/v1/namespaces/\(namespace)/serviceaccounts/\(account)/token",
      ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec])
  }

  /// Gives a user a cluster role in a namespace.
  @discardableResult
  func grant(_ role: String, to user: String, in namespace: String = "default", kind: String = "User") async throws
    -> Reply
  {
    var subject: JSONValue = ["kind": .string(kind), "name": .string(user)]
    if kind != "ServiceAccount" {
      subject["apiGroup"] = "rbac.authorization.k8s.io"
    } else {
      subject["namespace"] = .string(namespace)
    }
    return try await inside.post(
      "/apis/rbac.authorization.k8s.io/v1/namespaces/\(namespace)/rolebindings",
      binding("\(role)-\(user)", role: role, subjects: [subject]))
  }

  /// Gives a user rules everywhere.
  func grantEverywhere(_ rules: JSONValue, to user: String) async throws {
    let roles = "/apis/rbac.authorization.k8s.io/v1"
    let role = try await inside.post(
      "\(roles)/clusterroles",
      [
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": ["name": .string("of-\(user)")], "rules": rules,
      ])
    #expect(role.status == 201, "\(role.text)")
    let bound = try await inside.post(
      "\(roles)/clusterrolebindings",
      binding(
        "of-\(user)", role: "of-\(user)", kind: "ClusterRoleBinding",
        subjects: [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": .string(user)]]))
    #expect(bound.status == 201, "\(bound.text)")
  }
}

/// Time that a test turns by hand, on the loop of all tests.
final class TurnedClock: World {
  private let offset: Duration
  init(ahead offset: Duration) { self.offset = offset }
  var executor: any SerialExecutor & TaskExecutor { testLoop.executor }
  var now: MonotonicTime { testLoop.now }
  var wallClock: WallTime { testLoop.wallClock + offset }
  func randomBits() -> UInt64 { testLoop.randomBits() }
  func execute(_ body: @escaping @Sendable () -> Void) { testLoop.execute(body) }
  func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
    testLoop.schedule(after: delay, body)
  }
}

// MARK: - Objects of the stories

func account(_ name: String) -> JSONValue {
  ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": .string(name)]]
}

func namespace(_ name: String) -> JSONValue {
  ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)]]
}

func node(_ name: String, labels: JSONValue = .null) -> JSONValue {
  var object: JSONValue = ["apiVersion": "v1", "kind": "Node", "metadata": ["name": .string(name)]]
  if !labels.isNull { object["metadata"]["labels"] = labels }
  return object
}

func secret(_ name: String, _ data: JSONValue = ["a": "MQ=="], type: String = "Opaque") -> JSONValue {
  [
    "apiVersion": "v1", "kind": "Secret", "metadata": ["name": .string(name)], "type": .string(type), "data": data,
  ]
}

func role(_ name: String, kind: String = "Role", labels: JSONValue = .null, rules: JSONValue) -> JSONValue {
  var object: JSONValue = [
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": .string(kind), "metadata": ["name": .string(name)],
    "rules": rules,
  ]
  if !labels.isNull { object["metadata"]["labels"] = labels }
  return object
}

func rule(_ verbs: [JSONValue], _ resources: [JSONValue], groups: [JSONValue] = [""], names: [JSONValue] = [])
  -> JSONValue
{
  var rule: JSONValue = [
    "verbs": .array(verbs), "apiGroups": .array(groups), "resources": .array(resources),
  ]
  if !names.isEmpty { rule["resourceNames"] = .array(names) }
  return rule
}

func binding(
  _ name: String, role: String, roleKind: String = "ClusterRole", kind: String = "RoleBinding", subjects: [JSONValue]
) -> JSONValue {
  [
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": .string(kind), "metadata": ["name": .string(name)],
    "subjects": .array(subjects),
    "roleRef": [
      "apiGroup": "rbac.authorization.k8s.io", "kind": .string(roleKind), "name": .string(role),
    ],
  ]
}

let secrets = "/api/v1/namespaces/default/secrets"
let nodes = "/api/v1/nodes"
let serviceAccounts = "/api/v1/namespaces/default/serviceaccounts"
let rbacPath = "/apis/rbac.authorization.k8s.io/v1"
