// Schedules of cron jobs: five fields, or a short name, or `@every` so long. Read by the rules of the kind and by its
// controller alike.
import Schema
import World

/// The times at which a cron job begins.
public struct CronSchedule: Hashable, Sendable {
  public struct Failure: Error, CustomStringConvertible {
    public var message: String
    public var description: String { message }
  }

  private struct Fields: Hashable {
    var minutes: UInt64 = 0
    var hours: UInt64 = 0
    var days: UInt64 = 0
    var months: UInt64 = 0
    var weekdays: UInt64 = 0
    /// `*` stands in the field. Where neither does, a day that fits one of the two will do.
    var anyDay = false
    var anyWeekday = false

    func contains(
      _ date: (year: Int64, month: Int64, day: Int64, hour: Int64, minute: Int64, second: Int64), weekday: Int64
    )
      -> Bool
    {
      let fitsDay = days & 1 << UInt64(date.day) != 0
      let fitsWeekday = weekdays & 1 << UInt64(weekday) != 0
      return anyDay || anyWeekday ? fitsDay && fitsWeekday : fitsDay || fitsWeekday
    }
  }
  private enum Shape: Hashable {
    case fields(Fields)
    case every(seconds: Int64)
  }

  private static let shortNames = [
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
  ]
  private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
  private static let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
  /// A schedule that has no time within so many days (31 February) has none.
  private static let horizonDays: Int64 = 5 * 366

  private let shape: Shape
  /// The zone that stands before an old schedule: "TZ=Europe/Berlin 0 4 * * *".
  public let zone: String?

  public init(_ text: String) throws(Failure) {
    var schedule = Substring(text)
    var zone: String?
    if text.hasPrefix("TZ=") || text.hasPrefix("CRON_TZ=") {
      let parts = text.split(separator: "=", maxSplits: 1)[1].split(separator: " ", maxSplits: 1)
      let name = parts.first.map(String.init) ?? ""
      if !name.isEmpty, name != "Local", !TimeZoneNames.all.contains(name) {
        throw Failure(message: "provided bad location \(name): unknown time zone \(name)")
      }
      zone = name
      schedule = parts.count == 2 ? parts[1].drop { $0.isWhitespace } : ""
    }
    self.zone = zone
    if schedule.hasPrefix("@") {
      shape = try Self.named(String(schedule))
    } else {
      shape = .fields(try Self.fields(schedule))
    }
  }

  /// What is wrong with a schedule; nil when nothing is.
  public static func problem(with text: String) -> String? {
    do {
      _ = try Self(text)
      return nil
    } catch { return error.message }
  }

  // MARK: Reading

  private static func named(_ name: String) throws(Failure) -> Shape {
    if let fields = shortNames[name] { return .fields(try Self.fields(fields[...])) }
    let every = "@every "
    guard name.hasPrefix(every) else { throw Failure(message: "unrecognized descriptor: \(name)") }
    let text = String(name.dropFirst(every.count))
    guard let nanoseconds = DurationText.nanoseconds(text) else {
      throw Failure(message: "failed to parse duration \(name): time: invalid duration \(GoSyntax.quoted(text))")
    }
    return .every(seconds: max(1, nanoseconds / 1_000_000_000))
  }

  private static func fields(_ text: Substring) throws(Failure) -> Fields {
    let parts = text.split(whereSeparator: \.isWhitespace)
    guard parts.count == 5 else {
      throw Failure(message: "expected exactly 5 fields, found \(parts.count): [\(parts.joined(separator: " "))]")
    }
    var fields = Fields()
    (fields.minutes, _) = try field(parts[0], 0...59)
    (fields.hours, _) = try field(parts[1], 0...23)
    (fields.days, fields.anyDay) = try field(parts[2], 1...31)
    (fields.months, _) = try field(parts[3], 1...12, months)
    (fields.weekdays, fields.anyWeekday) = try field(parts[4], 0...6, days)
    return fields
  }

  private static func field(
    _ text: Substring, _ bounds: ClosedRange<Int>, _ names: [String] = []
  ) throws(Failure) -> (bits: UInt64, isAny: Bool) {
    var result: (bits: UInt64, isAny: Bool) = (0, false)
    for part in text.split(separator: ",") {
      let (bits, isAny) = try range(part, bounds, names)
      result.bits |= bits
      result.isAny = result.isAny || isAny
    }
    return result
  }

  private static func number(_ text: Substring, _ names: [String] = []) throws(Failure) -> Int {
    if let index = names.firstIndex(of: text.lowercased()) {
      // Months begin with 1, days with 0.
      return names.count == months.count ? index + 1 : index
    }
    guard let number = Int(text) else {
      let digits = text.first == "-" || text.first == "+" ? text.dropFirst() : text
      let isTooLarge = !digits.isEmpty && digits.allSatisfy { $0.isASCII && $0.isNumber }
      throw Failure(
        message: "failed to parse int from \(text): strconv.Atoi: parsing \(GoSyntax.quoted(String(text))): "
          + (isTooLarge ? "value out of range" : "invalid syntax"))
    }
    guard number >= 0 else { throw Failure(message: "negative number (\(number)) not allowed: \(text)") }
    return number
  }

  /// `*`, `a`, `a-b`, each of them with `/step`.
  private static func range(
    _ part: Substring, _ bounds: ClosedRange<Int>, _ names: [String]
  ) throws(Failure) -> (bits: UInt64, isAny: Bool) {
    let (lowest, highest) = (bounds.lowerBound, bounds.upperBound)
    let pieces = part.split(separator: "/", omittingEmptySubsequences: false)
    let ends = pieces[0].split(separator: "-", omittingEmptySubsequences: false)
    var (first, last) = (lowest, highest)
    var isAny = ends[0] == "*" || ends[0] == "?"
    if !isAny {
      first = try number(ends[0], names)
      last = first
      if ends.count == 2 { last = try number(ends[1], names) }
      if ends.count > 2 { throw Failure(message: "too many hyphens: \(part)") }
    }
    guard pieces.count <= 2 else { throw Failure(message: "too many slashes: \(part)") }
    var step = 1
    if pieces.count == 2 {
      step = try number(pieces[1])
      // "5/10" begins at 5 and has no end.
      if ends.count == 1 { last = highest }
      if step > 1 { isAny = false }
    }
    if first < lowest {
      throw Failure(message: "beginning of range (\(first)) below minimum (\(lowest)): \(part)")
    }
    if last > highest { throw Failure(message: "end of range (\(last)) above maximum (\(highest)): \(part)") }
    if first > last {
      throw Failure(message: "beginning of range (\(first)) beyond end of range (\(last)): \(part)")
    }
    if step == 0 { throw Failure(message: "step of range should be a positive number: \(part)") }
    var bits: UInt64 = 0
    for value in stride(from: first, through: last, by: step) { bits |= 1 << UInt64(value) }
    return (bits, isAny)
  }

  // MARK: Times

  /// The first time after that one whose clock in the zone shows what the schedule asks for. An hour that a clock shows
  /// twice counts twice, one that it skips not at all. Nil when there is none.
  public func next(after time: WallTime, in zone: TimeZoneRules) -> WallTime? {
    guard case .fields(let fields) = shape else {
      guard case .every(let seconds) = shape else { return nil }
      return WallTime(secondsSinceEpoch: time.secondsSinceEpoch + seconds)
    }
    var at = (time.secondsSinceEpoch.quotientAndRemainder(flooring: 60).quotient + 1) * 60
    let horizon = at + Self.horizonDays * CivilDate.secondsPerDay
    // (Where the calendar ends, times stand still: no schedule has another then.)
    while at <= horizon, at < WallTime.last.secondsSinceEpoch {
      let offset = zone.offset(at: at)
      let local = at + offset
      let date = WallTime(secondsSinceEpoch: local).civil
      let day = local.quotientAndRemainder(flooring: CivilDate.secondsPerDay).quotient
      if fields.months & 1 << UInt64(date.month) == 0 {
        let next = CivilDate(
          year: date.month == 12 ? date.year + 1 : date.year, month: date.month == 12 ? 1 : date.month + 1, day: 1)
        at = Self.jump(from: at, offset, toLocal: next.daysSinceEpoch * CivilDate.secondsPerDay, in: zone)
        // 1 January 1970 was a Thursday.
      } else if !fields.contains(date, weekday: (day + 4).quotientAndRemainder(flooring: 7).remainder) {
        at = Self.jump(from: at, offset, toLocal: (day + 1) * CivilDate.secondsPerDay, in: zone)
      } else if fields.hours & 1 << UInt64(date.hour) == 0 {
        at = Self.jump(from: at, offset, toLocal: local - date.minute * 60 + 3600, in: zone)
      } else if fields.minutes & 1 << UInt64(date.minute) == 0 {
        at += 60
      } else {
        return WallTime(secondsSinceEpoch: at)
      }
    }
    return nil
  }

  /// Forward to when clocks show `local`, or somewhat less far where they are changed in between.
  private static func jump(from at: Int64, _ offset: Int64, toLocal local: Int64, in zone: TimeZoneRules) -> Int64 {
    let direct = local - offset
    return max(at + 60, min(direct, local - zone.offset(at: direct)))
  }
}
