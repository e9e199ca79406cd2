// Leadership transfer: the dissertation's §3.10.

/// A transfer of leadership under way.
struct Transfer: Sendable {
  var target: NodeID
  var elapsedTicks = 0
  var hasTimeoutNow = false
}

extension Raft {
  /// Hands leadership to a voter: brings its log up to date, then asks it to start an election at once. Proposals fail
  /// until then, or until an election timeout has passed without success.
  public mutating func transferLeadership(to target: NodeID) throws(TransferError) {
    guard role == .leader else { throw .notLeader(leader: leader) }
    if transfer?.target == target { return }
    guard transfer == nil, configuration.voters.contains(target), position(of: target) != nil else {
      throw .unsuitableTarget
    }
    transfer = Transfer(target: target)
    finishTransferIfCaughtUp(target)
    checkInvariants()
  }

  /// Steps down politely: hands leadership to the follower that has most of the log and is alive. Returns it, or nil if
  /// this is no leader, a transfer is under way or there is nobody to hand over to.
  @discardableResult
  public mutating func resign() -> NodeID? {
    guard role == .leader, transfer == nil, let best = bestSuccessor() else { return nil }
    try? transferLeadership(to: best)
    return best
  }

  /// The voter that has most of the log and is alive.
  func bestSuccessor() -> NodeID? {
    let candidates = followers.filter { configuration.voters.contains($0.id) && $0.state == .replicate }
    return candidates.max { $0.matchIndex < $1.matchIndex }?.id
  }

  mutating func finishTransferIfCaughtUp(_ follower: NodeID) {
    guard let current = transfer, current.target == follower, !current.hasTimeoutNow,
      let position = position(of: follower), followers[position].matchIndex == lastIndex
    else { return }
    transfer?.hasTimeoutNow = true
    send(.timeoutNow, to: follower)
  }

  mutating func giveUpTransferIfLate() {
    transfer?.elapsedTicks += 1
    if let current = transfer, current.elapsedTicks >= options.electionTicks { transfer = nil }
  }

  /// Messages to the peer were dropped: finds out what it has before more is sent.
  public mutating func peerUnreachable(_ peer: NodeID) {
    if let position = position(of: peer) { followers[position].becameUnreachable() }
    acknowledged.term = 0
    checkInvariants()
  }
}
