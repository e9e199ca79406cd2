// Linearizable reads without writing to the log: §8 and the dissertation's §6.4 (ReadIndex).
//
// A leader notes its commit index, makes sure by a round of heartbeats that it is still the leader, and the read may be
// served when the state machine has reached that index. All reads of one turn of the loop share a round. A follower asks
// the leader for the index; the answer to one question serves every read that was asked before it.

/// Reads under way at one server.
struct Reads: Sendable {
  struct Request: Sendable {
    var id: ReadID
    /// Who asked: this server or a follower.
    var from: NodeID
  }

  struct Round: Sendable {
    var number: UInt64
    var index: LogIndex
    var requests: [Request]
  }

  let incarnation: UInt64
  private(set) var lastNumber: UInt64 = 0

  // Leader.
  /// Waiting for the next round.
  var waiting: [Request] = []
  /// Rounds whose heartbeats are not answered by a quorum yet, oldest first.
  private(set) var rounds: [Round] = []
  /// The last round that was started in this term of leadership.
  var lastRound: UInt64 = 0

  // Follower.
  /// Waiting for the leader's word, oldest first.
  var asking: [ReadID] = []
  /// The highest number the leader was asked about.
  private(set) var askedNumber: UInt64 = 0

  // Both.
  /// Waiting for the state machine, in no order.
  private(set) var confirmed: [ReadState] = []
  /// Nothing will be heard of these any more.
  var abandoned: [ReadID] = []

  init(incarnation: UInt64) { self.incarnation = incarnation }

  var pendingCount: Int { waiting.count + asking.count + confirmed.count + rounds.reduce(0) { $0 + $1.requests.count } }

  mutating func nextID() -> ReadID {
    if !RaftMutant.readIDReused.isActive || asking.isEmpty && rounds.isEmpty { lastNumber += 1 }
    return ReadID(incarnation: incarnation, number: lastNumber)
  }

  /// The leader starts a round for all reads that wait.
  mutating func startRound(commitIndex: LogIndex) {
    lastRound += 1
    rounds.append(Round(number: lastRound, index: commitIndex, requests: waiting))
    waiting = []
  }

  /// The oldest round, if a quorum answered it or a later one.
  mutating func takeRound(confirmedThrough number: UInt64) -> Round? {
    guard let round = rounds.first, round.number <= number else { return nil }
    rounds.removeFirst()
    return round
  }

  mutating func confirm(_ id: ReadID, index: LogIndex) { confirmed.append(ReadState(id: id, index: index)) }

  /// The leader answered the question with this number.
  mutating func answered(through number: UInt64, index: LogIndex) {
    let count = asking.prefix { $0.number <= number }.count
    for id in asking.prefix(count) { confirm(id, index: index) }
    asking.removeFirst(count)
  }

  /// What to ask the leader, if anything new came since the last question.
  mutating func takeQuestion() -> ReadID? {
    guard let last = asking.last, last.number > askedNumber else { return nil }
    askedNumber = last.number
    return last
  }

  mutating func takeServable(applied: LogIndex) -> [ReadState] {
    if confirmed.isEmpty { return [] }
    let applied = RaftMutant.readsBeforeApplied.isActive ? .max : applied
    let servable = confirmed.filter { $0.index <= applied }
    if !servable.isEmpty { confirmed.removeAll { $0.index <= applied } }
    return servable
  }

  /// The leader is gone: whatever still waits for its word is given up. Followers that asked give up by themselves.
  mutating func abandon() {
    let mine = rounds.flatMap(\.requests) + waiting
    for request in mine where request.id.incarnation == incarnation { abandoned.append(request.id) }
    abandoned += asking
    waiting = []
    rounds = []
    asking = []
  }
}

extension Raft {
  /// Asks for a linearizable read. Its id comes out in `RaftOutput.reads` when it may be served, or in `abandonedReads`.
  public mutating func readIndex() throws(ReadError) -> ReadID {
    guard leader != nil else { throw .noLeader }
    if reads.pendingCount >= options.maxPendingReads { throw .overloaded }
    let read = reads.nextID()
    if role == .leader { reads.waiting.append(Reads.Request(id: read, from: id)) } else { reads.asking.append(read) }
    checkInvariants()
    return read
  }

  /// Starts a round for the reads that wait, unless enough rounds are under way. Not before an entry of this term is
  /// committed: until then the leader does not know what was committed before it (§8).
  mutating func startReadRound(evenIfManyInFlight: Bool) {
    let mayRead = RaftMutant.readsBeforeOwnTerm.isActive || log.term(at: commitIndex) == currentTerm
    if reads.waiting.isEmpty || !mayRead { return }
    if reads.rounds.count >= options.maxReadRoundsInFlight && !evenIfManyInFlight { return }
    reads.startRound(commitIndex: commitIndex)
    sendHeartbeats()
    finishConfirmedReadRounds()
  }

  mutating func finishConfirmedReadRounds() {
    if reads.rounds.isEmpty { return }
    let confirmed = configuration.valueReachedByQuorum { voter in
      voter == id || RaftMutant.readsUnconfirmed.isActive
        ? reads.lastRound : followers.first { $0.id == voter }?.confirmedReadRound ?? 0
    }
    while let round = reads.takeRound(confirmedThrough: confirmed) {
      for request in round.requests {
        if request.from == id {
          reads.confirm(request.id, index: round.index)
        } else {
          send(.readIndexReply(request.id, index: round.index), to: request.from)
        }
      }
    }
  }

  mutating func answerReadRequest(_ read: ReadID, from sender: NodeID) {
    // Followers that get no answer ask again.
    guard role == .leader, reads.pendingCount < options.maxPendingReads else { return }
    reads.waiting.append(Reads.Request(id: read, from: sender))
  }

  mutating func readConfirmed(_ read: ReadID, index: LogIndex, from sender: NodeID) {
    guard role == .follower, leader == sender, read.incarnation == reads.incarnation else { return }
    reads.answered(through: read.number, index: index)
  }

  mutating func askLeaderForReads() {
    guard role == .follower, let leader, let question = reads.takeQuestion() else { return }
    send(.readIndex(question), to: leader)
  }

  /// Question or answer may be lost: asks again once an interval of heartbeats.
  mutating func repeatUnansweredReadRequest() {
    heartbeatElapsed += 1
    if heartbeatElapsed < options.heartbeatTicks { return }
    heartbeatElapsed = 0
    guard role == .follower, let leader, let first = reads.asking.first, first.number <= reads.askedNumber else {
      return
    }
    send(.readIndex(ReadID(incarnation: reads.incarnation, number: reads.askedNumber)), to: leader)
  }
}
