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

  @Test func whatBecameOfWebhooksIsCountedUnderTheNamesOfTheReference() async throws {
    let hook = FakeWebhook { request in
      switch request["object"]["metadata"]["name"].string {
      case "refused": ["allowed": false, "status": ["code": 403, "message": "no"]]
      case "lost": ["hang": true]
      default: ["allowed": true]
      }
    }
    let caller = WebhookCaller(transport: hook) { testLoop.randomBits() }
    let cluster = TestServer {
      $0.admission = Admission(validating: [ValidatingWebhooks(caller)], webhooks: MutatingWebhooks(caller))
      $0.webhooks = caller
    }
    let made = try await cluster.post(
      "\(Self.group)/validatingwebhookconfigurations",
      [
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": ["name": "w"],
        "webhooks": [webhook("check.example.com"), webhook("open.example.com", ["failurePolicy": "Ignore"])],
      ])
    try #require(made.status == 201, "\(made.text)")
    for name in ["good", "refused", "lost"] { try await cluster.post(configMaps, configMap(name)) }
    let metrics = try await cluster.get("/metrics").text
    let check = #"{name="check.example.com",type="validating",operation="CREATE""#
    for line in [
      "apiserver_admission_webhook_request_total\(check),code=\"200\",rejected=\"false\"} 1",
      "apiserver_admission_webhook_request_total\(check),code=\"403\",rejected=\"true\"} 1",
      "apiserver_admission_webhook_request_total\(check),code=\"503\",rejected=\"true\"} 1",
      "apiserver_admission_webhook_rejection_count\(check),error_type=\"no_error\",rejection_code=\"403\"} 1",
      "apiserver_admission_webhook_rejection_count\(check),error_type=\"calling_webhook_error\",rejection_code=\"503\"} 1",
      "apiserver_admission_webhook_fail_open_count{name=\"open.example.com\",type=\"validating\"} 1",
      "apiserver_admission_webhook_admission_duration_seconds_count\(check),rejected=\"true\"} 2",
    ] {
      #expect(metrics.contains(line + "\n"), "\(line)")
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
    // A status that is none would make an answer that nobody can read.
    for code in [1000, Int64.max] {
      let odd = self.cluster(FakeWebhook { _ in ["allowed": false, "status": ["code": .integer(code)]] })
      try await configure(odd, "Validating", "a", [webhook("check.example.com")])
      #expect(try await odd.post(configMaps, configMap("a")).status == 500)
    }
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

  @Test func aWebhookForAnotherVersionSeesThatVersion() async throws {
    let hook = FakeWebhook { request in
      request["operation"] == "CREATE"
        ? patching([["op": "replace", "path": "/spec/targetCPUUtilizationPercentage", "value": 70]]) : allowed
    }
    let cluster = cluster(hook)
    var old = webhook("old.example.com", resources: ["horizontalpodautoscalers"])
    old["rules"][0]["apiGroups"] = ["autoscaling"]
    old["rules"][0]["apiVersions"] = ["v1"]
    try await configure(cluster, "Mutating", "a", [old])
    let created = try await cluster.post(
      "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
      [
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": ["name": "h"],
        "spec": [
          "maxReplicas": 3, "scaleTargetRef": ["kind": "Deployment", "name": "d", "apiVersion": "apps/v1"],
          "metrics": [
            [
              "type": "Resource",
              "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 50]],
            ]
          ],
        ],
      ])
    #expect(created.status == 201, "\(created.text)")
    let seen = try #require(hook.calls.first?.request)
    #expect(seen["kind"] == ["group": "autoscaling", "version": "v1", "kind": "HorizontalPodAutoscaler"])
    #expect(seen["resource"]["version"] == "v1" && seen["requestResource"]["version"] == "v2")
    #expect(seen["requestKind"]["version"] == "v2")
    #expect(seen["object"]["apiVersion"] == "autoscaling/v1")
    #expect(seen["object"]["spec"]["targetCPUUtilizationPercentage"] == 50)
    let target = created.json["spec"]["metrics"][0]["resource"]["target"]
    #expect(created.json["apiVersion"] == "autoscaling/v2" && target["averageUtilization"] == 70, "\(created.text)")
    // One that asks for exactly that version is not asked.
    let exact = FakeWebhook { _ in ["allowed": false] }
    let other = self.cluster(exact)
    old["matchPolicy"] = "Exact"
    try await configure(other, "Mutating", "a", [old])
    #expect(
      try await other.post(
        "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
        [
          "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": ["name": "h"],
          "spec": ["maxReplicas": 3, "scaleTargetRef": ["kind": "Deployment", "name": "d", "apiVersion": "apps/v1"]],
        ]
      ).status == 201)
    #expect(exact.calls.isEmpty)
  }

  @Test func eventsAreEventsInBothGroups() async throws {
    let hook = FakeWebhook { _ in allowed }
    let cluster = cluster(hook)
    var new = webhook("new.example.com", resources: ["events"])
    new["rules"][0]["apiGroups"] = ["events.k8s.io"]
    try await configure(cluster, "Validating", "a", [new])
    let created = try await cluster.post(
      "/api/v1/namespaces/default/events",
      [
        "apiVersion": "v1", "kind": "Event", "metadata": ["name": "e"], "message": "hello", "reason": "Test",
        "type": "Normal", "involvedObject": ["kind": "Pod", "name": "p", "namespace": "default"],
      ])
    #expect(created.status == 201, "\(created.text)")
    let seen = try #require(hook.calls.first?.request)
    #expect(seen["kind"]["group"] == "events.k8s.io" && seen["requestKind"]["group"] == "")
    #expect(seen["object"]["note"] == "hello" && seen["object"]["regarding"]["name"] == "p")
  }

  @Test func conditionsMayAskTheAuthorizer() async throws {
    let hook = FakeWebhook { _ in allowed }
    let caller = WebhookCaller(transport: hook, authorizer: OnlyReads()) { testLoop.randomBits() }
    let cluster = TestServer { $0.admission = Admission(validating: [ValidatingWebhooks(caller)]) }
    func condition(_ verb: String) -> JSONValue {
      let check = "authorizer.group('').resource('configmaps').namespace('default').check('\(verb)').allowed()"
      return ["matchConditions": [["name": "may", "expression": .string(check)]]]
    }
    try await configure(
      cluster, "Validating", "a",
      [webhook("reads.example.com", condition("get")), webhook("writes.example.com", condition("update"))])
    #expect(try await cluster.post(configMaps, configMap("a")).status == 201)
    #expect(hook.calls.count == 1)
  }

  @Test func theAuditLogTellsWhatWebhooksDid() async throws {
    let hook = FakeWebhook { request in
      if request["object"]["data"]["fail"] == "yes" { return ["hang": true] }
      var answer = patching([["op": "add", "path": "/data/by", "value": "hook"]])
      answer["auditAnnotations"] = ["seen": "yes", "not/a/key": "x"]
      return answer
    }
    let caller = WebhookCaller(transport: hook) { testLoop.randomBits() }
    let events = RecordedEvents()
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Request\n"
    let log = AuditLog(policy: try AuditPolicy(parsing: Array(policy.utf8)), sink: events)
    let cluster = TestServer {
      $0.admission = Admission(webhooks: MutatingWebhooks(caller))
      $0.audit = log
    }
    try await configure(cluster, "Mutating", "a", [webhook("change.example.com", ["failurePolicy": "Ignore"])])
    try await cluster.post(configMaps, configMap("a"))
    let told = try #require(events.all.last)["annotations"]
    #expect(
      told["mutation.webhook.admission.k8s.io/round_0_index_0"].string
        == #"{"configuration":"a","webhook":"change.example.com","mutated":true}"#)
    #expect(
      told["patch.webhook.admission.k8s.io/round_0_index_0"].string
        == #"{"configuration":"a","webhook":"change.example.com","patch":[{"op":"add","path":"/data/by","value":"hook"}],"patchType":"JSONPatch"}"#
    )
    #expect(told["change.example.com/seen"] == "yes" && told["change.example.com/not/a/key"].isNull)
    var failing = configMap("b")
    failing["data"]["fail"] = "yes"
    #expect(try await cluster.post(configMaps, failing).status == 201)
    let passed = try #require(events.all.last)["annotations"]
    #expect(passed["failed-open.mutation.webhook.admission.k8s.io/round_0_index_0"] == "change.example.com")
    #expect(
      passed["mutation.webhook.admission.k8s.io/round_0_index_0"].string
        == #"{"configuration":"a","webhook":"change.example.com","mutated":false}"#)
  }
}

private struct OnlyReads: Authorizer {
  func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
    attributes.verb == "get" ? .allow() : .noOpinion()
  }
}

final class RecordedEvents: AuditSink {
  private let lines = Mutex<[JSONValue]>([])
  func write(_ event: [UInt8]) {
    let tree = (try? JSONValue(parsing: event)) ?? .null
    lines.withLock { $0.append(tree) }
  }
  var all: [JSONValue] { lines.withLock { $0 } }
}
