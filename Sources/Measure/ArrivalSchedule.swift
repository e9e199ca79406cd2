// When the requests of an open loop begin: by the clock, whatever the answers do.

/// Equal steps from a beginning. A request that could not be sent in time has waited since its place in the schedule:
/// latencies count from there, so that a server that stands still is seen by every request that would have come meanwhile.
public struct ArrivalSchedule: Sendable {
  /// Nanoseconds of the clock.
  public let begin: UInt64
  public let perSecond: Double
  /// Requests given out.
  public private(set) var count = 0

  public init(begin: UInt64, perSecond: Double) {
    precondition(perSecond > 0, "a rate is above zero")
    self.begin = begin
    self.perSecond = perSecond
  }

  /// The time at which request `number` is to begin.
  public func time(of number: Int) -> UInt64 { begin + UInt64(Double(number) * 1e9 / perSecond) }

  /// The intended beginning of the next request if it is due, and no later than `end`.
  public mutating func nextDue(at now: UInt64, before end: UInt64) -> UInt64? {
    let intended = time(of: count)
    guard intended <= now, intended < end else { return nil }
    count += 1
    return intended
  }
}
