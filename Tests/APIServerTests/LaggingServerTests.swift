// A server that has not yet applied what another acknowledged: it must refuse nothing on what it remembers alone.
import APIServer
import HTTP
import JSON
import Kinds
import Replica
import Synchronization
import Testing

@Suite struct LaggingServerTests {
  private let path = "/api/v1/namespaces/default/configmaps"
  private let ahead = TestServer()

  @Test func anUpdateOfWhatIsGoneElsewhereIsNotFound() async throws {
    let first = try await ahead.post(path, configMap("a"))
    var newer = configMap("a", ["a": "2"])
    newer["metadata"]["resourceVersion"] = .string(first.revision)
    try await ahead.put("\(path)/a", newer)
    // Given a server that knows the second version, and a deletion that it has not applied yet,
    let behind = BehindServer(ahead.store)
    try await ahead.delete("\(path)/a")
    // when somebody replaces the first version, then there is nothing to be in conflict with.
    #expect(try await behind.send("PUT", "\(path)/a", newer) == 404)
    // Nor for a deletion of a certain version.
    let again = BehindServer(ahead.store)
    let deletion: JSONValue = [
      "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": ["resourceVersion": .string(first.revision)],
    ]
    #expect(try await again.send("DELETE", "\(path)/a", deletion) == 404)
  }

  @Test func anUpdateOfAVersionThatIsNewElsewhereIsCarriedOut() async throws {
    try await ahead.post(path, configMap("a"))
    let behind = BehindServer(ahead.store)
    let second = try await ahead.put("\(path)/a", configMap("a", ["a": "2"]))
    var third = configMap("a", ["a": "3"])
    third["metadata"]["resourceVersion"] = .string(second.revision)
    #expect(try await behind.send("PUT", "\(path)/a", third) == 200)
    #expect(try await ahead.get("\(path)/a").json["data"]["a"].string == "3")
  }

  @Test func aPatchIsJudgedByTheNewestObject() async throws {
    try await ahead.post(path, configMap("a"))
    let behind = BehindServer(ahead.store)
    try await ahead.put("\(path)/a", configMap("a", ["b": "2"]))
    // The test fails on the object as this server remembers it, not as it is.
    let patch: JSONValue = [["op": "test", "path": "/data/b", "value": "2"]]
    #expect(try await behind.send("PATCH", "\(path)/a", patch, type: "application/json-patch+json") == 200)
  }
}

/// A server over a store whose newest state is the one it had when this was made, until a read has gone to the group.
private struct BehindServer {
  private let server: APIServer

  init(_ store: LocalStore) {
    server = APIServer(
      store: BehindStore(store), registry: .builtIn, configuration: APIServer.Configuration(),
      dependencies: APIServer.Dependencies(), currentWorld: { testLoop })
  }

  /// The status of the answer.
  func send(_ method: String, _ target: String, _ body: JSONValue, type: String = "application/json") async throws
    -> Int
  {
    let identity = TrustedContext(user: "alice", groups: ["system:masters"])
    let request = HTTPRequest(
      method: method, target: target, headers: ["content-type": type], body: .bytes(body.bytes))
    return try await InProcessTransport(handler: server, identity: identity).send(request).status
  }
}

private final class BehindStore: ForwardingStore, @unchecked Sendable {
  private let remembered: Mutex<(any StateView)?>

  override init(_ store: LocalStore) {
    remembered = Mutex(store.current)
    super.init(store)
  }

  override var current: any StateView { remembered.withLock { $0 } ?? store.current }
  override func commit(_ command: Command) async throws(StoreError) -> CommandOutcome {
    remembered.withLock { $0 = nil }
    return try await store.commit(command)
  }
  override func linearizableState() async throws(StoreError) -> any StateView {
    remembered.withLock { $0 = nil }
    return try await store.linearizableState()
  }
}
