// Ranges of sizes and costs that never overflow: what is too much is `UInt64.max`.

/// The least and the most of something counted.
struct CostRange: Sendable, Hashable {
  var low: UInt64
  var high: UInt64

  static let unknown = CostRange(low: 0, high: .max)
  static let zero = CostRange(0)
  static let one = CostRange(1)

  init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }
  init(_ both: UInt64) { self.init(low: both, high: both) }

  private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? .max : sum
  }
  private static func product(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (product, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? .max : product
  }
  private static func scaled(_ value: UInt64, _ factor: Double) -> UInt64 {
    let result = (Double(value) * factor).rounded(.up)
    return result >= 18_446_744_073_709_551_616 ? .max : UInt64(result)
  }

  static func + (left: Self, right: Self) -> Self {
    Self(low: sum(left.low, right.low), high: sum(left.high, right.high))
  }
  static func * (left: Self, right: Self) -> Self {
    Self(low: product(left.low, right.low), high: product(left.high, right.high))
  }
  /// Times a factor, rounded up.
  func scaled(by factor: Double) -> Self { Self(low: Self.scaled(low, factor), high: Self.scaled(high, factor)) }
  /// The range that holds both.
  func union(_ other: Self) -> Self { Self(low: min(low, other.low), high: max(high, other.high)) }
}
