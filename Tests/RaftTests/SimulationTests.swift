// Many groups in bad weather. TRIREME_RAFT_SEEDS sets how many (a night's run), TRIREME_RAFT_SEED one to look at.

import Glibc
import Testing

@testable import Raft

private func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

private let seeds: [UInt64] = {
  if let seed = number("TRIREME_RAFT_SEED") { return [seed] }
  return Array(1...(number("TRIREME_RAFT_SEEDS") ?? 80))
}()

@Suite struct SimulationTests {
  /// In four portions, which the test runner gives to different cores.
  @Test(arguments: UInt64(0)..<4)
  func aGroupInBadWeatherIsSafeAndRecovers(portion: UInt64) throws {
    var total = (events: 0, committed: 0, reads: 0, crashes: 0, snapshots: 0, terms: 0, changes: 0, wiped: 0)
    for seed in seeds where seeds.count == 1 ? portion == 0 : seed % 4 == portion {
      var simulator = Simulator(seed: seed)
      do {
        try simulator.runToConvergence(units: 3_000)
      } catch {
        Issue.record("seed \(seed): \(error) in \(simulator.weather)")
        return
      }
      total.events += simulator.eventCount
      total.committed += simulator.committed.count
      total.reads += simulator.readsServed
      total.crashes += simulator.crashes
      total.snapshots += simulator.snapshotsInstalled
      total.terms += simulator.leaders.count
      total.changes += simulator.membershipChanges
      total.wiped += simulator.wipedDisks.count
    }
    print("simulated: \(total)")
    if seeds.count >= 60 {
      #expect(total.committed > 1_000 && total.reads > 300 && total.crashes > 10 && total.snapshots > 0)
    }
  }

  @Test func aRunIsReproducedByItsSeed() throws {
    var first = Simulator(seed: 7)
    var second = Simulator(seed: 7)
    try first.run(units: 2_000)
    try second.run(units: 2_000)
    #expect(first.committed == second.committed && first.eventCount == second.eventCount)
  }
}
