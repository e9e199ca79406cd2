// Rollouts whose elected server is killed in the middle; `trireme sim --workload rollout` plays the same with a thousand pods.
import Simulation
import Testing

@Suite struct RolloutTests {
  @Test func theElectedServerDiesInTheMiddleOfARollout() throws {
    var run = try #require(RunDescription.builtIn(named: "rollout"))
    run.nodes = 1
    run.safety = .seconds(20)
    let report = SimulationRun(run, seed: 1).play()
    #expect(report.violation == nil)
    #expect(report.faultCounts[.killElected] ?? 0 > 1)
  }
}
