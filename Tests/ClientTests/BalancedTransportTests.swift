import HTTP
import Synchronization
import TestSupport
import Testing
import World

@testable import Client

@Suite struct BalancedTransportTests {
  private final class Servers: Sendable {
    struct State {
      var broken: [String: HTTPError] = [:]
      var asked: [String] = []
    }
    let state = Mutex(State())
    func transport(_ address: String) -> any HTTPTransport { One(servers: self, address: address) }
    struct One: HTTPTransport {
      let servers: Servers
      let address: String
      func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        let error = servers.state.withLock { state in
          state.asked.append(address)
          return state.broken[address]
        }
        if let error { throw error }
        return HTTPResponse(status: 200)
      }
    }
    func take() -> [String] {
      state.withLock { state in
        defer { state.asked = [] }
        return state.asked
      }
    }
  }

  private func bench() -> (VirtualWorld, Servers, BalancedTransport) {
    let world = VirtualWorld()
    let servers = Servers()
    let transport = BalancedTransport(servers: ["a:1", "b:1", "c:1"], world: world) { servers.transport($0) }
    return (world, servers, transport)
  }

  @Test func requestsStayWithAServerThatAnswers() throws {
    let (world, servers, transport) = bench()
    try world.run { for _ in 0..<3 { _ = try await transport.send(HTTPRequest(method: "GET", target: "/")) } }
    #expect(Set(servers.take()).count == 1)
  }

  @Test func aRequestThatNeverLeftIsSentElsewhere() throws {
    let (world, servers, transport) = bench()
    let first = transport.servers[0]
    servers.state.withLock { $0.broken[first] = .connectFailed("refused") }
    try world.run { _ = try await transport.send(HTTPRequest(method: "POST", target: "/")) }
    #expect(servers.take().count == 2)
    // The dead server is left aside, and asked again later only if it must be.
    try world.run { _ = try await transport.send(HTTPRequest(method: "POST", target: "/")) }
    #expect(!servers.take().contains(first))
  }

  @Test func aWriteThatMayHaveHappenedIsNotRepeated() throws {
    let (world, servers, transport) = bench()
    let first = transport.servers[0]
    servers.state.withLock { $0.broken[first] = .connectionClosed("reset") }
    #expect(throws: HTTPError.self) {
      try world.run { _ = try await transport.send(HTTPRequest(method: "POST", target: "/")) }
    }
    #expect(servers.take() == [first])
    // The next goes to another; reads are repeated by themselves.
    servers.state.withLock {
      $0.broken = Dictionary(uniqueKeysWithValues: ["a:1", "b:1"].map { ($0, .connectionClosed("reset")) })
    }
    try world.run { _ = try await transport.send(HTTPRequest(method: "GET", target: "/")) }
    #expect(servers.take().last == "c:1")
  }

  @Test func theListCanBeReplacedAndNeverBecomesEmpty() throws {
    let (world, servers, transport) = bench()
    transport.update(servers: ["d:1"])
    transport.update(servers: [])
    try world.run { _ = try await transport.send(HTTPRequest(method: "GET", target: "/")) }
    #expect(servers.take() == ["d:1"])
  }
}
