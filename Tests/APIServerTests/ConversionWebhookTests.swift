// Custom resources in several versions, converted by a webhook that really listens (TLS on loopback).
import APIServer
import EventLoop
import HTTP
import JSON
import Schema
import TLS
import Testing

/// v1 says {"hostPort": "host:port"}, v2 says {"host": …, "port": …}: what no server can do by renaming.
private func convertEndpoint(_ object: JSONValue, to apiVersion: String) -> JSONValue {
  var result = object
  result["apiVersion"] = .string(apiVersion)
  let spec = object["spec"]
  if apiVersion.hasSuffix("/v2") {
    let parts = (spec["hostPort"].string ?? ":").split(separator: ":", omittingEmptySubsequences: false)
    result["spec"] = ["host": .string(String(parts[0])), "port": .string(String(parts.last ?? ""))]
  } else {
    result["spec"] = ["hostPort": .string("\(spec["host"].string ?? ""):\(spec["port"].string ?? "")")]
  }
  return result
}

private func review(
  _ request: JSONValue, with convert: (JSONValue, String) -> JSONValue = convertEndpoint,
  change: (inout JSONValue) -> Void = { _ in }
) -> HTTPResponse {
  let asked = request["request"]
  let version = asked["desiredAPIVersion"].string ?? ""
  var answer: JSONValue = [
    "kind": "ConversionReview", "apiVersion": request["apiVersion"],
    "response": [
      "uid": asked["uid"], "result": ["status": "Success"],
      "convertedObjects": .array(asked["objects"].elements.map { convert($0, version) }),
    ],
  ]
  change(&answer)
  return HTTPResponse(status: 200, headers: ["content-type": "application/json"], body: .bytes(answer.bytes))
}

@Suite struct ConversionWebhookTests {
  private static let v1 = "/apis/stable.example.com/v1/namespaces/default/crontabs"
  private static let v2 = "/apis/stable.example.com/v2/namespaces/default/crontabs"

  /// A cluster that stores v1 and serves v2 as well; the webhook is a service of it.
  private func cluster(_ service: TLSService) async throws -> TestServer {
    let caller = WebhookCaller(transport: WebhookConnections(loop: testLoop)) { testLoop.randomBits() }
    let cluster = TestServer {
      $0.webhooks = caller
      $0.admission = Admission(
        validating: [
          ValidatingAdmissionPolicies(authorizer: AuthorizerChain([]), webhooks: caller), ValidatingWebhooks(caller),
        ], webhooks: MutatingWebhooks(caller))
    }
    try await cluster.createService("hook", port: service.port)
    try await cluster.define(convertedCronTabs(service))
    return cluster
  }

  private func convertedCronTabs(_ service: TLSService) -> JSONValue {
    let second: JSONValue = [
      "type": "object",
      "properties": [
        "spec": ["type": "object", "properties": ["host": ["type": "string"], "port": ["type": "string"]]]
      ],
    ]
    let first: JSONValue = [
      "type": "object",
      "properties": ["spec": ["type": "object", "properties": ["hostPort": ["type": "string"]]]],
    ]
    var two = version("v2", storage: false, schema: second)
    two["selectableFields"] = [["jsonPath": ".spec.host"]]
    var all = definition(
      versions: [version("v1", schema: first), two])
    all["spec"]["conversion"] = [
      "strategy": "Webhook",
      "webhook": [
        "conversionReviewVersions": ["v1"],
        "clientConfig": [
          "caBundle": service.caBundle,
          "service": ["namespace": "default", "name": "hook", "path": "/convert"],
        ],
      ],
    ]
    return all
  }

  private func service() async throws -> TLSService {
    try await TLSService(dnsName: "hook.default.svc") { _, request in review(request) }
  }

  @Test func objectsAreServedInEveryVersionAndStoredInOne() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    // Given an object written in a version that is not stored,
    let created = try await cluster.post(
      Self.v2, cronTab("a", ["host": "example.com", "port": "80"], version: "v2"))
    #expect(created.status == 201, "\(created.text)")
    #expect(created.json["spec"] == ["host": "example.com", "port": "80"])
    #expect(created.json["apiVersion"] == "stable.example.com/v2")
    // then it is read in both, the same write by its version,
    let first = try await cluster.get("\(Self.v1)/a")
    #expect(first.json["spec"] == ["hostPort": "example.com:80"], "\(first.text)")
    #expect(first.json["metadata"]["resourceVersion"] == created.json["metadata"]["resourceVersion"])
    #expect(try await cluster.get("\(Self.v2)/a").json == created.json)
    // and the webhook was asked as the contract says.
    let call = try #require(service.calls.first)
    #expect(call.target == "/convert?timeout=30s" && call.method == "POST")
    #expect(call.json["apiVersion"] == "apiextensions.k8s.io/v1" && call.json["kind"] == "ConversionReview")
    #expect(call.json["request"]["desiredAPIVersion"] == "stable.example.com/v1")
    #expect(call.json["request"]["objects"][0]["spec"]["host"] == "example.com")
    #expect(!(call.json["request"]["uid"].string ?? "").isEmpty)
    // What was converted once is not converted again.
    let count = service.calls.count
    #expect(try await cluster.get("\(Self.v2)/a").status == 200)
    #expect(service.calls.count == count)
    await service.stop()
  }

  @Test func updatesPatchesAppliesAndDeletionsWorkInTheVersionOfTheRequest() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    try await cluster.post(Self.v1, cronTab("a", ["hostPort": "example.com:80"]))
    let patched = try await cluster.patch("\(Self.v2)/a", ["spec": ["port": "81"]])
    #expect(patched.json["spec"] == ["host": "example.com", "port": "81"], "\(patched.text)")
    #expect(patched.json["metadata"]["generation"] == 2)
    #expect(try await cluster.get("\(Self.v1)/a").json["spec"]["hostPort"] == "example.com:81")
    // Writing what is there changes nothing.
    let again = try await cluster.patch("\(Self.v2)/a", ["spec": ["port": "81"]])
    #expect(again.revision == patched.revision && again.json["spec"]["port"] == "81")
    var whole = again.json
    whole["spec"]["host"] = "example.org"
    #expect(try await cluster.put("\(Self.v2)/a", whole).json["spec"]["host"] == "example.org")
    let applied = try await cluster.patch(
      "\(Self.v2)/b?fieldManager=me", cronTab("b", ["host": "b", "port": "1"], version: "v2"), "apply-patch+yaml")
    #expect(applied.status == 201 && applied.json["spec"]["host"] == "b", "\(applied.text)")
    let changed = try await cluster.patch(
      "\(Self.v2)/b?fieldManager=me", cronTab("b", ["host": "c", "port": "1"], version: "v2"), "apply-patch+yaml")
    #expect(changed.status == 200 && changed.json["spec"]["host"] == "c", "\(changed.text)")
    #expect(try await cluster.get("\(Self.v1)/b").json["spec"]["hostPort"] == "c:1")
    #expect(try await cluster.delete("\(Self.v2)/b").json["status"] == "Success")
    await service.stop()
  }

  @Test func managersOfDifferentVersionsMeetThroughTheWebhook() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    func apply(_ path: String, _ manager: String, _ object: JSONValue, force: Bool = false) async throws -> Reply {
      try await cluster.patch("\(path)/a?fieldManager=\(manager)&force=\(force)", object, "apply-patch+yaml")
    }
    // Given a manager of v1 that owns what v2 has as two fields,
    #expect(try await apply(Self.v1, "one", cronTab("a", ["hostPort": "a:1"])).status == 201)
    let second = cronTab("a", ["port": "2"], version: "v2")
    // then one of v2 meets it there under the name it has in v1,
    let refused = try await apply(Self.v2, "two", second)
    #expect(refused.message == #"Apply failed with 1 conflict: conflict with "one": .spec.hostPort"#)
    // takes it by force,
    let forced = try await apply(Self.v2, "two", second, force: true)
    #expect(forced.json["spec"] == ["host": "a", "port": "2"], "\(forced.text)")
    #expect(forced.json["metadata"]["managedFields"].elements.map { $0["manager"] } == ["two"])
    // and is overtaken by an update through v1.
    let updated = try await cluster.patch("\(Self.v1)/a?fieldManager=three", ["spec": ["hostPort": "a:3"]])
    #expect(updated.json["metadata"]["managedFields"].elements.map { $0["manager"] } == ["three"])
    await service.stop()
  }

  @Test func policiesAndConditionsOfOneVersionJudgeObjectsOfAnother() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    let rule: JSONValue = [
      "apiGroups": ["stable.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["crontabs"],
    ]
    // Given a policy for v1,
    let registration = "/apis/admissionregistration.k8s.io/v1"
    try await cluster.post(
      "\(registration)/validatingadmissionpolicies",
      [
        "metadata": ["name": "ports"],
        "spec": [
          "matchConstraints": ["resourceRules": [rule]],
          "validations": [["expression": "!object.spec.hostPort.endsWith(':0')"]],
        ],
      ])
    try await cluster.post(
      "\(registration)/validatingadmissionpolicybindings",
      ["metadata": ["name": "ports"], "spec": ["policyName": "ports", "validationActions": ["Deny"]]])
    // and a webhook for v1 with a condition that says so of v1,
    try await cluster.post(
      "\(registration)/validatingwebhookconfigurations",
      [
        "metadata": ["name": "hosts"],
        "webhooks": [
          [
            "name": "hosts.example.com", "rules": [rule], "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "matchConditions": [["name": "bad", "expression": "object.spec.hostPort.startsWith('bad')"]],
            "clientConfig": [
              "caBundle": service.caBundle,
              "service": ["namespace": "default", "name": "hook", "path": "/admit"],
            ],
          ]
        ],
      ])
    // then objects of v2 are judged as those of v1 that they are.
    let denied = try await cluster.post(Self.v2, cronTab("a", ["host": "good", "port": "0"], version: "v2"))
    #expect(denied.status == 422, "\(denied.text)")
    #expect(denied.message.contains("failed expression: !object.spec.hostPort.endsWith(':0')"), "\(denied.message)")
    let good = try await cluster.post(Self.v2, cronTab("a", ["host": "good", "port": "1"], version: "v2"))
    #expect(good.status == 201, "\(good.text)")
    #expect(!service.calls.contains { $0.target.hasPrefix("/admit") })
    _ = try await cluster.post(Self.v2, cronTab("b", ["host": "bad", "port": "1"], version: "v2"))
    let call = try #require(service.calls.last { $0.target.hasPrefix("/admit") }).json["request"]
    #expect(call["object"]["spec"] == ["hostPort": "bad:1"])
    #expect(call["object"]["apiVersion"] == "stable.example.com/v1")
    #expect(call["kind"]["version"] == "v1" && call["requestKind"]["version"] == "v2")
    #expect(call["resource"]["version"] == "v1" && call["requestResource"]["version"] == "v2")
    await service.stop()
  }

  @Test func listsAreConvertedInFewCallsAndSelectedByWhatTheClientSees() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    for index in 0..<20 {
      try await cluster.post(Self.v1, cronTab("a\(index)", ["hostPort": .string("h\(index % 2):\(index)")]))
    }
    let before = service.calls.count
    let list = try await cluster.get(Self.v2)
    #expect(list.json["items"].elements.count == 20 && list.json["apiVersion"] == "stable.example.com/v2")
    #expect(list.json["items"].elements.allSatisfy { $0["spec"]["hostPort"].isNull && !$0["spec"]["port"].isNull })
    #expect(service.calls.count == before + 1)
    #expect(service.calls.last?.json["request"]["objects"].elements.count == 20)
    let selected = try await cluster.get("\(Self.v2)?fieldSelector=spec.host%3Dh1")
    #expect(selected.names.count == 10, "\(selected.text)")
    let page = try await cluster.get("\(Self.v2)?limit=7")
    #expect(page.names.count == 7 && page.json["metadata"]["remainingItemCount"] == 13)
    #expect(service.calls.count == before + 1)
    let table = try await cluster.get(
      Self.v2, accept: "application/json;as=Table;g=meta.k8s.io;v=v1,application/json")
    #expect(table.json["rows"].elements.count == 20)
    await service.stop()
  }

  @Test func watchesSeeEventsInTheirVersionInOrder() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    try await cluster.post(Self.v1, cronTab("a", ["hostPort": "a:1"]))
    let watch = try await cluster.watch("\(Self.v2)?watch=true&fieldSelector=spec.host%3Da")
    #expect(try await watch.next()?.object["spec"] == ["host": "a", "port": "1"])
    for port in 2...6 {
      let change: JSONValue = ["spec": ["hostPort": .string("a:\(port)")]]
      try await cluster.patch("\(Self.v1)/a", change)
    }
    let events = try await watch.next(5)
    #expect(events.map { $0.object["spec"]["port"] } == ["2", "3", "4", "5", "6"])
    #expect(events.allSatisfy { $0.type == "MODIFIED" && $0.object["apiVersion"] == "stable.example.com/v2" })
    // An object that leaves the selection, by the field of this version, is deleted for this watch.
    let left = try await cluster.patch("\(Self.v1)/a", ["spec": ["hostPort": "b:6"]])
    let gone = try #require(try await watch.next())
    #expect(
      gone.type == "DELETED" && gone.object["spec"] == ["host": "a", "port": "6"] && gone.revision == left.revision)
    let all = try await cluster.watch("\(Self.v2)?watch=true&resourceVersion=\(left.revision)")
    try await cluster.delete("\(Self.v1)/a")
    let deleted = try #require(try await all.next())
    #expect(deleted.type == "DELETED" && deleted.object["spec"] == ["host": "b", "port": "6"])
    #expect(deleted.revision > left.revision)
    watch.cancel()
    all.cancel()
    await service.stop()
  }

  @Test func theStorageVersionMayChangeWhileObjectsAreStoredInBoth() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    try await cluster.post(Self.v1, cronTab("old", ["hostPort": "old:1"]))
    let name = "crontabs.stable.example.com"
    var changed = try await cluster.get("\(definitionsPath)/\(name)").json
    changed["spec"]["versions"][0]["storage"] = false
    changed["spec"]["versions"][1]["storage"] = true
    let put = try await cluster.put("\(definitionsPath)/\(name)", changed)
    #expect(put.json["status"]["storedVersions"] == ["v1", "v2"], "\(put.text)")
    try await cluster.post(Self.v1, cronTab("new", ["hostPort": "new:1"]))
    for (path, member) in [(Self.v1, "hostPort"), (Self.v2, "host")] {
      let list = try await cluster.get(path)
      #expect(list.json["items"].elements.allSatisfy { !$0["spec"][member].isNull }, "\(list.text)")
      #expect(list.names == ["new", "old"])
    }
    await service.stop()
  }

  @Test func labelsAndAnnotationsMayChangeAndNothingElseOfTheMetadata() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    service.setAnswer { _, request in
      review(
        request,
        with: { object, version in
          var result = convertEndpoint(object, to: version)
          result["metadata"]["labels"]["from"] = "hook"
          result["metadata"]["finalizers"] = ["example.com/mine"]
          result["metadata"]["managedFields"] = .null
          return result
        })
    }
    let created = try await cluster.post(Self.v1, cronTab("a", ["hostPort": "a:1"]))
    let seen = try await cluster.get("\(Self.v2)/a").json
    #expect(seen["metadata"]["labels"]["from"] == "hook" && seen["metadata"]["finalizers"].isNull)
    #expect(seen["metadata"]["managedFields"] == created.json["metadata"]["managedFields"])
    await service.stop()
  }

  @Test func whatTheWebhookGetsWrongIsToldInFull() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    try await cluster.post(Self.v1, cronTab("a", ["hostPort": "a:1"]))
    let kind = "stable.example.com/v1, Kind=CronTab"
    func expect(_ message: String, _ answer: @escaping TLSService.Answer) async throws {
      service.setAnswer(answer)
      let reply = try await cluster.get("\(Self.v2)/a")
      #expect(reply.status == 500 && reply.reason == "")
      #expect(reply.message == "conversion webhook for \(kind) \(message)")
      // A list fails as a whole.
      #expect(try await cluster.get(Self.v2).status == 500)
    }
    service.setAnswer { _, request in review(request, change: { $0["response"]["uid"] = "other" }) }
    let foreign = try await cluster.get("\(Self.v2)/a").message
    #expect(foreign.hasPrefix("conversion webhook for \(kind) failed: expected response.uid=\""), "\(foreign)")
    #expect(foreign.hasSuffix(", got \"other\""))
    try await expect("failed: no way") { _, request in
      review(request, change: { $0["response"]["result"] = ["status": "Failure", "message": "no way"] })
    }
    try await expect("failed: response.result.status was '', not 'Success'") { _, request in
      review(request, change: { $0["response"]["result"] = [:] })
    }
    try await expect("returned 0 objects, expected 1") { _, request in
      review(request, change: { $0["response"]["convertedObjects"] = [] })
    }
    try await expect(
      "returned invalid object at index 0: invalid groupVersion (expected stable.example.com/v2, received stable.example.com/v1)"
    ) { _, request in review(request, with: { object, _ in object }) }
    try await expect("returned invalid object: must have the same name: a != b") { _, request in
      review(
        request,
        with: { object, version in
          var result = convertEndpoint(object, to: version)
          result["metadata"]["name"] = "b"
          return result
        })
    }
    try await expect("returned invalid object: must have the same name: a != ") { _, request in
      review(
        request,
        with: { object, version in
          ["apiVersion": .string(version), "kind": object["kind"]]
        })
    }
    try await expect(
      "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got "
        + "apiextensions.k8s.io/v1beta1, Kind=ConversionReview"
    ) { _, request in review(request, change: { $0["apiVersion"] = "apiextensions.k8s.io/v1beta1" }) }
    try await expect("failed: the server could not find the requested resource") { _, _ in HTTPResponse(status: 404) }
    await service.stop()
    // Nor is anything written that could not be converted: here to a webhook that is gone.
    let refused = try await cluster.post(Self.v2, cronTab("b", ["host": "b", "port": "1"], version: "v2"))
    #expect(refused.status == 500, "\(refused.text)")
    #expect(
      refused.message.hasPrefix(
        "conversion webhook for stable.example.com/v2, Kind=CronTab failed: Post "
          + "\"https://hook.default.svc:443/convert?timeout=30s\": "), "\(refused.message)")
    #expect(try await cluster.get("\(Self.v1)/b").status == 404)
    // What needs no conversion does not need the webhook.
    #expect(try await cluster.get("\(Self.v1)/a").status == 200)
  }

  @Test func aCertificateOfAnotherAuthorityIsRefused() async throws {
    let service = try await service()
    let other = try await self.service()
    let cluster = try await cluster(service)
    try await cluster.post(Self.v1, cronTab("a", ["hostPort": "a:1"]))
    try await cluster.patch(
      "\(definitionsPath)/crontabs.stable.example.com",
      ["spec": ["conversion": ["webhook": ["clientConfig": ["caBundle": other.caBundle]]]]])
    let reply = try await cluster.get("\(Self.v2)/a")
    #expect(reply.status == 500 && reply.message.contains("tls: failed to verify certificate"), "\(reply.text)")
    await service.stop()
    await other.stop()
  }

  @Test func watchersOfOneObjectShareItsConversion() async throws {
    let service = try await service()
    let cluster = try await cluster(service)
    let start = try await cluster.get(Self.v1).json["metadata"]["resourceVersion"].string ?? ""
    var watches: [WatchReader] = []
    for _ in 0..<10 { watches.append(try await cluster.watch("\(Self.v2)?watch=true&resourceVersion=\(start)")) }
    try await cluster.post(Self.v1, cronTab("a", ["hostPort": "a:1"]))
    for watch in watches {
      #expect(try await watch.next()?.object["spec"]["host"] == "a")
      watch.cancel()
    }
    #expect(service.calls.count == 1)
    await service.stop()
  }
}
