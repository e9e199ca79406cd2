// How slow this server's disk and loop have been lately, and what that means for its patience.

/// The longest delays of recent time: of commits, and of ticks that came late.
struct Pace {
  /// A delay counts in full for this many ages, then is forgotten: with two ages a second, half a minute.
  private static let ages = 60
  /// An election needs two commits (the candidate's vote and the voters') and some room.
  private static let factor = 4

  private var recent: [Duration] = [.zero]

  mutating func observe(_ delay: Duration) { recent[recent.count - 1] = max(recent[recent.count - 1], delay) }

  /// A moment has passed.
  mutating func age() {
    recent.append(.zero)
    if recent.count > Self.ages { recent.removeFirst() }
  }

  /// The election timeout that suits these delays.
  func electionTimeout(atLeast floor: Duration) -> Duration { max(floor, (recent.max() ?? .zero) * Self.factor) }
}
