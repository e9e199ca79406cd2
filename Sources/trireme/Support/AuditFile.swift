// The audit log as a file that is turned over when it is large or old (spec/8 §8.5). Written by a thread of its own.
import APIServer
import Glibc
import Logging
import Storage
import Synchronization

/// Appends events, a line each. A disk that cannot keep up loses events, and says how many: requests never wait.
final class AuditFile: AuditSink {
  private struct Queue {
    var lines: [[UInt8]] = []
    var bytes = 0
    var dropped = 0
    var isScheduled = false
  }
  /// Bytes that may wait for the disk.
  private static let queuedMaximum = 16 << 20

  private let path: String
  private let bytesMaximum: Int
  private let backupsMaximum: Int
  private let worker = WorkerThread(name: "audit")
  private let queue = Mutex(Queue())
  private let logger = Logger(label: "audit")
  // The worker's thread alone.
  private nonisolated(unsafe) var descriptor: Int32 = 1
  private nonisolated(unsafe) var written = 0

  init(path: String, bytesMaximum: Int, backupsMaximum: Int) throws {
    self.path = path
    self.bytesMaximum = bytesMaximum
    self.backupsMaximum = backupsMaximum
    guard path != "-" else { return }
    guard openFile() else {
      throw CommandFailure("cannot write the audit log \(path): \(String(cString: strerror(errno)))")
    }
  }

  func write(_ event: [UInt8]) {
    let isFirst = queue.withLock { queue in
      guard queue.bytes + event.count <= Self.queuedMaximum else {
        queue.dropped += 1
        return false
      }
      queue.lines.append(event)
      queue.bytes += event.count
      defer { queue.isScheduled = true }
      return !queue.isScheduled
    }
    if isFirst { worker.perform { self.flush() } }
  }

  private func flush() {
    let (lines, dropped) = queue.withLock { queue in
      defer { queue = Queue() }
      return (queue.lines, queue.dropped)
    }
    if dropped > 0 { logger.warning("the disk is too slow for the audit log: \(dropped) events are lost") }
    var piece: [UInt8] = []
    for line in lines {
      piece += line
      piece.append(UInt8(ascii: "\n"))
    }
    append(piece)
    if path != "-", written >= bytesMaximum { turnOver() }
  }

  private func append(_ bytes: [UInt8]) {
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + offset, bytes.count - offset) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        logger.error("cannot write the audit log \(path): \(String(cString: strerror(errno)))")
        return
      }
      offset += count
      written += count
    }
  }

  private func openFile() -> Bool {
    let opened = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    guard opened >= 0 else { return false }
    descriptor = opened
    written = Int(max(0, lseek(opened, 0, SEEK_END)))
    return true
  }

  /// path → path.1 → path.2 …; the oldest goes.
  private func turnOver() {
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
    close(descriptor)
    rename(path, "\(path).1")
    if !openFile() { logger.error("cannot open the audit log \(path): \(String(cString: strerror(errno)))") }
  }
}
