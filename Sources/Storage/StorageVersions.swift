// The versions of a disk's tables, read without changing anything: before an upgrade is undone, and for whoever asks.

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
}
