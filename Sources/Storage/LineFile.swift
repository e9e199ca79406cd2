// A file of lines that is turned over when it is large: path, path.1, path.2 … (the audit log). Its disk may be full, its
// folder gone, and the process out of descriptors: lines are lost then, and nothing else comes to harm.
import Glibc

/// Used by one thread at a time.
public final class LineFile: @unchecked Sendable {
  private let path: String
  private let bytesMaximum: Int
  private let backupsMaximum: Int
  private var descriptor: Int32
  private var written = 0
  /// A line was cut short: the next one begins on its own.
  private var isWithinLine = false
  private let isTurnedOver: Bool

  /// Opens the file, to be turned over from `bytesMaximum` on; `backupsMaximum` old ones are kept, 0: all.
  public init(path: String, bytesMaximum: Int, backupsMaximum: Int) throws(StorageError) {
    self.path = path
    self.bytesMaximum = bytesMaximum
    self.backupsMaximum = backupsMaximum
    isTurnedOver = true
    descriptor = -1
    try open()
  }

  /// Standard output, which is never turned over.
  public init() {
    (path, bytesMaximum, backupsMaximum, isTurnedOver) = ("-", 0, 0, false)
    descriptor = 1
  }

  deinit { if isTurnedOver, descriptor >= 0 { close(descriptor) } }

  /// Appends lines, each without its end. Throws where the disk takes no more, and says nothing of the rest then; or when
  /// the file cannot be turned over, which does not keep it from growing.
  public func append(_ lines: [[UInt8]]) throws(StorageError) {
    let newline = UInt8(ascii: "\n")
    var piece: [UInt8] = isWithinLine ? [newline] : []
    for line in lines {
      piece += line
      piece.append(newline)
    }
    try write(piece)
    if isTurnedOver, written >= bytesMaximum { try turnOver() }
  }

  private func write(_ bytes: [UInt8]) throws(StorageError) {
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + offset, bytes.count - offset) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .system(operation: "write", code: count < 0 ? errno : ENOSPC) }
      offset += count
      written += count
      isWithinLine = bytes[offset - 1] != UInt8(ascii: "\n")
    }
  }

  private func open() throws(StorageError) {
    let opened = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    guard opened >= 0 else { throw .system(operation: "open", code: errno) }
    descriptor = opened
    written = Int(max(0, lseek(opened, 0, SEEK_END)))
    isWithinLine = false
  }

  private func turnOver() throws(StorageError) {
    // After a turn that failed halfway the full one has its other name already.
    if access(path, F_OK) == 0 { shift() }
    // The full one stays open until there is another: its number would be given to the next file or connection of this
    // process, and lines with it.
    let full = descriptor
    try open()
    close(full)
  }

  /// path → path.1 → path.2 …; the oldest goes.
  private func shift() {
    var count = 1
    while access("\(path).\(count)", F_OK) == 0 { count += 1 }
    if backupsMaximum > 0, count > backupsMaximum {
      count = backupsMaximum
      unlink("\(path).\(count)")
    }
    while count > 1 {
      rename("\(path).\(count - 1)", "\(path).\(count)")
      count -= 1
    }
    rename(path, "\(path).1")
  }
}
