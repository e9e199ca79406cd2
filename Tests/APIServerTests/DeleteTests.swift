import HTTP
import JSON
import Testing

@Suite struct DeleteTests {
  @Test func aDeleteAnswersWithAStatusThatNamesWhatIsGone() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let reply = try await server.delete("\(configMaps)/one")
    #expect(reply.status == 200)
    #expect(reply.json["status"] == "Success")
    #expect(
      reply.json["details"]
        == ["name": "one", "kind": "configmaps", "uid": made.json["metadata"]["uid"]])
    #expect(try await server.get("\(configMaps)/one").status == 404)
    #expect(try await server.delete("\(configMaps)/one").status == 404)
  }

  @Test func detailsNameTheGroup() async throws {
    let server = TestServer()
    try await server.post(deployments, deployment("web"))
    let reply = try await server.delete("\(deployments)/web", ["propagationPolicy": "Background"])
    #expect(reply.json["details"]["group"] == "apps")
    #expect(reply.json["details"]["kind"] == "deployments")
  }

  @Test func someKindsAnswerWithTheObject() async throws {
    let server = TestServer()
    try await server.post(pods, pod("p"))
    let reply = try await server.delete("\(pods)/p")
    #expect(reply.json["kind"] == "Pod")
    #expect(try await server.get("\(pods)/p").status == 404, "a pod without a node goes at once")
  }

  @Test func preconditionsMustHold() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let wrong = try await server.delete("\(configMaps)/one", ["preconditions": ["uid": "other"]])
    #expect(wrong.status == 409)
    #expect(wrong.reason == "Conflict")
    let uid = made.json["metadata"]["uid"].string ?? ""
    #expect(
      wrong.message
        == "Operation cannot be fulfilled on ConfigMap \"one\": the UID in the precondition (other) does not match the UID "
        + "in record (\(uid)). The object might have been deleted and then recreated")
    #expect(wrong.json["details"]["kind"] == "ConfigMap")
    let stale = try await server.delete("\(configMaps)/one", ["preconditions": ["resourceVersion": "1234567"]])
    #expect(stale.status == 409)
    #expect(
      stale.message
        == "Operation cannot be fulfilled on ConfigMap \"one\": the ResourceVersion in the precondition (1234567) does not "
        + "match the ResourceVersion in record (\(made.revision)). The object might have been modified")
    let right = try await server.delete(
      "\(configMaps)/one",
      ["preconditions": ["uid": made.json["metadata"]["uid"], "resourceVersion": .string(made.revision)]])
    #expect(right.status == 200)
  }

  @Test func finalizersHoldAnObjectUntilTheLastIsRemoved() async throws {
    let server = TestServer()
    var object = deployment("web")
    object["metadata"]["finalizers"] = ["example.com/hold"]
    try await server.post(deployments, object)
    let pending = try await server.delete("\(deployments)/web")
    #expect(pending.status == 200)
    #expect(pending.json["kind"] == "Deployment")
    #expect(!pending.json["metadata"]["deletionTimestamp"].isNull)
    #expect(pending.json["metadata"]["deletionGracePeriodSeconds"] == 0)
    #expect(pending.json["metadata"]["generation"] == 2, "deletion is a change of the desired state")

    let again = try await server.delete("\(deployments)/web")
    #expect(again.status == 200)
    #expect(again.revision == pending.revision, "nothing changed")

    let more = try await server.patch(
      "\(deployments)/web", ["metadata": ["finalizers": ["example.com/hold", "example.com/more"]]])
    #expect(more.status == 422)
    #expect(more.message.contains("no new finalizers can be added if the object is being deleted"))

    let text = #"{"metadata":{"finalizers":null}}"#
    let last = try await server.send(
      "PATCH", "\(deployments)/web", bytes: Array(text.utf8), ["content-type": "application/merge-patch+json"])
    #expect(last.status == 200)
    #expect(last.name == "web")
    #expect(try await server.get("\(deployments)/web").status == 404)
  }

  @Test func orphanAndForegroundAreFinalizers() async throws {
    let server = TestServer()
    try await server.post(deployments, deployment("a"))
    let orphan = try await server.delete("\(deployments)/a", ["propagationPolicy": "Orphan"])
    #expect(orphan.json["metadata"]["finalizers"] == ["orphan"])
    try await server.post(deployments, deployment("b"))
    let foreground = try await server.delete("\(deployments)/b?propagationPolicy=Foreground")
    #expect(foreground.json["metadata"]["finalizers"] == ["foregroundDeletion"])
    try await server.post(deployments, deployment("c"))
    let legacy = try await server.delete("\(deployments)/c?orphanDependents=true")
    #expect(legacy.json["metadata"]["finalizers"] == ["orphan"])
  }

  @Test func replicationControllersOrphanTheirPodsUnlessTold() async throws {
    let server = TestServer()
    let path = "/api/v1/namespaces/default/replicationcontrollers"
    let controller: JSONValue = [
      "apiVersion": "v1", "kind": "ReplicationController", "metadata": ["name": "rc"],
      "spec": [
        "replicas": 1, "selector": ["app": "rc"],
        "template": [
          "metadata": ["labels": ["app": "rc"]], "spec": ["containers": [["name": "c", "image": "i"]]],
        ],
      ],
    ]
    #expect(try await server.post(path, controller).status == 201)
    let silent = try await server.delete("\(path)/rc")
    #expect(silent.json["metadata"]["finalizers"] == ["orphan"])
  }

  @Test func policyAndOrphanDependentsExcludeOneAnother() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let both = try await server.delete(
      "\(configMaps)/one", ["propagationPolicy": "Background", "orphanDependents": true])
    #expect(both.status == 422)
    let unknown = try await server.delete("\(configMaps)/one", ["propagationPolicy": "Slowly"])
    #expect(unknown.status == 422)
    #expect(try await server.get("\(configMaps)/one").status == 200)
  }

  @Test func optionsMaySayAnyVersion() async throws {
    let server = TestServer()
    for version in ["v1", "meta.k8s.io/v1", "apps/v1"] {
      try await server.post(deployments, deployment("web"))
      let reply = try await server.delete(
        "\(deployments)/web",
        ["kind": "DeleteOptions", "apiVersion": .string(version), "propagationPolicy": "Background"])
      #expect(reply.status == 200)
    }
  }

  @Test func aDryRunDeletesNothing() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    #expect(try await server.delete("\(configMaps)/one", ["dryRun": ["All"]]).status == 200)
    #expect(try await server.delete("\(configMaps)/one?dryRun=All").status == 200)
    #expect(try await server.get("\(configMaps)/one").status == 200)
  }

  @Test func aCollectionIsDeletedBySelection() async throws {
    let server = TestServer()
    for index in 0..<5 {
      try await server.post(configMaps, configMap("cm-\(index)", labels: ["odd": index % 2 == 1 ? "yes" : "no"]))
    }
    let reply = try await server.delete("\(configMaps)?labelSelector=odd%3Dyes")
    #expect(reply.status == 200)
    #expect(reply.json["kind"] == "ConfigMapList")
    #expect(reply.names == ["cm-1", "cm-3"])
    #expect(try await server.get(configMaps).names == ["cm-0", "cm-2", "cm-4"])
    try await server.delete(configMaps)
    #expect(try await server.get(configMaps).names == [])
  }
}

@Suite struct PodDeletionTests {
  func running(_ grace: Int64? = nil) async throws -> TestServer {
    let server = TestServer()
    var object = pod("p", node: "n1")
    if let grace { object["spec"]["terminationGracePeriodSeconds"] = .integer(grace) }
    try await server.post(pods, object)
    return server
  }

  @Test func aScheduledPodIsToldAndRemovedByItsKubelet() async throws {
    let server = try await running()
    let told = try await server.delete("\(pods)/p")
    #expect(told.status == 200)
    #expect(told.json["metadata"]["deletionGracePeriodSeconds"] == 30)
    #expect(!told.json["metadata"]["deletionTimestamp"].isNull)
    #expect(try await server.get("\(pods)/p").status == 200)
    let confirmed = try await server.delete("\(pods)/p", ["gracePeriodSeconds": 0])
    #expect(confirmed.status == 200)
    #expect(try await server.get("\(pods)/p").status == 404)
  }

  @Test func theGracePeriodIsThePodsOrTheRequests() async throws {
    #expect(
      try await running(5).delete("\(pods)/p").json["metadata"]["deletionGracePeriodSeconds"] == 5)
    #expect(
      try await running().delete("\(pods)/p", ["gracePeriodSeconds": 7]).json["metadata"][
        "deletionGracePeriodSeconds"] == 7)
    #expect(
      try await running().delete("\(pods)/p?gracePeriodSeconds=9").json["metadata"]["deletionGracePeriodSeconds"]
        == 9)
    #expect(
      try await running().delete("\(pods)/p", ["gracePeriodSeconds": -1]).json["metadata"][
        "deletionGracePeriodSeconds"] == 1, "negative means as little as possible")
  }

  @Test func aSecondDeleteMayOnlyShorten() async throws {
    let server = try await running()
    let first = try await server.delete("\(pods)/p", ["gracePeriodSeconds": 20])
    let longer = try await server.delete("\(pods)/p", ["gracePeriodSeconds": 40])
    #expect(longer.revision == first.revision)
    let shorter = try await server.delete("\(pods)/p", ["gracePeriodSeconds": 5])
    #expect(shorter.json["metadata"]["deletionGracePeriodSeconds"] == 5)
    #expect(
      shorter.json["metadata"]["deletionTimestamp"].string! < first.json["metadata"]["deletionTimestamp"].string!)
  }

  @Test func aFinishedPodGoesAtOnce() async throws {
    let server = try await running()
    let status = try await server.patch("\(pods)/p/status", ["status": ["phase": "Succeeded"]])
    #expect(status.json["status"]["phase"] == "Succeeded")
    try await server.delete("\(pods)/p")
    #expect(try await server.get("\(pods)/p").status == 404)
  }

  @Test func aFinalizerOutlastsTheKubelet() async throws {
    let server = try await running()
    try await server.patch("\(pods)/p", ["metadata": ["finalizers": ["example.com/hold"]]])
    try await server.delete("\(pods)/p")
    let confirmed = try await server.delete("\(pods)/p", ["gracePeriodSeconds": 0])
    #expect(confirmed.json["metadata"]["deletionGracePeriodSeconds"] == 0)
    #expect(try await server.get("\(pods)/p").status == 200)
    try await server.patch("\(pods)/p", ["metadata": ["finalizers": []]])
    #expect(try await server.get("\(pods)/p").status == 404)
  }
}

@Suite struct NamespaceDeletionTests {
  @Test func aNamespaceIsHeldUntilItIsFinalized() async throws {
    let server = TestServer()
    let made = try await server.post(
      "/api/v1/namespaces", ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "team"]])
    #expect(made.json["spec"]["finalizers"] == ["kubernetes"])
    #expect(made.json["status"]["phase"] == "Active")
    #expect(made.json["metadata"]["labels"]["kubernetes.io/metadata.name"] == "team")

    let deleted = try await server.delete("/api/v1/namespaces/team")
    #expect(deleted.status == 200)
    #expect(deleted.json["status"]["phase"] == "Terminating")
    #expect(!deleted.json["metadata"]["deletionTimestamp"].isNull)
    let again = try await server.delete("/api/v1/namespaces/team")
    #expect(again.revision == deleted.revision)

    var empty = deleted.json
    empty["spec"]["finalizers"] = []
    let finalized = try await server.put("/api/v1/namespaces/team/finalize", empty)
    #expect(finalized.status == 200)
    #expect(try await server.get("/api/v1/namespaces/team").status == 404)
  }

  @Test func theMainEndpointDoesNotFinalize() async throws {
    let server = TestServer()
    var object = try await server.post(
      "/api/v1/namespaces", ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "team"]]
    ).json
    object["spec"]["finalizers"] = []
    let reply = try await server.put("/api/v1/namespaces/team", object)
    #expect(reply.json["spec"]["finalizers"] == ["kubernetes"])
  }
}
