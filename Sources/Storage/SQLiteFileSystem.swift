// A file system of ours under SQLite: registered as an sqlite3_vfs of a name of its own, for as long as it is held.
// Locks and the write-ahead log's shared memory live here, in the process: whoever opens these files is in it.

import CSQLite
import Glibc
import Synchronization

/// Seeds SQLite's own random numbers (the salts of its write-ahead logs), so that a simulated run writes the same bytes
/// every time. For the whole process.
public func seedSQLiteRandomness(_ seed: UInt64) {
  trireme_sqlite3_seed(Int32(truncatingIfNeeded: seed | 1))
}

/// An `sqlite3_vfs` over a `FileSystem`. Every database opened through it holds it.
final class SQLiteFileSystem: Sendable {
  /// SQLite looks file systems up by name; each of ours has another.
  private static let registered = Atomic<UInt64>(0)
  /// What SQLite is told a path may be long.
  private static let maximumPathBytes: Int32 = 1024

  let name: String
  let files: any FileSystem
  private let shared = Mutex<[String: SharedFile]>([:])
  private let temporaries = Atomic<UInt64>(0)
  nonisolated(unsafe) private let vfs: UnsafeMutablePointer<sqlite3_vfs>
  nonisolated(unsafe) private let cName: UnsafeMutablePointer<CChar>

  init(_ files: any FileSystem) {
    self.files = files
    name = "trireme-\(Self.registered.wrappingAdd(1, ordering: .relaxed).newValue)"
    cName = strdup(name)
    vfs = .allocate(capacity: 1)
    vfs.initialize(to: sqlite3_vfs())
    vfs.pointee.iVersion = 2
    vfs.pointee.szOsFile = Int32(MemoryLayout<SQLiteFile>.size)
    vfs.pointee.mxPathname = Self.maximumPathBytes
    vfs.pointee.zName = UnsafePointer(cName)
    vfs.pointee.pAppData = Unmanaged.passUnretained(self).toOpaque()
    vfs.pointee.xOpen = { vfs, path, file, flags, outFlags in
      SQLiteFileSystem.of(vfs).open(path, file.unsafelyUnwrapped, flags, outFlags)
    }
    vfs.pointee.xDelete = { vfs, path, syncDirectory in
      SQLiteFileSystem.of(vfs).delete(String(cString: path.unsafelyUnwrapped), andSync: syncDirectory != 0)
    }
    vfs.pointee.xAccess = { vfs, path, _, result in
      SQLiteFileSystem.of(vfs).exists(String(cString: path.unsafelyUnwrapped), result.unsafelyUnwrapped)
    }
    vfs.pointee.xFullPathname = { _, path, size, result in
      guard let path, let result else { return SQLITE_CANTOPEN }
      let length = strlen(path)
      guard length < Int(size) else { return SQLITE_CANTOPEN }
      memcpy(result, path, length + 1)
      return SQLITE_OK
    }
    // Asked of the default file system only; time and sleep are nobody's business here.
    vfs.pointee.xRandomness = { _, count, bytes in
      if let bytes { memset(bytes, 0, Int(count)) }
      return count
    }
    vfs.pointee.xSleep = { _, microseconds in microseconds }
    vfs.pointee.xCurrentTime = { _, day in
      day?.pointee = 2_440_587.5
      return SQLITE_OK
    }
    vfs.pointee.xCurrentTimeInt64 = { _, milliseconds in
      milliseconds?.pointee = 210_866_760_000_000
      return SQLITE_OK
    }
    vfs.pointee.xGetLastError = { _, _, _ in 0 }
    sqlite3_vfs_register(vfs, 0)
  }

  deinit {
    sqlite3_vfs_unregister(vfs)
    vfs.deallocate()
    free(cName)
  }

  private static func of(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> SQLiteFileSystem {
    Unmanaged.fromOpaque(vfs.unsafelyUnwrapped.pointee.pAppData.unsafelyUnwrapped).takeUnretainedValue()
  }

  private func open(
    _ cPath: UnsafePointer<CChar>?, _ slot: UnsafeMutablePointer<sqlite3_file>, _ flags: Int32,
    _ outFlags: UnsafeMutablePointer<Int32>?
  ) -> Int32 {
    slot.pointee.pMethods = nil
    // Without a name it is a temporary file: deleted when it is closed.
    let path =
      cPath.map { String(cString: $0) } ?? "temporary-\(temporaries.wrappingAdd(1, ordering: .relaxed).newValue)"
    do throws(FileError) {
      let (file, isNew) = try files.open(path, create: flags & SQLITE_OPEN_CREATE != 0 || cPath == nil)
      let isDatabase = flags & SQLITE_OPEN_MAIN_DB != 0
      let isJournal = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL | SQLITE_OPEN_SUPER_JOURNAL) != 0
      let handle = SQLiteFileHandle(
        file, of: self, path: path, shared: isDatabase ? sharedFile(path) : nil,
        deletesOnClose: flags & SQLITE_OPEN_DELETEONCLOSE != 0 || cPath == nil, syncsDirectory: isJournal && isNew)
      UnsafeMutableRawPointer(slot).assumingMemoryBound(to: SQLiteFile.self).pointee = SQLiteFile(handle)
      outFlags?.pointee = flags
      return SQLITE_OK
    } catch {
      return error.code == ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN
    }
  }

  private func sharedFile(_ path: String) -> SharedFile {
    shared.withLock { shared in
      let file = shared[path] ?? SharedFile()
      shared[path] = file
      return file
    }
  }

  private func delete(_ path: String, andSync syncs: Bool) -> Int32 {
    do throws(FileError) { try files.delete(path) } catch {
      return error.code == ENOENT ? IOErrorCode.deleteAbsent : IOErrorCode.delete
    }
    guard syncs else { return SQLITE_OK }
    do throws(FileError) { try files.syncDirectory(directory(of: path)) } catch { return IOErrorCode.syncDirectory }
    return SQLITE_OK
  }

  private func exists(_ path: String, _ result: UnsafeMutablePointer<Int32>) -> Int32 {
    do throws(FileError) {
      // As with SQLite's own file systems, an empty file is none.
      result.pointee = 0
      guard try files.exists(path) else { return SQLITE_OK }
      let file = try files.open(path, create: false).file
      defer { file.close() }
      result.pointee = try file.size() > 0 ? 1 : 0
      return SQLITE_OK
    } catch {
      return IOErrorCode.access
    }
  }
}

/// The directory of a path.
package func directory(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// SQLite's extended codes of a failed operation (macros that Swift cannot read).
enum IOErrorCode {
  static let read = SQLITE_IOERR | 1 << 8
  static let shortRead = SQLITE_IOERR | 2 << 8
  static let write = SQLITE_IOERR | 3 << 8
  static let sync = SQLITE_IOERR | 4 << 8
  static let syncDirectory = SQLITE_IOERR | 5 << 8
  static let truncate = SQLITE_IOERR | 6 << 8
  static let size = SQLITE_IOERR | 7 << 8
  static let delete = SQLITE_IOERR | 10 << 8
  static let access = SQLITE_IOERR | 13 << 8
  static let sharedMemorySize = SQLITE_IOERR | 19 << 8
  static let deleteAbsent = SQLITE_IOERR | 23 << 8
}
