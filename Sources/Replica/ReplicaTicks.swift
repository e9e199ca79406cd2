// The driver's time: ticks that Raft counts, and what is looked after every so many of them.

import Logging
import Raft
import World

extension ReplicaDriver {
  /// Ticks between two publications of the status, and between two claims of the state hash.
  private static let statusTicks: UInt64 = 15
  /// Between two walks over the state in memory, 30 s: a small state would else be hashed ten times a second.
  private static let scrubRestTicks: UInt64 = 3000
  private static let hashTicks: UInt64 = 100
  private static let lookTicks: UInt64 = 3
  /// Whoever waits for something here notices within so many ticks, even if the leader says nothing.
  private static let longestStride = 30
  private static let paceTicks: UInt64 = 50
  private static let reportTicks: UInt64 = 50
  /// So long a report waits for a message that it can go with: longer than from one heartbeat to the next.
  private static let reportPatience: UInt64 = 12
  private static let membershipTicks: UInt64 = 9
  private static let maintenanceTicks: UInt64 = 100

  /// Ticks of which only the last can bring something to do are waited for together: an idle server sleeps longer.
  func scheduleTick() {
    stride = ticksUntilDue
    let due = countedUntil + duration(of: stride)
    tickTimer = world.schedule(after: max(.zero, due - world.now)) { [weak self] in self?.tick() }
  }

  private var ticksUntilDue: Int {
    // Of a member that has gone it is soon to be said, and loops elsewhere wait for that.
    let isWatching = peers.values.contains { $0.disconnectedAt != nil && !$0.isLost }
    if isRepairing || isWatching || stopDeadline != nil { return 1 }
    return min(raft.ticksUntilDue, raft.leader == nil ? options.heartbeatTicks : Self.longestStride)
  }

  private func tick() {
    guard !isStopped else { return }
    tickTimer = nil
    let now = world.now
    // The first one waits for the start, not for a slow loop.
    if ticks > 0 { pace.observeTick(late: lateness(now), now: now) }
    countedUntil = now
    count(stride, now)
    guard !isStopped else { return }
    if let stopDeadline, now >= stopDeadline || raft.role != .leader { return finishStop(nil) }
    turn()
    scheduleTick()
  }

  /// What comes in finds the time counted that has passed, but for the tick that is due: that one has its timer.
  func countTicks() {
    guard tickTimer != nil else { return }
    let now = world.now
    // Sockets may speak before the timer does: what is looked after below must know that this server stood still.
    if ticks > 0 { pace.notePause(late: lateness(now), now: now) }
    guard stride > 1 else { return }
    let passed = min(stride - 1, Int((now - countedUntil).wholeNanoseconds / options.tick.wholeNanoseconds))
    guard passed > 0 else { return }
    countedUntil = countedUntil + duration(of: passed)
    stride -= passed
    count(passed, now)
  }

  /// How long the tick that is waited for has been due.
  private func lateness(_ now: MonotonicTime) -> Duration { now - countedUntil - duration(of: stride) }

  /// As `options.tick * count`, which goes through wider numbers.
  private func duration(of count: Int) -> Duration { .nanoseconds(options.tick.wholeNanoseconds * Int64(count)) }

  /// What came in may be cause for something at an earlier tick.
  func bringTickForward() {
    guard stride > 1, let tickTimer, ticksUntilDue < stride else { return }
    tickTimer.cancel()
    scheduleTick()
  }

  private func count(_ passed: Int, _ now: MonotonicTime) {
    let before = ticks
    for _ in 0..<passed where !isStopped { countTick(now) }
    // It minds the time, which is one and the same for all of these ticks.
    if !isStopped, ticks / Self.lookTicks > before / Self.lookTicks { lookAround(now) }
  }

  private func countTick(_ now: MonotonicTime) {
    ticks += 1
    if ticks % Self.paceTicks == 0 { adaptTimeouts() }
    if !isRepairing { raft.tick() }
    if ticks % Self.reportTicks == 0 {
      askForReports()
      watchPace(now)
    }
    if ticks % Self.reportTicks == Self.reportPatience { sendDueReports() }
    if ticks % Self.membershipTicks == 0 { tendMembership(now) }
    if ticks % Self.maintenanceTicks == 0 { maintainDisk() }
    if isRepairing { stepRepair() }
    if ticks % Self.hashTicks == 0, raft.role == .leader { claimHash() }
    if ticks % Self.statusTicks == 0 {
      if let wrong = stepScrub() { return fail("this server's memory is damaged: \(wrong)") }
      publishStatus()
    }
  }

  /// What waits for too long, and who has gone silent: nothing of it hurries.
  private func lookAround(_ now: MonotonicTime) {
    for answer in proposals.expired(now) { answer.resume(returning: .failure(.timedOut)) }
    for answer in reads.expired(now) { answer.resume(returning: .failure(.timedOut)) }
    // A forwarded command may have been dropped with nobody noticing; in a leader's own log it is safe.
    if raft.role != .leader { proposals.placeAgain(before: now + (.zero - options.retryAfter)) }
    reads.askAgain(before: now + (.zero - options.retryAfter))
    watchDisk(now)
    watchPeers(now)
    watchRemoval(now)
  }

  /// Looks at the next objects in memory, unless the last walk has just ended.
  private func stepScrub() -> String? {
    guard ticks >= scrubDue else { return nil }
    let walks = scrub.completed
    let wrong = scrub.step(machine.map)
    if scrub.completed > walks { scrubDue = ticks + Self.scrubRestTicks }
    return wrong
  }

  /// A server whose disk or loop is slow waits longer for others: a candidate's vote must reach its disk, and a leader
  /// that stood still for a moment is not gone.
  private func adaptTimeouts() {
    if let oldest = logWrites.underWay.first { pace.observe(world.now - oldest.since, now: world.now) }
    pace.observe(quorumRoundTrip, now: world.now)
    let wanted = pace.electionTimeout(atLeast: options.tick * options.electionTicks)
    pace.age()
    let ticks = min(options.maxElectionTicks, Int(wanted.wholeNanoseconds / options.tick.wholeNanoseconds))
    // Small differences are not worth a new random timeout.
    guard abs(ticks - raft.options.electionTicks) > options.electionTicks / 2 else { return }
    logger.info("election timeout", metadata: ["ticks": "\(ticks)"])
    raft.setTimeouts(electionTicks: ticks, heartbeatTicks: options.heartbeatTicks)
  }
}
