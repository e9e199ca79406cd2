// raft.db: term, vote, log entries by index, and where the log starts. `synchronous=FULL`: a commit that returned is
// on the disk. Everything here blocks; SQLiteLogStore calls it on its own thread.

/// The log's database, synchronously. One thread at a time.
final class LogDatabase {
  /// Entries deleted behind the base per transaction: about a tenth of a millisecond of work.
  static let deletionsPerStep: UInt64 = 256

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
  private var baseIndex: UInt64 = 0
  /// Whether entries behind the base are still to be deleted.
  private(set) var owesDeletions = false

  init(path: String, system: SQLiteFileSystem?) throws(StorageError) {
    database = try Database(path: path, system: system)
    try database.execute("PRAGMA page_size=4096")
    try database.execute("PRAGMA journal_mode=WAL")
    try database.execute("PRAGMA synchronous=FULL")
    try database.execute("PRAGMA cache_size=-16384")
    meta = try MetaTable(database)
    try database.execute(
      """
      CREATE TABLE IF NOT EXISTS log(
        log_index INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL, checksum INTEGER NOT NULL,
        payload BLOB NOT NULL);
      CREATE TABLE IF NOT EXISTS hard_state(
        id INTEGER PRIMARY KEY CHECK(id = 1), current_term INTEGER NOT NULL, voted_for INTEGER NOT NULL,
        commit_index INTEGER NOT NULL, checksum INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS base(
        id INTEGER PRIMARY KEY CHECK(id = 1), log_index INTEGER NOT NULL, term INTEGER NOT NULL,
        checksum INTEGER NOT NULL, configuration BLOB NOT NULL);
      """)
    begin = try database.prepare("BEGIN IMMEDIATE")
    commit = try database.prepare("COMMIT")
    insert = try database.prepare("INSERT INTO log(log_index, term, kind, checksum, payload) VALUES(?, ?, ?, ?, ?)")
    truncate = try database.prepare("DELETE FROM log WHERE log_index >= ?")
    firstStored = try database.prepare("SELECT min(log_index) FROM log")
    deleteThrough = try database.prepare("DELETE FROM log WHERE log_index <= ?")
    setHardState = try database.prepare(
      "INSERT OR REPLACE INTO hard_state(id, current_term, voted_for, commit_index, checksum) VALUES(1, ?, ?, ?, ?)")
    setBase = try database.prepare(
      "INSERT OR REPLACE INTO base(id, log_index, term, checksum, configuration) VALUES(1, ?, ?, ?, ?)")
  }

  /// Reads everything, checking every checksum and that no entry is missing.
  func load() throws(StorageError) -> LogContents {
    var contents = LogContents()
    let hardState = try database.prepare("SELECT current_term, voted_for, commit_index, checksum FROM hard_state")
    if try hardState.step() {
      let stored = LogHardState(
        currentTerm: hardState.word(0), votedFor: hardState.word(1), commitIndex: hardState.word(2))
      guard stored.checksum == hardState.word(3) else { throw .damaged("raft.db: term and vote") }
      contents.hardState = stored
      hardState.reset()
    }
    let base = try database.prepare("SELECT log_index, term, checksum, configuration FROM base")
    if try base.step() {
      let stored = LogBase(index: base.word(0), term: base.word(1), configuration: base.bytes(3))
      guard stored.checksum == base.word(2) else { throw .damaged("raft.db: the start of the log") }
      contents.base = stored
      baseIndex = stored.index
      base.reset()
    }
    owesDeletions = true
    let log = try database.prepare(
      "SELECT log_index, term, kind, checksum, payload FROM log WHERE log_index > ? ORDER BY log_index")
    log.bind(baseIndex)
    var next = baseIndex + 1
    while try log.step() {
      let entry = LogEntry(
        index: log.word(0), term: log.word(1), kind: UInt8(truncatingIfNeeded: log.word(2)), payload: log.bytes(4))
      guard entry.index == next else { throw .damaged("raft.db: entries \(next) to \(entry.index - 1) are missing") }
      guard entry.checksum == log.word(3) else {
        if StorageMutant.damagedTailDropped.isActive { break }
        throw .damaged("raft.db: entry \(entry.index)")
      }
      contents.entries.append(entry)
      next += 1
    }
    // SQLite drops what it cannot read at the end of its write-ahead log: a tail that was durable must not vanish so.
    if StorageMutant.damagedTailDropped.isActive {
      contents.hardState.commitIndex = min(contents.hardState.commitIndex, next - 1)
    }
    guard contents.hardState.commitIndex < next else {
      throw .damaged("raft.db: entries \(next) to \(contents.hardState.commitIndex) were committed and are missing")
    }
    return contents
  }

  /// Writes it all in one transaction with one fsync.
  func commit(_ writes: [LogWrite], cut: LogBase?) throws(StorageError) {
    try begin.run()
    for write in writes {
      if let base = write.base { try store(base) }
      if let index = write.truncateFrom {
        truncate.bind(index)
        try truncate.run()
      }
      for entry in write.entries { try store(entry) }
      if let recovery = write.recovery { try meta.set(MetaTable.recoveryName, recovery.text) }
    }
    // Later writes replace earlier ones: the last is the one to keep.
    if let hardState =
      (StorageMutant.olderHardStateWins.isActive
      ? writes.first { $0.hardState != nil } : writes.last { $0.hardState != nil })?.hardState
    {
      try store(hardState)
    }
    if let cut, cut.index > baseIndex { try store(cut) }
    try deleteStep()
    try commit.run()
  }

  private func deleteStep() throws(StorageError) {
    guard owesDeletions else { return }
    owesDeletions = false
    guard try firstStored.step(), !firstStored.isNull(0) else { return firstStored.reset() }
    let first = firstStored.word(0)
    firstStored.reset()
    guard first <= baseIndex else { return }
    let through = min(baseIndex, first + Self.deletionsPerStep - 1)
    deleteThrough.bind(through)
    try deleteThrough.run()
    owesDeletions = through < baseIndex
  }

  private func store(_ entry: LogEntry) throws(StorageError) {
    insert.bind(entry.index)
    insert.bind(entry.term)
    insert.bind(UInt64(entry.kind))
    insert.bind(entry.checksum)
    try insert.run(last: entry.payload)
  }

  private func store(_ hardState: LogHardState) throws(StorageError) {
    setHardState.bind(hardState.currentTerm)
    setHardState.bind(hardState.votedFor)
    setHardState.bind(hardState.commitIndex)
    setHardState.bind(hardState.checksum)
    try setHardState.run()
  }

  private func store(_ base: LogBase) throws(StorageError) {
    setBase.bind(base.index)
    setBase.bind(base.term)
    setBase.bind(base.checksum)
    try setBase.run(last: base.configuration)
    baseIndex = base.index
    owesDeletions = true
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
