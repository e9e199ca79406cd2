// The audit log: policies as values, then what a server writes.
import APIServer
import HTTP
import JSON
import Replica
import Schema
import Synchronization
import Testing
import World

private final class Events: AuditSink {
  private let lines = Mutex<[JSONValue]>([])
  func write(_ event: [UInt8]) {
    let tree = (try? JSONValue(parsing: event)) ?? .null
    lines.withLock { $0.append(tree) }
  }
  var all: [JSONValue] { lines.withLock { $0 } }
  func stage(_ stage: String) -> [JSONValue] { all.filter { $0["stage"].string == stage } }
}

@Suite struct AuditTests {
  private let events = Events()

  private func server(_ policy: String) throws -> TestServer {
    let log = AuditLog(policy: try AuditPolicy(parsing: Array(policy.utf8)), sink: events)
    return TestServer { $0.audit = log }
  }
  private static let head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"

  @Test func aRequestIsRecordedWhenItComesAndWhenItIsAnswered() async throws {
    let server = try server(Self.head + "rules:\n- level: Metadata\n")
    let reply = try await server.send(
      "POST", configMaps, configMap("one"), ["user-agent": "kubectl/1", "audit-id": "abc"])
    #expect(reply.headers["audit-id"] == "abc")
    let all = events.all
    #expect(all.map { $0["stage"] } == ["RequestReceived", "ResponseComplete"])
    let event = try #require(all.last)
    #expect(event["kind"] == "Event")
    #expect(event["apiVersion"] == "audit.k8s.io/v1")
    #expect(event["level"] == "Metadata")
    #expect(event["auditID"] == "abc")
    #expect(event["verb"] == "create")
    #expect(event["user"]["username"] == "alice")
    #expect(event["user"]["groups"].elements.contains("system:masters"))
    #expect(event["userAgent"] == "kubectl/1")
    #expect(
      event["objectRef"] == ["resource": "configmaps", "namespace": "default", "apiVersion": "v1"])
    #expect(event["responseStatus"]["code"] == 201)
    #expect(event["annotations"]["authorization.k8s.io/decision"] == "allow")
    #expect(event["requestObject"].isNull)
    #expect(event["responseObject"].isNull)
    #expect(event["requestReceivedTimestamp"].string?.count == "2026-01-01T00:00:00.000000Z".count)
  }

  @Test func theFirstRuleThatMatchesDecides() async throws {
    let server = try server(
      Self.head + """
        omitStages: [RequestReceived]
        rules:
        - level: None
          users: ["alice"]
          verbs: ["get"]
          resources: [{group: "", resources: ["configmaps"]}]
        - level: RequestResponse
          resources: [{group: "", resources: ["configmaps"], resourceNames: ["two"]}]
          omitManagedFields: true
        - level: Request
          resources: [{group: "", resources: ["configmaps"]}]
        - level: Metadata
          nonResourceURLs: ["/version*"]
        """)
    try await server.post(configMaps, configMap("one"))
    _ = try await server.get("\(configMaps)/one")
    try await server.post(configMaps, configMap("two"))
    try await server.put("\(configMaps)/two", configMap("two", ["b": "2"]))
    _ = try await server.get("/version")
    _ = try await server.get("/metrics")
    let all = events.all
    #expect(all.map { $0["level"] } == ["Request", "Request", "RequestResponse", "Metadata"])
    #expect(all[0]["requestObject"]["metadata"]["name"] == "one")
    #expect(all[0]["responseObject"].isNull)
    #expect(all[2]["requestObject"]["data"] == ["b": "2"])
    #expect(all[2]["responseObject"]["data"] == ["b": "2"])
    #expect(all[2]["responseObject"]["metadata"]["managedFields"].isNull)
    #expect(all[3]["objectRef"].isNull)
    #expect(all[3]["requestURI"] == "/version")
  }

  @Test func refusalsCarryTheirStatus() async throws {
    let server = try server(Self.head + "rules:\n- level: Metadata\n  omitStages: [RequestReceived]\n")
    #expect(try await server.get("\(configMaps)/none").status == 404)
    let event = try #require(events.all.last)
    #expect(event["responseStatus"]["code"] == 404)
    #expect(event["responseStatus"]["reason"] == "NotFound")
    #expect(event["responseStatus"]["status"] == "Failure")
    #expect(event["objectRef"]["name"] == "none")
  }

  @Test func aWatchIsRecordedAtItsBeginningAndAtItsEnd() async throws {
    let server = try server(Self.head + "rules:\n- level: Metadata\n  omitStages: [RequestReceived]\n")
    let start = try await server.post(configMaps, configMap("zero")).revision
    let watch = try await server.watch("\(configMaps)?watch=true&resourceVersion=\(start)")
    #expect(events.stage("ResponseStarted").count == 1)
    #expect(events.stage("ResponseComplete").count == 1, "of the create")
    server.server.endWatches()
    #expect(try await watch.next() == nil)
    #expect(events.stage("ResponseComplete").last?["verb"] == "watch")
  }

  @Test func wrongCredentialsAreRecorded() async throws {
    struct Refuses: Authenticator {
      func authenticate(_ request: HTTPRequest) async throws(APIStatus) -> RequestUser { throw .unauthorized }
    }
    let log = AuditLog(policy: .metadata, sink: events)
    let server = TestServer {
      $0.audit = log
      $0.authenticator = Refuses()
    }
    #expect(try await server.get(configMaps).status == 401)
    let event = try #require(events.all.last)
    #expect(event["responseStatus"]["code"] == 401)
    #expect(event["responseStatus"]["message"].string?.hasPrefix("Authentication failed") == true)
  }

  @Test(arguments: [
    ("kind: Pod", "kind Policy"), (head, "rules: Required value"),
    (head + "rules:\n- level: Some\n", "rules[0].level: Unsupported value"),
    (head + "omitStages: [Never]\nrules:\n- level: None\n", "omitStages: Unsupported value"),
    (head + "rules:\n- level: None\n  nonResourceURLs: [/x]\n  namespaces: [a]\n", "rules[0].nonResourceURLs"),
    ("{", "not YAML"),
  ])
  func whatIsNoPolicyIsRefusedByField(text: String, message: String) {
    let error = #expect(throws: AuditPolicy.Invalid.self) { try AuditPolicy(parsing: Array(text.utf8)) }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }
}
