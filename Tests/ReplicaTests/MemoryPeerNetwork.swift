// A peer network in memory: frames between replicas of one process, links that a test cuts and heals.

import Raft
import SeedSupport
import Synchronization
import World

@testable import Replica

final class MemoryPeerNetwork: Sendable {
  private struct Station: Sendable {
    let world: any World
    let group: GroupName
    let onEvent: @Sendable (PeerEvent) -> Void
  }
  private struct State {
    var stations: [NodeID: Station] = [:]
    var isolated: Set<NodeID> = []
    var silent: Set<NodeID> = []
    var bytes = 0
    var bulkFrames = 0
    var dropsBulkEvery: Int?
    var stopsBulkAt: Int?
    var hasStoppedBulk = false

    /// Whether a frame of the bulk lane is lost.
    mutating func losesBulk() -> Bool {
      bulkFrames += 1
      if let stop = stopsBulkAt, bulkFrames > stop {
        hasStoppedBulk = true
        return true
      }
      // Drawn from the number, not periodic: the same chunk shall not meet the same fate each time it is sent.
      var random = SeededRandom(seed: UInt64(bulkFrames))
      return dropsBulkEvery.map { random.next(below: $0) == 0 } ?? false
    }
  }
  private let state = Mutex(State())

  /// Bytes that were delivered.
  var bytes: Int { state.withLock { $0.bytes } }

  func transport(
    for node: NodeID, of group: GroupName = GroupName(text: "test"), on world: any World
  ) -> any PeerTransport {
    Transport(network: self, node: node, group: group, world: world)
  }

  /// Breaks every connection of a server; both sides notice.
  func isolate(_ node: NodeID) {
    state.withLock { state in
      guard state.isolated.insert(node).inserted else { return }
      announce(&state, node) { .disconnected($0) }
    }
  }

  /// Drops all frames of a server without anyone being told, as a cable that is pulled.
  func silence(_ node: NodeID) { _ = state.withLock { $0.silent.insert(node) } }

  /// Loses one in so many frames of snapshots, from now on.
  func dropBulk(every count: Int) { state.withLock { $0.dropsBulkEvery = count } }

  /// Loses every frame of snapshots after so many more; nil: none.
  func stopBulk(after count: Int?) {
    state.withLock { state in
      state.stopsBulkAt = count.map { state.bulkFrames + $0 }
      state.hasStoppedBulk = false
    }
  }
  var bulkStopped: Bool { state.withLock { $0.hasStoppedBulk } }

  func heal() {
    state.withLock { state in
      let isolated = state.isolated
      state.isolated = []
      state.silent = []
      for node in isolated { announce(&state, node) { .connected($0) } }
    }
  }

  private func announce(_ state: inout State, _ node: NodeID, _ event: @escaping @Sendable (NodeID) -> PeerEvent) {
    guard let station = state.stations[node] else { return }
    for (other, peer) in state.stations where other != node && !state.isolated.subtracting([node]).contains(other) {
      guard station.group == peer.group else {
        tell(station, of: peer)
        tell(peer, of: station)
        continue
      }
      peer.world.execute { peer.onEvent(event(node)) }
      station.world.execute { station.onEvent(event(other)) }
    }
  }

  /// Servers of different groups refuse each other, and see from the name which was left behind.
  private func tell(_ station: Station, of other: Station) {
    guard let recovery = station.group.superseded(by: other.group) else { return }
    station.world.execute { station.onEvent(.superseded(by: recovery)) }
  }

  private func attach(_ node: NodeID, _ station: Station) {
    state.withLock { state in
      state.stations[node] = station
      if !state.isolated.contains(node) { announce(&state, node) { .connected($0) } }
    }
  }

  private func detach(_ node: NodeID) {
    state.withLock { state in
      announce(&state, node) { .disconnected($0) }
      state.stations[node] = nil
    }
  }

  private func send(_ frames: [[UInt8]], from: NodeID, to: NodeID, lane: PeerLane) -> Bool {
    state.withLock { state in
      guard let station = state.stations[to], state.stations[from]?.group == station.group,
        !state.isolated.contains(from), !state.isolated.contains(to)
      else {
        return false
      }
      if state.silent.contains(from) || state.silent.contains(to) { return true }
      if lane == .bulk, state.losesBulk() { return true }
      state.bytes += frames.reduce(0) { $0 + $1.count }
      station.world.execute { station.onEvent(.received(from: from, frames: frames)) }
      return true
    }
  }

  private final class Transport: PeerTransport {
    let network: MemoryPeerNetwork
    let node: NodeID
    let group: GroupName
    let world: any World
    let isStopped = Atomic(false)
    /// Whom it knows the address of, once it was told of any: tests that speak for a server tell of none.
    private let known = Mutex<Set<NodeID>?>(nil)
    init(network: MemoryPeerNetwork, node: NodeID, group: GroupName, world: any World) {
      self.group = group
      self.network = network
      self.node = node
      self.world = world
    }
    func start(peers: [Member], onEvent: @escaping @Sendable (PeerEvent) -> Void) {
      network.attach(
        node,
        Station(world: world, group: group) { [weak self] event in
          if self?.isStopped.load(ordering: .relaxed) == false { onEvent(event) }
        })
    }
    func update(peers: [Member]) { known.withLock { $0 = Set(peers.map(\.id)) } }
    func send(_ frames: [[UInt8]], to peer: NodeID, lane: PeerLane) -> Bool {
      known.withLock { $0?.contains(peer) ?? true } && network.send(frames, from: node, to: peer, lane: lane)
    }
    func stop() {
      isStopped.store(true, ordering: .relaxed)
      network.detach(node)
    }
  }
}
