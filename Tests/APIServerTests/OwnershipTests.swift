// Who owns what admission adds, and what answers that are not stored tell of their authors.
import APIServer
import EventLoop
import HTTP
import JSON
import Schema
import Testing
import World

@Suite struct OwnershipTests {
  private func fields(_ object: JSONValue, _ manager: String) -> JSONValue {
    object["metadata"]["managedFields"].elements.first { $0["manager"].string == manager }?["fieldsV1"] ?? .null
  }

  @Test func ownersThatAreToldTwiceAreKeptOnce() async throws {
    let server = TestServer()
    let owner: JSONValue = ["apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u1"]
    var object = configMap("one")
    object["metadata"]["ownerReferences"] = [owner, owner]
    func warning(_ when: String) -> String {
      "299 - \".metadata.ownerReferences contains duplicate entries\(when); API server dedups owner references in 1.20+, "
        + "and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: u1\""
    }
    let made = try await server.post(configMaps, object)
    #expect(made.status == 201 && made.headers.values("warning") == [warning("")])
    #expect(made.json["metadata"]["ownerReferences"] == [owner])
    let put = try await server.put("\(configMaps)/one", object)
    #expect(put.headers.values("warning") == [warning("")] && put.json["metadata"]["ownerReferences"] == [owner])
    let patch = try await server.patch("\(configMaps)/one", ["metadata": ["ownerReferences": [owner, owner]]])
    #expect(patch.headers.values("warning") == [warning(" after mutating admission happens")])
    #expect(patch.json["metadata"]["ownerReferences"] == [owner])
  }

  @Test func whatAdmissionAddsToAPodIsNobodys() async throws {
    let cluster = try await SecurityCluster()
    let made = try await cluster.inside.post("\(pods)?fieldManager=me", pod("web"))
    #expect(!made.json["spec"]["volumes"].isNull && made.json["spec"]["priority"] == 0, "\(made.text)")
    let owned = fields(made.json, "me")["f:spec"]
    #expect(
      (owned.object ?? [:]).map(\.key) == [
        "f:containers", "f:dnsPolicy", "f:enableServiceLinks", "f:restartPolicy", "f:schedulerName",
        "f:securityContext", "f:terminationGracePeriodSeconds",
      ])
    let container = owned["f:containers"].object?.map(\.value)[0] ?? .null
    #expect(!container["f:image"].isNull && container["f:volumeMounts"].isNull)
  }

  private func cluster(_ patch: JSONValue, seen: FakeWebhook? = nil) async throws -> (TestServer, FakeWebhook) {
    let hook = FakeWebhook { _ in
      ["allowed": true, "patchType": "JSONPatch", "patch": .string(Base64.encode(patch.bytes))]
    }
    let caller = WebhookCaller(transport: hook) { testLoop.randomBits() }
    let cluster = TestServer { $0.admission = Admission(webhooks: MutatingWebhooks(caller)) }
    let configured = try await cluster.post(
      "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
      [
        "metadata": ["name": "w"],
        "webhooks": [
          [
            "name": "change.example.com", "clientConfig": ["url": "https://hooks.example.com"],
            "rules": [
              ["operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["configmaps"]]
            ],
            "sideEffects": "None", "admissionReviewVersions": ["v1"],
          ]
        ],
      ])
    try #require(configured.status == 201, "\(configured.text)")
    return (cluster, hook)
  }

  @Test func aWebhookSeesOwnersAndOwnsNothingItself() async throws {
    let (cluster, hook) = try await cluster([["op": "add", "path": "/data/by", "value": "hook"]])
    let made = try await cluster.post("\(configMaps)?fieldManager=me", configMap("a"))
    #expect(made.json["data"]["by"] == "hook", "\(made.text)")
    #expect(fields(made.json, "me")["f:data"] == [".": [:], "f:a": [:]])
    let changed = try await cluster.send(
      "PATCH", "\(configMaps)/a?fieldManager=you", ["data": ["b": "2"]],
      ["content-type": "application/merge-patch+json"])
    #expect(fields(changed.json, "you")["f:data"] == ["f:b": [:]])
    #expect(hook.calls.count == 2)
    for (call, manager) in zip(hook.calls, ["me", "you"]) {
      #expect(!fields(call.request["object"], manager).isNull)
    }
  }

  @Test func ownersThatMakeNoSenseAfterAdmissionAreThoseOfBefore() async throws {
    let (cluster, _) = try await cluster([
      ["op": "replace", "path": "/metadata/managedFields/0/operation", "value": "Steal"]
    ])
    let made = try await cluster.post("\(configMaps)?fieldManager=me", configMap("a"))
    #expect(fields(made.json, "me")["f:data"] == [".": [:], "f:a": [:]], "\(made.text)")
    #expect(
      made.headers.values("warning") == [
        "299 - \".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated "
          + "mutating admission controller; please fix your requests: operation must be `Apply` or `Update`\""
      ])
  }

  @Test func reviewsAndTokensTellWhoAskedForThem() async throws {
    let cluster = try await SecurityCluster()
    let review = try await cluster.inside.post(
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews?fieldManager=me",
      ["spec": ["resourceAttributes": ["verb": "list", "resource": "pods"]]])
    #expect(
      fields(review.json, "me")
        == ["f:spec": ["f:resourceAttributes": [".": [:], "f:resource": [:], "f:verb": [:]]]], "\(review.text)")
    let token = try await cluster.inside.post(
      "\(serviceAccounts)/default/token?fieldManager=me", ["spec": [:]])
    #expect(fields(token.json, "me") == ["f:spec": ["f:expirationSeconds": [:]]], "\(token.text)")
    #expect(token.json["metadata"]["managedFields"][0]["subresource"] == "token")
  }

  @Test(arguments: [
    ("invalid", #"time: invalid duration "invalid""#), ("1", #"time: missing unit in duration "1""#),
    ("3x", #"time: unknown unit "x" in duration "3x""#), ("-", #"time: invalid duration "-""#),
  ])
  func aTimeoutThatIsNoDurationIsABadRequest(text: String, problem: String) async throws {
    let server = TestServer()
    for path in ["/version", configMaps] {
      let reply = try await server.get("\(path)?timeout=\(text)")
      #expect(reply.status == 400 && reply.reason == "BadRequest", "\(path)")
      #expect(reply.message == "invalid timeout specified in the request URL - \(problem)")
    }
  }

  @Test(arguments: ["0s", "3m", "1h2m", "1.5s", "", "-1s"])
  func aTimeoutMayBeAnyDuration(text: String) async throws {
    #expect(try await TestServer().get("\(configMaps)?timeout=\(text)").status == 200)
  }

  @Test func theSourceOfANewerEventIsWhoReportsIt() async throws {
    let server = TestServer()
    let newer: JSONValue = [
      "metadata": ["name": "newer"], "regarding": ["namespace": "default"], "action": "Do", "reason": "Test",
      "type": "Normal", "reportingController": "default-scheduler", "reportingInstance": "a",
      "eventTime": "2026-01-01T00:00:00.000000Z",
    ]
    let older: JSONValue = [
      "metadata": ["name": "older"], "involvedObject": ["namespace": "default"],
      "source": ["component": "default-scheduler"], "reportingComponent": "another",
    ]
    let made = try await server.post("/apis/events.k8s.io/v1/namespaces/default/events", newer)
    #expect(made.status == 201, "\(made.text)")
    try await server.post("/api/v1/namespaces/default/events", older)
    let events = "/api/v1/namespaces/default/events?fieldSelector=source%3D"
    #expect(try await server.get("\(events)default-scheduler").names == ["newer", "older"])
    #expect(try await server.get("\(events)another").names == [])
  }
}
