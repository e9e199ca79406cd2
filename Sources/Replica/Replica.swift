// The replicated store: what others hold of a replica. Any thread calls it; the work is done by its driver on the
// consensus loop, which is woken once for everything that came in one turn of the callers' loops.

import DequeModule
import Logging
import Raft
import Storage
import Synchronization
import World

/// One server's replica: an `ObjectStore` over Raft.
public final class Replica: ObjectStore {
  private let world: any World
  private let shared: ReplicaShared
  let driver: ReplicaDriver
  private let hub: WatchHub
  /// What the disk is encrypted with (ReplicaEncryption.swift).
  let keyring: EncryptionKeyring?
  let stores: (log: any LogStore, state: any StateStorage)
  let needsResealing: Bool
  let rotation = RotationDesk()
  let logger: Logger

  /// Makes a replica of the state on `disk`; nothing runs before `start()`. Throws when what is stored cannot be read.
  public init(
    disk: ReplicaDisk, options: ReplicaOptions, transport: any PeerTransport, world: any World, logger: Logger
  ) throws(CodecError) {
    precondition(disk.identity.node == options.node, "the disk belongs to another server")
    let raftOptions = options.raftOptions(seed: world.randomBits())
    let (machine, raft, rebased) =
      disk.isDamaged
      ? (StateMachine(), disk.standIn(configuration: options.firstConfiguration, options: raftOptions), nil)
      : try disk.restore(configuration: options.firstConfiguration, options: raftOptions)
    self.world = world
    self.logger = logger
    keyring = disk.keyring
    stores = (disk.directory.log, disk.directory.state)
    needsResealing = disk.directory.logContents.needsResealing || disk.directory.stateContents.needsResealing
    hub = WatchHub(machine.version, limits: options.history)
    shared = ReplicaShared(
      status: ReplicaStatus(
        cluster: disk.identity.cluster, node: options.node,
        leadership: ReplicaLeadership(term: raft.currentTerm, role: .follower, leader: nil)))
    driver = ReplicaDriver(
      disk: disk, options: options, machine: machine, raft: raft, rebased: rebased, transport: transport, hub: hub,
      shared: shared,
      world: world, logger: logger)
  }

  /// Begins to take part in the group.
  public func start() {
    let driver = driver
    world.execute { [self] in
      driver.start()
      finishRotation()
    }
  }

  /// Hands leadership over if it is held, writes what is pending, closes the disk. Requests that wait end with
  /// `StoreError.stopped`.
  public func stop() async {
    await withCheckedContinuation { continuation in
      let driver = driver
      world.execute { driver.stop { continuation.resume() } }
    }
  }

  /// Stops as a killed process would. For tests.
  func crash() async {
    await withCheckedContinuation { continuation in
      let driver = driver
      world.execute { driver.crash { continuation.resume() } }
    }
  }

  // MARK: ObjectStore

  public var current: any StateView { hub.current }

  public func state(at revision: Revision) -> (any StateView)? { hub.version(at: revision) }

  public func commit(_ command: Command) async throws(StoreError) -> CommandOutcome {
    // The request id is stamped in by the driver; encoding happens here, on the caller's loop.
    let unnamed = RequestID(origin: 0, incarnation: 0, sequence: 0)
    let entry = try CommandEntry(request: unnamed, lowWatermark: 0, command: command).encoded()
    let result = await withCheckedContinuation { continuation in
      submit(.proposal(entry, continuation))
    }
    return try result.get()
  }

  public func linearizableState() async throws(StoreError) -> any StateView {
    if ReplicaMutant.readsFromMemory.isActive || isAlone { return hub.current }
    let result = await withCheckedContinuation { continuation in submit(.read(continuation)) }
    try result.get()
    return hub.current
  }

  public func state(atLeast revision: Revision, timeout: Duration) async -> (any StateView)? {
    await hub.wait(for: revision, timeout: timeout, world: world) ? hub.current : nil
  }

  public func watch(
    resource: String, only: WatchedValue?, after revision: Revision, on world: any World,
    deliver: @escaping @Sendable ([Change], Revision) -> Void, ended: @escaping @Sendable () -> Void
  ) -> WatchStart {
    hub.watch(resource: resource, only: only, after: revision, on: world, deliver: deliver, ended: ended)
  }

  // MARK: Observation and control

  /// Forgets older states and the changes that led to `revision` and before: nobody watches or pages from there any more.
  /// A little history is always held.
  public func forgetHistory(through revision: Revision) { hub.forget(through: revision) }

  /// The replica as it is; at most a tenth of a second old.
  public var status: ReplicaStatus { shared.status }

  /// The disk is damaged and is being repaired: `current` is empty and means nothing; what waits will be served.
  public var isBeingRepaired: Bool { shared.isBeingRepaired.load(ordering: .relaxed) }

  /// Whether reads are served without asking anybody: see `ReplicaShared.isAlone`.
  var isAlone: Bool { shared.isAlone.load(ordering: .acquiring) }

  /// Who leads, as this server knows it.
  public var leadership: ReplicaLeadership { shared.leadership }

  /// The state hash after the entry at `index`, for comparing servers; nil where it is not remembered any more, or not
  /// applied yet.
  public func stateHash(at index: LogIndex) async -> UInt64? {
    await withCheckedContinuation { continuation in
      submit(.control { continuation.resume(returning: $0.stateHash(at: index)) })
    }
  }

  /// Calls `body` on the replica's loop with every change of role, term or leader, the present one first. It must not
  /// block.
  public func onLeadershipChange(_ body: @escaping @Sendable (ReplicaLeadership) -> Void) {
    submit(.control { $0.observeLeadership(body) })
  }

  /// Calls `body` on the replica's loop, while this server leads, with every member that has stopped answering: its
  /// leases may be handed over. Once per absence. It must not block.
  public func onMemberLost(_ body: @escaping @Sendable (NodeID) -> Void) {
    submit(.control { $0.memberLostObservers.append(body) })
  }

  /// Calls `body` once on the replica's loop when it stops, with the reason; nil when it was asked to.
  public func onStopped(_ body: @escaping @Sendable (String?) -> Void) {
    submit(.control { $0.stoppedObservers.append(body) })
  }

  /// Hands leadership to a voter (nil: the most suitable). Returns when the request was made; watch `leadership` for
  /// the outcome. Throws where this server does not lead, or the target cannot.
  public func transferLeadership(to target: NodeID?) async throws {
    let result: Result<Void, TransferError> = await withCheckedContinuation { continuation in
      submit(.control { continuation.resume(returning: $0.transferLeadership(to: target)) })
    }
    try result.get()
  }

  func submit(_ item: ReplicaInbox.Item) {
    switch shared.inbox.add(item) {
    case .first:
      let driver = driver
      world.execute { driver.takeInbox() }
    case .queued: break
    case .closed(let reason): item.refuse(reason, driver)
    }
  }
}

/// What crosses from the callers' loops to the consensus loop.
final class ReplicaInbox: Sendable {
  enum Item: Sendable {
    case proposal([UInt8], CheckedContinuation<Result<CommandOutcome, StoreError>, Never>)
    case read(CheckedContinuation<Result<Void, StoreError>, Never>)
    case control(@Sendable (ReplicaDriver) -> Void)

    /// Ends the request of an item that will not be served.
    func refuse(_ reason: String, _ driver: ReplicaDriver) {
      switch self {
      case .proposal(_, let answer): answer.resume(returning: .failure(.stopped(reason)))
      case .read(let answer): answer.resume(returning: .failure(.stopped(reason)))
      case .control(let body): driver.world.execute { body(driver) }
      }
    }
  }
  enum Addition {
    /// The loop must be woken.
    case first
    case queued
    case closed(String)
  }
  private let state = Mutex<(items: [Item], closed: String?)>(([], nil))

  func add(_ item: Item) -> Addition {
    state.withLock { state in
      if let reason = state.closed { return .closed(reason) }
      state.items.append(item)
      return state.items.count == 1 ? .first : .queued
    }
  }

  func take() -> [Item] {
    state.withLock { state in
      defer { state.items = [] }
      return state.items
    }
  }

  /// Everything that comes later is refused.
  func close(_ reason: String) { state.withLock { $0.closed = $0.closed ?? reason } }
}

/// What the driver publishes to other threads.
final class ReplicaShared: Sendable {
  let inbox = ReplicaInbox()
  let isBeingRepaired = Atomic(false)
  /// This server is the group's only voter and leads it: nobody else can have written what it has not applied, and a
  /// read needs nobody's leave.
  let isAlone = Atomic(false)
  private let published: Mutex<ReplicaStatus>

  init(status: ReplicaStatus) { published = Mutex(status) }

  var status: ReplicaStatus { published.withLock { $0 } }
  var leadership: ReplicaLeadership { published.withLock { $0.leadership } }
  func publish(_ status: ReplicaStatus) { published.withLock { $0 = status } }
}
