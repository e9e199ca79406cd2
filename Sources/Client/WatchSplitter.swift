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

  /// The next complete line that is not blank, with its newline.
  func next() -> [UInt8]? {
    state.withLock { state in
      while let newline = Self.newline(in: state.buffer, from: state.scanned) {
        let start = state.start
        state.start = newline + 1
        state.scanned = newline + 1
        if start == newline { continue }
        guard start == 0, newline + 1 == state.buffer.count else { return Array(state.buffer[start...newline]) }
        // A server in this process sends every line as an array of its own: that is handed on.
        defer { state = State() }
        return state.buffer
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

  private static func newline(in bytes: [UInt8], from start: Int) -> Int? {
    bytes.withUnsafeBytes { bytes in
      var place = start
      // Eight bytes at a time: is one of them a newline?
      while place + 8 <= bytes.count {
        let word = bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self) ^ 0x0a0a_0a0a_0a0a_0a0a
        if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { break }
        place += 8
      }
      return bytes[place...].firstIndex(of: UInt8(ascii: "\n"))
    }
  }
}
