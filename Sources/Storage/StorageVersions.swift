// The versions of a disk's tables, read without changing anything, and the step back that undoes an upgrade.

extension StorageDirectory {
  /// The version of the tables that this program writes, and the oldest it opens.
  public static let tableVersions = StorageSchema.oldest...StorageSchema.version

  /// The versions of the tables in the directory at `path`; nil for a file that is not there. The server must not run.
  /// Throws `damaged` where a version cannot be believed. Blocks.
  public static func storedVersions(
    path: String, files: any FileSystem = OperatingSystemFiles()
  ) throws(StorageError) -> (log: UInt64?, state: UInt64?) {
    do throws(FileError) {
      guard try files.exists(path) else { return (nil, nil) }
    } catch {
      throw .system(operation: "read \(path)", code: error.code)
    }
    let lock = try DirectoryLock(path, files)
    defer { lock.releaseAll() }
    return (try storedVersion("\(path)/raft.db", files), try storedVersion("\(path)/state.db", files))
  }

  private static func storedVersion(_ path: String, _ files: any FileSystem) throws(StorageError) -> UInt64? {
    do throws(FileError) {
      guard try files.exists(path) else { return nil }
    } catch {
      throw .system(operation: "read \(path)", code: error.code)
    }
    let system = files is OperatingSystemFiles ? nil : SQLiteFileSystem(files)
    return try MetaTable(try Database(path: path, system: system), path: path).storedVersion()
  }

  /// Takes the step back to the tables of the version before, for the program of that version: an upgrade is undone. The
  /// server must not run. A crash in between leaves a disk that this program opens; repeat it then. Blocks.
  public static func migrateBack(
    path: String, files: any FileSystem = OperatingSystemFiles(), cipher: any StorageCipher = NoCipher()
  ) throws(StorageError) {
    let lock = try DirectoryLock(path, files)
    defer { lock.releaseAll() }
    var site = StorageSite(
      path: "\(path)/state.db", files: files, system: files is OperatingSystemFiles ? nil : SQLiteFileSystem(files),
      cipher: cipher, check: { _ in })
    let promises = try PromiseFile(path: path, files: files)
    let state = try OpenedState(site, whose: nil, row: { _ in })
    site.path = "\(path)/raft.db"
    let log = try OpenedLog(site, promises: promises, state: state.contents.mark, whose: nil)
    guard state.contents.damage == nil, log.contents.damage == nil else {
      throw .damaged("\(path): start this version, and let the server repair what is lost first")
    }
    if let mark = state.contents.mark {
      // With the checksum that the older program knows.
      try state.database.database.transaction { () throws(StorageError) in
        try state.database.store(mark, requestDigest: 0)
      }
    }
    try state.database.meta.migrateBack(StorageSchema.state)
    try log.database.meta.migrateBack(StorageSchema.log)
    for database in [state.database.database, log.database.database] { _ = try database.checkpoint(.truncate) }
  }
}
