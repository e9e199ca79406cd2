// What stands on disks, pinned: the tables and rows of both databases, the file of promises. An upgraded server opens
// what the version before wrote, and the step back leaves what that version opens. Whoever changes what is written
// here gives the tables a new version, with a step forward and back.

import FileSupport
import Glibc
import Testing

@testable import Storage

@Suite struct FormatTests {
  let directory = TemporaryFolder("storage")

  /// Everything that a query gives, row by row, values as SQLite quotes them: "1|'a'|X'01'".
  private func rows(_ file: String, _ table: String, _ columns: String, order: String) throws -> String {
    let database = try Database(path: "\(directory.path)/\(file)", system: nil)
    let quoted = columns.split(separator: ",").map { "quote(\($0))" }.joined(separator: "||'|'||")
    let statement = try database.prepare("SELECT \(quoted) FROM \(table) ORDER BY \(order)")
    var rows: [String] = []
    while try statement.step() { rows.append(statement.text(0)) }
    return rows.joined(separator: "\n")
  }

  private func fill(_ disk: Disk) async throws {
    disk.directory.log.append(
      LogWrite(
        token: 1, hardState: LogHardState(currentTerm: 3, votedFor: 7, commitIndex: 2),
        base: LogBase(index: 4, term: 2, configuration: [9, 8, 7]),
        entries: [
          LogEntry(index: 5, term: 2, kind: 0, payload: [1, 2, 3]), LogEntry(index: 6, term: 3, kind: 1, payload: []),
        ]))
    disk.directory.state.write(
      StateWrite(mark: StateMark(appliedIndex: 5, appliedTerm: 2, revision: 9, stateHash: .max, configuration: [6, 5]))
      {
        StateRows(
          changes: [
            ObjectRowChange(
              resource: "pods", namespace: "default", name: "a", row: row("a", 2, labels: ["z": "1", "app": "a"])),
            ObjectRowChange(resource: "pods", namespace: "default", name: "b", row: row("b", 3)),
          ], requests: [1: [7], .max: [8, 9]])
      })
    try await disk.durable(through: 1)
    try await disk.state.wait { $0.count == 1 }
  }

  private static let log = "log_index,term,kind,checksum,payload"
  private static let mark = "id,applied_index,applied_term,revision,state_hash,checksum,configuration"
  private static let object = "resource,namespace,name,revision,uid,labels,fence,revision_offset,checksum,json"

  private func expectRows(_ title: String, _ found: String, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(found == String(decoding: golden[title], as: UTF8.self), sourceLocation: sourceLocation)
    expectGolden(title, Array(found.utf8))
  }

  /// Given a disk that a server has written, then its tables and rows are those that other versions know.
  @Test func tablesAndRowsAreWhatOtherVersionsKnow() async throws {
    let disk = try Disk(directory.path)
    try await fill(disk)
    try await disk.close()
    #expect(
      StorageSchema.version == 3, "a new version of the tables needs tests of the steps between, as in SchemaTests")
    try expectTables(ofVersion: " 3", markColumns: Self.mark + ",request_digest")
    // Five records in pages of their own; what follows each is zero.
    let promises = try OperatingSystemFiles().open("\(directory.path)/promises", create: false).file.contents()
    #expect(promises.count == 5 * 4096)
    // Behind what is compared stand the number of the file itself and the checksum.
    for page in 0..<2 { expectGolden("promises \(page)", Array(promises[page * 4096..<page * 4096 + 40])) }
    // Which of the last three pages holds the newest extent, and under which number, is a matter of the syncs' timing.
    let extents = [2, 3, 4].map { Array(promises[$0 * 4096..<$0 * 4096 + 48]) }
    let newest = extents.max { $0[8] < $1[8] } ?? []
    expectGolden("extent", Array(newest[..<8] + newest[16...]))
    // And after the step back they are those of the version before.
    try StorageDirectory.migrateBack(path: directory.path)
    try expectTables(ofVersion: "", markColumns: Self.mark)
  }

  /// `version`: behind the names of what differs from version 2.
  private func expectTables(ofVersion version: String, markColumns: String) throws {
    expectRows("raft.db tables", try rows("raft.db", "sqlite_schema", "type,name,sql", order: "type, name"))
    expectRows("state.db tables\(version)", try rows("state.db", "sqlite_schema", "type,name,sql", order: "type, name"))
    expectRows("raft.db log", try rows("raft.db", "log", Self.log + ",key_id", order: "log_index"))
    expectRows(
      "raft.db hard_state",
      try rows("raft.db", "hard_state", "id,current_term,voted_for,commit_index,checksum", order: "id"))
    expectRows("raft.db base", try rows("raft.db", "base", "id,log_index,term,checksum,configuration", order: "id"))
    expectRows("state.db object", try rows("state.db", "object", Self.object + ",key_id", order: "name"))
    expectRows("state.db request", try rows("state.db", "request", "origin,checksum,outcomes,key_id", order: "origin"))
    for table in ["mark", "mark_copy"] {
      expectRows("state.db mark\(version)", try rows("state.db", table, markColumns, order: "id"))
    }
    for file in ["raft.db", "state.db"] {
      let meta = try rows(file, "meta", "name,value,checksum", order: "name").split(separator: "\n").filter {
        !$0.contains("disk_id")
      }
      expectRows("\(file) meta\(version)", meta.joined(separator: "\n"))
    }
  }

  private func makeTables(ofVersion version: UInt64) throws {
    for (file, steps) in [("raft.db", StorageSchema.log), ("state.db", StorageSchema.state)] {
      let path = "\(directory.path)/\(file)"
      var values = ["format": "\(version)", "cluster_id": "c1", "node_id": "7", "disk_id": "0102030405060708"]
      if file == "raft.db" { values["incarnation"] = "4" } else { values["born"] = "1" }
      if version == 1 {
        try shell(path, "CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        for (name, value) in values { try shell(path, "INSERT INTO meta VALUES('\(name)', '\(value)')") }
      } else {
        try shell(path, StorageSchema.createMeta)
        let meta = MetaTable(try Database(path: path, system: nil), path: path)
        for (name, value) in values { try meta.set(name, value) }
      }
      try shell(path, steps.create)
      for step in steps.forward.prefix(Int(version - 1)) { try shell(path, step) }
      if version == 2 {
        expectRows("\(file) tables", try rows(file, "sqlite_schema", "type,name,sql", order: "type, name"))
      }
    }
  }

  /// Given the files of an older version, written by it, when this program opens them, then it finds everything.
  @Test(arguments: [1, 2] as [UInt64]) func theFilesOfOlderVersionsAreRead(_ version: UInt64) async throws {
    try makeTables(ofVersion: version)
    func insert(_ file: String, _ table: String, _ columns: String, _ title: String) throws {
      for line in String(decoding: golden[title], as: UTF8.self).split(separator: "\n") {
        let values = line.split(separator: "|").prefix(columns.split(separator: ",").count).joined(separator: ", ")
        try shell("\(directory.path)/\(file)", "INSERT INTO \(table)(\(columns)) VALUES(\(values))")
      }
    }
    try insert("raft.db", "log", Self.log, "raft.db log")
    try insert("raft.db", "hard_state", "id,current_term,voted_for,commit_index,checksum", "raft.db hard_state")
    try insert("raft.db", "base", "id,log_index,term,checksum,configuration", "raft.db base")
    try insert("state.db", "object", Self.object, "state.db object")
    try insert("state.db", "request", "origin,checksum,outcomes", "state.db request")
    try insert("state.db", "mark", Self.mark, "state.db mark")
    if version > 1 { try insert("state.db", "mark_copy", Self.mark, "state.db mark") }
    let disk = try Disk(directory.path)
    let (log, state) = (disk.directory.logContents, disk.directory.stateContents)
    #expect(log.damage == nil && state.damage == nil)
    #expect(log.hardState == LogHardState(currentTerm: 3, votedFor: 7, commitIndex: 2))
    #expect(log.base == LogBase(index: 4, term: 2, configuration: [9, 8, 7]))
    #expect(log.entries.map(\.index) == [5, 6] && log.entries.map(\.payload) == [[1, 2, 3], []])
    #expect(disk.rows.map(\.name).sorted() == ["a", "b"])
    let (found, written) = (disk.rows.first { $0.name == "a" }, row("a", 2, labels: ["z": "1", "app": "a"]))
    #expect(found?.json == written.json && found?.labels == written.labels && found?.fence == written.fence)
    #expect(found?.uid == written.uid && found?.revision == 2 && found?.revisionOffset == written.revisionOffset)
    #expect(state.requests == [1: [7], .max: [8, 9]])
    #expect(state.mark?.appliedIndex == 5 && state.mark?.stateHash == .max && state.mark?.configuration == [6, 5])
    #expect(disk.directory.incarnation == 5 && disk.directory.diskID == 0x0102_0304_0506_0708)
    try await disk.close()
  }
}
