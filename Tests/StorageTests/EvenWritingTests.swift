// What reaches the disk, and when: commits wait for no more of it than they must.

import FileSupport
import Glibc
import Synchronization
import Testing

@testable import Storage

@Suite struct EvenWritingTests {
  let directory = TemporaryFolder("storage")

  /// SQLite may be built to write what is deleted once more, as zeros; Debian's is.
  @Test func whatIsDeletedIsNotWrittenAgain() async throws {
    let files = MeasuredFiles()
    let disk = try Disk(directory.path, files: files)
    let payload = [UInt8](repeating: 7, count: 3000)
    disk.directory.log.append(
      LogWrite(token: 1, entries: (1...2000).map { LogEntry(index: $0, term: 1, kind: 0, payload: payload) }))
    try await disk.durable(through: 1)
    let before = files.written("raft.db-wal")
    #expect(before > 2000 * 3000)
    disk.directory.log.cut(to: LogBase(index: 1900, term: 1, configuration: [9]))
    try await disk.close()
    // Each entry has a page of its own: 1,900 become free.
    #expect(files.written("raft.db-wal") - before < 400 * 4096)
  }

  /// A commit that starts the write-ahead log anew syncs what the checkpoint before it left, not the whole checkpoint.
  @Test func commitsWaitForLittleOfACheckpoint() async throws {
    let files = MeasuredFiles()
    let disk = try Disk(directory.path, files: files)
    let payload = [UInt8](repeating: 7, count: 40_000)
    var index: UInt64 = 0
    while index < 2 || files.syncs("raft.db", by: "log writer").isEmpty {
      index += 1
      try #require(index < 10_000, "the write-ahead log does not start anew")
      disk.directory.log.append(
        LogWrite(token: index, entries: [LogEntry(index: index, term: 1, kind: 0, payload: payload)]))
      // Always some on their way: no checkpoint finds the end of the write-ahead log.
      if index > 16 { try await disk.durable(through: index - 16) }
      if index == 1 { files.forgetSyncs() }
    }
    #expect(files.syncs("raft.db", by: "log writer").allSatisfy { $0 < 4 << 20 })
    try await disk.close()
    // Each checkpoint syncs what it reads, and what it wrote.
    let checkpoints = files.syncs("raft.db-wal", by: "log checkpoint").count
    #expect(checkpoints > 0 && files.syncs("raft.db", by: "log checkpoint").count >= checkpoints)
  }

  /// The state's commits are not durable by themselves; what they wrote does not wait for a checkpoint all the same.
  @Test func theStateIsWrittenEvenly() async throws {
    let files = MeasuredFiles()
    let disk = try Disk(directory.path, files: files)
    let json = [UInt8](repeating: UInt8(ascii: "7"), count: 20_000)
    for round in 1...20 as ClosedRange<UInt64> {
      disk.directory.state.write(
        StateWrite(
          mark: StateMark(appliedIndex: round, appliedTerm: 1, revision: round, stateHash: 1, configuration: [1])
        ) {
          let changes = (0..<100).map { number in
            var written = row("\(round)-\(number)", round)
            written.json = json
            return ObjectRowChange(
              resource: "pods", namespace: "default", name: "\(round)-\(number)", row: written)
          }
          return StateRows(changes: changes, requests: [:])
        })
    }
    try await disk.close()
    #expect(files.written("state.db-wal") > 20 * 100 * 20_000)
    #expect(files.syncs("state.db-wal", by: "state writer").allSatisfy { $0 < 4 << 20 })
    #expect(files.syncs("state.db", by: "state writer").allSatisfy { $0 < 8 << 20 })
  }
}

/// The operating system's files, with a count of what is written to them, and of what each sync finds unsynced.
private final class MeasuredFiles: FileSystem {
  private struct Measure {
    var written = 0
    var unsynced = 0
    var syncs: [String: [Int]] = [:]
  }
  private let files = OperatingSystemFiles()
  private let measures = Mutex<[String: Measure]>([:])

  func written(_ name: String) -> Int { measures.withLock { $0[name]?.written ?? 0 } }
  /// The bytes that each sync by that thread made durable.
  func syncs(_ name: String, by thread: String) -> [Int] { measures.withLock { $0[name]?.syncs[thread] ?? [] } }
  func forgetSyncs() { measures.withLock { for name in $0.keys { $0[name]?.syncs = [:] } } }

  fileprivate func write(_ count: Int, to name: String) {
    measures.withLock {
      $0[name, default: Measure()].written += count
      $0[name, default: Measure()].unsynced += count
    }
  }
  fileprivate func sync(_ name: String) {
    let thread = Self.threadName()
    measures.withLock {
      $0[name, default: Measure()].syncs[thread, default: []].append($0[name]?.unsynced ?? 0)
      $0[name]?.unsynced = 0
    }
  }

  private static func threadName() -> String {
    var bytes = [UInt8](repeating: 0, count: 16)
    let file = Glibc.open("/proc/thread-self/comm", O_RDONLY)
    defer { Glibc.close(file) }
    let count = Glibc.read(file, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }

  func open(_ path: String, create: Bool) throws(FileError) -> (file: any File, isNew: Bool) {
    let (file, isNew) = try files.open(path, create: create)
    return (MeasuredFile(file, String(path.split(separator: "/").last ?? ""), self), isNew)
  }
  func exists(_ path: String) throws(FileError) -> Bool { try files.exists(path) }
  func delete(_ path: String) throws(FileError) { try files.delete(path) }
  func rename(_ path: String, to other: String) throws(FileError) { try files.rename(path, to: other) }
  func createDirectory(_ path: String) throws(FileError) { try files.createDirectory(path) }
  func syncDirectory(_ path: String) throws(FileError) { try files.syncDirectory(path) }
  func lock(_ path: String) throws(FileError) -> any FileLock { try files.lock(path) }
}

private final class MeasuredFile: File {
  private let file: any File
  private let name: String
  private let files: MeasuredFiles
  init(_ file: any File, _ name: String, _ files: MeasuredFiles) {
    self.file = file
    self.name = name
    self.files = files
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    try file.read(into: buffer, at: offset)
  }
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    try file.write(bytes, at: offset)
    files.write(bytes.count, to: name)
  }
  func truncate(to size: Int) throws(FileError) { try file.truncate(to: size) }
  func sync() throws(FileError) {
    try file.sync()
    files.sync(name)
  }
  func size() throws(FileError) -> Int { try file.size() }
  func number() throws(FileError) -> UInt64 { try file.number() }
  func close() { file.close() }
}
