// The words in which the tests of the core are told: a server with a disk one can stop, a group whose talk is written down.

@testable import Raft

/// One server and what its driver would have seen of it.
struct TestServer {
  var raft: Raft
  /// While stopped, writes are handed out and not completed.
  var isDiskStopped = false
  var unwritten: [Persist] = []
  var written: [Persist] = []
  var applied: [Entry] = []
  var reads: [ReadState] = []
  var abandonedReads: [ReadID] = []
  var snapshotRequests: [NodeID] = []
  var leaderships: [Leadership] = []

  /// A server with entries of these terms in its log, from index 1 on.
  init(
    _ id: NodeID = 1, voters: Set<NodeID> = [1, 2, 3], term: Term = 0, votedFor: NodeID? = nil, log: [Term] = [],
    commit: LogIndex = 0, configuration: Configuration? = nil, adjust: (inout RaftOptions) -> Void = { _ in }
  ) {
    var options = RaftOptions(seed: 1000 + id)
    adjust(&options)
    let state = HardState(currentTerm: max(term, log.last ?? 0), votedFor: votedFor, commitIndex: commit)
    let base = SnapshotMetadata(index: 0, term: 0, configuration: configuration ?? Configuration(voters: voters))
    let entries = log.enumerated().map { Entry(term: $1, index: LogIndex($0 + 1), payload: [UInt8($1)]) }
    raft = Raft(id: id, options: options, hardState: state, snapshot: base, entries: entries, applied: 0)
    _ = drain()
    written = []
  }

  /// The terms of the log, from the entry after the base on.
  var logTerms: [Term] { raft.log.entries.map(\.term) }

  /// Does what the server wants done; returns the messages it sent.
  mutating func drain() -> [Message] {
    var messages: [Message] = []
    while let output = raft.takeOutput() {
      messages += output.messages
      if let persist = output.persist { unwritten.append(persist) }
      applied += output.committed
      if let last = output.committed.last { raft.applied(through: last.index) }
      reads += output.reads
      abandonedReads += output.abandonedReads
      snapshotRequests += output.snapshotRequests
      if let leadership = output.leadership { leaderships.append(leadership) }
      if !isDiskStopped { completeWrites() }
    }
    return messages
  }

  /// Completes the oldest writes, all unless a number is given.
  mutating func completeWrites(_ count: Int? = nil) {
    let done = unwritten.prefix(count ?? unwritten.count)
    if let last = done.last { raft.persisted(last.token) }
    written += done
    unwritten.removeFirst(done.count)
  }

  /// A message arrives; returns what is sent in return.
  mutating func receive(_ body: Message.Body, from sender: NodeID, term: Term) -> [Message] {
    raft.step(Message(from: sender, to: raft.id, term: term, body: body))
    return drain()
  }

  mutating func tick(_ count: Int = 1) -> [Message] {
    var messages: [Message] = []
    for _ in 0..<count {
      raft.tick()
      messages += drain()
    }
    return messages
  }

  /// Time passes until the server does something about the silence.
  mutating func tickUntilElection() -> [Message] {
    let role = raft.role
    let term = raft.currentTerm
    for _ in 0..<(2 * raft.options.electionTicks) {
      let messages = tick()
      if raft.role != role || raft.currentTerm != term || !messages.isEmpty { return messages }
    }
    return []
  }

  /// Makes it the leader of the next term by the votes of all others.
  mutating func becomeLeader() {
    _ = tickUntilElection()
    for voter in raft.peers where raft.role == .preCandidate {
      _ = receive(.requestVoteReply(granted: true, preVote: true), from: voter, term: raft.currentTerm + 1)
    }
    for voter in raft.peers where raft.role == .candidate {
      _ = receive(.requestVoteReply(granted: true, preVote: false), from: voter, term: raft.currentTerm)
    }
    precondition(raft.role == .leader, "the election must succeed")
  }

  /// Makes it the leader, with its opening entry stored by all others.
  mutating func becomeEstablishedLeader() {
    becomeLeader()
    for peer in raft.peers {
      _ = receive(.appendAccepted(matchIndex: raft.lastIndex), from: peer, term: raft.currentTerm)
    }
    _ = drain()
  }
}

/// A group on a perfect network, or one that is cut; every message is written down.
struct Group {
  var servers: [NodeID: TestServer] = [:]
  var transcript: [String] = []
  var isolated: Set<NodeID> = []
  private var queue: [Message] = []

  init(_ members: [TestServer]) { for server in members { servers[server.raft.id] = server } }

  init(of size: Int, adjust: (inout RaftOptions) -> Void = { _ in }) {
    let voters = Set(1...NodeID(size))
    self.init(voters.sorted().map { TestServer($0, voters: voters, adjust: adjust) })
  }

  subscript(id: NodeID) -> TestServer {
    get { servers[id]! }
    set { servers[id] = newValue }
  }

  var leaders: [NodeID] { servers.keys.sorted().filter { servers[$0]!.raft.role == .leader } }

  mutating func isolate(_ id: NodeID) { isolated.insert(id) }
  mutating func heal() { isolated = [] }

  /// Something happens to a server; its messages go out and everything that follows happens too.
  mutating func at(_ id: NodeID, _ body: (inout TestServer) -> Void) {
    body(&servers[id]!)
    settle()
  }

  mutating func tick(_ id: NodeID, _ count: Int = 1) {
    for _ in 0..<count { at(id) { $0.raft.tick() } }
  }

  mutating func elect(_ id: NodeID) {
    for _ in 0..<(2 * servers[id]!.raft.options.electionTicks) where servers[id]!.raft.role != .leader { tick(id) }
  }

  /// Delivers until nobody has anything to say.
  mutating func settle() {
    repeat {
      for id in servers.keys.sorted() {
        for message in servers[id]!.drain() {
          let isLost = isolated.contains(message.from) || isolated.contains(message.to)
          transcript.append(describe(message) + (isLost ? " (lost)" : ""))
          if !isLost { queue.append(message) }
        }
      }
      if queue.isEmpty { return }
      let message = queue.removeFirst()
      servers[message.to]?.raft.step(message)
    } while true
  }

  /// What was said since the last time this was asked.
  mutating func takeTranscript() -> String {
    defer { transcript = [] }
    return transcript.joined(separator: "\n")
  }
}

/// A message as a line.
func describe(_ message: Message) -> String {
  let says: String =
    switch message.body {
    case .requestVote(let index, let term, let preVote, let transfer):
      "\(preVote ? "pre-vote?" : "vote?") log \(index)/\(term)\(transfer ? " by transfer" : "")"
    case .requestVoteReply(let granted, let preVote): "\(preVote ? "pre-vote" : "vote") \(granted ? "yes" : "no")"
    case .appendEntries(let prevIndex, let prevTerm, let commit, let entries):
      "append after \(prevIndex)/\(prevTerm) [\(entries.map { "\($0.index)/\($0.term)" }.joined(separator: " "))]"
        + " commit \(commit)"
    case .appendAccepted(let matchIndex): "accepted \(matchIndex)"
    case .appendRejected(let prevIndex, let hintIndex, let hintTerm):
      "rejected \(prevIndex) hint \(hintIndex)/\(hintTerm)"
    case .heartbeat(let commit, let round): "heartbeat commit \(commit) round \(round)"
    case .heartbeatReply(let round): "heartbeat reply round \(round)"
    case .readIndex(let read): "read \(read.number)?"
    case .readIndexReply(let read, let index): "read \(read.number) at \(index)"
    case .timeoutNow: "timeout now"
    case .removed: "removed"
    }
  return "\(message.from)→\(message.to) term \(message.term): \(says)"
}
