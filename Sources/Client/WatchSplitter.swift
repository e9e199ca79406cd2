import Synchronization

/// Cuts a stream of concatenated JSON objects into single ones. The reference ends each with a newline, and so do we;
/// a newline inside a JSON text is always escaped, so that lines are frames.
final class WatchSplitter: Sendable {
  private struct State {
    var buffer: [UInt8] = []
    var scanned = 0
    var start = 0
  }
  private let state = Mutex(State())

  func append(_ chunk: [UInt8]) {
    state.withLock { state in
      if state.start == state.buffer.count {
        state = State(buffer: chunk)
      } else {
        state.buffer += chunk
      }
    }
  }

  /// The next complete line that is not blank.
  func next() -> [UInt8]? {
    state.withLock { state in
      while let newline = state.buffer[state.scanned...].firstIndex(of: UInt8(ascii: "\n")) {
        let line = state.buffer[state.start..<newline]
        state.start = newline + 1
        state.scanned = newline + 1
        if !line.isEmpty { return Array(line) }
      }
      state.scanned = state.buffer.count
      if state.start > 0 {
        state.buffer.removeFirst(state.start)
        state.scanned -= state.start
        state.start = 0
      }
      return nil
    }
  }
}
