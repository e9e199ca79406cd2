import APIServer
import HTTP
import JSON
import Kinds
import Replica
import Schema
import Testing
import World

@Suite struct WatchTests {
  @Test func changesAfterARevisionArriveInOrderOnce() async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("zero")).revision
    let watch = try await server.watch("\(configMaps)?watch=true&resourceVersion=\(start)")
    try await server.post(configMaps, configMap("one"))
    try await server.patch("\(configMaps)/one", ["data": ["b": "2"]])
    let last = try await server.get("\(configMaps)/one")
    try await server.delete("\(configMaps)/one")
    let events = try await watch.next(3)
    #expect(events.map(\.description) == ["ADDED one", "MODIFIED one", "DELETED one"])
    #expect(events[1].object == last.json, "the event carries the object as it was stored")
    #expect(UInt64(events[2].revision)! > UInt64(last.revision)!, "a deletion has a revision of its own")
    #expect(events[2].object["data"] == last.json["data"])
    watch.cancel()
  }

  @Test(arguments: [HTTPVersion.inProcess, .http1])
  func readersInTheProcessGetEveryEventAlone(_ version: HTTPVersion) async throws {
    let server = TestServer()
    let names = (0..<20).map { "object-\($0 + 10)" }
    for name in names.prefix(10) { try await server.post(configMaps, configMap(name)) }
    var request = HTTPRequest(method: "GET", target: "\(configMaps)?watch=true")
    request.trusted = server.identity
    request.version = version
    let response = await server.server.respond(to: request)
    guard case .stream(let pipe) = response.body else { return #expect(Bool(false), "no stream") }
    for name in names.dropFirst(10) { try await server.post(configMaps, configMap(name)) }
    var chunks: [[UInt8]] = []
    let newline = UInt8(ascii: "\n")
    while chunks.joined().count(where: { $0 == newline }) < names.count, let batch = try await pipe.nextBatch() {
      chunks += batch
    }
    pipe.cancel()
    let lines = chunks.joined().split(separator: newline)
    let seen = try lines.map { try JSONValue(parsing: Array($0))["object"]["metadata"]["name"].string }
    #expect(seen == names)
    if version == .inProcess { #expect(chunks.count == names.count) }
    #expect(chunks.allSatisfy { $0.last == newline })
  }

  @Test func aWatchFromTheBeginningStartsWithWhatIsThere() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("b"))
    try await server.post(configMaps, configMap("a"))
    for query in ["", "&resourceVersion=0"] {
      let watch = try await server.watch("\(configMaps)?watch=1\(query)")
      #expect(try await watch.next(2).map(\.description) == ["ADDED a", "ADDED b"])
      watch.cancel()
    }
    let watch = try await server.watch("\(configMaps)?watch=1")
    _ = try await watch.next(2)
    try await server.post(configMaps, configMap("c"))
    #expect(try await watch.next()?.description == "ADDED c")
    watch.cancel()
  }

  @Test func writesThatChangeNothingAreNotSeen() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let watch = try await server.watch("\(configMaps)?watch=true&resourceVersion=\(made.revision)")
    try await server.put("\(configMaps)/one", made.json)
    try await server.post(configMaps, configMap("two"))
    #expect(try await watch.next()?.description == "ADDED two")
    watch.cancel()
  }

  @Test func onlyTheNamespaceOfThePathIsWatched() async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("zero")).revision
    let watch = try await server.watch("\(configMaps)?watch=true&resourceVersion=\(start)")
    let all = try await server.watch("/api/v1/configmaps?watch=true&resourceVersion=\(start)")
    try await server.post("/api/v1/namespaces/other/configmaps", configMap("far"))
    try await server.post(configMaps, configMap("near"))
    #expect(try await watch.next()?.name == "near")
    #expect(try await all.next(2).map(\.name) == ["far", "near"])
    watch.cancel()
    all.cancel()
  }

  @Test func crossingTheEdgeOfASelectionIsAddedAndDeleted() async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("one", labels: ["tier": "back"])).revision
    let watch = try await server.watch(
      "\(configMaps)?watch=true&resourceVersion=\(start)&labelSelector=tier%3Dfront")
    try await server.patch("\(configMaps)/one", ["data": ["b": "2"]])
    let entered = try await server.patch("\(configMaps)/one", ["metadata": ["labels": ["tier": "front"]]])
    let inside = try await server.patch("\(configMaps)/one", ["data": ["c": "3"]])
    let left = try await server.patch("\(configMaps)/one", ["metadata": ["labels": ["tier": "back"]]])
    try await server.delete("\(configMaps)/one")
    try await server.post(configMaps, configMap("two", labels: ["tier": "front"]))
    let events = try await watch.next(4)
    #expect(
      events.map(\.description) == ["ADDED one", "MODIFIED one", "DELETED one", "ADDED two"])
    #expect(events[0].revision == entered.revision)
    #expect(events[2].revision == left.revision, "it left with the revision of the change")
    #expect(events[2].object["metadata"]["labels"]["tier"] == "front", "as the last state that matched")
    #expect(events[2].object["data"] == inside.json["data"])
    watch.cancel()
  }

  /// As the scheduler watches: it names no value that it looks for.
  @Test func objectsThatTakeAValuePassedOverLeaveTheSelection() async throws {
    let server = TestServer()
    let start = try await server.post(pods, pod("early")).revision
    let selector = "status.phase!%3DSucceeded,status.phase!%3DFailed"
    let watch = try await server.watch("/api/v1/pods?watch=true&resourceVersion=\(start)&fieldSelector=\(selector)")
    try await server.post(pods, pod("late"))
    for (name, phase) in [("early", "Running"), ("early", "Succeeded"), ("late", "Failed"), ("late", "Failed")] {
      let status: JSONValue = ["status": ["phase": .string(phase), "message": "\"phase\":\"Succeeded\""]]
      #expect(try await server.patch("\(pods)/\(name)/status", status).status == 200)
    }
    try await server.post(pods, pod("last"))
    let events = try await watch.next(5)
    #expect(
      events.map(\.description) == ["ADDED late", "MODIFIED early", "DELETED early", "DELETED late", "ADDED last"])
    #expect(events[2].object["status"]["phase"] == "Running", "the last state that was seen")
    watch.cancel()
    let again = try await server.watch("/api/v1/pods?watch=true&fieldSelector=\(selector)")
    #expect(try await again.next()?.description == "ADDED last")
    again.cancel()
  }

  @Test func podsOfANodeComeWhenTheyAreBound() async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("zero")).revision
    let watch = try await server.watch(
      "/api/v1/pods?watch=true&resourceVersion=\(start)&fieldSelector=spec.nodeName%3Dn1")
    try await server.post(pods, pod("p"))
    let bound = try await server.post(
      "\(pods)/p/binding",
      ["apiVersion": "v1", "kind": "Binding", "metadata": ["name": "p"], "target": ["kind": "Node", "name": "n1"]])
    #expect(bound.status == 201)
    let event = try #require(try await watch.next())
    #expect(event.description == "ADDED p")
    #expect(event.object["spec"]["nodeName"] == "n1")
    watch.cancel()
  }

  @Test func aNameIsWatchedByFieldOrByTheOldPath() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    try await server.post(configMaps, configMap("two"))
    let byField = try await server.watch("\(configMaps)?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Dtwo")
    let byPath = try await server.watch("/api/v1/watch/namespaces/default/configmaps/two?resourceVersion=0")
    for watch in [byField, byPath] { #expect(try await watch.next()?.description == "ADDED two") }
    try await server.patch("\(configMaps)/one", ["data": ["x": "1"]])
    try await server.patch("\(configMaps)/two", ["data": ["x": "1"]])
    for watch in [byField, byPath] {
      #expect(try await watch.next()?.description == "MODIFIED two")
      watch.cancel()
    }
  }

  @Test func aRevisionThatIsTooOldIsOneErrorEvent() async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("one")).revision
    try server.outliveHistory()
    let watch = try await server.watch("\(configMaps)?watch=true&resourceVersion=\(start)")
    let event = try #require(try await watch.next())
    #expect(event.type == "ERROR")
    #expect(event.object["code"] == 410)
    #expect(event.object["reason"] == "Expired")
    #expect(event.object["message"].string?.hasPrefix("too old resource version: \(start) (") == true)
    #expect(try await watch.next() == nil, "the stream ends")
  }

  @Test func aRevisionFromTheFutureIsSilentUntilItComes() async throws {
    let server = TestServer()
    let now = UInt64(try await server.post(configMaps, configMap("one")).revision)!
    let watch = try await server.watch("\(configMaps)?watch=true&resourceVersion=\(now + 2)")
    try await server.post(configMaps, configMap("two"))
    try await server.post(configMaps, configMap("three"))
    try await server.post(configMaps, configMap("four"))
    #expect(try await watch.next()?.name == "four")
    watch.cancel()
  }

  @Test func theWatchEndsAfterItsTimeWithABookmarkBefore() async throws {
    let server = TestServer()
    let revision = try await server.post(configMaps, configMap("one")).revision
    let watch = try await server.watch("\(configMaps)?watch=true&resourceVersion=\(revision)&timeoutSeconds=1")
    #expect(try await watch.next() == nil)
  }

  @Test func aBookmarkComesBeforeTheEndForThoseWhoAsk() async throws {
    let server = TestServer()
    let revision = try await server.post(configMaps, configMap("one")).revision
    let watch = try await server.watch(
      "\(configMaps)?watch=true&resourceVersion=\(revision)&timeoutSeconds=5&allowWatchBookmarks=true")
    // Changes of other resources move the bookmark along, too.
    let later = try await server.post(pods, pod("p")).revision
    let bookmark = try #require(try await watch.next())
    #expect(bookmark.type == "BOOKMARK")
    #expect(bookmark.object["kind"] == "ConfigMap")
    #expect(UInt64(bookmark.revision)! >= UInt64(later)!)
    #expect(try await watch.next() == nil)
  }

  @Test func aThousandKubeletsEachSeeTheirOwnPods() async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("zero")).revision
    var watches: [WatchReader] = []
    for node in 0..<1000 {
      watches.append(
        try await server.watch(
          "/api/v1/pods?watch=true&resourceVersion=\(start)&fieldSelector=spec.nodeName%3Dn\(node)"))
    }
    for node in [7, 77, 777] { try await server.post(pods, pod("p\(node)", node: "n\(node)")) }
    for node in [777, 7, 77] { #expect(try await watches[node].next()?.description == "ADDED p\(node)") }
    server.server.endWatches()
    for (node, watch) in watches.enumerated() where ![7, 77, 777].contains(node) {
      #expect(try await watch.next() == nil)
    }
  }

  @Test func aWatchListEndsItsInitialEventsWithABookmark() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let revision = try await server.post(configMaps, configMap("two")).revision
    let watch = try await server.watch(
      "\(configMaps)?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
    let events = try await watch.next(3)
    #expect(events.map(\.type) == ["ADDED", "ADDED", "BOOKMARK"])
    #expect(events[2].object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true")
    #expect(events[2].object["kind"] == "ConfigMap")
    #expect(UInt64(events[2].revision)! >= UInt64(revision)!)
    try await server.post(configMaps, configMap("three"))
    // On a slow machine the time for another bookmark may have come.
    var next = try await watch.next()
    while next?.type == "BOOKMARK" { next = try await watch.next() }
    #expect(next?.description == "ADDED three")
    watch.cancel()

    let none = try await server.watch(
      "\(configMaps)?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")
    try await server.post(configMaps, configMap("four"))
    #expect(try await none.next()?.description == "ADDED four")
    none.cancel()
  }

  @Test func aWatchListOfTheFutureIsAnErrorEvent() async throws {
    let watch = try await TestServer().watch(
      "\(configMaps)?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=77777")
    let event = try #require(try await watch.next())
    #expect(event.type == "ERROR")
    #expect(event.object["code"] == 504)
    #expect(event.object["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge")
    #expect(try await watch.next() == nil)
  }

  @Test(arguments: [
    "sendInitialEvents=true", "resourceVersionMatch=NotOlderThan&resourceVersion=1",
    "sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1", "resourceVersion=abc",
  ])
  func optionsThatMakeNoSenseAreInvalid(query: String) async throws {
    let reply = try await TestServer().get("\(configMaps)?watch=true&\(query)")
    #expect(reply.status == 422)
    #expect(reply.reason == "Invalid")
  }

  @Test func aListThatComesAsAWatchIsNoTable() async throws {
    let server = TestServer()
    try await server.post(pods, pod("a"))
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    let path = "\(pods)?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    #expect(try await server.send("GET", path, nil, ["accept": table]).status == 406)
    let watch = try await server.watch(path, accept: "\(table),application/json")
    #expect(try await watch.next(2).map { $0.object["kind"] } == ["Pod", "Pod"])
  }

  @Test func tablesHaveColumnsInTheFirstEventOnly() async throws {
    let server = TestServer()
    try await server.post(pods, pod("a"))
    try await server.post(pods, pod("b"))
    let watch = try await server.watch(
      "\(pods)?watch=true&resourceVersion=0", accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
    let events = try await watch.next(2)
    #expect(events.map { $0.object["kind"] } == ["Table", "Table"])
    #expect(events[0].object["columnDefinitions"].elements.count > 4)
    #expect(events[1].object["columnDefinitions"].elements.isEmpty)
    #expect(events[1].object["rows"][0]["object"]["metadata"]["name"] == "b")
    watch.cancel()
  }

  @Test func metadataIsWatchedAlone() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let watch = try await server.watch(
      "\(configMaps)?watch=true&resourceVersion=0",
      accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json")
    let event = try #require(try await watch.next())
    #expect(event.object["kind"] == "PartialObjectMetadata")
    #expect(event.object["data"].isNull)
    try await server.patch("\(configMaps)/one", ["data": ["x": "1"]])
    let changed = try #require(try await watch.next())
    #expect(changed.type == "MODIFIED")
    #expect(changed.object["data"].isNull)
    watch.cancel()
  }

  @Test func everyWatcherGetsTheSameBytes() async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("zero")).revision
    var pipes: [BytePipe] = []
    for _ in 0..<50 {
      let response = try await server.raw("GET", "\(configMaps)?watch=true&resourceVersion=\(start)")
      guard case .stream(let pipe) = response.body else { throw UnexpectedReply(text: "no stream") }
      pipes.append(pipe)
    }
    try await server.post(configMaps, configMap("one"))
    var frames: Set<[UInt8]> = []
    for pipe in pipes {
      frames.insert(try #require(try await pipe.next()))
      pipe.cancel()
    }
    #expect(frames.count == 1)
  }

  /// As the reference does it: the stream ends, and the client goes on from what it has seen.
  @Test func aClientThatDoesNotReadIsCutOff() async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("zero")).revision
    let watch = try await server.watch("\(configMaps)?watch=true&resourceVersion=\(start)")
    let large: JSONValue = ["a": .string(String(repeating: "x", count: 1 << 20))]
    let names = (0..<12).map { "big-\($0 + 10)" }
    for name in names { try await server.post(configMaps, configMap(name, large)) }
    var seen: [String] = []
    while let event = try await watch.next() { seen.append(event.name) }
    #expect(!seen.isEmpty && seen.count < 8, "what waited for it was bounded")
    #expect(seen == Array(names.prefix(seen.count)))
  }

  /// Given a watch that goes on from long ago, when its client reads it at its own pace, then it gets all that happened
  /// since, and what happens meanwhile, in one stream. (A client of a server that had hung for 45 s had it reset.)
  @Test(arguments: [HTTPVersion.inProcess, .http1])
  func whatHappenedBeforeTheWatchWaitsForItsReader(_ version: HTTPVersion) async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("zero")).revision
    let large: JSONValue = ["a": .string(String(repeating: "x", count: 100_000))]
    let names = (0..<120).map { "big-\($0 + 100)" }
    for name in names { try await server.post(configMaps, configMap(name, large)) }
    var request = HTTPRequest(
      method: "GET", target: "\(configMaps)?watch=true&allowWatchBookmarks=true&resourceVersion=\(start)")
    request.trusted = server.identity
    request.version = version
    let response = await server.server.respond(to: request)
    guard case .stream(let pipe) = response.body else { throw UnexpectedReply(text: "no stream") }
    let watch = WatchReader(pipe: pipe)
    var events = try await watch.next(1)
    #expect(pipe.bufferedBytes < 2 << 20, "frames are made as they are taken")
    let later = (0..<30).map { "later-\($0 + 10)" }
    for name in later { try await server.post(configMaps, configMap(name, large)) }
    events += try await watch.next(names.count + later.count - 1)
    #expect(events.map(\.description) == (names + later).map { "ADDED \($0)" })
    try await server.post(configMaps, configMap("last"))
    #expect(try await watch.next()?.description == "ADDED last")
    watch.cancel()
  }

  @Test func aStoppingServerEndsItsWatchesCleanly() async throws {
    let server = TestServer()
    let start = try await server.post(configMaps, configMap("zero")).revision
    let watch = try await server.watch("\(configMaps)?watch=true&resourceVersion=\(start)")
    server.server.endWatches()
    #expect(try await watch.next() == nil)
  }

  /// Given a watch whose first events are more than its client has read, when it ends meanwhile (its time is up, or the
  /// server stops), then the client sees a clean end, and the server goes on. (It trapped.)
  @Test func aWatchMayEndWhileItsFirstEventsWait() async throws {
    let server = TestServer()
    let large: JSONValue = ["a": .string(String(repeating: "x", count: 100_000))]
    let names = (0..<40).map { "big-\($0 + 10)" }
    for name in names { try await server.post(configMaps, configMap(name, large)) }
    let watch = try await server.watch("\(configMaps)?watch=true")
    server.server.endWatches()
    var events: [String] = []
    while let event = try await watch.next() { events.append(event.description) }
    #expect(events.count < names.count && events == names.prefix(events.count).map { "ADDED \($0)" })
    #expect(try await server.get("\(configMaps)/\(names[0])").status == 200)
  }

  @Test func aProtobufWatchIsLengthsAndEvents() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let response = try await server.raw(
      "GET", "\(configMaps)?watch=true&resourceVersion=0", [],
      ["accept": "application/vnd.kubernetes.protobuf,application/json"])
    #expect(response.headers["content-type"] == "application/vnd.kubernetes.protobuf;stream=watch")
    guard case .stream(let pipe) = response.body else { throw UnexpectedReply(text: "no stream") }
    let first = try #require(try await testLoop.withDeadline(.seconds(5), { try await pipe.next() }))
    let length = first.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    #expect(length == first.count - 4, "one frame: its length, then its event")
    let event = try ProtobufDecoder.decode(Array(first.dropFirst(4)), as: watchEvent)
    #expect(event["type"] == "ADDED")
    let raw = try Base64.decode(event["object"]["raw"].string ?? "")
    let envelope = try ProtobufEnvelope(parsing: raw)
    #expect(envelope.kind == "ConfigMap")
    let object = try ProtobufDecoder.decode(
      envelope.message, as: server.server.registry.kind(group: "", version: "v1", resource: "configmaps")!.structure)
    #expect(object["metadata"]["name"] == "one")
    pipe.cancel()
  }

  /// The event as it is on the wire; the object in it is another message, in an envelope of its own.
  private var watchEvent: Structure {
    let raw = Structure(name: "RawExtension")
    raw.seal(fields: [Field(name: "raw", number: 1, type: .bytes)])
    raw.expandInline()
    let event = Structure(name: "WatchEvent")
    event.seal(fields: [
      Field(name: "type", number: 1, type: .string), Field(name: "object", number: 2, type: .structure(raw)),
    ])
    event.expandInline()
    return event
  }
}
