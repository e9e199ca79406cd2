// Workloads and invariants on clusters to which nothing, or little, happens: nobody cries wolf.
import Replica
import Simulation
import Testing

@Suite struct WorkloadTests {
  /// Plays all the named workloads for a while, with `trouble` meanwhile, and returns what was found wrong.
  private func play(
    _ names: [String], seed: UInt64, for duration: Duration, nodes: Int = 0,
    trouble: (SimulatedCluster) -> Void = { _ in }
  ) throws -> String? {
    let types = try #require(WorkloadSet.types(names))
    let monitor = InvariantMonitor(following: types.reduce(into: []) { $0.formUnion($1.followed) })
    var options = SimulatedCluster.Options()
    options.nodes = types.map { $0.nodes }.max() ?? 0
    // Beside the servers or in them; never both.
    options.loopsAreRemote = names.contains(RemoteLoopsWorkload.name)
    options.runsLoops = options.nodes > 0 || options.loopsAreRemote
    options.tune = { $0.observer = monitor }
    let cluster = SimulatedCluster(seed: seed, options: options)
    monitor.onViolation = { cluster.violated("\($0)") }
    let load = WorkloadSet(types, cluster, seed: seed)
    cluster.startAll()
    load.start()
    cluster.run(for: duration)
    trouble(cluster)
    load.stop()
    let isSettled = cluster.run(within: .seconds(120)) {
      load.look()
      return load.isSettled
    }
    if let violation = cluster.violation { return violation }
    guard isSettled else { return "not settled: \(load.missing)" }
    #expect(monitor.turns > 0 && monitor.revision > 10)
    return load.verdict(monitor).map { "\($0)" }
  }

  @Test(arguments: WorkloadSet.names)
  func withoutFaultsEveryWorkloadIsContent(name: String) throws {
    let found = try play([name], seed: 3, for: .seconds(20))
    #expect(found == nil)
  }

  @Test func leadersDieAndPowerFailsAndEveryClientIsContent() throws {
    let names = ["registers", "collections", "watches", "counters", "leases"]
    for seed in 1...3 {
      let found = try play(names, seed: UInt64(seed), for: .seconds(10)) { cluster in
        for _ in 0..<4 {
          let victim = cluster.leader ?? 1
          cluster.crash(victim, powerLost: seed % 2 == 0)
          cluster.run(for: .seconds(3))
          cluster.start(victim)
          cluster.run(for: .seconds(2))
        }
      }
      #expect(found == nil, "seed \(seed)")
    }
  }
}
