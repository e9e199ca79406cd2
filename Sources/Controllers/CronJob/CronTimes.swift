// When a cron job is due, and when it will be next, as values (spec/5 §5.6).
import Client
import Kinds
import World

extension CronJob {
  /// A thousand million seconds are as good as any longer: they still fit a time.
  var startingDeadline: Int64? { startingDeadlineSeconds.map { min($0, 1_000_000_000) } }
}

/// The schedule of a cron job, in its zone.
struct CronTimes {
  private let schedule: CronSchedule
  private let zone: TimeZoneRules

  /// Why a cron job is never due.
  struct Failure: Error {
    var reason: String
    var message: String
  }

  /// More missed times than these are worth a warning.
  private static let manyMissed: Int64 = 100

  init(_ cronJob: CronJob) throws(Failure) {
    do { schedule = try CronSchedule(cronJob.schedule) } catch {
      throw Failure(
        reason: "UnparseableSchedule", message: "unparseable schedule: \"\(cronJob.schedule)\" : \(error.message)")
    }
    let name = cronJob.timeZone ?? schedule.zone ?? ""
    guard let rules = TimeZones.rules(of: name) else {
      throw Failure(reason: "UnknownTimeZone", message: "invalid timeZone: \"\(name)\": unknown time zone \(name)")
    }
    zone = rules
  }

  /// What is due now.
  struct Due {
    /// The latest time that has come, and was not yet dealt with.
    var time: WallTime?
    var hasMissedMany = false
    /// There is no such day: the thirty-first of February.
    var isNever = false
  }

  /// `deadline`: whether times that are past their starting deadline are out of the question.
  func due(_ cronJob: CronJob, at now: WallTime, deadline: Bool = true) -> Due {
    var earliest = cronJob.status.lastScheduleTime ?? cronJob.metadata.creationTimestamp ?? now
    if deadline, let seconds = cronJob.startingDeadline { earliest = max(earliest, now + .seconds(-seconds)) }
    // Somebody wrote that it has run in years to come.
    guard earliest <= now else { return Due() }
    guard let first = schedule.next(after: earliest, in: zone) else { return Due(isNever: true) }
    guard first <= now else { return Due() }
    guard let second = schedule.next(after: first, in: zone), second <= now else { return Due(time: first) }
    // How many have passed is estimated from the first two: a schedule of every minute that slept for a year is not
    // walked through.
    let interval = max(1, second.secondsSinceEpoch - first.secondsSinceEpoch)
    let missed = (now.secondsSinceEpoch - first.secondsSinceEpoch) / interval + 1
    var latest = first
    var next = schedule.next(after: first + .seconds(max(0, missed - 2) * interval), in: zone)
    while let time = next, time <= now {
      latest = time
      next = schedule.next(after: time, in: zone)
    }
    return Due(time: latest, hasMissedMany: missed > Self.manyMissed)
  }

  /// The first time after now that has not been dealt with.
  func next(_ cronJob: CronJob, after now: WallTime) -> WallTime? {
    // `@every` counts from the last time, not from now.
    let since =
      due(cronJob, at: now, deadline: false).time ?? cronJob.status.lastScheduleTime
      ?? cronJob.metadata.creationTimestamp ?? now
    guard let next = schedule.next(after: since, in: zone) else { return nil }
    return next > now ? next : schedule.next(after: now, in: zone)
  }

  /// RFC 3339 with the offset of the zone.
  func text(_ time: WallTime) -> String {
    let offset = zone.offset(at: time.secondsSinceEpoch)
    guard offset != 0 else { return time.rfc3339 }
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let local = (time + .seconds(offset)).rfc3339.dropLast()
    return "\(local)\(offset < 0 ? "-" : "+")\(two(abs(offset) / 3600)):\(two(abs(offset) / 60 % 60))"
  }
}
