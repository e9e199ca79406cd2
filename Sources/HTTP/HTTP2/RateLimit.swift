// A bound on how often something may happen, as a value that is told the time.

import World

/// Tokens that refill steadily up to a burst; each event takes one.
struct TokenBucket {
  private let burst: Double
  private let perSecond: Double
  private var tokens: Double
  private var refilled: MonotonicTime

  init(burst: Int, perSecond: Int, now: MonotonicTime) {
    self.burst = Double(burst)
    self.perSecond = Double(perSecond)
    tokens = Double(burst)
    refilled = now
  }

  /// Takes one token; false when there is none.
  mutating func take(now: MonotonicTime) -> Bool {
    tokens = min(burst, tokens + (now - refilled).inSeconds * perSecond)
    refilled = now
    guard tokens >= 1 else { return false }
    tokens -= 1
    return true
  }
}
