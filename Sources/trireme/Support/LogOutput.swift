// Log lines leave through a thread of their own: a slow disk or terminal never holds up a loop (DESIGN.md §3).
import Glibc
import Logging
import Synchronization

/// Formats on the caller's thread, writes on the log's thread. When the writer cannot keep up, lines are dropped and
/// the log says how many.
struct LogOutput: LogHandler {
  var logLevel: Logger.Level = .info
  var metadata: Logger.Metadata = [:]
  let label: String

  init(label: String) { self.label = label }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var line = "\(Self.timestamp()) \(event.level.rawValue.uppercased()) [\(label)] \(event.message)"
    for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }
    ) {
      line += " \(key)=\(value)"
    }
    LogWriter.shared.write(line + "\n")
  }

  private static func timestamp() -> String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return wallTime(time)
  }

  private static func wallTime(_ time: timespec) -> String {
    var seconds = time.tv_sec
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func pad(_ value: Int32, _ width: Int = 2) -> String {
      let text = String(value)
      return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    return "\(pad(parts.tm_year + 1900, 4))-\(pad(parts.tm_mon + 1))-\(pad(parts.tm_mday))T\(pad(parts.tm_hour)):"
      + "\(pad(parts.tm_min)):\(pad(parts.tm_sec)).\(pad(Int32(time.tv_nsec / 1_000_000), 3))Z"
  }

  /// Makes this the process's log, at `level`.
  static func install(level: Logger.Level) {
    LoggingSystem.bootstrap { label in
      var handler = LogOutput(label: label)
      handler.logLevel = level
      return handler
    }
  }
}

/// The thread that writes log lines to standard error.
final class LogWriter: Sendable {
  static let shared = LogWriter()
  /// Bytes that may wait to be written.
  private static let maximumQueued = 4 << 20

  private struct Queue {
    var bytes: [UInt8] = []
    var dropped = 0
    var isStarted = false
  }
  private let queue = Mutex(Queue())
  private nonisolated(unsafe) let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private nonisolated(unsafe) let condition: UnsafeMutablePointer<pthread_cond_t>

  private init() {
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  func write(_ line: String) {
    let start = queue.withLock { queue in
      if queue.bytes.count + line.utf8.count > Self.maximumQueued {
        queue.dropped += 1
      } else {
        queue.bytes += line.utf8
      }
      defer { queue.isStarted = true }
      return !queue.isStarted
    }
    if start { startThread() }
    pthread_mutex_lock(mutex)
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
  }

  /// Writes what waits, on the calling thread: before the process ends.
  func flush() { Self.write(take()) }

  private func take() -> [UInt8] {
    queue.withLock { queue in
      defer {
        queue.bytes = []
        queue.dropped = 0
      }
      guard queue.dropped > 0 else { return queue.bytes }
      return queue.bytes
        + Array("… \(queue.dropped) log lines dropped: the log could not be written fast enough\n".utf8)
    }
  }

  private func startThread() {
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { @Sendable _ in
        LogWriter.shared.run()
        return nil
      }, nil)
    pthread_detach(thread)
  }

  private func run() {
    while true {
      let bytes = take()
      if bytes.isEmpty {
        pthread_mutex_lock(mutex)
        // A signal between `take` and here is not lost for long: the wait ends by itself.
        var until = timespec()
        clock_gettime(CLOCK_REALTIME, &until)
        until.tv_sec += 1
        pthread_cond_timedwait(condition, mutex, &until)
        pthread_mutex_unlock(mutex)
      } else {
        Self.write(bytes)
      }
    }
  }

  private static func write(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
