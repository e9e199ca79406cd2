// A server in the test's process, over a store in memory: what stories are told with.
import APIServer
import EventLoop
import HTTP
import JSON
import Kinds
import Replica
import Schema
import Testing
import World

/// One loop for all tests: they use it for its clock and timers.
let testLoop = EventLoop.start(name: "api-tests")

struct Reply {
  var status: Int
  var headers: HTTPHeaders
  var json: JSONValue
  var text: String

  var reason: String { json["reason"].string ?? "" }
  var message: String { json["message"].string ?? "" }
  var name: String { json["metadata"]["name"].string ?? "" }
  var revision: String { json["metadata"]["resourceVersion"].string ?? "" }
  var names: [String] { json["items"].elements.compactMap { $0["metadata"]["name"].string } }
}

struct TestServer {
  let store: LocalStore
  let server: APIServer
  var identity = TrustedContext(user: "alice", groups: ["system:masters"])

  init(
    store: LocalStore = LocalStore(world: testLoop), registry: KindRegistry = .builtIn,
    configuration: APIServer.Configuration = APIServer.Configuration(),
    seenThrough forwarding: (any ObjectStore)? = nil,
    configure: (inout APIServer.Dependencies) -> Void = { _ in }
  ) {
    self.store = store
    var dependencies = APIServer.Dependencies()
    configure(&dependencies)
    server = APIServer(
      store: forwarding ?? store, registry: registry, configuration: configuration, dependencies: dependencies,
      currentWorld: { testLoop })
  }

  func raw(
    _ method: String, _ target: String, _ body: [UInt8] = [], _ headers: HTTPHeaders = [:]
  ) async throws -> HTTPResponse {
    let request = HTTPRequest(
      method: method, target: target, headers: headers, body: body.isEmpty ? .empty : .bytes(body))
    return try await InProcessTransport(handler: server, identity: identity).send(request)
  }

  @discardableResult
  func send(
    _ method: String, _ target: String, _ body: JSONValue? = nil, _ headers: HTTPHeaders = [:]
  ) async throws -> Reply {
    try await send(method, target, bytes: body?.bytes ?? [], headers)
  }

  func send(
    _ method: String, _ target: String, bytes: [UInt8], _ headers: HTTPHeaders = [:]
  ) async throws -> Reply {
    let response = try await raw(method, target, bytes, headers)
    let bytes = try await response.body.collect()
    let json = (try? JSONValue(parsing: bytes)) ?? .null
    return Reply(
      status: response.status, headers: response.headers, json: json, text: String(decoding: bytes, as: UTF8.self))
  }

  /// Puts so many pods into the store, past the server.
  func store(pods count: Int) throws {
    for index in 0..<count {
      let key = ObjectKey(resource: "pods", namespace: "default", name: "p\(index)")
      _ = try store.commitNow(Command(mutations: [.put(key, UnversionedObject(tree: pod(key.name)))]))
    }
  }

  func get(_ target: String, accept: String? = nil) async throws -> Reply {
    var headers: HTTPHeaders = [:]
    headers["accept"] = accept
    return try await send("GET", target, nil, headers)
  }
  @discardableResult
  func post(_ target: String, _ body: JSONValue) async throws -> Reply { try await send("POST", target, body) }
  @discardableResult
  func put(_ target: String, _ body: JSONValue) async throws -> Reply { try await send("PUT", target, body) }
  @discardableResult
  func delete(_ target: String, _ body: JSONValue? = nil) async throws -> Reply {
    try await send("DELETE", target, body)
  }
  @discardableResult
  func patch(_ target: String, _ body: JSONValue, _ type: String = "merge-patch+json") async throws -> Reply {
    try await send("PATCH", target, body, ["content-type": "application/\(type)"])
  }

  /// Writes so much that what was there before is no longer in the history of changes.
  func outliveHistory() throws {
    let value = JSONValue.string(String(repeating: "x", count: 100_000))
    let object = UnversionedObject(tree: ["metadata": ["name": "x"], "value": value])
    for _ in 0..<4096 {
      _ = try store.commitNow(
        Command(mutations: [.put(ObjectKey(resource: "x", namespace: "", name: "x"), object)]))
    }
  }

  func watch(_ target: String, accept: String? = nil) async throws -> WatchReader {
    var headers: HTTPHeaders = [:]
    headers["accept"] = accept
    let response = try await raw("GET", target, [], headers)
    guard case .stream(let pipe) = response.body else {
      throw UnexpectedReply(text: String(decoding: try await response.body.collect(), as: UTF8.self))
    }
    return WatchReader(pipe: pipe)
  }
}

struct UnexpectedReply: Error { let text: String }

struct WatchEvent: Equatable, CustomStringConvertible {
  var type: String
  var object: JSONValue
  var name: String { object["metadata"]["name"].string ?? "" }
  var revision: String { object["metadata"]["resourceVersion"].string ?? "" }
  var description: String { "\(type) \(name)" }
}

/// Reads the events of a watch one by one.
final class WatchReader {
  private let pipe: BytePipe
  private var buffer: [UInt8] = []

  init(pipe: BytePipe) { self.pipe = pipe }

  /// The next event; nil at the end of the stream. Fails when none comes in time.
  func next(within limit: Duration = .seconds(30)) async throws -> WatchEvent? {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let tree = try JSONValue(parsing: Array(buffer[..<end]))
        buffer.removeSubrange(...end)
        return WatchEvent(type: tree["type"].string ?? "", object: tree["object"])
      }
      let pipe = self.pipe
      guard let chunk = try await testLoop.withDeadline(limit, { try await pipe.next() }) else { return nil }
      buffer += chunk
    }
  }

  func next(_ count: Int) async throws -> [WatchEvent] {
    var events: [WatchEvent] = []
    while events.count < count, let event = try await next() { events.append(event) }
    return events
  }

  func cancel() { pipe.cancel() }
}

// MARK: - Objects of the stories

func configMap(_ name: String, _ data: JSONValue = ["a": "1"], labels: JSONValue = .null) -> JSONValue {
  var object: JSONValue = [
    "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": data,
  ]
  if !labels.isNull { object["metadata"]["labels"] = labels }
  return object
}

func pod(_ name: String, node: String? = nil, labels: JSONValue = ["app": "web"]) -> JSONValue {
  var object: JSONValue = [
    "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name), "labels": labels],
    "spec": ["containers": [["name": "main", "image": "nginx:1.27"]]],
  ]
  if let node { object["spec"]["nodeName"] = .string(node) }
  return object
}

func deployment(_ name: String, replicas: Int64 = 2) -> JSONValue {
  [
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": .string(name)],
    "spec": [
      "replicas": .integer(replicas), "selector": ["matchLabels": ["app": .string(name)]],
      "template": [
        "metadata": ["labels": ["app": .string(name)]],
        "spec": ["containers": [["name": "main", "image": "nginx:1.27"]]],
      ],
    ],
  ]
}

let configMaps = "/api/v1/namespaces/default/configmaps"
let pods = "/api/v1/namespaces/default/pods"
let deployments = "/apis/apps/v1/namespaces/default/deployments"
