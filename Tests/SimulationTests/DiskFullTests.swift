// A disk that is full, and one that is written to for ever.

import Storage
import Testing

@testable import Simulation

@Suite struct DiskFullTests {
  private func entry(_ index: UInt64, bytes: Int = 3000) -> LogEntry {
    LogEntry(
      index: index, term: 1, kind: 0, payload: [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: bytes))
  }

  private func stateWrite(_ index: UInt64, name: String, bytes: Int) -> StateWrite {
    let row = ObjectRow(
      resource: "pods", namespace: "default", name: name, revision: index, uid: "u", labels: [:], fence: 0,
      revisionOffset: 0, json: [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: bytes))
    return StateWrite(
      mark: StateMark(appliedIndex: index, appliedTerm: 1, revision: index, stateHash: 0, configuration: [])
    ) {
      StateRows(
        changes: [ObjectRowChange(resource: "pods", namespace: "default", name: name, row: row)], requests: [:])
    }
  }

  /// Given a disk that runs full, when entries, a vote and rows are written, then the store says so, takes what the
  /// room kept back allows, loses nothing, and goes on by itself when there is room.
  @Test func aFullDiskHoldsUpWritesAndLosesNothing() throws {
    for seed in 0..<50 as Range<UInt64> {
      let disk = SimulatedDisk(seed: seed)
      var life = try Life(disk)
      for index in 1...20 as ClosedRange<UInt64> {
        life.directory.log.append(LogWrite(token: index, entries: [entry(index)]))
        life.pump.run()
      }
      #expect(life.durableToken == 20 && !life.isFull)
      disk.fill()
      var token: UInt64 = 20
      while life.durableToken == token {
        token += 1
        life.directory.log.append(LogWrite(token: token, entries: [entry(token)]))
        life.pump.run()
      }
      try #require(life.isFull, "seed \(seed)")
      #expect(token > 30, "what was kept back took some: \(token)")
      life.directory.log.maintain()
      life.directory.state.write(stateWrite(5, name: "a", bytes: 400_000))
      life.pump.run()
      #expect(life.durableToken == token - 1 && life.durableState == 0 && life.failures.isEmpty)
      if seed % 3 == 0 {
        // A start on a full disk: what was acknowledged is there, and a vote can be promised.
        if seed % 2 == 0 { disk.crash() } else { disk.kill() }
        life = try Life(disk)
        #expect(life.directory.logContents.entries.map(\.index) == Array(1...token - 1), "seed \(seed)")
        #expect(life.isFull)
        token = 1
        life.directory.log.append(LogWrite(token: 1, hardState: LogHardState(currentTerm: 8, votedFor: 2)))
        life.pump.run()
        #expect(life.promisedToken == 1 && life.durableToken == 0)
        disk.crash()
        life = try Life(disk)
        #expect(life.directory.logContents.hardState == LogHardState(currentTerm: 8, votedFor: 2))
        life.directory.state.write(stateWrite(5, name: "a", bytes: 400_000))
        life.pump.run()
        token = 0
      }
      disk.makeRoom()
      life.directory.log.maintain()
      life.directory.state.maintain()
      life.pump.run()
      #expect(!life.isFull && life.durableToken == token && life.failures.isEmpty, "seed \(seed)")
      life.close()
      disk.crash()
      life = try Life(disk)
      #expect(life.rows.map(\.json.count) == [400_000])
      #expect(life.directory.logContents.damage == nil)
    }
  }

  /// Seed 2036592525 of "disks": a commit index was called durable on a full disk, with the vote that was, and forgotten.
  @Test func aCommitIndexWaitsForRoom() throws {
    let disk = SimulatedDisk(seed: 1)
    var life = try Life(disk)
    let entries = (1...20).map { entry($0, bytes: 10) }
    life.directory.log.append(
      LogWrite(token: 1, hardState: LogHardState(currentTerm: 1, votedFor: 1), entries: entries))
    life.pump.run()
    // Given a disk on which nothing is left, not even what was kept back
    disk.fill()
    var token: UInt64 = 1
    while life.promisedToken == 0 {
      token += 1
      try #require(token < 10_000)
      life.directory.log.append(
        LogWrite(token: token, hardState: LogHardState(currentTerm: token, votedFor: 1, commitIndex: 20)))
      life.pump.run()
    }
    // when term and vote are promised on it, then that is all that is said;
    #expect(life.promisedToken == token && life.durableToken < token)
    // when there is room, then the rest of it is stored before anything that comes later is.
    disk.makeRoom()
    life.directory.log.maintain()
    life.directory.log.append(LogWrite(token: token + 1, entries: [entry(21, bytes: 10)]))
    life.pump.run()
    #expect(life.durableToken == token + 1)
    disk.kill()
    life = try Life(disk)
    #expect(
      life.directory.logContents.hardState == LogHardState(currentTerm: token, votedFor: 1, commitIndex: 20))
  }

  /// Given the same few objects written over and over, and a log that is cut behind them, then neither file grows
  /// beyond what was there at once.
  @Test func filesStayBoundedUnderConstantUpdates() throws {
    let disk = SimulatedDisk(seed: 1)
    let life = try Life(disk)
    var sizes: [[String: Int]] = []
    var index: UInt64 = 0
    for _ in 0..<40 {
      for _ in 0..<10 {
        // Batches larger than a step of deletion.
        let batch = (1...40).map { entry(index + $0, bytes: 1000) }
        index += 40
        life.directory.log.append(LogWrite(token: index, entries: batch))
        life.pump.run()
      }
      for name in 0..<20 { life.directory.state.write(stateWrite(index, name: "object-\(name)", bytes: 3000)) }
      life.pump.run()
      life.directory.log.cut(to: LogBase(index: index - 200, term: 1, configuration: []))
      life.pump.run()
      sizes.append(disk.fileSizes)
    }
    let last = try #require(sizes.last)
    // 16,000 entries of 1 KB came by, and at most 600 were there at once; 800 rows of 3 KB, 20 at once. The write-ahead
    // logs are copied after 16 MiB and take their turns within that.
    #expect(last["/disk/raft.db"] ?? 0 < 2 << 20)
    #expect(last["/disk/state.db"] ?? 0 < 1 << 20)
    for (path, bytes) in last { #expect(bytes < 50 << 20, "\(path)") }
    life.close()
  }
}
