// The consensus core: the state of one server, and where everything that happens to it comes in.
//
// Read the files in this order: Types, Configuration, Message, Output say what there is; this file what can happen;
// RaftElection, RaftReplication, RaftMembership, RaftReads, RaftSnapshots, RaftTransfer what is done about it; RaftOutput how it comes
// out; RaftInvariants what must be true after every step.

/// One server's part in a Raft group, as a value: it opens no file, reads no clock and knows no network.
///
/// The driver feeds it ticks, messages, proposals and completed writes, and after each turn of its loop performs what
/// `takeOutput` returns. Everything is synchronous; not to be shared between threads. References are to Ongaro and
/// Ousterhout, "In Search of an Understandable Consensus Algorithm (Extended Version)" by section, and to Ongaro's
/// dissertation where it says so. Deliberate departures: DIVERGENCE.md.
public struct Raft: Sendable {
  public let id: NodeID
  public internal(set) var options: RaftOptions

  // Persistent state (figure 2).
  public internal(set) var currentTerm: Term
  public internal(set) var votedFor: NodeID?
  var log: Log
  var durability: Durability

  // Volatile state on all servers.
  public internal(set) var role: Role = .follower
  /// The leader of `currentTerm`, if known.
  public internal(set) var leader: NodeID?
  public internal(set) var commitIndex: LogIndex
  /// The state machine has applied everything up to here.
  public internal(set) var lastApplied: LogIndex
  /// Committed entries up to here have been handed out.
  var emittedIndex: LogIndex
  /// The latest configuration in the log and those before it.
  var configurations: ConfigurationHistory { didSet { configurationChanges &+= 1 } }
  /// Rises whenever the latest configuration or its place in the log may have changed: cheap to look at.
  public private(set) var configurationChanges: UInt64 = 0
  /// A leader has said that this server was removed.
  public internal(set) var wasToldRemoved = false

  // Time, in ticks.
  var electionElapsed = 0
  /// The election timeout that this server began with: whatever its own becomes, others' may still be this one.
  let minimumElectionTicks: Int
  /// Candidacies that ran out of time since a leader was last known.
  var unansweredElections = 0
  var heartbeatElapsed = 0
  var electionTimeout = 0
  /// Ticks until an election because the connection to the leader broke.
  var staggerRemaining: Int?

  // Candidates.
  var votes: [NodeID: Bool] = [:]

  // Leaders.
  /// The other members, in ascending order of their ids.
  var followers: [Progress] = []
  var uncommittedBytes = 0
  var transfer: Transfer?

  var reads: Reads

  // What will come out.
  var messages: [Message] = []
  /// Messages that promise something which is not on disk yet, in the order of the writes they wait for.
  var withheld: [(token: PersistToken, message: Message)] = []
  /// The last acknowledgement that was sent, or waits for the disk; of term 0 when it may have been lost.
  var acknowledged: (term: Term, index: LogIndex) = (0, 0)
  var snapshotRequests: [NodeID] = []
  var emittedLeadership: Leadership

  var generator: Generator
  var witness: InvariantWitness

  /// A server as it was stored, or a new one.
  ///
  /// - Parameters:
  ///   - snapshot: where the stored log starts: index 0, term 0 and the first configuration for a new group. If the state
  ///     machine holds a newer snapshot than the log knows of (a crash between the two writes), pass that one.
  ///   - entries: the stored log. Entries at or below the snapshot's index are ignored, and all if they contradict it.
  ///   - applied: how far the state machine already is; committed entries after it come out again.
  public init(
    id: NodeID, options: RaftOptions, hardState: HardState, snapshot: SnapshotMetadata, entries: [Entry],
    applied: LogIndex
  ) {
    precondition(id != 0, "zero is never a server")
    precondition(options.heartbeatTicks > 0, "heartbeats need an interval")
    precondition(options.electionTicks > options.heartbeatTicks, "elections must be slower than heartbeats")
    var log = Log(baseIndex: snapshot.index, baseTerm: snapshot.term)
    // What is stored starts elsewhere than we do, or nothing is stored: the first write sets the place down.
    let mustClean = entries.first?.index != snapshot.index + 1
    let isReplaced = entries.contains { $0.index == snapshot.index && $0.term != snapshot.term }
    if !isReplaced { for entry in entries where entry.index > snapshot.index { log.append(entry) } }
    precondition(applied >= snapshot.index, "the log starts behind what the state machine has applied")
    precondition(applied <= log.lastIndex, "the state machine has applied entries that the log does not hold")

    self.id = id
    self.options = options
    minimumElectionTicks = options.electionTicks
    self.log = log
    configurations = ConfigurationHistory(base: snapshot.index, snapshot.configuration)
    // A snapshot can be newer than the stored term after a crash; a term in which nobody was voted for is safe to enter.
    currentTerm = max(hardState.currentTerm, snapshot.term)
    votedFor = currentTerm == hardState.currentTerm ? hardState.votedFor : nil
    precondition(log.lastTerm <= currentTerm, "the log holds entries of a term that was not stored")
    commitIndex = max(hardState.commitIndex, applied)
    precondition(commitIndex <= log.lastIndex, "entries are missing that were known to be committed")
    lastApplied = applied
    emittedIndex = applied
    durability = Durability(hardState: hardState, lastIndex: log.lastIndex)
    if mustClean { durability.mustClean(snapshot: snapshot, truncating: isReplaced) }
    generator = Generator(seed: options.seed)
    reads = Reads(incarnation: generator.next())
    emittedLeadership = Leadership(term: currentTerm, role: .follower, leader: nil)
    witness = InvariantWitness()
    for entry in log.entries { adopt(entry) }
    resetElectionTimer()
    checkInvariants()
  }

  // MARK: What can be asked

  public var lastIndex: LogIndex { log.lastIndex }
  /// Who belongs to the group: the latest configuration in the log, committed or not (§6).
  public var configuration: Configuration { configurations.latest }
  /// The log up to here is on this server's own disk.
  public var durableIndex: LogIndex { durability.durableIndex }
  /// This term is on this server's own disk: it belongs to no earlier one, whatever happens.
  public var durableTerm: Term { durability.durableTerm }
  /// Entries after this index are in memory.
  public var baseIndex: LogIndex { log.baseIndex }
  /// The term of an entry in memory or of the base; nil if it was compacted away or is not there.
  public func term(at index: LogIndex) -> Term? { log.term(at: index) }
  /// An entry in memory; nil if it was compacted away or is not there.
  public func entry(at index: LogIndex) -> Entry? {
    index > baseIndex && index <= lastIndex ? log.entries(from: index, through: index, maxBytes: 1).first : nil
  }
  /// The other members of the group, in ascending order.
  var peers: [NodeID] { configuration.members.filter { $0 != id } }

  /// What the leader knows of a follower; nil if this is not the leader or there is no such follower.
  public func progress(of peer: NodeID) -> Progress? { followers.first { $0.id == peer } }

  // MARK: What can happen

  /// Time passes by one tick.
  public mutating func tick() {
    if role == .leader { tickAsLeader() } else { tickAsFollowerOrCandidate() }
    checkInvariants()
  }

  /// Adapts to a slower or faster network and disk. Safety does not depend on these.
  public mutating func setTimeouts(electionTicks: Int, heartbeatTicks: Int) {
    precondition(heartbeatTicks > 0 && electionTicks > heartbeatTicks, "elections must be slower than heartbeats")
    options.electionTicks = electionTicks
    options.heartbeatTicks = heartbeatTicks
    electionTimeout = electionTicks + generator.next(below: electionTicks)
  }

  /// A message arrived. Messages that are meant for others or make no sense are ignored.
  public mutating func step(_ message: Message) {
    guard message.to == id, message.from != id, message.from != 0 else { return }
    if !dismissRemoved(message) { receive(message) }
    checkInvariants()
  }

  /// The write of this token, and all before it, are on stable storage.
  public mutating func persisted(_ token: PersistToken) {
    durability.complete(token)
    let released = withheld.prefix { $0.token <= token }.map(\.message)
    withheld.removeFirst(released.count)
    for message in released {
      if message.to == id { receive(message) } else { messages.append(message) }
    }
    if role == .leader { advanceCommitIndex() }
    checkInvariants()
  }

  /// The state machine has applied everything up to this index.
  public mutating func applied(through index: LogIndex) {
    precondition(index <= emittedIndex, "entries can only be applied after they were handed out")
    lastApplied = max(lastApplied, index)
    checkInvariants()
  }

  // MARK: Terms (§5.1)

  /// The rule for terms that all messages have in common, and then what each kind says.
  mutating func receive(_ message: Message) {
    if message.term > currentTerm && !noticeHigherTerm(message) { return }
    if message.term < currentTerm {
      answerLowerTerm(message)
      return
    }
    switch message.body {
    case .requestVote(let lastLogIndex, let lastLogTerm, let preVote, _):
      answerVoteRequest(message, lastLogIndex: lastLogIndex, lastLogTerm: lastLogTerm, preVote: preVote)
    case .requestVoteReply(let granted, let preVote): countVote(message, granted: granted, preVote: preVote)
    case .appendEntries(let prevLogIndex, let prevLogTerm, let leaderCommit, let entries):
      guard Self.areWellFormed(entries, after: prevLogIndex, prevLogTerm, term: message.term) else { return }
      hear(from: message.from)
      accept(
        entries, prevLogIndex: prevLogIndex, prevLogTerm: prevLogTerm, leaderCommit: leaderCommit, from: message.from)
    case .heartbeat(let leaderCommit, let readRound):
      hear(from: message.from)
      precondition(leaderCommit <= lastIndex, "entries are gone that this server had acknowledged")
      commit(through: leaderCommit)
      send(.heartbeatReply(readRound: readRound), to: message.from)
    case .appendAccepted(let matchIndex): followerAccepted(message.from, matchIndex: matchIndex)
    case .appendRejected(let prevLogIndex, let hintIndex, let hintTerm):
      followerRejected(message.from, prevLogIndex: prevLogIndex, hintIndex: hintIndex, hintTerm: hintTerm)
    case .heartbeatReply(let readRound): followerAnsweredHeartbeat(message.from, readRound: readRound)
    case .readIndex(let read): answerReadRequest(read, from: message.from)
    case .readIndexReply(let read, let index): readConfirmed(read, index: index, from: message.from)
    case .timeoutNow: if role != .leader && mayCampaign { becomeCandidate(transfer: true) }
    case .removed: break  // Dealt with before terms count (RaftMembership).
    }
  }

  /// "If a server's term is smaller, it updates to the larger value", except where a vote is requested while a leader is
  /// alive (dissertation §4.2.3), and in pre-votes, which talk about a term that need never come. False: ignore it.
  private mutating func noticeHigherTerm(_ message: Message) -> Bool {
    switch message.body {
    case .requestVote(let lastLogIndex, let lastLogTerm, let preVote, let transfer):
      if hearsFromLeader && !transfer { return false }
      if preVote {
        answerVoteRequest(message, lastLogIndex: lastLogIndex, lastLogTerm: lastLogTerm, preVote: true)
        return false
      }
      becomeFollower(term: message.term, leader: nil)
    case .requestVoteReply(let granted, preVote: true) where granted:
      countVote(message, granted: true, preVote: true)
      return false
    case .appendEntries, .heartbeat, .readIndexReply: becomeFollower(term: message.term, leader: message.from)
    default: becomeFollower(term: message.term, leader: nil)
    }
    return true
  }

  /// A sender with an old term learns the current one, so that it stops leading or asking (§5.1).
  private mutating func answerLowerTerm(_ message: Message) {
    switch message.body {
    case .requestVote(_, _, let preVote, _): send(.requestVoteReply(granted: false, preVote: preVote), to: message.from)
    case .appendEntries, .heartbeat: send(.heartbeatReply(readRound: 0), to: message.from)
    default: return
    }
  }

  // MARK: Sending

  mutating func send(_ body: Message.Body, to peer: NodeID, term: Term? = nil) {
    messages.append(Message(from: id, to: peer, term: term ?? currentTerm, body: body))
  }

  /// Sends once everything that is true now is on disk. To itself too: a server's own vote counts when it is stable.
  mutating func sendWhenDurable(_ body: Message.Body, to peer: NodeID) {
    let message = Message(from: id, to: peer, term: currentTerm, body: body)
    let token = durability.tokenCovering(hardState, lastIndex: lastIndex)
    if let token { return withheld.append((token, message)) }
    if peer == id { receive(message) } else { messages.append(message) }
  }

  var hardState: HardState {
    let votedFor = RaftMutant.voteNotPersisted.isActive ? nil : votedFor
    return HardState(currentTerm: currentTerm, votedFor: votedFor, commitIndex: commitIndex)
  }
}
