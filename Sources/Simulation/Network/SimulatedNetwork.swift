// The network between simulated machines: latency, links that are cut in one direction or both, connections that
// break. What runs over it: PeerConnections.swift (servers among themselves), HTTPExchanges.swift (their clients).
//
// As with TCP, what one connection carries arrives in order, once, or not at all; behind a cut link it waits and is
// sent again when the link is back. Raft must stand more than that: `RawFaults` lose, repeat and overtake its frames.
import World

/// A machine on the network: servers have their member ids, clients numbers of their own.
public typealias HostNumber = UInt64

/// What Raft's frames suffer inside a connection, each frame for itself.
public struct RawFaults: Sendable, Hashable {
  public var loss = 0.0
  public var duplication = 0.0
  /// Held back for up to `delay`, so that later frames overtake it.
  public var reordering = 0.0
  public var delay: Duration = .milliseconds(200)
  public init() {}

  var isActive: Bool { loss > 0 || duplication > 0 || reordering > 0 }
}

public final class SimulatedNetwork: @unchecked Sendable {
  struct Link: Hashable {
    var from: HostNumber
    var to: HostNumber
  }

  public let simulator: Simulator
  /// One way between machines. On one machine it is next to nothing.
  @exclusivity(unchecked) public var latency: ClosedRange<Duration> = .microseconds(100)...(.microseconds(800))
  /// How often something takes `slowness` longer.
  @exclusivity(unchecked) public var slowProbability = 0.0
  public var slowness: ClosedRange<Duration> = .milliseconds(1)...(.milliseconds(80))
  @exclusivity(unchecked) public var rawFaults = RawFaults()
  /// How long a connection waits behind a cut link before its ends give it up.
  public var patience: Duration = .seconds(20)

  @exclusivity(unchecked) private var cutSince: [Link: MonotonicTime] = [:]
  /// Channels that hold something back, by link; in the order in which they began to.
  private var holding: [Link: [Channel]] = [:]
  @exclusivity(unchecked) var peerStations: [HostNumber: PeerStation] = [:]
  var httpStations: [HostNumber: HTTPStation] = [:]
  /// The latest control connection from one server to another, by its number.
  @exclusivity(unchecked) var latestControl: [Link: UInt64] = [:]
  /// Open connections, in the order in which they were made.
  private var connections: [UInt64: Connection] = [:]
  private var connectionCount: UInt64 = 0
  /// Frames and HTTP pieces that arrived, and their bytes.
  @exclusivity(unchecked) public internal(set) var delivered: UInt64 = 0
  /// HTTP requests that were answered.
  public internal(set) var answered: UInt64 = 0

  public init(simulator: Simulator) { self.simulator = simulator }

  // MARK: Links

  /// Nothing gets from one machine to the other; the other direction is its own matter.
  public func cut(from: HostNumber, to: HostNumber) {
    guard from != to else { return }
    let link = Link(from: from, to: to)
    if cutSince[link] == nil { cutSince[link] = simulator.now }
  }

  /// Whether any link is cut.
  var hasCuts: Bool { !cutSince.isEmpty }
  public func isCut(from: HostNumber, to: HostNumber) -> Bool { cutSince[Link(from: from, to: to)] != nil }

  /// Whether what was sent at `moment` cannot have been acknowledged: it, or the word of its arrival, has met a cut link
  /// ever since.
  func isSilent(_ link: Link, since moment: MonotonicTime) -> Bool {
    [link, Link(from: link.to, to: link.from)].contains { cutSince[$0].map { $0 <= moment } ?? false }
  }

  /// What was held back is sent again, some time after the link is back, as TCP's timers have it.
  public func mend(from: HostNumber, to: HostNumber) {
    let link = Link(from: from, to: to)
    guard let since = cutSince.removeValue(forKey: link) else { return }
    let outage = min(simulator.now - since, .seconds(4))
    for channel in holding.removeValue(forKey: link) ?? [] {
      channel.release(after: simulator.random.duration(.zero...max(.milliseconds(1), outage / 2)))
    }
  }

  public func mendAll() {
    for link in cutSince.keys.sorted(by: { ($0.from, $0.to) < ($1.from, $1.to) }) { mend(from: link.from, to: link.to) }
  }

  func hold(_ channel: Channel) { holding[channel.link, default: []].append(channel) }

  /// One way's time, drawn anew for everything that is sent.
  func travelTime(_ link: Link) -> Duration {
    if link.from == link.to { return .microseconds(20) }
    var time = simulator.random.duration(latency)
    if simulator.random.chance(slowProbability) { time += simulator.random.duration(slowness) }
    return time
  }

  // MARK: Connections

  func register(_ connection: Connection) -> UInt64 {
    connectionCount += 1
    connections[connectionCount] = connection
    return connectionCount
  }
  func forget(_ number: UInt64) { connections[number] = nil }

  /// A process is gone. The kernel says so to those it was connected to, unless the machine lost its power: then they
  /// learn it much later, or when they have waited long enough for an acknowledgement.
  func processDied(on host: HostNumber, silently: Bool) {
    if peerStations[host]?.world.process.isAlive == false { peerStations[host] = nil }
    if httpStations[host]?.process.isAlive == false { httpStations[host] = nil }
    for (_, connection) in connections.sorted(by: { $0.key < $1.key }) where connection.touches(host) {
      if silently {
        var delay = simulator.random.duration(.seconds(3)...(.seconds(15)))
        if let limit = connection.unacknowledgedLimit { delay = min(delay, limit + delay / 15) }
        _ = simulator.schedule(after: delay, on: connection.survivor(of: host)) { connection.break(sparing: host) }
      } else {
        connection.break(sparing: host)
      }
    }
  }

  /// Every connection between the two breaks, and both ends learn it: a firewall that resets, a cable that is pulled
  /// for long.
  public func reset(between one: HostNumber, and other: HostNumber) {
    for (_, connection) in connections.sorted(by: { $0.key < $1.key })
    where connection.touches(one) && connection.touches(other) {
      connection.break(sparing: nil)
    }
  }
}

/// One direction of a connection: what is sent arrives in order.
final class Channel: @unchecked Sendable {
  let link: SimulatedNetwork.Link
  private unowned let network: SimulatedNetwork
  private let receiver: VirtualWorld
  @exclusivity(unchecked) private var lastArrival = MonotonicTime(nanoseconds: 0)
  @exclusivity(unchecked) private var held: [@Sendable () -> Void] = []
  @exclusivity(unchecked) private(set) var heldBytes = 0
  @exclusivity(unchecked) private var isClosed = false
  /// The connection's limit for what is not acknowledged, the sender, and what to call on its loop beyond the limit.
  @exclusivity(unchecked) private var limit: (time: Duration, sender: VirtualWorld, expire: @Sendable () -> Void)?
  @exclusivity(unchecked) private var isTimed = false

  init(_ link: SimulatedNetwork.Link, to receiver: VirtualWorld, network: SimulatedNetwork) {
    self.link = link
    self.receiver = receiver
    self.network = network
  }

  /// Calls `arrive` on the receiver's loop, when it has got there.
  func send(bytes: Int, _ arrive: @escaping @Sendable () -> Void) {
    guard !isClosed else { return }
    awaitAcknowledgement()
    guard network.isCut(from: link.from, to: link.to) || !held.isEmpty else { return transmit(arrive, after: .zero) }
    if held.isEmpty { network.hold(self) }
    held.append(arrive)
    heldBytes += bytes
  }

  /// As TCP_USER_TIMEOUT: `expire` is called on the sender's loop when what was sent is not acknowledged for `time`.
  func limitUnacknowledged(to time: Duration, of sender: VirtualWorld, expire: @escaping @Sendable () -> Void) {
    limit = (time, sender, expire)
  }

  private func awaitAcknowledgement() {
    let sent = network.simulator.now
    guard let limit, !isTimed, network.isSilent(link, since: sent) else { return }
    isTimed = true
    _ = network.simulator.schedule(after: limit.time, on: limit.sender) { [self] in
      isTimed = false
      if !isClosed, network.isSilent(link, since: sent) { limit.expire() }
    }
  }

  /// Calls `arrive` without regard to order.
  func sendLoose(after delay: Duration, _ arrive: @escaping @Sendable () -> Void) {
    guard !isClosed, !network.isCut(from: link.from, to: link.to) else { return }
    let travel = network.travelTime(link) + delay
    _ = network.simulator.schedule(after: travel, on: receiver) { [self] in if !isClosed { arrive() } }
  }

  func release(after delay: Duration) {
    let waiting = held
    held = []
    heldBytes = 0
    for arrive in waiting { transmit(arrive, after: delay) }
  }

  private func transmit(_ arrive: @escaping @Sendable () -> Void, after delay: Duration) {
    let now = network.simulator.now
    let arrival = max(now + delay + network.travelTime(link), lastArrival + .nanoseconds(1))
    lastArrival = arrival
    _ = network.simulator.schedule(after: arrival - now, on: receiver) { [self] in if !isClosed { arrive() } }
  }

  /// What is held back will never arrive; what is sent from now on may.
  func dropHeld() {
    held = []
    heldBytes = 0
  }

  /// Nothing arrives any more.
  func close() {
    isClosed = true
    held = []
    limit = nil
  }
}

/// A connection between two processes. Whatever uses it gives it what to do when it breaks.
final class Connection: @unchecked Sendable {
  let opener: (host: HostNumber, world: VirtualWorld)
  let acceptor: (host: HostNumber, world: VirtualWorld)
  let toAcceptor: Channel
  let toOpener: Channel
  private unowned let network: SimulatedNetwork
  private(set) var number: UInt64 = 0
  /// How long what the opener sent may go without an acknowledgement; nil: as long as it takes.
  @exclusivity(unchecked) private(set) var unacknowledgedLimit: Duration?
  @exclusivity(unchecked) private(set) var isOpen = true
  /// Called on the loop of the end that learns it.
  var onBreakAtOpener: (@Sendable () -> Void)?
  var onBreakAtAcceptor: (@Sendable () -> Void)?

  init(
    from opener: (host: HostNumber, world: VirtualWorld), to acceptor: (host: HostNumber, world: VirtualWorld),
    network: SimulatedNetwork
  ) {
    self.opener = opener
    self.acceptor = acceptor
    self.network = network
    toAcceptor = Channel(.init(from: opener.host, to: acceptor.host), to: acceptor.world, network: network)
    toOpener = Channel(.init(from: acceptor.host, to: opener.host), to: opener.world, network: network)
    number = network.register(self)
  }

  func touches(_ host: HostNumber) -> Bool { opener.host == host || acceptor.host == host }
  func survivor(of host: HostNumber) -> VirtualWorld { opener.host == host ? acceptor.world : opener.world }

  /// Ends it; an end on the machine `host` is not told (it is the one that ended it, or it is dead). News of it travel
  /// as everything does.
  func `break`(sparing host: HostNumber?) {
    guard isOpen else { return }
    isOpen = false
    network.forget(number)
    if opener.host != host, let tell = onBreakAtOpener { announce(on: toOpener, tell) } else { toOpener.close() }
    if acceptor.host != host, let tell = onBreakAtAcceptor {
      announce(on: toAcceptor, tell)
    } else {
      toAcceptor.close()
    }
    onBreakAtOpener = nil
    onBreakAtAcceptor = nil
  }

  /// The opener ends it when what it sent is not acknowledged for so long. What was under way is lost; the other end
  /// learns of it when it can be reached again.
  func limitUnacknowledged(to limit: Duration) {
    unacknowledgedLimit = limit
    toAcceptor.limitUnacknowledged(to: limit, of: opener.world) { [weak self] in
      guard let self, isOpen else { return }
      let tell = onBreakAtOpener
      toAcceptor.dropHeld()
      self.break(sparing: opener.host)
      tell?()
    }
  }

  /// Ends it in good order: nobody has to be told.
  func finish() {
    onBreakAtOpener = nil
    onBreakAtAcceptor = nil
    self.break(sparing: nil)
  }

  private func announce(on channel: Channel, _ tell: @escaping @Sendable () -> Void) {
    channel.send(bytes: 0) {
      channel.close()
      tell()
    }
  }
}
