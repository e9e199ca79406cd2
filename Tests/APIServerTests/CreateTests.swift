import HTTP
import JSON
import Testing

@Suite struct CreateTests {
  @Test func aCreatedObjectCarriesWhatTheServerGivesIt() async throws {
    let server = TestServer()
    let reply = try await server.post(configMaps, configMap("one"))
    #expect(reply.status == 201)
    let metadata = reply.json["metadata"]
    #expect(metadata["namespace"] == "default")
    #expect(metadata["uid"].string?.count == 36)
    #expect(metadata["creationTimestamp"].string?.hasSuffix("Z") == true)
    #expect(UInt64(reply.revision) != nil)
    #expect(metadata["generation"].isNull, "ConfigMaps have no generation")
    #expect(metadata["managedFields"][0]["operation"] == "Update")
    #expect(reply.headers["audit-id"] != nil)
    #expect(reply.headers["cache-control"] == "no-cache, private")
    #expect(reply.headers["content-type"] == "application/json")

    let read = try await server.get("\(configMaps)/one")
    #expect(read.status == 200)
    #expect(read.json == reply.json)
  }

  @Test func clientsCannotChooseWhatBelongsToTheServer() async throws {
    let server = TestServer()
    var object = deployment("web")
    object["metadata"]["uid"] = "mine"
    object["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z"
    object["metadata"]["generation"] = 7
    object["metadata"]["deletionTimestamp"] = "2001-01-01T00:00:00Z"
    object["metadata"]["deletionGracePeriodSeconds"] = 5
    object["status"] = ["replicas": 9]
    let reply = try await server.post(deployments, object)
    #expect(reply.status == 201)
    #expect(reply.json["metadata"]["uid"] != "mine")
    #expect(reply.json["metadata"]["creationTimestamp"] != "2001-01-01T00:00:00Z")
    #expect(reply.json["metadata"]["generation"] == 1)
    #expect(reply.json["metadata"]["deletionTimestamp"].isNull)
    #expect(reply.json["metadata"]["deletionGracePeriodSeconds"].isNull)
    #expect(reply.json["status"]["replicas"].isNull)
  }

  @Test func aSecondObjectOfTheSameNameIsRefused() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let reply = try await server.post(configMaps, configMap("one"))
    #expect(reply.status == 409)
    #expect(reply.reason == "AlreadyExists")
    #expect(reply.message == "configmaps \"one\" already exists")
    #expect(reply.json["details"] == ["name": "one", "kind": "configmaps"])
  }

  @Test func generatedNamesAreTheBaseAndFiveCharacters() async throws {
    let server = TestServer()
    var object = configMap("")
    object["metadata"] = ["generateName": "pod-"]
    let names = [try await server.post(configMaps, object).name, try await server.post(configMaps, object).name]
    for name in names {
      #expect(name.hasPrefix("pod-"))
      #expect(name.count == 9)
      #expect(name.dropFirst(4).allSatisfy { "bcdfghjklmnpqrstvwxz2456789".contains($0) })
    }
    #expect(names[0] != names[1])
  }

  @Test func aLongBaseIsCutSoThatTheNameFitsALabel() async throws {
    let server = TestServer()
    var object = configMap("")
    object["metadata"] = ["generateName": .string(String(repeating: "a", count: 80))]
    #expect(try await server.post(configMaps, object).name.count == 63)
  }

  @Test func aNameIsRequired() async throws {
    let server = TestServer()
    var object = configMap("")
    object["metadata"] = [:]
    let reply = try await server.post(configMaps, object)
    #expect(reply.status == 422)
    #expect(reply.reason == "Invalid")
    #expect(reply.message.contains("metadata.name: Required value: name or generateName is required"))
    #expect(reply.json["details"]["kind"] == "ConfigMap")
  }

  @Test(arguments: ["Upper", "under_score", "-dash", "dot.", String(repeating: "x", count: 254)])
  func namesThatBreakTheRulesAreInvalid(name: String) async throws {
    let reply = try await TestServer().post(configMaps, configMap(name))
    #expect(reply.status == 422)
    #expect(reply.json["details"]["causes"][0]["field"] == "metadata.name")
    #expect(reply.json["details"]["causes"][0]["reason"] == "FieldValueInvalid")
  }

  @Test func theNamespaceOfTheBodyMustBeThatOfThePath() async throws {
    var object = configMap("one")
    object["metadata"]["namespace"] = "other"
    let reply = try await TestServer().post(configMaps, object)
    #expect(reply.status == 400)
    #expect(
      reply.message
        == "the namespace of the provided object does not match the namespace sent on the request")
  }

  /// Whatever is sent, and to whichever endpoint.
  @Test func theNamespaceOfThePathHoldsForEveryWrite() async throws {
    let cluster = TestServer()
    try await cluster.post(configMaps, configMap("one"))
    let wrong = "the namespace of the provided object does not match the namespace sent on the request"
    var object = try await cluster.get("\(configMaps)/one").json
    object["metadata"]["namespace"] = "other"
    var replies = [try await cluster.put("\(configMaps)/one", object)]
    replies.append(try await cluster.patch("\(configMaps)/one", ["metadata": ["namespace": "other"]]))
    replies.append(
      try await cluster.post(
        "/api/v1/namespaces/default/pods/one/eviction",
        [
          "apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": "one", "namespace": "other"],
        ]))
    for reply in replies { #expect(reply.status == 400 && reply.message == wrong, "\(reply.text)") }
    // A patch cannot take it away; what has no namespace is told none.
    let kept = try await cluster.patch("\(configMaps)/one", ["metadata": ["namespace": .null]])
    #expect(kept.status == 200 && kept.json["metadata"]["namespace"] == "default", "\(kept.text)")
    let role: JSONValue = ["metadata": ["name": "one", "namespace": "other"], "rules": []]
    let created = try await cluster.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    #expect(created.status == 201 && created.json["metadata"]["namespace"].isNull, "\(created.text)")
  }

  @Test func aResourceVersionHasNoPlaceInACreate() async throws {
    var object = configMap("one")
    object["metadata"]["resourceVersion"] = "5"
    let reply = try await TestServer().post(configMaps, object)
    #expect(reply.status == 500)
    #expect(reply.message == "resourceVersion should not be set on objects to be created")
    #expect(reply.json["reason"].isNull && reply.json["details"].isNull)
  }

  @Test func aClusterObjectNeedsNoNamespace() async throws {
    let server = TestServer()
    let reply = try await server.post(
      "/api/v1/namespaces", ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "team"]])
    #expect(reply.status == 201)
    #expect(reply.json["metadata"]["namespace"].isNull)
    let inside = try await server.post(
      "/api/v1/namespaces/team/configmaps", configMap("one"))
    #expect(inside.json["metadata"]["namespace"] == "team")
  }

  @Test func aValueThatIsNotSupportedIsReportedByEveryCheckThatFindsIt() async throws {
    var object = deployment("web")
    object["spec"]["template"]["spec"]["restartPolicy"] = "Sometimes"
    let reply = try await TestServer().post(deployments, object)
    #expect(reply.status == 422)
    let policies = reply.json["details"]["causes"].elements.filter { $0["reason"] == "FieldValueNotSupported" }
    #expect(policies.allSatisfy { $0["field"] == "spec.template.spec.restartPolicy" })
    // What pods may have, and what those of a deployment may.
    let expected = ["\"Always\", \"OnFailure\", \"Never\"", "\"Always\""].map {
      "Unsupported value: \"Sometimes\": supported values: \($0)"
    }
    #expect(policies.map { $0["message"].string } == expected)
  }

  @Test func unknownFieldsWarnByDefaultAndFailWhenStrict() async throws {
    let server = TestServer()
    var object = deployment("web")
    object["spec"]["foo"] = 1
    let strict = try await server.post("\(deployments)?fieldValidation=Strict", object)
    #expect(strict.status == 400)
    #expect(strict.reason == "BadRequest")
    #expect(
      strict.message
        == "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.foo\""
    )
    #expect(try await server.get("\(deployments)/web").status == 404, "nothing was created")

    let warned = try await server.post(deployments, object)
    #expect(warned.status == 201)
    #expect(warned.headers.values("warning") == ["299 - \"unknown field \\\"spec.foo\\\"\""])
    #expect(warned.json["spec"]["foo"].isNull)

    object["metadata"]["name"] = "quiet"
    let ignored = try await server.post("\(deployments)?fieldValidation=Ignore", object)
    #expect(ignored.status == 201)
    #expect(ignored.headers.values("warning").isEmpty)
  }

  @Test func aWrongTypeIsABadRequest() async throws {
    var object = deployment("web")
    object["spec"]["replicas"] = "three"
    let reply = try await TestServer().post(deployments, object)
    #expect(reply.status == 400)
    #expect(reply.message.contains("json: cannot unmarshal string into Go struct field"))
  }

  @Test func aBodyThatIsNoJSONIsABadRequest() async throws {
    let reply = try await TestServer().send("POST", configMaps, bytes: Array("{nope".utf8))
    #expect(reply.status == 400)
    #expect(reply.reason == "BadRequest")
  }

  @Test func anotherKindThanThePathNamesIsABadRequest() async throws {
    let reply = try await TestServer().post(configMaps, pod("p"))
    #expect(reply.status == 400)
  }

  @Test func aDryRunDoesEverythingButStore() async throws {
    let server = TestServer()
    let reply = try await server.post("\(deployments)?dryRun=All", deployment("web"))
    #expect(reply.status == 201)
    #expect(reply.json["spec"]["revisionHistoryLimit"] == 10, "defaults are there")
    #expect(reply.json["metadata"]["uid"].string?.isEmpty == false)
    #expect(try await server.get("\(deployments)/web").status == 404)
  }

  @Test func optionsThatMakeNoSenseAreInvalid() async throws {
    let server = TestServer()
    let dryRun = try await server.post("\(configMaps)?dryRun=Some", configMap("one"))
    #expect(dryRun.status == 422)
    #expect(
      dryRun.message
        == "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: \"All\"")
    #expect(try await server.post("\(configMaps)?fieldValidation=Sloppy", configMap("one")).status == 422)
    let manager = String(repeating: "m", count: 129)
    #expect(try await server.post("\(configMaps)?fieldManager=\(manager)", configMap("one")).status == 422)
  }

  @Test func theFieldManagerIsTheParameterOrTheClientsName() async throws {
    let server = TestServer()
    let named = try await server.send("POST", "\(configMaps)?fieldManager=me", configMap("one"))
    #expect(named.json["metadata"]["managedFields"][0]["manager"] == "me")
    let agent = try await server.send(
      "POST", configMaps, configMap("two"), ["user-agent": "kubectl/v1.32.4 (linux/amd64)"])
    #expect(agent.json["metadata"]["managedFields"][0]["manager"] == "kubectl")
  }

  @Test func bodiesMayBeYAML() async throws {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  a: \"1\"\n"
    let reply = try await TestServer().send(
      "POST", configMaps, bytes: Array(text.utf8), ["content-type": "application/yaml"])
    #expect(reply.status == 201)
    #expect(reply.json["data"]["a"] == "1")
  }

  @Test func bodiesOfUnknownTypesAreRefused() async throws {
    let reply = try await TestServer().send(
      "POST", configMaps, configMap("one"), ["content-type": "application/cbor"])
    #expect(reply.status == 415)
    #expect(reply.reason == "UnsupportedMediaType")
  }

  @Test func aBodyOverTheLimitIsTooLarge() async throws {
    let reply = try await TestServer().post(
      configMaps, configMap("big", ["a": .string(String(repeating: "x", count: 3 << 20))]))
    #expect(reply.status == 413)
    #expect(reply.message == "Request entity too large: limit is 3145728")
  }
}
