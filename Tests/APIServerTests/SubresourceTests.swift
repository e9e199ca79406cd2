import HTTP
import JSON
import Testing

@Suite struct ScaleTests {
  @Test func aScaleIsReadWrittenAndPatched() async throws {
    let server = TestServer()
    try await server.post(deployments, deployment("web"))
    let read = try await server.get("\(deployments)/web/scale")
    #expect(read.status == 200)
    #expect(read.json["kind"] == "Scale")
    #expect(read.json["apiVersion"] == "autoscaling/v1")
    #expect(read.json["spec"]["replicas"] == 2)
    #expect(read.json["status"]["selector"] == "app=web")

    let patched = try await server.patch("\(deployments)/web/scale", ["spec": ["replicas": 5]])
    #expect(patched.json["spec"]["replicas"] == 5)
    #expect(try await server.get("\(deployments)/web").json["spec"]["replicas"] == 5)
    #expect(try await server.get("\(deployments)/web").json["metadata"]["generation"] == 2)

    var scale = patched.json
    scale["spec"]["replicas"] = 0
    let put = try await server.put("\(deployments)/web/scale", scale)
    #expect(put.status == 200)
    #expect(try await server.get("\(deployments)/web").json["spec"]["replicas"] == 0)
    let stale = try await server.put("\(deployments)/web/scale", scale)
    #expect(stale.status == 409, "the scale carries the revision it was read with")
  }

  @Test func aScaleIsPrintedWithItsOwnColumns() async throws {
    let server = TestServer()
    try await server.post(deployments, deployment("web"))
    let table = try await server.get(
      "\(deployments)/web/scale", accept: "application/json;as=Table;v=v1;g=meta.k8s.io"
    ).json
    #expect(table["columnDefinitions"].elements.map { $0["name"] } == ["Name", "Desired", "Available", "Age"])
    #expect(table["rows"][0]["cells"].elements.prefix(3) == ["web", 2, 0])
  }

  @Test func aNegativeScaleIsInvalid() async throws {
    let server = TestServer()
    try await server.post(deployments, deployment("web"))
    let reply = try await server.patch("\(deployments)/web/scale", ["spec": ["replicas": -1]])
    #expect(reply.status == 422)
    #expect(reply.message.contains("spec.replicas: Invalid value: -1: must be greater than or equal to 0"))
  }

  @Test func aScaleOfNothingIsNotFound() async throws {
    #expect(try await TestServer().get("\(deployments)/web/scale").status == 404)
    #expect(try await TestServer().get("\(configMaps)/web/scale").status == 404)
  }
}

@Suite struct BindingTests {
  let binding: JSONValue = [
    "apiVersion": "v1", "kind": "Binding", "metadata": ["name": "p"], "target": ["kind": "Node", "name": "n1"],
  ]

  @Test func aBoundPodHasANodeAndIsScheduled() async throws {
    let server = TestServer()
    try await server.post(pods, pod("p"))
    let reply = try await server.post("\(pods)/p/binding", binding)
    #expect(reply.status == 201)
    #expect(reply.json["status"] == "Success")
    let bound = try await server.get("\(pods)/p")
    #expect(bound.json["spec"]["nodeName"] == "n1")
    #expect(
      bound.json["status"]["conditions"].elements.contains { $0["type"] == "PodScheduled" && $0["status"] == "True" })
    let again = try await server.post("\(pods)/p/binding", binding)
    #expect(again.status == 409)
    #expect(again.message.contains("pod p is already assigned to node \"n1\""))
  }

  @Test func theOldFormNamesThePodInItsBody() async throws {
    let server = TestServer()
    try await server.post(pods, pod("p"))
    #expect(try await server.post("/api/v1/namespaces/default/bindings", binding).status == 201)
    #expect(try await server.get("\(pods)/p").json["spec"]["nodeName"] == "n1")
  }

  @Test func aTargetIsRequired() async throws {
    let server = TestServer()
    try await server.post(pods, pod("p"))
    var nowhere = binding
    nowhere["target"] = ["kind": "Node"]
    let reply = try await server.post("\(pods)/p/binding", nowhere)
    #expect(reply.status == 422)
    #expect(reply.message.contains("target.name: Required value"))
    #expect(
      try await server.post(
        "\(pods)/q/binding",
        ["apiVersion": "v1", "kind": "Binding", "metadata": ["name": "q"], "target": ["name": "n"]]
      ).status == 404)
  }

  @Test func aDryRunBindsNothing() async throws {
    let server = TestServer()
    try await server.post(pods, pod("p"))
    #expect(try await server.post("\(pods)/p/binding?dryRun=All", binding).status == 201)
    #expect(try await server.get("\(pods)/p").json["spec"]["nodeName"].isNull)
  }
}

@Suite struct EvictionTests {
  static let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"

  func eviction(_ name: String = "p") -> JSONValue {
    ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": .string(name)]]
  }

  /// A running pod and, where wanted, a budget with so many disruptions left.
  func server(allowed: Int64?) async throws -> TestServer {
    let server = TestServer()
    try await server.post(pods, pod("p", node: "n1"))
    let status: JSONValue = [
      "status": ["phase": "Running", "conditions": [["type": "Ready", "status": "True"]]]
    ]
    #expect(try await server.patch("\(pods)/p/status", status).status == 200)
    guard let allowed else { return server }
    let budget: JSONValue = [
      "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": ["name": "b"],
      "spec": ["minAvailable": 1, "selector": ["matchLabels": ["app": "web"]]],
    ]
    #expect(try await server.post(Self.budgets, budget).status == 201)
    let counts = try await server.patch(
      "\(Self.budgets)/b/status",
      [
        "status": [
          "observedGeneration": 1, "disruptionsAllowed": .integer(allowed), "currentHealthy": 1, "desiredHealthy": 1,
          "expectedPods": 1,
        ]
      ])
    #expect(counts.status == 200)
    return server
  }

  @Test func withoutABudgetAPodIsDeletedWithACondition() async throws {
    let server = try await server(allowed: nil)
    let reply = try await server.post("\(pods)/p/eviction", eviction())
    #expect(reply.status == 201)
    #expect(reply.json["status"] == "Success")
    let left = try await server.get("\(pods)/p")
    #expect(!left.json["metadata"]["deletionTimestamp"].isNull)
    let condition = left.json["status"]["conditions"].elements.first { $0["type"] == "DisruptionTarget" }
    #expect(condition?["reason"] == "EvictionByEvictionAPI")
  }

  @Test func aBudgetIsChargedInTheSameWrite() async throws {
    let server = try await server(allowed: 1)
    #expect(try await server.post("\(pods)/p/eviction", eviction()).status == 201)
    let budget = try await server.get("\(Self.budgets)/b")
    #expect(budget.json["status"]["disruptionsAllowed"].integer ?? 0 == 0)
    #expect(budget.json["status"]["disruptedPods"].object?.keys.contains("p") == true)
  }

  @Test func anEmptyBudgetRefuses() async throws {
    let server = try await server(allowed: 0)
    let reply = try await server.post("\(pods)/p/eviction", eviction())
    #expect(reply.status == 429)
    #expect(reply.reason == "TooManyRequests")
    #expect(reply.message == "Cannot evict pod as it would violate the pod's disruption budget.")
    #expect(reply.json["details"]["causes"][0]["reason"] == "DisruptionBudget")
    #expect(
      reply.json["details"]["causes"][0]["message"]
        == "The disruption budget b needs 1 healthy pods and has 1 currently")
    #expect(reply.headers["retry-after"] == nil)
    #expect(try await server.get("\(pods)/p").json["metadata"]["deletionTimestamp"].isNull)
  }

  @Test func theNamesMustAgreeAndThePodExist() async throws {
    let server = try await server(allowed: nil)
    #expect(try await server.post("\(pods)/p/eviction", eviction("q")).status == 400)
    #expect(try await server.post("\(pods)/q/eviction", eviction("q")).status == 404)
  }
}

@Suite struct ConnectTests {
  @Test func whatIsAskedOfALogIsCheckedFirst() async throws {
    let server = TestServer()
    for (query, causes) in [
      ("tailLines=-1", ["tailLines: Invalid value: -1: must be greater than or equal to 0"]),
      ("limitBytes=0", ["limitBytes: Invalid value: 0: must be greater than 0"]),
      ("sinceSeconds=0", ["sinceSeconds: Invalid value: 0: must be greater than 0"]),
      (
        "sinceSeconds=5&sinceTime=2020-01-01T00:00:00Z",
        [": Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"]
      ),
      (
        "sinceSeconds=0&sinceTime=2020-01-01T00:00:00Z&limitBytes=0",
        [
          "limitBytes: Invalid value: 0: must be greater than 0",
          ": Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ]
      ),
    ] {
      let reply = try await server.get("\(pods)/p/log?\(query)")
      #expect(reply.status == 422 && reply.message.hasPrefix(#"PodLogOptions "p" is invalid: "#), "\(reply.text)")
      let told = reply.json["details"]["causes"].elements.map {
        "\($0["field"].string ?? ""): \($0["message"].string ?? "")"
      }
      #expect(told == causes)
    }
    #expect(
      try await server.get("\(pods)/p/log?tailLines=x").message == #"strconv.ParseInt: parsing "x": invalid syntax"#)
  }

  @Test func theLogOfAPodThatRunsNowhereIsEmpty() async throws {
    let server = TestServer()
    try await server.post(pods, pod("p"))
    let reply = try await server.get("\(pods)/p/log")
    #expect(reply.status == 200)
    #expect(reply.text.isEmpty)
  }

  @Test func aKubeletThatDoesNotAnswerIsNamed() async throws {
    let server = TestServer()
    try await server.post(
      "/api/v1/nodes",
      [
        "apiVersion": "v1", "kind": "Node", "metadata": ["name": "n1"],
        "status": ["addresses": [["type": "InternalIP", "address": "10.1.2.3"]]],
      ])
    try await server.post(pods, pod("p", node: "n1"))
    for path in ["\(pods)/p/log", "\(pods)/p/exec?command=ls"] {
      let reply = try await server.send("GET", path, nil, ["upgrade": "SPDY/3.1", "connection": "upgrade"])
      #expect(reply.status == 500)
      #expect(reply.message.hasPrefix("Get \"https://10.1.2.3:10250/"))
      #expect(reply.message.hasSuffix("dial tcp 10.1.2.3:10250: connect: connection refused"))
    }
    #expect(try await server.get("\(pods)/p/log?container=nope").message == "container nope is not valid for pod p")
    #expect(try await server.get("\(pods)/q/log").status == 404)
  }

  @Test func ephemeralContainersAreOnlyAdded() async throws {
    let server = TestServer()
    try await server.post(pods, pod("p", node: "n1"))
    let added = try await server.patch(
      "\(pods)/p/ephemeralcontainers",
      ["spec": ["ephemeralContainers": [["name": "debug", "image": "busybox"]]]], "strategic-merge-patch+json")
    #expect(added.status == 200, "\(added.message)")
    #expect(added.json["spec"]["ephemeralContainers"][0]["name"] == "debug")
    let changed = try await server.patch(
      "\(pods)/p/ephemeralcontainers",
      ["spec": ["ephemeralContainers": [["name": "debug", "image": "other"]]]], "strategic-merge-patch+json")
    #expect(changed.status == 422)
  }
}

@Suite struct OtherVersionTests {
  @Test func eventsAreTheSameObjectsInBothGroups() async throws {
    let server = TestServer()
    let made = try await server.post(
      "/api/v1/namespaces/default/events",
      [
        "apiVersion": "v1", "kind": "Event", "metadata": ["name": "e", "namespace": "default"],
        "involvedObject": ["kind": "Pod", "name": "p", "namespace": "default"], "reason": "Because",
        "message": "it happened", "type": "Normal",
      ])
    #expect(made.status == 201, "\(made.message)")
    let other = try await server.get("/apis/events.k8s.io/v1/namespaces/default/events/e")
    #expect(other.json["apiVersion"] == "events.k8s.io/v1")
    #expect(other.json["regarding"]["name"] == "p")
    #expect(other.json["note"] == "it happened")
    #expect(other.json["metadata"]["resourceVersion"] == made.json["metadata"]["resourceVersion"])
    let selected = try await server.get("/apis/events.k8s.io/v1/events?fieldSelector=regarding.name%3Dp")
    #expect(selected.names == ["e"])
    #expect(try await server.get("/api/v1/events?fieldSelector=involvedObject.name%3Dp").names == ["e"])
    #expect(try await server.get("/api/v1/events?fieldSelector=involvedObject.name%3Dq").names == [])
    let watch = try await server.watch("/apis/events.k8s.io/v1/events?watch=true&resourceVersion=0")
    #expect(try await watch.next()?.object["note"] == "it happened")
    watch.cancel()
  }

  @Test func autoscalersAreReadThroughBothVersions() async throws {
    let server = TestServer()
    let made = try await server.post(
      "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
      [
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": ["name": "h"],
        "spec": [
          "scaleTargetRef": ["kind": "Deployment", "name": "web", "apiVersion": "apps/v1"], "minReplicas": 1,
          "maxReplicas": 3, "targetCPUUtilizationPercentage": 70,
        ],
      ])
    #expect(made.status == 201, "\(made.message)")
    let second = try await server.get("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/h")
    #expect(second.json["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70)
    let first = try await server.get("/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/h")
    #expect(first.json["spec"]["targetCPUUtilizationPercentage"] == 70)
    #expect(first.json == made.json)
    #expect(first.json["status"] == ["currentReplicas": 0, "desiredReplicas": 0])
    #expect(
      second.json["status"] == ["desiredReplicas": 0, "currentMetrics": .null], "each version leaves out what it does")
  }
}
