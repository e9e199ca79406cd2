// The server as its owner sees it: where it listens, what it serves, how it stops.

import EventLoop
import Synchronization
import TLS
import World

/// What a server tells its owner, for the log. Called on any of its loops; must not block.
public enum HTTPServerEvent: Sendable, CustomStringConvertible {
  case acceptFailed(String)
  case handshakeFailed(remoteAddress: String, reason: String)
  /// A bound on connections was reached; which one, and whom it hit.
  case connectionRefused(remoteAddress: String, reason: String)
  /// A peer was cut off for what it did or failed to do.
  case connectionAborted(remoteAddress: String, reason: String)

  public var description: String {
    switch self {
    case .acceptFailed(let reason): "cannot accept connections: \(reason)"
    case .handshakeFailed(let address, let reason): "TLS handshake with \(address) failed: \(reason)"
    case .connectionRefused(let address, let reason): "refused connection from \(address): \(reason)"
    case .connectionAborted(let address, let reason): "ended connection of \(address): \(reason)"
    }
  }
}

/// Takes over a connection that chose a protocol of its own by ALPN; called on the connection's loop. The stream has
/// received nothing yet and starts reading when its handler is set.
public typealias ALPNHandler = @Sendable (_ stream: any Stream, _ peer: PeerCertificate?) -> Void

/// What a load balancer is told that asks without TLS.
public enum ProbeAnswer: Sendable {
  /// 200.
  case well
  /// 500: clients are to go elsewhere, those that are here as well.
  case unwell
  /// 404: the server is about to end. No new clients; those that are here are told, and served to the end of what they
  /// asked.
  case leaving
}

/// How the server is; asked at every probe on any loop of the server: must be cheap and must not block.
public typealias OpenProbe = @Sendable () -> ProbeAnswer

/// HTTP/1.1 and HTTP/2 on one port, with or without TLS, on several loops.
///
/// A request stays on the loop that accepted its connection: `handler.respond` is called in a task there, and that task
/// is cancelled when the client goes away or resets the stream. Bodies are read whole before the handler is called.
/// May be created and used from any thread.
public final class HTTPServer: Sendable {
  let shared: ServerShared
  private let loops: [EventLoop]
  private let requestedAddress: Address
  private let state = Mutex(State())

  private struct State {
    var workers: [LoopConfined<ServerWorker>] = []
    var address: Address?
    var isShutDown = false
  }

  /// `alpnHandlers`: protocols that leave HTTP after the handshake; `tls` must offer their names. `handler` answers
  /// everything else. `openProbes`: paths whose GET is answered without TLS too, for a small part of what a handshake
  /// costs: for load balancers, who ask all the time.
  public init(
    loops: [EventLoop], address: Address, tls: TLSConfiguration?, handler: any HTTPHandler,
    limits: HTTPLimits = HTTPLimits(), alpnHandlers: [String: ALPNHandler] = [:],
    openProbes: [String: OpenProbe] = [:], onEvent: @escaping @Sendable (HTTPServerEvent) -> Void = { _ in }
  ) {
    precondition(!loops.isEmpty, "a server needs a loop")
    self.loops = loops
    requestedAddress = address
    shared = ServerShared(
      handler: handler, limits: limits, alpnHandlers: alpnHandlers, openProbes: openProbes, tls: tls, onEvent: onEvent)
  }

  /// Starts to accept, on every loop. Returns the address with the port in use. Throws `StreamError`.
  @discardableResult
  public func start() async throws -> Address {
    var address = requestedAddress
    for loop in loops {
      let worker = try await listen(on: loop, at: address)
      address = worker.address
      state.withLock {
        $0.workers.append(worker.worker)
        $0.address = address
      }
      // A Unix socket has one listener.
      if case .unix = address { break }
    }
    return address
  }

  private func listen(
    on loop: EventLoop, at address: Address
  ) async throws -> (worker: LoopConfined<ServerWorker>, address: Address) {
    let reusePort = loops.count > 1
    return try await withCheckedThrowingContinuation { continuation in
      loop.execute { [shared] in
        continuation.resume(
          with: Result {
            let worker = ServerWorker(loop: loop, shared: shared)
            let local = try worker.listen(at: address, reusePort: reusePort)
            return (LoopConfined(worker, on: loop), local)
          })
      }
    }
  }

  /// Where the server listens; nil before `start`.
  public var address: Address? { state.withLock { $0.address } }

  /// Replaces certificate and policy for connections to come; those that exist go on.
  public func setTLS(_ tls: TLSConfiguration) { shared.tls.withLock { $0 = tls } }

  /// Connections open now, handshakes included.
  public var connectionCount: Int { shared.connectionCount.load(ordering: .relaxed) }

  /// Requests that a handler is working on or whose response is being sent.
  public var requestCount: Int { shared.requestCount.load(ordering: .relaxed) }

  /// Whether a load balancer has asked lately how the server is.
  public var isProbed: Bool { loops.first.map { shared.isProbed($0.now) } ?? false }

  /// Stops: accepts no more (but for the questions of load balancers), tells clients to go elsewhere (GOAWAY, Connection: close), ends watches, lets requests in
  /// flight finish until `deadline`, then cuts off what is left. Returns when all connections are gone.
  public func shutdown(deadline: Duration) async {
    let workers = state.withLock { state in
      if state.isShutDown { return [LoopConfined<ServerWorker>]() }
      state.isShutDown = true
      return state.workers
    }
    await withTaskGroup { group in
      for worker in workers {
        group.addTask {
          await withCheckedContinuation { continuation in
            worker.execute { $0.shutdown(deadline: deadline) { continuation.resume() } }
          }
        }
      }
    }
  }
}

/// What the loops of one server have in common.
final class ServerShared: Sendable {
  let handler: any HTTPHandler
  let limits: HTTPLimits
  let alpnHandlers: [String: ALPNHandler]
  let openProbes: [String: OpenProbe]
  let tls: Mutex<TLSConfiguration?>
  let onEvent: @Sendable (HTTPServerEvent) -> Void
  let connectionCount = Atomic<Int>(0)
  let unprovenCount = Atomic<Int>(0)
  let requestCount = Atomic<Int>(0)
  /// Load balancers ask more often than that.
  private static let probeMemory = Duration.seconds(30)
  /// When a load balancer asked last; in nanoseconds of the loops' clock.
  let probedAt = Atomic<UInt64>(0)

  init(
    handler: any HTTPHandler, limits: HTTPLimits, alpnHandlers: [String: ALPNHandler], openProbes: [String: OpenProbe],
    tls: TLSConfiguration?, onEvent: @escaping @Sendable (HTTPServerEvent) -> Void
  ) {
    self.handler = handler
    self.limits = limits
    self.alpnHandlers = alpnHandlers
    self.openProbes = openProbes
    self.tls = Mutex(tls)
    self.onEvent = onEvent
  }

  func isProbed(_ now: MonotonicTime) -> Bool {
    let last = probedAt.load(ordering: .relaxed)
    return last > 0 && now - MonotonicTime(nanoseconds: last) < Self.probeMemory
  }
}
