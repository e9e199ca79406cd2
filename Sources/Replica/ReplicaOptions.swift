// The settings of one replica, and how it opens its disk.

import Raft
import Storage
import World

/// Settings of a replica. The defaults suit servers on one network with ordinary disks, busy ones included.
public struct ReplicaOptions: Sendable {
  /// This server's id; must be the disk's.
  public var node: NodeID
  /// With an empty disk: the founders of a new group, this server included; without it, servers of the group that it
  /// waits to be added to, or nobody. With a disk that holds a group, that counts, and this tells at most where to find
  /// members whose address is not known.
  public var members: [Member]
  /// This server's name and address, as it tells the others.
  public var name: String
  public var address: String

  /// The newest version of commands that this server says it understands. Lower than this build's own only in tests, and
  /// to hold a new version back for as long as an upgrade may have to be undone.
  public var commandVersion = Member.newestVersion

  /// Raft's unit of time. However long a loop stood still, no more ticks are counted than were waited for, a heartbeat's
  /// at most: that starts no elections.
  public var tick: Duration = .milliseconds(10)
  /// 100 ms between heartbeats: two may come late before an election. Each wakes two servers up, twice.
  public var heartbeatTicks = 10
  /// 300 to 600 ms without a word from the leader before an election. Generous, for a machine under load may stand
  /// still for a tenth of a second; a leader that was killed is noticed by its broken connections at once.
  public var electionTicks = 30

  /// How long a client's command or read waits for a quorum before it is given up.
  public var requestTimeout: Duration = .seconds(30)
  /// How soon a forwarded command or a read without an answer is sent again.
  public var retryAfter: Duration = .milliseconds(1000)

  /// Silence after which the leader counts a connected member as lost and its leases as free.
  public var memberLostAfter: Duration = .milliseconds(800)
  /// The same for a member whose connection broke and does not come back.
  public var disconnectedMemberLostAfter: Duration = .milliseconds(300)

  /// How long a leader's own disk may hold up a write before it hands over leadership.
  public var slowDiskAfter: Duration = .milliseconds(1500)

  /// Changes that wait at most before they are written to the state's disk, and after how long the next tick that is
  /// waited for brings them there.
  public var flushChanges = 4096
  public var flushAfter: Duration = .milliseconds(250)

  /// How much log is kept behind what is applied, so that a server that was away needs no snapshot: both limits hold.
  public var retainedLogEntries: UInt64 = 65_536
  public var retainedLogBytes = 24 << 20
  /// The log is cut in steps of so many entries at least.
  public var cutStep: UInt64 = 1024

  public init(node: NodeID, members: [Member]) {
    self.node = node
    self.members = members
    let own = members.first { $0.id == node }
    name = own?.name ?? ""
    address = own?.address ?? ""
  }

  /// Settings of a server that waits to be added to a running group.
  public init(joining node: NodeID, name: String, address: String, contacts: [Member] = []) {
    self.init(node: node, members: contacts.filter { $0.id != node })
    self.name = name
    self.address = address
  }

  /// Silence after which a member does not count as alive when membership is to change.
  public var aliveWithin: Duration = .seconds(2)
  /// A learner has caught up when a round takes no longer than this (dissertation §4.2.1).
  public var catchUpRound: Duration = .seconds(2)
  /// Learners that have caught up become voters by themselves, unless they are spares.
  public var promotesLearners = true
  /// A voter that is silent for so long changes places with a spare that keeps up. Nil: never.
  public var replacesLostVoterAfter: Duration? = .seconds(300)

  /// A leader at which a write usually waits for disk and loop longer than this, and four times as long as another voter's, in so many checks
  /// in a row (two a second), hands over; not within this time of its election.
  public var slowLeaderCommit: Duration = .milliseconds(50)
  public var slowLeaderChecks = 6
  public var slowLeaderPause: Duration = .seconds(10)

  /// The configuration that a new disk begins with.
  var firstConfiguration: Configuration {
    members.contains { $0.id == node } ? Configuration(founders: members) : Configuration(voters: [])
  }

  /// The longest election timeout that slowness may lead to.
  public var maxElectionTicks = 1000

  /// How much recent history is kept for watches and older states.
  package var history = ChangeHistory.Limits()

  /// Changes the settings of consensus beyond those above; the simulator's.
  package var changeRaft: @Sendable (inout RaftOptions) -> Void = { _ in }

  /// Told of everything the replica does; the simulator's.
  package var observer: (any ReplicaObserver)?

  func raftOptions(seed: UInt64) -> RaftOptions {
    var raft = RaftOptions(seed: seed)
    raft.electionTicks = electionTicks
    raft.heartbeatTicks = heartbeatTicks
    raft.emitsCommittedBeforeDurable = true
    changeRaft(&raft)
    return raft
  }
}

/// A server's disk with the state read from it.
public struct ReplicaDisk: Sendable {
  /// The keys it is encrypted with; nil: it is not, or not by this program.
  var keyring: EncryptionKeyring?
  let directory: StorageDirectory
  let map: ObjectMap

  /// Opens or creates the disk; see `StorageDirectory.open`. Blocks: not on a loop.
  public static func open(
    path: String, identity: StorageIdentity?, files: any FileSystem = OperatingSystemFiles(),
    cipher: (any StorageCipher)? = nil, ballastBytes: Int = Ballast.defaultBytes,
    makeWorker: (_ name: String) -> any BlockingWorker = { WorkerThread(name: $0) },
    clock: @escaping @Sendable () -> UInt64 = { monotonicNanoseconds() },
    scrubRest: Duration = StorageDirectory.scrubRest
  ) throws(StorageError) -> ReplicaDisk {
    var map = ObjectMap()
    var pool = StringPool()
    // Whoever does not say is a tool that opens a server's disk: the keys are beside it, if there are any.
    var keyring = cipher as? EncryptionKeyring
    if cipher == nil {
      keyring = try EncryptionKeyring.existing(path: EncryptionKeyring.path(besides: path), files: files)
    }
    let directory = try StorageDirectory.open(
      path: path, identity: identity, files: files, cipher: cipher ?? keyring ?? NoCipher(), ballastBytes: ballastBytes,
      makeWorker: makeWorker, clock: clock, scrubRest: scrubRest
    ) { map.put(StoredObject($0, &pool)) }
    var disk = ReplicaDisk(directory: directory, map: map)
    disk.keyring = keyring
    return disk
  }

  init(directory: StorageDirectory, map: ObjectMap) {
    self.directory = directory
    self.map = map
  }

  /// A disk of another kind: opened stores, and the rows of the state they hold. For simulations.
  public init(directory: StorageDirectory, rows: [ObjectRow]) {
    var map = ObjectMap()
    var pool = StringPool()
    for row in rows { map.put(StoredObject(row, &pool)) }
    self.init(directory: directory, map: map)
  }

  /// Whose disk it is.
  public var identity: StorageIdentity { directory.identity }

  /// Part of what the disk held is lost, or what is there is not what was written.
  var isDamaged: Bool {
    if directory.logContents.damage != nil || directory.stateContents.damage != nil { return true }
    return (try? storedMachine()) == nil
  }

  /// What of it is damaged, for whoever looks for the cause.
  var damageDescription: String {
    if let damage = directory.logContents.damage { return "the log: \(damage)" }
    if let damage = directory.stateContents.damage { return "the state: \(damage)" }
    do throws(CodecError) { _ = try storedMachine() } catch { return "\(error)" }
    return "nothing"
  }

  /// The state machine as stored.
  func storedMachine() throws(CodecError) -> StateMachine {
    guard let mark = directory.stateContents.mark else { return StateMachine() }
    let requests = try RequestTable(decoding: directory.stateContents.requests)
    let machine = StateMachine(
      map: map, revision: ReplicaMutant.revisionBackAtRestart.isActive ? map.newestRevision : mark.revision,
      appliedIndex: mark.appliedIndex, appliedTerm: mark.appliedTerm,
      requests: ReplicaMutant.requestsLostAtRestart.isActive ? RequestTable() : requests)
    // A row that was never written, or came back as an older version, has a good checksum of its own.
    guard machine.stateHash == mark.stateHash || ReplicaMutant.revisionBackAtRestart.isActive else {
      throw CodecError("state.db: the rows do not add up to the hash written with them")
    }
    let log = directory.logContents
    guard requests.fits(mark, log.entries + (log.damage?.entriesBeyond ?? [])) else {
      throw CodecError("state.db: the requests are not those of the rest of it")
    }
    return machine
  }

  /// The state machine as stored, and Raft on the stored log; `rebased` is set when the log is older than the state (a
  /// crash after a snapshot was installed): the log then begins anew behind the state.
  func restore(
    configuration initial: Configuration, options: RaftOptions
  ) throws(CodecError) -> (machine: StateMachine, raft: Raft, rebased: LogBase?) {
    guard directory.logContents.damage == nil, directory.stateContents.damage == nil else {
      throw CodecError("the disk has lost part of what it held")
    }
    let machine = try storedMachine()
    let (raft, rebased) = try Self.raft(
      directory.identity.node, on: directory.logContents, machine, mark: directory.stateContents.mark,
      configuration: initial, options: options)
    return (machine, raft, rebased)
  }

  /// Raft on a log without holes that goes with a state.
  static func raft(
    _ node: NodeID, on log: LogContents, _ machine: StateMachine, mark: StateMark?,
    configuration initial: Configuration,
    options: RaftOptions
  ) throws(CodecError) -> (raft: Raft, rebased: LogBase?) {
    var base = SnapshotMetadata(index: 0, term: 0, configuration: initial)
    if let stored = log.base {
      base = SnapshotMetadata(
        index: stored.index, term: stored.term, configuration: try Configuration(stored: stored.configuration))
    }
    var entries = log.entries.map { stored in
      Entry(
        term: stored.term, index: stored.index, kind: EntryKind(rawValue: stored.kind) ?? .noOp,
        payload: stored.payload)
    }
    guard log.entries.allSatisfy({ EntryKind(rawValue: $0.kind) != nil }) else {
      throw CodecError("a log entry of unknown kind: written by a newer version")
    }
    var hardState = HardState(
      currentTerm: log.hardState.currentTerm,
      votedFor: log.hardState.votedFor == 0 ? nil : log.hardState.votedFor, commitIndex: log.hardState.commitIndex)
    var rebased: LogBase?
    let applied = machine.appliedIndex
    if applied > base.index,
      entries.last?.index ?? base.index < applied || entries[Int(applied - base.index) - 1].term != machine.appliedTerm,
      let mark
    {
      hardState.commitIndex = applied
      base = SnapshotMetadata(
        index: applied, term: machine.appliedTerm, configuration: try Configuration(stored: mark.configuration))
      entries = []
      rebased = LogBase(index: base.index, term: base.term, configuration: mark.configuration)
    }
    // The term of what was installed was known, if not yet stored; nobody was voted for in it without its being stored.
    let lastTerm = entries.last?.term ?? base.term
    if hardState.currentTerm < lastTerm { hardState = HardState(currentTerm: lastTerm, votedFor: nil) }
    hardState.commitIndex = max(hardState.commitIndex, applied)
    let raft = Raft(
      id: node, options: options, hardState: hardState, snapshot: base, entries: entries, applied: applied)
    return (raft, rebased)
  }
}
