// The driver: feeds Raft with what happens (time, messages, clients' requests, completed writes) and performs what it
// wants done. Everything runs on the loop of one world; nothing here blocks. This file: life, turns, control. Time:
// ReplicaTicks.swift; clients: ReplicaClients.swift; messages and snapshots: ReplicaPeers.swift; disk: ReplicaStorage.swift.

import DequeModule
import Logging
import Raft
import Storage
import Synchronization
import World

/// Confined to its world's loop (hence unchecked): created anywhere, used there alone after `start`.
final class ReplicaDriver: @unchecked Sendable {
  typealias ReadAnswer = CheckedContinuation<Result<Void, StoreError>, Never>

  let world: any World
  let options: ReplicaOptions
  let identity: StorageIdentity
  let incarnation: UInt64
  /// The disk's id, given at its birth; zero where disks have none.
  let disk: UInt64
  let logger: Logger
  let log: any LogStore
  let storage: any StateStorage
  let transport: any PeerTransport
  let hub: WatchHub
  let shared: ReplicaShared

  var raft: Raft
  var machine: StateMachine
  var hashes: HashHistory
  var proposals: ProposalQueue
  var reads = ReadQueue()
  var status: ReplicaStatus

  // Disk (ReplicaStorage.swift).
  /// Set when the stored log is older than the stored state: it begins anew behind it.
  private let rebased: LogBase?
  var stateWriter = StateWriter()
  var logWrites = LogWriteQueue()
  var retained: Deque<(index: LogIndex, bytes: Int)> = []
  var retainedBytes = 0
  var cutTarget: LogIndex = 0
  var fullDisks = FullDisks()

  // Peers (ReplicaPeers.swift).
  var peers: [NodeID: Peer] = [:]
  var sending: [NodeID: SnapshotTransfer] = [:]
  var arrival = SnapshotArrival()
  /// Set while the disk is repaired (RepairDriving.swift): `raft` and `machine` only stand in for what is to come.
  var repair: Repair? { didSet { isRepairing = repair != nil } }
  /// Asked all the time: it spares the look at a large value.
  private(set) var isRepairing = false
  var repairWriting: RepairWriting?
  /// The state has been found wrong, and the server is about to stop (StateDisputes.swift).
  var isDistrusted = false
  var scrub = Scrub()
  /// When the next step over the state in memory is due.
  var scrubDue: UInt64 = 0

  // Membership (ReplicaMembership.swift).
  var desk = MembershipDesk()

  var leadershipObservers: [@Sendable (ReplicaLeadership) -> Void] = []
  var memberLostObservers: [@Sendable (NodeID) -> Void] = []
  var stoppedObservers: [@Sendable (String?) -> Void] = []

  /// How slow disk and loop have been lately.
  var pace = Pace()
  /// Up to when ticks have been counted, how many are counted together next, and the timer that does it.
  var countedUntil = MonotonicTime(nanoseconds: 0)
  var stride = 1
  var tickTimer: (any ScheduledTimer)?
  private var isTurnScheduled = false
  /// Before the start neither disk nor peers listen: what Raft wants done would be lost.
  private var isStarted = false
  var ticks: UInt64 = 0
  private var ledSince = MonotonicTime(nanoseconds: 0)
  /// Whom this server followed last, until it has led itself.
  private(set) var formerLeader: NodeID?
  private(set) var isStopped = false
  /// Until when a leader that stops waits for another to take over.
  var stopDeadline: MonotonicTime?
  /// The disk is closed; until then, who waits for it.
  private var isClosed = false
  private var closeObservers: [@Sendable () -> Void] = []

  /// How long a leader that stops waits for another to take over.
  private static let handOverLimit = Duration.milliseconds(1500)

  init(
    disk: ReplicaDisk, options: ReplicaOptions, machine: StateMachine, raft: Raft, rebased: LogBase?,
    transport: any PeerTransport, hub: WatchHub, shared: ReplicaShared, world: any World, logger: Logger
  ) {
    self.rebased = rebased
    self.options = options
    self.machine = machine
    self.raft = raft
    self.transport = transport
    self.hub = hub
    self.shared = shared
    self.world = world
    self.logger = logger
    identity = disk.identity
    incarnation = disk.directory.incarnation
    self.disk = disk.directory.diskID
    log = disk.directory.log
    storage = disk.directory.state
    hashes = HashHistory(after: machine.appliedIndex)
    proposals = ProposalQueue(origin: options.node, incarnation: disk.directory.incarnation)
    status = shared.status
    for member in options.members where member.id != options.node { peers[member.id] = Peer(member: member) }
    if raft.configuration.voters.isEmpty { for peer in peers.values { peer.isMember = false } }
    stateWriter.writtenIndex = machine.appliedIndex
    if disk.isDamaged {
      options.observer?.foundDamaged(disk.damageDescription, node: options.node)
      repair = Repair(disk, peers: peers.keys.sorted(), configuration: options.firstConfiguration)
      isRepairing = true
      status.repair = repair?.status
      shared.isBeingRepaired.store(true, ordering: .relaxed)
      return
    }
    if rebased == nil { noteRetained(disk.directory.logContents.entries) }
    options.observer?.restored(raft, ObservedState(machine), node: options.node)
  }

  // MARK: Life

  func start() {
    log.start { [weak self] event in
      guard let self else { return }
      world.execute { self.handle(event) }
    }
    // Token zero: no write of Raft's, which count from one.
    if let rebased { log.append(LogWrite(token: 0, base: rebased, truncateFrom: rebased.index + 1)) }
    storage.start { [weak self] event in
      guard let self else { return }
      world.execute { self.handle(event) }
    }
    transport.start(peers: []) { [weak self] event in self?.handle(event) }
    isStarted = true
    announcePeers()
    followConfiguration()
    logger.info(
      "replica starts",
      metadata: [
        "node": "\(options.node)", "applied": "\(machine.appliedIndex)", "lastIndex": "\(raft.lastIndex)",
        "revision": "\(machine.revision)", "objects": "\(machine.map.count)",
      ])
    countedUntil = world.now
    scheduleTick()
    if isRepairing { return beginRepair() }
    scheduleTurn()
  }

  // MARK: The end

  /// The disk has taken this long for a commit.
  func observeCommit(_ duration: Duration) { pace.observeCommit(duration, now: world.now) }

  /// Stops in order; `completion` is called when the disk is closed.
  func stop(_ completion: @escaping @Sendable () -> Void) {
    if isClosed { return completion() }
    closeObservers.append(completion)
    guard !isStopped, stopDeadline == nil else { return }
    stopDeadline = world.now + Self.handOverLimit
    bringTickForward()
    guard raft.role == .leader, raft.resign() != nil else { return finishStop(nil) }
    logger.info("leadership is handed over before stopping")
    scheduleTurn()
  }

  /// Stops as a killed process would: nothing is handed over or flushed. For tests.
  func crash(_ completion: @escaping @Sendable () -> Void) {
    if isClosed { return completion() }
    closeObservers.append(completion)
    finishStop("crashed")
  }

  /// Something happened after which going on would be wrong: says so, and never speaks again.
  func fail(_ reason: String) {
    guard !isStopped else { return }
    logger.critical("replica stops", metadata: ["reason": "\(reason)"])
    finishStop(reason)
  }

  func finishStop(_ failure: String?) {
    guard !isStopped else { return }
    isStopped = true
    noteSolitude()
    let reason = failure ?? "the server is stopping"
    transport.stop()
    shared.inbox.close(reason)
    for item in shared.inbox.take() { item.refuse(reason, self) }
    for answer in proposals.removeAll() { answer.resume(returning: .failure(.stopped(reason))) }
    for answer in reads.removeAll() { answer.resume(returning: .failure(.stopped(reason))) }
    refuseRequests(reason)
    if failure == nil { flushState(isFinal: true) }
    status.stopped = reason
    setLeadership(ReplicaLeadership(term: raft.currentTerm, role: .follower, leader: nil))
    publishStatus()
    for observer in stoppedObservers { observer(failure) }
    log.close { [storage, world] in
      storage.close {
        world.execute {
          self.isClosed = true
          for observer in self.closeObservers { observer() }
          self.closeObservers = []
        }
      }
    }
  }

  // MARK: Turns

  /// Everything that comes in during one turn of the loop is handled together.
  func scheduleTurn() {
    guard !isTurnScheduled, !isStopped, isStarted else { return }
    isTurnScheduled = true
    world.execute { self.turn() }
  }

  func turn() {
    isTurnScheduled = false
    guard !isStopped, !isRepairing else { return }
    placeProposals()
    startReads()
    while !isStopped, let output = raft.takeOutput() {
      perform(output)
      if output.leadership != nil || !output.abandonedReads.isEmpty {
        placeProposals()
        startReads()
      }
    }
    guard !isStopped else { return }
    followConfiguration()
    noteSolitude()
    publishReadiness()
    flushState(isFinal: false)
    cutLog()
    bringTickForward()
  }

  /// That this server can serve is known at once, and not with the next regular publication.
  private func publishReadiness() {
    guard !status.isReady, status.leadership.leader != nil, raft.commitIndex > 0,
      machine.appliedIndex >= raft.commitIndex
    else { return }
    publishStatus()
  }

  /// Whether reads may be served without asking, as the only voter may that has applied an entry of its own term: with
  /// it, all that was acknowledged before.
  private func noteSolitude() {
    let isAlone =
      !isStopped && !isDistrusted && raft.role == .leader && machine.appliedTerm == raft.currentTerm
      && raft.configuration.isOnlyVoter(options.node)
    shared.isAlone.store(isAlone, ordering: .releasing)
  }

  private func perform(_ output: RaftOutput) {
    // Before anybody can hear of a configuration in which this server is not alone.
    if shared.isAlone.load(ordering: .relaxed) { noteSolitude() }
    if let observer = options.observer {
      let turn = ObservedTurn(
        role: raft.role, term: raft.currentTerm, commitIndex: raft.commitIndex, durableIndex: raft.durableIndex,
        configuration: raft.configuration)
      observer.performing(output, turn, node: options.node)
    }
    if let leadership = output.leadership { follow(leadership) }
    if let persist = output.persist { write(persist) }
    send(output.messages)
    apply(output.committed)
    guard !isStopped else { return }
    if !output.reads.isEmpty {
      for read in output.reads {
        for answer in reads.served(read.id) { answer.resume(returning: .success(())) }
      }
    }
    reads.abandoned(output.abandonedReads)
    for peer in output.snapshotRequests { startSnapshot(to: peer) }
  }

  private func follow(_ leadership: Leadership) {
    let before = status.leadership
    let now = ReplicaLeadership(term: leadership.term, role: leadership.role, leader: leadership.leader)
    if now.leader != before.leader || now.term != before.term {
      // What the old leader was given may have died with it.
      proposals.placeAgain(before: world.now)
      if now.leader != nil { status.leaderChangesTotal += 1 }
    }
    if now.isLeader, !before.isLeader { ledSince = world.now }
    if before.isLeader, !now.isLeader { formerLeader = nil }
    if let leader = now.leader, leader != options.node { formerLeader = leader }
    setLeadership(now)
  }

  private func setLeadership(_ leadership: ReplicaLeadership) {
    guard leadership != status.leadership else { return }
    if leadership.leader != status.leadership.leader || leadership.role == .leader {
      logger.info(
        "leadership", metadata: ["term": "\(leadership.term)", "leader": "\(leadership.leader ?? 0)"])
    }
    status.leadership = leadership
    publishStatus()
    for observer in leadershipObservers { observer(leadership) }
  }

  /// Applies what is committed, publishes it, then answers: whoever is answered finds it published.
  private func apply(_ entries: [Entry]) {
    guard let last = entries.last else { return }
    var changes: [Change] = []
    var differing: [LogIndex] = []
    var answers: [(ProposalQueue.Answer, Result<CommandOutcome, StoreError>)] = []
    for entry in entries {
      let before = changes.count
      switch entry.kind {
      case .command:
        do throws(CodecError) {
          let applied = try machine.apply(
            entry.payload, index: entry.index, term: entry.term, changes: &changes)
          let request = applied.request
          if request.origin == options.node, request.incarnation == incarnation,
            let answer = proposals.answered(request.sequence)
          {
            answers.append((answer, applied.outcome.map { .success($0) } ?? .failure(.timedOut)))
          }
        } catch {
          return fail("entry \(entry.index) of term \(entry.term) cannot be applied: \(error)")
        }
      case .noOp, .configuration: machine.skip(index: entry.index, term: entry.term)
      }
      options.observer?.applied(
        entry, changes: changes[before...], revision: machine.revision, stateHash: machine.stateHash,
        node: options.node)
      if !hashes.record(machine.stateHash) { differing.append(entry.index) }
    }
    status.appliedTotal += UInt64(entries.count)
    noteRetained(entries)
    stateWriter.add(changes, now: world.now)
    hub.publish(machine.version, changes: changes)
    raft.applied(through: last.index)
    for (answer, result) in answers { answer.resume(returning: result) }
    for index in differing { dispute(at: index) }
  }

  // MARK: Control

  func observeLeadership(_ body: @escaping @Sendable (ReplicaLeadership) -> Void) {
    leadershipObservers.append(body)
    body(status.leadership)
  }

  func stateHash(at index: LogIndex) -> UInt64? {
    index == machine.appliedIndex ? machine.stateHash : hashes.hash(at: index)
  }

  func transferLeadership(to target: NodeID?) -> Result<Void, TransferError> {
    defer { scheduleTurn() }
    guard let target else {
      return raft.resign() != nil ? .success(()) : .failure(.notLeader(leader: raft.leader))
    }
    do throws(TransferError) {
      try raft.transferLeadership(to: target)
      return .success(())
    } catch {
      return .failure(error)
    }
  }

  /// When this server's present leadership began.
  var leadershipBegan: MonotonicTime { ledSince }

  func publishStatus() {
    status.commitIndex = raft.commitIndex
    status.appliedIndex = machine.appliedIndex
    status.firstLogIndex = raft.baseIndex + 1
    status.lastLogIndex = raft.lastIndex
    status.durableLogIndex = raft.durableIndex
    status.durableStateIndex = stateWriter.durableIndex
    status.revision = machine.revision
    status.stateHash = machine.stateHash
    status.objects = machine.map.count
    status.scrubsTotal = scrub.completed
    status.watches = hub.subscriptionCount
    status.pendingProposals = proposals.count
    status.pendingReads = reads.count
    status.members = memberStatus()
    status.isRemoved = isRemoved
    shared.publish(status)
  }
}
