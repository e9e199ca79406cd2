// Floods: what strangers and the permitted can cost. Real sockets, real time; who waits, waits for a condition.
import APIServer
import EventLoop
import Foundation
import HTTP
import JSON
import LoopSupport
import Schema
import TLS
import Testing
import World

/// Bytes that this process has in memory.
private func residentBytes() -> Int {
  let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
  return (line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
}

@Suite("CVE-2020-8552: list storms", .serialized) struct ListStormTests {
  @Test func aThousandFullListsAtOnceAreBoundedAndLatecomersAreToldToComeAgain() async throws {
    // Given 4 MiB of objects, and room for 24 MiB of answers,
    var configuration = APIServer.Configuration()
    configuration.responseBytesMaximum = 24 << 20
    let server = try await SocketServer.start(configuration: configuration)
    let text = JSONValue.string(String(repeating: "x", count: 40_000))
    for number in 0..<100 {
      let made = try await server.inside(
        "POST", "/api/v1/namespaces/default/configmaps",
        ["metadata": ["name": .string("m\(number)")], "data": ["a": text]])
      #expect(made.status == 201)
    }
    var limits = HTTPClientLimits()
    limits.responseHeaderTime = .seconds(120)
    limits.responseHighWater = 64 << 10
    let client = try server.client(limits: limits)
    let before = residentBytes()
    // when a thousand clients ask for all of it in a form of their own, and read nothing,
    let responses = await withTaskGroup(of: HTTPResponse?.self) { group in
      for _ in 0..<1000 {
        group.addTask {
          try? await client.send(
            HTTPRequest(
              method: "GET", target: "/api/v1/configmaps", headers: ["accept": "application/vnd.kubernetes.protobuf"]))
        }
      }
      return await group.reduce(into: [HTTPResponse]()) { if let response = $1 { $0.append(response) } }
    }
    // then some get it, the others are told when to come again, and the server does not hold a thousand copies.
    let served = responses.filter { $0.status == 200 }
    let late = responses.filter { $0.status == 429 }
    #expect(served.count + late.count == 1000, "\(Set(responses.map(\.status))) of \(responses.count)")
    #expect((5...12).contains(served.count), "\(served.count)")
    #expect(!late.isEmpty && late.allSatisfy { $0.headers["retry-after"] == "1" })
    #expect(residentBytes() - before < 400 << 20, "\((residentBytes() - before) >> 20) MiB")
    // What is small is given meanwhile; who deletes a collection is told that it is gone, and no more.
    #expect(try await server.inside("GET", "/api/v1/namespaces").status == 200)
    let deletion = try await server.inside("DELETE", "/api/v1/namespaces/default/configmaps?limit=50")
    #expect(deletion.status == 200 && deletion.json["kind"] == "Status" && deletion.json["status"] == "Success")
    for response in responses { if case .stream(let pipe) = response.body { pipe.cancel() } }
    // And when they have gone, there is room again.
    try await eventually("no room") {
      let again = try await client.send(
        HTTPRequest(
          method: "GET", target: "/api/v1/configmaps", headers: ["accept": "application/vnd.kubernetes.protobuf"]))
      guard again.status == 200 else { return false }
      // Half of it is gone.
      return (2_000_000..<4_000_000).contains(try await again.body.collect().count)
    }
    client.close()
    await server.stop()
  }
}

/// Whether an administrator is served while others attack.
private struct Probe {
  private static let requests = 200
  /// An attack that starves others makes them wait for as long as it lasts, and it lasts until they have been served. A
  /// machine may be so slow; a server that starves somebody is never so fast.
  private static let patience = Duration.seconds(120)

  let loop: EventLoop
  let client: HTTPClient

  init(_ server: SocketServer) throws {
    loop = EventLoop.start(name: "probe")
    client = HTTPClient(
      loop: loop, endpoint: server.address, tls: try server.tls(), serverName: "127.0.0.1")
  }

  /// Asks so many times, one after the other.
  func ask(_ count: Int = requests) async throws {
    try await loop.withDeadline(Self.patience) { [client] in
      for _ in 0..<count {
        let response = try await client.send(HTTPRequest(method: "GET", target: "/api/v1/namespaces/default"))
        _ = try await response.body.collect()
        #expect(response.status == 200)
      }
    }
  }

  /// Asks from the attack's first blow on, until another has fallen meanwhile.
  func expectServed(_ server: SocketServer, during attack: @escaping @Sendable () async throws -> Void) async throws {
    try await ask(1)
    let (stop, blows) = (Shared(false), Shared(0))
    let attacker = Task {
      while !stop.value {
        try? await attack()
        blows.update { $0 += 1 }
      }
    }
    try await eventually("no attack") { blows.value > 0 }
    let outcome: Result<Void, any Error>
    do {
      try await loop.withDeadline(Self.patience) { [self] in
        repeat { try await ask() } while blows.value == 1
      }
      outcome = .success(())
    } catch { outcome = .failure(error) }
    stop.update { $0 = true }
    await attacker.value
    try outcome.get()
  }

  func stop() {
    client.close()
    loop.stop()
    loop.join()
  }
}

@Suite("CVE-2023-44487, GHSA-6vch-q96h-7gc3: rapid resets, slow headers, handshake storms", .serialized)
struct ConnectionFloodTests {
  private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
    [0, 0, UInt8(payload.count), type, flags] + (0..<4).map { UInt8(truncatingIfNeeded: stream >> (24 - 8 * $0)) }
      + payload
  }

  /// Opens and resets streams, one after the other.
  private static func resets(_ count: Int) -> [UInt8] {
    var bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0, [])
    for number in 0..<count {
      let stream = UInt32(2 * number + 1)
      bytes += frame(1, 5, stream, [0x82, 0x84, 0x87, 0x41, 0x01, 0x61]) + frame(3, 0, stream, [0, 0, 0, 8])
    }
    return bytes
  }

  @Test func rapidResetsEndTheirConnectionAndNobodyElseNotices() async throws {
    let server = try await SocketServer.start()
    let probe = try Probe(server)
    // A stranger's connection is ended long before it has reset everything it wants to.
    let one = try await server.connection(user: nil, language: "h2")
    one.send(Self.resets(20_000))
    try await eventually("the connection lives") { one.isClosed }
    // And a steady flood of such connections leaves the others alone.
    try await probe.expectServed(server) {
      let connection = try await server.connection(user: nil, language: "h2")
      connection.send(Self.resets(3000))
      for _ in 0..<200 where !connection.isClosed { try await Task.sleep(for: .milliseconds(1)) }
      connection.abort()
    }
    probe.stop()
    await server.stop()
  }

  @Test func slowHeadersHoldNothingThatOthersNeed() async throws {
    var limits = HTTPLimits()
    limits.unprovenConnections = 40
    limits.headerTime = .milliseconds(1500)
    let server = try await SocketServer.start(limits: limits)
    let probe = try Probe(server)
    let slow = Shared<[RawConnection]>([])
    try await probe.expectServed(server) {
      let connection = try await server.connection(user: nil, saying: "GET /api HTTP/1.1\r\nHost: a\r\nX: ")
      connection.send("y")
      slow.update { $0.append(connection) }
    }
    // Their number is bounded, and their time.
    try await eventually("too many slow connections") { server.http.connectionCount <= 40 + 2 }
    try await eventually("slow connections live on") { slow.value.allSatisfy(\.isClosed) }
    #expect(slow.value.count > 1)
    probe.stop()
    await server.stop()
  }

  @Test func aStormOfHandshakesLeavesTheOthersAlone() async throws {
    var limits = HTTPLimits()
    limits.unprovenConnections = 100
    let server = try await SocketServer.start(limits: limits)
    let probe = try Probe(server)
    try await probe.expectServed(server) {
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<60 {
          group.addTask {
            let connection = try? await server.connection(user: nil)
            connection?.abort()
          }
        }
      }
    }
    try await eventually("too many connections") { server.http.connectionCount <= 100 + 2 }
    // Connections that never say hello: the oldest make room.
    let silent = Shared<[RawConnection]>([])
    for _ in 0..<300 {
      let connection = RawConnection()
      try await connection.open(server.clientLoop, server.address, nil, "", [])
      silent.update { $0.append(connection) }
    }
    try await eventually("too many silent connections") { server.http.connectionCount <= 100 + 2 }
    try await probe.ask(20)
    probe.stop()
    await server.stop()
  }

  /// Headers that never end are bounded too, and so is what they may say.
  @Test func endlessAndManyHeadersAreRefused() async throws {
    let server = try await SocketServer.start()
    for header in [
      "X: " + String(repeating: "y", count: 80_000), String(repeating: "a: b\r\n", count: 400),
    ] {
      let connection = try await server.connection(
        user: nil, saying: "GET /api HTTP/1.1\r\nHost: a\r\n\(header)\r\n\r\n")
      try await eventually("no answer") { connection.text.contains("HTTP/1.1 431 ") }
    }
    await server.stop()
  }
}
