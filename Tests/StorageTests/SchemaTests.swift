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

  private func check(_ disk: Disk) {
    let contents = disk.directory.logContents
    #expect(contents.hardState == LogHardState(currentTerm: 3, votedFor: 7, commitIndex: 2))
    #expect(contents.entries == entries(1...10) && contents.damage == nil)
    #expect(disk.rows.map(\.name) == ["a"] && disk.directory.stateContents.damage == nil)
    #expect(disk.directory.stateContents.requests == [1: [7]])
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
        #expect(try shell(file, "SELECT value FROM meta WHERE name = 'format'") == 1)
        #expect(try shell(file, "SELECT count(*) FROM pragma_table_info('meta')") == 2)
        #expect(try shell(file, "PRAGMA user_version") == 0)
      }
      #expect(try shell(log, "SELECT count(*) FROM pragma_table_info('log')") == 5)
      #expect(try shell(state, "SELECT count(*) FROM pragma_table_info('object')") == 10)
      #expect(try shell(state, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'") == 4)
      disk = try Disk(directory.path)
      check(disk)
      #expect(disk.directory.incarnation == round + 2)
      try await disk.close()
    }
    #expect(try shell(log, "PRAGMA user_version") == 2)
  }

  /// Given tables of a newer version, when they are opened, then the error says so and nothing is changed.
  @Test func aNewerVersionIsRefusedUnchanged() async throws {
    let disk = try Disk(directory.path)
    try await fill(disk)
    try await disk.close()
    for file in [state, log] {
      let meta = MetaTable(try Database(path: file, system: nil), path: file)
      try meta.set("format", "3")
      let failure = #expect(throws: StorageError.self) { try Disk(directory.path) }
      #expect("\(failure as Any)".contains("newer version"))
      #expect(throws: StorageError.self) { try StorageDirectory.migrateBack(path: directory.path) }
      #expect(try shell(file, "SELECT value FROM meta WHERE name = 'format'") == 3)
      try meta.set("format", "2")
    }
    let again = try Disk(directory.path)
    check(again)
    try await again.close()
  }
}
