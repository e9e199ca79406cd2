// What the way to another server and back takes: from the echoes of what was sent to it.

import World

/// The latest round trip to one peer. The time for which nothing passed at all is no round trip: a partition says nothing
/// of how slow the network is, and what was sent into it must not count when it arrives in the end.
struct RoundTrips {
  /// Beyond this nothing counts: a clock went wrong, or a machine slept.
  private static let longest = Duration.seconds(60)
  /// Peers report twice a second; who is silent for longer is cut off.
  private static let silence = Duration.seconds(1)

  private(set) var latest: Duration?
  private(set) var lastHeard: MonotonicTime?
  /// Since then the peer has been heard without a break.
  private var hearingSince = MonotonicTime(nanoseconds: 0)

  /// Something came from the peer.
  mutating func heard(_ now: MonotonicTime) {
    if let lastHeard, now - lastHeard > Self.silence { hearingSince = now }
    lastHeard = now
  }

  /// What was sent at `sent` has come back, after the peer had held it for `held`.
  mutating func observe(sent: MonotonicTime, held: Duration, now: MonotonicTime) {
    let trip = now - sent - held
    guard sent >= hearingSince, trip >= .zero, trip < Self.longest else { return }
    latest = trip
  }
}
