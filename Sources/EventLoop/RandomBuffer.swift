// Chance in production: the kernel's generator, fetched by the page.

import CLibuv
import Glibc

/// 64-bit words of `getrandom`, one system call per 256 of them.
struct RandomBuffer {
  private static let wordCount = 256
  private var words = [UInt64](repeating: 0, count: wordCount)
  private var used = wordCount

  mutating func next() -> UInt64 {
    if used == words.count { refill() }
    defer {
      // A word handed out is not kept: memory that leaks later must not tell a token of the past.
      words[used] = 0
      used += 1
    }
    return words[used]
  }

  private mutating func refill() {
    words.withUnsafeMutableBytes { bytes in
      var filled = 0
      while filled < bytes.count {
        let count = getrandom(bytes.baseAddress! + filled, bytes.count - filled, 0)
        if count > 0 { filled += count } else { must(errno == EINTR, "getrandom: the kernel has no randomness") }
      }
    }
    used = 0
  }
}
