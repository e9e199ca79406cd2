// What a change of membership makes of a configuration (§6; dissertation chapter 4), and the configurations of a log.

/// One step of a change. Several may be proposed together: a replacement promotes one server and removes another.
public enum MembershipStep: Sendable, Hashable {
  /// A new server begins to receive the log. Its id must be higher than any that was ever used.
  case addLearner(NodeID, context: [UInt8])
  /// A learner becomes a voter.
  case promote(NodeID)
  /// A voter becomes a learner.
  case demote(NodeID)
  case remove(NodeID)
  /// The driver knows a member by something else now.
  case update(NodeID, context: [UInt8])
  /// Every member understands commands of this version.
  case raiseVersion(UInt64)
}

/// Why a change of membership was not accepted. In each case nothing was placed in the log.
public enum MembershipError: Error, Sendable, Hashable {
  /// Send it to the leader, if one is known.
  case notLeader(leader: NodeID?)
  /// Leadership is being handed over: wait for the next leader.
  case transferringLeadership(to: NodeID)
  /// The leader has not committed an entry of its own term yet: an earlier leader's change may still come to light.
  case tooEarly
  /// Another change is not committed yet.
  case changeInFlight
  case unknownMember(NodeID)
  /// A promoted server must be a learner, a demoted one a voter.
  case unsuitableRole(NodeID)
  /// The server is a member already, or its id was used by one that was removed.
  case idWasUsed(NodeID)
  /// Nobody would be left to vote.
  case noVoters
  case nothingToChange
}

extension Configuration {
  /// The configuration that these steps lead to.
  public func applying(_ steps: [MembershipStep]) throws(MembershipError) -> Configuration {
    var target = self
    for step in steps { try target.apply(step) }
    if target.voters.isEmpty { throw .noVoters }
    if target == self { throw .nothingToChange }
    return target
  }

  private mutating func apply(_ step: MembershipStep) throws(MembershipError) {
    switch step {
    case .addLearner(let id, let context):
      if id <= lastID { throw .idWasUsed(id) }
      learners.insert(id)
      contexts[id] = context
      lastID = id
    case .promote(let id):
      try requireMember(id)
      if learners.remove(id) == nil { throw .unsuitableRole(id) }
      voters.insert(id)
    case .demote(let id):
      try requireMember(id)
      if voters.remove(id) == nil { throw .unsuitableRole(id) }
      learners.insert(id)
    case .remove(let id):
      try requireMember(id)
      voters.remove(id)
      learners.remove(id)
      contexts[id] = nil
    case .update(let id, let context):
      try requireMember(id)
      contexts[id] = context
    case .raiseVersion(let version):
      self.version = max(self.version, version)
    }
  }

  private func requireMember(_ id: NodeID) throws(MembershipError) { if !isMember(id) { throw .unknownMember(id) } }

  /// The first step to `target`: if other servers vote there, the joint configuration in which both must agree (§6).
  func entering(_ target: Configuration) -> Configuration {
    if target.voters == voters { return target }
    var joint = target
    joint.outgoingVoters = voters
    for id in voters where joint.contexts[id] == nil { joint.contexts[id] = contexts[id] }
    return joint
  }

  /// The second step: the configuration that a joint one leads to.
  func leavingJoint() -> Configuration {
    var target = self
    target.outgoingVoters = []
    for id in outgoingVoters where !target.isMember(id) { target.contexts[id] = nil }
    return target
  }
}

/// The configurations that a log holds, each with the index of its entry; the first is the base's. "A server always uses
/// the latest configuration in its log, regardless of whether the entry is committed" (§6).
struct ConfigurationHistory: Sendable {
  private var items: [(index: LogIndex, configuration: Configuration)]

  init(base: LogIndex, _ configuration: Configuration) { items = [(base, configuration)] }

  var latest: Configuration { items[items.count - 1].configuration }
  var latestIndex: LogIndex { items[items.count - 1].index }

  /// The configuration as of an entry that is not below the base.
  func configuration(at index: LogIndex) -> Configuration {
    (items.last { $0.index <= index } ?? items[0]).configuration
  }

  mutating func append(_ configuration: Configuration, at index: LogIndex) {
    precondition(index > latestIndex, "configurations follow each other along the log")
    items.append((index, configuration))
  }

  /// Entries from this index on were replaced: what they said does not count any more.
  mutating func truncate(from index: LogIndex) {
    precondition(index > items[0].index, "the base's configuration is never taken back")
    items.removeAll { $0.index >= index }
  }

  /// The log begins behind this index now.
  mutating func compact(through index: LogIndex) {
    items.removeFirst(items.lastIndex { $0.index <= index } ?? 0)
  }
}
