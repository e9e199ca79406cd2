// What is decided about membership, without anything that runs.

import Raft
import Testing
import World

@testable import Replica

@Suite struct MembershipPlanTests {
  private func view(
    voters: Set<NodeID> = [1, 2, 3], learners: Set<NodeID> = [], spares: Set<NodeID> = [], alive: Set<NodeID>? = nil,
    caughtUp: Set<NodeID> = [], isSettled: Bool = true
  ) -> MembershipView {
    var configuration = Configuration(voters: voters, learners: learners.union(spares))
    for id in configuration.members {
      configuration.contexts[id] =
        Member(id: id, name: "server-\(id)", address: "10.0.0.\(id):1", disk: 100 + id, isSpare: spares.contains(id))
        .context
    }
    return MembershipView(
      leader: 1, configuration: configuration, isSettled: isSettled, alive: alive ?? Set(configuration.members),
      caughtUp: caughtUp)
  }

  private func voters(after plan: MembershipPlan, in view: MembershipView) throws -> Set<NodeID>? {
    guard case .propose(let steps) = plan else { return nil }
    return try view.configuration.applying(steps).voters
  }

  @Test func aNewServerGetsTheNextIDThatWasNeverUsed() throws {
    var group = view()
    group.configuration.lastID = 9
    guard case .propose(let steps) = group.plan(.add(name: "new", address: "a:1", isSpare: true)),
      case .addLearner(10, let context)? = steps.first
    else {
      Issue.record("not added")
      return
    }
    let member = try Member(id: 10, context: context)
    #expect(member.name == "new" && member.isSpare && member.disk == 0)
  }

  @Test func nobodyLooksForAFormerMemberWhereItsSuccessorIs() {
    func peer(_ id: NodeID, _ address: String, isMember: Bool = true) -> Peer {
      let peer = Peer(member: Member(id: id, name: "server", address: address))
      peer.isMember = isMember
      return peer
    }
    func asked(_ peers: [Peer], own: String) -> [NodeID] { ReplicaDriver.reachable(peers, own: own).map(\.id) }
    let former = peer(1, "10.0.0.1:1", isMember: false)
    // One that was removed is told so, where it was, until another is there.
    #expect(asked([peer(2, "10.0.0.2:1"), former], own: "10.0.0.3:1") == [1, 2])
    #expect(asked([peer(4, "10.0.0.1:1"), peer(2, "10.0.0.2:1"), former], own: "10.0.0.3:1") == [2, 4])
    // Who joins reads in the log of a member that the leader, whom it does not know yet, has succeeded: it answers that one.
    #expect(asked([peer(2, "10.0.0.2:1"), peer(9, "10.0.0.2:1", isMember: false)], own: "10.0.0.3:1") == [9])
    // The successor itself, while it reads in the log that its former self is a member.
    #expect(asked([peer(2, "10.0.0.2:1"), peer(1, "10.0.0.1:1"), peer(3, "")], own: "10.0.0.1:1") == [2])
  }

  @Test func askingTwiceForTheSameIsAskingOnce() {
    var group = view(learners: [4])
    let waiting = Member(id: 4, name: "new", address: "a:1")
    group.configuration.contexts[4] = waiting.context
    #expect(group.plan(.add(name: "new", address: "a:1", isSpare: false)) == .done(waiting))
    #expect(view().plan(.promote(2)) == .done(view().configuration.directory[1]))
    var smaller = view(voters: [1, 2])
    smaller.configuration.lastID = 3
    guard case .done(let gone) = smaller.plan(.remove(3)) else {
      Issue.record("not done")
      return
    }
    #expect(gone.id == 3)
  }

  @Test func aLearnerIsPromotedWhenItHasCaughtUpAlsoWhileAnotherMemberIsDown() throws {
    let behind = view(learners: [4], alive: [1, 2, 4])
    #expect(behind.plan(.promote(4)) == .wait(for: "server-4 to catch up"))
    #expect(behind.automaticPromotion() == nil)
    let ready = view(learners: [4], alive: [1, 2, 4], caughtUp: [4])
    #expect(try voters(after: ready.plan(.promote(4)), in: ready) == [1, 2, 3, 4])
    #expect(ready.automaticPromotion() != nil)
    // Not a spare; and not where its vote would be needed and could not be had.
    #expect(view(spares: [4], caughtUp: [4]).automaticPromotion() == nil)
  }

  @Test func nothingLeavesTooFewVotersAlive() {
    let group = view(alive: [1, 2])
    guard case .refuse(let refusal) = group.plan(.remove(2)) else {
      Issue.record("not refused")
      return
    }
    #expect(refusal.kind == .unsafe)
    guard case .refuse(let other) = group.plan(.demote(2)) else {
      Issue.record("not refused")
      return
    }
    #expect(other.kind == .unsafe)
    guard case .propose = group.plan(.remove(3)) else {
      Issue.record("the dead one may go")
      return
    }
  }

  @Test func aLeaderThatIsToGoLetsAnotherLeadFirst() {
    #expect(view().plan(.remove(1)) == .handOver)
    #expect(view().plan(.demote(1)) == .handOver)
    guard case .refuse = view(voters: [1]).plan(.remove(1)) else {
      Issue.record("the last one stays")
      return
    }
  }

  @Test func aLostVoterChangesPlacesWithASpareThatKeepsUpInOneStep() throws {
    let group = view(spares: [4], alive: [1, 2, 4], caughtUp: [4])
    let steps = try #require(group.automaticReplacement(lost: [3]))
    let target = try group.configuration.applying(steps)
    #expect(target.voters == [1, 2, 4] && target.learners == [3])
    #expect(target.member(3)?.isSpare == true && target.member(4)?.isSpare == false)
    #expect(view(spares: [4], alive: [1, 2], caughtUp: []).automaticReplacement(lost: [3]) == nil)
    #expect(view(alive: [1, 2]).automaticReplacement(lost: [3]) == nil)
  }

  @Test func nothingIsProposedWhileAChangeIsUnderWay() {
    let group = view(learners: [4], caughtUp: [4], isSettled: false)
    guard case .wait = group.plan(.remove(3)) else {
      Issue.record("must wait")
      return
    }
    guard case .wait = group.plan(.promote(4)) else {
      Issue.record("must wait")
      return
    }
    #expect(group.automaticPromotion() == nil)
  }

  @Test func aLearnerHasCaughtUpWhenARoundIsShort() {
    let start = MonotonicTime(nanoseconds: 1_000_000_000_000)
    var round = CatchUp(target: 1000, now: start)
    round.observe(matchIndex: 500, lastIndex: 2000, now: start + .seconds(1), limit: .seconds(2))
    #expect(!round.isCaughtUp)
    // The first round took long: another is needed, up to what the log holds now.
    round.observe(matchIndex: 1000, lastIndex: 3000, now: start + .seconds(60), limit: .seconds(2))
    #expect(!round.isCaughtUp)
    round.observe(matchIndex: 3000, lastIndex: 3100, now: start + .seconds(61), limit: .seconds(2))
    #expect(round.isCaughtUp)
    // It stops.
    round.observe(matchIndex: 3000, lastIndex: 9000, now: start + .seconds(70), limit: .seconds(2))
    #expect(!round.isCaughtUp)
  }

  @Test func whatAWriteWaitsForIsDiskAndLoop() {
    let now = MonotonicTime(nanoseconds: 60_000_000_000)
    var pace = Pace()
    for _ in 0..<20 { pace.observeCommit(.milliseconds(2), now: now) }
    for _ in 0..<200 { pace.observeTick(late: .milliseconds(100), now: now) }
    #expect(pace.typicalDelay > .milliseconds(95) && pace.typicalDelay <= .milliseconds(102))
    // One that stood out is forgotten with the next ones.
    for _ in 0..<200 { pace.observeTick(late: .zero, now: now) }
    pace.observeTick(late: .seconds(2), now: now)
    for _ in 0..<100 { pace.observeTick(late: .zero, now: now) }
    #expect(pace.typicalDelay < .milliseconds(3))
  }

  @Test func onePauseOfTheDiskIsNotWhatACommitTakes() {
    let now = MonotonicTime(nanoseconds: 60_000_000_000)
    var pace = Pace()
    for _ in 0..<20 { pace.observeCommit(.milliseconds(2), now: now) }
    pace.observeCommit(.seconds(1), now: now)
    #expect(pace.typicalCommit == .milliseconds(2))
    // Patience counts it all the same: a disk with fsyncs of a second stays a member.
    #expect(pace.electionTimeout(atLeast: .milliseconds(300)) == .seconds(4))
  }

  @Test func aServerThatStoodStillIsNotSlowAfterwards() {
    let floor = Duration.milliseconds(300)
    var now = MonotonicTime(nanoseconds: 60_000_000_000)
    var pace = Pace()
    // What was under way meanwhile has taken as long, and is seen now or a little later.
    pace.observeTick(late: .seconds(5), now: now)
    pace.observe(.milliseconds(5010), now: now)
    pace.observeCommit(.milliseconds(5002), now: now)
    now = now + .milliseconds(400)
    pace.observe(.milliseconds(5020), now: now)
    #expect(pace.electionTimeout(atLeast: floor) == floor)
    #expect(pace.typicalCommit == .milliseconds(2))
    // What has begun since counts.
    pace.observeCommit(.milliseconds(300), now: now)
    #expect(pace.electionTimeout(atLeast: floor) == .milliseconds(1200))
  }

  @Test func aLoopThatIsLateAgainAndAgainIsSlow() {
    let floor = Duration.milliseconds(300)
    let now = MonotonicTime(nanoseconds: 60_000_000_000)
    var pace = Pace()
    for moment in 1...60 {
      if moment % 20 == 0 { pace.observeTick(late: .milliseconds(moment * 10), now: now) }
      #expect(pace.electionTimeout(atLeast: floor) == (moment < 60 ? floor : .milliseconds(800)))
      if moment < 60 { pace.age() }
    }
    // Half a minute later it is forgotten.
    for _ in 0..<60 { pace.age() }
    #expect(pace.electionTimeout(atLeast: floor) == floor)
  }
}

@Suite struct RoundTripTests {
  private func at(_ milliseconds: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: milliseconds * 1_000_000) }

  @Test func aSlowWayCounts() {
    var trips = RoundTrips()
    for moment: UInt64 in [1000, 1050, 1500, 1550] { trips.heard(at(moment)) }
    trips.observe(sent: at(1000), held: .milliseconds(100), now: at(1550))
    #expect(trips.latest == .milliseconds(450))
  }

  @Test func whatAPartitionTookIsNoRoundTrip() {
    // Given a peer that is near, then cut off for thirteen seconds
    var trips = RoundTrips()
    for moment: UInt64 in [1000, 1500] { trips.heard(at(moment)) }
    trips.observe(sent: at(1499), held: .zero, now: at(1500))
    // When what was sent on both sides meanwhile arrives all at once
    for sent: UInt64 in [1500, 2000, 5000, 14_000] {
      trips.heard(at(14_500))
      trips.observe(sent: at(sent), held: .milliseconds(3), now: at(14_500))
    }
    // Then it does not count, and what is sent from now on does
    #expect(trips.latest == .milliseconds(1))
    trips.heard(at(15_002))
    trips.observe(sent: at(15_000), held: .zero, now: at(15_002))
    #expect(trips.latest == .milliseconds(2))
  }
}
