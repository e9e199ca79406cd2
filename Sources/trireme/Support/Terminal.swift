import EventLoop
import Glibc
import World

/// What a command tells the person at the terminal.
enum Terminal {
  static let isInteractive = isatty(STDOUT_FILENO) == 1

  static func bold(_ text: String) -> String { isInteractive ? "\u{1B}[1m\(text)\u{1B}[0m" : text }
  static func green(_ text: String) -> String { isInteractive ? "\u{1B}[32m\(text)\u{1B}[0m" : text }
  static func say(_ text: String = "") { write("\(text)\n") }

  /// Straight to the descriptor: what is said is seen, also through a pipe.
  static func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  /// Shows a step while it runs and how long it took; a step that fails leaves its line behind.
  static func step<Value: Sendable>(
    _ title: String, on loop: EventLoop, _ body: @Sendable () async throws -> Value
  ) async throws -> Value {
    let start = loop.now
    if isInteractive {
      write("  … \(title)")
    }
    do {
      let value = try await body()
      let seconds = (loop.now - start).inSeconds
      let time = seconds < 0.1 ? "" : " (\((seconds * 10).rounded() / 10) s)"
      say("\(isInteractive ? "\r\u{1B}[K" : "")  \(green("✓")) \(title)\(time)")
      return value
    } catch {
      say("\(isInteractive ? "\r\u{1B}[K" : "")  ✗ \(title)")
      throw error
    }
  }
}
