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
  private let file: LineFile
  private let worker = WorkerThread(name: "audit")
  private let queue = Mutex(Queue())
  private let logger = Logger(label: "audit")
  /// Why the last piece could not be written: a full disk is told of once, not with every request.
  private let failure = Mutex<String?>(nil)

  init(path: String, bytesMaximum: Int, backupsMaximum: Int) throws {
    self.path = path
    guard path != "-" else {
      file = LineFile()
      return
    }
    do throws(StorageError) {
      file = try LineFile(path: path, bytesMaximum: bytesMaximum, backupsMaximum: backupsMaximum)
    } catch {
      throw CommandFailure("cannot write the audit log \(path): \(Self.text(error))")
    }
  }

  private static func text(_ error: StorageError) -> String {
    if case .system(_, let code) = error { String(cString: strerror(code)) } else { "\(error)" }
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
    do throws(StorageError) {
      try file.append(lines)
      if failure.withLock({ $0.take() }) != nil { logger.info("the audit log \(path) is written again") }
    } catch {
      let text = Self.text(error)
      let isKnown = failure.withLock { failure in
        defer { failure = text }
        return failure == text
      }
      if !isKnown { logger.error("cannot write the audit log \(path): \(text)") }
    }
  }
}
