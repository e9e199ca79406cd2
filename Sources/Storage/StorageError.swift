// How storage fails.

import CSQLite
import Glibc

/// Why storage could not do what was asked. After an error of a write nothing more is written: what the disk holds is
/// not known any more, and trying again would hide it (a second fsync succeeds although the first lost data).
public enum StorageError: Error, Sendable, CustomStringConvertible {
  /// SQLite refused: what was attempted, its extended result code and its text.
  case database(operation: String, code: Int32, message: String)
  /// The operating system refused: what was attempted and errno.
  case system(operation: String, code: Int32)
  /// What is stored is not what was written. Nothing is repaired by cutting it away: fetch it from a peer.
  case damaged(String)
  /// The disk belongs to another cluster, another server, or a newer version of this program.
  case foreign(String)
  /// Another process uses the directory.
  case inUse(String)
  /// An earlier write failed, or storage was closed.
  case stopped(String)

  public var description: String {
    switch self {
    case .database(let operation, let code, let message): "\(operation): \(message) (SQLite \(code))"
    case .system(let operation, let code): "\(operation): errno \(code)"
    case .damaged(let what): "damaged: \(what)"
    case .foreign(let what): what
    case .inUse(let path): "\(path) is in use by another process"
    case .stopped(let why): why
    }
  }
}

extension StorageError {
  /// There is no room on the disk. What was there before still is; what was to be written is not there, or, if the process
  /// ends before it is tried again, perhaps all of it.
  public var isFull: Bool {
    switch self {
    case .database(_, let code, _):
      // The index of the write-ahead log is a file as well, which grows with every 4,096 frames: after these were written.
      code & 0xff == SQLITE_FULL || code == IOErrorCode.sharedMemorySize
    case .system(_, let code): code == ENOSPC
    default: false
    }
  }

  /// Whether a store goes on after it: there was no room, or what was asked for was only not done now.
  var leavesStoreUsable: Bool {
    if case .stopped = self { return true }
    return isFull
  }

  /// What is stored cannot be read, or is not what was written.
  var isDamage: Bool {
    switch self {
    case .database(_, let code, _):
      // A plain error: a table or column is not there that was.
      [SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_ERROR].contains(code & 0xff) || isReadError
    case .damaged: true
    default: false
    }
  }

  /// The disk refused a read: perhaps not the next time.
  var isReadError: Bool {
    guard case .database(_, let code, _) = self else { return false }
    return code == IOErrorCode.read || code == IOErrorCode.shortRead
  }
}
