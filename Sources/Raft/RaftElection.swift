// Leader election: §5.2, §5.4.1; pre-vote and check-quorum as in the dissertation, §9.6, §6.2 and §4.2.3.

extension Raft {
  mutating func tickAsFollowerOrCandidate() {
    electionElapsed += 1
    repeatUnansweredReadRequest()
    if let remaining = staggerRemaining { staggerRemaining = remaining - 1 }
    let isDue = electionElapsed >= electionTimeout || staggerRemaining.map { $0 <= 0 } ?? false
    if isDue || role == .follower && configuration.isOnlyVoter(id) { campaign() }
  }

  /// The tick after which time alone gives this server something to do, counted from now: heartbeats, an election, a
  /// question asked again. All before it change counters only; if nothing else happens, they may be counted together.
  public var ticksUntilDue: Int {
    if transfer != nil || role == .follower && configuration.isOnlyVoter(id) { return 1 }
    let timeout = role == .leader ? options.electionTicks : electionTimeout
    let asks = role == .leader || !reads.asking.isEmpty ? options.heartbeatTicks - heartbeatElapsed : .max
    return max(1, min(timeout - electionElapsed, asks, staggerRemaining ?? .max))
  }

  mutating func tickAsLeader() {
    electionElapsed += 1
    heartbeatElapsed += 1
    if transfer != nil { giveUpTransferIfLate() }
    if electionElapsed >= options.electionTicks {
      electionElapsed = 0
      if options.checkQuorum && !heardFromQuorum() { return becomeFollower(term: currentTerm, leader: nil) }
    }
    if heartbeatElapsed >= options.heartbeatTicks {
      heartbeatElapsed = 0
      startReadRound(evenIfManyInFlight: true)
      sendHeartbeats()
    }
  }

  /// Whether a leader was heard from so recently that nobody should replace it: within the shortest timeout of any server
  /// (dissertation §4.2.3). One that is slow and waits longer before it stands itself must not keep the others waiting.
  var hearsFromLeader: Bool {
    options.checkQuorum && leader != nil && (role == .leader || electionElapsed < minimumElectionTicks)
  }

  /// Whether a quorum answered since the last time this was asked.
  private mutating func heardFromQuorum() -> Bool {
    let result = configuration.voteResult { voter in
      voter == id || (followers.first { $0.id == voter }?.isActive ?? false)
    }
    followers.removeAll { $0.isLeaving && !$0.isActive }
    for position in followers.indices { followers[position].isActive = false }
    return result == .won
  }

  mutating func resetElectionTimer() {
    electionElapsed = 0
    heartbeatElapsed = 0
    staggerRemaining = nil
    electionTimeout = (options.electionTicks + generator.next(below: options.electionTicks)) << unansweredElections
  }

  /// The election timeout has passed without a leader.
  mutating func campaign() {
    // Votes that the pre-vote promised have not come in time: disks may be slow. Each try waits twice as long.
    if role == .candidate { unansweredElections = min(unansweredElections + 1, 4) }
    if !mayCampaign {
      resetElectionTimer()
      loseLeader()
    } else if options.preVote && !RaftMutant.preVoteMissing.isActive {
      becomePreCandidate()
    } else {
      becomeCandidate(transfer: false)
    }
  }

  mutating func becomePreCandidate() {
    leaveRole()
    role = .preCandidate
    votes = [id: true]
    for voter in peers where configuration.isVoter(voter) {
      let request = Message.Body.requestVote(
        lastLogIndex: lastIndex, lastLogTerm: log.lastTerm, preVote: true, transfer: false)
      send(request, to: voter, term: currentTerm + 1)
    }
    concludeElection()
  }

  /// "A follower increments its current term, votes for itself and issues RequestVote to each of the other servers." The
  /// requests wait until the vote and the log are stable: if they were lost in a crash after others had voted on the
  /// strength of them, this server could ask again in the same term with a shorter log.
  mutating func becomeCandidate(transfer: Bool) {
    leaveRole()
    role = .candidate
    currentTerm += 1
    votedFor = id
    votes = [:]
    for voter in peers where configuration.isVoter(voter) {
      let request = Message.Body.requestVote(
        lastLogIndex: lastIndex, lastLogTerm: log.lastTerm, preVote: false, transfer: transfer)
      if RaftMutant.candidacyNotDurable.isActive {
        send(request, to: voter)
      } else {
        sendWhenDurable(request, to: voter)
      }
    }
    sendWhenDurable(.requestVoteReply(granted: true, preVote: false), to: id)
  }

  mutating func becomeFollower(term: Term, leader newLeader: NodeID?) {
    precondition(term >= currentTerm, "a term never falls")
    if term > currentTerm {
      currentTerm = term
      votedFor = nil
    }
    leaveRole()
    role = .follower
    leader = newLeader
  }

  private mutating func becomeLeader() {
    unansweredElections = 0
    leaveRole()
    role = .leader
    leader = id
    followers = peers.map { Progress(id: $0, nextIndex: lastIndex + 1) }
    uncommittedBytes = log.cost(from: max(commitIndex, log.baseIndex) + 1, through: lastIndex)
    reads.lastRound = 0
    // An entry of its own, so that everything before it can be committed (§5.4.2) and reads be served (§8). It is sent at
    // once and tells the others who leads, as the first heartbeat of the paper does.
    appendAsLeader([[]], kind: .noOp)
  }

  private mutating func leaveRole() {
    loseLeader()
    followers = []
    uncommittedBytes = 0
    transfer = nil
    snapshotRequests = []
    votes = [:]
    resetElectionTimer()
  }

  /// No leader is known any more; reads that wait for its word will not be answered.
  mutating func loseLeader() {
    leader = nil
    reads.abandon()
  }

  /// A message of the current term's leader has arrived.
  mutating func hear(from sender: NodeID) {
    precondition(leader == nil || leader == sender, "two leaders in one term (election safety, §5.2)")
    if role != .follower { becomeFollower(term: currentTerm, leader: sender) }
    leader = sender
    unansweredElections = 0
    electionElapsed = 0
    staggerRemaining = nil
  }

  /// RequestVote at the receiver: first come, first served, and only to those whose log is not behind (§5.2, §5.4.1).
  mutating func answerVoteRequest(_ message: Message, lastLogIndex: LogIndex, lastLogTerm: Term, preVote: Bool) {
    let isFree = RaftMutant.votesTwice.isActive || votedFor == nil && leader == nil
    let mayVote = votedFor == message.from || isFree || (preVote && message.term > currentTerm)
    let isUpToDate =
      RaftMutant.votesForAnyLog.isActive || log.isUpToDate(lastLogIndex: lastLogIndex, lastLogTerm: lastLogTerm)
    guard mayVote && isUpToDate else {
      send(.requestVoteReply(granted: false, preVote: preVote), to: message.from)
      return
    }
    if preVote {
      send(.requestVoteReply(granted: true, preVote: true), to: message.from, term: message.term)
    } else {
      votedFor = message.from
      electionElapsed = 0
      staggerRemaining = nil
      sendWhenDurable(.requestVoteReply(granted: true, preVote: false), to: message.from)
    }
  }

  mutating func countVote(_ message: Message, granted: Bool, preVote: Bool) {
    switch role {
    case .preCandidate:
      guard preVote && message.term == (granted ? currentTerm + 1 : currentTerm) else { return }
    case .candidate:
      guard !preVote && message.term == currentTerm else { return }
    case .follower, .leader:
      return
    }
    if votes[message.from] == nil { votes[message.from] = granted }
    concludeElection()
  }

  private mutating func concludeElection() {
    switch configuration.voteResult({ votes[$0] }) {
    case .pending: return
    case .lost: becomeFollower(term: currentTerm, leader: nil)
    case .won: if role == .preCandidate { becomeCandidate(transfer: false) } else { becomeLeader() }
    }
  }

  /// The connection with a peer broke. If it is the leader, most likely its process is gone, and every follower learns it
  /// at the same moment: they ask for votes in the order of their ids, the first at once, so that votes do not split.
  /// A mistake costs nothing: those who still hear from the leader do not answer.
  public mutating func peerDisconnected(_ peer: NodeID) {
    peerUnreachable(peer)
    if role == .follower && leader == peer {
      loseLeader()
      let survivors = configuration.members.filter { $0 != peer && configuration.isVoter($0) }
      if let rank = survivors.firstIndex(of: id) {
        if rank == 0 { campaign() } else { staggerRemaining = rank * options.disconnectStaggerTicks }
      }
    }
    checkInvariants()
  }
}
