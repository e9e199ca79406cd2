import Measure
import Testing

@Suite struct LatencyHistogramTests {
  @Test func percentilesLieWithinTheWidthOfABucket() {
    var histogram = LatencyHistogram()
    for microseconds in 1...10_000 { histogram.record(.microseconds(microseconds)) }
    for (share, milliseconds) in [(0.5, 5.0), (0.99, 9.9), (0.999, 9.99)] {
      let found = histogram.milliseconds(at: share)
      #expect(found >= milliseconds && found <= milliseconds * 1.016, "\(share): \(found)")
    }
    #expect(histogram.milliseconds(at: 1) == 10)
    #expect(histogram.count == 10_000)
  }

  @Test func anEmptyOneSaysZero() {
    #expect(LatencyHistogram().milliseconds(at: 0.99) == 0)
  }

  @Test func joinedHistogramsAreAsOneThatSawEverything() {
    var (left, right, both) = (LatencyHistogram(), LatencyHistogram(), LatencyHistogram())
    for number in 0..<1000 {
      let latency = Duration.nanoseconds(number * number * 37)
      if number % 3 == 0 { left.record(latency) } else { right.record(latency) }
      both.record(latency)
    }
    left.add(right)
    #expect(left.count == both.count)
    #expect(left.maximum == both.maximum)
    for share in [0.0, 0.1, 0.5, 0.9, 0.99, 1] { #expect(left.milliseconds(at: share) == both.milliseconds(at: share)) }
  }

  @Test func whatIsNegativeOrHugeIsCounted() {
    var histogram = LatencyHistogram()
    histogram.record(.seconds(-1))
    histogram.record(nanoseconds: .max)
    #expect(histogram.count == 2)
    #expect(histogram.milliseconds(at: 0.5) == 0)
  }
}
