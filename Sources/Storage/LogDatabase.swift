// raft.db: term, vote, log entries by index, and where the log starts. `synchronous=FULL`: a commit that returned is
// on the disk. Everything here blocks; SQLiteLogStore calls it on its own thread. Reading: LogReading.swift.

/// The log's database, synchronously. One thread at a time.
///
/// How large it grows. Pages of deleted entries are used again, so that the file holds what the log once held at most:
/// what the replica retains (`retainedLogBytes`, four times that while a snapshot is sent), a step of the cut
/// (`cutStep`) and what came while the deletion of that was under way, half of what is deleted. Its write-ahead log
/// starts anew after 6000 pages and some checkpoints: 24 MiB, and what is written while those run. Entries lie
/// in pages of 4 KiB at their length and 30 bytes; one that is longer than a page wastes part of its last.
final class LogDatabase {
  /// Entries deleted behind the base per transaction at least: about a tenth of a millisecond of work. Twice as many as
  /// it writes, if that is more, so that deletion keeps up with any load.
  static let deletionsPerStep: UInt64 = 256

  /// What the tables hold, as far as it matters to the next write.
  private struct Extent {
    var baseIndex: UInt64 = 0
    /// Whether entries behind the base are still to be deleted.
    var owesDeletions = true
    var log = LogExtent()
  }

  let database: Database
  let meta: MetaTable
  private let begin: Statement
  private let commit: Statement
  private let insert: Statement
  private let truncate: Statement
  private let firstStored: Statement
  private let deleteThrough: Statement
  private let setHardState: Statement
  private let setBase: Statement
  private let setTruncation: Statement
  private var extent = Extent()
  /// Nil while the file is being made.
  private(set) var promises: PromiseFile?
  let cipher: any StorageCipher

  /// Opens the file and brings its tables to this program's version.
  init(
    path: String, system: SQLiteFileSystem?, cipher: any StorageCipher,
    check: ([String: String]) throws(StorageError) -> Void = { _ in }
  ) throws(StorageError) {
    self.cipher = cipher
    database = try Database(path: path, system: system)
    try database.execute("PRAGMA page_size=4096")
    try database.execute("PRAGMA journal_mode=WAL")
    try database.execute("PRAGMA synchronous=FULL")
    // Entries are written at one end and deleted at the other: the system keeps what is read, once is enough.
    try database.execute("PRAGMA cache_size=-4096")
    meta = MetaTable(database, path: path)
    try meta.prepare(StorageSchema.log, check: check)
    begin = try database.prepare("BEGIN IMMEDIATE")
    commit = try database.prepare("COMMIT")
    // Or replace: an entry that has rotted is written again in its place.
    insert = try database.prepare(
      "INSERT OR REPLACE INTO log(log_index, term, kind, key_id, checksum, payload) VALUES(?, ?, ?, ?, ?, ?)")
    truncate = try database.prepare("DELETE FROM log WHERE log_index >= ?")
    firstStored = try database.prepare("SELECT min(log_index) FROM log")
    deleteThrough = try database.prepare("DELETE FROM log WHERE log_index <= ?")
    setHardState = try database.prepare(
      "INSERT OR REPLACE INTO hard_state(id, current_term, voted_for, commit_index, checksum) VALUES(1, ?, ?, ?, ?)")
    setBase = try database.prepare(
      "INSERT OR REPLACE INTO base(id, log_index, term, checksum, configuration) VALUES(1, ?, ?, ?, ?)")
    setTruncation = try database.prepare(
      "INSERT OR REPLACE INTO truncation(id, number, log_index, checksum) VALUES(1, ?, ?, ?)")
  }

  /// Whether entries behind the base are still to be deleted.
  var owesDeletions: Bool { extent.owesDeletions }

  /// Before the first write: where the log stands, and who keeps its promises.
  func begin(base: UInt64, extent log: LogExtent, promises: PromiseFile) {
    extent = Extent(baseIndex: base, owesDeletions: true, log: log)
    self.promises = promises
  }

  /// Writes it all in one transaction with one fsync (and one more for a new term or vote). After an error nothing of it
  /// is in the tables.
  func commit(_ writes: [LogWrite], cut: LogBase?) throws(StorageError) {
    // Later writes replace earlier ones: the last is the one to keep.
    let hardState =
      (StorageMutant.olderHardStateWins.isActive
      ? writes.first { $0.hardState != nil } : writes.last { $0.hardState != nil })?.hardState
    if let hardState { try promise(hardState) }
    let before = extent
    do throws(StorageError) {
      try begin.run()
      for write in writes {
        if let base = write.base { try store(base) }
        if let index = write.truncateFrom { try removeEntries(from: index) }
        for entry in write.entries { try store(entry) }
        if let recovery = write.recovery { try meta.set(MetaTable.recoveryName, recovery.text) }
      }
      if let hardState { try store(hardState) }
      if let cut, cut.index > extent.baseIndex { try store(cut) }
      try deleteStep(UInt64(writes.reduce(0) { $0 + $1.entries.count }))
      try commit.run()
    } catch {
      database.rollBack()
      extent = before
      throw error
    }
    try promises?.note(extent.log)
  }

  /// Makes term and vote durable where a full disk and a torn write-ahead log cannot take them back.
  func promise(_ hardState: LogHardState) throws(StorageError) {
    guard let promises else { return }
    var promise = promises.promise ?? Promise()
    guard promise.currentTerm != hardState.currentTerm || promise.votedFor != hardState.votedFor else { return }
    promise.currentTerm = hardState.currentTerm
    promise.votedFor = hardState.votedFor
    try promises.make(promise)
  }

  private func deleteStep(_ written: UInt64) throws(StorageError) {
    guard extent.owesDeletions else { return }
    extent.owesDeletions = false
    guard try firstStored.step(), !firstStored.isNull(0) else { return firstStored.reset() }
    let first = firstStored.word(0)
    firstStored.reset()
    guard first <= extent.baseIndex else { return }
    let through = min(extent.baseIndex, first + max(Self.deletionsPerStep, written * 2) - 1)
    deleteThrough.bind(through)
    try deleteThrough.run()
    extent.owesDeletions = through < extent.baseIndex
  }

  private func removeEntries(from index: UInt64) throws(StorageError) {
    truncate.bind(index)
    try truncate.run()
    guard index <= extent.log.last.index else { return }
    extent.log.truncations += 1
    extent.log.truncatedFrom = index
    extent.log.last = LogPosition(index: max(index, 1) - 1, term: 0)
    try store(truncation: extent.log)
  }

  func store(truncation extent: LogExtent) throws(StorageError) {
    setTruncation.bind(extent.truncations)
    setTruncation.bind(extent.truncatedFrom)
    setTruncation.bind(extent.truncationChecksum)
    try setTruncation.run()
  }

  func store(_ entry: LogEntry) throws(StorageError) {
    let key = cipher.currentKey
    let payload = key == 0 ? entry.payload : cipher.seal(entry.payload, key: key, place: entry.place)
    insert.bind(entry.index)
    insert.bind(entry.term)
    insert.bind(UInt64(entry.kind))
    insert.bind(key)
    insert.bind(entry.checksum(of: payload, key: key))
    try insert.run(last: payload)
    if entry.index >= extent.log.last.index {
      extent.log.last = LogPosition(index: entry.index, term: entry.term)
    }
  }

  func store(_ hardState: LogHardState) throws(StorageError) {
    setHardState.bind(hardState.currentTerm)
    setHardState.bind(hardState.votedFor)
    setHardState.bind(hardState.commitIndex)
    setHardState.bind(hardState.checksum)
    try setHardState.run()
  }

  func store(_ base: LogBase) throws(StorageError) {
    setBase.bind(base.index)
    setBase.bind(base.term)
    setBase.bind(base.checksum)
    try setBase.run(last: base.configuration)
    extent.baseIndex = base.index
    extent.owesDeletions = true
    if base.index > extent.log.last.index { extent.log.last = LogPosition(index: base.index, term: base.term) }
  }
}

extension LogEntry {
  /// Guards every bit of the row, its place included: an entry written to the wrong row is found as well.
  func checksum(of stored: [UInt8], key: UInt64) -> UInt64 {
    var header = (index.littleEndian, term.littleEndian, UInt64(kind).littleEndian)
    var seed = withUnsafeBytes(of: &header) { xxh64($0) }
    if key != 0 { seed = withUnsafeBytes(of: key.littleEndian) { xxh64($0, seed: seed) } }
    return xxh64(stored, seed: seed)
  }

  /// What a sealed payload is bound to: it opens nowhere else.
  var place: [UInt8] {
    var bytes = Array("log".utf8)
    for word in [index, term, UInt64(kind)] { withUnsafeBytes(of: word.littleEndian) { bytes += $0 } }
    return bytes
  }
}

extension LogHardState {
  var checksum: UInt64 {
    var words = (currentTerm.littleEndian, votedFor.littleEndian, commitIndex.littleEndian)
    return withUnsafeBytes(of: &words) { xxh64($0) }
  }
}

extension LogBase {
  var checksum: UInt64 {
    var words = (index.littleEndian, term.littleEndian)
    return xxh64(configuration, seed: withUnsafeBytes(of: &words) { xxh64($0) })
  }
}

extension LogExtent {
  var truncationChecksum: UInt64 {
    var words = (truncations.littleEndian, truncatedFrom.littleEndian)
    return withUnsafeBytes(of: &words) { xxh64($0) }
  }
}
