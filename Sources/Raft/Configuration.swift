// Who belongs to the group, and the arithmetic of its majorities, joint configurations (§6) included.

/// The servers of a group. While a change is under way both `voters` (incoming) and `outgoingVoters` must agree to
/// everything (§6, joint consensus); otherwise `outgoingVoters` is empty.
public struct Configuration: Sendable, Hashable {
  /// Servers that vote and count towards a majority.
  public var voters: Set<NodeID>
  /// Voters of the configuration that is being left; empty unless the configuration is joint.
  public var outgoingVoters: Set<NodeID>
  /// Servers that receive the log and do not vote (dissertation §4.2.1). While the configuration is joint, a voter that
  /// is being demoted stands here and among the outgoing voters.
  public var learners: Set<NodeID>
  /// What the driver knows each member by: its name, address, disk. Opaque here, replicated with the configuration, so
  /// that a server learns its peers from its own log.
  public var contexts: [NodeID: [UInt8]]
  /// The highest id that any member ever had. Ids are given in ascending order and never again: what is at or below this
  /// and no member was removed for good.
  public var lastID: NodeID
  /// The version of commands that every member understands. Raised by the driver, never lowered.
  public var version: UInt64

  /// `lastID` nil: the highest of these members.
  public init(
    voters: Set<NodeID>, outgoingVoters: Set<NodeID> = [], learners: Set<NodeID> = [],
    contexts: [NodeID: [UInt8]] = [:], lastID: NodeID? = nil, version: UInt64 = 1
  ) {
    self.voters = voters
    self.outgoingVoters = outgoingVoters
    self.learners = learners
    self.contexts = contexts
    self.lastID = lastID ?? voters.union(outgoingVoters).union(learners).max() ?? 0
    self.version = version
  }

  /// Whether two majorities are needed at present.
  public var isJoint: Bool { !outgoingVoters.isEmpty }

  /// Every server that receives the log, in ascending order.
  public var members: [NodeID] { voters.union(outgoingVoters).union(learners).sorted() }

  /// Whether the server receives the log.
  public func isMember(_ id: NodeID) -> Bool { isVoter(id) || learners.contains(id) }

  /// Whether the server was a member once and is none any more.
  public func hasRemoved(_ id: NodeID) -> Bool { id <= lastID && !isMember(id) }

  /// Nobody else can lead, and nobody else is asked.
  public func isOnlyVoter(_ id: NodeID) -> Bool { voters.count == 1 && voters.contains(id) && outgoingVoters.isEmpty }

  /// Whether the server's vote counts in any of the two majorities.
  public func isVoter(_ id: NodeID) -> Bool { voters.contains(id) || outgoingVoters.contains(id) }

  /// The highest value that a quorum has reached, given what each voter has reached: the rule by which an index is
  /// committed (§5.3) and a round of heartbeats confirms a leader (§8). With no voters at all, zero: nobody can agree.
  func valueReachedByQuorum(_ value: (NodeID) -> UInt64) -> UInt64 {
    let counted = RaftMutant.learnersCount.isActive ? voters.union(learners) : voters
    let incoming = Self.valueReachedByMajority(of: counted, value)
    return isJoint ? min(incoming, Self.valueReachedByMajority(of: outgoingVoters, value)) : incoming
  }

  private static func valueReachedByMajority(of voters: Set<NodeID>, _ value: (NodeID) -> UInt64) -> UInt64 {
    if voters.isEmpty { return 0 }
    let descending = voters.map(value).sorted(by: >)
    return descending[voters.count / 2 - (RaftMutant.commitsWithoutMajority.isActive && voters.count > 2 ? 1 : 0)]
  }

  /// How an election stands, given each voter's answer, or nil where there is none yet.
  func voteResult(_ vote: (NodeID) -> Bool?) -> VoteResult {
    let incoming = Self.majority(of: voters, vote)
    if !isJoint { return incoming }
    let outgoing = Self.majority(of: outgoingVoters, vote)
    if incoming == .lost || outgoing == .lost { return .lost }
    return incoming == .won && outgoing == .won ? .won : .pending
  }

  private static func majority(of voters: Set<NodeID>, _ vote: (NodeID) -> Bool?) -> VoteResult {
    let granted = voters.count { vote($0) == true }
    let rejected = voters.count { vote($0) == false }
    let needed = voters.count / 2 + 1
    if granted >= needed { return .won }
    return voters.count - rejected < needed ? .lost : .pending
  }
}

/// How an election stands.
enum VoteResult: Sendable, Hashable {
  case pending
  case won
  case lost
}
