// The way to a kubelet: TLS on both sides, by the addresses and ports that the node object says.
import APIServer
import EventLoop
import HTTP
import JSON
import Schema
import TLS
import Testing

/// Answers with what it was asked, and by whom.
private struct Kubelet: HTTPHandler {
  func respond(to request: HTTPRequest) async -> HTTPResponse {
    let asker = request.peer?.commonName ?? "nobody"
    let text = "\(asker): \(request.method) \(request.target)"
    if let status = request.target.split(separator: "sinceSeconds=").dropFirst().first.flatMap({ Int($0) }) {
      return HTTPResponse(status: status, headers: ["content-type": "text/plain"], body: .bytes(Array("why".utf8)))
    }
    guard request.target.contains("follow=true") else {
      return HTTPResponse(status: 200, headers: ["content-type": "text/plain"], body: .bytes(Array(text.utf8)))
    }
    let pipe = BytePipe()
    Task {
      for _ in 0..<1000 { try await pipe.write(Array("\(text)\n".utf8)) }
      pipe.finish()
    }
    return HTTPResponse(status: 200, headers: ["content-type": "text/plain"], body: .stream(pipe))
  }
}

@Suite("Kubelets", .serialized) struct KubeletPathTests {
  private func withKubelet(_ body: (SocketServer, UInt16) async throws -> Void) async throws {
    try await withConnections { server, port, _ in try await body(server, port) }
  }

  private func withConnections(
    _ body: (SocketServer, UInt16, KubeletConnections) async throws -> Void
  ) async throws {
    let authority = try CertificateAuthority.generate(
      commonName: "kubelets' authority", lifetime: .seconds(3_000_000_000), now: SocketServer.tlsNow)
    func identity(_ name: String, _ usage: ExtendedKeyUsage) throws -> Identity {
      try authority.issue(
        CertificateTemplate(
          commonName: name, ipAddresses: ["127.0.0.1"], usages: [usage], lifetime: .seconds(2_000_000_000)),
        now: SocketServer.tlsNow)
    }
    let loop = EventLoop.start(name: "kubelet")
    let kubelet = HTTPServer(
      loops: [loop], address: .ip("127.0.0.1", port: 0),
      tls: try .server(
        identity: try identity("kubelet", .serverAuthentication), clientTrust: [authority.certificate],
        protocols: ["h2", "http/1.1"]), handler: Kubelet())
    let port = try await kubelet.start().port
    let own = try identity("api-server", .clientAuthentication)
    let connections = KubeletConnections(loop: loop, identity: own, servers: { [] })
    let server = try await SocketServer.start { dependencies, _ in dependencies.kubelets = connections }
    let node = try await server.inside(
      "POST", "/api/v1/nodes",
      [
        "metadata": ["name": "n"],
        "status": [
          "addresses": [["type": "Hostname", "address": "n"], ["type": "InternalIP", "address": "127.0.0.1"]],
          "daemonEndpoints": ["kubeletEndpoint": ["Port": .integer(Int64(port))]],
        ],
      ])
    #expect(node.status == 201, "\(node.text)")
    let pod = try await server.inside(
      "POST", "/api/v1/namespaces/default/pods",
      ["metadata": ["name": "p"], "spec": ["nodeName": "n", "containers": [["name": "c", "image": "i"]]]])
    #expect(pod.status == 201, "\(pod.text)")
    try await body(server, port, connections)
    await kubelet.shutdown(deadline: .milliseconds(100))
    loop.stop()
    loop.join()
    await server.stop()
  }

  @Test func logsComeFromTheNodesKubeletWhichKnowsTheAPIServer() async throws {
    try await withKubelet { server, _ in
      let client = try server.client()
      for (query, lines) in [("", 1), ("?follow=true&tailLines=5", 1000)] {
        let response = try await client.send(
          HTTPRequest(method: "GET", target: "/api/v1/namespaces/default/pods/p/log\(query)"))
        let text = String(decoding: try await response.body.collect(), as: UTF8.self)
        #expect(response.status == 200)
        #expect(text.hasPrefix("api-server: GET /containerLogs/default/p/c\(query)"), "\(text.prefix(200))")
        #expect(text.split(separator: "\n").count == lines)
      }
      client.close()
    }
  }

  /// Whoever may write endpoints chooses where a service leads: were the certificate shown there, he would choose another
  /// API server.
  @Test func podsAndServicesAreNotShownTheCertificateOfTheAPIServer() async throws {
    try await withConnections { server, port, connections in
      let request = HTTPRequest(method: "GET", target: "/x")
      let node = try await server.inside("GET", "/api/v1/nodes/n").json
      for (response, asker) in [
        (try await connections.forward(request, to: node, path: "/x"), "api-server"),
        (
          try await connections.reach(request, host: "127.0.0.1", port: port, isSecure: true, path: "/x"), "nobody"
        ),
      ] {
        let text = String(decoding: try await response.body.collect(), as: UTF8.self)
        #expect(text == "\(asker): GET /x")
      }
    }
  }

  @Test func aKubeletsRefusalOfALogIsAStatus() async throws {
    try await withKubelet { server, _ in
      for (code, reason, message) in [
        (400, "BadRequest", "why"), (500, "InternalError", "Internal error occurred: why"),
        (404, "NotFound", "the server could not find the requested resource ( pods/log p)"),
        (
          503, "InternalError",
          #"an error on the server ("why") has prevented the request from succeeding ( pods/log p)"#
        ),
      ] {
        let reply = try await server.inside(
          "GET", "/api/v1/namespaces/default/pods/p/log?sinceSeconds=\(code)")
        #expect(reply.status == code && reply.json["kind"] == "Status", "\(reply.text)")
        #expect(reply.json["reason"].string == reason && reply.message == message, "\(reply.text)")
      }
    }
  }

  @Test func aKubeletThatIsGoneIsToldOf() async throws {
    try await withKubelet { server, port in
      // A port where nobody listens: one that was free a moment ago.
      let other = try await FakeBackend.start(answer: "")
      other.stop()
      let patched = try await server.inside(
        "PATCH", "/api/v1/nodes/n/status",
        ["status": ["daemonEndpoints": ["kubeletEndpoint": ["Port": .integer(Int64(other.port))]]]],
        type: "application/merge-patch+json")
      #expect(patched.status == 200 && other.port != port)
      let log = try await server.inside("GET", "/api/v1/namespaces/default/pods/p/log")
      #expect(log.status == 500)
      let message = "Get \"https://127.0.0.1:\(other.port)/containerLogs/default/p/c\": dial tcp 127.0.0.1:"
      #expect(log.message.hasPrefix(message), "\(log.text)")
    }
  }

  @Test func aNodeThatNamesNoPortIsNotLookedFor() async throws {
    try await withKubelet { server, _ in
      let patched = try await server.inside(
        "PATCH", "/api/v1/nodes/n/status", ["status": ["daemonEndpoints": .null]],
        type: "application/merge-patch+json")
      #expect(patched.status == 200)
      for path in ["namespaces/default/pods/p/log", "namespaces/default/pods/p/log?tailLines=1"] {
        let reply = try await server.inside("GET", "/api/v1/\(path)")
        #expect(reply.status == 500)
        #expect(reply.message.hasSuffix("dial tcp 127.0.0.1:10250: connect: connection refused"), "\(reply.text)")
      }
    }
  }

  /// Names with a scheme and a port reach what is not the kubelet.
  @Test func aNodesOtherPortsAreReachedByName() async throws {
    let backend = try await FakeBackend.start(
      answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    let server = try await SocketServer.start { dependencies, _ in dependencies.kubelets = ToBackend(backend) }
    let node = try await server.inside(
      "POST", "/api/v1/nodes",
      ["metadata": ["name": "n"], "status": ["addresses": [["type": "InternalIP", "address": "10.9.9.9"]]]])
    #expect(node.status == 201, "\(node.text)")
    for name in ["n", "n:10250", "n:9100", "http:n:9100"] {
      let reply = try await server.inside("GET", "/api/v1/nodes/\(name)/proxy/metrics?a=b")
      #expect(reply.status == 200, "\(name): \(reply.text)")
    }
    #expect(
      backend.heard.joined().split(separator: "GET /metrics?a=b HTTP/1.1", omittingEmptySubsequences: false).count == 5)
    for (name, status) in [("n:x", 400), ("n:0", 400), ("ftp:n:1", 400), ("other:9100", 404)] {
      let reply = try await server.inside("GET", "/api/v1/nodes/\(name)/proxy/metrics")
      #expect(reply.status == status, "\(name): \(reply.text)")
    }
    await server.stop()
    backend.stop()
  }
}
