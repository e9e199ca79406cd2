// Latencies in buckets of equal relative width: constant memory, any number of samples.
import World

/// Nanoseconds, each kept to within 1.6 %.
public struct LatencyHistogram: Sendable {
  /// Buckets for each doubling: 1/64 of the value is the widest error.
  private static let subdivisionBits = 6
  private static let subdivisions = 1 << subdivisionBits
  private var counts = [Int](repeating: 0, count: (64 - subdivisionBits + 1) * subdivisions)
  /// Samples so far.
  public private(set) var count = 0
  /// The longest, exactly.
  public private(set) var maximum: UInt64 = 0

  public init() {}

  /// Counts one latency; what is negative counts as none at all.
  public mutating func record(_ latency: Duration) {
    record(nanoseconds: UInt64(max(0, latency.wholeNanoseconds)))
  }

  @inline(__always)
  public mutating func record(nanoseconds: UInt64) {
    counts[Self.bucket(of: nanoseconds)] += 1
    count += 1
    maximum = max(maximum, nanoseconds)
  }

  /// As if the samples of `other` had been recorded here.
  public mutating func add(_ other: LatencyHistogram) {
    for (bucket, samples) in other.counts.enumerated() where samples > 0 { counts[bucket] += samples }
    count += other.count
    maximum = max(maximum, other.maximum)
  }

  /// The latency in milliseconds that `share` (0…1) of the samples did not exceed; 0 without samples.
  public func milliseconds(at share: Double) -> Double {
    let rank = max(1, Int((share * Double(count)).rounded(.up)))
    var seen = 0
    for (bucket, samples) in counts.enumerated() where samples > 0 {
      seen += samples
      if seen >= rank { return Double(min(Self.upperBound(of: bucket), maximum)) / 1e6 }
    }
    return 0
  }

  @inline(__always)
  private static func bucket(of value: UInt64) -> Int {
    guard value >= UInt64(subdivisions) else { return Int(value) }
    let shift = (UInt64.bitWidth - 1 - value.leadingZeroBitCount) - subdivisionBits
    return (shift + 1) * subdivisions + Int(value >> UInt64(shift)) - subdivisions
  }

  private static func upperBound(of bucket: Int) -> UInt64 {
    guard bucket >= subdivisions else { return UInt64(bucket) }
    let shift = UInt64(bucket / subdivisions - 1)
    return (UInt64(bucket % subdivisions + subdivisions) << shift) + (1 << shift) - 1
  }
}
