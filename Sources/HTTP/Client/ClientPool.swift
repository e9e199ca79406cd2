// The connections of one client: which request goes where, when another connection is opened, when one is given up.

import DequeModule
import EventLoop
import TLS
import World

/// A connection of a pool. Loop-confined.
///
/// Sendable only so that tasks of the same loop can hold it.
class ClientConnection: StreamHandler, @unchecked Sendable {
  let pool: ClientPool
  let stream: any Stream
  /// Last time a request began or ended here.
  var lastUsed: MonotonicTime
  private(set) var isClosed = false

  required init(pool: ClientPool, stream: any Stream) {
    self.pool = pool
    self.stream = stream
    lastUsed = pool.loop.now
  }

  var isIdle: Bool { true }

  func start(_ exchange: ClientExchange) {}
  /// The exchange is over for its caller: take it back.
  func abandon(_ exchange: ClientExchange) {}
  /// The reader of a response that was held back has room again.
  func readerHasRoom(_ exchange: ClientExchange) {}
  /// Exchanges in flight.
  var exchanges: [ClientExchange] { [] }
  func sweep(_ now: MonotonicTime) {}
  /// No further requests; close when those in flight are done.
  func retire() { stream.close() }

  func receive(_ bytes: UnsafeRawBufferPointer) {}
  func didDrain() {}
  func didClose(_ error: StreamError?) {}

  final func streamDidReceive(_ bytes: UnsafeRawBufferPointer) { receive(bytes) }
  final func streamDidDrain() { didDrain() }
  final func streamDidClose(_ error: StreamError?) {
    isClosed = true
    pool.remove(self)
    didClose(error)
  }
}

/// Loop-confined.
final class ClientPool: @unchecked Sendable {
  private enum Agreed { case unknown, http1, http2 }

  /// HTTP/1.1 connections opened at a time: handshakes cost a server more than requests do.
  private static let http1Connecting = 16

  let loop: EventLoop
  let limits: HTTPClientLimits
  let serverName: String
  private let endpoint: Address
  private var tls: TLSConfiguration?
  /// What the server chose on the last connection.
  private var agreed: Agreed
  private var http2: [HTTP2ClientConnection] = []
  private var idleHTTP1: [HTTP1ClientConnection] = []
  private var connections: [ObjectIdentifier: ClientConnection] = [:]
  /// Connections being opened for whoever waits.
  private var connecting = 0
  private var waiting: Deque<ClientExchange> = []
  private var upgrading: [ObjectIdentifier: ClientExchange] = [:]
  private var isClosed = false
  private var isSweeping = false

  init(loop: EventLoop, endpoint: Address, tls: TLSConfiguration?, serverName: String, limits: HTTPClientLimits) {
    self.loop = loop
    self.endpoint = endpoint
    self.tls = tls
    self.serverName = serverName
    self.limits = limits
    agreed = tls == nil ? .http1 : .unknown
  }

  var tasks: LoopTasks { LoopTasks.on(loop) }
  var connectionCount: Int { connections.count + connecting + upgrading.count }
  /// The Host of requests that set none.
  var authority: String {
    let name = serverName.contains(":") ? "[\(serverName)]" : serverName
    return endpoint.port == 0 ? name : "\(name):\(endpoint.port)"
  }

  func setTLS(_ tls: TLSConfiguration) { self.tls = tls }

  // MARK: Requests

  func submit(_ exchange: ClientExchange) {
    guard !isClosed else { return exchange.fail(.connectFailed("the client is closed")) }
    sweepLater()
    if exchange.isUpgrade {
      upgrading[ObjectIdentifier(exchange)] = exchange
      return connect(for: exchange)
    }
    guard !assign(exchange) else { return }
    waiting.append(exchange)
    openIfUseful()
  }

  private func assign(_ exchange: ClientExchange) -> Bool {
    if let connection = http2.first(where: \.canOpenStream) {
      connection.start(exchange)
      return true
    }
    if let connection = idleHTTP1.popLast() {
      connection.start(exchange)
      return true
    }
    return false
  }

  /// Cancelled or timed out before it had a connection.
  func forget(_ exchange: ClientExchange) {
    upgrading[ObjectIdentifier(exchange)] = nil
    waiting.removeAll { $0 === exchange }
  }

  // MARK: Connections

  /// Opens a connection if waiting requests would gain by it.
  private func openIfUseful() {
    guard !waiting.isEmpty else { return }
    switch agreed {
    case .unknown:
      // The first connection shows what the server speaks.
      if connecting == 0 { connect(for: nil) }
    case .http2:
      if connecting == 0, http2.count < limits.http2Connections { connect(for: nil) }
    case .http1:
      while connecting < min(waiting.count, Self.http1Connecting),
        connections.count + connecting < limits.http1Connections
      {
        connect(for: nil)
      }
    }
  }

  private func connect(for upgrade: ClientExchange?) {
    if upgrade == nil { connecting += 1 }
    StreamConnector.connect(to: endpoint, on: loop, deadline: limits.connectTime) { [self] result in
      switch result {
      case .failure(let error): didFail(error.description, upgrade)
      case .success(let stream):
        guard let tls else { return didConnect(stream, protocolName: nil, upgrade) }
        handshake(stream, tls, upgrade)
      }
    }
  }

  private func handshake(_ transport: any Stream, _ tls: TLSConfiguration, _ upgrade: ClientExchange?) {
    // An upgrade needs a connection of its own, and HTTP/2 has none to give.
    let protocols = upgrade == nil ? ["h2", "http/1.1"] : ["http/1.1"]
    // The closure keeps the stream alive until it is called.
    var stream: TLSStream?
    stream = TLSStream(
      client: tls, over: transport, serverName: serverName, protocols: protocols,
      handshakeDeadline: limits.connectTime
    ) { [self] result in
      guard let made = stream.take() else { return }
      switch result {
      case .failure(let error): didFail(error.description, upgrade)
      case .success(let handshake): didConnect(made, protocolName: handshake.applicationProtocol, upgrade)
      }
    }
  }

  private func didConnect(_ stream: any Stream, protocolName: String?, _ upgrade: ClientExchange?) {
    let isHTTP2 = protocolName == "h2"
    if upgrade == nil {
      connecting -= 1
      agreed = isHTTP2 ? .http2 : .http1
    } else if let upgrade, upgrading.removeValue(forKey: ObjectIdentifier(upgrade)) == nil {
      return stream.abort()
    }
    guard !isClosed else { return stream.abort() }
    let connection: ClientConnection =
      isHTTP2
      ? HTTP2ClientConnection(pool: self, stream: stream) : HTTP1ClientConnection(pool: self, stream: stream)
    connections[ObjectIdentifier(connection)] = connection
    stream.handler = connection
    if let upgrade { return connection.start(upgrade) }
    if let connection = connection as? HTTP2ClientConnection { http2.append(connection) }
    if let connection = connection as? HTTP1ClientConnection { idleHTTP1.append(connection) }
    serveWaiting()
  }

  private func didFail(_ reason: String, _ upgrade: ClientExchange?) {
    if let upgrade {
      upgrading[ObjectIdentifier(upgrade)] = nil
      return upgrade.fail(.connectFailed("\(endpoint): \(reason)"))
    }
    connecting -= 1
    // Connections that live will serve whoever waits. Without any, the next attempt would fail alike: retrying is the
    // caller's to decide.
    guard connections.isEmpty else { return }
    let failed = waiting
    waiting = []
    for exchange in failed { exchange.fail(.connectFailed("\(endpoint): \(reason)")) }
  }

  /// A connection has room.
  func serveWaiting() {
    while let exchange = waiting.first {
      guard !exchange.isDone else {
        waiting.removeFirst()
        continue
      }
      guard assign(exchange) else { break }
      waiting.removeFirst()
    }
    openIfUseful()
  }

  func didBecomeIdle(_ connection: HTTP1ClientConnection) {
    guard !isClosed else { return connection.stream.close() }
    idleHTTP1.append(connection)
    serveWaiting()
  }

  /// Takes no more requests, though some may be in flight.
  func didRetire(_ connection: HTTP2ClientConnection) {
    http2.removeAll { $0 === connection }
    openIfUseful()
  }

  func remove(_ connection: ClientConnection) {
    connections[ObjectIdentifier(connection)] = nil
    http2.removeAll { $0 === connection }
    idleHTTP1.removeAll { $0 === connection }
    // After the connection's own requests have been dealt with.
    loop.executeConfined { [self] in openIfUseful() }
  }

  func close() {
    isClosed = true
    let waited = waiting
    waiting = []
    for exchange in waited { exchange.fail(.connectFailed("the client is closed")) }
    for exchange in upgrading.values { exchange.fail(.connectFailed("the client is closed")) }
    upgrading = [:]
    for connection in connections.values { connection.retire() }
  }

  // MARK: Deadlines

  private func sweepLater() {
    guard !isSweeping else { return }
    isSweeping = true
    loop.scheduleConfined(after: limits.sweepInterval) { [weak self] in
      guard let self else { return }
      isSweeping = false
      sweep()
      if !connections.isEmpty || !waiting.isEmpty || !upgrading.isEmpty { sweepLater() }
    }
  }

  private func sweep() {
    let now = loop.now
    for exchange in Array(waiting) + Array(upgrading.values) where exchange.deadline <= now { exchange.timeOut() }
    for connection in connections.values {
      for exchange in connection.exchanges where exchange.isTimed && exchange.deadline <= now { exchange.timeOut() }
      if connection.isIdle, now - connection.lastUsed >= limits.idleTime {
        connection.retire()
      } else {
        connection.sweep(now)
      }
    }
  }
}
