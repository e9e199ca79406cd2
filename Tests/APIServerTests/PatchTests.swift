import HTTP
import JSON
import Testing

@Suite struct PatchTests {
  @Test func whoeverIsRefusedIsWarnedAsWell() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let patch = try await server.patch("\(configMaps)/one", ["bogus": 1, "metadata": ["labels": ["a": "b c"]]])
    #expect(patch.status == 422 && patch.headers.values("warning") == [#"299 - "unknown field \"bogus\"""#])
    var wrong = configMap("two")
    wrong["bogus"] = 1
    wrong["metadata"]["labels"] = ["a": "b c"]
    let made = try await server.post(configMaps, wrong)
    #expect(made.status == 422 && made.headers.values("warning") == [#"299 - "unknown field \"bogus\"""#])
    wrong["metadata"]["name"] = "one"
    let put = try await server.put("\(configMaps)/one", wrong)
    #expect(put.status == 422 && put.headers.values("warning") == [#"299 - "unknown field \"bogus\"""#])
  }

  @Test func aMergePatchMergesAndNullRemoves() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one", ["a": "1", "b": "2"]))
    let reply = try await server.patch("\(configMaps)/one", ["data": ["a": "9", "b": .null, "c": "3"]])
    // The tree literal drops null members: write the patch as text.
    let text = #"{"data":{"b":null}}"#
    let removed = try await server.send(
      "PATCH", "\(configMaps)/one", bytes: Array(text.utf8), ["content-type": "application/merge-patch+json"])
    #expect(reply.status == 200)
    #expect(removed.json["data"] == ["a": "9", "c": "3"])
  }

  @Test func aJSONPatchEditsByPath() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let reply = try await server.patch(
      "\(configMaps)/one",
      [
        ["op": "test", "path": "/data/a", "value": "1"], ["op": "replace", "path": "/data/a", "value": "2"],
        ["op": "add", "path": "/data/b", "value": "3"],
      ], "json-patch+json")
    #expect(reply.json["data"] == ["a": "2", "b": "3"])
    let failed = try await server.patch(
      "\(configMaps)/one", [["op": "test", "path": "/data/a", "value": "1"]], "json-patch+json")
    #expect(failed.status == 422)
    #expect(failed.reason == "Invalid")
    let missing = try await server.patch(
      "\(configMaps)/one", [["op": "remove", "path": "/data/zzz"]], "json-patch+json")
    #expect(missing.status == 422)
  }

  @Test func aStrategicPatchMergesListsByTheirKeys() async throws {
    let server = TestServer()
    try await server.post(deployments, deployment("web"))
    let reply = try await server.patch(
      "\(deployments)/web",
      [
        "spec": [
          "template": [
            "spec": [
              "$setElementOrder/containers": [["name": "main"]],
              "containers": [["name": "main", "image": "nginx:1.28"]],
            ]
          ]
        ]
      ], "strategic-merge-patch+json")
    #expect(reply.status == 200)
    let containers = reply.json["spec"]["template"]["spec"]["containers"]
    #expect(containers.elements.count == 1)
    #expect(containers[0]["image"] == "nginx:1.28")
    #expect(containers[0]["terminationMessagePath"] == "/dev/termination-log", "defaults stay")
    #expect(reply.json["metadata"]["generation"] == 2)
  }

  @Test func anEmptyPatchChangesNothing() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let reply = try await server.patch("\(configMaps)/one", [:])
    #expect(reply.status == 200)
    #expect(reply.json == made.json)
  }

  @Test func aPatchOfNothingIsNotFound() async throws {
    let reply = try await TestServer().patch("\(configMaps)/one", ["data": [:]])
    #expect(reply.status == 404)
  }

  @Test func anotherContentTypeIsRefused() async throws {
    let reply = try await TestServer().patch("\(configMaps)/one", [:], "json")
    #expect(reply.status == 415)
    #expect(reply.message.contains("application/strategic-merge-patch+json"))
  }

  @Test func aRevisionInThePatchMustMatch() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let good = try await server.patch(
      "\(configMaps)/one", ["metadata": ["resourceVersion": .string(made.revision)], "data": ["b": "2"]])
    #expect(good.status == 200)
    let stale = try await server.patch(
      "\(configMaps)/one", ["metadata": ["resourceVersion": .string(made.revision)], "data": ["b": "3"]])
    #expect(stale.status == 409)
  }

  @Test func unknownFieldsOfAPatchFailWhenStrict() async throws {
    let server = TestServer()
    try await server.post(deployments, deployment("web"))
    let strict = try await server.patch("\(deployments)/web?fieldValidation=Strict", ["spec": ["foo": 1]])
    #expect(strict.status == 422)
    #expect(strict.message.contains("strict decoding error: unknown field \"spec.foo\""))
    let strategic = try await server.patch(
      "\(deployments)/web?fieldValidation=Strict", ["spec": ["foo": 1]], "strategic-merge-patch+json")
    #expect(strategic.status == 422)
    #expect(
      strategic.json["details"]["causes"][0]["message"]
        == #"Invalid value: "map[spec:map[foo:1]]": strict decoding error: unknown field "spec.foo""#)
    let warned = try await server.patch("\(deployments)/web", ["spec": ["foo": 1]])
    #expect(warned.status == 200)
    #expect(warned.headers.values("warning") == ["299 - \"unknown field \\\"spec.foo\\\"\""])
  }

  @Test func aStrategicPatchOfTheWrongTypeIsShownAsTheReferenceShowsIt() async throws {
    let server = TestServer()
    try await server.post(deployments, deployment("web"))
    let cases: [(JSONValue, String)] = [
      (["spec": ["replicas": "two"]], "unrecognized type: int32"),
      (["spec": ["replicas": .double(2.5)]], "cannot convert float64 to int32"),
      (["metadata": ["labels": ["a": 1]]], "cannot convert int64 to string"),
      (["spec": ["template": "x"]], "cannot restore struct from: string"),
    ]
    for (patch, message) in cases {
      let reply = try await server.patch("\(deployments)/web", patch, "strategic-merge-patch+json")
      #expect(reply.status == 422)
      #expect(reply.json["details"]["causes"][0]["field"] == "patch")
      #expect(reply.message.hasSuffix(message))
    }
  }

  @Test func whatAPatchMakesOfAnObjectIsShownWhole() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one", ["a": "1"]))
    let wrong = try await server.patch("\(configMaps)/one", ["metadata": ["name": 5]])
    #expect(wrong.status == 422)
    #expect(wrong.json["details"]["causes"][0]["field"] == "patch")
    #expect(
      wrong.message.hasPrefix(#" "" is invalid: patch: Invalid value: "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"1\"}"#))
    #expect(
      wrong.message.hasSuffix(
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string"))
    let other = try await server.patch("\(configMaps)/one", ["kind": "Unheard"])
    #expect(other.status == 422)
    #expect(
      other.message.hasSuffix(
        #"no kind "Unheard" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30""#))
    let secret = try await server.patch("\(configMaps)/one", ["kind": "Secret"])
    #expect(secret.message.hasSuffix("converting (v1.Secret) to (core.ConfigMap): unknown conversion"))
    // A strategic patch is read into what is there already.
    let strategic = try await server.patch("\(configMaps)/one", ["kind": "Secret"], "strategic-merge-patch+json")
    #expect(strategic.status == 200)
    #expect(strategic.json["kind"] == "ConfigMap")
  }

  @Test func bodiesThatAreNoPatchesAreRefusedInTheReferencesWords() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let map = "json: cannot unmarshal array into Go value of type map[string]interface {}"
    let operations = "json: cannot unmarshal object into Go value of type"
    for (type, query, body, status, message) in [
      ("merge-patch", "", "[]", 400, "error decoding patch: \(map)"),
      ("merge-patch", "", "null", 400, "Invalid JSON Patch"),
      ("strategic-merge-patch", "", "[]", 400, map), ("strategic-merge-patch", "", "null", 200, ""),
      ("json-patch", "", "{}", 400, "error decoding patch: \(operations) []handlers.jsonPatchOp"),
      ("json-patch", "?fieldValidation=Ignore", "{}", 400, "\(operations) jsonpatch.Patch"),
      ("json-patch", "", #"[{"op":"jump"}]"#, 422, "the server rejected our request due to an error in our request"),
    ] {
      let reply = try await server.send(
        "PATCH", "\(configMaps)/one\(query)", bytes: Array(body.utf8), ["content-type": "application/\(type)+json"])
      #expect(reply.status == status, "\(type) \(body)")
      if status != 200 { #expect(reply.message == message) }
    }
    let strict = try await server.send(
      "PATCH", "\(configMaps)/one?fieldValidation=Strict",
      bytes: Array(#"[{"op":"test","path":"/kind","value":"ConfigMap","x":1}]"#.utf8),
      ["content-type": "application/json-patch+json"])
    #expect(strict.status == 422)
    #expect(strict.message.hasSuffix(#"strict decoding error: json patch unknown field "[0].x""#))
  }

  @Test func nobodySetsTheTimeOfADeletion() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let reply = try await server.patch(
      "\(configMaps)/one", ["metadata": ["deletionTimestamp": "2020-01-01T00:00:00Z"]])
    #expect(reply.status == 422)
    #expect(
      reply.json["details"]["causes"][0]["message"]
        == "Invalid value: 2020-01-01 00:00:00 +0000 UTC: field is immutable")
  }

  @Test func manyPatchesAtOnceAllArrive() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let codes = try await withThrowingTaskGroup(of: Int.self) { group in
      for writer in 0..<5 {
        group.addTask { try await server.patch("\(configMaps)/one", ["data": ["k\(writer)": "x"]]).status }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(codes == [200, 200, 200, 200, 200])
    #expect(try await server.get("\(configMaps)/one").json["data"].object?.count == 6)
  }

  @Test func aPatchCannotMoveOrRenameAnObject() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    #expect(try await server.patch("\(configMaps)/one", ["metadata": ["name": "two"]]).status == 400)
    #expect(try await server.patch("\(configMaps)/one", ["kind": "Secret"]).status == 422)
    let moved = try await server.patch("\(configMaps)/one", ["metadata": ["namespace": "elsewhere"]])
    #expect(moved.status == 400)
    #expect(moved.message == "the namespace of the provided object does not match the namespace sent on the request")
    let uid = try await server.patch("\(configMaps)/one", ["metadata": ["uid": "x"]])
    #expect(uid.status == 422)
  }
}

@Suite struct ApplyTests {
  func apply(
    _ server: TestServer, _ path: String, _ object: JSONValue, manager: String = "me", force: Bool = false
  ) async throws -> Reply {
    try await server.send(
      "PATCH", "\(path)?fieldManager=\(manager)&force=\(force)", object,
      ["content-type": "application/apply-patch+yaml"])
  }

  @Test func anApplyCreatesThenUpdatesThenChangesNothing() async throws {
    let server = TestServer()
    let created = try await apply(server, "\(configMaps)/one", configMap("one"))
    #expect(created.status == 201)
    #expect(created.json["metadata"]["managedFields"][0]["operation"] == "Apply")
    let updated = try await apply(server, "\(configMaps)/one", configMap("one", ["b": "2"]))
    #expect(updated.status == 200)
    #expect(updated.json["data"] == ["b": "2"], "what is no longer applied goes")
    let same = try await apply(server, "\(configMaps)/one", configMap("one", ["b": "2"]))
    #expect(same.revision == updated.revision)
  }

  @Test func twoManagersOfOneFieldConflictUnlessForced() async throws {
    let server = TestServer()
    _ = try await apply(server, "\(deployments)/web", deployment("web"), manager: "first")
    let other: JSONValue = [
      "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web"], "spec": ["replicas": 7],
    ]
    let refused = try await apply(server, "\(deployments)/web", other, manager: "second")
    #expect(refused.status == 409)
    #expect(refused.message == "Apply failed with 1 conflict: conflict with \"first\": .spec.replicas")
    #expect(refused.json["details"]["causes"][0]["reason"] == "FieldManagerConflict")
    let forced = try await apply(server, "\(deployments)/web", other, manager: "second", force: true)
    #expect(forced.status == 200)
    #expect(forced.json["spec"]["replicas"] == 7)
  }

  @Test func aManagerIsRequiredAndForceIsForApplyOnly() async throws {
    let server = TestServer()
    let unnamed = try await server.send(
      "PATCH", "\(configMaps)/one", configMap("one"), ["content-type": "application/apply-patch+yaml"])
    #expect(unnamed.status == 422)
    #expect(unnamed.message.contains("fieldManager: Required value: is required for apply patch"))
    let forced = try await server.send(
      "PATCH", "\(configMaps)/one?force=true", [:], ["content-type": "application/merge-patch+json"])
    #expect(forced.status == 422)
    #expect(forced.message.contains("force: Forbidden: may not be specified for non-apply patch"))
  }

  @Test func anAppliedObjectSaysWhatItIs() async throws {
    let server = TestServer()
    for (apiVersion, kind, told) in [
      ("v2", "ConfigMap", "/v2, Kind=ConfigMap"), ("v1", "Secret", "/v1, Kind=Secret"), ("", "", "/, Kind="),
      ("apps/v1", "ConfigMap", "apps/v1, Kind=ConfigMap"),
    ] {
      var object = configMap("one")
      object["apiVersion"] = apiVersion.isEmpty ? .null : .string(apiVersion)
      object["kind"] = kind.isEmpty ? .null : .string(kind)
      let reply = try await apply(server, "\(configMaps)/one", object)
      #expect(reply.status == 400)
      #expect(reply.message == "invalid object type: \(told)")
    }
  }

  @Test func anAppliedObjectHasNoManagedFieldsOfItsOwn() async throws {
    var object = configMap("one")
    object["metadata"]["managedFields"] = [["manager": "x"]]
    let reply = try await apply(TestServer(), "\(configMaps)/one", object)
    #expect(reply.status == 400)
    #expect(reply.message == "metadata.managedFields must be nil")
  }

  @Test func aUIDDemandsAnObject() async throws {
    var object = configMap("one")
    object["metadata"]["uid"] = "x"
    #expect(try await apply(TestServer(), "\(configMaps)/one", object).status == 409)
  }

  @Test func managersWhoCreateAtTheSameTimeAllSucceed() async throws {
    let server = TestServer()
    let codes = try await withThrowingTaskGroup(of: Int.self) { group in
      for writer in 0..<4 {
        group.addTask {
          try await apply(
            server, "\(configMaps)/one", configMap("one", ["k\(writer)": "x"]), manager: "m\(writer)"
          ).status
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(codes.sorted() == [200, 200, 200, 201])
    #expect(try await server.get("\(configMaps)/one").json["data"].object?.count == 4)
  }

  @Test func theBodyMayBeYAML() async throws {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: \"1\"\n"
    let reply = try await TestServer().send(
      "PATCH", "\(configMaps)/one?fieldManager=me", bytes: Array(text.utf8),
      ["content-type": "application/apply-patch+yaml"])
    #expect(reply.status == 201)
    #expect(reply.json["data"]["a"] == "1")
  }
}
