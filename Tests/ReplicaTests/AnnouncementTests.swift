// Peers are announced to a transport that listens, whatever happened before.

import Logging
import Raft
import Storage
import Synchronization
import Testing
import World

@testable import Replica

@Suite struct AnnouncementTests {
  /// Remembers what it is told, in order.
  private final class Transport: PeerTransport {
    enum Call: Equatable {
      case start
      case update([NodeID])
    }
    private let state = Mutex<[Call]>([])
    private let listener = Mutex<(@Sendable (PeerEvent) -> Void)?>(nil)
    private let sendings = Mutex<[(peer: NodeID, frames: [[UInt8]])]>([])
    var calls: [Call] { state.withLock { $0 } }
    /// What was sent since this was asked last.
    func takeSent() -> [(peer: NodeID, frames: [[UInt8]])] {
      sendings.withLock { sendings in
        defer { sendings = [] }
        return sendings
      }
    }
    func start(peers: [Member], onEvent: @escaping @Sendable (PeerEvent) -> Void) {
      state.withLock { $0.append(.start) }
      listener.withLock { $0 = onEvent }
    }
    func tell(_ event: PeerEvent) { listener.withLock { $0 }?(event) }
    func update(peers: [Member]) { state.withLock { $0.append(.update(peers.map(\.id))) } }
    func send(_ frames: [[UInt8]], to peer: NodeID, lane: PeerLane) -> Bool {
      sendings.withLock { $0.append((peer, frames)) }
      return false
    }
    func stop() {}
  }
  private final class NoLog: LogStore {
    func start(onEvent: @escaping @Sendable (LogStoreEvent) -> Void) {}
    func append(_ write: LogWrite) {}
    func cut(to base: LogBase) {}
    func close(_ completion: @escaping @Sendable () -> Void) { completion() }
  }
  /// Everything is durable as soon as it is written.
  private final class PromptLog: LogStore {
    private let listener = Mutex<(@Sendable (LogStoreEvent) -> Void)?>(nil)
    func start(onEvent: @escaping @Sendable (LogStoreEvent) -> Void) { listener.withLock { $0 = onEvent } }
    func append(_ write: LogWrite) { listener.withLock { $0 }?(.durable(through: write.token, nanoseconds: 1)) }
    func cut(to base: LogBase) {}
    func close(_ completion: @escaping @Sendable () -> Void) { completion() }
  }
  private final class NoState: StateStorage {
    func start(onEvent: @escaping @Sendable (StateStorageEvent) -> Void) {}
    func write(_ write: StateWrite) {}
    func close(_ completion: @escaping @Sendable () -> Void) { completion() }
  }

  /// Given a replica that took a turn before its start (somebody asked to be told of leaders), when it starts, then its
  /// transport is told of the peers once more: before, it did not listen.
  @Test func peersAreAnnouncedAfterTheStartToo() throws {
    let (world, transport) = (ManualWorld(), Transport())
    let replica = try replica(world, transport)
    replica.onLeadershipChange { _ in }
    world.run()
    replica.start()
    world.run()
    let start = try #require(transport.calls.firstIndex(of: .start))
    #expect(transport.calls[start...].contains(.update([2, 3])))
  }

  /// Given a connection that comes or breaks, then the status says so at once: whoever asks in the next moment whether
  /// there is a majority is told.
  @Test func aBrokenConnectionIsSeenWithoutAnyTimePassing() throws {
    let (world, transport) = (ManualWorld(), Transport())
    let replica = try replica(world, transport)
    replica.start()
    world.run()
    func connected() -> [NodeID] { replica.status.members.filter(\.isConnected).map(\.member.id) }
    transport.tell(.connected(2))
    #expect(connected() == [1, 2])
    transport.tell(.disconnected(2))
    #expect(connected() == [1])
  }

  /// Given a follower to whom nothing happens, then it sleeps until something can be due; when a peer's connection breaks,
  /// every tick is counted in its time again.
  @Test func ticksAreCountedTogetherWhileNothingIsDue() throws {
    let (world, transport) = (ManualWorld(), Transport())
    let replica = try replica(world, transport)
    replica.start()
    world.run()
    func wakes(_ ticks: Int) -> Int {
      let before = world.fired
      for _ in 0..<ticks { world.advance(by: .milliseconds(10)) }
      return world.fired - before
    }
    #expect(wakes(20) == 2)
    transport.tell(.connected(2))
    #expect(wakes(4) <= 1)
    transport.tell(.disconnected(2))
    world.run()
    #expect(wakes(5) == 5)
  }

  /// Given a follower, then what it says of itself twice a second goes to the leader with its answers to heartbeats, and
  /// alone to whom there is nothing else to say: each message of its own would wake two servers up.
  @Test func reportsTravelWithWhatIsSaidAnyway() throws {
    let (world, transport) = (ManualWorld(), Transport())
    let replica = try replica(world, transport, log: PromptLog())
    replica.start()
    world.run()
    for peer: NodeID in [2, 3] { transport.tell(.connected(peer)) }
    world.run()
    _ = transport.takeSent()
    let beat = Message(from: 2, to: 1, term: 1, body: .heartbeat(leaderCommit: 0, readRound: 1))
    for _ in 0..<42 {
      for _ in 0..<10 { world.advance(by: .milliseconds(10)) }
      transport.tell(.received(from: 2, frames: [PeerMessage.raft(beat).encoded(fromDisk: 0, toDisk: 0)]))
      world.run()
    }
    var (together, alone) = ([NodeID: Int](), [NodeID: Int]())
    for (peer, frames) in transport.takeSent() {
      let reports = try frames.filter { if case .report = try PeerMessage.decode($0).message { true } else { false } }
      guard !reports.isEmpty else { continue }
      if frames.count > 1 { together[peer, default: 0] += 1 } else { alone[peer, default: 0] += 1 }
    }
    #expect(together == [2: 8])
    #expect(alone == [3: 8])
  }

  /// Given the only server of a group, when its first tick has come and its disk is quick, then it says that it can
  /// serve without any more time passing.
  @Test func whoCanServeSaysSoAtOnce() throws {
    let (world, transport) = (ManualWorld(), Transport())
    let replica = try replica(world, transport, members: 1, log: PromptLog())
    replica.start()
    world.run()
    #expect(!replica.status.isReady)
    world.advance(by: .milliseconds(10))
    #expect(replica.status.isReady)
  }

  private func replica(
    _ world: ManualWorld, _ transport: Transport, members count: NodeID = 3, log: any LogStore = NoLog()
  ) throws -> Replica {
    let disk = ReplicaDisk(
      directory: StorageDirectory(
        identity: StorageIdentity(cluster: "test", node: 1), incarnation: 1, log: log, state: NoState(),
        logContents: LogContents(), stateContents: StateContents()),
      rows: [])
    let members = (1...count).map { Member(id: $0, name: "server-\($0)", address: "127.0.0.1:\($0)") }
    return try Replica(
      disk: disk, options: ReplicaOptions(node: 1, members: members), transport: transport, world: world,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }
}
