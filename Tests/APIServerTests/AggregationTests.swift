// Aggregated APIs: who answers for a group version, and what becomes of requests when another server does. The other
// server really listens (TLS on loopback) and knows this one by the front proxy's certificate.
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

@Suite struct AggregationTests {
  private static let services = "/apis/apiregistration.k8s.io/v1/apiservices"
  private static let name = "v1beta1.metrics.example.com"
  private static let group = "/apis/metrics.example.com/v1beta1"

  private static let resourceList: JSONValue = [
    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.example.com/v1beta1",
    "resources": [
      [
        "name": "nodes", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get", "list"],
        "shortNames": ["nm"],
      ],
      ["name": "nodes/status", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get"]],
    ],
  ]

  private static func json(_ tree: JSONValue, status: Int = 200) -> HTTPResponse {
    HTTPResponse(status: status, headers: ["content-type": "application/json"], body: .bytes(tree.bytes))
  }

  /// An extension server with one resource.
  private static let answer: TLSService.Answer = { request, _ in
    switch request.target {
    case group: json(resourceList)
    case "/openapi/v3":
      json(["paths": ["apis/metrics.example.com/v1beta1": ["serverRelativeURL": .string("/openapi/v3\(group)?hash=1")]]]
      )
    case "/openapi/v3\(group)", "/openapi/v3\(group)?hash=1": json(["openapi": "3.0.0", "paths": [:]])
    case "/openapi/v2":
      json([
        "swagger": "2.0",
        "paths": [
          "\(group)/nodes": ["get": ["responses": ["200": ["schema": ["$ref": "#/definitions/example.NodeMetrics"]]]]],
          "/apis/other.example.com/v1/things": ["get": [:]],
        ],
        "definitions": [
          "example.NodeMetrics": [
            "type": "object",
            "properties": ["metadata": ["$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]],
          ],
          "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": ["type": "object", "description": "theirs"],
          "example.Unused": ["type": "string"],
        ],
      ])
    case _ where request.target.hasPrefix("\(group)/nodes"):
      json(["kind": "NodeMetricsList", "apiVersion": "metrics.example.com/v1beta1", "items": []])
    default: HTTPResponse(status: 404)
    }
  }

  private struct Scene {
    let cluster: TestServer
    let service: TLSService
    func get(_ target: String, accept: String? = nil) async throws -> Reply {
      try await cluster.get(target, accept: accept)
    }
    func condition() async throws -> JSONValue {
      try await cluster.get("\(services)/\(name)").json["status"]["conditions"][0]
    }
    func reconcile() async throws { try await cluster.server.reconcileAPIServices(isLeader: true) }
  }

  private static func apiService(_ service: TLSService, _ change: JSONValue = [:]) -> JSONValue {
    var spec: JSONValue = [
      "group": "metrics.example.com", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
      "caBundle": service.caBundle, "service": ["namespace": "default", "name": "metrics"],
    ]
    for (name, value) in change.object ?? [:] { spec[name] = value }
    return [
      "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": ["name": .string(name)],
      "spec": spec,
    ]
  }

  /// A cluster with the authority of its front proxy and an extension server that asks clients for certificates.
  private func scene(
    isRegistered: Bool = true, authenticator: any Authenticator = FixedAuthenticator(),
    _ answer: @escaping TLSService.Answer = answer
  ) async throws -> Scene {
    let cluster = TestServer {
      $0.aggregation = FrontProxyConnections(loop: testLoop)
      $0.authenticator = authenticator
    }
    var options = BootstrapController.Options()
    options.clientAuthorityPEM = "-----BEGIN CERTIFICATE-----\n"
    options.keepsFrontProxyAuthority = true
    let bootstrap = BootstrapController(store: cluster.store, options: options, world: testLoop) { [] }
    try await bootstrap.reconcile()
    try await bootstrap.reconcile()
    let map = try await cluster.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication").json
    #expect(map["data"]["requestheader-allowed-names"] == "[\"front-proxy-client\"]")
    #expect(map["data"]["requestheader-username-headers"] == "[\"X-Remote-User\"]")
    let pem = try #require(map["data"]["requestheader-client-ca-file"].string)
    let service = try await TLSService(
      dnsName: "metrics.default.svc", clientTrust: [try Certificate(pem: pem)], answer)
    if isRegistered {
      try await cluster.createService("metrics", port: service.port)
      let created = try await cluster.post(Self.services, Self.apiService(service))
      try #require(created.status == 201, "\(created.text)")
    }
    return Scene(cluster: cluster, service: service)
  }

  // MARK: - Registration

  @Test func everyGroupVersionOfThisServerHasAnAPIService() async throws {
    let scene = try await scene(isRegistered: false)
    let core = try await scene.get("\(Self.services)/v1.").json
    #expect(core["spec"] == ["version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1])
    #expect(core["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"] == "onstart")
    let condition = core["status"]["conditions"][0]
    #expect(condition["type"] == "Available" && condition["status"] == "True" && condition["reason"] == "Local")
    #expect(condition["message"] == "Local APIServices are always available")
    let names = Set(try await scene.get(Self.services).names)
    #expect(names.isSuperset(of: ["v1.apps", "v1.rbac.authorization.k8s.io", "v2.autoscaling", "v1.batch"]))
    #expect(!names.contains("v1.apiregistration.k8s.io"))
    // Those of definitions come and go with them.
    try await scene.cluster.define(cronTabDefinition())
    try await scene.reconcile()
    let custom = try await scene.get("\(Self.services)/v1.stable.example.com").json
    #expect(custom["spec"]["groupPriorityMinimum"] == 1000 && custom["spec"]["versionPriority"] == 100)
    #expect(custom["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"] == "true")
    try await scene.cluster.delete("\(definitionsPath)/crontabs.stable.example.com")
    try await scene.cluster.server.reconcileDefinitions()
    try await scene.cluster.server.reconcileDefinitions()
    try await scene.reconcile()
    #expect(try await scene.get("\(Self.services)/v1.stable.example.com").status == 404)
    await scene.service.stop()
  }

  // MARK: - Availability

  @Test func availabilityIsToldWithItsReason() async throws {
    let scene = try await scene(isRegistered: false)
    let cluster = scene.cluster
    try await cluster.post(Self.services, Self.apiService(scene.service))
    // Before anybody has looked it is not available.
    #expect(try await scene.get("\(Self.group)/nodes").status == 503)
    func expect(_ reason: String, _ message: String) async throws {
      try await scene.reconcile()
      let condition = try await scene.condition()
      #expect(condition["reason"].string == reason && condition["message"].string == message, "\(condition)")
      #expect(condition["status"] == (reason == "Passed" ? "True" : "False"))
    }
    try await expect("ServiceNotFound", "service/metrics in \"default\" is not present")
    let place = "/api/v1/namespaces/default"
    var service: JSONValue = [
      "apiVersion": "v1", "kind": "Service", "metadata": ["name": "metrics"], "spec": ["ports": [["port": 8443]]],
    ]
    try await cluster.post("\(place)/services", service)
    try await expect("ServicePortError", "service/metrics in \"default\" is not listening on port 443")
    try await cluster.delete("\(place)/services/metrics")
    service["spec"]["ports"] = [["name": "https", "port": 443]]
    try await cluster.post("\(place)/services", service)
    try await expect("EndpointsNotFound", "cannot find endpoints for service/metrics in \"default\"")
    try cluster.storeEndpoints("metrics", .null)
    try await expect(
      "MissingEndpoints", "endpoints for service/metrics in \"default\" have no addresses with port name \"https\"")
    let port = JSONValue.integer(Int64(scene.service.port))
    try cluster.storeEndpoints(
      "metrics", [["addresses": [["ip": "127.0.0.1"]], "ports": [["name": "https", "port": port]]]])
    let url = "https://127.0.0.1:\(scene.service.port)\(Self.group)"
    scene.service.setAnswer { _, _ in HTTPResponse(status: 403) }
    try await expect(
      "FailedDiscoveryCheck", "failing or missing response from \(url): bad status from \(url): 403")
    scene.service.setAnswer(Self.answer)
    try await expect("Passed", "all checks passed")
    let table = try await scene.get(
      "\(Self.services)/\(Self.name)", accept: "application/json;as=Table;g=meta.k8s.io;v=v1")
    #expect(table.json["rows"][0]["cells"][1] == "default/metrics" && table.json["rows"][0]["cells"][2] == "True")
    await scene.service.stop()
    try await scene.reconcile()
    #expect(try await scene.condition()["reason"] == "FailedDiscoveryCheck")
    let refused = try await scene.get("\(Self.group)/nodes")
    #expect(refused.status == 503 && refused.text == "service unavailable\n")
  }

  // MARK: - Requests

  @Test func requestsReachTheOtherServerInTheNameOfTheClient() async throws {
    let scene = try await scene()
    try await scene.reconcile()
    let response = try await scene.cluster.raw(
      "GET", "\(Self.group)/nodes?limit=5", [],
      [
        "authorization": "Bearer secret", "x-remote-user": "admin", "x-remote-group": "system:masters",
        "x-remote-extra-a": "b", "accept": "application/json", "connection": "x-secret", "x-secret": "1",
      ])
    #expect(response.status == 200)
    let call = try #require(scene.service.calls.last)
    #expect(call.target == "\(Self.group)/nodes?limit=5")
    // Who asks is what this server found out, and the other knows that this server says so.
    #expect(call.peer == "front-proxy-client")
    #expect(call.headers.values("x-remote-user") == ["alice"])
    #expect(call.headers.values("x-remote-group").contains("system:masters"))
    #expect(call.headers["x-remote-extra-a"] == nil && call.headers["authorization"] == nil)
    #expect(call.headers["x-secret"] == nil && call.headers["accept"] == "application/json")
    // Bodies, methods and failures pass.
    scene.service.setAnswer { request, body in
      Self.json(["method": .string(request.method), "body": body], status: 409)
    }
    let posted = try await scene.cluster.post("\(Self.group)/nodes", ["a": 1])
    #expect(posted.status == 409 && posted.json["body"] == ["a": 1] && posted.json["method"] == "POST")
    await scene.service.stop()
  }

  /// What a user is known by beside the name has keys like "authentication.kubernetes.io/credential-id".
  @Test func keysOfExtraFactsAreEscapedInTheNamesOfFields() async throws {
    struct Jane: Authenticator {
      func authenticate(_ request: HTTPRequest) async throws(APIStatus) -> RequestUser {
        RequestUser(name: "jane", groups: ["system:authenticated"], extra: ["Example.com/scope a": ["dev"]])
      }
    }
    let scene = try await scene(authenticator: Jane())
    try await scene.reconcile()
    let response = try await scene.cluster.raw("GET", "\(Self.group)/nodes")
    #expect(response.status == 200)
    let call = try #require(scene.service.calls.last)
    #expect(call.headers["x-remote-user"] == "jane")
    #expect(call.headers["x-remote-extra-example.com%2fscope%20a"] == "dev", "\(call.headers.fields)")
    await scene.service.stop()
  }

  /// Notes for which requests the time is that of the whole answer, and lets them fail.
  private final class TimeNotes: AggregationTransport {
    let targets = Mutex<[String: Bool]>([:])
    func send(
      _ request: HTTPRequest, to target: WebhookTarget, within limit: Duration, isWhole: Bool, authority: StoredObject?
    ) async throws -> HTTPResponse {
      targets.withLock { $0[request.target] = isWhole }
      if request.target.hasSuffix("/huge") {
        return HTTPResponse(status: 200, body: .bytes([UInt8](repeating: 32, count: 33 << 20)))
      }
      let list = request.target == group ? resourceList : [:]
      return HTTPResponse(status: 200, body: .bytes(list.bytes))
    }
  }

  /// One that hangs would keep the conditions, and the APIServices of definitions, of all others from ever moving again.
  @Test func whatTheAggregatorAsksForItselfIsTimedToItsEnd() async throws {
    let notes = TimeNotes()
    let cluster = TestServer { $0.aggregation = notes }
    try await cluster.createService("metrics", port: 443)
    let spec: JSONValue = [
      "group": "metrics.example.com", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
      "insecureSkipTLSVerify": true, "service": ["namespace": "default", "name": "metrics"],
    ]
    let created = try await cluster.post(
      Self.services,
      [
        "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1", "metadata": ["name": .string(Self.name)],
        "spec": spec,
      ])
    try #require(created.status == 201, "\(created.text)")
    try await cluster.server.reconcileAPIServices(isLeader: true)
    #expect(try await cluster.get(Self.group).status == 200)
    // So is what loops of this process ask, and as much as they can hold of it; watches go on.
    #expect(try await cluster.get("\(Self.group)/nodes").status == 200)
    #expect(try await cluster.get("\(Self.group)/nodes?watch=1").status == 200)
    #expect(try await cluster.get("\(Self.group)/nodes/huge").status == 503)
    #expect(
      notes.targets.withLock { $0 } == [
        Self.group: true, "/openapi/v3": true, "/openapi/v2": true, "\(Self.group)/nodes": true,
        "\(Self.group)/nodes?watch=1": false, "\(Self.group)/nodes/huge": true,
      ])
  }

  @Test func watchesAreStreamed() async throws {
    let scene = try await scene()
    try await scene.reconcile()
    let pipe = BytePipe()
    scene.service.setAnswer { _, _ in HTTPResponse(status: 200, body: .stream(pipe)) }
    let watch = try await scene.cluster.watch("\(Self.group)/nodes?watch=true")
    for index in 0..<3 {
      try await pipe.write(Array("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"n\(index)\"}}}\n".utf8))
      #expect(try await watch.next()?.name == "n\(index)")
    }
    pipe.finish()
    #expect(try await watch.next() == nil)
    await scene.service.stop()
  }

  @Test func upgradesPassThrough() async throws {
    let scene = try await scene()
    try await scene.reconcile()
    let tunnel = HTTPTunnel(inbound: BytePipe(), outbound: BytePipe())
    scene.service.setAnswer { request, _ in
      #expect(request.headers["upgrade"] == "spdy/3.1" && request.headers["x-remote-user"] == "alice")
      return HTTPResponse(status: 101, headers: ["connection": "Upgrade", "upgrade": "spdy/3.1"], tunnel: tunnel)
    }
    let response = try await scene.cluster.raw(
      "POST", "\(Self.group)/nodes/a/exec", [], ["connection": "Upgrade", "upgrade": "spdy/3.1"])
    #expect(response.status == 101)
    let other = try #require(response.tunnel)
    try await other.outbound.write(Array("ping".utf8))
    #expect(try await testLoop.withDeadline(.seconds(10)) { try await tunnel.inbound.next() } == Array("ping".utf8))
    try await tunnel.outbound.write(Array("pong".utf8))
    #expect(try await testLoop.withDeadline(.seconds(10)) { try await other.inbound.next() } == Array("pong".utf8))
    other.outbound.finish()
    tunnel.outbound.finish()
    await scene.service.stop()
  }

  /// CVE-2022-3172: an aggregated server redirects clients, with their credentials, wherever it likes.
  @Test func cve20223172RedirectionsOfAggregatedServersGoNoFurther() async throws {
    let scene = try await scene()
    try await scene.reconcile()
    let count = scene.service.calls.count
    scene.service.setAnswer { _, _ in HTTPResponse(status: 302, headers: ["location": "https://elsewhere.example.com/"])
    }
    let response = try await scene.cluster.raw("GET", "\(Self.group)/nodes")
    #expect(response.status == 502 && response.headers["location"] == nil)
    #expect(
      String(decoding: try await response.body.collect(), as: UTF8.self)
        == "the backend attempted to redirect this request, which is not permitted")
    #expect(scene.service.calls.count == count + 1)
    await scene.service.stop()
  }

  @Test func theCertificateMustBeWhatTheAPIServiceSays() async throws {
    let scene = try await scene()
    let other = try await TLSService(dnsName: "metrics.default.svc", Self.answer)
    let path = "\(Self.services)/\(Self.name)"
    try await scene.cluster.patch(path, ["spec": ["caBundle": other.caBundle]])
    try await scene.reconcile()
    let condition = try await scene.condition()
    #expect(
      condition["reason"] == "FailedDiscoveryCheck"
        && condition["message"].string?.contains("tls: failed to verify certificate") == true, "\(condition)")
    try await scene.cluster.patch(path, ["spec": ["caBundle": .null, "insecureSkipTLSVerify": true]])
    try await scene.reconcile()
    #expect(try await scene.condition()["reason"] == "Passed")
    #expect(try await scene.get("\(Self.group)/nodes").status == 200)
    await scene.service.stop()
    await other.stop()
  }

  // MARK: - Discovery

  private static let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

  @Test func discoveryNamesTheGroupsOfOtherServersAmongOurs() async throws {
    let scene = try await scene()
    try await scene.cluster.define(cronTabDefinition())
    try await scene.reconcile()
    let list = try await scene.get("/apis").json["groups"].elements
    #expect(list.last?["name"] == "metrics.example.com" && list.first?["name"] == "apiregistration.k8s.io")
    #expect(list.last?["preferredVersion"]["groupVersion"] == "metrics.example.com/v1beta1")
    #expect(list.dropLast().last?["name"] == "stable.example.com")
    #expect(try await scene.get("/apis/metrics.example.com").json["versions"].elements.count == 1)
    #expect(try await scene.get(Self.group).json == Self.resourceList)
    let reply = try await scene.get("/apis", accept: Self.aggregated)
    let item = try #require(reply.json["items"].elements.last)
    #expect(item["metadata"]["name"] == "metrics.example.com")
    let version = item["versions"][0]
    #expect(version["version"] == "v1beta1" && version["freshness"] == "Current")
    let nodes = version["resources"][0]
    #expect(nodes["resource"] == "nodes" && nodes["scope"] == "Cluster" && nodes["shortNames"] == ["nm"])
    #expect(
      nodes["responseKind"] == ["group": "metrics.example.com", "version": "v1beta1", "kind": "NodeMetrics"])
    #expect(nodes["subresources"][0]["subresource"] == "status")
    // A server that no longer answers is told to be stale, with what it last said.
    await scene.service.stop()
    try await scene.reconcile()
    let stale = try await scene.get("/apis", accept: Self.aggregated)
    #expect(stale.headers["etag"] != reply.headers["etag"])
    let last = stale.json["items"].elements.last?["versions"][0]
    #expect(last?["freshness"] == "Stale" && last?["resources"] == version["resources"])
    // When its APIService goes, so does its group.
    try await scene.cluster.delete("\(Self.services)/\(Self.name)")
    #expect(try await scene.get("/apis").json["groups"].elements.last?["name"] == "stable.example.com")
    #expect(try await scene.get("\(Self.group)/nodes").status == 404)
  }

  @Test func aGroupOfHighPriorityComesFirst() async throws {
    let scene = try await scene()
    try await scene.cluster.patch("\(Self.services)/\(Self.name)", ["spec": ["groupPriorityMinimum": 17450]])
    try await scene.reconcile()
    let names = try await scene.get("/apis").json["groups"].elements.compactMap { $0["name"].string }
    let place = try #require(names.firstIndex(of: "metrics.example.com"))
    #expect(names[place - 1] == "autoscaling" && names[place + 1] == "batch")
    await scene.service.stop()
  }

  @Test func openAPINamesTheDocumentsOfOtherServersAndPassesThemOn() async throws {
    let scene = try await scene()
    try await scene.reconcile()
    let index = try await scene.get("/openapi/v3")
    let address = try #require(index.json["paths"]["apis/metrics.example.com/v1beta1"]["serverRelativeURL"].string)
    #expect(address == "/openapi/v3\(Self.group)?hash=1")
    #expect(!index.json["paths"]["apis/apps/v1"].isNull)
    #expect(try await scene.get(address).json["openapi"] == "3.0.0")
    await scene.service.stop()
  }

  @Test func version2HoldsWhatOtherServersSayOfTheirGroupVersion() async throws {
    let scene = try await scene()
    let before = try await scene.get("/openapi/v2").json
    try await scene.reconcile()
    let document = try await scene.get("/openapi/v2").json
    let path = "\(Self.group)/nodes"
    #expect(before["paths"][path].isNull && !document["paths"][path].isNull)
    #expect(document["paths"]["/apis/other.example.com/v1/things"].isNull)
    #expect(document["paths"].object?.count == (before["paths"].object?.count ?? 0) + 1)
    #expect(document["definitions"]["example.NodeMetrics"]["type"] == "object")
    #expect(document["definitions"]["example.Unused"].isNull)
    // What all servers share is said once, by us.
    let shared = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    #expect(document["definitions"][shared] == before["definitions"][shared])
    let protobuf = try await scene.get(
      "/openapi/v2", accept: "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    #expect(protobuf.text.contains(path))
    await scene.service.stop()
  }

  @Test func aServerThatHasNotHeardOfAnAPIServiceLooksForIt() async throws {
    let scene = try await scene()
    try await scene.reconcile()
    let second = TestServer(store: scene.cluster.store) { $0.aggregation = FrontProxyConnections(loop: testLoop) }
    #expect(try await second.get("\(Self.group)/nodes").status == 200)
    // What it serves is told as soon as it was asked here too.
    try await second.server.reconcileAPIServices(isLeader: false)
    #expect(
      try await second.get("/apis", accept: Self.aggregated).json["items"].elements.last?["versions"][0]["freshness"]
        == "Current")
    await scene.service.stop()
  }
}
