import ChaosChecker
// Breaks servers, brings them back, and writes both down.
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

  /// Performs a fault, waits until it is over and everything has recovered, and returns what came of it.
  func perform(_ planned: PlannedFault, number: Int) async throws -> FaultRecord {
    let leader = try await leadingServer()
    let members = victims(planned.fault, leader: leader, number: number)
    let signal = planned.fault == .pauseLeader ? SIGSTOP : SIGKILL
    let at = cluster.loop.now
    for member in members { try cluster.signal(signal, member) }
    journal.edit { content in
      for member in members { content.outages.append(Outage(server: member.name, from: at)) }
    }
    var record = FaultRecord(
      number: number, fault: planned.fault, servers: members.map(\.name), term: leader.term, at: at)

    let survivor = cluster.plan.members.firstIndex { !members.contains($0) }
    let leaderFell = planned.fault != .killFollower
    async let measured = measure(number, at, survivor, oldTerm: leaderFell ? leader.term : leader.term - 1)
    try await cluster.loop.sleep(for: planned.lasts)
    if planned.fault == .pauseLeader {
      for member in members { try cluster.signal(SIGCONT, member) }
    } else {
      try await cluster.up()
    }
    try await recovered()
    let over = cluster.loop.now
    journal.edit { content in
      for index in content.outages.indices where content.outages[index].to == nil { content.outages[index].to = over }
    }
    record.over = over
    var outcome = await measured
    if survivor == nil {
      // Nobody could be asked before: the loops are measured from the return of the servers.
      outcome = await probe.measure(number, since: over, survivor: 0, oldTerm: leader.term)
      record.loopsResumed = [outcome.podBound, outcome.replicaSetActed].compactMap { $0 }.max()
      (outcome.podBound, outcome.replicaSetActed, outcome.newLeader) = (nil, nil, nil)
    }
    record.podBound = outcome.podBound
    record.replicaSetActed = outcome.replicaSetActed
    record.newLeader = leaderFell ? outcome.newLeader : nil
    let (finished, anomalies) = (record, outcome.anomalies)
    journal.edit { content in
      content.anomalies += anomalies
      content.faults.append(finished)
    }
    return record
  }

  private func measure(_ number: Int, _ at: MonotonicTime, _ survivor: Int?, oldTerm: Int64) async
    -> LoopProbe.Outcome
  {
    guard let survivor else { return LoopProbe.Outcome() }
    return await probe.measure(number, since: at, survivor: survivor, oldTerm: oldTerm)
  }

  private func leadingServer() async throws -> ServerStatus {
    let start = cluster.loop.now
    while cluster.loop.now - start < Self.electionPatience {
      if let leader = await cluster.leader() { return leader }
      try await cluster.loop.sleep(for: .milliseconds(20))
    }
    throw RunFailure("no server says that it leads within \(Self.electionPatience)")
  }

  private func victims(_ fault: Fault, leader: ServerStatus, number: Int) -> [ClusterPlan.Member] {
    switch fault {
    case .killLeader, .pauseLeader: return cluster.plan.members.filter { $0.name == leader.server }
    case .killFollower:
      let followers = cluster.plan.members.filter { $0.name != leader.server }
      return [followers[number % followers.count]]
    case .killAll: return cluster.plan.members
    }
  }

  /// Every server answers, one leads, and none is behind what that one had committed.
  private func recovered() async throws {
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
