// Clients that go when they like: before the answer, in its middle, with half of a request sent, or that read nothing until
// their watch's time is up. Whoever leaves, whenever, leaves nothing behind, and nobody else notices. Real sockets.
import APIServer
import HTTP
import JSON
import LoopSupport
import SeedSupport
import Testing

@Suite("Clients that leave in the middle", .serialized) struct RudeClientTests {
  private static let maps = "/api/v1/namespaces/default/configmaps"
  /// More than the sockets' buffers hold, so that the server waits for its reader.
  private static let (objects, objectBytes) = (12, 800_000)

  /// What is asked for: answers whole and in pieces, and watches that end by themselves after a second.
  private static let targets = [
    maps, "\(maps)?limit=3", "\(maps)/big-3", "\(maps)?watch=1&timeoutSeconds=1",
    "\(maps)?watch=1&resourceVersion=1&timeoutSeconds=1",
    "\(maps)?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "\(maps)?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dbig-3", "/openapi/v2", "/metrics",
  ]
  private static var forms: [String] {
    [
      "application/json", "application/vnd.kubernetes.protobuf",
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    ]
  }

  private enum Manner: CaseIterable { case leavesAtOnce, leavesInTheMiddle, readsWhenTimeIsUp }

  @Test(arguments: UInt64(1)...3) func leaveNothingBehind(seed: UInt64) async throws {
    let server = try await SocketServer.start()
    let text = JSONValue.string(String(repeating: "x", count: Self.objectBytes))
    for number in 0..<Self.objects {
      try await server.inside(
        "POST", Self.maps, ["metadata": ["name": .string("big-\(number)")], "data": ["a": text]])
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<12 {
        group.addTask {
          var random = SeededRandom(seed: seed << 8 + UInt64(number))
          for _ in 0..<3 {
            if Bool.random(using: &random) {
              try await Self.speakHTTP1(to: server, &random)
            } else {
              try await Self.speakHTTP2(to: server, &random)
            }
          }
        }
      }
      // Something happens meanwhile.
      for number in 0..<40 {
        let made = try await server.inside("POST", Self.maps, ["metadata": ["name": .string("small-\(number)")]])
        #expect(made.status == 201)
      }
      try await group.waitForAll()
    }
    try await eventually("\(server.http.requestCount) requests, \(server.http.connectionCount) connections are left") {
      server.http.requestCount == 0 && server.http.connectionCount == 0
    }
    #expect(try await server.inside("GET", Self.maps).status == 200)
    await server.stop()
  }

  /// The client's own pause: it reads nothing for longer than its watch lasts.
  private static func dawdle() async throws { try await Task.sleep(for: .milliseconds(1100)) }

  private static func speakHTTP1(to server: SocketServer, _ random: inout SeededRandom) async throws {
    let connection = try await server.connection()
    let manner = Manner.allCases.randomElement(using: &random)!
    if manner == .readsWhenTimeIsUp { connection.pauseReading() }
    if Int.random(in: 0..<5, using: &random) == 0 {
      connection.send(
        "POST \(maps) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{")
    } else {
      let (target, form) = (targets.randomElement(using: &random)!, forms.randomElement(using: &random)!)
      connection.send("GET \(target) HTTP/1.1\r\nHost: a\r\nAccept: \(form)\r\n\r\n")
      if manner == .leavesInTheMiddle {
        try await eventually("no answer to \(target)") { !connection.bytes.isEmpty }
      }
    }
    if manner == .readsWhenTimeIsUp {
      try await dawdle()
      connection.resumeReading()
    }
    connection.abort()
    try await eventually("the connection lives") { connection.isClosed }
  }

  private static func speakHTTP2(to server: SocketServer, _ random: inout SeededRandom) async throws {
    var limits = HTTPClientLimits()
    limits.responseHighWater = 64 << 10
    let client = try server.client(limits: limits)
    let (manner, form) = (Manner.allCases.randomElement(using: &random)!, forms.randomElement(using: &random)!)
    let requests = (0..<Int.random(in: 1...4, using: &random)).map { _ in
      HTTPRequest(method: "GET", target: targets.randomElement(using: &random)!, headers: ["accept": form])
    }
    let goesOff = Bool.random(using: &random)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for request in requests {
        group.addTask {
          guard let response = try? await client.send(request), case .stream(let pipe) = response.body else { return }
          switch manner {
          case .leavesAtOnce: pipe.cancel()
          case .leavesInTheMiddle:
            _ = try? await pipe.next()
            pipe.cancel()
          case .readsWhenTimeIsUp:
            try await dawdle()
            if goesOff { pipe.cancel() } else { while let chunk = try await pipe.next() { #expect(!chunk.isEmpty) } }
          }
        }
      }
      if manner == .leavesAtOnce, goesOff { client.close() }
      try await group.waitForAll()
    }
    client.close()
  }
}
