// A whole extension server, of somebody else's making: a process of its own (Python) with TLS, the front proxy's
// certificate as its only proof of who asks, and authorization delegated to this server.
import APIServer
import EventLoop
import HTTP
import JSON
import Replica
import Schema
import Synchronization
import TLS
import Testing
import World

/// The API over a plain socket, and the place where the process says that it listens.
private final class Lobby: HTTPHandler {
  private let api: APIServer
  private let state = Mutex<(port: Int64?, waiter: CheckedContinuation<Int64, Never>?)>((nil, nil))
  init(_ api: APIServer) { self.api = api }

  func respond(to request: HTTPRequest) async -> HTTPResponse {
    guard request.target == "/ready" else { return await api.respond(to: request) }
    let bytes = (try? await request.body.collect()) ?? []
    let port = (try? JSONValue(parsing: bytes))?["port"].integer ?? 0
    let waiter = state.withLock { state in
      state.port = port
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: port)
    return HTTPResponse(status: 200, body: .bytes(Array("{}".utf8)))
  }

  var port: Int64 {
    get async {
      await withCheckedContinuation { continuation in
        let port = state.withLock { state in
          if state.port == nil { state.waiter = continuation }
          return state.port
        }
        if let port { continuation.resume(returning: port) }
      }
    }
  }
}

@Suite struct ExtensionServerTests {
  private static let script = """
    import http.client, http.server, json, os, ssl, tempfile
    API, GROUP = os.environ["API"], "/apis/metrics.example.com/v1beta1"
    def post(path, body):
        c = http.client.HTTPConnection(API, timeout=30)
        c.request("POST", path, json.dumps(body),
                  {"Authorization": "Bearer " + os.environ["TOKEN"], "Content-Type": "application/json"})
        return json.loads(c.getresponse().read())
    def file(name):
        f = tempfile.NamedTemporaryFile(delete=False)
        f.write(os.environ[name].encode())
        f.close()
        return f.name
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *args): pass
        def reply(self, code, tree):
            body = json.dumps(tree).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def do_GET(self):
            subject = dict(part[0] for part in self.connection.getpeercert()["subject"])
            if subject["commonName"] != "front-proxy-client": return self.reply(401, {})
            user, groups = self.headers["X-Remote-User"], self.headers.get_all("X-Remote-Group")
            path = self.path.split("?")[0]
            if path == GROUP:
                return self.reply(200, {"kind": "APIResourceList", "apiVersion": "v1",
                    "groupVersion": "metrics.example.com/v1beta1", "resources": [{"name": "nodes",
                    "singularName": "", "namespaced": False, "kind": "NodeMetrics", "verbs": ["list"]}]})
            if not path.startswith(GROUP): return self.reply(404, {})
            review = post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
                "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": {"user": user,
                "groups": groups, "resourceAttributes": {"verb": "list", "group": "metrics.example.com",
                "resource": "nodes"}}})
            if not review.get("status", {}).get("allowed"): return self.reply(403, review)
            self.reply(200, {"kind": "NodeMetricsList", "apiVersion": "metrics.example.com/v1beta1",
                "metadata": {}, "items": [], "user": user, "groups": groups})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key, authority = file("CERTIFICATE"), file("KEY"), file("AUTHORITY")
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    for name in (certificate, key, authority): os.unlink(name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    post("/ready", {"port": server.server_address[1]})
    server.serve_forever()
    """

  @Test func anExtensionServerInAnotherLanguageServesUnderOurRoof() async throws {
    // Given a cluster with its roles, an authority for the front proxy, and an account for the extension server,
    let store = LocalStore(world: testLoop)
    let parts = SecurityParts(store: store, tokenKey: try PrivateKey.generateP256(), world: testLoop)
    let cluster = TestServer(store: store) {
      $0 = parts.dependencies(checks: { [("ping", nil), ("log", nil)] })
      $0.aggregation = FrontProxyConnections(loop: testLoop)
    }
    var options = BootstrapController.Options()
    options.clientAuthorityPEM = "-----BEGIN CERTIFICATE-----\n"
    options.keepsFrontProxyAuthority = true
    let bootstrap = BootstrapController(store: store, options: options, world: testLoop) { [] }
    try await bootstrap.reconcile()
    try await bootstrap.reconcile()
    try await cluster.post("/api/v1/namespaces/default/serviceaccounts", account("metrics"))
    let roles = "/apis/rbac.authorization.k8s.io/v1"
    try await cluster.post(
      "\(roles)/clusterrolebindings",
      binding(
        "metrics", role: "system:auth-delegator", kind: "ClusterRoleBinding",
        subjects: [["kind": "ServiceAccount", "name": "metrics", "namespace": "default"]]))
    let token = try await cluster.post(
      "/api/v1/namespaces/default/serviceaccounts/metrics/token",
      ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": [:]]
    ).json["status"]["token"].string
    let authority = try await cluster.get(
      "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    ).json["data"]["requestheader-client-ca-file"].string
    // and the process, which says where it listens,
    let now = testLoop.wallClock
    let own = try CertificateAuthority.generate(commonName: "extension", lifetime: .seconds(86_400), now: now)
    let identity = try own.issue(
      CertificateTemplate(
        commonName: "metrics.default.svc", dnsNames: ["metrics.default.svc"], usages: [.serverAuthentication],
        lifetime: .seconds(86_400)), now: now)
    let lobby = Lobby(cluster.server)
    let http = HTTPServer(loops: [testLoop], address: .ip("127.0.0.1", port: 0), tls: nil, handler: lobby)
    let address = try await http.start()
    var process = ChildProcessOptions(executable: "python3", arguments: ["-c", Self.script])
    process.environment = [
      "PATH": "/usr/local/bin:/usr/bin:/bin", "API": "127.0.0.1:\(address.port)", "TOKEN": try #require(token),
      "AUTHORITY": try #require(authority), "CERTIFICATE": identity.certificatePEM, "KEY": identity.privateKey.pem,
    ]
    process.standardError = .capture(limit: 1 << 16)
    let options2 = process
    let child = Task { try await ChildProcess.run(options2, on: testLoop, deadline: .seconds(120)) }
    defer { child.cancel() }
    let port = try await testLoop.withDeadline(.seconds(60)) { await lobby.port }
    // when it is registered and found to be available,
    try await cluster.createService("metrics", port: UInt16(port))
    let registered = try await cluster.post(
      "/apis/apiregistration.k8s.io/v1/apiservices",
      [
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": ["name": "v1beta1.metrics.example.com"],
        "spec": [
          "group": "metrics.example.com", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
          "caBundle": .string(Base64.encode(Array(own.certificate.pem.utf8))),
          "service": ["namespace": "default", "name": "metrics"],
        ],
      ])
    #expect(registered.status == 201, "\(registered.text)")
    try await cluster.server.reconcileAPIServices(isLeader: true)
    let condition = try await cluster.get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.example.com")
      .json["status"]["conditions"][0]
    #expect(condition["reason"] == "Passed", "\(condition)")
    // then it answers those whom the cluster's roles let, knowing their names.
    var alice = cluster
    alice.identity = TrustedContext(user: "alice", groups: ["team"])
    let nodes = "/apis/metrics.example.com/v1beta1/nodes"
    #expect(try await alice.get(nodes).status == 403)
    try await cluster.post(
      "\(roles)/clusterroles",
      [
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": ["name": "metrics-reader"],
        "rules": [["apiGroups": ["metrics.example.com"], "resources": ["nodes"], "verbs": ["list"]]],
      ])
    try await cluster.post(
      "\(roles)/clusterrolebindings",
      binding(
        "alice", role: "metrics-reader", kind: "ClusterRoleBinding",
        subjects: [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"]]))
    let list = try await alice.get(nodes)
    #expect(list.status == 200 && list.json["user"] == "alice", "\(list.text)")
    #expect(list.json["groups"] == ["team", "system:authenticated"], "\(list.text)")
    child.cancel()
    _ = try? await child.value
    await http.shutdown(deadline: .zero)
  }
}
