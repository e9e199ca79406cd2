// Power that goes in the middle of what a server's disk does.
import Client
import JSON
import Replica
import Storage
import Testing
import World

@testable import Simulation

@Suite struct PowerLossTests {
  /// What was seen from within a cut.
  private final class Cut: @unchecked Sendable {
    var world: String?
    var operations: UInt64 = 0
    var wasAlive = false
  }

  @Test func aServerDiesInTheMiddleOfAJobAndItsDiskIsWhole() throws {
    // Given a group over production's stores
    let monitor = InvariantMonitor()
    var options = SimulatedCluster.Options()
    options.disk = .sqlite
    options.tune = { $0.observer = monitor }
    let cluster = SimulatedCluster(seed: 21, options: options)
    monitor.onViolation = { cluster.violated("\($0)") }
    cluster.startAll()
    #expect(cluster.run(within: .seconds(10)) { cluster.leader != nil })
    let client = cluster.client()
    cluster.spawn {
      var number = 0
      while true {
        number += 1
        let object: JSONValue = [
          "apiVersion": "v1", "kind": "ConfigMap",
          "metadata": ["name": .string("c-\(number)"), "namespace": "default"],
        ]
        _ = try? await client.create(.configMaps, namespace: "default", object)
        try? await cluster.clientWorld.sleep(for: .milliseconds(20))
      }
    }
    for round in 0..<40 as Range<UInt64> {
      // when the power of one goes with an operation on its files
      let server = cluster.server(1 + round % 3)
      let disk = try #require(server.disk as? SQLiteDisk)
      let files = disk.disk
      let (before, count, cut) = (files.operations, round * 7, Cut())
      let isAhead = disk.cutPower(afterOperations: count) {
        cut.wasAlive = server.isAlive
        cut.world = cluster.simulator.current.map { "\($0.process.host.name)/\($0.name)" }
        cluster.crash(server.id, powerLost: true)
        cut.operations = files.operations
      }
      #expect(isAhead && server.isAlive)
      #expect(cluster.run(within: .seconds(60)) { !server.isAlive }, "round \(round)")
      // then it is gone with that operation, within a job of its disk, of which nothing more is done,
      #expect(cut.wasAlive && cut.world == "\(server.name)/disk", "round \(round)")
      #expect(cut.operations == before + count + 1, "round \(round)")
      cluster.run(for: .milliseconds(300))
      #expect(files.operations == cut.operations, "round \(round)")
      // and starts again on a whole disk.
      cluster.start(server.id)
      #expect(server.isAlive, "round \(round): \(server.stoppedBecause ?? "")")
      #expect(cluster.run(within: .seconds(20)) { cluster.leader != nil }, "round \(round)")
    }
    let isAgreed = cluster.run(within: .seconds(20)) {
      Set(cluster.servers.map { $0.inspect { $0.stateHash } }).count == 1
    }
    #expect(isAgreed && cluster.violation == nil, "\(cluster.violation ?? "")")
  }

  @Test func aRunWhoseServersDieInTheMiddleOfWritesRepeatsItself() throws {
    let run = try RunDescription(
      name: "cuts",
      parsing: """
        servers 3
        disks sqlite
        workloads registers counters
        safety 12s
        fault power-loss-at-write every 1s lasting 100ms..2s
        """)
    for seed in 1...3 as ClosedRange<UInt64> {
      let reports = (0..<2).map { _ in SimulationRun(run, seed: seed).play() }
      #expect(reports[0].violation == nil, "seed \(seed)")
      #expect(reports[0].journal.contains { $0.contains("in the middle of a write") }, "seed \(seed)")
      #expect(reports[0].traceHash == reports[1].traceHash && reports[0].events == reports[1].events, "seed \(seed)")
      #expect(reports[0].journal == reports[1].journal, "seed \(seed)")
    }
  }

  @Test func whereNothingIsWrittenThePowerGoesAnyway() throws {
    // Stores in memory have no moments to be cut in.
    let run = try RunDescription(
      name: "cuts",
      parsing: """
        servers 3
        disks memory
        workloads registers
        safety 6s
        fault power-loss-at-write every 1s lasting 100ms..1s
        """)
    let report = SimulationRun(run, seed: 1).play()
    #expect(report.violation == nil && report.faultCounts[.powerLossAtWrite] ?? 0 > 1)
    #expect(report.journal.contains { $0.contains("killed with its power") })
    #expect(!report.journal.contains { $0.contains("in the middle of a write") })
  }

  @Test func aCutThatIsCalledOffDoesNotCome() throws {
    let disk = SimulatedDisk(seed: 1)
    let (life, cut) = (try Life(disk), Cut())
    disk.cutPower(afterOperations: 1) { cut.wasAlive = true }
    disk.keepPower()
    let before = disk.operations
    life.directory.log.append(LogWrite(token: 1, hardState: LogHardState(currentTerm: 1, votedFor: 1, commitIndex: 0)))
    life.pump.run()
    #expect(life.durableToken == 1 && life.failures.isEmpty && disk.operations > before + 1)
    #expect(!cut.wasAlive)
  }

  @Test func aDiskWithoutPowerLosesNothingMore() throws {
    // What a second word of the same power cut drew would change what the next one takes.
    func lengthsAfterCuts(_ words: Int) throws -> [[String: Int]] {
      let disk = SimulatedDisk(seed: 9)
      return try (0..<8).map { round in
        let file = try disk.attach().open("\(disk.path)/f-\(round)", create: true).file
        for place in 0..<40 {
          try [UInt8](repeating: 1, count: 700).withUnsafeBytes { try file.write($0, at: place * 700) }
        }
        for _ in 0..<words { disk.crash() }
        return disk.fileSizes
      }
    }
    #expect(try lengthsAfterCuts(1) == lengthsAfterCuts(3))
  }
}
