// Chance that a seed decides, and a hash over everything that happens.

/// SplitMix64: small, fast, and every seed is as good as any other.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var bits = state
    bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
    return bits ^ (bits >> 31)
  }

  /// A number below `bound`.
  public mutating func next(below bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }

  /// True with the given probability.
  public mutating func chance(_ probability: Double) -> Bool {
    probability > 0 && Double(next() >> 11) / Double(1 << 53) < probability
  }

  /// A duration of the range, all equally likely.
  public mutating func duration(_ range: ClosedRange<Duration>) -> Duration {
    let (low, high) = (range.lowerBound.nanosecondsInteger, range.upperBound.nanosecondsInteger)
    return .nanoseconds(low + Int64(next() % UInt64(max(1, high - low + 1))))
  }

  /// One of the elements; nil when there are none.
  public mutating func pick<Element>(_ elements: [Element]) -> Element? {
    elements.isEmpty ? nil : elements[next(below: elements.count)]
  }
}

extension Duration {
  var nanosecondsInteger: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}

/// A running hash of a simulation's events: equal runs have equal hashes.
struct TraceHash: Sendable {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325
  private(set) var count: UInt64 = 0

  @inline(__always)
  mutating func mix(_ word: UInt64) {
    value = (value ^ word) &* 0x9fb2_1c65_1e98_df25
    value ^= value >> 29
    count &+= 1
  }

  /// Eight bytes at a time: the order and value of every byte counts.
  mutating func mix(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { raw in
      var offset = 0
      while offset + 8 <= raw.count {
        mix(raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        offset += 8
      }
      var rest = UInt64(raw.count)
      while offset < raw.count {
        rest = rest << 8 | UInt64(raw[offset])
        offset += 1
      }
      mix(rest)
    }
  }
}
