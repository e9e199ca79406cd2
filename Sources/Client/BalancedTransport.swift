// The client-side balancer: any server of a list answers, a dead one is left aside.
import HTTP
import Logging
import Synchronization
import World

/// Sends requests to one of several equal servers and moves on to another when it does not answer.
///
/// A request that may have reached a server is repeated only if that is harmless (GET, HEAD); one that never left is
/// always tried elsewhere. The list may be replaced at any time. Any thread.
public final class BalancedTransport: HTTPTransport {
  public typealias Connect = @Sendable (_ server: String) -> any HTTPTransport

  private struct Server {
    var address: String
    var transport: any HTTPTransport
    var failures = 0
    var retryAt = MonotonicTime(nanoseconds: 0)
  }
  private struct State {
    var servers: [Server] = []
    var preferred = 0
  }

  /// A server that failed is left aside for 100 ms, doubling to 5 s while it keeps failing.
  private static let firstPenalty = Duration.milliseconds(100)
  private static let lastPenalty = Duration.seconds(5)

  private let world: any World
  private let connect: Connect
  private let state = Mutex(State())

  /// `servers`: "host:port". The first choice is drawn by chance, so that many clients spread.
  public init(servers: [String], world: any World, connect: @escaping Connect) {
    self.world = world
    self.connect = connect
    state.withLock { state in
      state.servers = servers.map { Server(address: $0, transport: connect($0)) }
      state.preferred = servers.isEmpty ? 0 : Int(world.randomBits() % UInt64(servers.count))
    }
  }

  /// The servers in use, the preferred one first.
  public var servers: [String] {
    state.withLock { state in
      state.servers.indices.map { state.servers[(state.preferred + $0) % state.servers.count].address }
    }
  }

  /// Replaces the list; connections to servers that stay are kept. An empty list is ignored: a client with no
  /// server left could never learn of a new one.
  public func update(servers: [String]) {
    guard !servers.isEmpty else { return }
    state.withLock { state in
      let preferred = state.servers.isEmpty ? "" : state.servers[state.preferred].address
      state.servers = servers.map { address in
        state.servers.first { $0.address == address } ?? Server(address: address, transport: connect(address))
      }
      state.preferred = state.servers.firstIndex { $0.address == preferred } ?? 0
    }
  }

  public func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    let isRepeatable = request.method == "GET" || request.method == "HEAD"
    var lastError: any Error = HTTPError.connectFailed("no server is known")
    for _ in 0..<max(1, state.withLock { $0.servers.count }) {
      guard let (address, transport) = choose() else { break }
      do {
        let response = try await transport.send(request)
        succeeded(address)
        return response
      } catch {
        if Task.isCancelled { throw CancellationError() }
        failed(address)
        lastError = error
        if !isRepeatable {
          guard case HTTPError.connectFailed = error else { throw error }
        }
      }
    }
    throw lastError
  }

  /// The preferred server, or the next that is not left aside, or the one to be tried again soonest.
  private func choose() -> (String, any HTTPTransport)? {
    state.withLock { state in
      guard !state.servers.isEmpty else { return nil }
      let now = world.now
      let order = state.servers.indices.map { (state.preferred + $0) % state.servers.count }
      let index =
        order.first { state.servers[$0].retryAt <= now }
        ?? order.min { state.servers[$0].retryAt < state.servers[$1].retryAt } ?? 0
      state.preferred = index
      return (state.servers[index].address, state.servers[index].transport)
    }
  }

  private func succeeded(_ address: String) {
    state.withLock { state in
      guard let index = state.servers.firstIndex(where: { $0.address == address }) else { return }
      state.servers[index].failures = 0
      state.servers[index].retryAt = MonotonicTime(nanoseconds: 0)
    }
  }

  private func failed(_ address: String) {
    state.withLock { state in
      guard let index = state.servers.firstIndex(where: { $0.address == address }) else { return }
      let penalty = min(Self.firstPenalty * (1 << min(state.servers[index].failures, 10)), Self.lastPenalty)
      state.servers[index].failures += 1
      state.servers[index].retryAt = world.now + penalty
      state.preferred = (index + 1) % state.servers.count
    }
  }
}
