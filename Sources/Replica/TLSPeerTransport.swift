// The peer network over TLS: to every peer one connection for Raft's messages and, while a snapshot travels, another;
// both outgoing, so that each server writes on its own and reads on what others opened. Incoming ones arrive through
// the server's one port (ALPN "trireme-raft") on whatever loop accepted them.

import DequeModule
import EventLoop
import Logging
import Raft
import Synchronization
import TLS
import World

/// `PeerTransport` over TLS streams. Outgoing connections live on the consensus loop.
public final class TLSPeerTransport: PeerTransport {
  /// The application protocol of connections between servers.
  public static let applicationProtocol = "trireme-raft"

  /// Whether a certificate's holder is the server of this name; called on any loop. Which name belongs to which id is
  /// in the group's directory.
  public typealias Authorizer = @Sendable (PeerCertificate, _ name: String) -> Bool

  private let loop: EventLoop
  private let core: PeerConnections
  private let inbox: IncomingFrames
  private let cluster: String
  private let node: NodeID
  private let name: String
  private let authorize: Authorizer
  private let logger: Logger
  private let directory = PeerDirectory()

  /// - Parameters:
  ///   - loop: the consensus loop.
  ///   - name: this server's, of its certificate.
  ///   - configuration: gives the client's side for a new connection; asked each time, so that certificates renew.
  ///   - authorize: whether a certificate's holder is that member of the group.
  public init(
    loop: EventLoop, cluster: String, node: NodeID, name: String,
    configuration: @escaping @Sendable () -> TLSConfiguration, authorize: @escaping Authorizer, logger: Logger
  ) {
    self.loop = loop
    self.cluster = cluster
    self.node = node
    self.name = name
    self.authorize = authorize
    self.logger = logger
    core = PeerConnections(
      loop: loop, cluster: cluster, node: node, name: name, configuration: configuration, authorize: authorize,
      logger: logger)
    inbox = IncomingFrames(loop: loop)
  }

  public func start(peers: [Member], onEvent: @escaping @Sendable (PeerEvent) -> Void) {
    inbox.start(onEvent)
    core.start(onEvent)
    update(peers: peers)
  }

  public func update(peers: [Member]) {
    directory.update(peers)
    core.update(peers)
  }

  public func send(_ frames: [[UInt8]], to peer: NodeID, lane: PeerLane) -> Bool {
    core.send(frames, to: peer, lane: lane)
  }

  public func stop() {
    inbox.stop()
    core.stop()
  }

  /// Takes over an incoming connection whose client chose `applicationProtocol`. On the stream's own loop; the
  /// certificate is the one the client proved to hold, nil if it showed none (it is then cut off).
  public func accept(_ stream: any Stream, certificate: PeerCertificate?) {
    guard let certificate else { return stream.abort() }
    let connection = IncomingConnection(
      stream: stream, certificate: certificate,
      hello: PeerHello(cluster: cluster, node: node, name: name, lane: .control), directory: directory,
      authorize: authorize, inbox: inbox, consensus: loop, logger: logger
    ) { [loop, core] peer in
      // It is up: answers need not wait for the next try.
      loop.execute { core.connectNow(to: peer) }
    }
    connection.start()
  }
}

/// The names of the peers, for the loops that accept connections.
private final class PeerDirectory: Sendable {
  private let names = Mutex<[NodeID: String]>([:])

  func update(_ peers: [Member]) {
    names.withLock { $0 = Dictionary(peers.map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first }) }
  }

  /// Who is not in the directory yet may be in a newer one: that is for Raft to find out.
  func contradicts(_ node: NodeID, name: String) -> Bool {
    names.withLock { $0[node].map { !$0.isEmpty && $0 != name } ?? false }
  }
}

// MARK: Incoming

/// Frames on their way from the loops that read them to the consensus loop: one wake-up for all that came meanwhile.
private final class IncomingFrames: Sendable {
  private struct State {
    var events: [PeerEvent] = []
    var onEvent: (@Sendable (PeerEvent) -> Void)?
    /// The latest control connection of each peer, by its number.
    var latest: [NodeID: UInt64] = [:]
    var greeted: UInt64 = 0
    var isStopped = false
  }
  private let loop: EventLoop
  private let state = Mutex(State())

  init(loop: EventLoop) { self.loop = loop }

  func start(_ onEvent: @escaping @Sendable (PeerEvent) -> Void) { state.withLock { $0.onEvent = onEvent } }
  func stop() {
    state.withLock { state in
      state.isStopped = true
      state.onEvent = nil
    }
  }
  var isStopped: Bool { state.withLock { $0.isStopped } }

  func add(_ event: PeerEvent) {
    let isFirst = state.withLock { state in
      if state.isStopped { return false }
      state.events.append(event)
      return state.events.count == 1
    }
    if isFirst { loop.execute { self.deliver() } }
  }

  /// A control connection of a peer says hello; returns its number.
  func enter(_ peer: NodeID) -> UInt64 {
    state.withLock { state in
      state.greeted += 1
      state.latest[peer] = state.greeted
      return state.greeted
    }
  }

  /// That connection has ended. One that was followed by another says nothing of its peer: after a partition it lingers
  /// until the system notices.
  func leave(_ peer: NodeID, _ number: UInt64) {
    let isLatest = state.withLock { $0.latest[peer] == number }
    if isLatest { add(.disconnected(peer)) }
  }

  private func deliver() {
    let (events, onEvent) = state.withLock { state in
      defer { state.events = [] }
      return (state.events, state.onEvent)
    }
    guard let onEvent else { return }
    for event in events { onEvent(event) }
  }
}

/// A connection that a peer opened. Confined to its stream's loop (hence unchecked): that of the clients until its peer is
/// known, then consensus' own, if it is for messages. They are read there without another thread's being woken, and do
/// not wait for what a client's request takes.
private final class IncomingConnection: StreamHandler, @unchecked Sendable {
  /// A peer that connects and does not say hello is cut off.
  private static let helloDeadline = Duration.seconds(5)
  private var stream: any Stream
  private let certificate: PeerCertificate
  /// What this server says.
  private let hello: PeerHello
  private let directory: PeerDirectory
  private let authorize: TLSPeerTransport.Authorizer
  private let inbox: IncomingFrames
  private let consensus: EventLoop
  private let logger: Logger
  private let onHello: (NodeID) -> Void
  private var parser = FrameParser()
  private var peer: PeerHello?
  /// Among the control connections of all peers.
  private var number: UInt64 = 0
  private var timer: (any ScheduledTimer)?

  init(
    stream: any Stream, certificate: PeerCertificate, hello: PeerHello, directory: PeerDirectory,
    authorize: @escaping TLSPeerTransport.Authorizer, inbox: IncomingFrames, consensus: EventLoop, logger: Logger,
    onHello: @escaping (NodeID) -> Void
  ) {
    self.onHello = onHello
    self.stream = stream
    self.certificate = certificate
    self.hello = hello
    self.directory = directory
    self.authorize = authorize
    self.inbox = inbox
    self.consensus = consensus
    self.logger = logger
  }

  func start() {
    stream.handler = self
    timer = stream.loop.scheduleConfined(after: Self.helloDeadline) { [weak self] in self?.stream.abort() }
  }

  func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
    do throws(CodecError) {
      var frames = try parser.append(bytes)[...]
      if peer == nil, let first = frames.popFirst() { try greet(first) }
      guard let peer, !frames.isEmpty else { return }
      if inbox.isStopped { return stream.abort() }
      inbox.add(.received(from: peer.node, frames: Array(frames)))
    } catch {
      logger.warning(
        "a peer connection is refused", metadata: ["peer": "\(certificate.commonName)", "reason": "\(error)"])
      stream.abort()
    }
  }

  private func greet(_ frame: [UInt8]) throws(CodecError) {
    let other = try PeerHello(decoding: frame)
    guard other.node != hello.node, authorize(certificate, other.name) else {
      throw CodecError("its certificate does not speak for server \(other.name)")
    }
    if let recovery = GroupName(text: hello.cluster).superseded(by: GroupName(text: other.cluster)) {
      inbox.add(.superseded(by: recovery))
    }
    guard other.cluster == hello.cluster else {
      // Who has slept through a recovery hears of it from the greeting of who went on: before it finds others like it
      // and they elect a leader of their own.
      if GroupName(text: other.cluster).superseded(by: GroupName(text: hello.cluster)) != nil { onHello(other.node) }
      throw CodecError("it belongs to cluster \(other.cluster)")
    }
    guard !directory.contradicts(other.node, name: other.name) else {
      throw CodecError("server \(other.node) has another name than \(other.name)")
    }
    peer = other
    if other.lane == .control { number = inbox.enter(other.node) }
    timer?.cancel()
    // It is of the loop that this is about to leave.
    timer = nil
    var answer = hello
    answer.lane = other.lane
    stream.write(FrameParser.wire([answer.encoded()]))
    onHello(other.node)
    // Snapshots stay where their bytes hold up nobody.
    guard other.lane == .control, stream.loop !== consensus else { return }
    stream.loop.executeConfined { self.move() }
  }

  /// What was read until now has been handed over by then: the order of its messages stays.
  private func move() {
    guard let session = (stream as? TLSStream)?.detachSession() else { return }
    consensus.execute { [self] in
      guard let moved = session.attach(to: consensus) else { return streamDidClose(nil) }
      stream = moved
      moved.handler = self
    }
  }

  func streamDidClose(_ error: StreamError?) {
    timer?.cancel()
    if let peer, peer.lane == .control { inbox.leave(peer.node, number) }
  }
}

// MARK: Outgoing

/// The outgoing connections. Confined to the consensus loop (hence unchecked).
private final class PeerConnections: @unchecked Sendable {
  let loop: EventLoop
  let cluster: String
  let node: NodeID
  let name: String
  let configuration: @Sendable () -> TLSConfiguration
  let authorize: TLSPeerTransport.Authorizer
  let logger: Logger
  private var lanes: [NodeID: [PeerLane: OutgoingConnection]] = [:]
  private var peers: [NodeID: Member] = [:]
  private(set) var onEvent: (@Sendable (PeerEvent) -> Void)?

  init(
    loop: EventLoop, cluster: String, node: NodeID, name: String,
    configuration: @escaping @Sendable () -> TLSConfiguration, authorize: @escaping TLSPeerTransport.Authorizer,
    logger: Logger
  ) {
    self.loop = loop
    self.cluster = cluster
    self.node = node
    self.name = name
    self.configuration = configuration
    self.authorize = authorize
    self.logger = logger
  }

  func start(_ onEvent: @escaping @Sendable (PeerEvent) -> Void) { self.onEvent = onEvent }

  func update(_ wanted: [Member]) {
    guard onEvent != nil else { return }
    let addresses = Dictionary(wanted.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    for (id, known) in peers {
      if let peer = addresses[id], peer.address == known.address, peer.name == known.name { continue }
      for connection in (lanes.removeValue(forKey: id) ?? [:]).values { connection.stop() }
      peers[id] = nil
    }
    for peer in wanted where peer.id != node && peers[peer.id] == nil {
      peers[peer.id] = peer
      lanes[peer.id] = [
        .control: OutgoingConnection(to: peer, lane: .control, of: self),
        .bulk: OutgoingConnection(to: peer, lane: .bulk, of: self),
      ]
      lanes[peer.id]?[.control]?.connect()
    }
  }

  func send(_ frames: [[UInt8]], to peer: NodeID, lane: PeerLane) -> Bool {
    lanes[peer]?[lane]?.send(frames) ?? false
  }

  /// Ends the pause before the next try.
  func connectNow(to peer: NodeID) { lanes[peer]?[.control]?.connectNow() }

  func stop() {
    onEvent = nil
    for connections in lanes.values { for connection in connections.values { connection.stop() } }
    lanes = [:]
  }
}

/// One lane to one peer: connects, says hello, sends; connects again when it broke. Confined to the consensus loop.
private final class OutgoingConnection: StreamHandler {
  private enum State {
    case idle
    case connecting
    /// TLS stands, the peer has not answered the hello.
    case greeting(any Stream)
    case open(any Stream)
    case waiting(any ScheduledTimer)
    case stopped
  }
  /// A server that starts again listens within a second or so: try often, but never in a tight loop.
  private static let firstBackoff = Duration.milliseconds(10)
  private static let lastBackoff = Duration.milliseconds(500)
  private static let connectDeadline = Duration.seconds(2)
  /// A partition outlives TCP's patience: the longer it lasted, the later the next try of a connection that lived through
  /// it. A new connection is through within a second of the healing.
  private static let unacknowledgedLimit = Duration.seconds(1)
  /// Bytes that may wait for a peer that reads slowly; past it frames are dropped, and Raft probes anew.
  private static let queueBytes: [PeerLane: Int] = [.control: 32 << 20, .bulk: 4 << 20]

  private let peer: Member
  private let lane: PeerLane
  private unowned let owner: PeerConnections
  private var state = State.idle
  private var backoff = firstBackoff
  private var parser = FrameParser()
  private var lastError: String?

  init(to peer: Member, lane: PeerLane, of owner: PeerConnections) {
    self.peer = peer
    self.lane = lane
    self.owner = owner
  }

  func send(_ frames: [[UInt8]]) -> Bool {
    switch state {
    case .open(let stream):
      guard stream.bufferedBytes < Self.queueBytes[lane] ?? 0 else { return false }
      stream.write(FrameParser.wire(frames))
      return true
    case .idle:
      // The bulk lane is opened when it is first needed; the sender will try again.
      connect()
      return false
    case .connecting, .greeting, .waiting, .stopped: return false
    }
  }

  func connectNow() {
    guard case .waiting(let timer) = state else { return }
    timer.cancel()
    backoff = Self.firstBackoff
    connect()
  }

  func connect() {
    guard let address = Address(peer.address) else {
      owner.logger.error("a peer's address cannot be used", metadata: ["address": "\(peer.address)"])
      state = .stopped
      return
    }
    state = .connecting
    parser = FrameParser()
    StreamConnector.connect(
      to: address, on: owner.loop, deadline: Self.connectDeadline, unacknowledgedLimit: Self.unacknowledgedLimit
    ) { [weak self] result in
      guard let self, case .connecting = state else {
        if case .success(let stream) = result { stream.abort() }
        return
      }
      switch result {
      case .success(let stream): startTLS(stream)
      case .failure(let error): retry("\(error)")
      }
    }
  }

  private func startTLS(_ transport: any Stream) {
    var secured: TLSStream?
    secured = TLSStream(
      client: owner.configuration(), over: transport, serverName: nil, handshakeDeadline: Self.connectDeadline
    ) { [weak self] result in
      guard let stream = secured else { return }
      secured = nil
      guard let self, case .connecting = state else { return stream.abort() }
      switch result {
      case .success(let handshake): greet(stream, handshake)
      case .failure(let error): retry("\(error)")
      }
    }
  }

  private func greet(_ stream: TLSStream, _ handshake: TLSHandshake) {
    guard handshake.applicationProtocol == TLSPeerTransport.applicationProtocol, let certificate = handshake.peer,
      owner.authorize(certificate, peer.name)
    else {
      stream.abort()
      return retry("whoever listens at \(peer.address) is not server \(peer.name)")
    }
    state = .greeting(stream)
    stream.handler = self
    let hello = PeerHello(cluster: owner.cluster, node: owner.node, name: owner.name, lane: lane)
    stream.write(FrameParser.wire([hello.encoded()]))
  }

  func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
    guard case .greeting(let stream) = state else { return }
    do throws(CodecError) {
      guard let frame = try parser.append(bytes).first else { return }
      let hello = try PeerHello(decoding: frame)
      guard hello.node == peer.id, hello.cluster == owner.cluster else {
        throw CodecError("server \(hello.node) of cluster \(hello.cluster) answers at \(peer.address)")
      }
      state = .open(stream)
      backoff = Self.firstBackoff
      lastError = nil
      if lane == .control { owner.onEvent?(.connected(peer.id)) }
    } catch {
      lastError = "\(error)"
      stream.abort()
    }
  }

  func streamDidClose(_ error: StreamError?) {
    switch state {
    case .open:
      if lane == .control { owner.onEvent?(.disconnected(peer.id)) }
      if lane == .bulk { state = .idle } else { retry(error.map { "\($0)" } ?? "closed") }
    case .greeting: retry(error.map { "\($0)" } ?? lastError ?? "the peer closed the connection")
    case .idle, .connecting, .waiting, .stopped: break
    }
  }

  private func retry(_ reason: String) {
    if case .stopped = state { return }
    if reason != lastError {
      lastError = reason
      owner.logger.info("no connection to a peer", metadata: ["peer": "\(peer.name)", "reason": "\(reason)"])
    }
    // Chance keeps two servers from meeting in step.
    let jitter = Duration.milliseconds(Int64(owner.loop.randomBits() % 10))
    let timer = owner.loop.scheduleConfined(after: backoff + jitter) { [weak self] in
      guard let self, case .waiting = state else { return }
      connect()
    }
    backoff = min(backoff * 2, Self.lastBackoff)
    state = .waiting(timer)
  }

  func stop() {
    let old = state
    state = .stopped
    switch old {
    case .greeting(let stream), .open(let stream): stream.abort()
    case .waiting(let timer): timer.cancel()
    case .idle, .connecting, .stopped: break
    }
  }
}
