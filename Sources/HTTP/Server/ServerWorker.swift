// One loop's share of a server: accepting, the connections, their deadlines, the end.

import DequeModule
import EventLoop
import Synchronization
import TLS
import World

/// A connection's place among those the server may have: given at accept, returned at the end, counted once each.
/// Loop-confined.
final class ConnectionTicket {
  private let shared: ServerShared
  /// Neither a client certificate nor a whole request has been shown.
  private(set) var isUnproven = true
  private var isReleased = false
  /// Ends the connection to make room for another.
  var evict: () -> Void = {}

  init(shared: ServerShared) {
    self.shared = shared
    shared.connectionCount.add(1, ordering: .relaxed)
    shared.unprovenCount.add(1, ordering: .relaxed)
  }

  func prove() {
    guard isUnproven else { return }
    isUnproven = false
    shared.unprovenCount.subtract(1, ordering: .relaxed)
  }

  func release() {
    prove()
    guard !isReleased else { return }
    isReleased = true
    evict = {}
    shared.connectionCount.subtract(1, ordering: .relaxed)
  }
}

/// Loop-confined.
final class ServerWorker: @unchecked Sendable {
  let loop: EventLoop
  let shared: ServerShared
  let tasks: LoopTasks
  private(set) var isDraining = false

  private var listener: StreamListener?
  private var connections: [ObjectIdentifier: ServerConnection] = [:]
  private var handshakes: [ObjectIdentifier: ServerHandshake] = [:]
  /// In the order of their coming; tickets that have proven themselves are dropped when they reach the front.
  private var unproven: Deque<ConnectionTicket> = []
  private var dateCache = DateCache()
  private var didFinish: (() -> Void)?

  init(loop: EventLoop, shared: ServerShared) {
    self.loop = loop
    self.shared = shared
    tasks = LoopTasks.on(loop)
  }

  /// The Date field of a response sent now.
  var date: String {
    dateCache.update(loop.wallClock)
    return dateCache.text
  }

  func listen(at address: Address, reusePort: Bool) throws -> Address {
    let listener = try StreamListener(loop: loop, address: address, reusePort: reusePort) {
      [self] stream, remoteAddress in accept(stream, remoteAddress)
    }
    listener.onError = { [shared] in shared.onEvent(.acceptFailed($0.description)) }
    self.listener = listener
    scheduleSweep()
    return listener.localAddress
  }

  // MARK: Accepting

  private func accept(_ stream: any Stream, _ remoteAddress: String) {
    if let refusal = makeRoom() {
      shared.onEvent(.connectionRefused(remoteAddress: remoteAddress, reason: refusal))
      return stream.abort()
    }
    let ticket = ConnectionTicket(shared: shared)
    unproven.append(ticket)
    guard let tls = shared.tls.withLock({ $0 }) else {
      return serve(stream, remoteAddress, peer: nil, protocolName: nil, ticket)
    }
    let handshake = ServerHandshake(
      worker: self, remoteAddress: remoteAddress, ticket: ticket, configuration: tls)
    handshakes[ObjectIdentifier(handshake)] = handshake
    handshake.start(over: stream)
  }

  /// Makes sure that one more connection is within the bounds; returns why not.
  private func makeRoom() -> String? {
    if isDraining, shared.openProbes.isEmpty { return Self.ending }
    let limits = shared.limits
    guard shared.connectionCount.load(ordering: .relaxed) < limits.connections else {
      return "too many connections: limit is \(limits.connections)"
    }
    while let first = unproven.first, !first.isUnproven { unproven.removeFirst() }
    if shared.unprovenCount.load(ordering: .relaxed) >= limits.unprovenConnections {
      // The oldest has had the most time to prove itself; a flood of silent connections evicts its own.
      guard let oldest = unproven.popFirst() else {
        return "too many connections without a request: limit is \(limits.unprovenConnections)"
      }
      oldest.evict()
    }
    return nil
  }

  func remove(_ handshake: ServerHandshake) {
    handshakes[ObjectIdentifier(handshake)] = nil
    finishIfDone()
  }

  /// A connection is ready to be spoken to.
  func serve(
    _ stream: any Stream, _ remoteAddress: String, peer: PeerCertificate?, protocolName: String?,
    _ ticket: ConnectionTicket
  ) {
    if peer != nil { ticket.prove() }
    if let protocolName, let take = shared.alpnHandlers[protocolName] {
      ticket.release()
      return take(stream, peer)
    }
    let identity = peer.map {
      PeerIdentity(
        commonName: $0.commonName, organizations: $0.organizations, fingerprint: $0.fingerprint,
        notAfter: $0.notAfter)
    }
    let make = protocolName == "h2" ? HTTP2ServerConnection.init : HTTP1ServerConnection.init
    let connection = make(self, stream, remoteAddress, identity, ticket)
    connections[ObjectIdentifier(connection)] = connection
    stream.handler = connection
    if isDraining { connection.drain() }
  }

  func remove(_ connection: ServerConnection) {
    connections[ObjectIdentifier(connection)] = nil
    finishIfDone()
  }

  // MARK: Deadlines

  private func scheduleSweep() {
    loop.scheduleConfined(after: shared.limits.sweepInterval) { [weak self] in
      guard let self else { return }
      let now = loop.now
      for connection in connections.values { connection.sweep(now) }
      if !isDraining || !isDone { scheduleSweep() }
    }
  }

  // MARK: The end

  static let ending = "the server is shutting down"
  /// Until then a handshake that was under way must have come to its end.
  private static let handshakePatience = Duration.seconds(1)

  /// Load balancers that ask are answered to the end: to one that is refused the server would be dead, and it would cut
  /// the connections on which requests are still being answered.
  func shutdown(deadline: Duration, completion: @escaping () -> Void) {
    isDraining = true
    didFinish = completion
    if !shared.isProbed(loop.now) { closeListener() }
    for connection in connections.values { connection.drain() }
    loop.scheduleConfined(after: min(deadline, Self.handshakePatience)) { [weak self] in
      guard let self else { return }
      for handshake in handshakes.values where !handshake.isLate { handshake.abort() }
    }
    loop.scheduleConfined(after: deadline) { [weak self] in
      guard let self else { return }
      for connection in connections.values { connection.abort("the server's time to shut down is over") }
    }
    finishIfDone()
  }

  private func closeListener() {
    listener?.close()
    listener = nil
  }

  private var isDone: Bool { connections.isEmpty && handshakes.values.allSatisfy(\.isLate) }

  private func finishIfDone() {
    guard isDraining, isDone, let finish = didFinish.take() else { return }
    closeListener()
    for handshake in handshakes.values { handshake.abort() }
    finish()
  }
}
