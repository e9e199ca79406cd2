// How slow this server's disk and loop and its way to the others have been lately, and what that means for its patience.

import World

/// The longest delays of recent time: of commits, of ticks that came late, of round trips.
///
/// A server that stood still as a whole (its process stopped, its machine frozen) is not slow afterwards: what it waited
/// for meanwhile was itself. Else two that had stood still would wait so long before they stand that a third could hang
/// for many seconds. Ticks that are late again and again are a loop without a processor, and count.
struct Pace {
  /// A tick that is later than this is the end of a pause: nearly as long as the shortest election timeout.
  private static let pause = Duration.milliseconds(250)
  /// Moments of half a minute in which ticks may be late before that counts.
  private static let pausesForgiven = 2
  /// A delay counts in full for this many ages, then is forgotten: with two ages a second, half a minute.
  private static let ages = 60
  /// An election needs two commits (the candidate's vote and the voters') and some room.
  private static let factor = 4
  /// How many of the latest commits make the typical one.
  private static let commits = 16

  private var recent: [Duration] = [.zero]
  private var lateTicks: [Duration] = [.zero]
  /// When the latest pause ended, and how long it was.
  private(set) var paused: (until: MonotonicTime, length: Duration)?
  private var lastCommits: [Duration] = []
  /// How late ticks have been, smoothed: what everything here waits for the loop.
  private var lateNanoseconds: Int64 = 0

  /// Something that ends now, or has not ended yet, has taken so long.
  mutating func observe(_ delay: Duration, now: MonotonicTime) {
    recent[recent.count - 1] = max(recent[recent.count - 1], withoutPause(delay, now))
  }

  /// The disk has taken this long for a commit.
  mutating func observeCommit(_ delay: Duration, now: MonotonicTime) {
    observe(delay, now: now)
    lastCommits.append(withoutPause(delay, now))
    if lastCommits.count > Self.commits { lastCommits.removeFirst() }
  }

  /// A tick has come so late.
  mutating func observeTick(late: Duration, now: MonotonicTime) {
    notePause(late: late, now: now)
    lateTicks[lateTicks.count - 1] = max(lateTicks[lateTicks.count - 1], late)
    lateNanoseconds += (late.wholeNanoseconds - lateNanoseconds) >> 4
  }

  /// A tick that has not come yet is so late.
  mutating func notePause(late: Duration, now: MonotonicTime) {
    if late > Self.pause { paused = (now, late) }
  }

  private func withoutPause(_ delay: Duration, _ now: MonotonicTime) -> Duration {
    guard let paused, now - paused.until < delay else { return delay }
    return max(.zero, delay - paused.length)
  }

  /// How long a write waits here at present, for the disk and for the loop.
  var typicalDelay: Duration { typicalCommit + .nanoseconds(lateNanoseconds) }

  /// What a commit takes at present, one that stands out aside: the median of the latest.
  var typicalCommit: Duration { lastCommits.isEmpty ? .zero : lastCommits.sorted()[lastCommits.count / 2] }

  /// A moment has passed.
  mutating func age() {
    recent.append(.zero)
    lateTicks.append(.zero)
    if recent.count > Self.ages {
      recent.removeFirst()
      lateTicks.removeFirst()
    }
  }

  /// How late ticks are again and again.
  private var usualLateness: Duration {
    lateTicks.count > Self.pausesForgiven ? lateTicks.sorted(by: >)[Self.pausesForgiven] : .zero
  }

  /// The election timeout that suits these delays.
  func electionTimeout(atLeast floor: Duration) -> Duration {
    max(floor, max(recent.max() ?? .zero, usualLateness) * Self.factor)
  }
}
