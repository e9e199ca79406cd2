// Whole data folders, for those who make one anew (a restore) or set one aside: in one step, or not at all.

import Glibc

/// Steps on folders and files of a server that is not running. All of them block.
public enum DataFolder {
  /// The files of a data folder.
  static let names = [
    "raft.db", "raft.db-wal", "raft.db-shm", "state.db", "state.db-wal", "state.db-shm", "lock", "promises",
    "raft.db.damaged", "state.db.damaged",
  ]

  /// Whether something is there that a new data folder would mix with.
  public static func isOccupied(_ path: String) throws(StorageError) -> Bool {
    guard let directory = opendir(path) else {
      if errno == ENOENT { return false }
      throw .system(operation: "open \(path)", code: errno)
    }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { return true }
    }
    return false
  }

  /// Deletes what an attempt that failed has left: a data folder's own files, and the folder if nothing else is in it.
  public static func discard(_ path: String) {
    for name in names { unlink("\(path)/\(name)") }
    rmdir(path)
  }

  /// Gives a finished folder its name; a crash leaves either name, never half a folder. An empty folder is replaced.
  public static func publish(_ path: String, as final: String) throws(StorageError) {
    guard rename(path, final) == 0 else { throw .system(operation: "rename \(path) to \(final)", code: errno) }
    try syncDirectory(parent(of: final))
  }

  /// Gives files of one folder other names; those that are not there are left alone.
  public static func move(_ names: [(from: String, to: String)], in path: String, files: any FileSystem)
    throws(StorageError)
  {
    do throws(FileError) {
      for (name, other) in names where try files.exists("\(path)/\(name)") {
        try files.rename("\(path)/\(name)", to: "\(path)/\(other)")
      }
      try files.syncDirectory(path)
    } catch { throw .system(operation: "rename files in \(path)", code: error.code) }
  }

  /// Writes a file that only its owner may read, durably.
  public static func write(
    _ bytes: [UInt8], to name: String, in path: String, files: any FileSystem
  ) throws(StorageError) {
    do throws(FileError) {
      let (file, _) = try files.open("\(path)/\(name)", create: true)
      defer { file.close() }
      try file.truncate(to: 0)
      let failure = bytes.withUnsafeBytes { bytes -> FileError? in
        do throws(FileError) { try file.write(bytes, at: 0) } catch { return error }
        return nil
      }
      if let failure { throw failure }
      try file.sync()
      try files.syncDirectory(path)
    } catch { throw .system(operation: "write \(path)/\(name)", code: error.code) }
  }

  private static func parent(of path: String) -> String {
    let parts = path.split(separator: "/", omittingEmptySubsequences: true)
    let parent = parts.dropLast().joined(separator: "/")
    return path.hasPrefix("/") ? "/\(parent)" : parent.isEmpty ? "." : parent
  }

  private static func syncDirectory(_ path: String) throws(StorageError) {
    let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw .system(operation: "open \(path)", code: errno) }
    defer { close(directory) }
    guard fsync(directory) == 0 else { throw .system(operation: "fsync \(path)", code: errno) }
  }
}
