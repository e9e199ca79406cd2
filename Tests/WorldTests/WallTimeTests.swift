import Testing
import World

@Suite struct WallTimeTests {
  @Test func everyDayOfFourCenturiesSurvivesTheRoundTrip() {
    var expected = (year: Int64(1899), month: Int64(12), day: Int64(31))
    var time = WallTime(year: 1899, month: 12, day: 31, hour: 23, minute: 59, second: 59)
    let days: [Int64] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    for _ in 0..<146_097 {
      let civil = time.civil
      guard (civil.year, civil.month, civil.day) == expected else {
        Issue.record("\(civil) is not \(expected)")
        return
      }
      guard WallTime(rfc3339: time.rfc3339) == time else {
        Issue.record("\(time.rfc3339) does not come back")
        return
      }
      let isLeap = (expected.year % 4 == 0 && expected.year % 100 != 0) || expected.year % 400 == 0
      let length = days[Int(expected.month) - 1] + (expected.month == 2 && isLeap ? 1 : 0)
      expected.day += 1
      if expected.day > length {
        expected.day = 1
        expected.month += 1
      }
      if expected.month > 12 {
        expected.month = 1
        expected.year += 1
      }
      guard time.nanosecondsSinceEpoch < Int64.max - 86_400_000_000_000 else { return }
      time = time + .seconds(86_400)
    }
  }

  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0), ("1969-12-31T23:59:59Z", -1_000_000_000),
    ("2000-02-29T12:30:45Z", 951_827_445_000_000_000), ("2025-01-01T00:00:00.5Z", 1_735_689_600_500_000_000),
    ("2025-01-01T02:00:00+02:00", 1_735_689_600_000_000_000), ("2024-12-31T22:30:00-01:30", 1_735_689_600_000_000_000),
    ("2025-01-01t00:00:00z", 1_735_689_600_000_000_000),
    ("2025-01-01T00:00:00.123456789Z", 1_735_689_600_123_456_789),
  ])
  func textsAreRead(text: String, nanoseconds: Int64) {
    #expect(WallTime(rfc3339: text)?.nanosecondsSinceEpoch == nanoseconds)
  }

  @Test(arguments: [
    "", "2025", "2025-01-01", "2025-01-01T00:00:00", "2025-13-01T00:00:00Z", "2025-02-29T00:00:00Z",
    "2025-01-01T24:00:00Z", "2025-01-01T00:60:00Z", "2025-01-01T00:00:60Z", "2025-01-01T00:00:00.Z",
    "2025-01-01T00:00:00Z ", "2025-01-01 00:00:00Z", "2025-01-01T00:00:00+2", "-025-01-01T00:00:00Z",
  ])
  func otherTextsAreRefused(text: String) { #expect(WallTime(rfc3339: text) == nil) }

  @Test func fractionsAreWrittenWithTheirDigits() {
    let time = WallTime(secondsSinceEpoch: 1_735_689_600, nanoseconds: 1_234_567)
    #expect(time.rfc3339 == "2025-01-01T00:00:00Z")
    #expect(time.rfc3339Micro == "2025-01-01T00:00:00.001234Z")
    #expect(time.rfc3339Nano == "2025-01-01T00:00:00.001234567Z")
    let before = WallTime(nanosecondsSinceEpoch: -1)
    #expect(before.rfc3339Nano == "1969-12-31T23:59:59.999999999Z")
    #expect(WallTime(rfc3339: before.rfc3339Nano) == before)
  }

  @Test func durationsAreAddedAndTakenAway() {
    let time = WallTime(secondsSinceEpoch: 100)
    #expect(time + .milliseconds(1500) - time == .milliseconds(1500))
    #expect(time + .seconds(-200) == WallTime(secondsSinceEpoch: -100))
  }
}

@Suite struct MonotonicTimeTests {
  @Test func timeBeforeTheStartIsTheStart() {
    #expect(MonotonicTime(nanoseconds: 5) + .nanoseconds(-10) == MonotonicTime(nanoseconds: 0))
    #expect(MonotonicTime(nanoseconds: 5) - MonotonicTime(nanoseconds: 10) == .nanoseconds(-5))
  }

  @Test func millisecondsAreRoundedUp() {
    #expect(Duration.nanoseconds(1).wholeMillisecondsRoundedUp == 1)
    #expect(Duration.milliseconds(7).wholeMillisecondsRoundedUp == 7)
    #expect(Duration.seconds(-1).wholeMillisecondsRoundedUp == 0)
  }

  /// Objects name any time and any span; neither their sum nor their difference may end the process.
  @Test func sumsAndDifferencesEndWithTheCalendar() throws {
    let first = try #require(WallTime(rfc3339: "0001-01-01T00:00:00Z"))
    let last = try #require(WallTime(rfc3339: "9999-12-31T23:59:59.999999Z"))
    let now = WallTime(year: 2026, month: 1, day: 1)
    #expect(last + .seconds(Int64.max) == last)
    #expect(first + .seconds(Int64.min) == first)
    #expect(now + .seconds(Int64.max) == last)
    #expect(now - first > .seconds(9_223_372_036))
    #expect(first - last < .seconds(-18_446_744_000))
    #expect(first + (last - first) == WallTime(nanosecondsSinceEpoch: first.nanosecondsSinceEpoch + .max))
    #expect(last.rfc3339Nano == "2262-04-11T23:47:16.000000000Z")
  }

  @Test func durationsOfAnyLengthAreNumbers() {
    #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
    #expect(Duration.seconds(Int64.min).wholeNanoseconds == .min)
    #expect(Duration.nanoseconds(Int64.max).wholeNanoseconds == .max)
    #expect(Duration.seconds(Int64.max).wholeMillisecondsRoundedUp == 9_223_372_036_855)
    #expect(Duration.nanoseconds(1).wholeMillisecondsRoundedUp == 1)
    #expect(Duration.milliseconds(2).wholeMillisecondsRoundedUp == 2)
    #expect(MonotonicTime(nanoseconds: 5) + .seconds(Int64.max) > MonotonicTime(nanoseconds: 5))
    #expect(Int64.max.addingSaturated(1) == .max && Int64.min.addingSaturated(-1) == .min)
    #expect(Int64(3).addingSaturated(-5) == -2)
  }
}
