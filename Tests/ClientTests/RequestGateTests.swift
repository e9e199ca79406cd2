import HTTP
import JSON
import Synchronization
import TestSupport
import Testing
import World

@testable import Client

@Suite struct RequestGateTests {
  private let world = VirtualWorld(seed: 1)

  /// Answers after a while and remembers the order in which requests came and how many there were at once.
  private final class SlowServer: HTTPTransport {
    private struct State {
      var order: [String] = []
      var underWay = 0
      var highest = 0
    }
    private let world: VirtualWorld
    private let state = Mutex(State())
    init(_ world: VirtualWorld) { self.world = world }
    var order: [String] { state.withLock { $0.order } }
    var highest: Int { state.withLock { $0.highest } }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
      state.withLock { state in
        state.order.append(request.headers["user-agent"] ?? "")
        state.underWay += 1
        state.highest = max(state.highest, state.underWay)
      }
      defer { state.withLock { $0.underWay -= 1 } }
      try await world.sleep(for: .milliseconds(10))
      return HTTPResponse(status: 200, headers: ["content-type": "application/json"], body: .bytes(Array("{}".utf8)))
    }
  }

  private func client(_ server: SlowServer, _ agent: String, _ gate: RequestGate?) -> APIClient {
    APIClient(transport: server, world: world, userAgent: agent, gate: gate)
  }

  @Test func aThousandCreatesAtOnceAreUnderWayAFewAtATime() throws {
    let (server, gate) = (SlowServer(world), RequestGate(maximum: 16))
    let client = client(server, "many", gate)
    try world.run {
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<1000 { group.addTask { _ = try? await client.create(.pods, namespace: "default", [:]) } }
      }
    }
    #expect(server.order.count == 1000 && server.highest == 16)
    #expect(gate.load.underWay == 0 && gate.load.waiting == 0)
  }

  @Test func whoHasLittleToAskWaitsForOneTurnNotForTheCrowd() throws {
    let (server, gate) = (SlowServer(world), RequestGate(maximum: 4))
    let (crowd, single) = (client(server, "crowd", gate), client(server, "single", gate))
    try world.run { [world] in
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<400 { group.addTask { _ = try? await crowd.create(.pods, namespace: "default", [:]) } }
        group.addTask {
          try? await world.sleep(for: .milliseconds(15))
          _ = try? await single.create(.nodes, [:])
        }
      }
    }
    let place = try #require(server.order.firstIndex(of: "single"))
    #expect(place <= 16)
  }

  /// Requests that are never answered (an aggregated server that hangs) keep their places; everybody else goes on.
  @Test func whoHasFewUnderWayDoesNotWaitForThoseThatAreNeverAnswered() throws {
    struct Silent: HTTPTransport {
      let world: VirtualWorld
      func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try await world.sleep(for: .seconds(3600))
        throw HTTPError.connectFailed("nobody there")
      }
    }
    let (server, gate) = (SlowServer(world), RequestGate(maximum: 16))
    let stuck = APIClient(transport: Silent(world: world), world: world, userAgent: "stuck", gate: gate)
    let other = client(server, "other", gate)
    try world.run { [world] in
      let hanging = (0..<100).map { number in
        world.spawn { _ = try? await stuck.get(.pods, namespace: "n", name: "\(number)") }
      }
      try await world.sleep(for: .milliseconds(1))
      #expect(gate.load.underWay == 16)
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<100 { group.addTask { _ = try? await other.create(.pods, namespace: "default", [:]) } }
      }
      #expect(server.order.count == 100 && server.highest == 4)
      for task in hanging { task.cancel() }
      for task in hanging { await task.wait() }
    }
    #expect(gate.load.underWay == 0 && gate.load.waiting == 0)
  }

  @Test func whoStopsWaitingTakesNoPlace() throws {
    let (server, gate) = (SlowServer(world), RequestGate(maximum: 1))
    let client = client(server, "a", gate)
    try world.run { [world] in
      let first = world.spawn { _ = try? await client.get(.pods, namespace: "n", name: "1") }
      let second = world.spawn {
        await #expect(throws: CancellationError.self) { try await client.get(.pods, namespace: "n", name: "2") }
      }
      let third = world.spawn { _ = try? await client.get(.pods, namespace: "n", name: "3") }
      try await world.sleep(for: .milliseconds(1))
      second.cancel()
      for task in [first, second, third] { await task.wait() }
    }
    #expect(server.order.count == 2)
    #expect(gate.load.underWay == 0 && gate.load.waiting == 0)
  }

  @Test func aFailureGivesItsPlaceBack() throws {
    struct Broken: HTTPTransport {
      func send(_ request: HTTPRequest) async throws -> HTTPResponse { throw HTTPError.connectFailed("nobody there") }
    }
    let gate = RequestGate(maximum: 2)
    let client = APIClient(transport: Broken(), world: world, userAgent: "a", gate: gate)
    try world.run {
      for _ in 0..<10 {
        await #expect(throws: HTTPError.self) { try await client.get(.pods, namespace: "n", name: "1") }
      }
    }
    #expect(gate.load.underWay == 0)
  }
}
