import FileSupport
import Glibc
import Storage
import Testing

@Suite struct LogTests {
  let directory = TemporaryFolder("storage")

  @Test func whatWasWrittenIsThereAfterAStart() async throws {
    let disk = try Disk(directory.path)
    #expect(disk.directory.incarnation == 1)
    disk.directory.log.append(
      LogWrite(token: 1, hardState: LogHardState(currentTerm: 3, votedFor: 7, commitIndex: 0), entries: entries(1...5)))
    disk.directory.log.append(
      LogWrite(
        token: 2, hardState: LogHardState(currentTerm: 4, votedFor: 0, commitIndex: 2), truncateFrom: 4,
        entries: entries(4...6, term: 4) + [LogEntry(index: 7, term: 4, kind: 1, payload: [])]))
    try await disk.durable(through: 2)
    try await disk.close()
    let again = try Disk(directory.path)
    #expect(again.directory.incarnation == 2)
    #expect(again.directory.logContents.hardState == LogHardState(currentTerm: 4, votedFor: 0, commitIndex: 2))
    #expect(
      again.directory.logContents.entries
        == entries(1...3) + entries(4...6, term: 4) + [LogEntry(index: 7, term: 4, kind: 1, payload: [])])
    try await again.close()
  }

  @Test func writesThatWaitShareACommit() async throws {
    let disk = try Disk(directory.path)
    for index in 1...500 as ClosedRange<UInt64> {
      disk.directory.log.append(LogWrite(token: index, entries: entries(index...index)))
    }
    try await disk.durable(through: 500)
    #expect(disk.log.all.count < 400)
    try await disk.close()
    #expect(try Disk(directory.path).directory.logContents.entries.count == 500)
  }

  @Test func theLogIsCutFromTheFrontInSteps() async throws {
    let disk = try Disk(directory.path)
    disk.directory.log.append(LogWrite(token: 1, entries: entries(1...2000)))
    try await disk.durable(through: 1)
    disk.directory.state.write(
      StateWrite(
        mark: StateMark(appliedIndex: 1500, appliedTerm: 1, revision: 9, stateHash: 1, configuration: [1]),
        durability: .required
      ) { StateRows(changes: [], requests: [:]) })
    disk.directory.log.cut(to: LogBase(index: 1500, term: 1, configuration: [9]))
    try await disk.close()
    let again = try Disk(directory.path)
    #expect(again.directory.logContents.base == LogBase(index: 1500, term: 1, configuration: [9]))
    #expect(again.directory.logContents.entries == entries(1501...2000))
    try await again.close()
  }

  @Test func theWriteAheadLogStaysBoundedUnderConstantWriting() async throws {
    let disk = try Disk(directory.path)
    let payload = [UInt8](repeating: 7, count: 4000)
    var largest = 0
    for round in 0..<60 as Range<UInt64> {
      for index in (round * 1000 + 1)...(round * 1000 + 1000) {
        disk.directory.log.append(
          LogWrite(token: index, entries: [LogEntry(index: index, term: 1, kind: 0, payload: payload)]))
      }
      try await disk.durable(through: round * 1000 + 900)
      var information = stat()
      stat("\(directory.path)/raft.db-wal", &information)
      largest = max(largest, Int(information.st_size))
    }
    // 240 MB were written.
    #expect(largest < 160 << 20, "the write-ahead log grew to \(largest) bytes")
    try await disk.close()
  }
}

@Suite struct StateTests {
  let directory = TemporaryFolder("storage")

  private func mark(_ index: UInt64) -> StateMark {
    StateMark(appliedIndex: index, appliedTerm: 1, revision: index + 1, stateHash: .max - index, configuration: [1, 2])
  }

  private func change(_ name: String, _ row: ObjectRow?) -> ObjectRowChange {
    ObjectRowChange(resource: "pods", namespace: "default", name: name, row: row)
  }

  @Test func rowsRequestsAndMarkAreOneTransaction() async throws {
    let disk = try Disk(directory.path)
    disk.directory.state.write(
      StateWrite(mark: mark(5)) {
        StateRows(
          changes: [change("a", row("a", 2)), change("b", row("b", 3, labels: ["app": "web", "tier": ""]))],
          requests: [1: [7], .max: [8]])
      })
    disk.directory.state.write(
      StateWrite(mark: mark(8), durability: .required) {
        StateRows(
          changes: [change("a", nil), change("b", row("b", 6, labels: ["app": "x"])), change("c", row("c", 7))],
          requests: [.max: [9]])
      })
    try await disk.state.wait { $0.count == 2 }
    guard case .written(8, 8) = disk.state.all[1] else {
      Issue.record("an urgent write is durable when it is reported: \(disk.state.all)")
      return
    }
    try await disk.close()
    let again = try Disk(directory.path)
    #expect(again.directory.stateContents.mark == mark(8))
    #expect(again.directory.stateContents.requests == [.max: [9]])
    #expect(again.rows.map(\.name) == ["b", "c"])
    #expect(again.rows.first?.labels == ["app": "x"])
    #expect(again.rows.first?.revision == 6 && again.rows.first?.fence == 3 && again.rows.first?.revisionOffset == 9)
    #expect(again.rows.map { String(decoding: $0.json, as: UTF8.self) } == [#"{"rev":"6"}"#, #"{"rev":"7"}"#])
    try await again.close()
    // Anyone with sqlite3 can ask.
    let count = try shell(
      "\(directory.path)/state.db",
      "SELECT count(*) FROM object WHERE resource = 'pods' AND labels = 'app=x' AND json ->> 'rev' = '6'")
    #expect(count == 1)
  }
}

@Suite struct IdentityTests {
  let directory = TemporaryFolder("storage")

  @Test func aDiskBelongsToOneServerAndOneProcess() async throws {
    #expect(throws: StorageError.self, "a new disk wants a name") { try Disk(directory.path, nil) }
    let disk = try Disk(directory.path)
    do {
      _ = try Disk(directory.path)
      Issue.record("opened twice")
    } catch let error as StorageError {
      guard case .inUse = error else { throw error }
    }
    try await disk.close()
    #expect(throws: StorageError.self) { try Disk(directory.path, StorageIdentity(cluster: "c2", node: 7)) }
    #expect(throws: StorageError.self) { try Disk(directory.path, StorageIdentity(cluster: "c1", node: 8)) }
    let again = try Disk(directory.path, nil)
    #expect(again.directory.identity == us)
    try await again.close()
  }

  @Test func aServerWhoseLogWasWipedDoesNotPretendToBeNew() async throws {
    let disk = try Disk(directory.path)
    try await disk.close()
    for suffix in ["", "-wal", "-shm"] { unlink("\(directory.path)/raft.db\(suffix)") }
    #expect(throws: StorageError.self) { try Disk(directory.path) }
  }
}
