// How slow this server's disk and loop and its way to the others have been lately, and what that means for its patience.

import World

/// The longest delays of recent time: of commits, of ticks that came late, of round trips.
struct Pace {
  /// A delay counts in full for this many ages, then is forgotten: with two ages a second, half a minute.
  private static let ages = 60
  /// An election needs two commits (the candidate's vote and the voters') and some room.
  private static let factor = 4
  /// How many of the latest commits make the typical one.
  private static let commits = 16

  private var recent: [Duration] = [.zero]
  private var lastCommits: [Duration] = []
  /// How late ticks have been, smoothed: what everything here waits for the loop.
  private var lateNanoseconds: Int64 = 0

  mutating func observe(_ delay: Duration) { recent[recent.count - 1] = max(recent[recent.count - 1], delay) }

  /// The disk has taken this long for a commit.
  mutating func observeCommit(_ delay: Duration) {
    observe(delay)
    lastCommits.append(delay)
    if lastCommits.count > Self.commits { lastCommits.removeFirst() }
  }

  /// A tick has come so late.
  mutating func observeTick(late: Duration) {
    observe(late)
    lateNanoseconds += (late.wholeNanoseconds - lateNanoseconds) >> 4
  }

  /// How long a write waits here at present, for the disk and for the loop.
  var typicalDelay: Duration { typicalCommit + .nanoseconds(lateNanoseconds) }

  /// What a commit takes at present, one that stands out aside: the median of the latest.
  var typicalCommit: Duration { lastCommits.isEmpty ? .zero : lastCommits.sorted()[lastCommits.count / 2] }

  /// A moment has passed.
  mutating func age() {
    recent.append(.zero)
    if recent.count > Self.ages { recent.removeFirst() }
  }

  /// The election timeout that suits these delays.
  func electionTimeout(atLeast floor: Duration) -> Duration { max(floor, (recent.max() ?? .zero) * Self.factor) }
}
