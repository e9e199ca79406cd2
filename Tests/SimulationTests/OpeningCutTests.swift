// Power that goes while a server opens its disk: recovery from a crash, cut short by another one.
import Client
import JSON
import Raft
import Replica
import Storage
import Testing
import World

@testable import Simulation

@Suite struct OpeningCutTests {
  private final class Cut: @unchecked Sendable {
    var hasCome = false
  }

  /// How a server came to leave the disk that is opened.
  private struct Story {
    var powerLost = false
    var syncFails = false
    /// Nothing was ever on it.
    var isNew = false
  }
  private static let entries: UInt64 = 40

  private static func write(_ life: Life, _ index: UInt64) {
    var write = LogWrite(token: index, hardState: LogHardState(currentTerm: index, votedFor: 1, commitIndex: index - 1))
    let payload = [UInt8](repeating: UInt8(index), count: 600)
    write.entries = [LogEntry(index: index, term: index, kind: 0, payload: payload)]
    life.directory.log.append(write)
    life.directory.state.write(
      StateWrite(
        mark: StateMark(appliedIndex: index, appliedTerm: index, revision: index, stateHash: 0, configuration: []),
        durability: .required
      ) {
        let row = ObjectRow(
          resource: "pods", namespace: "default", name: "a", revision: index, uid: "u", labels: [:], fence: 0,
          revisionOffset: 0, json: [UInt8](repeating: UInt8(index), count: 3000))
        return StateRows(
          changes: [ObjectRowChange(resource: "pods", namespace: "default", name: "a", row: row)],
          requests: [1: [UInt8(index)]])
      })
    life.pump.run()
  }

  /// A disk with a story, on which entries up to `entries` are durable, with their state.
  private static func disk(_ story: Story, seed: UInt64) throws -> SimulatedDisk {
    let disk = SimulatedDisk(seed: seed)
    guard !story.isNew else { return disk }
    let first = try Life(disk)
    for index in 1...entries / 2 { write(first, index) }
    disk.kill()
    let second = try Life(disk)
    for index in (entries / 2 + 1)...entries { write(second, index) }
    #expect(second.durableState == entries && second.failures.isEmpty)
    if story.syncFails {
      disk.faults.failingSyncs = 2
      write(second, entries + 1)
      disk.faults.failingSyncs = 0
    }
    if story.powerLost { disk.crash() } else { disk.kill() }
    return disk
  }

  /// Opens it with the power going in the middle; false: it was open before that.
  private static func cutOpening(of disk: SimulatedDisk, after operations: UInt64) -> Bool {
    let cut = Cut()
    disk.cutPower(afterOperations: operations) { cut.hasCome = true }
    // What it says is of no interest: who would have heard it is dead.
    _ = try? Life(disk)
    disk.kill()
    return cut.hasCome
  }

  @Test func anOpeningThatIsCutShortAnywhereIsMadeUpFor() throws {
    var stories = [Story(isNew: true)]
    for powerLost in [false, true] {
      for syncFails in [false, true] { stories.append(Story(powerLost: powerLost, syncFails: syncFails)) }
    }
    for story in stories {
      var moments: UInt64 = 0
      for seed in 0..<3 as Range<UInt64> {
        // When the power goes at every moment of an opening there is, and again during the next,
        var operations: UInt64 = 0
        while true {
          let disk = try Self.disk(story, seed: seed * 1000 + operations)
          guard Self.cutOpening(of: disk, after: operations) else { break }
          for again in 0..<seed { _ = Self.cutOpening(of: disk, after: operations / (again + 2)) }
          operations += 1
          // then the next one finds what was durable, whole.
          let what = "\(story), seed \(seed), operation \(operations)"
          let life = try Life(disk)
          let (log, state) = (life.directory.logContents, life.directory.stateContents)
          #expect(log.damage == nil && state.damage == nil, "\(what)")
          let applied = state.mark?.appliedIndex ?? 0
          #expect(life.rows.first?.revision ?? 0 == applied, "\(what)")
          #expect(state.requests == (applied == 0 ? [:] : [1: [UInt8(applied)]]), "\(what)")
          let last = log.entries.last?.index ?? 0
          #expect(log.hardState.currentTerm >= last && log.entries.map(\.index) == Array(1..<(last + 1)), "\(what)")
          // What was written and not acknowledged may be there.
          let durable = story.isNew ? 0...0 : Self.entries...(Self.entries + (story.syncFails ? 1 : 0))
          #expect(durable.contains(last) && durable.contains(applied), "\(what)")
          // It can be gone on with.
          Self.write(life, last + 1)
          #expect(life.failures.isEmpty && life.durableToken == last + 1, "\(what)")
        }
        moments += operations
      }
      #expect(moments >= 3 * 12, "\(story)")
    }
  }

  @Test func aServerWhoseOpeningIsCutShortIsDeadAndStartsLater() throws {
    // Given a group over production's stores, of which one is dead
    var options = SimulatedCluster.Options()
    options.disk = .sqlite
    let monitor = InvariantMonitor()
    options.tune = { $0.observer = monitor }
    let cluster = SimulatedCluster(seed: 5, options: options)
    monitor.onViolation = { cluster.violated("\($0)") }
    cluster.startAll()
    #expect(cluster.run(within: .seconds(10)) { cluster.leader != nil })
    let server = cluster.server(2)
    for operations in 0..<12 as Range<UInt64> {
      cluster.crash(2, powerLost: operations.isMultiple(of: 2))
      let cut = Cut()
      cluster.onOpening = { opening in
        _ = opening.disk.cutPower(afterOperations: operations) {
          cut.hasCome = opening.opening != nil
          cluster.crash(opening.id, powerLost: true)
        }
      }
      // when its power goes while it opens its disk
      cluster.start(2)
      // then it is dead, which is no fault of the disk's: nobody starts it again.
      #expect(cut.hasCome && !server.isAlive && server.stoppedBecause == nil && server.opening == nil)
      cluster.onOpening = nil
      cluster.run(for: .seconds(3))
      #expect(!server.isAlive)
      // Whoever brings the power back does.
      cluster.start(2)
      #expect(server.isAlive && server.stoppedBecause == nil)
      #expect(cluster.run(within: .seconds(20)) { server.inspect { $0.raft.leader != nil } == true })
    }
    #expect(cluster.violation == nil)
    #expect(!cluster.journal.lines.contains { $0.contains("cannot start") })
  }

  @Test func anOpeningThatFailsIsNoPowerCut() throws {
    // Given a server whose disk fails a sync as it is opened
    var options = SimulatedCluster.Options()
    options.servers = 1
    options.disk = .sqlite
    let cluster = SimulatedCluster(seed: 5, options: options)
    cluster.startAll()
    #expect(cluster.run(within: .seconds(10)) { cluster.leader != nil })
    cluster.crash(1)
    cluster.server(1).disk.failNextSync()
    cluster.start(1)
    // then it says so, and is started again as any other.
    #expect(!cluster.server(1).isAlive && cluster.server(1).stoppedBecause != nil)
    #expect(cluster.run(within: .seconds(10)) { cluster.leader != nil })
  }

  @Test func aDiskThatItsServerRefusesIsTold() throws {
    // Given a server that has lost one of its files
    var options = SimulatedCluster.Options()
    options.servers = 1
    options.disk = .sqlite
    let cluster = SimulatedCluster(seed: 5, options: options)
    var refusals = 0
    cluster.onRefusedDisk = { server, error in if case .damaged = error, server.id == 1 { refusals += 1 } }
    cluster.startAll()
    #expect(cluster.run(within: .seconds(10)) { cluster.leader != nil })
    cluster.crash(1)
    cluster.start(1)
    #expect(cluster.server(1).isAlive && refusals == 0)
    cluster.crash(1)
    let files = try #require(cluster.server(1).disk as? SQLiteDisk).disk
    try files.attach().delete("\(files.path)/state.db")
    // when it starts
    cluster.start(1)
    // then it does not, and that is no ordinary failure.
    #expect(!cluster.server(1).isAlive && refusals == 1)
  }

  private static func run(disks: String) throws -> RunDescription {
    try RunDescription(
      name: "openings",
      parsing: """
        servers 3
        disks \(disks)
        workloads registers counters
        safety 12s
        fault power-loss-at-opening every 1s lasting 100ms..2s
        """)
  }

  @Test func aRunWhoseServersDieAsTheyStartRepeatsItself() throws {
    let run = try Self.run(disks: "sqlite")
    for seed in 1...3 as ClosedRange<UInt64> {
      let reports = (0..<2).map { _ in SimulationRun(run, seed: seed).play() }
      #expect(reports[0].violation == nil, "seed \(seed)")
      #expect(reports[0].journal.contains { $0.contains("while it opens its disk") }, "seed \(seed)")
      #expect(reports[0].traceHash == reports[1].traceHash && reports[0].events == reports[1].events, "seed \(seed)")
      #expect(reports[0].journal == reports[1].journal, "seed \(seed)")
    }
  }

  @Test func storesInMemoryOpenAtOnce() throws {
    let report = SimulationRun(try Self.run(disks: "memory"), seed: 1).play()
    #expect(report.violation == nil && report.faultCounts[.powerLossAtOpening] ?? 0 > 1)
    #expect(report.journal.contains { $0.contains("is killed") })
    #expect(!report.journal.contains { $0.contains("while it opens its disk") })
  }
}
