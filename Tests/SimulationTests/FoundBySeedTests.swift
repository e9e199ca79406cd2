// What the simulator found in our own code, each as small as it can be told; the seed is the run that showed it first.

import Storage
import Testing

@testable import Simulation

@Suite struct FoundBySeedTests {
  /// Seed 5026 of "crashes": a term that was durable came back lower.
  @Test(arguments: UInt64(1)...20)
  func whatFollowsAFailedSyncIsDurableOnceTheServerHasStartedAgain(seed: UInt64) throws {
    let disk = SimulatedDisk(seed: seed)
    func write(_ life: Life, _ token: UInt64, term: UInt64) {
      life.directory.log.append(
        LogWrite(token: token, hardState: LogHardState(currentTerm: term, votedFor: 1, commitIndex: 0)))
      life.pump.run()
    }
    // Given a server whose sync failed, which stopped, and was started again by the kernel that has it all in memory
    let first = try Life(disk)
    write(first, 1, term: 1)
    disk.faults.failingSyncs = 1
    write(first, 2, term: 2)
    #expect(!first.failures.isEmpty)
    disk.kill()
    let second = try Life(disk)
    // when it writes on, is told that it is durable, and loses its power
    write(second, 1, term: 5)
    #expect(second.durableToken == 1)
    disk.crash()
    // then it is.
    #expect(try Life(disk).directory.logContents.hardState.currentTerm == 5)
  }

  /// Seed 1032 of "disks": damage of a log whose power had been lost took entries that nobody knew of any more. What a
  /// start finds it notes, durably.
  @Test(arguments: UInt64(1)...20)
  func howFarALogGoesIsKnownFromTheStartOn(seed: UInt64) throws {
    let disk = SimulatedDisk(seed: seed)
    // Given a log whose end was noted and not synced when the power was lost
    let first = try Life(disk)
    for token in 1...40 as ClosedRange<UInt64> {
      var write = LogWrite(token: token, hardState: LogHardState(currentTerm: 1, votedFor: 1, commitIndex: 0))
      write.entries = [LogEntry(index: token, term: 1, kind: 0, payload: [UInt8](repeating: UInt8(token), count: 600))]
      first.directory.log.append(write)
      first.pump.run()
    }
    #expect(first.durableToken == 40)
    disk.crash()
    #expect(try Life(disk).directory.logContents.entries.count == 40)
    // when much of it is damaged after the next start
    disk.kill()
    _ = disk.flipBits(60, inFilesEndingWith: "raft.db")
    // then everything is there or known to be missing.
    let contents = try Life(disk).directory.logContents
    let damage = try #require(contents.damage)
    #expect(damage.lastAcknowledged == LogPosition(index: 40, term: 1))
    let beyond = damage.entriesBeyond.map(\.index)
    let known = Set(contents.entries.map(\.index) + beyond).union(damage.missing.flatMap { Array($0) })
    #expect(known.isSuperset(of: 1...40))
  }

  /// Seed 1049 of "liars": a database that had lost its end, where nothing was in use, read well and could not be written.
  @Test func aDatabaseThatLostAnEndThatNothingUsesIsMadeAnew() throws {
    let disk = SimulatedDisk(seed: 1)
    func write(_ life: Life, _ index: UInt64, _ names: Range<Int>, json: [UInt8]?) {
      let changes = names.map { number in
        let name = "object-\(1000 + number)"
        return ObjectRowChange(
          resource: "pods", namespace: "default", name: name,
          row: json.map {
            ObjectRow(
              resource: "pods", namespace: "default", name: name, revision: index, uid: "u", labels: [:], fence: 0,
              revisionOffset: 0, json: $0)
          })
      }
      let mark = StateMark(
        appliedIndex: index, appliedTerm: 1, revision: index, stateHash: 0, configuration: [])
      life.directory.state.write(StateWrite(mark: mark) { StateRows(changes: changes, requests: [:]) })
      life.pump.run()
    }
    // Given a file most of whose pages are free
    let big = [UInt8](repeating: 7, count: 3000)
    for (index, names, json) in [(1, 0..<200, big), (2, 1..<200, nil)] as [(UInt64, Range<Int>, [UInt8]?)] {
      let life = try Life(disk)
      write(life, index, names, json: json)
      life.close()
      disk.kill()
    }
    let last = try Life(disk)
    write(last, 3, 0..<1, json: [1, 2, 3])
    disk.kill()
    // when a disk that lied has lost its end
    let path = "\(disk.path)/state.db"
    let file = try disk.attach().open(path, create: false).file
    let size = try file.size()
    #expect(size > 500_000)
    try file.truncate(to: size - 400_000 / 4096 * 4096)
    disk.kill()
    // then the server starts, and has what it had.
    let life = try Life(disk)
    #expect(!life.rows.isEmpty && life.rows.allSatisfy { $0.json == [1, 2, 3] })
    #expect(life.directory.stateContents.mark?.appliedIndex == 3 && life.directory.stateContents.damage == nil)
  }

  /// Seed 930079 of "crashes", with power that also went while servers started: a sync of the state's write-ahead log
  /// failed, and its closing carried over to the pages what that log held in memory alone. The power took the rest of
  /// the log, and its beginning came back over newer pages.
  @Test(arguments: UInt64(1)...60)
  func whatASyncFailedForIsNotCarriedOverAtTheEnd(seed: UInt64) throws {
    let disk = SimulatedDisk(seed: seed)
    func write(_ life: Life, _ index: UInt64) {
      let changes = (0..<40).map { number in
        let name = "object-\(index % 3)-\(number)"
        return ObjectRowChange(
          resource: "pods", namespace: "default", name: name,
          row: ObjectRow(
            resource: "pods", namespace: "default", name: name, revision: index, uid: "u", labels: [:], fence: 0,
            revisionOffset: 0, json: [UInt8](repeating: UInt8(index), count: 300)))
      }
      let mark = StateMark(appliedIndex: index, appliedTerm: 1, revision: index, stateHash: 0, configuration: [])
      life.directory.state.write(StateWrite(mark: mark) { StateRows(changes: changes, requests: [:]) })
      life.pump.run()
    }
    // Given a server that stopped in order because a sync of its state failed, some way into a write-ahead log
    let first = try Life(disk)
    for index in 1...6 as ClosedRange<UInt64> { write(first, index) }
    first.close()
    disk.kill()
    let second = try Life(disk)
    write(second, 7)
    disk.faults.failingSyncs = 1
    write(second, 8)
    #expect(!second.failures.isEmpty)
    second.close()
    // when it loses its power
    disk.crash()
    // then its state is that of one moment.
    let last = try Life(disk)
    let applied = last.directory.stateContents.mark?.appliedIndex ?? 0
    #expect(applied >= 7 && last.directory.stateContents.damage == nil)
    // Every name was written with every third index.
    let revisions = (applied - 2)...applied
    #expect(last.rows.count == 120)
    #expect(last.rows.allSatisfy { row in revisions.contains(row.revision) })
  }
}
