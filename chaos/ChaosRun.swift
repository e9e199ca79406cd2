// A run from its first process to its verdict.
import ChaosChecker
import ChaosPlan
import Client
import EventLoop
import Glibc
import JSON
import Schema
import World

struct RunOptions: Sendable {
  var scenario: Scenario
  var duration: Duration
  var faults: Int
  var seed: UInt64
  var kubectl: String
}

struct ChaosRun: Sendable {
  private static let settle = Duration.seconds(60)
  /// Traffic before the first fault and after the last.
  private static let calm = Duration.seconds(2)

  let options: RunOptions
  let plan: ClusterPlan
  let loop: EventLoop

  /// true: nothing happened that must not.
  func run() async throws -> Bool {
    for signal in [SIGINT, SIGTERM] { try stopCluster(on: signal) }
    Terminal.say(
      "Scenario \(options.scenario.name), \(options.faults) faults in \(options.duration.text), seed \(options.seed), "
        + "\(plan.servers) servers\(plan.isOnMachines ? " on machines of their own" : "") in \(plan.home)")
    for (index, planned) in schedule.enumerated() {
      Terminal.say("  \(index + 1). from \(planned.at.text) for \(planned.lasts.text): \(planned.name)")
    }
    do {
      let cluster = try await Cluster.start(plan, on: loop)
      let verdict = try await run(cluster)
      await cluster.down()
      Terminal.say(verdict.text)
      try HTMLReport(verdict: verdict).write(to: "\(plan.home)/report.html")
      Terminal.say("Report: \(plan.home)/report.html    Logs: \(plan.home)/\(plan.isOnMachines ? "logs" : "*/log")")
      return verdict.anomalies.isEmpty
    } catch {
      await Cluster.down(plan, on: loop)
      throw error
    }
  }

  /// An interrupted run leaves no processes behind.
  private func stopCluster(on signal: Int32) throws {
    let (plan, loop) = (plan, loop)
    _ = try SignalSource(signal, on: loop) {
      Terminal.say("Interrupted: stopping the cluster.")
      loop.spawn {
        await Cluster.down(plan, on: loop)
        exit(130)
      }
    }
  }

  private var schedule: [PlannedFault] {
    options.scenario.schedule(count: options.faults, over: options.duration, seed: options.seed)
  }

  private func run(_ cluster: Cluster) async throws -> Verdict {
    let journal = Journal(start: loop.now)
    let kubectl = Kubectl(executable: options.kubectl, plan: plan, loop: loop)
    try await prepare(cluster)
    say(journal, "cluster up; traffic starts")
    let sampler = StatusSampler(cluster: cluster, journal: journal)
    let watches = WatchTraffic.ofRegisters(cluster, journal, seed: options.seed)
    let setWatches = WatchTraffic(
      cluster: cluster, journal: journal, seed: options.seed &+ 1, specs: SetTraffic.watches, into: \.setWatches)
    let sets = SetTraffic(cluster: cluster, journal: journal, seed: options.seed)
    let locks = LockTraffic(cluster: cluster, journal: journal, seed: options.seed)
    let pods = PodTraffic(cluster: cluster, journal: journal, seed: options.seed)
    let registers = RegisterTraffic(cluster: cluster, journal: journal, seed: options.seed)
    let commands = KubectlTraffic(kubectl: kubectl, journal: journal, seed: options.seed)
    let reads = ReadTraffic(cluster: cluster, journal: journal)
    sampler.start()
    if plan.isOnMachines { reads.start() }
    try await watches.start()
    try await setWatches.start()
    try await locks.start()
    registers.start()
    sets.start()
    pods.start()
    commands.start()
    try await loop.sleep(for: Self.calm)

    try await breakThings(cluster, journal, commands)

    try await loop.sleep(for: Self.calm)
    await registers.stop()
    let setEnd = try await sets.stop()
    await locks.stop()
    await reads.stop()
    for anomaly in await pods.stop(patience: Self.settle) { journal.record(anomaly) }
    say(journal, "traffic has stopped; reading everything back")
    let end: Int64
    do { end = try await readBack(cluster, journal) } catch {
      // There is no verdict without it; what was found so far is said.
      for anomaly in journal.all.anomalies { Terminal.say("✗ \(anomaly.title): \(anomaly.evidence)") }
      throw error
    }
    for late in await watches.reach(end, patience: Self.settle) {
      journal.record(Anomaly("a watch does not catch up", evidence: [late]))
    }
    await watches.stop()
    for late in await setWatches.reach(setEnd, patience: Self.settle) {
      journal.record(Anomaly("a watch does not catch up", evidence: [late]))
    }
    await setWatches.stop()
    await sampler.stop()
    await compareStates(cluster, journal)
    await checkWithKubectl(kubectl, journal)
    say(journal, "checking \(journal.all.operations.count) operations")
    return Verdict(
      journal: journal.all, start: journal.start, end: loop.now, lastRevision: end, lastOfSets: setEnd,
      options: options, plan: plan)
  }

  private func say(_ journal: Journal, _ text: String) { Terminal.say("[\((loop.now - journal.start).text)] \(text)") }

  // MARK: Before

  private func prepare(_ cluster: Cluster) async throws {
    let api = cluster.client(of: plan.members[0])
    for name in [
      ChaosObjects.registers, ChaosObjects.kubectl, ChaosObjects.loops, SetTraffic.namespace, LockTraffic.namespace,
      PodTraffic.namespace,
    ] {
      try await api.create(
        .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)]])
    }
    try await api.create(
      .configMaps, namespace: ChaosObjects.registers, RegisterClient.object(ReadTraffic.object, "0"))
    try await api.create(
      .configMaps, namespace: ChaosObjects.loops,
      RegisterClient.object("rot", ChaosObjects.rotMarker, in: ChaosObjects.loops))
    let deployments = [(ChaosObjects.loops, LoopProbe.deployment), (ChaosObjects.kubectl, KubectlTraffic.deployment)]
    for (namespace, name) in deployments {
      try await api.create(
        .deployments, namespace: namespace, LoopProbe.deployment(name, namespace: namespace, replicas: 1))
    }
    for (namespace, name) in deployments {
      try await cluster.wait("Deployment \(name) is ready", patience: Self.settle) {
        try await api.get(.deployments, namespace: namespace, name: name)["status"]["readyReplicas"].integer == 1
      }
    }
  }

  // MARK: Faults

  private func breakThings(_ cluster: Cluster, _ journal: Journal, _ commands: KubectlTraffic) async throws {
    let injector = FaultInjector(
      cluster: cluster, journal: journal, probe: LoopProbe(cluster: cluster), seed: options.seed)
    let schedule = schedule
    let start = loop.now
    for (index, planned) in schedule.enumerated() {
      let wait = planned.at - (loop.now - start)
      if wait > .zero { try await loop.sleep(for: wait) }
      guard loop.now - start < options.duration else {
        say(journal, "time is up; left out: \(schedule.count - index) faults")
        break
      }
      guard try await perform(planned, number: index + 1, injector, journal) else { return await commands.stop() }
    }
    let rest = options.duration - (loop.now - start)
    if rest > .zero { try await loop.sleep(for: rest) }
    await commands.stop()
    guard options.scenario.endsWithKillAll else { return }
    let last = PlannedFault(fault: .killAll, at: .zero, lasts: .milliseconds(500), choice: 0)
    _ = try await perform(last, number: schedule.count + 1, injector, journal)
  }

  /// false: what the fault broke could not be mended, and there is no use in going on.
  private func perform(
    _ planned: PlannedFault, number: Int, _ injector: FaultInjector, _ journal: Journal
  ) async throws -> Bool {
    do {
      let record = try await injector.perform(planned, number: number)
      tell(record, journal)
      return true
    } catch let failure as RunFailure {
      say(journal, "\(number). \(planned.name): \(failure)")
      journal.record(Anomaly("fault \(number), \(planned.name), is not got over", evidence: ["\(failure)"]))
      return false
    }
  }

  private func tell(_ record: FaultRecord, _ journal: Journal) {
    say(journal, journal.edit { Verdict.line(record, $0, start: journal.start, plan) })
  }

  // MARK: After

  /// Reads every register at every server, and writes the sentinel. Returns its revision.
  private func readBack(_ cluster: Cluster, _ journal: Journal) async throws -> Int64 {
    let keys = Set(journal.all.operations.map(\.key))
    for member in plan.members {
      let from = loop.now
      let list = try await cluster.client(of: member).list(.configMaps, namespace: ChaosObjects.registers)
      let to = loop.now
      let found = Dictionary(
        list.items.map { ($0["metadata"]["name"].string ?? "", RegisterClient.version($0)) },
        uniquingKeysWith: { first, _ in first })
      for key in keys.sorted() {
        journal.record(
          key, client: "\(member.name)/list", from: from, to: to, .read, found[key].map { .found($0) } ?? .notFound)
      }
    }
    let sentinel = try await cluster.client(of: plan.members[0]).create(
      .configMaps, namespace: ChaosObjects.registers, RegisterClient.object(ChaosObjects.sentinel, "end"))
    guard let revision = RegisterClient.version(sentinel).revision else {
      throw RunFailure("a created object without resourceVersion")
    }
    return revision
  }

  /// Loops and nodes go on writing; at some moment all servers are asked at the same applied index.
  private func compareStates(_ cluster: Cluster, _ journal: Journal) async {
    let start = loop.now
    while loop.now - start < Self.settle {
      let statuses = await cluster.statuses().compactMap { $0 }
      for status in statuses { journal.record(status, at: loop.now) }
      let indices = Set(statuses.map(\.appliedIndex))
      if statuses.count == plan.members.count && indices.count == 1 {
        say(journal, "all servers at applied index \(statuses[0].appliedIndex): state hash \(statuses[0].stateHash)")
        return
      }
      try? await loop.sleep(for: .milliseconds(20))
    }
    journal.record(Anomaly("the servers were never seen at one applied index within \(Self.settle.text)"))
  }

  /// The view of a user: nodes ready, Deployments converged, every pod running.
  private func checkWithKubectl(_ kubectl: Kubectl, _ journal: Journal) async {
    let checks = [
      ["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s"],
      ["-n", ChaosObjects.kubectl, "scale", "deployment", KubectlTraffic.deployment, "--replicas=3"],
      ["-n", ChaosObjects.kubectl, "rollout", "status", "deployment", KubectlTraffic.deployment, "--timeout=60s"],
      ["-n", ChaosObjects.loops, "rollout", "status", "deployment", LoopProbe.deployment, "--timeout=60s"],
      ["-n", ChaosObjects.loops, "wait", "--for=condition=Ready", "pods", "--all", "--timeout=60s"],
    ]
    for arguments in checks {
      let result = await kubectl.run(arguments)
      say(journal, "kubectl \(arguments.joined(separator: " ")): \((result.to - result.from).text)")
      guard result.outcome != .succeeded else { continue }
      journal.record(
        Anomaly("at the end kubectl \(arguments.joined(separator: " ")) fails", evidence: ["\(result.outcome)"]))
    }
  }
}

extension Duration {
  /// "143 ms", "2.31 s", "4.5 min".
  var text: String {
    let milliseconds = wholeNanoseconds / 1_000_000
    if milliseconds < 1000 { return "\(milliseconds) ms" }
    if milliseconds < 120_000 { return "\(Double(milliseconds / 10) / 100) s" }
    return "\(Double(milliseconds / 6000) / 10) min"
  }
}
