import FileSupport
import Glibc
import Storage
import Testing

/// Damage by hand, in the files of a server that does not run: it is named, nothing else is lost, and it can be repaired.
@Suite struct DamageTests {
  let directory = TemporaryFolder("storage")
  private var log: String { "\(directory.path)/raft.db" }
  private var state: String { "\(directory.path)/state.db" }

  private func writtenLog() async throws {
    let disk = try Disk(directory.path)
    disk.directory.log.append(
      LogWrite(token: 1, hardState: LogHardState(currentTerm: 3, votedFor: 7, commitIndex: 2), entries: entries(1...10))
    )
    try await disk.durable(through: 1)
    try await disk.close()
  }

  /// Given entries that were acknowledged, when rows of them rot, move or vanish, then exactly those are missing, at
  /// every start, and what is written back in their place is there again.
  @Test func missingEntriesAreNamedAndCanBeWrittenBack() async throws {
    for (damage, missing) in [
      ("UPDATE log SET payload = x'00' WHERE log_index = 4", [4...4 as ClosedRange<UInt64>]),
      ("UPDATE log SET term = 2 WHERE log_index IN (4, 5)", [4...5]),
      ("UPDATE log SET log_index = 40 WHERE log_index = 4", [4...4]),
      ("DELETE FROM log WHERE log_index IN (2, 7)", [2...2, 7...7]),
      ("DELETE FROM log WHERE log_index > 8", [9...10]),
      ("DELETE FROM log", [1...10]),
    ] {
      for suffix in ["raft.db", "raft.db-wal", "state.db", "state.db-wal", "promises"] {
        unlink("\(directory.path)/\(suffix)")
      }
      try await writtenLog()
      try shell(log, damage)
      for _ in 0..<2 {
        let disk = try Disk(directory.path)
        let found = try #require(disk.directory.logContents.damage, "\(damage)")
        #expect(found.missing == missing, "\(damage)")
        #expect(found.lastAcknowledged == LogPosition(index: 10, term: 1))
        #expect(
          disk.directory.logContents.entries
            == (missing[0].lowerBound == 1 ? [] : entries(1...missing[0].lowerBound - 1)))
        let readable = disk.directory.logContents.entries + found.entriesBeyond
        #expect(readable == entries(1...10).filter { entry in !missing.contains { $0.contains(entry.index) } })
        try await disk.close()
      }
      let disk = try Disk(directory.path)
      disk.directory.log.append(LogWrite(token: 1, entries: missing.flatMap { entries($0) }))
      try await disk.durable(through: 1)
      try await disk.close()
      let again = try Disk(directory.path)
      #expect(again.directory.logContents.damage == nil)
      #expect(again.directory.logContents.entries == entries(1...10))
      try await again.close()
    }
  }

  /// Given a log that was truncated and went on, when raft.db loses all of that, then what it still holds of before does
  /// not count, and what is written back in its place is there at every start.
  @Test func whatTruncationTookDoesNotComeBackWithDamage() async throws {
    try await writtenLog()
    let old = "\(directory.path)/old.db"
    try shell(log, "ATTACH '\(old)' AS old; CREATE TABLE old.log AS SELECT * FROM main.log WHERE log_index >= 10")
    var disk = try Disk(directory.path)
    disk.directory.log.append(LogWrite(token: 1, truncateFrom: 8, entries: entries(8...9, term: 2)))
    try await disk.durable(through: 1)
    try await disk.close()
    try shell(
      log,
      """
      ATTACH '\(old)' AS old; DELETE FROM truncation; DELETE FROM main.log WHERE log_index >= 8;
      INSERT INTO main.log SELECT * FROM old.log
      """)
    unlink(old)
    disk = try Disk(directory.path)
    let damage = try #require(disk.directory.logContents.damage)
    #expect(damage.missing == [8...9] && damage.entriesBeyond.isEmpty)
    #expect(damage.lastAcknowledged == LogPosition(index: 9, term: 2))
    disk.directory.log.append(LogWrite(token: 1, entries: entries(8...9, term: 2)))
    disk.directory.log.append(LogWrite(token: 2, entries: entries(10...12, term: 3)))
    try await disk.durable(through: 2)
    try await disk.close()
    disk = try Disk(directory.path)
    #expect(disk.directory.logContents.damage == nil)
    #expect(
      disk.directory.logContents.entries == entries(1...7) + entries(8...9, term: 2) + entries(10...12, term: 3))
    try await disk.close()
  }

  /// Given a vote, when either of its copies is lost, then the other is believed; when raft.db is garbage, the vote and
  /// the log's length are still known.
  @Test func aVoteSurvivesTheLossOfEitherCopy() async throws {
    try await writtenLog()
    let vote = LogHardState(currentTerm: 3, votedFor: 7, commitIndex: 2)
    for damage in ["UPDATE hard_state SET voted_for = 2", "DELETE FROM hard_state"] {
      try shell(log, damage)
      let disk = try Disk(directory.path)
      #expect(disk.directory.logContents.hardState.currentTerm == 3)
      #expect(disk.directory.logContents.hardState.votedFor == 7)
      disk.directory.log.append(LogWrite(token: 1, hardState: vote))
      try await disk.durable(through: 1)
      try await disk.close()
    }
    try overwrite("\(directory.path)/promises", from: 0, count: 16_384)
    var disk = try Disk(directory.path)
    #expect(disk.directory.logContents.hardState == vote)
    #expect(disk.directory.logContents.entries == entries(1...10))
    try await disk.close()
    try overwrite(log, from: 0, count: 8192)
    disk = try Disk(directory.path)
    #expect(disk.directory.logContents.hardState.currentTerm == 3)
    #expect(disk.directory.logContents.hardState.votedFor == 7)
    #expect(disk.directory.logContents.damage?.missing == [1...10])
    #expect(disk.directory.incarnation == 5)
    try await disk.close()
    try overwrite(log, from: 0, count: 8192)
    try overwrite("\(directory.path)/promises", from: 0, count: 16_384)
    #expect(throws: StorageError.self, "both are lost") { try Disk(directory.path) }
  }

  private func writtenState() async throws {
    let disk = try Disk(directory.path)
    disk.directory.state.write(
      StateWrite(mark: StateMark(appliedIndex: 5, appliedTerm: 1, revision: 9, stateHash: 7, configuration: [1])) {
        StateRows(
          changes: ["a", "b", "c"].map {
            ObjectRowChange(resource: "pods", namespace: "default", name: $0, row: row($0, 2))
          }, requests: [1: [7], 2: [8]])
      })
    try await disk.state.wait { $0.count == 1 }
    try await disk.close()
  }

  private func key(_ name: String) -> ObjectRowKey { ObjectRowKey(resource: "pods", namespace: "default", name: name) }

  /// Given objects, when a row rots, then it is not handed out, its name is known at every start until it is written
  /// again, and the others are whole.
  @Test func aDamagedRowIsNamedUntilItIsWrittenAgain() async throws {
    try await writtenState()
    for damage in [
      "json = '{}'", "revision = 3", "labels = 'x=y'", "revision_offset = 8", "checksum = 1", "key_id = 1", "uid = ''",
    ] {
      try shell(state, "UPDATE object SET \(damage) WHERE name = 'b'")
      for _ in 0..<2 {
        let disk = try Disk(directory.path)
        #expect(Set(disk.rows.map(\.name)) == ["a", "c"], "\(damage)")
        #expect(disk.directory.stateContents.damage == StateDamage(objects: [key("b")]), "\(damage)")
        try await disk.close()
      }
      let disk = try Disk(directory.path)
      let mark = try #require(disk.directory.stateContents.mark)
      disk.directory.state.write(
        StateWrite(mark: mark) {
          StateRows(
            changes: [ObjectRowChange(resource: "pods", namespace: "default", name: "b", row: row("b", 2))],
            requests: [1: [7], 2: [8]])
        })
      try await disk.state.wait { $0.count == 1 }
      try await disk.close()
      let again = try Disk(directory.path)
      #expect(again.rows.count == 3 && again.directory.stateContents.damage == nil)
      try await again.close()
    }
  }

  /// Given objects, when the mark, the requests or the index are damaged, then what can be known still is.
  @Test func whatElseRotsInTheStateIsKnown() async throws {
    try await writtenState()
    try shell(state, "UPDATE mark SET applied_index = 50")
    try shell(state, "UPDATE request SET outcomes = x'00' WHERE origin = 2")
    var disk = try Disk(directory.path)
    #expect(disk.directory.stateContents.mark?.appliedIndex == 5)
    #expect(disk.directory.stateContents.requests == [1: [7]])
    #expect(disk.directory.stateContents.damage == StateDamage(requests: [2]))
    let mark = try #require(disk.directory.stateContents.mark)
    disk.directory.state.write(StateWrite(mark: mark) { StateRows(changes: [], requests: [1: [7], 2: [8]]) })
    try await disk.state.wait { $0.count == 1 }
    try await disk.close()
    disk = try Disk(directory.path)
    #expect(disk.directory.stateContents.requests == [1: [7], 2: [8]])
    #expect(disk.directory.stateContents.damage == nil)
    try await disk.close()
    try overwrite(state, from: 0, count: 4096)
    disk = try Disk(directory.path)
    #expect(disk.directory.stateContents.mark == nil)
    #expect(disk.directory.stateContents.damage?.isIncomplete == true)
    disk.directory.state.write(
      StateWrite(mark: mark, completes: true) { StateRows(changes: [], requests: [:]) })
    try await disk.state.wait { $0.count == 1 }
    try await disk.close()
    disk = try Disk(directory.path)
    #expect(disk.directory.stateContents.damage == nil)
    #expect(disk.directory.stateContents.mark == mark)
    try await disk.close()
  }

  /// Seed 654815889 of "liars": a disk that had lied about its syncs held the requests of an earlier time, each row with a
  /// good checksum, beside a newer mark and newer objects; the log, which could have told, had lost its entries.
  @Test(arguments: [
    "DELETE FROM request WHERE origin = 2", "DELETE FROM request",
    "UPDATE request SET (checksum, outcomes) = (SELECT checksum, outcomes FROM earlier WHERE origin = 1) WHERE origin = 1",
    "INSERT INTO request SELECT * FROM earlier WHERE origin = 3",
    "DELETE FROM request; INSERT INTO request SELECT * FROM earlier",
  ])
  func requestsOfAnotherTimeAreNotBelieved(_ change: String) async throws {
    // Given the requests of an earlier time beside the mark
    func written(_ index: UInt64, _ requests: [UInt64: [UInt8]], completes: Bool = false) async throws {
      let disk = try Disk(directory.path)
      let mark = StateMark(appliedIndex: index, appliedTerm: 1, revision: 9, stateHash: 7, configuration: [1])
      disk.directory.state.write(
        StateWrite(mark: mark, completes: completes) {
          StateRows(
            changes: [ObjectRowChange(resource: "pods", namespace: "default", name: "a", row: row("a", 2))],
            requests: requests)
        })
      try await disk.state.wait { $0.count == 1 }
      try await disk.close()
    }
    try await written(5, [1: [7], 3: [6]])
    try shell(state, "CREATE TABLE earlier AS SELECT * FROM request")
    try await written(6, [1: [7, 8], 2: [8]])
    #expect(try Disk(directory.path).directory.stateContents.damage == nil)
    try shell(state, change)
    for spoiled in [false, true, false] {
      // when it is opened, then the server does not go on with them; also when the file is made anew of what is good.
      if spoiled { try shell(state, "UPDATE object SET json = '{}'") }
      let disk = try Disk(directory.path)
      #expect(disk.directory.stateContents.damage?.isIncomplete == true)
      #expect(disk.directory.stateContents.mark?.appliedIndex == 6)
      try await disk.close()
    }
    // What comes from a peer is whole, without requests as well.
    for requests in [[1: [7, 8], 2: [8]], [:]] as [[UInt64: [UInt8]]] {
      try await written(7, requests, completes: true)
      let disk = try Disk(directory.path)
      #expect(disk.directory.stateContents.damage == nil && disk.directory.stateContents.requests == requests)
      try await disk.close()
    }
  }

  private func overwrite(_ path: String, from offset: Int, count: Int) throws {
    let descriptor = open(path, O_RDWR)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let garbage = [UInt8](repeating: 0xA5, count: count)
    #expect(pwrite(descriptor, garbage, count, offset) == count)
  }
}
