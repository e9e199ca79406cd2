// Admission webhooks: who is asked, what they may do, and what becomes of a request when they fail.
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

/// A webhook in the test's process: answers by a closure, remembers what it was asked.
final class FakeWebhook: WebhookTransport {
  private let answer: @Sendable (JSONValue) -> JSONValue
  private let log = Mutex<[(target: WebhookTarget, path: String, request: JSONValue)]>([])

  init(_ answer: @escaping @Sendable (JSONValue) -> JSONValue) { self.answer = answer }

  var calls: [(target: WebhookTarget, path: String, request: JSONValue)] { log.withLock { $0 } }

  func send(_ request: HTTPRequest, to target: WebhookTarget, within limit: Duration) async throws -> HTTPResponse {
    let review = try JSONValue(parsing: try await request.body.collect())
    log.withLock { $0.append((target, request.target, review["request"])) }
    var response = answer(review["request"])
    if response["hang"] == true { throw HTTPError.timedOut("the response") }
    response["uid"] = review["request"]["uid"]
    let body: JSONValue = [
      "kind": "AdmissionReview", "apiVersion": review["apiVersion"], "response": response,
    ]
    return HTTPResponse(status: 200, body: .bytes(body.bytes))
  }
}

private let allowed: JSONValue = ["allowed": true]

private func patching(_ patch: JSONValue) -> JSONValue {
  ["allowed": true, "patchType": "JSONPatch", "patch": .string(Base64.encode(patch.bytes))]
}

private func webhook(_ name: String, _ change: JSONValue = [:], resources: JSONValue = ["configmaps"]) -> JSONValue {
  var webhook: JSONValue = [
    "name": .string(name), "clientConfig": ["url": "https://hooks.example.com:8443/check"],
    "rules": [["operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": resources]],
    "sideEffects": "None", "admissionReviewVersions": ["v1"],
  ]
  for (name, value) in change.object ?? [:] { webhook[name] = value }
  return webhook
}

@Suite struct WebhookTests {
  private static let group = "/apis/admissionregistration.k8s.io/v1"

  private func cluster(_ hook: FakeWebhook) -> TestServer {
    let caller = WebhookCaller(transport: hook) { testLoop.randomBits() }
    return TestServer {
      $0.admission = Admission(validating: [ValidatingWebhooks(caller)], webhooks: MutatingWebhooks(caller))
    }
  }

  private func configure(_ cluster: TestServer, _ kind: String, _ name: String, _ webhooks: [JSONValue]) async throws {
    let reply = try await cluster.post(
      "\(Self.group)/\(kind.lowercased())webhookconfigurations",
      [
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": .string("\(kind)WebhookConfiguration"),
        "metadata": ["name": .string(name)], "webhooks": .array(webhooks),
      ])
    try #require(reply.status == 201, "\(reply.text)")
  }

  @Test func aWebhookSeesTheRequestAndMayRefuseIt() async throws {
    let hook = FakeWebhook { _ in ["allowed": false, "status": ["message": "not today", "code": 403]] }
    let cluster = cluster(hook)
    try await configure(cluster, "Validating", "a", [webhook("check.example.com")])
    let reply = try await cluster.post(configMaps, configMap("a"))
    #expect(reply.status == 403)
    #expect(reply.message == "admission webhook \"check.example.com\" denied the request: not today")
    let call = try #require(hook.calls.first)
    #expect(call.path == "/check?timeout=10s" && call.target.port == 8443)
    #expect(call.request["operation"] == "CREATE" && call.request["namespace"] == "default")
    #expect(call.request["kind"] == ["group": "", "version": "v1", "kind": "ConfigMap"])
    #expect(call.request["resource"] == ["group": "", "version": "v1", "resource": "configmaps"])
    #expect(call.request["object"]["data"]["a"] == "1" && call.request["dryRun"] == false)
    #expect(call.request["userInfo"]["username"] == "alice" && call.request["options"]["kind"] == "CreateOptions")
    // Without explanation it is a bad request.
    let silent = self.cluster(FakeWebhook { _ in ["allowed": false] })
    try await configure(silent, "Validating", "a", [webhook("check.example.com")])
    let refused = try await silent.post(configMaps, configMap("a"))
    #expect(refused.status == 400)
    #expect(refused.message == "admission webhook \"check.example.com\" denied the request without explanation")
  }

  @Test func aWebhookMayChangeObjectsAndWarn() async throws {
    let cluster = cluster(
      FakeWebhook { request in
        var answer = patching([["op": "add", "path": "/data/by", "value": "hook"]])
        if request["operation"] == "DELETE" { answer = allowed }
        answer["warnings"] = ["mind the gap"]
        return answer
      })
    try await configure(cluster, "Mutating", "a", [webhook("change.example.com")])
    let created = try await cluster.post(configMaps, configMap("a"))
    #expect(created.json["data"] == ["a": "1", "by": "hook"], "\(created.text)")
    #expect(created.headers.values("warning") == [#"299 - "mind the gap""#])
    #expect(try await cluster.delete("\(configMaps)/a").status == 200)
    // Configurations themselves are nobody's business but their authors'.
    let count = try await cluster.get("\(Self.group)/mutatingwebhookconfigurations").names.count
    #expect(count == 1)
  }

  @Test func webhooksRunInOrderAndThoseThatWishItOnceMore() async throws {
    let hook = FakeWebhook { request in
      let text = request["object"]["data"]["seen"].string ?? ""
      return patching([["op": "add", "path": "/data/seen", "value": .string(text + "x")]])
    }
    let cluster = cluster(hook)
    try await configure(cluster, "Mutating", "b", [webhook("second.example.com")])
    try await configure(cluster, "Mutating", "a", [webhook("first.example.com", ["reinvocationPolicy": "IfNeeded"])])
    let created = try await cluster.post(configMaps, configMap("a"))
    // First, second, and the first again because the second changed what it had seen.
    #expect(created.json["data"]["seen"] == "xxx")
    #expect(hook.calls.count == 3)
  }

  @Test func selectorsAndConditionsDecideWhoIsAsked() async throws {
    let hook = FakeWebhook { _ in ["allowed": false] }
    let cluster = cluster(hook)
    try await cluster.post("/api/v1/namespaces", namespace("default"))
    try await configure(
      cluster, "Validating", "a",
      [
        webhook("labels.example.com", ["objectSelector": ["matchLabels": ["check": "yes"]]]),
        webhook("spaces.example.com", ["namespaceSelector": ["matchLabels": ["check": "yes"]]]),
        webhook(
          "conditions.example.com",
          ["matchConditions": [["name": "big", "expression": "object.metadata.name.startsWith('big')"]]]),
        webhook("others.example.com", resources: ["secrets", "configmaps/status"]),
      ])
    #expect(try await cluster.post(configMaps, configMap("a")).status == 201)
    #expect(hook.calls.isEmpty)
    let labelled = try await cluster.post(configMaps, configMap("b", labels: ["check": "yes"]))
    #expect(labelled.message.contains("labels.example.com"))
    #expect(try await cluster.post(configMaps, configMap("big")).message.contains("conditions.example.com"))
    try await cluster.patch("/api/v1/namespaces/default", ["metadata": ["labels": ["check": "yes"]]])
    #expect(try await cluster.post(configMaps, configMap("c")).message.contains("spaces.example.com"))
  }

  @Test func aWebhookThatFailsStopsTheRequestOrIsPassedOver() async throws {
    let cluster = cluster(FakeWebhook { _ in ["hang": true] })
    try await configure(cluster, "Validating", "a", [webhook("slow.example.com", ["failurePolicy": "Ignore"])])
    #expect(try await cluster.post(configMaps, configMap("a")).status == 201)
    try await configure(cluster, "Validating", "b", [webhook("slower.example.com", ["timeoutSeconds": 3])])
    let reply = try await cluster.post(configMaps, configMap("b"))
    #expect(reply.status == 500 && reply.reason == "InternalError")
    #expect(
      reply.message
        == "Internal error occurred: failed calling webhook \"slower.example.com\": failed to call webhook: Post "
        + "\"https://hooks.example.com:8443/check?timeout=3s\": context deadline exceeded")
    // A service that is not there.
    let service: JSONValue = ["service": ["namespace": "default", "name": "hook", "path": "/v"]]
    let other = self.cluster(FakeWebhook { _ in allowed })
    try await configure(other, "Validating", "a", [webhook("gone.example.com", ["clientConfig": service])])
    #expect(
      try await other.post(configMaps, configMap("b")).message
        == "Internal error occurred: failed calling webhook \"gone.example.com\": failed to call webhook: Post "
        + "\"https://hook.default.svc:443/v?timeout=10s\": service \"hook\" not found")
  }

  @Test func dryRunsReachOnlyWebhooksWithoutSideEffects() async throws {
    let hook = FakeWebhook { _ in allowed }
    let cluster = cluster(hook)
    try await configure(cluster, "Validating", "a", [webhook("fine.example.com", ["sideEffects": "NoneOnDryRun"])])
    #expect(try await cluster.post("\(configMaps)?dryRun=All", configMap("a")).status == 201)
    #expect(hook.calls.first?.request["dryRun"] == true)
  }

  @Test func aServiceIsReachedAtOneOfItsEndpoints() async throws {
    let hook = FakeWebhook { _ in allowed }
    let cluster = cluster(hook)
    try await cluster.post(
      "/api/v1/namespaces/default/services",
      [
        "apiVersion": "v1", "kind": "Service", "metadata": ["name": "hook"],
        "spec": ["ports": [["port": 443, "targetPort": 9443]]],
      ])
    try await cluster.post(
      "/api/v1/namespaces/default/endpoints",
      [
        "apiVersion": "v1", "kind": "Endpoints", "metadata": ["name": "hook"],
        "subsets": [["addresses": [["ip": "10.1.2.3"]], "ports": [["port": 9443]]]],
      ])
    let service: JSONValue = ["service": ["namespace": "default", "name": "hook", "path": "/v"]]
    try await configure(cluster, "Validating", "a", [webhook("in.example.com", ["clientConfig": service])])
    #expect(try await cluster.post(configMaps, configMap("a")).status == 201)
    let target = try #require(hook.calls.first?.target)
    #expect(target.host == "10.1.2.3" && target.port == 9443 && target.serverName == "hook.default.svc")
  }
}
