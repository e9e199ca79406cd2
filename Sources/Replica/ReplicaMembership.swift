// The driver and its group: who belongs to it, what operators ask for, and what a leader does about it by itself.

import Logging
import Raft
import World

/// Changes of membership under way, and what a leader watches to decide about them.
struct MembershipDesk {
  typealias Answer = CheckedContinuation<Result<Member, MembershipRefusal>, Never>
  enum Origin {
    case here(Answer)
    case peer(NodeID)
  }
  struct Request {
    var id: UInt64
    var origin: Origin
    var change: MembershipChange
    var deadline: MonotonicTime
    /// When which leader was asked.
    var asked: (leader: NodeID, at: MonotonicTime)?
  }
  /// Changes that may wait at one server.
  static let capacity = 64
  /// How long a leader works on a follower's request before the follower must ask again.
  static let patience = Duration.seconds(5)

  var requests: [Request] = []
  var catchUp: [NodeID: CatchUp] = [:]
  /// The configuration that the driver has acted on: index and term of its entry, and when it was last looked at
  /// (`Raft.configurationChanges`).
  var followed: (index: LogIndex, term: Term)?
  var followedChanges: UInt64?
  /// The latest configuration has no place for this server, though it had one before.
  var isLeftOut = false
  /// Reports that were heard, and what was found to be as members say: after so many, of that configuration.
  var reportsHeard: UInt64 = 0
  var confirmed: (changes: UInt64, reports: UInt64)?
  /// The members as of `Raft.configurationChanges`.
  var directory: (changes: UInt64, members: [Member])?
  /// What the transport was told.
  var announced: [Member] = []
  /// Since when this server knows that it was removed.
  var removedSince: MonotonicTime?
  /// Checks in a row that found this leader much slower than another server.
  var slowChecks = 0
  var lastHandOver: MonotonicTime?
}

extension ReplicaDriver {
  // MARK: The directory

  /// Whether a frame of these disks is heard. A server whose disk is not the one that the group knows under its id has
  /// forgotten what it promised; it must neither be counted nor go on (DIVERGENCE.md of Raft).
  func admits(_ peer: NodeID, fromDisk: UInt64, toDisk: UInt64) -> Bool {
    if toDisk != 0, disk != 0, toDisk != disk {
      fail(
        "this disk is not the one that the group knows server \(options.node) by: it was wiped or replaced. "
          + "Remove the member, then let the server join anew under another id")
      return false
    }
    guard let known = peers[peer], known.member.disk != 0, fromDisk != 0, fromDisk != known.member.disk else {
      peers[peer]?.isForeign = false
      return true
    }
    if !known.isForeign {
      logger.error(
        "a server with another disk uses a member's id: it is not heard", metadata: ["member": "\(peer)"])
    }
    known.isForeign = true
    return false
  }

  /// Every member of the latest configuration, in ascending order of ids.
  var directory: [Member] {
    if let known = desk.directory, known.changes == raft.configurationChanges { return known.members }
    let members = raft.configuration.directory
    desk.directory = (raft.configurationChanges, members)
    return members
  }

  /// Whether this server was removed for good.
  var isRemoved: Bool { (raft.wasToldRemoved || desk.isLeftOut) && raft.isRemoved }

  /// Another Raft has taken the place of the one before: nothing is known of its configuration.
  func forgetConfiguration() {
    desk.followedChanges = nil
    desk.directory = nil
    desk.confirmed = nil
  }

  /// Acts on the latest configuration: who is a peer, and where.
  func followConfiguration() {
    guard desk.followedChanges != raft.configurationChanges else { return }
    desk.followedChanges = raft.configurationChanges
    desk.isLeftOut = raft.configuration.hasRemoved(options.node)
    let index = raft.configurationIndex
    let entry = (index, raft.term(at: index) ?? 0)
    guard desk.followed.map({ $0 != entry }) ?? true else { return }
    desk.followed = entry
    let configuration = raft.configuration
    for member in configuration.directory where member.id != options.node {
      var member = member
      if member.address.isEmpty, let known = options.members.first(where: { $0.id == member.id }) { member = known }
      if peers[member.id] == nil { peers[member.id] = Peer(member: member) }
      peers[member.id]?.member = member
      peers[member.id]?.isMember = true
    }
    for (id, peer) in peers where peer.isMember && !configuration.isMember(id) && !configuration.voters.isEmpty {
      peers[id]?.isMember = false
      peers[id]?.contactUntil = world.now + Peer.contactTime
    }
    announcePeers()
    if status.leadership.isLeader {
      logger.info(
        "membership",
        metadata: [
          "members": "\(configuration.directory.map { "\($0.name) \(configuration.role(of: $0.id))" })"
        ])
    }
  }

  /// Tells the transport, if there is news.
  func announcePeers() {
    let known = Self.reachable(peers.values, own: ownMember.address)
    guard known != desk.announced else { return }
    desk.announced = known
    transport.update(peers: known)
  }

  /// Whom to connect to. A member that has taken its own place, with a new disk and a new id, has the address of its former
  /// self: who looked there for the former one would be refused by the new one, or by itself, and each refused connection
  /// that ends would look like a leader that went. The newest counts, member or not: to a server that joins, and reads the
  /// group's history from its beginning, those of the past are members, and the leader that sends it is not yet one.
  static func reachable(_ peers: some Collection<Peer>, own: String) -> [Member] {
    var newest: [String: Member] = [:]
    for member in peers.map(\.member) where !member.address.isEmpty && member.address != own {
      if let other = newest[member.address], other.id > member.id { continue }
      newest[member.address] = member
    }
    return newest.values.sorted { $0.id < $1.id }
  }

  /// Somebody who is no member speaks: a leader to a server that joins, a candidate of a newer configuration, a server that
  /// was removed. Answered for a while, in bounded number.
  func noteContact(_ id: NodeID) {
    guard peers[id] == nil, peers.values.count(where: { !$0.isMember }) < Peer.maxContacts else { return }
    let contact = Peer(member: Member(id: id, name: "", address: ""))
    contact.isMember = false
    contact.contactUntil = world.now + Peer.contactTime
    peers[id] = contact
  }

  private func forgetContacts(_ now: MonotonicTime) {
    for (id, peer) in peers where !peer.isMember && peer.contactUntil.map({ $0 < now }) ?? false {
      if let heard = peer.lastHeard, now - heard < Peer.contactTime { continue }
      peers[id] = nil
    }
    announcePeers()
  }

  // MARK: Reports

  /// Everyone is told of this server with the next message to it: of itself a report would wake both up.
  func askForReports() {
    for peer in peers.values { peer.isReportDue = true }
    forgetContacts(world.now)
  }

  /// To whom nothing else was to be said.
  func sendDueReports() {
    for (id, peer) in peers.sorted(by: { $0.key < $1.key }) where peer.isReportDue { sendReport(to: id) }
  }

  func sendReport(to peer: NodeID) { _ = transport.send([reportFrame(to: peer)], to: peer, lane: .control) }

  /// What this server says of itself now.
  func reportFrame(to peer: NodeID) -> [UInt8] {
    peers[peer]?.isReportDue = false
    let now = world.now
    var report = PeerReport(member: ownMember)
    report.commitMicroseconds = UInt64(max(0, pace.typicalDelay.wholeNanoseconds / 1000))
    report.stamp = now.nanoseconds
    report.promised = peers[peer]?.promised ?? HeardPromise()
    if let last = peers[peer]?.report, let at = peers[peer]?.reportedAt {
      report.echo = last.stamp
      report.heldNanoseconds = UInt64(max(0, (now - at).wholeNanoseconds))
    }
    return frame(.report(report), to: peer)
  }

  /// This server as it knows itself.
  var ownMember: Member {
    let listed = raft.configuration.member(options.node)
    return Member(
      id: options.node, name: options.name.isEmpty ? listed?.name ?? "" : options.name,
      address: options.address.isEmpty ? listed?.address ?? "" : options.address, disk: disk,
      version: options.commandVersion,
      isSpare: listed?.isSpare ?? false)
  }

  /// A leader tells of commits only what this server has acknowledged to it: when that is not there, it was forgotten.
  func hasForgotten(_ message: Message) -> HeardPromise? {
    guard case .heartbeat(let leaderCommit, _) = message.body, message.term >= raft.currentTerm,
      leaderCommit > raft.lastIndex
    else { return nil }
    return HeardPromise(term: message.term, acknowledgedTerm: message.term, acknowledgedIndex: leaderCommit)
  }

  func stopForgetting(_ promised: HeardPromise, to peer: NodeID) {
    fail(
      "this server has forgotten what it promised server \(peer) (term \(promised.term), entry "
        + "\(promised.acknowledgedIndex)): its disk was set back to an earlier state, or does not keep what it "
        + "says it has synced. Remove the member, then let the server join anew with an empty folder, on a disk that can be trusted"
    )
  }

  func receive(_ report: PeerReport, from peer: NodeID) {
    let now = world.now
    guard report.member.id == peer, let known = peers[peer] else { return }
    if !isRepairing, report.promised.exceeds(currentTerm: raft.currentTerm, lastIndex: raft.lastIndex) {
      return stopForgetting(report.promised, to: peer)
    }
    desk.reportsHeard += 1
    known.report = report
    known.reportedAt = now
    if report.echo != 0 {
      known.trips.observe(
        sent: MonotonicTime(nanoseconds: report.echo), held: .nanoseconds(Int64(clamping: report.heldNanoseconds)),
        now: now)
    }
    if !known.isMember || known.member.address.isEmpty {
      known.member.name = report.member.name
      known.member.address = report.member.address
    }
    announcePeers()
  }

  /// The time in which a quorum answers, as far as the way there goes.
  var quorumRoundTrip: Duration {
    let voters = raft.configuration.voters.filter { $0 != options.node }
    let trips = voters.compactMap { peers[$0]?.roundTrip }.sorted()
    let others = (voters.count + 1) / 2
    return others > 0 && trips.count >= others ? trips[others - 1] : .zero
  }

  // MARK: Requests

  /// Takes a change that was asked for at this server.
  func changeMembership(_ change: MembershipChange, timeout: Duration, _ answer: MembershipDesk.Answer) {
    guard !isStopped else {
      return answer.resume(
        returning: .failure(MembershipRefusal(.stopped, status.stopped ?? "the server is stopping")))
    }
    guard desk.requests.count < MembershipDesk.capacity else {
      return answer.resume(returning: .failure(MembershipRefusal(.timedOut, "too many changes of membership wait")))
    }
    desk.requests.append(
      MembershipDesk.Request(
        id: world.randomBits(), origin: .here(answer), change: change, deadline: world.now + timeout))
    serveRequests(world.now)
    scheduleTurn()
  }

  func receive(_ change: MembershipChange, id: UInt64, from peer: NodeID) {
    // The same question again: it is being worked on.
    guard !desk.requests.contains(where: { $0.id == id }), desk.requests.count < MembershipDesk.capacity else { return }
    desk.requests.append(
      MembershipDesk.Request(
        id: id, origin: .peer(peer), change: change, deadline: world.now + MembershipDesk.patience))
    serveRequests(world.now)
  }

  func receive(_ result: Result<Member, MembershipRefusal>, id: UInt64, from peer: NodeID) {
    guard let position = desk.requests.firstIndex(where: { $0.id == id }),
      case .here(let answer) = desk.requests[position].origin
    else { return }
    if case .failure(let refusal) = result, refusal.kind == .notLeader || refusal.kind == .timedOut {
      // Ask again, whoever leads then.
      desk.requests[position].asked?.at = world.now + (.zero - options.retryAfter) + .milliseconds(100)
      return
    }
    desk.requests.remove(at: position)
    answer.resume(returning: result)
  }

  /// Does what can be done for every change that waits.
  func serveRequests(_ now: MonotonicTime) {
    guard !desk.requests.isEmpty else { return }
    for request in desk.requests {
      guard let result = serve(request, now) else { continue }
      desk.requests.removeAll { $0.id == request.id }
      switch request.origin {
      case .here(let answer): answer.resume(returning: result)
      case .peer(let peer): reply(.membershipReply(id: request.id, result), to: peer)
      }
    }
  }

  private func serve(_ request: MembershipDesk.Request, _ now: MonotonicTime) -> Result<Member, MembershipRefusal>? {
    var reason = "a leader"
    if raft.role == .leader {
      switch membershipView(now).plan(request.change) {
      case .done(let member): return .success(member)
      case .refuse(let refusal): return .failure(refusal)
      case .propose(let steps):
        propose(steps, "an operator")
        reason = "the change to be committed"
      case .handOver:
        raft.resign()
        reason = "another server to lead"
      case .wait(let what): reason = what
      }
    } else if case .peer = request.origin {
      return .failure(MembershipRefusal(.notLeader, "this server does not lead"))
    } else if let leader = raft.leader, leader != options.node {
      ask(leader, request, now)
      reason = "the leader's answer"
    }
    return now < request.deadline
      ? nil : .failure(MembershipRefusal(.timedOut, "membership: waited too long for \(reason)"))
  }

  private func ask(_ leader: NodeID, _ request: MembershipDesk.Request, _ now: MonotonicTime) {
    if let asked = request.asked, asked.leader == leader, now - asked.at < options.retryAfter { return }
    guard let position = desk.requests.firstIndex(where: { $0.id == request.id }) else { return }
    desk.requests[position].asked = (leader, now)
    reply(.membershipRequest(id: request.id, request.change), to: leader)
  }

  /// At the end.
  func refuseRequests(_ reason: String) {
    for request in desk.requests {
      if case .here(let answer) = request.origin {
        answer.resume(returning: .failure(MembershipRefusal(.stopped, reason)))
      }
    }
    desk.requests = []
  }

  // MARK: The leader

  private func membershipView(_ now: MonotonicTime) -> MembershipView {
    let configuration = raft.configuration
    let alive = configuration.members.filter { $0 == options.node || silence(of: $0, now) < options.aliveWithin }
    // Who cannot read the commands that the others write must not be counted on.
    let readable = directory.filter { $0.version >= configuration.version }.map(\.id)
    return MembershipView(
      leader: options.node, configuration: configuration,
      isSettled: raft.membershipObstacle == nil,
      alive: Set(alive), caughtUp: Set(desk.catchUp.filter { $0.value.isCaughtUp }.keys).intersection(readable))
  }

  /// How long a member has not been heard by this leader.
  private func silence(of member: NodeID, _ now: MonotonicTime) -> Duration {
    guard let peer = peers[member], !peer.isForeign else { return .seconds(1 << 30) }
    guard let heard = peer.lastHeard else { return now - leadershipBegan + options.aliveWithin }
    return now - heard
  }

  private func propose(_ steps: [MembershipStep], _ reason: String) {
    do throws(MembershipError) {
      _ = try raft.changeMembership(steps)
      logger.info("membership changes", metadata: ["reason": "\(reason)", "steps": "\(steps.count)"])
      scheduleTurn()
    } catch {
      // Another is under way, or leadership moves: whoever wants it tries again.
      logger.debug("membership does not change yet", metadata: ["error": "\(error)"])
    }
  }

  /// Serves requests, and as the leader does what needs no operator.
  func tendMembership(_ now: MonotonicTime) {
    if raft.role == .leader { observeLearners(now) } else { desk.catchUp = [:] }
    serveRequests(now)
    guard raft.membershipObstacle == nil else { return }
    if let steps = directoryCorrections() { return propose(steps, "what members say of themselves") }
    // The rest is about learners.
    guard !raft.configuration.learners.isEmpty else { return }
    let view = membershipView(now)
    if options.promotesLearners, let steps = view.automaticPromotion() {
      propose(steps, "a learner has caught up")
    } else if let limit = options.replacesLostVoterAfter {
      let lost = view.configuration.voters.sorted().filter {
        $0 != options.node && min(silence(of: $0, now), now - leadershipBegan) > limit
      }
      if let steps = view.automaticReplacement(lost: lost) { propose(steps, "a voter is gone and a spare stands by") }
    }
  }

  private func observeLearners(_ now: MonotonicTime) {
    let learners = raft.configuration.learners
    for id in desk.catchUp.keys where !learners.contains(id) { desk.catchUp[id] = nil }
    for id in learners {
      guard let progress = raft.progress(of: id) else { continue }
      if desk.catchUp[id] == nil { desk.catchUp[id] = CatchUp(target: raft.lastIndex, now: now) }
      desk.catchUp[id]?.observe(
        matchIndex: progress.matchIndex, lastIndex: raft.lastIndex, now: now, limit: options.catchUpRound)
    }
  }

  /// What members say of themselves and the directory does not: a disk seen for the first time, another address, a newer
  /// version; and the version that all of them have in common.
  private func directoryCorrections() -> [MembershipStep]? {
    let seen = (raft.configurationChanges, desk.reportsHeard)
    guard desk.confirmed.map({ $0 != seen }) ?? true else { return nil }
    let configuration = raft.configuration
    var steps: [MembershipStep] = []
    var versions: [UInt64] = []
    for listed in directory {
      var said = listed
      let known =
        listed.id == options.node
        ? ownMember : peers[listed.id].flatMap { $0.isForeign ? nil : $0.report?.member }
      let fallback = configuration.member(listed.id) == nil ? options.members.first { $0.id == listed.id } : nil
      if let word = known ?? fallback {
        if !word.name.isEmpty { said.name = word.name }
        if !word.address.isEmpty { said.address = word.address }
        said.version = word.version
        if said.disk == 0 { said.disk = word.disk }
      }
      versions.append(said.version)
      if said != listed { steps.append(.update(listed.id, context: said.context)) }
    }
    let common = versions.min() ?? 0
    if steps.isEmpty, common > configuration.version { steps = [.raiseVersion(common)] }
    guard steps.isEmpty else { return steps }
    desk.confirmed = seen
    return nil
  }

  /// A leader that is much slower than another server lets that one lead. Noise and single pauses do not count: it must
  /// have been so for a while, and leadership does not move again soon.
  func watchPace(_ now: MonotonicTime) {
    guard raft.role == .leader, now - leadershipBegan > options.slowLeaderPause else {
      desk.slowChecks = 0
      return
    }
    let own = pace.typicalDelay
    let others = raft.configuration.voters.filter { $0 != options.node && silence(of: $0, now) < options.aliveWithin }
    let best = others.compactMap { id in peers[id]?.report.map { (id, Duration.microseconds($0.commitMicroseconds)) } }
      .min { ($0.1, $0.0) < ($1.1, $1.0) }
    guard own > options.slowLeaderCommit, let best, best.1 * 4 < own else {
      desk.slowChecks = 0
      return
    }
    desk.slowChecks += 1
    guard desk.slowChecks >= options.slowLeaderChecks else { return }
    desk.slowChecks = 0
    logger.warning(
      "this leader's disk or loop is slower than another's: leadership is handed over",
      metadata: ["commit": "\(pace.typicalCommit)", "delay": "\(own)", "to": "\(best.0)", "itsDelay": "\(best.1)"])
    try? raft.transferLeadership(to: best.0)
  }

  /// This server was removed: what waits may still leave, then it ends.
  func watchRemoval(_ now: MonotonicTime) {
    guard isRemoved else { return }
    if let since = desk.removedSince {
      if now - since > .milliseconds(500) {
        fail(
          "server \(options.node) was removed from the group: to take part again, it must join anew with an empty disk")
      }
    } else {
      desk.removedSince = now
      logger.warning("this server was removed from the group")
    }
  }
}

extension Replica {
  /// Changes who belongs to the group; may be asked of any server. Returns the member concerned when the change is
  /// committed. A server that is removed stops by itself; one that is added waits to be sent the log.
  public func changeMembership(
    _ change: MembershipChange, timeout: Duration = .seconds(60)
  ) async throws(MembershipRefusal) -> Member {
    let result = await withCheckedContinuation { answer in
      submit(.control { $0.changeMembership(change, timeout: timeout, answer) })
    }
    return try result.get()
  }
}
