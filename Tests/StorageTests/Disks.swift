// The vocabulary of these tests: a temporary disk, and waiting for what its threads report.

import Synchronization
import Testing

@testable import Storage

/// Collects values from other threads; waits for a condition on them with a deadline.
final class Collected<Value: Sendable>: Sendable {
  private let values = Mutex<[Value]>([])
  var all: [Value] { values.withLock { $0 } }
  func add(_ value: Value) { values.withLock { $0.append(value) } }
  func wait(_ condition: ([Value]) -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while !condition(all) {
      try #require(ContinuousClock.now < deadline, "waited for too long: \(all)")
      try await Task.sleep(for: .milliseconds(2))
    }
  }
}

let us = StorageIdentity(cluster: "c1", node: 7)

struct Disk {
  let directory: StorageDirectory
  let rows: [ObjectRow]
  let log = Collected<LogStoreEvent>()
  let state = Collected<StateStorageEvent>()

  init(
    _ path: String, _ identity: StorageIdentity? = us, scrubRest: Duration = .zero,
    files: any FileSystem = OperatingSystemFiles()
  ) throws {
    var rows: [ObjectRow] = []
    directory = try StorageDirectory.open(path: path, identity: identity, files: files, scrubRest: scrubRest) {
      rows.append($0)
    }
    self.rows = rows
    directory.log.start { [log] in log.add($0) }
    directory.state.start { [state] in state.add($0) }
  }

  func durable(through token: UInt64) async throws {
    try await log.wait { events in
      events.contains { if case .durable(let through, _) = $0 { through >= token } else { false } }
    }
  }
  func close() async throws {
    let closed = Collected<Bool>()
    directory.log.close { closed.add(true) }
    directory.state.close { closed.add(true) }
    try await closed.wait { $0.count == 2 }
  }
}

func entries(_ range: ClosedRange<UInt64>, term: UInt64 = 1) -> [LogEntry] {
  range.map { LogEntry(index: $0, term: term, kind: 0, payload: Array("entry \($0)".utf8)) }
}

func row(_ name: String, _ revision: UInt64, labels: [String: String] = [:]) -> ObjectRow {
  ObjectRow(
    resource: "pods", namespace: "default", name: name, revision: revision, uid: "uid-\(name)", labels: labels,
    fence: 3,
    revisionOffset: 9, json: Array(#"{"rev":"\#(revision)"}"#.utf8))
}

/// Runs SQL as an operator would, beside the program; the first column of the first row, if there is one.
@discardableResult
func shell(_ path: String, _ sql: String) throws -> UInt64? {
  let database = try Database(path: path, system: nil)
  var last: UInt64?
  for part in sql.split(separator: ";") {
    let statement = try database.prepare(String(part))
    last = try statement.step() ? statement.word(0) : nil
    statement.reset()
  }
  return last
}
