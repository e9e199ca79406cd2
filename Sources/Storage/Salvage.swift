// Opening a database that may be damaged: what is good is carried over into a new file, which then takes the place of
// the old one in steps that a crash may cut anywhere. The old file is kept beside it as evidence, until the next time.

import CSQLite

/// What a database is opened with.
struct StorageSite {
  var path: String
  var files: any FileSystem
  var system: SQLiteFileSystem?
  var cipher: any StorageCipher
  /// Refuses another server's disk before anything is changed.
  var check: ([String: String]) throws(StorageError) -> Void

  func fileError(_ what: String, _ error: FileError) -> StorageError {
    .system(operation: "\(what) \(path)", code: error.code)
  }
}

/// The replacing of a database file by one made anew.
struct FileReplacement {
  let site: StorageSite
  var path: String { site.path }
  /// Where the new file is made: worth nothing after a crash.
  var making: String { "\(path).making" }
  /// A new file that is complete and durable.
  private var made: String { "\(path).made" }
  private var evidence: String { "\(path).damaged" }

  /// Removes what an attempt before has left, to begin another.
  func begin() throws(StorageError) {
    do throws(FileError) { for suffix in ["", "-wal", "-shm"] { try deleteIfThere(making + suffix) } } catch {
      throw site.fileError("delete", error)
    }
  }

  /// The new file, closed and durable, is complete.
  func commit() throws(StorageError) {
    do throws(FileError) {
      for suffix in ["-wal", "-shm"] { try deleteIfThere(making + suffix) }
      try site.files.rename(making, to: made)
      try site.files.syncDirectory(directory(of: path))
    } catch {
      throw site.fileError("rename", error)
    }
    try finish()
  }

  /// Puts a complete new file in its place; nothing to do where there is none. At every opening: a crash may have
  /// come in between.
  func finish() throws(StorageError) {
    do throws(FileError) {
      guard try site.files.exists(made) else { return }
      // The old write-ahead log goes first: it must never be read into the new file.
      for suffix in ["-wal", "-shm"] { try deleteIfThere(path + suffix) }
      if try site.files.exists(path) { try site.files.rename(path, to: evidence) }
      try site.files.syncDirectory(directory(of: path))
      try site.files.rename(made, to: path)
      try site.files.syncDirectory(directory(of: path))
    } catch {
      throw site.fileError("replace", error)
    }
  }

  private func deleteIfThere(_ path: String) throws(FileError) {
    if try site.files.exists(path) { try site.files.delete(path) }
  }
}

extension StorageSite {
  private static let walHeaderBytes = 32
  private static let pieceBytes = 256 << 10

  /// Writes the write-ahead log over itself, before it is read. After a sync that failed, what programs read is in the
  /// kernel's memory alone and counts as written; the disk may still hold the log as it was before it last started anew,
  /// whose pages are older than the database's and would replace them after a power cut. The header goes first, as
  /// SQLite writes it: under the old one, new pages would cut the old log short. A clean stop leaves nothing to do.
  func renewWriteAheadLog() throws(StorageError) {
    let log = "\(path)-wal"
    do throws(FileError) {
      guard try files.exists(log) else { return }
      let file = try files.open(log, create: false).file
      defer { file.close() }
      let size = try file.size()
      guard size > 0 else { return }
      try renew(file, 0..<min(size, Self.walHeaderBytes))
      try file.sync()
      for start in stride(from: Self.walHeaderBytes, to: size, by: Self.pieceBytes) {
        try renew(file, start..<min(size, start + Self.pieceBytes))
      }
      try file.sync()
    } catch {
      throw .system(operation: "renew \(log)", code: error.code)
    }
  }

  private func renew(_ file: any File, _ range: Range<Int>) throws(FileError) {
    var bytes = [UInt8](repeating: 0, count: range.count)
    try bytes.withUnsafeMutableBytes { raw in
      Result { () throws(FileError) in
        // What cannot be read is left to those who know what it may cost.
        guard let count = try? file.read(into: raw, at: range.lowerBound) else { return }
        try file.write(UnsafeRawBufferPointer(rebasing: raw[..<count]), at: range.lowerBound)
      }
    }.get()
  }
}

/// Reads that fail are tried again so often before what they should bring counts as lost.
private let readAttempts = 3

/// raft.db, opened.
struct OpenedLog {
  let database: LogDatabase
  let contents: LogContents
  /// The values of its `meta` table.
  let values: [String: String]

  /// `whose`: the server it belongs to, where the file itself cannot tell any more.
  init(
    _ site: StorageSite, promises: PromiseFile, state: StateMark?, whose: StorageIdentity?
  ) throws(StorageError) {
    let replacement = FileReplacement(site: site)
    try replacement.finish()
    try site.renewWriteAheadLog()
    var (database, values, rows) = try Self.read(site, promises)
    let judgement = try LogJudgement(rows, promise: promises.promise, known: promises.extent, state: state)
    // A file that has forgotten that its log was truncated, as the file of promises tells, holds what must not count
    // again; and until it says so itself, whatever is written from there on would be taken for that at the next start.
    let hasForgotten = judgement.extent.truncations != rows.truncation?.truncations ?? 0
    if rows.isSpoiled || hasForgotten {
      database = nil
      values = try Self.named(values, whose, site.path)
      try replacement.begin()
      try Self.make(replacement.making, site, values, judgement)
      try replacement.commit()
    }
    let opened =
      if let database { database } else {
        try LogDatabase(path: site.path, system: site.system, cipher: site.cipher, check: site.check)
      }
    opened.begin(base: judgement.contents.base?.index ?? 0, extent: judgement.extent, promises: promises)
    // How far the log goes is known better now than it was noted: a power cut takes back the last second of notes, and
    // the next damage must find the end. Durable with the promise that every start makes.
    if judgement.contents.damage.map({ $0.lastAcknowledged != nil }) ?? true { try promises.note(judgement.extent) }
    self.database = opened
    self.values = values
    contents = judgement.contents
  }

  private static func read(
    _ site: StorageSite, _ promises: PromiseFile
  ) throws(StorageError) -> (LogDatabase?, [String: String], LogRows) {
    for attempt in 1... {
      do throws(StorageError) {
        let database = try LogDatabase(path: site.path, system: site.system, cipher: site.cipher, check: site.check)
        let values = try database.meta.all()
        var rows = try database.readRows()
        if rows.hadReadError, attempt < readAttempts { continue }
        if !rows.isBlank, MetaTable.identity(values) == nil { rows.isSpoiled = true }
        if rows.isSpoiled {
          let first = (rows.base?.index ?? 0) + 1
          let last = max(
            rows.entries.keys.max() ?? 0, promises.extent?.last.index ?? 0, rows.hardState?.commitIndex ?? 0)
          if first <= last { try database.readEntries(first...last, into: &rows) }
        }
        return (database, values, rows)
      } catch {
        guard error.isDamage else { throw error }
        if error.isReadError, attempt < readAttempts { continue }
        return (nil, [:], LogRows(isSpoiled: true, isBaseSpoiled: true))
      }
    }
    preconditionFailure("attempts end")
  }

  /// The values of a file made anew, which must say whose it is.
  static func named(
    _ values: [String: String], _ whose: StorageIdentity?, _ path: String
  ) throws(StorageError) -> [String: String] {
    var values = values
    if MetaTable.identity(values) == nil {
      guard let whose else { throw .damaged("\(path) does not say which server it belongs to") }
      values["cluster_id"] = whose.cluster
      values["node_id"] = String(whose.node)
    }
    values["format"] = String(StorageSchema.version)
    return values
  }

  private static func make(
    _ path: String, _ site: StorageSite, _ values: [String: String], _ judgement: LogJudgement
  ) throws(StorageError) {
    let database = try LogDatabase(path: path, system: site.system, cipher: site.cipher)
    try database.database.transaction { () throws(StorageError) in
      for (name, value) in values.sorted(by: { $0.key < $1.key }) { try database.meta.set(name, value) }
      try database.store(judgement.contents.hardState)
      if let base = judgement.contents.base { try database.store(base) }
      for entry in judgement.kept { try database.store(entry) }
      try database.store(truncation: judgement.extent)
    }
    guard try database.database.checkpoint(.truncate) else { throw .stopped("\(path) cannot be checkpointed") }
  }
}

/// state.db, opened.
struct OpenedState {
  let database: StateDatabase
  let contents: StateContents
  let values: [String: String]

  init(
    _ site: StorageSite, whose: StorageIdentity?, row: (ObjectRow) throws(StorageError) -> Void
  ) throws(StorageError) {
    let replacement = FileReplacement(site: site)
    try replacement.finish()
    try site.renewWriteAheadLog()
    var (database, values, read) = try Self.read(site, row)
    if read.isSpoiled {
      database = nil
      values = try OpenedLog.named(values, whose, site.path)
      values["born"] = "1"
      try replacement.begin()
      try Self.make(replacement.making, site, values, read)
      try replacement.commit()
    }
    let opened =
      if let database { database } else {
        try StateDatabase(path: site.path, system: site.system, cipher: site.cipher, check: site.check)
      }
    if read.isSpoiled { opened.adopt(read.contents) }
    self.database = opened
    self.values = values
    contents = read.contents
  }

  private static func read(
    _ site: StorageSite, _ row: (ObjectRow) throws(StorageError) -> Void
  ) throws(StorageError) -> (StateDatabase?, [String: String], StateRowsRead) {
    for attempt in 1... {
      do throws(StorageError) {
        let database = try StateDatabase(path: site.path, system: site.system, cipher: site.cipher, check: site.check)
        let values = try database.meta.all()
        var read = try database.readRows(row)
        if read.hadReadError, attempt < readAttempts { continue }
        if read.contents.mark != nil, MetaTable.identity(values) == nil { read.isSpoiled = true }
        return (database, values, read)
      } catch {
        guard error.isDamage else { throw error }
        if error.isReadError, attempt < readAttempts { continue }
        var read = StateRowsRead(isSpoiled: true)
        read.contents.damage = StateDamage(isIncomplete: true)
        return (nil, [:], read)
      }
    }
    preconditionFailure("attempts end")
  }

  private static func make(
    _ path: String, _ site: StorageSite, _ values: [String: String], _ read: StateRowsRead
  ) throws(StorageError) {
    let database = try StateDatabase(path: path, system: site.system, cipher: site.cipher)
    try database.database.transaction { () throws(StorageError) in
      for (name, value) in values.sorted(by: { $0.key < $1.key }) { try database.meta.set(name, value) }
      for object in read.objects { try database.store(object) }
      try database.store(read.contents.requests)
      if let mark = read.contents.mark { try database.store(mark) }
      if let damage = read.contents.damage { try database.noteLost(damage) }
    }
    guard try database.database.checkpoint(.truncate) else { throw .stopped("\(path) cannot be checkpointed") }
  }
}
