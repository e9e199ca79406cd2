// A group of servers in one process, in virtual time, reproduced by its seed alone.
//
// The fault model:
// - The network drops, doubles, delays and thereby reorders messages, and partitions servers from each other.
// - A server crashes at any moment and starts again later. Of the writes that its disk had not completed, any prefix has
//   happened. Its state machine is stored behind its log and comes back older than it was.
// - A disk is slow, sometimes very. Writes complete in order. It does not lie or rot: Raft cannot help against that.
// - Connections are reported broken when a server dies, late, never, or without reason.
// - Servers are added, promoted, demoted, removed and replaced at any time, by a leader that may be deposed already.
// - A disk is wiped and comes back empty under its old name. Its driver, as all drivers, tells disks apart by an id that
//   the configuration's contexts hold; everything but that one check is up to the core.
//
// After every event the group's safety properties (figure 3 of the paper) are checked, and at the end that it recovers.

@testable import Raft

/// How bad the weather is in one run.
struct Weather {
  var voters: Int
  var learners: Int
  var isJoint: Bool
  var dropPerMille: Int
  var duplicatePerMille: Int
  var delayMax: Int
  var diskLatencyMax: Int
  var crashPerMille: Int
  var partitionPerMille: Int
  var emitsCommittedBeforeDurable: Bool
  var preVote: Bool
  var checkQuorum: Bool
  var electionTicks: Int
  /// How long a server stays down, at most.
  var downMax: Int
  var entriesBytesMax: Int
  /// How often a server crashes just when it has voted, been elected or committed: when it hurts most.
  var spitePerMille: Int
  var membershipPerMille: Int
  var wipePerMille: Int

  init(_ generator: inout Generator) {
    voters = [1, 3, 3, 3, 5][generator.next(below: 5)]
    isJoint = voters == 3 && generator.next(below: 4) == 0
    learners = generator.next(below: 4) == 0 ? 1 : 0
    dropPerMille = [0, 10, 50, 200][generator.next(below: 4)]
    duplicatePerMille = [0, 20, 100][generator.next(below: 3)]
    delayMax = [2, 8, 30, 90][generator.next(below: 4)]
    diskLatencyMax = [1, 6, 40, 150][generator.next(below: 4)]
    crashPerMille = [0, 5, 20, 50][generator.next(below: 4)]
    partitionPerMille = [0, 10, 30][generator.next(below: 3)]
    emitsCommittedBeforeDurable = generator.next(below: 2) == 0
    preVote = generator.next(below: 4) != 0
    checkQuorum = generator.next(below: 4) != 0
    electionTicks = [4, 6, 10][generator.next(below: 3)]
    downMax = [15, 60, 700][generator.next(below: 3)]
    entriesBytesMax = [1, 150, 400][generator.next(below: 3)]
    spitePerMille = [0, 50, 250, 600][generator.next(below: 4)]
    membershipPerMille = [0, 60, 200, 500][generator.next(below: 4)]
    wipePerMille = [0, 0, 4][generator.next(below: 3)]
  }
}

/// The state machine: where it is in the log, and a digest of everything it has applied.
struct Machine: Equatable {
  var index: LogIndex = 0
  var term: Term = 0
  var digest: UInt64 = 0

  mutating func apply(_ entry: Entry) {
    precondition(entry.index == index + 1, "entries must be applied in order")
    index = entry.index
    term = entry.term
    var mixer = Generator(seed: digest ^ entry.term &* 31 ^ entry.index &* 17)
    digest = mixer.next()
    for byte in entry.payload { digest = digest &* 1_099_511_628_211 ^ UInt64(byte) }
  }
}

/// What survives a crash.
struct Disk {
  var hardState = HardState()
  var base: SnapshotMetadata
  var entries: [Entry] = []
  var machine = Machine()
  /// The configuration as of the stored state machine.
  var machineConfiguration: Configuration

  init(base: SnapshotMetadata) {
    self.base = base
    machineConfiguration = base.configuration
  }

  var lastIndex: LogIndex { entries.last?.index ?? base.index }

  func term(at index: LogIndex) -> Term? {
    if index == base.index { return base.term }
    guard let first = entries.first?.index, index >= first, index <= lastIndex else { return nil }
    return entries[Int(index - first)].term
  }

  mutating func perform(_ write: Write) {
    let persist = write.persist
    if let snapshot = write.machine, let metadata = persist.snapshot { store(snapshot, metadata.configuration) }
    if let state = persist.hardState { hardState = state }
    if let index = persist.truncateFrom { entries.removeAll { $0.index >= index } }
    if let snapshot = persist.snapshot {
      base = snapshot
      entries.removeAll { $0.index <= snapshot.index }
    }
    for entry in persist.entries {
      precondition(entry.index == lastIndex + 1, "the stored log has a gap")
      entries.append(entry)
    }
  }

  mutating func store(_ newer: Machine, _ configuration: Configuration) {
    guard newer.index > machine.index else { return }
    machine = newer
    machineConfiguration = configuration
  }

  mutating func compact(through index: LogIndex, _ configuration: Configuration) {
    guard index > base.index, let term = term(at: index) else { return }
    base = SnapshotMetadata(index: index, term: term, configuration: configuration)
    entries.removeAll { $0.index <= index }
  }
}

/// A write under way, with the state of a snapshot that must be stored before it.
struct Write {
  var persist: Persist
  var machine: Machine?
}

struct Server {
  let id: NodeID
  /// Nil while it is down.
  var raft: Raft?
  var incarnation = 0
  var disk: Disk
  /// Drawn when the disk is first used.
  var diskID: UInt64
  var machine = Machine()
  var writes: [Write] = []
  /// When the last write under way will be done.
  var diskBusyUntil = 0
  /// The state of a snapshot that was installed and is not part of a write yet.
  var installed: Machine?
  /// Reads under way, each with what it must see.
  var reads: [ReadID: LogIndex] = [:]
}

enum Event {
  case tick(NodeID, incarnation: Int)
  /// With the sender's disk.
  case deliver(Message, fromDisk: UInt64)
  case written(NodeID, incarnation: Int, PersistToken)
  case snapshotArrives(to: NodeID, from: NodeID, fromIncarnation: Int, SnapshotMetadata, Machine, fails: Bool)
  case disconnected(NodeID, peer: NodeID)
  case start(NodeID)
  case heal
  case crash(NodeID)
  case clientAndFaults
}

/// A property that does not hold.
struct Violation: Error, CustomStringConvertible {
  var description: String
}

struct Simulator {
  static let unitsPerTick = 10
  /// No event lies further ahead than this.
  static let horizon = 1024

  let seed: UInt64
  let weather: Weather
  /// The first.
  let configuration: Configuration
  var generator: Generator
  var now = 0
  var servers: [NodeID: Server] = [:]
  var ids: [NodeID]
  /// The events of each moment, in a ring.
  var moments: [[Event]] = Array(repeating: [], count: Simulator.horizon)
  var groups: [NodeID: Int] = [:]
  var isCalm = false

  // What the group has shown to the world.
  var committed: [Entry] = []
  /// The term of the server that was first to hand out each committed entry.
  var committedBy: [Term] = []
  var leaders: [Term: NodeID] = [:]
  /// The state machine's digest at each index.
  var digests: [UInt64] = [0]
  /// What any client can have seen: no later read may see less.
  var observedIndex: LogIndex = 0

  // How much happened, to see that the weather was bad and the work was done.
  var eventCount = 0
  var proposals = 0
  var readsServed = 0
  var crashes = 0
  var snapshotsInstalled = 0
  var usedReads: Set<ReadID> = []
  var membershipChanges = 0
  /// The latest configurations that leaders had.
  var configurationsSeen: [Configuration] = []
  var wipedDisks: Set<NodeID> = []

  init(seed: UInt64) {
    self.seed = seed
    generator = Generator(seed: seed)
    weather = Weather(&generator)
    let voters = Set(1...NodeID(weather.voters))
    let outgoing: Set<NodeID> = weather.isJoint ? [2, 3, 4] : []
    let learner = NodeID(weather.voters + 2)
    var first = Configuration(
      voters: voters, outgoingVoters: outgoing, learners: weather.learners > 0 ? [learner] : [])
    for id in first.members { first.contexts[id] = Self.context(id) }
    configuration = first
    ids = configuration.members
    for id in ids { create(id, configuration) }
    schedule(.clientAndFaults, in: 1)
  }

  mutating func chance(_ perMille: Int) -> Bool { generator.next(below: 1000) < perMille }
  mutating func random(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + generator.next(below: range.upperBound - range.lowerBound + 1)
  }

  mutating func schedule(_ event: Event, in units: Int) {
    moments[(now + min(max(units, 1), Self.horizon - 1)) % Self.horizon].append(event)
  }

  // MARK: Running

  mutating func run(units: Int) throws {
    for _ in 0..<units {
      now += 1
      var events: [Event] = []
      swap(&events, &moments[now % Self.horizon])
      for event in events {
        eventCount += 1
        try perform(event)
      }
      if now % 64 == 0 { try checkLogMatching() }
    }
  }

  /// Bad weather for a while, then calm; in the calm everything must come together.
  mutating func runToConvergence(units: Int) throws {
    try run(units: units)
    isCalm = true
    groups = [:]
    for id in ids where servers[id]!.raft == nil { schedule(.start(id), in: 1) }
    for _ in 0..<40 {
      try run(units: 25 * Self.unitsPerTick)
      replaceWipedServer()
      if isConverged { break }
    }
    let before = committed.count
    guard isConverged else { throw Violation(description: "the group did not recover: \(situation)") }
    for _ in 0..<20 where committed.count == before || !isConverged {
      for id in ids { propose(id) }
      for id in ids { try pump(id) }
      try run(units: 5 * Self.unitsPerTick)
    }
    guard committed.count > before, isConverged else { throw Violation(description: "the group does not work") }
    try checkLogMatching()
  }

  var isConverged: Bool {
    guard let last = committed.last, let leader = currentLeader else { return false }
    let members = servers[leader]!.raft!.configuration
    guard servers[leader]!.raft!.isConfigurationSettled, wipedDisks.isDisjoint(with: members.members) else {
      return false
    }
    return servers.values.allSatisfy { server in
      guard let raft = server.raft else { return false }
      return !members.isMember(server.id)
        || raft.lastApplied == last.index && raft.lastIndex == last.index && raft.leader != nil
    }
  }

  /// Where everyone stands, for messages.
  var situation: String {
    ids.compactMap { id in
      guard let raft = servers[id]!.raft else { return "\(id) is down" }
      let members = raft.configuration
      return
        "\(id)\(wipedDisks.contains(id) ? " (wiped)" : "") \(raft.role) of \(raft.leader ?? 0) term \(raft.currentTerm)"
        + " log \(raft.baseIndex)...\(raft.lastIndex) commit \(raft.commitIndex) applied \(raft.lastApplied)"
        + " voters \(members.voters.sorted()) outgoing \(members.outgoingVoters.sorted())"
        + " learners \(members.learners.sorted()) at \(raft.configurationIndex)\(raft.isRemoved ? " removed" : "")"
    }.joined(separator: "\n")
  }

  mutating func perform(_ event: Event) throws {
    switch event {
    case .tick(let id, let incarnation):
      guard servers[id]!.raft != nil, servers[id]!.incarnation == incarnation else { return }
      // Ticks may be counted together up to the one that is due: none before it has anything done.
      let isDue = servers[id]!.raft!.ticksUntilDue == 1 || servers[id]!.raft!.hasOutput
      servers[id]!.raft!.tick()
      guard isDue || !servers[id]!.raft!.hasOutput else { throw violation("a tick did something before it was due") }
      try pump(id)
      let drift = chance(100) ? random(-2...2) : 0
      schedule(.tick(id, incarnation: incarnation), in: Self.unitsPerTick + drift)
    case .deliver(let message, let fromDisk):
      guard servers[message.to]?.raft != nil, canReach(message.from, message.to) else { return }
      // Whose disk is not the one that is known under its name is not listened to, and does not listen.
      guard fromDisk == message.from, servers[message.to]!.diskID == message.to else { return }
      servers[message.to]!.raft!.step(message)
      try pump(message.to)
    case .written(let id, let incarnation, let token):
      guard servers[id]!.raft != nil, servers[id]!.incarnation == incarnation else { return }
      while let write = servers[id]!.writes.first, write.persist.token <= token {
        servers[id]!.writes.removeFirst()
        servers[id]!.disk.perform(write)
      }
      servers[id]!.raft!.persisted(token)
      try pump(id)
    case .snapshotArrives(let to, let from, let fromIncarnation, let metadata, let machine, let fails):
      try snapshotArrives(to, from, fromIncarnation, metadata, machine, fails)
    case .disconnected(let id, let peer):
      servers[id]!.raft?.peerDisconnected(peer)
      try pump(id)
    case .start(let id):
      if servers[id]!.raft == nil { start(id) }
    case .heal:
      groups = [:]
    case .crash(let id):
      if !isCalm { crash(id) }
    case .clientAndFaults:
      try clientAndFaults()
      schedule(.clientAndFaults, in: 7)
    }
  }

  func canReach(_ a: NodeID, _ b: NodeID) -> Bool { groups[a, default: 0] == groups[b, default: 0] }

  // MARK: Clients and faults

  mutating func clientAndFaults() throws {
    let id = ids[generator.next(below: ids.count)]
    if chance(400) {
      for _ in 0..<random(1...4) { for leader in ids { propose(leader) } }
    }
    if chance(300) { read(id) }
    for leader in ids { try pump(leader) }
    try pump(id)
    if chance(100) { storeBehind(id) }
    if isCalm { return }
    if chance(weather.membershipPerMille) { changeMembership() }
    if chance(weather.wipePerMille) { wipe(id) }
    for leader in ids { try pump(leader) }
    if chance(weather.crashPerMille) {
      // A leader more often than others: that is where it hurts.
      let leader = ids.first { servers[$0]!.raft?.role == .leader }
      crash(chance(500) ? leader ?? id : id)
    }
    if chance(weather.partitionPerMille) {
      for id in ids { groups[id] = generator.next(below: 2) }
      schedule(.heal, in: random(20...600))
    }
    if chance(15), servers[id]!.raft?.role == .leader {
      if chance(500) { servers[id]!.raft!.resign() } else { try? servers[id]!.raft!.transferLeadership(to: ids[0]) }
      try pump(id)
    }
    if chance(8) { schedule(.disconnected(id, peer: ids[generator.next(below: ids.count)]), in: 1) }
  }

  mutating func propose(_ id: NodeID) {
    guard servers[id]!.raft?.role == .leader else { return }
    let payload = (0..<random(0...20)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    if (try? servers[id]!.raft!.propose([payload])) != nil { proposals += 1 }
  }

  mutating func read(_ id: NodeID) {
    guard servers[id]!.raft != nil, let read = try? servers[id]!.raft!.readIndex() else { return }
    precondition(usedReads.insert(read).inserted, "a read id was used twice")
    servers[id]!.reads[read] = observedIndex
  }

  /// The storage thread stores the state machine behind the log, and the log is cut behind that.
  mutating func storeBehind(_ id: NodeID) {
    guard let raft = servers[id]!.raft else { return }
    let machine = servers[id]!.machine
    if machine.index <= raft.durableIndex && machine.index > servers[id]!.disk.machine.index {
      servers[id]!.disk.store(machine, raft.configuration(at: machine.index))
    }
    let stored = servers[id]!.disk.machine.index
    let index = stored > 8 && chance(500) ? stored - UInt64(random(0...8)) : 0
    if index > raft.baseIndex && index <= raft.lastApplied && index <= raft.durableIndex {
      servers[id]!.raft!.compact(through: index)
      servers[id]!.disk.compact(through: index, raft.configuration(at: index))
    }
  }

  mutating func crash(_ id: NodeID) {
    guard servers[id]!.raft != nil else { return }
    crashes += 1
    // Any prefix of what was being written is on disk; a snapshot's state may be there without the log's knowledge.
    let done = servers[id]!.writes.isEmpty ? 0 : random(0...servers[id]!.writes.count)
    for write in servers[id]!.writes.prefix(done) { servers[id]!.disk.perform(write) }
    if done < servers[id]!.writes.count, let machine = servers[id]!.writes[done].machine,
      let metadata = servers[id]!.writes[done].persist.snapshot, chance(500)
    {
      servers[id]!.disk.store(machine, metadata.configuration)
    }
    servers[id]!.writes = []
    servers[id]!.installed = nil
    servers[id]!.raft = nil
    servers[id]!.reads = [:]
    for peer in ids where peer != id && chance(600) { schedule(.disconnected(peer, peer: id), in: random(1...6)) }
    schedule(.start(id), in: random(1...weather.downMax))
  }

  mutating func start(_ id: NodeID) {
    var server = servers[id]!
    server.incarnation += 1
    server.machine = server.disk.machine
    server.diskBusyUntil = now
    var snapshot = server.disk.base
    if server.disk.term(at: server.machine.index) != server.machine.term {
      snapshot = SnapshotMetadata(
        index: server.machine.index, term: server.machine.term, configuration: server.disk.machineConfiguration)
    }
    var options = RaftOptions(seed: generator.next())
    options.electionTicks = weather.electionTicks
    options.heartbeatTicks = random(1...2)
    options.preVote = weather.preVote
    options.checkQuorum = weather.checkQuorum
    options.emitsCommittedBeforeDurable = weather.emitsCommittedBeforeDurable
    options.maxEntriesBytesPerMessage = weather.entriesBytesMax
    options.maxInflightMessages = 6
    options.maxInflightBytes = 1200
    options.maxCommittedBytesPerOutput = 500
    options.maxUncommittedBytes = 8000
    server.raft = Raft(
      id: id, options: options, hardState: server.disk.hardState, snapshot: snapshot, entries: server.disk.entries,
      applied: server.machine.index)
    servers[id] = server
    schedule(.tick(id, incarnation: server.incarnation), in: random(1...Self.unitsPerTick))
  }

  mutating func snapshotArrives(
    _ to: NodeID, _ from: NodeID, _ fromIncarnation: Int, _ metadata: SnapshotMetadata, _ machine: Machine,
    _ fails: Bool
  ) throws {
    let arrives = !fails && canReach(from, to) && servers[to]?.raft != nil && !wipedDisks.contains(to)
    if arrives, servers[to]!.raft!.snapshotInstalled(metadata) {
      snapshotsInstalled += 1
      servers[to]!.machine = machine
      servers[to]!.installed = machine
    }
    try pump(to)
    if servers[from]!.raft != nil && servers[from]!.incarnation == fromIncarnation {
      if arrives {
        servers[from]!.raft!.snapshotEnded(to: to, through: metadata.index)
      } else {
        servers[from]!.raft!.snapshotEnded(to: to, through: nil)
      }
      try pump(from)
    }
  }

  // MARK: The driver

  /// Does what a server wants done, and checks what it shows.
  mutating func pump(_ id: NodeID) throws {
    guard servers[id]!.raft != nil else { return }
    try checkElectionSafety(id)
    while let output = servers[id]!.raft!.takeOutput() {
      if let persist = output.persist { write(id, persist) }
      let hurts = output.persist?.hardState?.votedFor != nil || output.leadership?.role == .leader
      let commits = !output.committed.isEmpty && servers[id]!.raft!.role == .leader
      if !isCalm, hurts || (commits && chance(300)), chance(weather.spitePerMille) {
        schedule(.crash(id), in: random(1...weather.delayMax))
      }
      for message in output.messages { send(message) }
      for entry in output.committed { try apply(entry, at: id) }
      servers[id]!.raft!.applied(through: servers[id]!.machine.index)
      for read in output.reads { try serve(read, at: id) }
      for read in output.abandonedReads { servers[id]!.reads[read] = nil }
      for peer in output.snapshotRequests { sendSnapshot(from: id, to: peer) }
      try checkElectionSafety(id)
    }
  }

  mutating func write(_ id: NodeID, _ persist: Persist) {
    var machine: Machine?
    if persist.snapshot != nil { swap(&machine, &servers[id]!.installed) }
    servers[id]!.writes.append(Write(persist: persist, machine: machine))
    let latency = isCalm ? 1 : random(1...(chance(20) ? weather.diskLatencyMax * 4 : weather.diskLatencyMax))
    servers[id]!.diskBusyUntil = max(servers[id]!.diskBusyUntil, now + latency)
    // Several writes may share a transaction: then only the last one's completion is reported.
    if !isCalm && chance(200) {
      return schedule(.written(id, incarnation: servers[id]!.incarnation, persist.token), in: 600)
    }
    let incarnation = servers[id]!.incarnation
    schedule(.written(id, incarnation: incarnation, persist.token), in: servers[id]!.diskBusyUntil - now)
  }

  mutating func send(_ message: Message) {
    if !canReach(message.from, message.to) { return }
    if !isCalm && chance(weather.dropPerMille) { return }
    let copies = !isCalm && chance(weather.duplicatePerMille) ? 2 : 1
    for _ in 0..<copies {
      var copy = message
      if chance(100) {
        do { copy = try Message(decoding: message.encoded()) } catch { preconditionFailure("\(message): \(error)") }
        precondition(copy == message, "the codec changed a message")
      }
      schedule(
        .deliver(copy, fromDisk: servers[message.from]!.diskID),
        in: isCalm ? 1 : random(1...weather.delayMax))
    }
  }

  mutating func sendSnapshot(from: NodeID, to: NodeID) {
    let machine = servers[from]!.machine
    let metadata = SnapshotMetadata(
      index: machine.index, term: machine.term,
      configuration: servers[from]!.raft!.configuration(at: machine.index))
    schedule(
      .snapshotArrives(
        to: to, from: from, fromIncarnation: servers[from]!.incarnation, metadata, machine,
        fails: !isCalm && chance(200)),
      in: random(1...100))
  }
}
