import FileSupport
import Testing

@testable import Storage

/// Tables of the version before and after this program's.
@Suite struct SchemaTests {
  let directory = TemporaryFolder("storage")
  private var log: String { "\(directory.path)/raft.db" }
  private var state: String { "\(directory.path)/state.db" }

  private func fill(_ disk: Disk) async throws {
    disk.directory.log.append(
      LogWrite(token: 1, hardState: LogHardState(currentTerm: 3, votedFor: 7, commitIndex: 2), entries: entries(1...10))
    )
    disk.directory.state.write(
      StateWrite(mark: StateMark(appliedIndex: 2, appliedTerm: 1, revision: 9, stateHash: 7, configuration: [1])) {
        StateRows(
          changes: [ObjectRowChange(resource: "pods", namespace: "default", name: "a", row: row("a", 2))],
          requests: [1: [7]])
      })
    try await disk.durable(through: 1)
    try await disk.state.wait { $0.count == 1 }
  }

  private func check(_ disk: Disk, requests: [UInt64: [UInt8]] = [1: [7]]) {
    let contents = disk.directory.logContents
    #expect(contents.hardState == LogHardState(currentTerm: 3, votedFor: 7, commitIndex: 2))
    #expect(contents.entries == entries(1...10) && contents.damage == nil)
    #expect(disk.rows.map(\.name) == ["a"] && disk.directory.stateContents.damage == nil)
    #expect(disk.directory.stateContents.requests == requests)
    #expect(disk.directory.stateContents.mark?.appliedIndex == 2)
  }

  /// Given a disk of this version, when the step back is taken, then it has the tables of the version before, and the
  /// step forward brings everything again: also when the older program has written meanwhile.
  @Test func oneStepBackAndForward() async throws {
    var disk = try Disk(directory.path)
    try await fill(disk)
    try await disk.close()
    for round in 0..<2 as Range<UInt64> {
      try StorageDirectory.migrateBack(path: directory.path)
      for file in [log, state] {
        #expect(try shell(file, "SELECT value FROM meta WHERE name = 'format'") == 2)
        #expect(try shell(file, "PRAGMA user_version") == 2)
      }
      for table in ["mark", "mark_copy"] {
        #expect(try shell(state, "SELECT count(*) FROM pragma_table_info('\(table)')") == 7)
      }
      // It knew no digest of the requests: nothing is held against what it has written.
      let origin = round + 1
      let checksum = Int64(bitPattern: RequestRow.checksum(origin, key: 0, stored: [7]))
      try shell(state, "UPDATE request SET origin = \(origin), checksum = \(checksum)")
      disk = try Disk(directory.path)
      check(disk, requests: [origin: [7]])
      #expect(disk.directory.incarnation == round + 2)
      try await disk.close()
      #expect(try shell(state, "SELECT max(request_digest) FROM mark") == 0)
    }
    #expect(try shell(log, "PRAGMA user_version") == 3)
    // What is written from now on says whose requests it goes with.
    disk = try Disk(directory.path)
    disk.directory.state.write(
      StateWrite(mark: StateMark(appliedIndex: 3, appliedTerm: 1, revision: 9, stateHash: 7, configuration: [1])) {
        StateRows(changes: [], requests: [2: [7]])
      })
    try await disk.state.wait { $0.count == 1 }
    try await disk.close()
    #expect(try shell(state, "SELECT request_digest FROM mark") != 0)
    #expect(try shell(state, "SELECT count(*) FROM mark JOIN mark_copy USING(request_digest, checksum)") == 1)
  }

  /// Given tables of a newer version, when they are opened, then the error says so and nothing is changed.
  @Test func aNewerVersionIsRefusedUnchanged() async throws {
    let disk = try Disk(directory.path)
    try await fill(disk)
    try await disk.close()
    for file in [state, log] {
      let meta = MetaTable(try Database(path: file, system: nil), path: file)
      try meta.set("format", String(StorageSchema.version + 1))
      let failure = #expect(throws: StorageError.self) { try Disk(directory.path) }
      #expect("\(failure as Any)".contains("newer version"))
      #expect(throws: StorageError.self) { try StorageDirectory.migrateBack(path: directory.path) }
      #expect(try shell(file, "SELECT value FROM meta WHERE name = 'format'") == StorageSchema.version + 1)
      try meta.set("format", String(StorageSchema.version))
    }
    let again = try Disk(directory.path)
    check(again)
    try await again.close()
  }
}
