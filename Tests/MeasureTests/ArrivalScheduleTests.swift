import Measure
import Testing

@Suite struct ArrivalScheduleTests {
  @Test func requestsAreSpreadEvenlyFromTheBeginning() {
    var schedule = ArrivalSchedule(begin: 1_000_000_000, perSecond: 4)
    var due: [UInt64] = []
    while let time = schedule.nextDue(at: 2_000_000_000, before: .max) { due.append(time) }
    #expect(due == [1_000_000_000, 1_250_000_000, 1_500_000_000, 1_750_000_000, 2_000_000_000])
  }

  @Test func nothingIsDueBeforeItsTimeNorAfterTheEnd() {
    var schedule = ArrivalSchedule(begin: 1000, perSecond: 1_000_000)
    #expect(schedule.nextDue(at: 999, before: 5000) == nil)
    var count = 0
    while schedule.nextDue(at: 1_000_000, before: 5000) != nil { count += 1 }
    #expect(count == 4)
  }

  /// Coordinated omission: who looks late gives every request that should have begun meanwhile its own beginning.
  @Test func aLateLookKeepsIntendedBeginnings() {
    var schedule = ArrivalSchedule(begin: 0, perSecond: 1000)
    _ = schedule.nextDue(at: 0, before: .max)
    var waits: [UInt64] = []
    while let intended = schedule.nextDue(at: 3_000_000, before: .max) { waits.append(3_000_000 - intended) }
    #expect(waits == [2_000_000, 1_000_000, 0])
  }

  @Test func theRateHoldsOverALongTime() {
    let schedule = ArrivalSchedule(begin: 0, perSecond: 3307)
    #expect(schedule.time(of: 3307 * 3600) == 3_600_000_000_000)
  }
}
