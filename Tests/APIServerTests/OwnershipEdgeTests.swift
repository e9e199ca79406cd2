// Who owns what where entries are renamed, dropped, defaulted, or too large to be kept.
import HTTP
import JSON
import Schema
import Testing

@Suite struct OwnershipEdgeTests {
  private func apply(
    _ server: TestServer, _ path: String, _ text: String, manager: String = "me", validation: String = "Warn"
  ) async throws -> Reply {
    try await server.send(
      "PATCH", "\(path)?fieldManager=\(manager)&fieldValidation=\(validation)", bytes: Array(text.utf8),
      ["content-type": "application/apply-patch+yaml"])
  }
  private func entries(_ reply: Reply) -> [JSONValue] { reply.json["metadata"]["managedFields"].elements }

  @Test func ofEntriesThatARenameMadeTwinsTheLastIsKept() async throws {
    let server = TestServer()
    let path = "\(configMaps)/one"
    _ = try await apply(
      server, path, #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"a":"1"}}}"#, manager: "first")
    let both = try await apply(
      server, path, #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"b":"2"}}}"#, manager: "second")
    #expect(entries(both).count == 2)
    var renamed = both.json
    for index in 0..<2 { renamed["metadata"]["managedFields"][index]["manager"] = "only" }
    let reply = try await server.put(path, renamed)
    #expect(entries(reply).map { $0["fieldsV1"] } == [["f:metadata": ["f:labels": ["f:b": [:]]]]])
  }

  @Test func anEmptyListOfEntriesEndsTheAccount() async throws {
    let server = TestServer()
    let path = "\(configMaps)/one"
    var object = configMap("one")
    object["metadata"]["managedFields"] = []
    #expect(entries(try await server.post(configMaps, configMap("one"))).count == 1)
    #expect(entries(try await server.put(path, object)).isEmpty)
    #expect(entries(try await server.patch(path, ["data": ["b": "2"]])).isEmpty)
    #expect(entries(try await server.post(configMaps, configMap("two"))).count == 1)
    #expect(entries(try await server.patch("\(configMaps)/two", ["metadata": ["managedFields": []]])).isEmpty)
  }

  /// Nothing but the account of owners makes these too large: it is left out, but not for who applies.
  @Test func theAccountOfOwnersIsLeftOutWhereThereIsNoRoomForIt() async throws {
    let server = TestServer()
    var data: JSONValue = [:]
    for index in 0..<9_999 {
      data["a-key-so-long-that-the-set-of-fields-grows-as-large-as-all-the-data-\(index)"] = "A"
    }
    let made = try await server.post(configMaps, configMap("made", data))
    #expect(made.status == 201 && entries(made).isEmpty)
    try await server.post(configMaps, configMap("put"))
    let put = try await server.put("\(configMaps)/put", configMap("put", data))
    #expect(put.status == 200 && entries(put).isEmpty)
    try await server.post(configMaps, configMap("patched"))
    let patched = try await server.patch("\(configMaps)/patched", ["data": data])
    #expect(patched.status == 200 && entries(patched).isEmpty)
    let applied = try await apply(server, "\(configMaps)/made", #"{"apiVersion":"v1","kind":"ConfigMap"}"#)
    #expect(applied.status == 413, "\(applied.message)")
  }

  /// The template of claims is atomic: applied, it loses its defaults, and has them again before it is written.
  @Test func anApplyThatOnlyRemovesDefaultsChangesNothing() async throws {
    let server = TestServer()
    let path = "/apis/apps/v1/namespaces/default/statefulsets/db"
    let text = """
      {"apiVersion":"apps/v1","kind":"StatefulSet","spec":{"serviceName":"db","selector":{"matchLabels":{"a":"b"}},
      "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i",
      "resources":{"limits":{"memory":"2048Mi"}}}]}},
      "volumeClaimTemplates":[{"metadata":{"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],
      "resources":{"requests":{"storage":"1Gi"}}}}]}}
      """
    let made = try await apply(server, path, text)
    #expect(made.status == 201, "\(made.message)")
    // As if it had been written a second ago.
    var older = made.json
    older["metadata"]["managedFields"][0]["time"] = "2020-01-01T00:00:00Z"
    let aged = try await server.put(path, older)
    #expect(entries(aged)[0]["time"] == "2020-01-01T00:00:00Z")
    #expect(try await apply(server, path, text).revision == aged.revision)
  }

  @Test func theGenerationOfADaemonSetsTemplateHasAnOwner() async throws {
    let server = TestServer()
    let path = "/apis/apps/v1/namespaces/default/daemonsets"
    var object = deployment("agent")
    object["kind"] = "DaemonSet"
    object["spec"]["replicas"] = .null
    let annotation = "f:deprecated.daemonset.template.generation"
    let made = try await server.post("\(path)?fieldManager=maker", object)
    #expect(
      entries(made)[0]["fieldsV1"]["f:metadata"]["f:annotations"] == [".": [:], "\(annotation)": [:]],
      "\(made.text)")
    let put = try await server.put("\(path)/agent?fieldManager=updater", object)
    let updater = entries(put).first { $0["manager"] == "updater" }
    #expect(updater?["fieldsV1"] == ["f:metadata": ["f:annotations": ["\(annotation)": [:]]]], "\(put.text)")
  }

  /// Metadata that comes with a status is not written by some kinds: then it has no owner, either.
  @Test func whatAStatusDoesNotWriteIsNobodys() async throws {
    let server = TestServer()
    let body: JSONValue = ["metadata": ["labels": ["a": "b"], "annotations": ["c": "d"]]]
    try await server.post(deployments, deployment("web"))
    let partly = try await server.patch("\(deployments)/web/status?fieldManager=me", body)
    #expect(partly.json["metadata"]["labels"].isNull && partly.json["metadata"]["annotations"] == ["c": "d"])
    #expect(
      entries(partly).first { $0["manager"] == "me" }?["fieldsV1"]
        == ["f:metadata": ["f:annotations": [".": [:], "f:c": [:]]]])
    let attachments = "/apis/storage.k8s.io/v1/volumeattachments"
    let made = try await server.post(
      attachments,
      [
        "metadata": ["name": "one"],
        "spec": ["attacher": "a", "nodeName": "n", "source": ["persistentVolumeName": "v"]],
      ])
    #expect(made.status == 201, "\(made.message)")
    let kept = try await server.patch("\(attachments)/one/status?fieldManager=me", body)
    #expect(kept.status == 200 && kept.revision == made.revision, "\(kept.text)")
  }

  // MARK: - Duplicates in what is applied

  @Test func duplicatesInAnAppliedConfigurationAreToldByTheirLines() async throws {
    let server = TestServer()
    let text = "{\n\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\n\"data\":{\n\t\"a\":\"1\",\n\t\"a\":\"2\"\n}}"
    let warned = try await apply(server, "\(configMaps)/one", text)
    #expect(warned.status == 201 && warned.json["data"] == ["a": "2"])
    #expect(warned.headers["warning"] == #"299 - "line 5: key \"a\" already set in map""#)
    let strict = try await apply(server, "\(configMaps)/one", text, validation: "Strict")
    #expect(strict.status == 400)
    #expect(
      strict.message == "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
        + "  line 5: key \"a\" already set in map")
    #expect(try await apply(server, "\(configMaps)/one", text, validation: "Ignore").headers["warning"] == nil)
  }

  /// A comma too many is no JSON, but it is YAML.
  @Test func whatLooksLikeJSONMayBeYAML() async throws {
    let reply = try await apply(
      TestServer(), "\(configMaps)/one",
      #"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one",},"data":{"a":"1",},}"#)
    #expect(reply.status == 201 && reply.json["data"] == ["a": "1"], "\(reply.message)")
  }
}

@Suite struct OwnerReferenceTests {
  private static let owner: JSONValue = ["apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "u-1"]
  private static func warning(_ when: String) -> String {
    "299 - \".metadata.ownerReferences contains duplicate entries\(when); API server dedups owner references in 1.20+, "
      + "and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: u-1\""
  }

  /// What is created or replaced is looked at before its owners are noted, what is patched after admission.
  @Test func ownersNamedTwiceAreKeptOnce() async throws {
    let server = TestServer()
    var object = configMap("one")
    object["metadata"]["ownerReferences"] = [Self.owner, Self.owner]
    let made = try await server.post(configMaps, object)
    #expect(made.json["metadata"]["ownerReferences"] == [Self.owner] && made.headers["warning"] == Self.warning(""))
    #expect(!made.json["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:ownerReferences"].isNull)
    let put = try await server.put("\(configMaps)/one", object)
    #expect(put.json["metadata"]["ownerReferences"] == [Self.owner] && put.headers["warning"] == Self.warning(""))
    let patched = try await server.patch(
      "\(configMaps)/one", ["metadata": ["ownerReferences": [Self.owner, Self.owner]]])
    #expect(patched.json["metadata"]["ownerReferences"] == [Self.owner])
    #expect(patched.headers["warning"] == Self.warning(" after mutating admission happens"))
    // One that differs in anything is another.
    var other = Self.owner
    other["blockOwnerDeletion"] = true
    object["metadata"]["ownerReferences"] = [Self.owner, other]
    let both = try await server.put("\(configMaps)/one", object)
    #expect(both.json["metadata"]["ownerReferences"].elements.count == 2 && both.headers["warning"] == nil)
  }

  @Test func anEvictionMayBeOfTheBetaVersion() async throws {
    let server = TestServer()
    try await server.post(pods, pod("a"))
    func evict(_ version: String) async throws -> Reply {
      try await server.post(
        "\(pods)/a/eviction",
        [
          "apiVersion": .string(version), "kind": "Eviction", "metadata": ["name": "a"],
          "deleteOptions": ["dryRun": ["All"]],
        ])
    }
    #expect(try await evict("policy/v1beta1").status == 201)
    #expect(try await evict("policy/v2").status == 400)
  }
}
