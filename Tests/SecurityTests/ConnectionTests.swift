// Attacks on connections: tunnels, redirections, floods. Real sockets, one API server in this process.
import APIServer
import EventLoop
import HTTP
import JSON
import LoopSupport
import Schema
import Synchronization
import TLS
import Testing

/// Sends everything that is meant for a kubelet or pod to one backend on this machine, past the check of its address.
struct ToBackend: KubeletConnector {
  let client: HTTPClient

  init(_ backend: FakeBackend) {
    client = HTTPClient(
      loop: backend.loop, endpoint: .ip("127.0.0.1", port: backend.port), tls: nil, serverName: "127.0.0.1")
  }

  func forward(_ request: HTTPRequest, to node: JSONValue, path: String) async throws(APIStatus) -> HTTPResponse {
    try await reach(request, host: "10.9.9.9", port: 10250, isSecure: true, path: path)
  }
  func reach(
    _ request: HTTPRequest, host: String, port: UInt16, isSecure: Bool, path: String
  ) async throws(APIStatus) -> HTTPResponse {
    do { return try await KubeletConnections.relay(request, path: path, through: client) } catch {
      throw .serviceUnavailable("\(error)")
    }
  }
}

/// A pod that runs on a node whose kubelet is the backend.
private func makeServer(with backend: FakeBackend) async throws -> SocketServer {
  let server = try await SocketServer.start { dependencies, _ in dependencies.kubelets = ToBackend(backend) }
  let node = try await server.inside(
    "POST", "/api/v1/nodes",
    [
      "metadata": ["name": "n"], "status": ["addresses": [["type": "InternalIP", "address": "10.9.9.9"]]],
    ])
  #expect(node.status == 201, "\(node.text)")
  let pod = try await server.inside(
    "POST", "/api/v1/namespaces/default/pods",
    ["metadata": ["name": "p"], "spec": ["nodeName": "n", "containers": [["name": "c", "image": "i"]]]])
  #expect(pod.status == 201, "\(pod.text)")
  return server
}

private let upgrade =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
private let exec = "GET /api/v1/namespaces/default/pods/p/exec?command=ls&container=c HTTP/1.1\r\nHost: a\r\n"

@Suite("CVE-2018-1002105: a tunnel left open after a refused upgrade", .serialized) struct RefusedUpgradeTests {
  @Test func theBackendIsLeftAndTheClientsNextBytesAreANewRequest() async throws {
    // Given a kubelet that refuses to upgrade, and keeps its connection,
    let backend = try await FakeBackend.start(
      answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nforbid")
    let server = try await makeServer(with: backend)
    // when a client asks for a tunnel,
    let client = try await server.connection(saying: exec + upgrade + "\r\n")
    try await eventually("no answer") { client.text.contains("forbid") }
    #expect(client.text.hasPrefix("HTTP/1.1 403 "))
    // then the connection to the kubelet is closed,
    try await eventually("the backend's connection is open") { backend.closed == [true] }
    // and what the client says next is a request of its own, to the API server.
    client.send("GET /apis/nothing HTTP/1.1\r\nHost: a\r\n\r\nGET /runningpods/ HTTP/1.1\r\nHost: a\r\n\r\n")
    try await eventually("no second answer") { client.text.components(of: "HTTP/1.1 404 ") == 2 }
    #expect(backend.heard.count == 1 && !backend.heard[0].contains("runningpods"))
    await server.stop()
    backend.stop()
  }

  @Test func nobodyWithoutThePermissionGetsAsFarAsTheBackend() async throws {
    let backend = try await FakeBackend.start(
      answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    let server = try await makeServer(with: backend)
    let client = try await server.connection(user: "nobody", groups: [], saying: exec + upgrade + "\r\n")
    try await eventually("no answer") { client.text.contains("\r\n\r\n") }
    #expect(client.text.hasPrefix("HTTP/1.1 403 "))
    #expect(backend.heard.isEmpty)
    await server.stop()
    backend.stop()
  }

  @Test(arguments: ["websocket", "SPDY/3.1"])
  func anUpgradeThatIsGrantedIsATunnelAndCarriesNoCredentials(language: String) async throws {
    let backend = try await FakeBackend.start(
      answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: \(language)\r\nConnection: Upgrade\r\n\r\nwelcome")
    let server = try await makeServer(with: backend)
    let method = language == "websocket" ? "GET" : "POST"
    let asked =
      language == "websocket"
      ? exec + upgrade
      : exec.replacing("GET", with: "POST") + "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n"
    let client = try await server.connection(
      saying: asked + "X-Remote-User: root\r\nCookie: a=b\r\nX-Stream: 1\r\n\r\n")
    try await eventually("no tunnel: \(client.text)") { client.text.hasSuffix("welcome") }
    client.send("through")
    try await eventually("nothing came through") { backend.heard.first?.hasSuffix("through") == true }
    let head = backend.heard[0].lowercased()
    #expect(head.hasPrefix("\(method.lowercased()) /exec/default/p/c?command=ls&output=1&error=1 http/1.1"))
    #expect(head.contains("\r\nupgrade: \(language.lowercased())\r\n") && client.text.hasPrefix("HTTP/1.1 101 "))
    #expect(!head.contains("x-remote-user") && !head.contains("cookie") && head.contains("x-stream: 1"))
    client.abort()
    try await eventually("the backend's connection is open") { backend.closed == [true] }
    await server.stop()
    backend.stop()
  }
}

@Suite("CVE-2020-8559, CVE-2022-3172: redirections", .serialized) struct RedirectionTests {
  @Test(arguments: ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
  func aBackendThatRedirectsIsNotFollowed(status: String) async throws {
    let other = try await FakeBackend.start(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    let backend = try await FakeBackend.start(
      answer: "HTTP/1.1 \(status)\r\nLocation: http://127.0.0.1:\(other.port)/secret\r\nContent-Length: 0\r\n\r\n")
    let server = try await makeServer(with: backend)
    for request in ["GET /api/v1/nodes/n/proxy/metrics HTTP/1.1\r\nHost: a\r\n\r\n", exec + upgrade + "\r\n"] {
      let client = try await server.connection(saying: request)
      try await eventually("no answer") { client.text.contains("not permitted") }
      #expect(client.text.hasPrefix("HTTP/1.1 502 "))
      #expect(!client.text.lowercased().contains("location:"))
    }
    #expect(other.heard.isEmpty)
    await server.stop()
    backend.stop()
    other.stop()
  }
}

@Suite("CVE-2022-3294: proxies to addresses that objects claim", .serialized) struct ProxyAddressTests {
  private static let refused = [
    "127.0.0.1", "127.1.2.3", "169.254.169.254", "::1", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255",
    "::ffff:127.0.0.1", "localhost", "metadata.internal",
  ]

  @Test(arguments: refused) func nodeAndPodAddressesOfThisMachineAndLinkAreRefused(address: String) async throws {
    let backend = try await FakeBackend.start(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    let server = try await makeServer(with: backend)
    let status = try await server.inside(
      "PATCH", "/api/v1/nodes/n/status",
      ["status": ["addresses": [["type": "InternalIP", "address": .string(address)]]]],
      type: "application/merge-patch+json")
    #expect(status.status == 200, "\(status.text)")
    let node = try await server.inside("GET", "/api/v1/nodes/n/proxy/metrics")
    #expect(node.status == 400 && node.message.contains("address not allowed"), "\(node.text)")
    if address.contains(":") || address.first?.isNumber == true {
      let pod = try await server.inside(
        "PATCH", "/api/v1/namespaces/default/pods/p/status",
        ["status": ["podIP": .string(address), "podIPs": [["ip": .string(address)]]]],
        type: "application/merge-patch+json")
      let proxied = try await server.inside("GET", "/api/v1/namespaces/default/pods/p:8080/proxy/")
      #expect(pod.status == 422 || proxied.status == 400, "\(pod.text) \(proxied.text)")
    }
    #expect(backend.heard.isEmpty)
    await server.stop()
    backend.stop()
  }

  /// However their addresses are spelled.
  @Test(arguments: ["10.0.0.1", "010.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1", "fd00::1", "FD00:0:0::1"])
  func theServersThemselvesAreNoBackends(address: String) async throws {
    let loop = EventLoop.start(name: "kubelets")
    let kubelets = KubeletConnections(loop: loop, identity: nil, servers: { ["10.0.0.1:6443", "[fd00::1]:6443"] })
    let node: JSONValue = [
      "status": [
        "addresses": [["type": "InternalIP", "address": .string(address)]],
        "daemonEndpoints": ["kubeletEndpoint": ["Port": 6443]],
      ]
    ]
    let request = HTTPRequest(method: "GET", target: "/")
    let refused = await #expect(throws: APIStatus.self) { try await kubelets.forward(request, to: node, path: "/x") }
    #expect(refused?.message.contains("address not allowed") == true)
    let pod = await #expect(throws: APIStatus.self) {
      try await kubelets.reach(request, host: address, port: 6443, isSecure: true, path: "/x")
    }
    #expect(pod?.code == 503 && pod?.message.contains("address not allowed") == true)
    loop.stop()
    loop.join()
  }
}

extension String {
  /// How often a text occurs.
  fileprivate func components(of text: String) -> Int {
    self.split(separator: text, omittingEmptySubsequences: false).count - 1
  }
}
