// Scenarios are data: which faults, how many, when. A schedule is drawn from the seed alone.
import World

/// What is broken.
enum Fault: Sendable, Hashable {
  /// SIGKILL to the leading server.
  case killLeader
  /// SIGKILL to a server that does not lead.
  case killFollower
  /// SIGKILL to every server at once.
  case killAll
  /// SIGSTOP to the leading server; SIGCONT when it is to come back.
  case pauseLeader
}

struct PlannedFault: Sendable, Hashable {
  var fault: Fault
  /// After the start of the faults. A fault waits for the one before it to be over.
  var at: Duration
  /// After this time the servers are started again.
  var lasts: Duration
}

struct Scenario: Sendable {
  var name: String
  var abstract: String
  /// Drawn from for each fault.
  var faults: [Fault]
  /// The scenario ends with SIGKILL to all servers at once, under load.
  var endsWithKillAll = true

  static let all = [
    Scenario(
      name: "leader-kill", abstract: "The leading server is killed again and again; at the end all are, at once.",
      faults: [.killLeader]),
    Scenario(
      name: "server-kill", abstract: "Leaders and followers are killed by chance; at the end all are, at once.",
      faults: [.killLeader, .killFollower]),
    Scenario(
      name: "leader-pause", abstract: "The leading server is stopped (SIGSTOP) and wakes up deposed.",
      faults: [.pauseLeader]),
    Scenario(
      name: "all-kill", abstract: "All servers are killed at once, again and again.", faults: [.killAll]),
  ]

  static func named(_ name: String) -> Scenario? { all.first { $0.name == name } }

  /// `count` faults spread evenly over `duration`, each moved by chance within the first half of its share.
  func schedule(count: Int, over duration: Duration, seed: UInt64) -> [PlannedFault] {
    var random = SeededGenerator(seed: seed)
    let share = duration / count
    return (0..<count).map { number in
      let offset = share / 1000 * Int.random(in: 0..<500, using: &random)
      return PlannedFault(
        fault: faults[Int.random(in: 0..<faults.count, using: &random)], at: share * number + offset,
        lasts: .milliseconds(Int.random(in: 200...2500, using: &random)))
    }
  }
}

/// SplitMix64: the whole run's chance comes from one seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }
  /// A stream of its own for each part of the traffic.
  init(seed: UInt64, stream: UInt64) {
    var mixer = SeededGenerator(seed: seed ^ (stream &* 0xd6e8_feb8_6659_fd93))
    state = mixer.next()
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
