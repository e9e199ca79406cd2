// Changes of membership by joint consensus: §6 of the paper, chapter 4 of the dissertation.
//
// A change is an entry that holds the whole configuration and counts from the moment it is in the log. If voters change,
// the entry's configuration is joint; when it is committed, the leader proposes the one it leads to. Learners need no
// quorum of their own and change in one step.

extension Raft {
  /// The configuration as of an entry in memory or the base: what a snapshot at that index is stored with.
  public func configuration(at index: LogIndex) -> Configuration { configurations.configuration(at: index) }

  /// Where the latest configuration stands in the log; the base's index if that is the one.
  public var configurationIndex: LogIndex { configurations.latestIndex }

  /// Whether the latest configuration is committed, and no second step is to follow.
  public var isConfigurationSettled: Bool { configurationIndex <= commitIndex && !configuration.isJoint }

  /// Whether this server was removed from the group, for good: it has seen the removal committed, or was told so.
  public var isRemoved: Bool {
    wasToldRemoved || (configurationIndex <= commitIndex && configuration.hasRemoved(id))
  }

  /// Whether this server may ask for votes. One that its latest configuration leaves out may until that is committed: its
  /// log can be the only one up to date enough to be elected (dissertation §4.2.2).
  var mayCampaign: Bool {
    if isRemoved { return false }
    return configuration.isVoter(id)
      || (configurationIndex > commitIndex && configuration(at: commitIndex).isVoter(id))
  }

  /// Proposes a change of membership. It is done when an entry of the returned term is committed at the returned index,
  /// and the second step with it if `isConfigurationSettled`.
  public mutating func changeMembership(_ steps: [MembershipStep]) throws(MembershipError) -> Proposal {
    if let obstacle = membershipObstacle { throw obstacle }
    appendConfiguration(configuration.entering(try configuration.applying(steps)))
    checkInvariants()
    return Proposal(term: currentTerm, indexes: configurationIndex...configurationIndex)
  }

  /// Why no change may be proposed now, whichever it is; nil: one may.
  public var membershipObstacle: MembershipError? {
    if role != .leader { return .notLeader(leader: leader) }
    if let transfer { return .transferringLeadership(to: transfer.target) }
    // Until then a leader cannot know whether a change of an earlier leader is still to be committed.
    let hasCommittedInTerm = log.term(at: commitIndex) == currentTerm
    if !hasCommittedInTerm && !RaftMutant.configurationTooEarly.isActive { return .tooEarly }
    return isConfigurationSettled || RaftMutant.configurationsOverlap.isActive ? nil : .changeInFlight
  }

  private mutating func appendConfiguration(_ next: Configuration) {
    let now = configuration
    precondition(
      next.isJoint ? !now.isJoint && next.outgoingVoters == now.voters : next.voters == now.voters,
      "voters change through a joint configuration only (§6)")
    appendAsLeader([next.encoded()], kind: .configuration)
    // Fewer may have to agree than before.
    advanceCommitIndex()
    finishConfirmedReadRounds()
  }

  /// An entry was placed in the log: a configuration counts from here on (§6).
  mutating func adopt(_ entry: Entry) {
    guard entry.kind == .configuration else { return }
    guard let next = try? Configuration(decoding: entry.payload) else {
      preconditionFailure("entry \(entry.index) holds a configuration that this version cannot read")
    }
    configurations.append(next, at: entry.index)
    if role == .leader { reconcileFollowers() }
  }

  /// Begins to send to new members. Those that leave are sent to until they know it.
  private mutating func reconcileFollowers() {
    let members = configuration
    followers.removeAll { $0.isLeaving }
    for position in followers.indices { followers[position].isLeaving = !members.isMember(followers[position].id) }
    for peer in peers where position(of: peer) == nil {
      followers.append(Progress(id: peer, nextIndex: lastIndex + 1))
    }
    followers.sort { $0.id < $1.id }
  }

  /// Forgets members that left and have the entry that says so, with the word that it is committed.
  mutating func dismissFollowers() {
    guard followers.contains(where: \.isLeaving), configurationIndex <= commitIndex else { return }
    let (index, log) = (configurationIndex, log)
    followers.removeAll {
      $0.isLeaving && ($0.matchIndex >= index && $0.sentCommit >= index || !$0.canCatchUp(log))
    }
  }

  /// The commit index has moved: takes the second step of a change, or lets go of leadership if it was taken away.
  mutating func continueMembershipChange() {
    guard role == .leader, configurationIndex <= commitIndex else { return }
    if configuration.isJoint {
      appendConfiguration(configuration.leavingJoint())
    } else if !configuration.isVoter(id) {
      stepDownAfterRemoval()
    }
  }

  /// "The leader steps down once it has committed the Cnew log entry" (§6). The best of the others need not wait for a
  /// timeout.
  private mutating func stepDownAfterRemoval() {
    if let best = bestSuccessor() { send(.timeoutNow, to: best) }
    becomeFollower(term: currentTerm, leader: nil)
  }

  /// "Removed servers can disrupt the cluster" (§6): a leader that has committed a removal says so to whoever was removed
  /// and hears nothing of what it says, terms included. True: the message is dealt with.
  mutating func dismissRemoved(_ message: Message) -> Bool {
    if case .removed = message.body {
      // True for all time, whoever says it: ids are not used again.
      wasToldRemoved = true
      if role != .follower { becomeFollower(term: currentTerm, leader: nil) }
      return true
    }
    guard role == .leader, configurationIndex <= commitIndex, configuration.hasRemoved(message.from),
      position(of: message.from) == nil
    else { return false }
    send(.removed, to: message.from)
    return true
  }
}
