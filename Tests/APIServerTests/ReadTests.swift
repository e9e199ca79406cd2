import APIServer
import Foundation
import HTTP
import JSON
import Replica
import Synchronization
import Testing
import World

@Suite struct GetTests {
  @Test func anObjectThatIsNotThereIsNotFound() async throws {
    let reply = try await TestServer().get("\(deployments)/web")
    #expect(reply.status == 404)
    #expect(reply.reason == "NotFound")
    #expect(reply.message == "deployments.apps \"web\" not found")
    #expect(reply.json["details"] == ["name": "web", "group": "apps", "kind": "deployments"])
    #expect(reply.json["kind"] == "Status")
    #expect(reply.json["code"] == 404)
  }

  @Test func anUnknownResourceIsNotFoundInOtherWords() async throws {
    let server = TestServer()
    for path in [
      "/api/v1/namespaces/default/unicorns", "/apis/apps/v9/namespaces/default/deployments", "/apis/apps/v9",
      "/api/v1/namespaces/default/nodes/n", "/api/v2", "/api/v1/pods/one",
    ] {
      let reply = try await server.get(path)
      #expect(reply.status == 404, "\(path)")
      #expect(
        reply.json == [
          "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure",
          "message": "the server could not find the requested resource", "reason": "NotFound", "details": [:],
          "code": 404,
        ], "\(path)")
    }
  }

  @Test func aPathThatLeadsNowhereIsNotFoundAsText() async throws {
    let server = TestServer()
    for path in [
      "/nothing/here", "/apis/no.such", "/apis/no.such/v1", "/apis/no.such/v1/things",
      "/apis/no.such/v1/namespaces/default/things/one", "/openapi/v4", "/openapi/v3/apis/no.such/v1",
    ] {
      let reply = try await server.get(path)
      #expect(reply.status == 404, "\(path)")
      #expect(reply.text == "404 page not found\n", "\(path)")
      #expect(reply.headers["content-type"] == "text/plain; charset=utf-8", "\(path)")
    }
    #expect(try await server.post("/apis/no.such/v1/namespaces/default/things", [:]).text == "404 page not found\n")
  }

  @Test func numbersAndTokensThatAreNoneAreToldInTheWordsOfTheirParsers() async throws {
    let server = TestServer()
    let number = #"resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax"#
    let large = "99999999999999999999999"
    let range =
      #"resourceVersion: Invalid value: "\#(large)": strconv.ParseUint: parsing "\#(large)": value out of range"#
    let token = "invalid continue token: continue key is not valid: "
    for (query, message) in [
      ("resourceVersion=abc", number), ("resourceVersion=\(large)", range),
      ("continue=x", token + "illegal base64 data at input byte 0"),
      ("continue=ab.c", token + "illegal base64 data at input byte 2"),
      ("continue=eHh4", token + "invalid character 'x' looking for beginning of value"),
      ("continue=e30", token + "server does not recognize this encoded version \"\""),
      (
        "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0",
        token + "encoded start key empty (version meta.k8s.io/v1)"
      ),
    ] {
      let reply = try await server.get("\(configMaps)?\(query)")
      #expect(reply.status == 400 && reply.reason == "BadRequest")
      #expect(reply.message == message)
    }
  }

  @Test func methodsThatAResourceLacksAreRefused() async throws {
    let server = TestServer()
    for (method, path) in [
      ("DELETE", "/api/v1/namespaces"), ("POST", "\(configMaps)/one"), ("PUT", configMaps), ("PATCH", configMaps),
      ("GET", "/apis/authentication.k8s.io/v1/tokenreviews"), ("POST", "/api/v1/namespaces/default/pods/p/status"),
      ("DELETE", "/api/v1/pods"), ("POST", "/version"), ("POST", "/api/v1/pods"), ("PUT", "/api/v1/pods"),
    ] {
      let reply = try await server.send(method, path, configMap("one"))
      #expect(reply.status == 405, "\(method) \(path)")
      #expect(reply.reason == "MethodNotAllowed")
      #expect(reply.json["details"] == [:])
    }
    // Kinds that cannot be listed have no path beside their namespaces'.
    #expect(try await server.post("/apis/authorization.k8s.io/v1/localsubjectaccessreviews", [:]).status == 404)
  }

  @Test func aHeadIsNoGetOfABuiltInKind() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    for (path, status) in [
      ("\(configMaps)/one", 405), (configMaps, 405), ("/api/v1/configmaps", 405), ("/api/v1/configmaps/one", 404),
      ("/api/v1/namespaces/default/pods/p/log", 405), ("/api/v1/namespaces/default/status", 405), ("/api", 405),
      ("/api/v1", 405), ("/apis/apps/v1", 405), ("/version", 405), ("/api/v1/nothing", 404), ("/", 200), ("/apis", 200),
      ("/apis/apps", 200), ("/openapi/v3", 200), ("/metrics", 200),
    ] {
      let reply = try await server.send("HEAD", path)
      #expect(reply.status == status, "\(path)")
      #expect(reply.text.isEmpty)
    }
  }

  @Test func textsThatAreNoUTF8AreRepairedInJSONAndRefusedInYAML() async throws {
    let server = TestServer()
    let body = Array(#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"odd"},"data":{"a":"x"#.utf8)
    let end = Array(#"y"}}"#.utf8)
    let made = try await server.send("POST", configMaps, bytes: body + [0xff, 0xe2, 0x82] + end)
    #expect(made.status == 201)
    #expect(try await server.get("\(configMaps)/odd").json["data"]["a"] == "x\u{FFFD}\u{FFFD}\u{FFFD}y")
    let patch = Array(#"{"data":{"b":""#.utf8) + [0xc3, 0x22, 0x7d, 0x7d]
    let patched = try await server.send(
      "PATCH", "\(configMaps)/odd", bytes: patch, ["content-type": "application/merge-patch+json"])
    #expect(patched.status == 200 && patched.json["data"]["b"] == "\u{FFFD}")
    let refused = try await server.send(
      "POST", configMaps, bytes: body + [0xff] + end, ["content-type": "application/yaml"])
    #expect(refused.status == 400 && refused.message.contains("yaml: invalid leading UTF-8 octet"))
  }

  @Test func aRevisionFromTheFutureIsWaitedForAndThenRefused() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let next = UInt64(made.revision)! + 1
    async let early = server.get("\(configMaps)/one?resourceVersion=\(next)")
    try await server.post(configMaps, configMap("two"))
    #expect(try await early.status == 200)

    let late = try await server.get("\(configMaps)/one?resourceVersion=999999")
    #expect(late.status == 504)
    #expect(late.reason == "Timeout")
    #expect(late.message.contains("Too large resource version: 999999, current: "))
    #expect(late.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge")
    #expect(late.json["details"]["retryAfterSeconds"] == 1)
    #expect(late.headers["retry-after"] == "1")
  }

  @Test func anyRevisionWillDoForZero() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    #expect(try await server.get("\(configMaps)/one?resourceVersion=0").status == 200)
    #expect(try await server.get("\(configMaps)/one?resourceVersion=abc").status == 400)
  }
}

@Suite struct ListTests {
  func server(_ count: Int = 5) async throws -> TestServer {
    let server = TestServer()
    for index in 0..<count {
      try await server.post(
        configMaps, configMap("cm-\(index)", labels: ["parity": index % 2 == 0 ? "even" : "odd"]))
    }
    try await server.post("/api/v1/namespaces/other/configmaps", configMap("elsewhere"))
    return server
  }

  @Test func aListHasItemsInOrderOfTheirKeys() async throws {
    let server = try await server()
    let reply = try await server.get(configMaps)
    #expect(reply.status == 200)
    #expect(reply.json["kind"] == "ConfigMapList")
    #expect(reply.json["apiVersion"] == "v1")
    #expect(reply.names == ["cm-0", "cm-1", "cm-2", "cm-3", "cm-4"])
    let revisions = reply.json["items"].elements.compactMap { UInt64($0["metadata"]["resourceVersion"].string ?? "") }
    #expect(UInt64(reply.revision)! >= revisions.max()!)
    #expect(reply.json["metadata"]["continue"].isNull)
  }

  @Test func allNamespacesAreListedWithoutNamingOne() async throws {
    let reply = try await server(1).get("/api/v1/configmaps")
    #expect(reply.names == ["cm-0", "elsewhere"])
  }

  @Test func anEmptyListHasItems() async throws {
    let reply = try await TestServer().get(configMaps)
    #expect(reply.json["items"] == [])
  }

  @Test(arguments: [
    ("parity=even", ["cm-0", "cm-2", "cm-4"]), ("parity!=even", ["cm-1", "cm-3"]),
    ("parity in (odd,none)", ["cm-1", "cm-3"]), ("parity notin (odd)", ["cm-0", "cm-2", "cm-4"]),
    ("!parity", []), ("parity", ["cm-0", "cm-1", "cm-2", "cm-3", "cm-4"]),
  ])
  func labelsSelect(selector: String, names: [String]) async throws {
    let encoded = RequestTarget(segments: [], query: [("labelSelector", selector)]).encoded.dropFirst(2)
    #expect(try await server().get("\(configMaps)?\(encoded)").names == names)
  }

  @Test func fieldsSelect() async throws {
    let server = try await server()
    #expect(try await server.get("\(configMaps)?fieldSelector=metadata.name%3Dcm-3").names == ["cm-3"])
    #expect(
      try await server.get("\(configMaps)?fieldSelector=metadata.name!%3Dcm-3").names
        == ["cm-0", "cm-1", "cm-2", "cm-4"])
    #expect(
      try await server.get("/api/v1/configmaps?fieldSelector=metadata.namespace%3Dother").names == ["elsewhere"])
    let unknown = try await server.get("\(configMaps)?fieldSelector=data.a%3D1")
    #expect(unknown.status == 400)
    #expect(
      unknown.message == "\"data.a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    let ofPods = try await server.get("/api/v1/pods?fieldSelector=spec.foo%3D1")
    #expect(ofPods.message == "field label not supported: spec.foo")
  }

  @Test func podsAreSelectedByNodeAndPhase() async throws {
    let server = TestServer()
    try await server.post(pods, pod("here", node: "n1"))
    try await server.post(pods, pod("there", node: "n2"))
    try await server.post(pods, pod("nowhere"))
    #expect(try await server.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").names == ["here"])
    #expect(try await server.get("/api/v1/pods?fieldSelector=spec.nodeName%3D").names == ["nowhere"])
    #expect(
      try await server.get(
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1,status.phase!%3DSucceeded,status.phase!%3DFailed"
      ).names == ["here"])
    #expect(
      try await server.get("/api/v1/pods?fieldSelector=spec.hostNetwork%3Dfalse").names
        == ["here", "nowhere", "there"], "what is absent is false")
  }

  @Test func aNodesPodsComeInPagesOfOneState() async throws {
    let server = TestServer()
    for index in 0..<6 { try await server.post(pods, pod("p\(index)", node: "n\(index % 2)")) }
    let path = "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&limit=2"
    let first = try await server.get(path)
    #expect(first.names == ["p1", "p3"])
    try await server.post(pods, pod("p4x", node: "n1"))
    #expect(try await server.delete("\(pods)/p5?gracePeriodSeconds=0").status == 200)
    let rest = try await server.get("\(path)&continue=\(first.json["metadata"]["continue"].string!)")
    #expect(rest.names == ["p5"])
    #expect(rest.json["metadata"]["continue"].isNull)
    #expect(rest.revision == first.revision)
    #expect(try await server.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").names == ["p1", "p3", "p4x"])
    #expect(try await server.get("\(path),spec.nodeName%3Dn0").names == [])
    #expect(try await server.get("/api/v1/pods?fieldSelector=spec.host%3Dn1,metadata.name%3Dp3").names == ["p3"])
    #expect(try await server.get("/api/v1/pods?fieldSelector=spec.nodeName!%3Dn1").names == ["p0", "p2", "p4"])
  }

  private struct WorkOnThreads: BackgroundWork {
    func perform(_ body: @escaping @Sendable () -> Void) { Thread.detachNewThread(body) }
  }

  /// What takes long to find or to present, and what it is asked for as.
  @Test(arguments: [
    ("/api/v1/pods?fieldSelector=status.phase%3DFailed", "application/json"),
    ("/api/v1/pods", "application/vnd.kubernetes.protobuf"),
    ("/api/v1/pods", "application/json;as=Table;v=v1;g=meta.k8s.io"), ("/api/v1/pods", "application/yaml"),
  ]) func longListsLetOthersBetween(list: String, accept: String) async throws {
    let server = TestServer { $0.background = WorkOnThreads() }
    try server.store(pods: 3000)
    let order = Mutex<[String]>([])
    let tasks = [(list, accept), ("/api/v1/namespaces/default", "application/json")].map { target, accept in
      testLoop.spawn {
        let reply = try? await server.raw("GET", target, [], ["accept": accept])
        order.withLock { $0.append("\(target) \(reply?.status ?? 0)") }
      }
    }
    for task in tasks { await task.wait() }
    #expect(order.withLock { $0 } == ["/api/v1/namespaces/default 404", "\(list) 200"])
  }

  @Test func aLongTableIsWhatItsObjectsAre() async throws {
    let server = TestServer()
    try server.store(pods: 1234)
    let table = try await server.get(
      "/api/v1/pods?includeObject=Object", accept: "application/json;as=Table;v=v1;g=meta.k8s.io")
    let list = try await server.get("/api/v1/pods")
    #expect(table.json["kind"] == "Table" && table.revision == list.revision)
    #expect(table.json["columnDefinitions"].elements.count > 5)
    let rows = table.json["rows"].elements
    #expect(rows.map { $0["cells"].elements.first?.string } == list.names)
    #expect(rows.map { $0["object"]["spec"] } == list.json["items"].elements.map { $0["spec"] })
  }

  @Test(arguments: ["a in (", "=b", "a b", "-x=1"])
  func selectorsThatDoNotParseAreBadRequests(selector: String) async throws {
    let encoded = RequestTarget(segments: [], query: [("labelSelector", selector)]).encoded.dropFirst(2)
    let reply = try await TestServer().get("\(configMaps)?\(encoded)")
    #expect(reply.status == 400)
    #expect(reply.reason == "BadRequest")
  }

  // MARK: - Pages

  @Test func pagesTogetherAreTheList() async throws {
    let server = try await server()
    let first = try await server.get("\(configMaps)?limit=2")
    #expect(first.names == ["cm-0", "cm-1"])
    #expect(first.json["metadata"]["remainingItemCount"] == 3)
    let second = try await server.get("\(configMaps)?limit=2&continue=\(first.json["metadata"]["continue"].string!)")
    #expect(second.names == ["cm-2", "cm-3"])
    #expect(second.json["metadata"]["remainingItemCount"] == 1)
    #expect(second.revision == first.revision)
    let third = try await server.get("\(configMaps)?limit=2&continue=\(second.json["metadata"]["continue"].string!)")
    #expect(third.names == ["cm-4"])
    #expect(third.json["metadata"]["continue"].isNull)
    #expect(third.json["metadata"]["remainingItemCount"].isNull)
  }

  /// As from the reference's cache, which has no pages.
  @Test func whoTakesAnyStateGetsAllOfItWhateverTheLimit() async throws {
    let list = try await server().get("\(configMaps)?limit=2&resourceVersion=0")
    #expect(list.names.count == 5 && list.json["metadata"]["continue"].isNull)
  }

  @Test func laterPagesShowTheStateOfTheFirst() async throws {
    let server = try await server()
    let first = try await server.get("\(configMaps)?limit=2")
    try await server.delete("\(configMaps)/cm-3")
    try await server.post(configMaps, configMap("cm-2a"))
    let rest = try await server.get("\(configMaps)?continue=\(first.json["metadata"]["continue"].string!)")
    #expect(rest.names == ["cm-2", "cm-3", "cm-4"])
    #expect(rest.revision == first.revision)
  }

  @Test func anotherServerGoesOnWithTheSameToken() async throws {
    let server = try await server()
    let first = try await server.get("\(configMaps)?limit=4")
    let other = TestServer(store: server.store)
    let rest = try await other.get("\(configMaps)?continue=\(first.json["metadata"]["continue"].string!)")
    #expect(rest.names == ["cm-4"])
  }

  @Test func pagesOfASelectionHaveNoRemainder() async throws {
    let server = try await server()
    let first = try await server.get("\(configMaps)?limit=2&labelSelector=parity%3Deven")
    #expect(first.names == ["cm-0", "cm-2"])
    #expect(first.json["metadata"]["remainingItemCount"].isNull)
    let token = first.json["metadata"]["continue"].string!
    let second = try await server.get("\(configMaps)?limit=2&labelSelector=parity%3Deven&continue=\(token)")
    #expect(second.names == ["cm-4"])
    #expect(second.json["metadata"]["continue"].isNull)
  }

  @Test func aTokenWhoseStateIsGoneSaysHowToGoOn() async throws {
    let server = try await server()
    let first = try await server.get("\(configMaps)?limit=2")
    try server.outliveHistory()
    let expired = try await server.get("\(configMaps)?continue=\(first.json["metadata"]["continue"].string!)")
    #expect(expired.status == 410)
    #expect(expired.reason == "Expired")
    #expect(expired.message.hasPrefix("The provided continue parameter is too old"))
    let token = try #require(expired.json["metadata"]["continue"].string)
    let rest = try await server.get("\(configMaps)?continue=\(token)")
    #expect(rest.status == 200)
    #expect(rest.names == ["cm-2", "cm-3", "cm-4"])
  }

  @Test func tokensAndOptionsThatMakeNoSense() async throws {
    let server = try await server()
    let token = try await server.get("\(configMaps)?limit=2").json["metadata"]["continue"].string!
    #expect(try await server.get("\(configMaps)?continue=xyz").status == 400)
    #expect(try await server.get("\(configMaps)?continue=\(token)&resourceVersion=5").status == 400)
    #expect(try await server.get("\(configMaps)?continue=\(token)&resourceVersion=0").status == 200)
    for query in [
      "resourceVersionMatch=Exact", "resourceVersionMatch=Exact&resourceVersion=0",
      "resourceVersionMatch=Soon&resourceVersion=1", "sendInitialEvents=true",
      "resourceVersionMatch=NotOlderThan&resourceVersion=1&continue=\(token)",
    ] {
      let reply = try await server.get("\(configMaps)?\(query)")
      #expect(reply.status == 422, "\(query)")
      #expect(reply.message.hasPrefix("ListOptions.meta.k8s.io \"\" is invalid: "), "\(reply.message)")
    }
  }

  // MARK: - resourceVersion

  @Test func exactlyAtARevisionMeansExactly() async throws {
    let server = try await server(2)
    let then = try await server.get(configMaps).revision
    try await server.post(configMaps, configMap("later"))
    let exact = try await server.get("\(configMaps)?resourceVersion=\(then)&resourceVersionMatch=Exact")
    #expect(exact.names == ["cm-0", "cm-1"])
    #expect(exact.revision == then)
    let legacy = try await server.get("\(configMaps)?resourceVersion=\(then)&limit=10")
    #expect(legacy.names == ["cm-0", "cm-1"])
    let notOlder = try await server.get("\(configMaps)?resourceVersion=\(then)&resourceVersionMatch=NotOlderThan")
    #expect(notOlder.names == ["cm-0", "cm-1", "later"])
    #expect(try await server.get("\(configMaps)?resourceVersion=0").names == ["cm-0", "cm-1", "later"])
  }
}
