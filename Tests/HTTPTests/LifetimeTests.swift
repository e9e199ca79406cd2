// Nothing of a connection outlives it.
import EventLoop
import LoopSupport
import Testing

@testable import HTTP

@Suite struct LifetimeTests {
  /// Every connection, task and session leads to the handler; if one is left, so is the handler.
  private final class TracedHandler: HTTPHandler {
    func respond(to request: HTTPRequest) async -> HTTPResponse {
      switch request.target {
      case "/watch": return HTTPResponse(status: 200, body: .stream(BytePipe()))
      case "/wait":
        while !Task.isCancelled { try? await Task.sleep(for: .milliseconds(1)) }
        return .text("cancelled")
      case "/upgrade":
        return HTTPResponse(
          status: 101, headers: ["upgrade": "x"], tunnel: HTTPTunnel(inbound: BytePipe(), outbound: BytePipe()))
      default: return .text("ok")
      }
    }
  }

  private func useAndStop(protocols: [String], _ handler: TracedHandler) async throws {
    let loop = EventLoop.start(name: "test-lifetime")
    let server = HTTPServer(
      loops: [loop], address: .ip("127.0.0.1", port: 0),
      tls: try TestCertificates.shared.serverTLS(protocols: protocols), handler: handler)
    let address = try await server.start()
    let client = HTTPClient(
      loop: loop, endpoint: address, tls: try TestCertificates.shared.clientTLS(), serverName: "localhost")
    for _ in 0..<3 { _ = try await client.send(HTTPRequest(method: "GET", target: "/")) }
    let watch = try await client.send(HTTPRequest(method: "GET", target: "/watch"))
    let abandoned = try await client.send(HTTPRequest(method: "GET", target: "/watch"))
    if case .stream(let pipe) = abandoned.body { pipe.cancel() }
    let waiting = Task { try await client.send(HTTPRequest(method: "GET", target: "/wait")) }
    let upgraded = try await client.send(HTTPRequest(method: "GET", target: "/upgrade", headers: ["upgrade": "x"]))
    try await eventually("not begun") { server.requestCount >= 2 }
    waiting.cancel()
    _ = await waiting.result
    await server.shutdown(deadline: .milliseconds(100))
    _ = try? await watch.body.collect()
    _ = try await upgraded.tunnel?.inbound.next()
    client.close()
    #expect(server.connectionCount == 0 && server.requestCount == 0)
    loop.stop()
    loop.join()
  }

  @Test(arguments: ClientServerTests.versions)
  func aStoppedServerLeavesNothingBehind(protocols: [String]) async throws {
    weak var left: TracedHandler?
    do {
      let handler = TracedHandler()
      left = handler
      try await useAndStop(protocols: protocols, handler)
    }
    try await eventually("something still refers to the handler") { left == nil }
  }

  /// An agent sends millions of requests over one connection.
  @Test(arguments: ClientServerTests.versions)
  func anAnsweredRequestLeavesNothingBehind(protocols: [String]) async throws {
    let server = try await TestServer.start(tls: protocols) { request in
      request.target == "/watch" ? HTTPResponse(status: 200, body: .stream(BytePipe())) : .text("ok")
    }
    let client = try server.client()
    for (target, isWhole) in [("/", true), ("/watch", true), ("/", false)] {
      weak var sent: BytePipe?
      do {
        let body = BytePipe()
        sent = body
        try body.offer(Array("body".utf8))
        if isWhole { body.finish() }
        let request = HTTPRequest(method: "POST", target: target, body: .stream(body))
        let sending = Task { try await client.send(request) }
        if !isWhole {
          try await eventually("not begun") { body.bufferedBytes == 0 }
          sending.cancel()
        }
        if case .success(let response) = await sending.result, case .stream(let pipe) = response.body { pipe.cancel() }
      }
      try await eventually("something still refers to the body sent to \(target)") { sent == nil }
    }
    client.close()
    await server.stop()
  }
}
