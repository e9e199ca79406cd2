// Streams between clients and kubelets: what is translated on the way. The kubelet is a script here; kubectl and a kubelet
// in another language speak through the whole of it in deploy/test-clients.sh.
import HTTP
import JSON
import Schema
import Synchronization
import Testing

@testable import APIServer

/// A kubelet that is asked, and answers as the test says.
private final class ScriptedKubelet: KubeletConnector {
  let asked = Mutex<[(method: String, path: String, protocols: [String])]>([])
  private let answer: @Sendable () -> HTTPResponse
  init(_ answer: @escaping @Sendable () -> HTTPResponse) { self.answer = answer }

  func forward(_ request: HTTPRequest, to node: JSONValue, path: String) async throws(APIStatus) -> HTTPResponse {
    let protocols = request.headers.values("x-stream-protocol-version") + request.headers.values("upgrade")
    asked.withLock { $0.append((request.method, path, protocols)) }
    return answer()
  }
}

/// An upgraded connection to a kubelet, from its side.
private struct KubeletSide: Sendable {
  let heard = BytePipe()
  let said = BytePipe()

  func response(_ headers: HTTPHeaders) -> HTTPResponse {
    HTTPResponse(status: 101, headers: headers, tunnel: HTTPTunnel(inbound: heard, outbound: said))
  }

  /// The next frame of SPDY: its first word, flags, payload.
  func frame(_ buffer: inout [UInt8]) async throws -> (head: UInt32, flags: UInt8, payload: [UInt8])? {
    func word(_ at: Int) -> UInt32 { buffer[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) } }
    while buffer.count < 8 || buffer.count < 8 + Int(word(4) & 0xFF_FFFF) {
      guard let more = try await heard.next() else { return nil }
      buffer += more
    }
    let frame = (word(0), buffer[4], Array(buffer[8..<8 + Int(word(4) & 0xFF_FFFF)]))
    buffer.removeFirst(8 + frame.2.count)
    return frame
  }

  /// Takes the next stream.
  func accept(_ buffer: inout [UInt8]) async throws {
    let opened = try #require(try await frame(&buffer))
    #expect(opened.head == 0x8003_0001)
    try said.offer([0x80, 3, 0, 2, 0, 0, 0, 4] + opened.payload[..<4])
  }

  func say(_ text: String, on stream: UInt8, isFinal: Bool = false) throws {
    try said.offer([0, 0, 0, stream, isFinal ? 1 : 0, 0, 0, UInt8(text.utf8.count)] + text.utf8)
  }
}

/// Reaches the server as a client that may upgrade.
private struct Upgrading: HTTPTransport {
  let server: TestServer
  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    var response = try await InProcessTransport(handler: server.server, identity: server.identity).send(request)
    response.tunnel = response.tunnel?.reversed
    return response
  }
}

@Suite struct StreamTests {
  private static let pods = "/api/v1/namespaces/default/pods"

  private func server(_ kubelet: any KubeletConnector) async throws -> TestServer {
    let server = TestServer { $0.kubelets = kubelet }
    try await server.post("/api/v1/nodes", ["apiVersion": "v1", "kind": "Node", "metadata": ["name": "n"]])
    try await server.post(
      Self.pods,
      [
        "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"],
        "spec": [
          "nodeName": "n",
          "containers": [["name": "a", "image": "i"], ["name": "b", "image": "i"]],
          "initContainers": [["name": "first", "image": "i"]],
        ],
      ])
    return server
  }

  private func socket(_ server: TestServer, _ target: String, _ protocols: [String]) async throws -> WebSocketConnection
  {
    try await WebSocketHandshake.connect(
      HTTPRequest(method: "GET", target: target), subprotocols: protocols, over: Upgrading(server: server),
      world: testLoop)
  }

  private let exec = "\(Self.pods)/p/exec?container=a&command=cat&command=x%26y&stdin=true&stdout=true"

  // MARK: What kubelets are asked

  @Test(
    arguments: [
      ("exec?container=a&command=ls&command=-l", "/exec/default/p/a?command=ls&command=-l&output=1&error=1"),
      (
        "exec?container=b&command=a%20b&stdin=1&tty=true",
        "/exec/default/p/b?command=a%20b&input=1&output=1&error=1&tty=1"
      ),
      ("attach?container=a&stdin=false&stdout=false", "/attach/default/p/a?output=1&error=1"),
      ("portforward", "/portForward/default/p"),
      ("portforward?ports=80&ports=443", "/portForward/default/p?port=80,443"),
    ])
  func optionsAreTranslated(asked: String, path: String) async throws {
    let kubelet = ScriptedKubelet { HTTPResponse(status: 403) }
    let server = try await server(kubelet)
    _ = try await server.raw("POST", "\(Self.pods)/p/\(asked)", [], ["connection": "upgrade", "upgrade": "SPDY/3.1"])
    #expect(kubelet.asked.withLock { $0.map(\.path) } == [path])
  }

  @Test(
    arguments: [
      ("log?container=a&follow=true&previous=0&tailLines=5&pretty=1", 200, ""),
      (
        "log?container=a&tailLines=-1", 422,
        "PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"
      ),
      (
        "log?container=a&limitBytes=0", 422,
        "PodLogOptions \"p\" is invalid: limitBytes: Invalid value: 0: must be greater than 0"
      ),
      ("log?container=a&sinceSeconds=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"),
      ("log", 400, "a container name must be specified for pod p, choose one of: [first a b]"),
      ("log?container=c", 400, "container c is not valid for pod p"),
      ("exec?container=a&command=ls", 400, "Upgrade request required"),
    ])
  func whatCannotBeAskedIsRefused(asked: String, status: Int, message: String) async throws {
    let kubelet = ScriptedKubelet { HTTPResponse(status: 200, body: .bytes([65])) }
    let server = try await server(kubelet)
    let reply = try await server.get("\(Self.pods)/p/\(asked)")
    #expect(reply.status == status && (status == 200 || reply.message == message), "\(reply.text)")
    let paths = kubelet.asked.withLock { $0.map(\.path) }
    #expect(paths == (status == 200 ? ["/containerLogs/default/p/a?follow=true&tailLines=5"] : []))
  }

  // MARK: Commands

  /// As the reference's implementation of SPDY closes a connection.
  @Test(arguments: [false, true]) func aKubeletMayGoAwayInsteadOfEndingItsStreams(resets: Bool) async throws {
    let side = KubeletSide()
    let server = try await server(ScriptedKubelet { side.response([:]) })
    let script = Task {
      var buffer: [UInt8] = []
      for _ in 0..<4 { try await side.accept(&buffer) }
      try side.say("all", on: 5)
      try side.say(#"{"status":"Success"}"#, on: 1)
      // In one piece: whoever has heard that every stream is over may be gone before another piece.
      let reset = ([1, 3, 5, 7] as [UInt8]).flatMap { [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, $0, 0, 0, 0, 5] as [UInt8] }
      try side.said.offer((resets ? reset : []) + [0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0])
      while try await side.heard.next() != nil {}
    }
    let socket = try await socket(server, exec, ["v5.channel.k8s.io"])
    #expect(try await socket.receive() == .binary([1] + Array("all".utf8)))
    #expect(try await socket.receive() == .binary([3] + Array(#"{"status":"Success"}"#.utf8)))
    #expect(try await socket.receive() == nil)
    try await script.value
  }

  @Test func aCommandsStreamsAreCarriedBetweenBothLanguages() async throws {
    let side = KubeletSide()
    let kubelet = ScriptedKubelet { side.response(["x-stream-protocol-version": "v4.channel.k8s.io"]) }
    let server = try await server(kubelet)
    let script = Task {
      var buffer: [UInt8] = []
      for _ in 0..<4 { try await side.accept(&buffer) }
      // Streams one, three, five and seven: status, input, output, errors.
      var input = ""
      while let frame = try await side.frame(&buffer), frame.head == 3, frame.flags & 1 == 0 {
        input += String(decoding: frame.payload, as: UTF8.self)
      }
      // A ping is answered between others' words.
      try side.said.offer([0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 2])
      let pong = try await side.frame(&buffer)
      #expect(pong?.head == 0x8003_0006)
      try side.say("got \(input)", on: 5)
      try side.say("odd", on: 7, isFinal: true)
      try side.say("", on: 5, isFinal: true)
      try side.say(#"{"status":"Success"}"#, on: 1, isFinal: true)
    }
    let socket = try await socket(server, exec, ["v5.channel.k8s.io", "v4.channel.k8s.io"])
    #expect(socket.subprotocol == "v5.channel.k8s.io")
    try await socket.send(.binary([0] + Array("hel".utf8)))
    try await socket.send(.binary([0] + Array("lo".utf8)))
    try await socket.send(.binary([255, 0]))
    var heard: [WebSocketMessage] = []
    while let message = try await socket.receive() { heard.append(message) }
    #expect(
      heard == [
        .binary([1] + Array("got hello".utf8)), .binary([2] + Array("odd".utf8)),
        .binary([3] + Array(#"{"status":"Success"}"#.utf8)),
      ])
    try await script.value
    let asked = kubelet.asked.withLock { $0 }
    #expect(asked.map(\.method) == ["POST"])
    #expect(asked.first?.path == "/exec/default/p/a?command=cat&command=x%26y&input=1&output=1&error=1")
    #expect(asked.first?.protocols == ["v4.channel.k8s.io", "SPDY/3.1"])
    // Nothing is left open.
    while try await side.heard.next() != nil {}
  }

  @Test(arguments: ["refuses a stream", "leaves", "says nonsense"])
  func aKubeletThatFailsIsAFailureInTheClientsOwnTerms(does: String) async throws {
    let side = KubeletSide()
    let server = try await server(ScriptedKubelet { side.response([:]) })
    let script = Task {
      var buffer: [UInt8] = []
      try await side.accept(&buffer)
      switch does {
      case "refuses a stream": try side.said.offer([0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 3])
      case "leaves": side.said.finish()
      default: try side.said.offer([0x80, 9, 0, 3, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 3])
      }
    }
    let socket = try await socket(server, exec, ["v5.channel.k8s.io"])
    guard case .binary(let bytes)? = try await socket.receive() else {
      Issue.record("no status")
      return
    }
    let status = try JSONValue(parsing: Array(bytes.dropFirst()))
    #expect(bytes.first == 3 && status["status"] == "Failure" && status["reason"] == "InternalError")
    #expect(try await socket.receive() == nil)
    try await script.value
  }

  @Test func aClientThatLeavesEndsTheKubeletsConnection() async throws {
    let side = KubeletSide()
    let server = try await server(ScriptedKubelet { side.response([:]) })
    let script = Task {
      var buffer: [UInt8] = []
      for _ in 0..<4 { try await side.accept(&buffer) }
      try side.say("up", on: 5)
      while try await side.heard.next() != nil {}
    }
    let socket = try await socket(server, exec, ["v5.channel.k8s.io"])
    #expect(try await socket.receive() == .binary([1] + Array("up".utf8)))
    socket.close()
    try await script.value
  }

  @Test func whatAKubeletRefusesIsRefusedInItsWords() async throws {
    let server = try await server(ScriptedKubelet { HTTPResponse(status: 403, body: .bytes(Array("no".utf8))) })
    let error = await #expect(throws: HTTPError.self) {
      _ = try await self.socket(server, self.exec, ["v5.channel.k8s.io"])
    }
    #expect("\(try #require(error))".contains("403 no"))
  }

  // MARK: Ports

  @Test func aTunnelOfSPDYInAWebSocketIsUnwrapped() async throws {
    let side = KubeletSide()
    let kubelet = ScriptedKubelet { side.response(["x-stream-protocol-version": "portforward.k8s.io"]) }
    let server = try await server(kubelet)
    let socket = try await socket(server, "\(Self.pods)/p/portforward", ["SPDY/3.1+portforward.k8s.io"])
    #expect(socket.subprotocol == "SPDY/3.1+portforward.k8s.io")
    try await socket.send(.binary([1, 2, 3]))
    #expect(try await side.heard.next() == [1, 2, 3])
    try side.said.offer([4, 5])
    #expect(try await socket.receive() == .binary([4, 5]))
    side.said.finish()
    #expect(try await socket.receive() == nil)
    #expect(kubelet.asked.withLock { $0.first?.protocols } == ["portforward.k8s.io", "SPDY/3.1"])
  }

  // MARK: Logs and watches

  @Test(arguments: ["", "binary.k8s.io", "base64.binary.k8s.io"])
  func aLogGoesOverAWebSocket(name: String) async throws {
    let body = BytePipe()
    let server = try await server(ScriptedKubelet { HTTPResponse(status: 200, body: .stream(body)) })
    let socket = try await socket(server, "\(Self.pods)/p/log?container=a&follow=true", name.isEmpty ? [] : [name])
    func message(_ text: String, _ encoded: String) -> WebSocketMessage {
      name == "base64.binary.k8s.io" ? .text(encoded) : .binary(Array(text.utf8))
    }
    #expect(try await socket.receive() == message("", ""))
    try body.offer(Array("one\n".utf8))
    #expect(try await socket.receive() == message("one\n", "b25lCg=="))
    body.finish()
    #expect(try await socket.receive() == nil)
  }

  @Test func aLogInALanguageNobodySpeaksIsRefused() async throws {
    let server = try await server(ScriptedKubelet { HTTPResponse(status: 200) })
    let error = await #expect(throws: HTTPError.self) {
      _ = try await self.socket(server, "\(Self.pods)/p/log?container=a", ["v9.example.com"])
    }
    #expect("\(try #require(error))".contains("403 requested protocol(s) are not supported: [v9.example.com]"))
  }

  @Test func aWatchGoesOverAWebSocketEventByEvent() async throws {
    let server = try await server(UnreachableKubelets())
    let socket = try await socket(server, "\(Self.pods)?watch=true", [])
    func event() async throws -> JSONValue {
      guard case .text(let text)? = try await socket.receive() else { return .null }
      return try JSONValue(parsing: Array(text.utf8))
    }
    let first = try await event()
    #expect(first["type"] == "ADDED" && first["object"]["metadata"]["name"] == "p")
    _ = try await server.send("DELETE", "\(Self.pods)/p?gracePeriodSeconds=0")
    #expect(try await event()["type"] == "DELETED")
    socket.close()
  }
}
