// Breaks servers, brings them back, and writes both down.
import ChaosChecker
import ChaosPlan
import EventLoop
import Glibc
import World

struct FaultInjector: Sendable {
  private static let electionPatience = Duration.seconds(60)
  /// To be ready and level with the leader again.
  private static let recoveryPatience = Duration.seconds(120)

  let cluster: Cluster
  let journal: Journal
  let probe: LoopProbe
  let seed: UInt64

  /// Performs a fault, waits until it is over and everything has recovered, and returns what came of it.
  func perform(_ planned: PlannedFault, number: Int) async throws -> FaultRecord {
    let leader = try await leadingServer()
    let leading = cluster.plan.members.firstIndex { $0.name == leader.server } ?? 0
    let count = cluster.plan.members.count
    let target = planned.fault.target(leader: leading, servers: count, choice: planned.choice)
    let companion = planned.companion.map { fault in
      // Another number: chance picks its own server.
      (fault, fault.target(leader: leading, servers: count, choice: planned.choice >> 8))
    }
    let victims = Set(target.victims + (companion?.1.victims ?? [])).sorted().map { cluster.plan.members[$0] }
    let at = cluster.loop.now
    noteOutages(planned, victims, at)
    let breakage = Breakage(
      cluster: cluster, journal: journal, seed: seed &+ UInt64(number), choice: planned.choice, lasts: planned.lasts,
      recovered: recovered)
    let work = planned.fault.isPlannedWork
    var mends = work ? [] : [try await breakage.strike(planned.fault, target)]
    if let companion { mends.append(try await breakage.strike(companion.0, companion.1)) }
    var record = FaultRecord(
      number: number, fault: planned.fault, name: planned.name, servers: victims.map(\.name), term: leader.term, at: at)

    // In a rolling restart everybody falls once.
    let canBeAsked = planned.fault.sparesMajority && planned.fault != .restartRolling
    let survivors =
      canBeAsked ? cluster.plan.members.indices.filter { !victims.contains(cluster.plan.members[$0]) } : []
    let topples = planned.fault.topplesLeader
    async let measured = measure(number, at, survivors, oldTerm: topples ? leader.term : nil)
    if work { await perform(planned, leading) }
    try await cluster.loop.sleep(for: planned.lasts)
    for mend in mends.reversed() { try await mend() }
    try await recovered()
    let over = cluster.loop.now
    journal.edit { content in
      for index in content.outages.indices where content.outages[index].to == nil { content.outages[index].to = over }
    }
    record.over = over
    var outcome = await measured
    if survivors.isEmpty {
      // Nobody could be asked before: the loops are measured from the return of the servers.
      outcome = await probe.measure(
        number, since: over, survivors: Array(cluster.plan.members.indices), oldTerm: nil)
      record.loopsResumed = [outcome.podBound, outcome.replicaSetActed].compactMap { $0 }.max()
      (outcome.podBound, outcome.replicaSetActed) = (nil, nil)
    }
    record.podBound = outcome.podBound
    record.replicaSetActed = outcome.replicaSetActed
    record.newLeader = outcome.newLeader
    let (finished, anomalies) = (record, outcome.anomalies)
    journal.edit { content in
      content.anomalies += anomalies
      content.faults.append(finished)
    }
    return record
  }

  private func noteOutages(_ planned: PlannedFault, _ victims: [ClusterPlan.Member], _ at: MonotonicTime) {
    // Without a majority nobody can be served.
    var broken = (planned.fault.sparesMajority ? victims : cluster.plan.members).map(\.name)
    if [planned.fault, planned.companion].contains(where: { $0 == .killBalancer || $0 == .failOver }) {
      broken.append(Machines.balancer)
    }
    let names = broken
    journal.edit { content in
      for name in names { content.outages.append(Outage(server: name, from: at)) }
    }
  }

  /// What an operator does has to succeed.
  private func perform(_ planned: PlannedFault, _ leading: Int) async {
    do {
      try await Maintenance(cluster: cluster, journal: journal).perform(
        planned.fault, leader: leading, choice: planned.choice, lasts: planned.lasts,
        recovered: recovered)
    } catch {
      journal.record(Anomaly("an operator cannot \(planned.fault)", evidence: ["\(error)"]))
    }
  }

  private func measure(_ number: Int, _ at: MonotonicTime, _ survivors: [Int], oldTerm: Int64?) async
    -> LoopProbe.Outcome
  {
    guard !survivors.isEmpty else { return LoopProbe.Outcome() }
    return await probe.measure(number, since: at, survivors: survivors, oldTerm: oldTerm)
  }

  private func leadingServer() async throws -> ServerStatus {
    let start = cluster.loop.now
    while cluster.loop.now - start < Self.electionPatience {
      if let leader = await cluster.leader() { return leader }
      try await cluster.loop.sleep(for: .milliseconds(20))
    }
    throw RunFailure("no server says that it leads within \(Self.electionPatience)")
  }

  /// Every server answers, one leads, and none is behind what that one had committed.
  @Sendable private func recovered() async throws {
    try await cluster.wait("every server is back and caught up", patience: Self.recoveryPatience) {
      let statuses = await cluster.statuses().compactMap { $0 }
      guard statuses.count == cluster.plan.members.count, let leader = statuses.first(where: \.isLeader) else {
        return false
      }
      // A round later nobody is behind the commit of this one.
      let now = await cluster.statuses().compactMap { $0 }
      return now.count == cluster.plan.members.count && now.allSatisfy { $0.appliedIndex >= leader.commitIndex }
    }
  }
}
