// Rot that is found while the store is in use, and mended by ordinary writes.

import FileSupport
import Synchronization
import Testing

@testable import Storage

@Suite struct DiskScrubTests {
  private func damage(_ path: String, _ sql: String) throws {
    let database = try Database(path: path, system: nil)
    try database.execute(sql)
  }

  private func mark(_ index: UInt64) -> StateMark {
    StateMark(appliedIndex: index, appliedTerm: 1, revision: index, stateHash: 0, configuration: [])
  }

  /// Looks over what is stored until something was found in a walk.
  private func findings(_ disk: Disk) async throws -> LogScrub {
    let deadline = ContinuousClock.now + .seconds(20)
    while true {
      disk.directory.log.maintain()
      for case .scrubbed(let found) in disk.log.all { return found }
      try #require(ContinuousClock.now < deadline, "nothing was found")
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// The next look at the state that began after this call.
  private func look(_ disk: Disk) async throws -> StateScrub {
    let before = disk.state.all.count
    disk.directory.state.maintain()
    try await disk.state.wait { events in
      events.dropFirst(before).contains { if case .scrubbed = $0 { true } else { false } }
    }
    for case .scrubbed(let found) in disk.state.all.dropFirst(before).reversed() { return found }
    preconditionFailure("it was there")
  }

  /// Given 1000 entries in several steps of the walk, of which one was spoiled and two are gone while the store is in use,
  /// then the walk names just those; written again they are as they were, and a log in order is not spoken of.
  @Test func rottenEntriesAreNamedAndWrittenAgain() async throws {
    let folder = TemporaryFolder("storage")
    var disk = try Disk(folder.path)
    disk.directory.log.append(LogWrite(token: 1, entries: entries(1...1000)))
    disk.directory.log.append(
      LogWrite(token: 2, base: LogBase(index: 10, term: 1, configuration: []), entries: []))
    try await disk.durable(through: 2)
    for _ in 0..<20 { disk.directory.log.maintain() }
    try damage(
      "\(folder.path)/raft.db",
      "UPDATE log SET payload = x'00' WHERE log_index = 900; DELETE FROM log WHERE log_index IN (300, 301)")
    var damaged: Set<UInt64> = []
    let deadline = ContinuousClock.now + .seconds(20)
    while damaged.count < 3, ContinuousClock.now < deadline {
      damaged.formUnion(try await findings(disk).damaged)
      for case .scrubbed(let found) in disk.log.all { damaged.formUnion(found.damaged) }
      disk.directory.log.maintain()
      try await Task.sleep(for: .milliseconds(2))
    }
    #expect(damaged == [300, 301, 900])
    disk.directory.log.append(LogWrite(token: 2, entries: entries(300...301) + entries(900...900)))
    disk.directory.log.append(LogWrite(token: 3, entries: entries(1001...1001)))
    try await disk.durable(through: 3)
    try await disk.close()
    disk = try Disk(folder.path)
    #expect(disk.directory.logContents.damage == nil)
    #expect(disk.directory.logContents.entries == entries(11...1001))
    // A whole walk over what is in order.
    for _ in 0..<8 { disk.directory.log.maintain() }
    try await disk.close()
    for case .scrubbed(let found) in disk.log.all { Issue.record("\(found)") }
  }

  /// Given rows of which one is spoiled and one is gone, then a look at their part of the state does not count them among
  /// the good; written again they are.
  @Test func rottenRowsAreNotAmongTheGood() async throws {
    let folder = TemporaryFolder("storage")
    let disk = try Disk(folder.path)
    let names = (0..<300).map { "object-\(1000 + $0)" }
    let changes = names.map { name in
      ObjectRowChange(resource: "pods", namespace: "default", name: name, row: row(name, 5))
    }
    disk.directory.state.write(StateWrite(mark: mark(9)) { StateRows(changes: changes, requests: [:]) })
    let first = try await look(disk)
    #expect(first.above == nil && first.good.count == 256 && first.appliedIndex == 9 && first.revision == 9)
    let second = try await look(disk)
    #expect(second.above == first.through && second.through == nil && second.good.count == 44)
    try damage(
      "\(folder.path)/state.db",
      "UPDATE object SET labels = 'a=b' WHERE name = 'object-1007'; DELETE FROM object WHERE name = 'object-1011'")
    let good = Set(try await look(disk).good.keys.map(\.name))
    #expect(Set(names.prefix(256)).subtracting(good) == ["object-1007", "object-1011"])
    let again = changes.filter { ["object-1007", "object-1011"].contains($0.name) }
    disk.directory.state.write(StateWrite(mark: mark(9)) { StateRows(changes: again, requests: [:]) })
    _ = try await look(disk)
    #expect(try await look(disk).good.count == 256)
    try await disk.close()
  }

  /// What is noted as not to be trusted is lost at the next start, until a whole state has been written.
  @Test func aStateThatIsNotTrustedIsLostUntilItIsReplaced() async throws {
    let folder = TemporaryFolder("storage")
    var disk = try Disk(folder.path)
    let pod = ObjectRowChange(resource: "pods", namespace: "default", name: "a", row: row("a", 5))
    disk.directory.state.write(StateWrite(mark: mark(9)) { StateRows(changes: [pod], requests: [:]) })
    let noted = Collected<Bool>()
    disk.directory.state.distrust { noted.add(true) }
    try await noted.wait { $0.count == 1 }
    try await disk.close()
    for _ in 0..<2 {
      disk = try Disk(folder.path)
      #expect(disk.directory.stateContents.damage?.isIncomplete == true)
      if disk.rows.isEmpty { Issue.record("what is there is handed out") }
      try await disk.close()
    }
    disk = try Disk(folder.path)
    disk.directory.state.write(
      StateWrite(mark: mark(12), durability: .required, completes: true) {
        StateRows(changes: [pod], requests: [:])
      })
    try await disk.close()
    disk = try Disk(folder.path)
    #expect(disk.directory.stateContents.damage == nil)
    try await disk.close()
  }
}
