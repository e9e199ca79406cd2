// SQLite, thinly: a connection and its prepared statements, each used by one thread at a time.

import CSQLite

/// One connection. Not for two threads at once.
final class Database {
  private var handle: OpaquePointer?
  /// Frames in the write-ahead log after the last commit of this connection.
  private(set) var frames = 0
  /// Frames that the last checkpoint by this connection found copied, or copied.
  private(set) var copiedFrames = 0

  /// How long a connection waits for another's lock: only a checkpoint or an operator's shell ever holds one.
  private static let busyMilliseconds: Int32 = 10_000

  /// Keeps the file system registered while the connection lives.
  private let system: SQLiteFileSystem?

  /// Opens or creates the database file in `system`; nil: the operating system's, by SQLite's own way to it.
  init(path: String, system: SQLiteFileSystem?) throws(StorageError) {
    self.system = system
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
    let code = sqlite3_open_v2(path, &handle, flags, system?.name)
    guard code == SQLITE_OK else {
      let error = self.error("open \(path)", code)
      sqlite3_close_v2(handle)
      throw error
    }
    sqlite3_extended_result_codes(handle, 1)
    sqlite3_busy_timeout(handle, Self.busyMilliseconds)
    // What looks wrong in a page is said to be, not followed.
    sqlite3_exec(handle, "PRAGMA cell_size_check=ON", nil, nil, nil)
    // Debian's SQLite writes every page that becomes free once more, as zeros: more than a third of what the log writes.
    // What is deleted is still overwritten where its page is written anyway; what must not be read from a disk is sealed.
    sqlite3_exec(handle, "PRAGMA secure_delete=FAST", nil, nil, nil)
    // Checkpoints are ours: the automatic one stalls commits by tens of milliseconds. It is switched off first, for it
    // is a hook of the same kind and takes the other's place (as PRAGMA wal_autocheckpoint would).
    sqlite3_wal_autocheckpoint(handle, 0)
    sqlite3_wal_hook(
      handle,
      { @Sendable context, _, _, frames in
        Unmanaged<Database>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue().frames = Int(frames)
        return SQLITE_OK
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit { sqlite3_close_v2(handle) }

  /// Runs statements that return nothing of interest.
  func execute(_ sql: String) throws(StorageError) {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    guard code == SQLITE_OK else { throw error(sql, code) }
  }

  func prepare(_ sql: String) throws(StorageError) -> Statement {
    var statement: OpaquePointer?
    let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
    guard code == SQLITE_OK, let statement else { throw error(sql, code) }
    return Statement(statement, of: self, sql)
  }

  /// The first column of the first row; zero where there is none.
  func word(_ sql: String) throws(StorageError) -> UInt64 {
    let statement = try prepare(sql)
    defer { statement.reset() }
    return try statement.step() ? statement.word(0) : 0
  }

  /// Whether the pages do not fit together: one in use twice, one in use and free, cells out of order.
  func isInconsistent() throws(StorageError) -> Bool {
    do throws(StorageError) {
      let check = try prepare("PRAGMA quick_check(1)")
      defer { check.reset() }
      if try !check.step() || check.text(0) != "ok" { return true }
    } catch {
      guard error.isDamage else { throw error }
      return true
    }
    // A file that lost its end may read well while the write-ahead log holds what is read, and could never be written.
    do throws(StorageError) { _ = try checkpoint(.passive) } catch {
      // A full disk is no damage; a sync that failed must be heard of now.
      if error.isFull { return false }
      guard error.isDamage, !error.isReadError else { throw error }
      return true
    }
    return false
  }

  /// Runs `body` in a transaction that is committed if it returns and undone if it throws.
  func transaction(_ body: () throws(StorageError) -> Void) throws(StorageError) {
    try execute("BEGIN IMMEDIATE")
    do throws(StorageError) {
      try body()
      try execute("COMMIT")
    } catch {
      rollBack()
      throw error
    }
  }

  /// Ends a transaction that failed, where SQLite has not done so itself. Nothing of it was kept.
  func rollBack() {
    if sqlite3_get_autocommit(handle) == 0 { sqlite3_exec(handle, "ROLLBACK", nil, nil, nil) }
  }

  enum Checkpoint {
    /// Copies what it can without waiting for anyone.
    case passive
    /// Waits for readers, and makes the write-ahead log empty.
    case truncate
    /// Waits for readers, so that the next commit starts the write-ahead log anew.
    case restart
  }

  /// Copies the write-ahead log into the database file and syncs both; throws an error of a full disk with everything
  /// still in the write-ahead log. True when all of it was copied: everything
  /// committed before is durable then, whatever `synchronous` says.
  func checkpoint(_ kind: Checkpoint) throws(StorageError) -> Bool {
    var total: Int32 = 0
    var copied: Int32 = 0
    let mode =
      switch kind {
      case .passive: SQLITE_CHECKPOINT_PASSIVE
      case .restart: SQLITE_CHECKPOINT_RESTART
      case .truncate: SQLITE_CHECKPOINT_TRUNCATE
      }
    let code = sqlite3_wal_checkpoint_v2(handle, nil, mode, &total, &copied)
    // Busy means that a reader or the other connection was in the way: nothing is wrong, try again later.
    if code & 0xff == SQLITE_BUSY { return false }
    guard code == SQLITE_OK else { throw error("checkpoint", code) }
    copiedFrames = Int(copied)
    return total == copied
  }

  /// Syncs what was written to the database file so far. Durability does not ask for it, evenness does: the disk writes
  /// a little now, beside the commits of others, and not everything when a checkpoint ends, in their way.
  func syncPages() throws(StorageError) {
    var file: UnsafeMutablePointer<sqlite3_file>?
    var code = sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file)
    if code == SQLITE_OK, let file, let sync = file.pointee.pMethods?.pointee.xSync {
      code = sync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY)
    }
    guard code == SQLITE_OK else { throw error("sync", code) }
  }

  fileprivate func error(_ operation: String, _ code: Int32) -> StorageError {
    .database(operation: operation, code: code, message: String(cString: sqlite3_errmsg(handle)))
  }
}

/// A prepared statement. Values are bound in order, then it is stepped; `reset` makes it ready for the next use.
final class Statement {
  private let handle: OpaquePointer
  private let database: Database
  private let sql: String
  private var bound: Int32 = 0

  fileprivate init(_ handle: OpaquePointer, of database: Database, _ sql: String) {
    self.handle = handle
    self.database = database
    self.sql = sql
  }

  deinit { sqlite3_finalize(handle) }

  /// Binds the next parameter. 64 bits are stored as SQLite's signed integer of the same bits.
  func bind(_ value: UInt64) {
    bound += 1
    sqlite3_bind_int64(handle, bound, Int64(bitPattern: value))
  }
  func bind(_ text: String) {
    bound += 1
    var text = text
    _ = text.withUTF8 { utf8 in
      utf8.withMemoryRebound(to: CChar.self) {
        // Transient: SQLite copies. Large values go through `run(last:)`.
        sqlite3_bind_text(
          handle, bound, $0.baseAddress, Int32($0.count), unsafeBitCast(-1, to: sqlite3_destructor_type.self))
      }
    }
  }
  func bind(_ bytes: [UInt8]) {
    bound += 1
    bytes.withUnsafeBytes { raw in
      // Transient, as above; a null pointer would bind NULL.
      let code =
        raw.isEmpty
        ? sqlite3_bind_zeroblob(handle, bound, 0)
        : sqlite3_bind_blob64(
          handle, bound, raw.baseAddress, UInt64(raw.count), unsafeBitCast(-1, to: sqlite3_destructor_type.self))
      precondition(code == SQLITE_OK, "a statement has a parameter for every value")
    }
  }
  func bindNull() {
    bound += 1
    sqlite3_bind_null(handle, bound)
  }

  /// Binds `bytes` as the last parameter without copying it, and runs the statement to its end.
  func run(last bytes: [UInt8], asText: Bool = false) throws(StorageError) {
    bound += 1
    let code = bytes.withUnsafeBytes { raw -> Int32 in
      guard let base = raw.baseAddress, !raw.isEmpty else {
        sqlite3_bind_zeroblob(handle, bound, 0)
        return sqlite3_step(handle)
      }
      if asText {
        let text = base.assumingMemoryBound(to: CChar.self)
        sqlite3_bind_text64(handle, bound, text, UInt64(raw.count), nil, UInt8(SQLITE_UTF8))
      } else {
        sqlite3_bind_blob64(handle, bound, base, UInt64(raw.count), nil)
      }
      return sqlite3_step(handle)
    }
    try finish(code)
  }

  /// Runs the statement to its end.
  func run() throws(StorageError) { try finish(sqlite3_step(handle)) }

  private func finish(_ code: Int32) throws(StorageError) {
    defer { reset() }
    guard code == SQLITE_DONE || code == SQLITE_ROW else { throw database.error(sql, code) }
  }

  /// Steps to the next row; false at the end.
  func step() throws(StorageError) -> Bool {
    switch sqlite3_step(handle) {
    case SQLITE_ROW: return true
    case SQLITE_DONE:
      reset()
      return false
    case let code:
      let error = database.error(sql, code)
      reset()
      throw error
    }
  }

  func reset() {
    sqlite3_reset(handle)
    sqlite3_clear_bindings(handle)
    bound = 0
  }

  // MARK: The current row

  func word(_ column: Int32) -> UInt64 { UInt64(bitPattern: sqlite3_column_int64(handle, column)) }
  func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
  func bytes(_ column: Int32) -> [UInt8] {
    guard let start = sqlite3_column_blob(handle, column) else { return [] }
    return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
  }
  func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }
}
