// HTTP between a simulated client and an API server: no sockets and no parsing, but all that a network does to it:
// requests and answers that take time, connections that cannot be made, connections that break before the answer.
import HTTP
import Synchronization
import World

/// Where a server takes requests.
struct HTTPStation {
  let process: SimulatedProcess
  let handler: any HTTPHandler
  /// Loops that answer, as a listener spreads its connections.
  let loops: [VirtualWorld]
}

/// A client's way to one server. `identity` stands for the certificate that the client would show.
public final class SimulatedHTTPTransport: HTTPTransport, @unchecked Sendable {
  private let network: SimulatedNetwork
  private let client: (host: HostNumber, world: VirtualWorld)
  private let server: HostNumber
  private let identity: TrustedContext
  /// As HTTPClient has it.
  private static let connectDeadline = Duration.seconds(5)

  public init(
    from host: HostNumber, on world: VirtualWorld, to server: HostNumber, identity: TrustedContext,
    network: SimulatedNetwork
  ) {
    client = (host, world)
    self.server = server
    self.identity = identity
    self.network = network
  }

  public func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    var request = request
    request.trusted = identity
    request.version = .inProcess
    request.body = .bytes(try await request.body.collect())
    let station = try await reach()
    let world = station.loops[Int((client.host ^ client.world.number) % UInt64(station.loops.count))]
    let exchange = Exchange(
      Connection(from: client, to: (server, world), network: network), network: network, world: client.world)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        exchange.start(request, station.handler, continuation)
      }
    } onCancel: {
      exchange.abandon()
    }
  }

  /// The time that connecting takes where no connection stands; here, a round trip on average. Throws when nobody
  /// answers.
  private func reach() async throws -> HTTPStation {
    for _ in 0..<2 {
      let isSilent =
        network.isCut(from: client.host, to: server) || network.isCut(from: server, to: client.host)
        || network.httpStations[server]?.process.isPaused == true
      if !isSilent {
        guard let station = network.httpStations[server], station.process.isRunning else {
          try await client.world.sleep(for: network.travelTime(.init(from: client.host, to: server)) * 2)
          throw HTTPError.connectFailed("connection refused")
        }
        return station
      }
      try await client.world.sleep(for: Self.connectDeadline / 2)
    }
    throw HTTPError.connectFailed("no answer within \(Self.connectDeadline)")
  }
}

/// One request and its answer.
private final class Exchange: @unchecked Sendable {
  private let connection: Connection
  private let network: SimulatedNetwork
  private let world: VirtualWorld
  private var answer: CheckedContinuation<HTTPResponse, any Error>?
  /// The body as the client reads it, and as the server writes it.
  private var received: BytePipe?
  private var sent: BytePipe?
  private var isOver = false
  private var target = ""

  init(_ connection: Connection, network: SimulatedNetwork, world: VirtualWorld) {
    self.connection = connection
    self.network = network
    self.world = world
  }

  func start(
    _ request: HTTPRequest, _ handler: any HTTPHandler, _ continuation: CheckedContinuation<HTTPResponse, any Error>
  ) {
    guard !isOver else { return continuation.resume(throwing: CancellationError()) }
    answer = continuation
    target = "\(request.method) \(request.target)"
    connection.onBreakAtOpener = { [self] in broke() }
    connection.onBreakAtAcceptor = { [self] in sent?.cancel() }
    watchPatience()
    connection.toAcceptor.send(bytes: 0) { [self] in
      trace(0, request.target.utf8.count)
      connection.acceptor.world.spawn { [self] in
        let response = await handler.respond(to: request)
        reply(response)
      }
    }
  }

  /// A connection behind a cut link is given up in time.
  private func watchPatience() {
    world.schedule(after: network.patience) { [weak self] in
      guard let self, !isOver, connection.isOpen else { return }
      let (one, other) = (connection.opener.host, connection.acceptor.host)
      guard network.isCut(from: one, to: other) || network.isCut(from: other, to: one) else {
        if received == nil { watchPatience() }
        return
      }
      connection.break(sparing: one)
      broke()
    }
  }

  // MARK: On the server's loop

  private func reply(_ response: HTTPResponse) {
    guard connection.isOpen else {
      if case .stream(let pipe) = response.body { pipe.cancel() }
      return
    }
    guard case .stream(let pipe) = response.body else {
      return connection.toOpener.send(bytes: response.body.count ?? 0) { [self] in complete(response) }
    }
    sent = pipe
    connection.toOpener.send(bytes: 0) { [self] in
      let received = BytePipe(highWater: .max)
      self.received = received
      received.onCancel { [weak self] in self?.abandon() }
      var response = response
      response.body = .stream(received)
      trace(1, response.status)
      network.answered += 1
      answer?.resume(returning: response)
      answer = nil
    }
    connection.acceptor.world.spawn { [self] in
      do {
        while let piece = try await pipe.next() {
          connection.toOpener.send(bytes: piece.count) { [self] in arrived(piece) }
        }
        connection.toOpener.send(bytes: 0) { [self] in end(nil) }
      } catch {
        connection.toOpener.send(bytes: 0) { [self] in end(HTTPError.connectionClosed("\(error)")) }
      }
    }
  }

  // MARK: On the client's loop

  private func complete(_ response: HTTPResponse) {
    trace(2, response.status)
    if case .bytes(let bytes) = response.body { network.simulator.note(bytes) }
    network.answered += 1
    isOver = true
    connection.finish()
    answer?.resume(returning: response)
    answer = nil
  }

  private func arrived(_ piece: [UInt8]) {
    trace(3, piece.count)
    network.simulator.note(piece)
    // A reader that has gone has said so by cancelling.
    _ = try? received?.offer(piece)
  }

  private func end(_ error: (any Error)?) {
    guard !isOver else { return }
    isOver = true
    connection.finish()
    received?.finish(throwing: error)
  }

  private func broke() {
    guard !isOver else { return }
    isOver = true
    let error = HTTPError.connectionClosed("the connection broke")
    received?.finish(throwing: error)
    answer?.resume(throwing: error)
    answer = nil
  }

  /// The client's task was cancelled, or it reads no further.
  func abandon() {
    guard !isOver else { return }
    isOver = true
    connection.break(sparing: connection.opener.host)
    answer?.resume(throwing: CancellationError())
    answer = nil
  }

  private func trace(_ what: UInt64, _ size: Int) {
    network.delivered += 1
    network.simulator.tell("http \(["request", "stream", "answer", "piece"][Int(what)]) \(size) \(target)")
    network.simulator.note(what << 56 | connection.opener.host << 32 | UInt64(size))
  }
}
