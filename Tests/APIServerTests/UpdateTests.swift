import HTTP
import JSON
import Testing

@Suite struct UpdateTests {
  @Test func aPutReplacesAndKeepsWhatIsTheServers() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    var changed = made.json
    changed["data"] = ["b": "2"]
    let reply = try await server.put("\(configMaps)/one", changed)
    #expect(reply.status == 200)
    #expect(reply.json["data"] == ["b": "2"])
    #expect(reply.json["metadata"]["uid"] == made.json["metadata"]["uid"])
    #expect(reply.json["metadata"]["creationTimestamp"] == made.json["metadata"]["creationTimestamp"])
    #expect(UInt64(reply.revision)! > UInt64(made.revision)!)
  }

  @Test func aStaleRevisionIsAConflict() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    try await server.patch("\(configMaps)/one", ["data": ["b": "2"]])
    var changed = made.json
    changed["data"] = ["c": "3"]
    let reply = try await server.put("\(configMaps)/one", changed)
    #expect(reply.status == 409)
    #expect(reply.reason == "Conflict")
    #expect(
      reply.message
        == "Operation cannot be fulfilled on configmaps \"one\": the object has been modified; please apply your changes to the latest version and try again"
    )
    #expect(try await server.get("\(configMaps)/one").json["data"] == ["a": "1", "b": "2"])
  }

  @Test func ofTwoWritersWithOneRevisionExactlyOneWins() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let codes = try await withThrowingTaskGroup(of: Int.self) { group in
      for writer in 0..<8 {
        group.addTask {
          var changed = made.json
          changed["data"] = ["writer": .string("\(writer)")]
          return try await server.put("\(configMaps)/one", changed).status
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(codes.filter { $0 == 200 }.count == 1)
    #expect(codes.filter { $0 == 409 }.count == 7)
  }

  @Test func withoutARevisionTheLastWriteWins() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let reply = try await server.put("\(configMaps)/one", configMap("one", ["z": "9"]))
    #expect(reply.status == 200)
    #expect(reply.json["data"] == ["z": "9"])
  }

  @Test func someKindsDemandARevision() async throws {
    let server = TestServer()
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    let lease: JSONValue = [
      "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ["name": "l"],
      "spec": ["holderIdentity": "me", "leaseDurationSeconds": 15],
    ]
    try await server.post(leases, lease)
    let reply = try await server.put("\(leases)/l", lease)
    #expect(reply.status == 422)
    #expect(
      reply.message.contains("metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"))
  }

  @Test func aPutThatChangesNothingWritesNothing() async throws {
    let server = TestServer()
    let made = try await server.post(deployments, deployment("web"))
    let same = try await server.put("\(deployments)/web", made.json)
    #expect(same.status == 200)
    #expect(same.revision == made.revision)
    #expect(same.json == made.json)
    let again = try await server.put("\(deployments)/web", deployment("web"))
    #expect(again.json["metadata"]["generation"] == 1)
  }

  @Test func generationFollowsTheSpecOnly() async throws {
    let server = TestServer()
    try await server.post(deployments, deployment("web"))
    let labelled = try await server.patch("\(deployments)/web", ["metadata": ["labels": ["x": "y"]]])
    #expect(labelled.json["metadata"]["generation"] == 1)
    let scaled = try await server.patch("\(deployments)/web", ["spec": ["replicas": 5]])
    #expect(scaled.json["metadata"]["generation"] == 2)
    let status = try await server.patch("\(deployments)/web/status", ["status": ["replicas": 5]])
    #expect(status.json["metadata"]["generation"] == 2)
  }

  @Test func theMainEndpointDoesNotWriteStatusAndTheOtherNothingElse() async throws {
    let server = TestServer()
    var object = try await server.post(deployments, deployment("web")).json
    object["status"] = ["replicas": 7]
    let main = try await server.put("\(deployments)/web", object)
    #expect(main.json["status"]["replicas"].isNull)

    object["spec"]["replicas"] = 9
    object["metadata"]["resourceVersion"] = .null
    let status = try await server.put("\(deployments)/web/status", object)
    #expect(status.status == 200)
    #expect(status.json["status"]["replicas"] == 7)
    #expect(status.json["spec"]["replicas"] == 2)
    let read = try await server.get("\(deployments)/web/status")
    #expect(read.json == status.json)
    let managers = status.json["metadata"]["managedFields"].elements
    #expect(managers.contains { $0["subresource"] == "status" })
  }

  @Test func nameAndUIDMustBeThoseOfTheObject() async throws {
    let server = TestServer()
    var object = try await server.post(configMaps, configMap("one")).json
    let renamed = try await server.put("\(configMaps)/two", object)
    #expect(renamed.status == 400)
    #expect(renamed.message == "the name of the object (one) does not match the name on the URL (two)")
    object["metadata"]["uid"] = "other"
    let other = try await server.put("\(configMaps)/one", object)
    #expect(other.status == 409)
    let uid = try #require(try await server.get("\(configMaps)/one").json["metadata"]["uid"].string)
    #expect(
      other.message
        == "Operation cannot be fulfilled on configmaps \"one\": StorageError: invalid object, Code: 4, Key: "
        + "/registry/configmaps/default/one, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
        + "UID in precondition: other, UID in object meta: \(uid)")
    // A patch means the object that is there, whatever it wants to make of it.
    let patched = try await server.patch("\(configMaps)/one", ["metadata": ["uid": "other"]])
    #expect(patched.status == 422)
    #expect(
      patched.message == "ConfigMap \"one\" is invalid: metadata.uid: Invalid value: \"other\": field is immutable")
  }

  @Test func mostKindsAreNotCreatedByPut() async throws {
    let reply = try await TestServer().put("\(configMaps)/one", configMap("one"))
    #expect(reply.status == 404)
  }

  @Test func someKindsAreCreatedByPut() async throws {
    let server = TestServer()
    let role: JSONValue = [
      "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": ["name": "r"],
      "rules": [["apiGroups": [""], "resources": ["pods"], "verbs": ["get"]]],
    ]
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/r"
    #expect(try await server.put(path, role).status == 201)
    #expect(try await server.put(path, role).status == 200)
  }

  @Test func aDryRunChangesNothing() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let reply = try await server.put("\(configMaps)/one?dryRun=All", configMap("one", ["b": "2"]))
    #expect(reply.status == 200)
    #expect(reply.json["data"] == ["b": "2"])
    #expect(try await server.get("\(configMaps)/one").json == made.json)
  }

  @Test func anImmutableFieldIsInvalid() async throws {
    let server = TestServer()
    var object = try await server.post(deployments, deployment("web")).json
    object["spec"]["selector"] = ["matchLabels": ["app": "other"]]
    object["spec"]["template"]["metadata"]["labels"] = ["app": "other"]
    let reply = try await server.put("\(deployments)/web", object)
    #expect(reply.status == 422)
    #expect(reply.message.contains("spec.selector: Invalid value:"))
    #expect(reply.message.contains("field is immutable"))
  }

  @Test func aFencedWriterCannotWriteOnceAnotherHoldsTheLease() async throws {
    var server = TestServer()
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
    var lease = try await server.post(
      leases,
      [
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ["name": "kube-scheduler"],
        "spec": ["holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 4],
      ]
    ).json
    server.identity.fence = .init(namespace: "kube-system", lease: "kube-scheduler", transitions: 4)
    #expect(try await server.post(configMaps, configMap("mine")).status == 201)

    let other = TestServer(store: server.store)
    lease["spec"]["holderIdentity"] = "b"
    lease["spec"]["leaseTransitions"] = 5
    #expect(try await other.put("\(leases)/kube-scheduler", lease).status == 200)

    for reply in [
      try await server.post(configMaps, configMap("late")),
      try await server.patch("\(configMaps)/mine", ["data": ["late": "1"]]),
      try await server.delete("\(configMaps)/mine"),
    ] {
      #expect(reply.status == 409)
      #expect(reply.message.contains("no longer holds its lease"))
    }
    #expect(try await other.get(configMaps).names == ["mine"])
  }
}
