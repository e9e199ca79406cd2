// The invariants of consensus, over all servers and all their lives, checked with every turn of every server in time
// proportional to what the turn changed. The checker keeps a shadow of each server's log, made of what the server handed
// to its disk, and remembers what each has promised to others: that is what a crash must not take back.

import Raft
import Storage

/// What one server has just done: its state after the turn, and what the turn wants done.
struct ServerStep {
  var node: NodeID
  var role: Role
  var term: Term
  var commitIndex: LogIndex
  /// The log up to here is on its disk, by its own account.
  var durableIndex: LogIndex
  var configuration: Configuration
  var output: RaftOutput
}

/// A server as it comes back from its disk.
struct RestoredServer {
  var node: NodeID
  var term: Term
  var votedFor: NodeID?
  var commitIndex: LogIndex
  var baseIndex: LogIndex
  /// Terms of the base and of every entry behind it.
  var terms: [Term]

  var lastIndex: LogIndex { baseIndex + LogIndex(terms.count) - 1 }
  func term(at index: LogIndex) -> Term? {
    index >= baseIndex && index <= lastIndex ? terms[Int(index - baseIndex)] : nil
  }
}

struct ConsensusChecker {
  /// A log as terms by index, from a base on.
  private struct Shadow {
    var baseIndex: LogIndex = 0
    var terms: [Term] = [0]
    /// Where configurations stand that are in the log, ascending.
    var configurations: [LogIndex] = []

    var lastIndex: LogIndex { baseIndex + LogIndex(terms.count) - 1 }
    func term(at index: LogIndex) -> Term? {
      index >= baseIndex && index <= lastIndex ? terms[Int(index - baseIndex)] : nil
    }
    mutating func truncate(from index: LogIndex) {
      if index <= baseIndex || index > lastIndex { return }
      terms.removeSubrange(Int(index - baseIndex)...)
      while let last = configurations.last, last >= index { configurations.removeLast() }
    }
    mutating func rebase(to index: LogIndex, _ term: Term) {
      if index > lastIndex {
        terms = [term]
        configurations = []
      } else if index > baseIndex {
        terms.removeFirst(Int(index - baseIndex))
        terms[0] = term
      } else if index < baseIndex {
        terms = [term]
      }
      baseIndex = index
    }
  }

  /// What must outlive a crash.
  private struct Promises {
    var votedTerm: Term = 0
    var votedFor: NodeID = 0
    /// The log up to here was acknowledged, and ended there with this term.
    var index: LogIndex = 0
    var term: Term = 0
    var hardState = HardState()
  }

  private final class Server {
    var shadow = Shadow()
    var promises = Promises()
    /// What it had acknowledged when its disk forgot: the word of it may still be on its way to the leader, who cannot
    /// know that it is not true any more.
    var lost = LogPosition(index: 0, term: 0)
    var role: Role = .follower
    var term: Term = 0
    var commitIndex: LogIndex = 0
    var configuration = Configuration(voters: [])
    /// Terms in which it has asked whether it could win.
    var askedTerm: Term = 0
    /// Hard states on their way to the disk.
    var writes: [(token: PersistToken, hardState: HardState)] = []
  }

  /// The first entry seen at an index in a term, and the term before it.
  private struct SeenEntry {
    var term: Term
    var previousTerm: Term
    var hash: UInt64
  }

  /// Whether candidates must have asked before they stand (the cluster's options say so).
  var expectsPreVote = true

  private var servers: [NodeID: Server] = [:]
  private var damagedDisks: Set<NodeID> = []
  private var leaders: [Term: NodeID] = [:]
  private var lastLeaderTerm: Term = 0
  private var seen: [LogIndex: [SeenEntry]] = [:]
  /// Terms of committed entries, from index 1 on.
  private var committedTerms: [Term] = []
  /// In which leader's term entries were committed: the term, and the last index by then. Both rise.
  private var commitments: [(term: Term, through: LogIndex)] = []

  private(set) var violation: InvariantViolation?

  init() {}

  /// The highest index known to be committed.
  var committedThrough: LogIndex { LogIndex(committedTerms.count) }
  /// How many terms had a leader.
  var leaderCount: Int { leaders.count }

  private mutating func report(_ invariant: String, _ node: NodeID, _ evidence: String) {
    if violation == nil { violation = InvariantViolation(invariant, node: node, evidence) }
  }

  // MARK: Life

  /// The server's disk is not what it was, and the server is not bound by what it said: it was wiped, or damage was put
  /// into it on purpose.
  mutating func forgetPromises(of node: NodeID) {
    guard let promises = servers[node]?.promises else { return }
    servers[node]?.lost = LogPosition(index: promises.index, term: promises.term)
    servers[node]?.promises = Promises()
  }

  /// The server's disk has lost what it can get back from others. That is less than a wipe: votes, terms and entries bind
  /// it still. How far the log was known to be committed it may forget: the leader will tell.
  mutating func diskIsDamaged(of node: NodeID, _ isDamaged: Bool) {
    if isDamaged { damagedDisks.insert(node) } else { damagedDisks.remove(node) }
  }

  /// A server starts, with what its disk holds.
  mutating func restored(_ restored: RestoredServer) {
    let node = restored.node
    let server = servers[node] ?? Server()
    let promises = server.promises
    if restored.term < promises.votedTerm
      || (restored.term == promises.votedTerm && promises.votedTerm > 0 && restored.votedFor != promises.votedFor)
    {
      report(
        "votes survive a crash (§5.2)", node,
        "voted for \(promises.votedFor) in term \(promises.votedTerm), came back in term \(restored.term) with a vote for "
          + "\(restored.votedFor ?? 0)")
    }
    if restored.term < promises.hardState.currentTerm {
      report(
        "terms survive a crash (§5.1)", node,
        "term \(promises.hardState.currentTerm) was durable, came back in \(restored.term)")
    }
    if restored.commitIndex < promises.hardState.commitIndex, !damagedDisks.contains(node) {
      report(
        "the commit index survives a crash", node,
        "\(promises.hardState.commitIndex) was durable, came back with \(restored.commitIndex)")
    }
    let isOvertaken = isOvertaken(server, by: restored)
    if restored.baseIndex < promises.index, restored.term(at: promises.index) != promises.term, !isOvertaken {
      report(
        "acknowledged entries survive a crash (§5.3)", node,
        "acknowledged entry \(promises.index) of term \(promises.term); the log came back with "
          + "\(restored.baseIndex)…\(restored.lastIndex), term \(restored.term(at: promises.index).map(String.init) ?? "none") there"
      )
    }
    if restored.commitIndex > committedThrough {
      report(
        "only the committed is taken for committed", node,
        "came back with commit index \(restored.commitIndex); \(committedThrough) were committed")
    }
    // What the damage took of that is known no more, and the leader will tell of it anew.
    if damagedDisks.contains(node) {
      server.promises.hardState.commitIndex = min(promises.hardState.commitIndex, restored.commitIndex)
    }
    if isOvertaken {
      server.promises.index = min(promises.index, restored.lastIndex)
      server.promises.term = restored.term(at: server.promises.index) ?? 0
    }
    server.shadow = Shadow(baseIndex: restored.baseIndex, terms: restored.terms)
    server.role = .follower
    server.term = restored.term
    server.commitIndex = restored.commitIndex
    server.askedTerm = 0
    server.writes = []
    servers[node] = server
  }

  /// A log that was damaged and read anew from others may be another by then, as after appends of a later leader: what was
  /// acknowledged and never committed is overwritten, or gone. There must have been such a leader, or the server must have
  /// entered a term in which no leader can count what it had acknowledged; and every entry that this server held as it
  /// was committed must have come back.
  private func isOvertaken(_ server: Server, by restored: RestoredServer) -> Bool {
    let promises = server.promises
    let isElsewhere = lastLeaderTerm > promises.term || restored.term > server.term
    guard damagedDisks.contains(restored.node), isElsewhere else { return false }
    let through = min(promises.index, committedThrough)
    guard through > restored.baseIndex else { return true }
    return ((restored.baseIndex + 1)...through).allSatisfy { index in
      let committed = committedTerms[Int(index) - 1]
      return server.shadow.term(at: index) != committed || restored.term(at: index) == committed
    }
  }

  /// The disk has this write and all before it.
  mutating func logIsDurable(through token: PersistToken, node: NodeID) {
    let count = servers[node]?.writes.prefix { $0.token <= token }.count ?? 0
    guard count > 0, let hardState = servers[node]?.writes[count - 1].hardState else { return }
    servers[node]?.promises.hardState = hardState
    servers[node]?.writes.removeFirst(count)
  }

  /// Of this write and all before it, the disk has term and vote.
  mutating func promisesAreDurable(through token: PersistToken, node: NodeID) {
    guard let hardState = servers[node]?.writes.last(where: { $0.token <= token })?.hardState else { return }
    servers[node]?.promises.hardState.currentTerm = hardState.currentTerm
    servers[node]?.promises.hardState.votedFor = hardState.votedFor
  }

  // MARK: Turns

  mutating func step(_ step: ServerStep) {
    let node = step.node
    let server = servers[node] ?? Server()
    servers[node] = server
    checkTerms(step, server)
    if let persist = step.output.persist { write(persist, step, server) }
    promise(step, server)
    checkCommitment(step, server)
    if step.role == .leader && (server.role != .leader || server.term != step.term) { elected(step, server) }
    for entry in step.output.committed { checkCommitted(entry, node) }
    server.role = step.role
    server.term = step.term
    server.commitIndex = step.commitIndex
    server.configuration = step.configuration
  }

  private mutating func checkTerms(_ step: ServerStep, _ server: Server) {
    if step.term < server.term { report("terms rise (§5.1)", step.node, "from \(server.term) to \(step.term)") }
    if step.commitIndex < server.commitIndex {
      report("the commit index rises (§5.3)", step.node, "from \(server.commitIndex) to \(step.commitIndex)")
    }
  }

  /// Takes over what goes to the disk: log matching, truncation, a leader's restraint.
  private mutating func write(_ persist: Persist, _ step: ServerStep, _ server: Server) {
    let node = step.node
    if let hardState = persist.hardState { server.writes.append((persist.token, hardState)) }
    if let snapshot = persist.snapshot {
      // What lies behind the snapshot and was not known to be committed is no longer promised.
      if server.promises.index > max(snapshot.index, server.commitIndex), snapshot.index > server.shadow.baseIndex {
        server.promises.index = server.commitIndex
        server.promises.term = server.shadow.term(at: server.commitIndex) ?? 0
      }
      server.shadow.rebase(to: snapshot.index, snapshot.term)
    }
    let wasLeader = server.role == .leader && step.role == .leader && server.term == step.term
    if let from = persist.truncateFrom {
      if wasLeader { report("leader append-only (§5.3)", node, "truncated from \(from) in term \(step.term)") }
      checkTruncation(from: from, step, server)
      server.shadow.truncate(from: from)
      if server.promises.index >= from {
        server.promises.index = from - 1
        server.promises.term = server.shadow.term(at: from - 1) ?? 0
      }
    }
    for entry in persist.entries {
      guard entry.index == server.shadow.lastIndex + 1 else {
        report("logs have no gaps", node, "entry \(entry.index) behind \(server.shadow.lastIndex)")
        return
      }
      checkMatching(entry, previousTerm: server.shadow.terms.last ?? 0, node)
      if entry.kind == .configuration { checkConfiguration(entry, step, server) }
      server.shadow.terms.append(entry.term)
      if entry.kind == .configuration { server.shadow.configurations.append(entry.index) }
    }
  }

  /// Equal index and term: equal entries, and equal terms before them; so, by induction, equal logs up to there.
  private mutating func checkMatching(_ entry: Entry, previousTerm: Term, _ node: NodeID) {
    let hash = xxh64(entry.payload, seed: UInt64(entry.kind.rawValue))
    if let known = seen[entry.index]?.first(where: { $0.term == entry.term }) {
      if known.hash != hash {
        report("log matching (§5.3)", node, "two entries \(entry.index) of term \(entry.term)")
      } else if known.previousTerm != previousTerm {
        report(
          "log matching (§5.3)", node,
          "before entry \(entry.index) of term \(entry.term) stand entries of terms \(known.previousTerm) and \(previousTerm)"
        )
      }
      return
    }
    seen[entry.index, default: []].append(SeenEntry(term: entry.term, previousTerm: previousTerm, hash: hash))
  }

  /// An entry that was committed, by a leader whose term this server knows of, stays.
  private mutating func checkTruncation(from index: LogIndex, _ step: ServerStep, _ server: Server) {
    let through = committed(by: step.term)
    guard index <= through, index <= server.shadow.lastIndex else { return }
    for index in index...min(through, server.shadow.lastIndex)
    where server.shadow.term(at: index) == committedTerms[Int(index) - 1] {
      return report(
        "committed entries are never truncated", step.node,
        "entry \(index) of term \(committedTerms[Int(index) - 1]) in term \(step.term)")
    }
  }

  private mutating func checkConfiguration(_ entry: Entry, _ step: ServerStep, _ server: Server) {
    guard step.role == .leader, entry.term == step.term else { return }
    if let last = server.shadow.configurations.last, last > step.commitIndex {
      report(
        "one configuration change at a time (§6)", step.node,
        "entry \(entry.index) changes the configuration, and \(last) is not committed")
    }
    if server.shadow.term(at: step.commitIndex) != step.term {
      report(
        "no configuration change before the leader's first commit", step.node,
        "entry \(entry.index) in term \(step.term), committed through \(step.commitIndex)")
    }
  }

  /// Notes what messages and durable writes promise.
  private mutating func promise(_ step: ServerStep, _ server: Server) {
    for message in step.output.messages {
      switch message.body {
      case .requestVoteReply(granted: true, preVote: false):
        vote(for: message.to, in: message.term, step.node, server)
      case .requestVote(_, _, preVote: true, _): server.askedTerm = max(server.askedTerm, message.term)
      case .requestVote(_, _, preVote: false, let transfer):
        vote(for: step.node, in: message.term, step.node, server)
        if expectsPreVote, !transfer, server.askedTerm < message.term {
          report("candidates ask before they stand (dissertation §9.6)", step.node, "in term \(message.term)")
        }
      case .appendAccepted(let matchIndex): acknowledged(matchIndex, server)
      default: break
      }
    }
    acknowledged(step.durableIndex, server)
  }

  private mutating func vote(for candidate: NodeID, in term: Term, _ node: NodeID, _ server: Server) {
    if term == server.promises.votedTerm, server.promises.votedFor != candidate {
      report("one vote a term (§5.2)", node, "for \(server.promises.votedFor) and \(candidate) in term \(term)")
    }
    guard term > server.promises.votedTerm else { return }
    server.promises.votedTerm = term
    server.promises.votedFor = candidate
  }

  private func acknowledged(_ index: LogIndex, _ server: Server) {
    guard index > server.promises.index, let term = server.shadow.term(at: index) else { return }
    server.promises.index = index
    server.promises.term = term
  }

  // MARK: The group

  private mutating func elected(_ step: ServerStep, _ server: Server) {
    if let other = leaders[step.term], other != step.node {
      report("election safety (§5.2)", step.node, "servers \(other) and \(step.node) lead in term \(step.term)")
    }
    leaders[step.term] = step.node
    lastLeaderTerm = max(lastLeaderTerm, step.term)
    // Everything committed in earlier terms is in the new leader's log: by log matching the last of it tells.
    let through = committed(by: step.term - 1)
    guard through > server.shadow.baseIndex else { return }
    let term = committedTerms[Int(through) - 1]
    if server.shadow.term(at: through) != term {
      report(
        "leader completeness (§5.4)", step.node,
        "leads term \(step.term) without the committed entry \(through) of term \(term)")
    }
  }

  /// The last entry that a leader of `term` or an earlier one has committed.
  private func committed(by term: Term) -> LogIndex { commitments.last { $0.term <= term }?.through ?? 0 }

  /// What is committed first is committed by a leader, of its own term, and on the disks of a quorum.
  private mutating func checkCommitment(_ step: ServerStep, _ server: Server) {
    guard step.commitIndex > committedThrough else { return }
    // A leader that stepped down in the same turn had committed before.
    guard step.role == .leader || server.role == .leader else {
      return report(
        "only leaders commit", step.node, "a follower takes \(step.commitIndex) for committed; \(committedThrough) are")
    }
    guard let term = server.shadow.term(at: step.commitIndex) else {
      return report("the committed is in the leader's log", step.node, "entry \(step.commitIndex) is not")
    }
    let leaderTerm = step.role == .leader ? step.term : server.term
    if term != leaderTerm {
      report(
        "leaders commit entries of their own term (§5.4.2)", step.node,
        "entry \(step.commitIndex) of term \(term) in term \(leaderTerm)")
    }
    // A configuration takes effect when it is appended, which may have happened in this turn, after the commitment.
    let configurations = [step.configuration, server.configuration]
    if !configurations.contains(where: { isStored(step.commitIndex, term, by: $0) }) {
      report(
        "the committed is on a quorum's disks (§5.3)", step.node,
        "entry \(step.commitIndex) of term \(term), voters \(step.configuration.voters.sorted()); acknowledged: "
          + servers.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.promises.index)" }.joined(separator: ", "))
    }
    for index in (committedThrough + 1)...step.commitIndex {
      committedTerms.append(server.shadow.term(at: index) ?? 0)
    }
    if commitments.last?.term ?? 0 < leaderTerm {
      commitments.append((leaderTerm, step.commitIndex))
    } else {
      commitments[commitments.count - 1].through = step.commitIndex
    }
  }

  private func isStored(_ index: LogIndex, _ term: Term, by configuration: Configuration) -> Bool {
    func majority(of voters: Set<NodeID>) -> Bool {
      let storing = voters.filter { voter in
        guard let server = servers[voter] else { return false }
        // An acknowledgement counts in its leader's term alone; a log that ends with that leader's entry is its log.
        if server.lost.term == term, server.lost.index >= index { return true }
        return server.promises.index >= index && (server.shadow.term(at: index) ?? term) == term
      }
      return storing.count > voters.count / 2
    }
    return majority(of: configuration.voters)
      && (configuration.outgoingVoters.isEmpty || majority(of: configuration.outgoingVoters))
  }

  /// State-machine safety: all servers apply the same entry at an index.
  private mutating func checkCommitted(_ entry: Entry, _ node: NodeID) {
    guard entry.index <= committedThrough else {
      return report("state-machine safety (§5.4.3)", node, "entry \(entry.index) is applied and was never committed")
    }
    let term = committedTerms[Int(entry.index) - 1]
    if term != entry.term {
      report(
        "state-machine safety (§5.4.3)", node,
        "entry \(entry.index) of term \(entry.term) is applied; committed was that of term \(term)")
    }
  }
}
