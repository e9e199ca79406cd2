// From the journal to anomalies and figures.
import ChaosChecker
import ChaosPlan
import World

struct Verdict: Sendable {
  /// A fault's effect on survivors is looked for from the fault until this much later.
  private static let gapWindow = Duration.seconds(3)
  /// A cut connection belongs to a fault this much before or after it: clients reconnect, the load balancer notices.
  private static let grace = Duration.seconds(3)
  private static let resumptionAim = Duration.milliseconds(300)
  private static let loopAim = Duration.seconds(1)

  let journal: Journal.Content
  let start: MonotonicTime
  let end: MonotonicTime
  let options: RunOptions
  let plan: ClusterPlan
  let anomalies: [Anomaly]
  /// Of each fault with survivors, in order.
  let gaps: [Duration]

  init(
    journal: Journal.Content, start: MonotonicTime, end: MonotonicTime, lastRevision: Int64, lastOfSets: Int64,
    options: RunOptions, plan: ClusterPlan
  ) {
    self.journal = journal
    self.start = start
    self.end = end
    self.options = options
    self.plan = plan
    gaps = journal.faults.filter(\.fault.sparesMajority).compactMap { Self.gap($0, journal, plan) }
    anomalies =
      journal.anomalies
      + RegisterChecker(journal.operations, start: start).check()
      + WatchChecker(journal.watches, operations: journal.operations, end: lastRevision).check()
      + SetTraffic.check(journal, end: lastOfSets)
      + LockChecker.check(holds: journal.holds, writes: journal.fencedWrites)
      + Self.unexcused(journal, start) + Self.failedCommands(journal, start)
  }

  /// The longest time without a successful write at any one survivor of the fault.
  static func gap(_ fault: FaultRecord, _ journal: Journal.Content, _ plan: ClusterPlan) -> Duration? {
    survivorGap(fault, journal, plan, \.writes)
  }

  private static func survivorGap(
    _ fault: FaultRecord, _ journal: Journal.Content, _ plan: ClusterPlan,
    _ successes: KeyPath<Journal.Content, [String: [MonotonicTime]]>
  ) -> Duration? {
    // Who is left without a majority survives nothing.
    guard fault.fault.sparesMajority else { return nil }
    return plan.members.map(\.name).filter { !fault.servers.contains($0) }.compactMap { server in
      gap(fault, journal, journal[keyPath: successes][server] ?? [], journal.outages.filter { $0.server == server })
    }.max()
  }

  /// Through the load balancer no server's outage is an excuse. While it is down itself, there is no way through it,
  /// unless another takes its address over: how long that takes is the point.
  private static func balancerGap(
    _ fault: FaultRecord, _ journal: Journal.Content,
    _ successes: KeyPath<Journal.Content, [String: [MonotonicTime]]>
  ) -> Duration? {
    let ownOutages = fault.fault == .failOver ? [] : journal.outages.filter { $0.server == Machines.balancer }
    return journal[keyPath: successes][Machines.balancer].flatMap { gap(fault, journal, $0, ownOutages) }
  }

  /// The longest times without a success, at survivors and through the load balancer.
  func gaps(of fault: FaultRecord) -> (
    writes: Duration?, reads: Duration?, balancerWrites: Duration?, balancerReads: Duration?
  ) {
    (
      Self.gap(fault, journal, plan), Self.survivorGap(fault, journal, plan, \.reads),
      Self.balancerGap(fault, journal, \.writes), Self.balancerGap(fault, journal, \.reads)
    )
  }

  private static func gap(
    _ fault: FaultRecord, _ journal: Journal.Content, _ successes: [MonotonicTime], _ outages: [Outage]
  ) -> Duration? {
    let nextFault = journal.faults.lazy.map(\.at).filter { $0 > fault.at }.min()
    return Availability.longestGap(
      successes, from: fault.at, to: max(fault.at + gapWindow, fault.over ?? fault.at), nextFault: nextFault,
      outages: outages)
  }

  /// A client of a server that lives sees slow answers at worst; one that comes through the load balancer may see its
  /// connection cut when something falls.
  private static func unexcused(_ journal: Journal.Content, _ start: MonotonicTime) -> [Anomaly] {
    let accidents = journal.outages.filter { !$0.isPlanned }
    let found = journal.problems.filter { problem in
      if problem.server == Machines.balancer {
        return !Availability.excuses(accidents, server: nil, from: problem.from, to: problem.to, grace: grace)
      }
      return !Availability.excuses(
        journal.outages, server: problem.server, from: problem.from, to: problem.to, grace: .milliseconds(500))
    }
    return Dictionary(grouping: found, by: \.server).sorted { $0.key < $1.key }.map { server, problems in
      Anomaly(
        "\(problems.count) requests failed at \(server) while it lived",
        evidence: problems.prefix(8).map {
          "\(($0.from - start).text) to \(($0.to - start).text): \($0.what)"
        })
    }
  }

  private static func failedCommands(_ journal: Journal.Content, _ start: MonotonicTime) -> [Anomaly] {
    let accidents = journal.outages.filter { !$0.isPlanned }
    return journal.commands.compactMap { command in
      let evidence = ["\((command.from - start).text) to \((command.to - start).text): \(command.text)"]
      switch command.outcome {
      case .succeeded: return nil
      case .failed(let why):
        // Without the load balancer there is no way in.
        let isExcused = Availability.excuses(
          accidents, server: Machines.balancer, from: command.from, to: command.to, grace: grace)
        return isExcused ? nil : Anomaly("kubectl failed: \(why)", evidence: evidence)
      case .connectionCut:
        let isExcused = Availability.excuses(
          accidents, server: nil, from: command.from, to: command.to, grace: grace)
        return isExcused ? nil : Anomaly("kubectl's connection was cut though no server fell", evidence: evidence)
      }
    }
  }

  // MARK: Figures

  private var writes: [RegisterOperation] {
    journal.operations.filter { if case .done = $0.operation.action.answer { true } else { false } }
  }

  var latencies: [Duration] {
    writes.compactMap { write in write.operation.returned.map { $0 - write.operation.invoked } }
  }

  /// Of each leader that was killed: from then until a write that was sent later was done, through any survivor. Gaps at
  /// one survivor depend on how often its clients write.
  private var firstWrites: [Duration] {
    journal.faults.filter { $0.fault == .killLeader }.compactMap { fault in
      let entrances = Set(plan.members.map(\.name)).subtracting(fault.servers)
      return writes.lazy.filter { write in
        write.operation.invoked >= fault.at && entrances.contains(String(write.operation.client.prefix { $0 != "/" }))
      }.compactMap { $0.operation.returned }.min().map { $0 - fault.at }
    }
  }

  /// Of each planned work, the write that took longest while it was done.
  private var slowestWrites: [Duration] {
    journal.faults.filter(\.fault.isPlannedWork).compactMap { fault in
      writes.compactMap { write -> Duration? in
        guard let returned = write.operation.returned, returned >= fault.at,
          write.operation.invoked <= fault.over ?? fault.at
        else { return nil }
        return returned - write.operation.invoked
      }.max()
    }
  }

  private func count(_ answer: RegisterAnswer) -> Int {
    journal.operations.count { $0.operation.action.answer == answer }
  }

  var text: String {
    var lines = ["", "Faults"]
    for fault in journal.faults { lines.append("  \(line(fault))") }
    lines += ["", "Figures"] + figures.map { "  \($0.name): \($0.value)" }
    lines += ["", anomalies.isEmpty ? "No anomaly." : "\(anomalies.count) ANOMALIES"]
    for anomaly in anomalies.prefix(20) {
      lines.append("  ✗ \(anomaly.title)")
      lines += anomaly.evidence.map { "      \($0)" }
    }
    if anomalies.count > 20 { lines.append("  … and \(anomalies.count - 20) more, in the report") }
    return lines.joined(separator: "\n")
  }

  func line(_ fault: FaultRecord) -> String { Self.line(fault, journal, start: start, plan) }

  static func line(
    _ fault: FaultRecord, _ journal: Journal.Content, start: MonotonicTime, _ plan: ClusterPlan
  ) -> String {
    func part(_ name: String, _ value: Duration?) -> String { value.map { ", \(name) \($0.text)" } ?? "" }
    return
      "\(fault.number). at \((fault.at - start).text) \(fault.name): \(fault.servers.isEmpty ? "" : fault.servers.joined(separator: ", ") + " ")"
      + "(term \(fault.term))" + part("longest gap of a survivor", gap(fault, journal, plan))
      + part("of its reads", survivorGap(fault, journal, plan, \.reads))
      + part("of writes through the load balancer", balancerGap(fault, journal, \.writes))
      + part("of reads through it", balancerGap(fault, journal, \.reads))
      + part("new leader after", fault.newLeader) + part("pod bound after", fault.podBound)
      + part("ReplicaSet acted after", fault.replicaSetActed)
      + part("all back after", fault.over.map { $0 - fault.at })
      + part("scheduler and controllers acted after another", fault.loopsResumed)
  }

  var figures: [(name: String, value: String)] {
    let commands = journal.commands
    let cut = commands.count { $0.outcome == .connectionCut }
    let events = journal.watches.map { "\($0.events.count)" }.joined(separator: ", ")
    let resumptions = journal.watches.reduce(0) { sum, log in
      sum + log.items.count { if case .resumed = $0 { true } else { false } }
    }
    let gone = (journal.watches + journal.setWatches).reduce(0) { $0 + $1.stretches.count - 1 }
    let bound = journal.faults.compactMap(\.podBound)
    let acted = journal.faults.compactMap(\.replicaSetActed)
    let planned = slowestWrites
    let times: [(name: String, value: String)] = [
      (
        "first write through a survivor after the leader was killed",
        Self.summary(firstWrites, aim: Self.resumptionAim, at: 0.99, "p99")
      ),
      ("longest gap between successful writes on a survivor, per fault", Self.summary(gaps, aim: nil, at: 1, "max")),
      ("new pod bound after the fault", Self.summary(bound, aim: Self.loopAim, at: 1, "max")),
      ("ReplicaSet acted after the fault", Self.summary(acted, aim: Self.loopAim, at: 1, "max")),
      ("latency of successful writes", Self.summary(latencies, aim: nil, at: 1, "max")),
      ("slowest write during planned work", Self.summary(planned, aim: nil, at: 1, "max")),
    ]
    let counts: [(name: String, value: String)] = [
      (
        "register operations",
        "\(journal.operations.count): \(writes.count) writes done, \(count(.conflict)) conflicts, "
          + "\(count(.unknown)) without an answer"
      ),
      (
        "kubectl commands",
        "\(commands.count): \(commands.count { $0.outcome == .succeeded }) succeeded, \(cut) had their connection cut"
      ),
      (
        "the set",
        "\(journal.setOperations.count) operations, \(journal.lists.count) lists in "
          + "\(journal.lists.reduce(0) { $0 + $1.pages.count }) pages (\(journal.lists.count(where: \.isComplete)) to the "
          + "end), "
          + journal.setWatches.map { "\($0.name): \($0.events.count) events" }.joined(separator: ", ")
      ),
      ("the lock", "\(journal.holds.count) reigns, \(journal.fencedWrites.count) writes under a fence"),
      ("pods scheduled under load", "\(journal.podsSeen.count)"),
      ("watches", "\(events) events seen; opened \(resumptions) times; history was gone \(gone) times"),
      ("state hashes compared at equal applied index", "\(journal.hashesCompared)"),
    ]
    return times.filter { $0.value != Self.nothing } + counts + availability
  }

  /// For each kind of fault the longest times without a success.
  private var availability: [(name: String, value: String)] {
    Dictionary(grouping: journal.faults, by: \.name).sorted { $0.key < $1.key }.compactMap { name, faults in
      func longest(_ what: String, _ gap: (FaultRecord) -> Duration?) -> String? {
        faults.compactMap(gap).max().map { "\(what) \($0.text)" }
      }
      let parts = [
        longest("writes") { Self.gap($0, journal, plan) },
        longest("reads") { Self.survivorGap($0, journal, plan, \.reads) },
        longest("through the load balancer writes") { Self.balancerGap($0, journal, \.writes) },
        longest("reads") { Self.balancerGap($0, journal, \.reads) },
      ]
      let text = parts.compactMap { $0 }.joined(separator: ", ")
      return text.isEmpty ? nil : ("nothing succeeded: \(name) (\(faults.count))", text)
    }
  }

  private static let nothing = "none"

  private static func summary(_ values: [Duration], aim: Duration?, at fraction: Double, _ name: String) -> String {
    guard let p50 = Availability.percentile(values, 0.5), let p99 = Availability.percentile(values, 0.99),
      let maximum = values.max(), let judged = Availability.percentile(values, fraction)
    else { return nothing }
    let aimText = aim.map { " (aim: \(name) < \($0.text): \(judged < $0 ? "met" : "missed"))" } ?? ""
    return "p50 \(p50.text), p99 \(p99.text), max \(maximum.text) of \(values.count)\(aimText)"
  }
}
