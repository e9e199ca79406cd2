// Bits that flip at rest, anywhere in a server's files: what the disk hands out afterwards is what was written, and
// what it cannot hand out it names.

import Storage
import Testing

@testable import Simulation

@Suite struct DiskRotTests {
  @Test func whatRotsIsNamedAndNothingElseIsLost() throws {
    for seed in DiskCrashTests.seeds {
      let disk = SimulatedDisk(seed: seed)
      var random = DiskRandom(seed: seed ^ 0x0807)
      let written = try fill(disk, &random)
      let flips = disk.flipBits(Int.random(in: 1...3, using: &random))
      let note = "seed \(seed), flipped \(flips)"
      var damage: LogDamage?
      var lost: StateDamage?
      for start in 0..<2 {
        let life: Life
        do { life = try Life(disk) } catch StorageError.damaged {
          // Two flips of three have struck both copies of the vote.
          break
        }
        let contents = life.directory.logContents
        #expect(contents.hardState.currentTerm == 9 && contents.hardState.votedFor == 1, "\(note)")
        let beyond = contents.damage?.entriesBeyond ?? []
        for entry in contents.entries + beyond { #expect(entry == written.entries[Int(entry.index) - 1], "\(note)") }
        var known = Set((contents.entries + beyond).map(\.index))
        for range in contents.damage?.missing ?? [] { known.formUnion(range.lowerBound...min(range.upperBound, 200)) }
        #expect(known.isSuperset(of: (contents.base?.index ?? 0) + 1...200), "\(note): unknown entries are missing")
        let state = life.directory.stateContents
        for row in life.rows { #expect(written.rows[row.name] == row.json, "\(note)") }
        // The write-ahead log of the state may lose its end: the log has it still. What is left adds up to its hash (or
        // does not, which the replica sees).
        let rows = Set(life.rows.map(\.name))
        let mark = state.mark?.appliedIndex ?? 0
        let missing = Set(written.rows.keys.filter { written.marks[$0]! <= mark }).subtracting(rows)
        let named = Set((state.damage?.objects ?? []).map(\.name))
        let sum = rows.reduce(0) { $0 &+ xxh64(Array($1.utf8)) }
        let addsUp = sum == state.mark?.stateHash ?? 0
        if state.damage == nil, addsUp {
          #expect(rows.allSatisfy { written.marks[$0]! <= mark }, "\(note)")
        }
        #expect(
          missing.isSubset(of: named) || state.damage?.isIncomplete == true || !addsUp,
          "\(note): \(missing) are missing")
        if start == 1 {
          #expect(contents.damage == damage, "\(note): another damage at the second start")
          #expect(state.damage == lost, "\(note): another damage at the second start")
        }
        (damage, lost) = (contents.damage, state.damage)
        disk.kill()
      }
    }
  }

  /// 200 entries and 60 objects; some of it in the databases, some in their write-ahead logs.
  private func fill(
    _ disk: SimulatedDisk, _ random: inout DiskRandom
  ) throws -> (entries: [LogEntry], rows: [String: [UInt8]], marks: [String: UInt64]) {
    var entries: [LogEntry] = []
    var rows: [String: [UInt8]] = [:]
    var marks: [String: UInt64] = [:]
    for round in 0..<3 {
      let life = try Life(disk)
      for token in 1...10 as ClosedRange<UInt64> where round < 2 {
        var write = LogWrite(token: token)
        write.hardState = LogHardState(currentTerm: 9, votedFor: 1)
        for _ in 0..<10 {
          let size = Int.random(in: 1...2000, using: &random)
          write.entries.append(
            LogEntry(
              index: UInt64(entries.count + 1), term: 9, kind: 0,
              payload: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ entries.count) }))
          entries.append(write.entries.last!)
        }
        life.directory.log.append(write)
        life.pump.run()
      }
      var changes: [ObjectRowChange] = []
      for number in 0..<20 {
        let name = "object-\(round)-\(number)"
        let json = [UInt8](repeating: UInt8(number), count: Int.random(in: 100...6000, using: &random))
        rows[name] = json
        marks[name] = [1, 50, 150][round]
        changes.append(
          ObjectRowChange(
            resource: "pods", namespace: "default", name: name,
            row: ObjectRow(
              resource: "pods", namespace: "default", name: name, revision: 3, uid: "u", labels: ["a": "b"], fence: 0,
              revisionOffset: 0, json: json)))
      }
      let written = changes
      life.directory.state.write(
        StateWrite(
          mark: StateMark(
            appliedIndex: [1, 50, 150][round], appliedTerm: 9, revision: 3,
            stateHash: rows.keys.reduce(0) { $0 &+ xxh64(Array($1.utf8)) },
            configuration: [])
        ) { StateRows(changes: written, requests: [1: [UInt8(round)]]) })
      life.pump.run()
      if round == 0 { life.close() }
      disk.kill()
    }
    return (entries, rows, marks)
  }
}
