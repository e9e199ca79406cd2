// Connections between servers, as TLSPeerTransport makes them: two lanes to every peer, opened by whoever sends, tried
// again with growing pauses, and at once when the peer has come.
import Raft
import Replica
import World

/// Where a server listens to its peers.
struct PeerStation {
  let world: VirtualWorld
  let onEvent: @Sendable (PeerEvent) -> Void
  let connectNow: @Sendable (NodeID) -> Void
}

/// `PeerTransport` over the simulated network. Lives on its world's loop.
public final class SimulatedPeerTransport: PeerTransport, @unchecked Sendable {
  private let network: SimulatedNetwork
  let node: NodeID
  let world: VirtualWorld
  private struct Lanes {
    let control: Lane
    let bulk: Lane
  }
  @exclusivity(unchecked) private var lanes: [NodeID: Lanes] = [:]
  fileprivate var onEvent: (@Sendable (PeerEvent) -> Void)?

  public init(node: NodeID, world: VirtualWorld, network: SimulatedNetwork) {
    self.node = node
    self.world = world
    self.network = network
  }

  public func start(peers: [Member], onEvent: @escaping @Sendable (PeerEvent) -> Void) {
    self.onEvent = onEvent
    network.peerStations[node] = PeerStation(world: world, onEvent: onEvent) { [unowned self] peer in
      lanes[peer]?.control.connectNow()
    }
    update(peers: peers)
  }

  public func update(peers: [Member]) {
    for peer in lanes.keys.sorted() where !peers.contains(where: { $0.id == peer }) {
      lanes[peer]?.control.stop()
      lanes[peer]?.bulk.stop()
      lanes[peer] = nil
    }
    for peer in peers where lanes[peer.id] == nil {
      let control = Lane(.control, to: peer.id, of: self, network)
      lanes[peer.id] = Lanes(control: control, bulk: Lane(.bulk, to: peer.id, of: self, network))
      control.connect()
    }
  }

  public func send(_ frames: [[UInt8]], to peer: NodeID, lane: PeerLane) -> Bool {
    guard let lanes = lanes[peer] else { return false }
    return (lane == .control ? lanes.control : lanes.bulk).send(frames)
  }

  public func stop() {
    onEvent = nil
    if network.peerStations[node]?.world === world { network.peerStations[node] = nil }
    for peer in lanes.keys.sorted() {
      lanes[peer]?.control.stop()
      lanes[peer]?.bulk.stop()
    }
    lanes = [:]
  }
}

private final class Lane: @unchecked Sendable {
  private enum State {
    case idle
    case connecting
    case open(Connection)
    case waiting(any ScheduledTimer)
    case stopped
  }
  // As TLSPeerTransport has them.
  private static let firstBackoff = Duration.milliseconds(10)
  private static let lastBackoff = Duration.milliseconds(500)
  private static let connectDeadline = Duration.seconds(2)
  private static let unacknowledgedLimit = Duration.seconds(1)
  /// TCP's and TLS's handshakes and the hello: round trips, and some computing.
  private static let handshakeTrips = 3
  private static let handshakeTime = Duration.milliseconds(2)

  private let lane: PeerLane
  private let peer: NodeID
  private unowned let owner: SimulatedPeerTransport
  private let network: SimulatedNetwork
  @exclusivity(unchecked) private var state = State.idle
  private var backoff = firstBackoff

  init(_ lane: PeerLane, to peer: NodeID, of owner: SimulatedPeerTransport, _ network: SimulatedNetwork) {
    self.lane = lane
    self.peer = peer
    self.owner = owner
    self.network = network
  }

  private var queueBytes: Int { lane == .control ? 32 << 20 : 4 << 20 }

  func send(_ frames: [[UInt8]]) -> Bool {
    switch state {
    case .open(let connection):
      guard connection.isOpen, connection.toAcceptor.heldBytes < queueBytes else { return false }
      transmit(frames, over: connection)
      return true
    case .idle:
      connect()
      return false
    case .connecting, .waiting, .stopped: return false
    }
  }

  private func transmit(_ frames: [[UInt8]], over connection: Connection) {
    guard lane == .control, network.rawFaults.isActive else {
      return arrive(frames, over: connection.toAcceptor, loosely: nil)
    }
    let faults = network.rawFaults
    for frame in frames {
      // Format byte, then the kind: 1 is a message of Raft's (PeerMessage). The rest relies on the connection's order.
      guard frame.count > 1, frame[1] == 1 else {
        arrive([frame], over: connection.toAcceptor, loosely: nil)
        continue
      }
      if network.simulator.random.chance(faults.loss) { continue }
      if network.simulator.random.chance(faults.duplication) {
        arrive([frame], over: connection.toAcceptor, loosely: network.simulator.random.duration(.zero...faults.delay))
      }
      let isLate = network.simulator.random.chance(faults.reordering)
      arrive(
        [frame], over: connection.toAcceptor,
        loosely: isLate ? network.simulator.random.duration(.zero...faults.delay) : nil)
    }
  }

  private func arrive(_ frames: [[UInt8]], over channel: Channel, loosely delay: Duration?) {
    let (network, from, to) = (network, owner.node, peer)
    let arrival: @Sendable () -> Void = {
      guard let station = network.peerStations[to] else { return }
      network.delivered += 1
      network.simulator.note(from << 8 | to)
      network.simulator.tell("frames \(from) → \(to): \(frames.map { "\($0.count) bytes of kind \($0[1])" })")
      for frame in frames { network.simulator.note(frame) }
      station.onEvent(.received(from: from, frames: frames))
    }
    if let delay {
      channel.sendLoose(after: delay, arrival)
    } else {
      channel.send(bytes: frames.reduce(0) { $0 + $1.count }, arrival)
    }
  }

  // MARK: Connecting

  func connectNow() {
    guard case .waiting(let timer) = state else { return }
    timer.cancel()
    backoff = Self.firstBackoff
    connect()
  }

  func connect() {
    state = .connecting
    let (there, back) = (
      SimulatedNetwork.Link(from: owner.node, to: peer), SimulatedNetwork.Link(from: peer, to: owner.node)
    )
    var handshake = Self.handshakeTime
    for _ in 0..<Self.handshakeTrips { handshake += network.travelTime(there) + network.travelTime(back) }
    let isSilent =
      network.isCut(from: owner.node, to: peer) || network.isCut(from: peer, to: owner.node)
      || network.peerStations[peer]?.world.process.isPaused == true
    owner.world.schedule(after: isSilent ? Self.connectDeadline : handshake) { [self] in
      guard case .connecting = state else { return }
      guard !isSilent, let station = network.peerStations[peer], station.world.process.isRunning,
        !network.isCut(from: owner.node, to: peer), !network.isCut(from: peer, to: owner.node)
      else { return retry() }
      open(to: station)
    }
  }

  private func open(to station: PeerStation) {
    let (from, lane, onEvent, knock) = (owner.node, lane, station.onEvent, station.connectNow)
    let connection = Connection(
      from: (owner.node, owner.world), to: (peer, station.world), network: network)
    state = .open(connection)
    backoff = Self.firstBackoff
    connection.limitUnacknowledged(to: Self.unacknowledgedLimit)
    let (network, link, number) = (network, connection.toAcceptor.link, connection.number)
    if lane == .control { network.latestControl[link] = number }
    connection.onBreakAtOpener = { [weak self] in self?.broke() }
    connection.onBreakAtAcceptor = {
      // One that was followed by another says nothing of its peer.
      if lane == .control, network.latestControl[link] == number { onEvent(.disconnected(from)) }
    }
    connection.toAcceptor.send(bytes: 0) { knock(from) }
    if lane == .control { owner.onEvent?(.connected(peer)) }
  }

  private func broke() {
    guard case .open = state else { return }
    if lane == .control { owner.onEvent?(.disconnected(peer)) }
    if lane == .bulk { state = .idle } else { retry() }
  }

  private func retry() {
    let jitter = Duration.milliseconds(Int64(owner.world.randomBits() % 10))
    let timer = owner.world.schedule(after: backoff + jitter) { [weak self] in
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
    case .open(let connection): connection.break(sparing: owner.node)
    case .waiting(let timer): timer.cancel()
    case .idle, .connecting, .stopped: break
    }
  }
}
