// One run: a seed, a description, a verdict. First faults strike and nothing wrong may be seen (safety); then they stop,
// and within a bound everything must be well again (liveness).
import Client
import HTTP
import JSON
import Raft
import Replica
import Schema
import World

/// What came of a run.
public struct RunReport: Sendable {
  public var name: String
  public var seed: UInt64
  public var violation: String?
  /// The servers' and fate's last words.
  public var journal: [String]
  public var traceHash: UInt64
  public var events: UInt64
  public var steps: UInt64
  public var virtualTime: Duration
  /// How often which faults have struck.
  public var faultCounts: [FaultKind: Int]
  /// Requests of clients, kubelets and control loops over the network that were answered.
  public var answered: UInt64

  public var faults: Int { faultCounts.values.reduce(0, +) }
}

/// Runs are confined to one thread.
public final class SimulationRun {
  public let description: RunDescription
  public let seed: UInt64
  public let cluster: SimulatedCluster
  private let injector: FaultInjector
  private let monitor: InvariantMonitor
  private let workloads: WorkloadSet
  /// How often it is looked whether all is well again: the look is what takes real time.
  private static let lookInterval = Duration.milliseconds(20)

  public init(_ description: RunDescription, seed: UInt64) {
    self.description = description
    self.seed = seed
    // What a run is made of is drawn apart from what happens in it.
    var choice = SeededRandom(seed: seed ^ 0x5452_4952_454d_4500)
    var names = description.workloads
    if let drawn = description.drawnWorkloads {
      names.shuffle(using: &choice)
      names = Array(names.prefix(drawn))
    }
    guard let types = WorkloadSet.types(names) else { preconditionFailure("a workload of the run is unknown") }
    let monitor = InvariantMonitor(following: types.reduce(into: []) { $0.formUnion($1.followed) })
    self.monitor = monitor
    var options = SimulatedCluster.Options()
    var drawn = DrawnSettings(&choice)
    // Drawn apart: a run's words change nothing else of what its seed means.
    var tightness = SeededRandom(seed: seed ^ 0x5449_4748_5400)
    drawn.tighten(description.tightLimits, &tightness)
    let settings = drawn
    options.tune = { replica in
      settings.apply(to: &replica)
      replica.observer = monitor
    }
    options.servers = choice.pick(description.servers) ?? 3
    options.disk = choice.pick(description.disks) ?? .memory
    options.nodes = types.reduce(description.nodes) { max($0, $1.nodes) }
    options.runsLoops = description.runsLoops
    options.loopsAreRemote = description.loopsAreRemote
    cluster = SimulatedCluster(seed: seed, options: options)
    cluster.network.latency = description.latency
    workloads = WorkloadSet(types, cluster, seed: seed)
    workloads.environment.think = description.think
    monitor.onViolation = { [unowned cluster] in cluster.violated("\($0)") }
    injector = FaultInjector(cluster, description.faults, monitor: monitor)
    cluster.onOpening = { [unowned injector] in injector.serverOpens($0) }
    cluster.onRefusedDisk = { [unowned monitor] in monitor.foundDamaged("\($1)", node: $0.id) }
    monitor.onInstalled = { [unowned injector] in injector.snapshotWasInstalled(by: $0) }
    cluster.journal.note(
      "\(description.name): \(options.servers) servers, disks \(options.disk.rawValue), \(names.joined(separator: " ")), seed \(seed)"
    )
  }

  /// Plays it to its end.
  public func play() -> RunReport {
    let begun = cluster.simulator.now
    cluster.startAll()
    workloads.start()
    injector.start()
    cluster.run(for: description.safety)
    if cluster.violation == nil { recover() }
    return RunReport(
      name: description.name, seed: seed, violation: cluster.violation, journal: cluster.journal.lines,
      traceHash: cluster.simulator.traceHash, events: cluster.simulator.tracedEvents, steps: cluster.simulator.steps,
      virtualTime: cluster.simulator.now - begun, faultCounts: injector.counts,
      answered: cluster.network.answered)
  }

  // MARK: Liveness

  private func recover() {
    injector.stop()
    workloads.stop()
    cluster.journal.note("faults are over")
    let probe = WriteProbe(cluster)
    var nextLook = cluster.simulator.now
    var hasBeenWell = false
    let isWell = cluster.run(within: description.liveness) {
      guard !hasBeenWell, probe.isDone, cluster.simulator.now >= nextLook else { return hasBeenWell }
      nextLook = cluster.simulator.now + Self.lookInterval
      workloads.look()
      hasBeenWell = workloads.isSettled && hasConverged
      return hasBeenWell
    }
    if isWell, let found = workloads.verdict(monitor) { cluster.violated("\(found)") }
    if !isWell, cluster.violation == nil {
      var missing = probe.isDone ? disagreement : "no write succeeded through \(probe.missing)"
      if probe.isDone, !workloads.isSettled { missing = workloads.missing }
      cluster.violated("not well again \(description.liveness) after the last fault: \(missing)")
    }
  }

  private var hasConverged: Bool {
    let views = cluster.remaining.map { $0.inspect { ($0.raft.commitIndex, $0.appliedIndex, $0.stateHash) } }
    guard let first = views.first ?? nil else { return false }
    return !injector.isChanging && injector.troubled.isEmpty && cluster.leader != nil
      && views.allSatisfy { $0.map { $0 == first && $0.0 == $0.1 } ?? false }
  }

  private var disagreement: String {
    cluster.remaining.map { server in
      let view = server.inspect {
        "term \($0.raft.currentTerm) \($0.raft.role) commit \($0.raft.commitIndex) applied \($0.appliedIndex) hash \($0.stateHash)"
      }
      return "\(server.name): \(view ?? "dead") \(server.stoppedBecause ?? "")"
    }.joined(separator: "; ")
  }
}

/// Writes once through every server.
private final class WriteProbe: @unchecked Sendable {
  private(set) var missing: [NodeID]
  var isDone: Bool { missing.isEmpty }

  init(_ cluster: SimulatedCluster) {
    missing = cluster.remaining.map(\.id)
    for server in cluster.remaining {
      cluster.spawn { await self.write(cluster, server.id) }
    }
  }

  private func write(_ cluster: SimulatedCluster, _ id: NodeID) async {
    let client = cluster.client(server: id)
    let object: JSONValue = [
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": ["generateName": "probe-", "namespace": "default"],
    ]
    while missing.contains(id) {
      // Taken away by a change that was under way.
      if cluster.server(id).isRetired { return missing.removeAll { $0 == id } }
      do {
        try await client.create(.configMaps, namespace: "default", object)
        missing.removeAll { $0 == id }
      } catch {
        try? await cluster.clientWorld.sleep(for: .milliseconds(250))
      }
    }
  }
}
