// The parts of timestamps and durations: getFullYear, getHours, …
import Schema
import World

enum Calendar {
  static let functions: [CELFunction] = [
    part("getFullYear", "year") { $0.year },
    part("getMonth", "month") { $0.month - 1 },
    part("getDayOfYear", "day_of_year") { $0.dayOfYear },
    part("getDayOfMonth", "day_of_month") { $0.day - 1 },
    part("getDate", "day_of_month_1_based") { $0.day },
    part("getDayOfWeek", "day_of_week") { $0.dayOfWeek },
    part("getHours", "hours", ofDuration: 3_600_000_000_000) { $0.secondOfDay / 3600 },
    part("getMinutes", "minutes", ofDuration: 60_000_000_000) { $0.secondOfDay / 60 % 60 },
    part("getSeconds", "seconds", ofDuration: 1_000_000_000) { $0.secondOfDay % 60 },
    part("getMilliseconds", "milliseconds", ofDuration: 1_000_000) { $0.milliseconds },
  ]

  struct Parts {
    let year, month, day, dayOfYear, dayOfWeek, secondOfDay, milliseconds: Int64

    init(_ time: Timestamp, offset: Int64) {
      self.init(seconds: time.seconds + offset, milliseconds: Int64(time.nanoseconds / 1_000_000))
    }

    init(seconds shiftedSeconds: Int64, milliseconds: Int64 = 0) {
      let days = shiftedSeconds >= 0 ? shiftedSeconds / 86_400 : (shiftedSeconds - 86_399) / 86_400
      secondOfDay = shiftedSeconds - days * 86_400
      self.milliseconds = milliseconds
      dayOfWeek = ((days + 4) % 7 + 7) % 7
      // Eras of 400 years that begin on 1 March (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
      let shifted = days + 719_468
      let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
      let dayOfEra = shifted - era * 146_097
      let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
      let dayFromMarch = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
      let monthFromMarch = (5 * dayFromMarch + 2) / 153
      month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
      year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
      day = dayFromMarch - (153 * monthFromMarch + 2) / 5 + 1
      let isLeap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0
      dayOfYear = month > 2 ? dayFromMarch + 59 + (isLeap ? 1 : 0) : dayFromMarch - 306
    }
  }

  private static func part(
    _ name: String, _ id: String, ofDuration unit: Int64? = nil, _ value: @escaping @Sendable (Parts) -> Int64
  ) -> CELFunction {
    var overloads: [CELOverload] = [
      .member("timestamp_to_\(id)", [.timestamp], .int),
      .member("timestamp_to_\(id)_with_tz", [.timestamp, .string], .int),
    ]
    if unit != nil { overloads.append(.member("duration_to_\(id)", [.duration], .int)) }
    return CELFunction(name, overloads) { arguments throws(CELError) in
      switch arguments[0] {
      case .timestamp(let time):
        let zone = arguments.count > 1 ? arguments[1].text : "UTC"
        guard let zone else { throw .noSuchOverload(name, arguments) }
        return .int(value(Parts(time, offset: try offset(of: zone, at: time.seconds))))
      case .duration(let nanoseconds):
        guard let unit else { throw .noSuchOverload(name, arguments) }
        return .int(unit == 1_000_000 ? nanoseconds % 1_000_000_000 / unit : nanoseconds / unit)
      default: throw .noSuchOverload(name, arguments)
      }
    }
  }

  /// Seconds east of Greenwich of "UTC", "+02:00", "-7:30", "Europe/Berlin" at a moment.
  private static func offset(of zone: String, at time: Int64) throws(CELError) -> Int64 {
    if zone.isEmpty || zone == "UTC" || zone == "Local" { return 0 }
    guard let colon = zone.firstIndex(of: ":") else {
      guard let rules = TimeZones.rules(of: zone) else { throw CELError("unknown time zone \(zone)") }
      return rules.offset(at: time)
    }
    guard let hours = Int64(zone[..<colon]), let minutes = Int64(zone[zone.index(after: colon)...]),
      (-24...24).contains(hours), (0...59).contains(minutes)
    else { throw CELError("unknown time zone \(zone)") }
    return zone.hasPrefix("-") ? -(abs(hours) * 3600 + minutes * 60) : hours * 3600 + minutes * 60
  }

  /// Days since the epoch of a date (H. Hinnant, as above).
  static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}
