// Time zones by the names of places: "Europe/Berlin". The rules come from files in the format of RFC 9636 (TZif), which
// their owner reads: nothing here touches a disk.
import Synchronization

/// Where the rules of time zones come from.
public enum TimeZones {
  private struct State {
    var read: (@Sendable (String) -> [UInt8]?)?
    var known: [String: TimeZoneRules?] = [:]
  }
  private static let state = Mutex(State())
  /// There are some six hundred names; what users make up is not remembered without bound.
  private static let knownMaximum = 2048

  /// Gives this process the time zones of its machine: `read` returns the file of a name such as "Europe/Berlin", nil
  /// where there is none. It is asked once for a name, on any thread. Without a reader only UTC is known.
  public static func use(_ read: @escaping @Sendable (String) -> [UInt8]?) {
    state.withLock { $0 = State(read: read) }
  }

  /// The zone of that name; nil where this machine has none. "", "UTC" and "Local" are UTC: servers have no other.
  public static func rules(of name: String) -> TimeZoneRules? {
    if name.isEmpty || name == "UTC" || name == "Local" { return .utc }
    guard isName(name) else { return nil }
    if let known = state.withLock({ $0.known[name] }) { return known }
    guard let read = state.withLock(\.read) else { return nil }
    let rules = read(name).flatMap { TimeZoneRules(parsing: $0) }
    state.withLock { state in
      if state.known.count >= knownMaximum { state.known.removeAll() }
      state.known[name] = .some(rules)
    }
    return rules
  }

  /// "Area/Location": no way out of the folder.
  private static func isName(_ name: String) -> Bool {
    guard let first = name.utf8.first, first != UInt8(ascii: "/"), name.utf8.count <= 64 else { return false }
    let isPlain = name.utf8.allSatisfy { byte in
      (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || "/_+-".utf8.contains(byte)
    }
    return isPlain
  }
}

/// The offsets of one time zone through the ages.
public struct TimeZoneRules: Sendable {
  public static let utc = TimeZoneRules()

  /// Moments (Unix seconds) at which the offset changes, ascending, and the offset from then on.
  private var changes: [(at: Int64, offset: Int64)] = []
  private var first: Int64 = 0
  /// What holds after the last change.
  private var rule: YearlyRule?

  private init() {}

  /// Seconds east of Greenwich at a moment (Unix seconds).
  public func offset(at time: Int64) -> Int64 {
    guard let last = changes.last else { return rule?.offset(at: time) ?? first }
    if time >= last.at { return rule?.offset(at: time) ?? last.offset }
    var (low, high) = (0, changes.count)
    while low < high {
      let middle = (low + high) / 2
      if changes[middle].at <= time { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? first : changes[low - 1].offset
  }

  /// nil for what is no TZif file of version 2 or later.
  public init?(parsing bytes: [UInt8]) {
    var reader = Reader(bytes: bytes)
    guard let old = reader.header(), old.version >= UInt8(ascii: "2"), reader.skip(old.bytes(timeSize: 4)),
      let header = reader.header()
    else { return nil }
    var times: [Int64] = []
    for _ in 0..<header.times { times.append(reader.number(8)) }
    var kinds: [Int] = []
    for _ in 0..<header.times { kinds.append(Int(reader.number(1) & 0xff)) }
    var offsets: [Int64] = []
    for _ in 0..<header.kinds {
      offsets.append(reader.number(4))
      _ = reader.skip(2)
    }
    let footer = reader.skip(header.names + header.leaps * 12 + header.standard + header.universal)
    guard footer, !reader.isBeyondEnd, let first = offsets.first, kinds.allSatisfy(offsets.indices.contains) else {
      return nil
    }
    self.first = first
    changes = zip(times, kinds).map { ($0, offsets[$1]) }
    let text = String(decoding: reader.rest.dropFirst().prefix { $0 != 10 }, as: UTF8.self)
    rule = text.isEmpty ? nil : YearlyRule(text)
  }

  private struct Header {
    var version: UInt8
    var universal, standard, leaps, times, kinds, names: Int
    func bytes(timeSize: Int) -> Int {
      times * (timeSize + 1) + kinds * 6 + names + leaps * (timeSize + 4) + standard + universal
    }
  }

  private struct Reader {
    let bytes: [UInt8]
    var place = 0
    /// A file has a few thousand changes; more is no time zone.
    private static let countMaximum: Int64 = 65_536

    init(bytes: [UInt8]) { self.bytes = bytes }
    var isBeyondEnd: Bool { place > bytes.count }
    var rest: ArraySlice<UInt8> { bytes.dropFirst(place) }

    mutating func header() -> Header? {
      guard bytes.dropFirst(place).starts(with: "TZif".utf8), bytes.count >= place + 44 else { return nil }
      let version = bytes[place + 4]
      place += 20
      var counts: [Int] = []
      for _ in 0..<6 {
        let count = number(4)
        guard (0...Self.countMaximum).contains(count) else { return nil }
        counts.append(Int(count))
      }
      return Header(
        version: version, universal: counts[0], standard: counts[1], leaps: counts[2], times: counts[3],
        kinds: counts[4], names: counts[5])
    }

    mutating func skip(_ count: Int) -> Bool {
      place += count
      return !isBeyondEnd
    }

    /// A signed number, the highest byte first; 0 beyond the end.
    mutating func number(_ size: Int) -> Int64 {
      defer { place += size }
      guard place + size <= bytes.count else { return 0 }
      let value = bytes[place..<place + size].reduce(Int64(0)) { $0 << 8 | Int64($1) }
      let shift = Int64(64 - 8 * size)
      return (value << shift) >> shift
    }
  }
}

/// "CET-1CEST,M3.5.0,M10.5.0/3": how a year goes, for all years to come (POSIX TZ).
private struct YearlyRule: Sendable {
  /// A day of a year and a time of that day, which may lie before or behind it.
  private enum Day {
    /// The nth (5: the last) weekday of a month.
    case weekday(month: Int64, week: Int64, day: Int64)
    /// 1 to 365; 29 February is never counted.
    case julian(Int64)
    /// 0 to 365.
    case ordinal(Int64)
  }
  private struct Change {
    var day: Day
    var second: Int64 = 7200
  }
  private let standard: Int64
  private var summer: Int64?
  private var begin: Change?
  private var end: Change?

  init?(_ text: String) {
    var rest = text[...]
    guard Self.skipName(&rest), let west = Self.time(&rest) else { return nil }
    standard = -west
    if rest.isEmpty { return }
    guard Self.skipName(&rest) else { return nil }
    summer = rest.hasPrefix(",") || rest.isEmpty ? standard + 3600 : Self.time(&rest).map { -$0 }
    let parts = rest.split(separator: ",")
    guard summer != nil, parts.count == 2, let begin = Self.change(parts[0]), let end = Self.change(parts[1]) else {
      return nil
    }
    self.begin = begin
    self.end = end
  }

  func offset(at time: Int64) -> Int64 {
    guard let summer, let begin, let end else { return standard }
    let days = (time + standard).quotientAndRemainder(flooring: CivilDate.secondsPerDay).quotient
    let year = CivilDate(daysSinceEpoch: days).year
    let start = Self.moment(begin, year) - standard
    let stop = Self.moment(end, year) - summer
    // In the south summer reaches over the turn of the year.
    let isSummer = start < stop ? time >= start && time < stop : time >= start || time < stop
    return isSummer ? summer : standard
  }

  /// Local seconds since the epoch.
  private static func moment(_ change: Change, _ year: Int64) -> Int64 {
    let newYear = Self.days(year, 1, 1)
    let isLeap = Self.days(year, 3, 1) - newYear == 60
    let day: Int64
    switch change.day {
    case .ordinal(let number): day = newYear + number
    case .julian(let number): day = newYear + number - 1 + (isLeap && number >= 60 ? 1 : 0)
    case .weekday(let month, let week, let weekday):
      let first = Self.days(year, month, 1)
      let next = month == 12 ? Self.days(year + 1, 1, 1) : Self.days(year, month + 1, 1)
      // 1 January 1970 was a Thursday.
      let firstWeekday = ((first + 4) % 7 + 7) % 7
      var found = first + (weekday - firstWeekday + 7) % 7 + 7 * (week - 1)
      while found >= next { found -= 7 }
      day = found
    }
    return day * 86_400 + change.second
  }

  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    CivilDate(year: year, month: month, day: day).daysSinceEpoch
  }

  private static func skipName(_ rest: inout Substring) -> Bool {
    if rest.hasPrefix("<") {
      guard let close = rest.firstIndex(of: ">") else { return false }
      rest = rest[rest.index(after: close)...]
      return true
    }
    let name = rest.prefix { $0.isLetter }
    rest = rest[name.endIndex...]
    return name.count >= 3
  }

  /// Seconds of "[+-]hh[:mm[:ss]]".
  private static func time(_ rest: inout Substring) -> Int64? {
    let isNegative = rest.hasPrefix("-")
    if isNegative || rest.hasPrefix("+") { rest = rest.dropFirst() }
    let digits = rest.prefix { $0.isNumber || $0 == ":" }
    rest = rest[digits.endIndex...]
    let parts = digits.split(separator: ":").map { Int64($0) ?? -1 }
    guard (1...3).contains(parts.count), parts.allSatisfy({ (0...167).contains($0) }) else { return nil }
    let seconds = zip(parts, [3600, 60, 1]).reduce(Int64(0)) { $0 + $1.0 * Int64($1.1) }
    return isNegative ? -seconds : seconds
  }

  private static func change(_ text: Substring) -> Change? {
    let parts = text.split(separator: "/", maxSplits: 1)
    guard let day = parts.first.flatMap(day) else { return nil }
    var change = Change(day: day)
    if parts.count == 2 {
      var rest = parts[1]
      guard let second = time(&rest), rest.isEmpty else { return nil }
      change.second = second
    }
    return change
  }

  private static func day(_ text: Substring) -> Day? {
    if text.hasPrefix("M") {
      let numbers = text.dropFirst().split(separator: ".").map { Int64($0) ?? -1 }
      guard numbers.count == 3, (1...12).contains(numbers[0]), (1...5).contains(numbers[1]),
        (0...6).contains(numbers[2])
      else { return nil }
      return .weekday(month: numbers[0], week: numbers[1], day: numbers[2])
    }
    if text.hasPrefix("J") { return Int64(text.dropFirst()).flatMap { (1...365).contains($0) ? .julian($0) : nil } }
    return Int64(text).flatMap { (0...365).contains($0) ? .ordinal($0) : nil }
  }
}
