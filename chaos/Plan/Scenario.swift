// Scenarios are data: which faults, how many, when. A schedule is drawn from the seed alone.

public struct PlannedFault: Sendable, Hashable {
  public var fault: Fault
  /// Goes on at the same time, at a server of its own choice.
  public var companion: Fault?
  /// After the start of the faults. A fault waits for the one before it to be over.
  public var at: Duration
  /// After this time what was broken is mended.
  public var lasts: Duration
  /// Decides what the fault leaves open: which follower, which direction.
  public var choice: UInt64

  public init(fault: Fault, companion: Fault? = nil, at: Duration, lasts: Duration, choice: UInt64) {
    self.fault = fault
    self.companion = companion
    self.at = at
    self.lasts = lasts
    self.choice = choice
  }

  /// "cut a minority off, and lose packets of a server in bursts".
  public var name: String { companion.map { "\(fault), and \($0)" } ?? "\(fault)" }
}

public struct Scenario: Sendable {
  public var name: String
  public var abstract: String
  /// All of them come before any comes again, in an order of chance.
  public var faults: [Fault]
  /// One in four has a companion.
  public var combines = false
  /// The scenario ends with SIGKILL to all servers at once, under load.
  public var endsWithKillAll = true

  public init(
    _ name: String, _ abstract: String, faults: [Fault], combines: Bool = false, endsWithKillAll: Bool = true
  ) {
    self.name = name
    self.abstract = abstract
    self.faults = faults
    self.combines = combines
    self.endsWithKillAll = endsWithKillAll
  }

  public var needsMachines: Bool { faults.contains(where: \.needsMachines) }

  /// What of it can be played with these facilities; nil: nothing can.
  public func playable(with present: Set<Facility>) -> Scenario? {
    var scenario = self
    scenario.faults = faults.filter { $0.facilities.isSubset(of: present) }
    return scenario.faults.isEmpty ? nil : scenario
  }

  public static let all = [
    Scenario(
      "leader-kill", "The leading server is killed again and again; at the end all are, at once.",
      faults: [.killLeader]),
    Scenario(
      "server-kill", "Leaders and followers are killed by chance; at the end all are, at once.",
      faults: [.killLeader, .killFollower]),
    Scenario(
      "leader-pause", "The leading server is stopped (SIGSTOP, up to a minute) and wakes up deposed.",
      faults: [.pauseLeader]),
    Scenario(
      "majority-kill", "So many servers are killed at once that the rest is no majority.", faults: [.killMajority]),
    Scenario("all-kill", "All servers are killed at once, again and again.", faults: [.killAll]),
    Scenario(
      "slow-servers", "Servers are stopped, and starved to a tenth of a processor.",
      faults: [.pauseLeader, .pauseFollower, .starveProcessor]),
    Scenario(
      "leader-partition", "The leader is cut off: from its peers, from everybody, in one direction.",
      faults: [.partitionLeader, .unplugLeader, .partitionOneWay], endsWithKillAll: false),
    Scenario(
      "partitions", "Every kind of partition: leader, minority, one-way, bridge, flapping.",
      faults: [
        .partitionLeader, .unplugLeader, .partitionMinority, .partitionOneWay, .partitionBridge, .flapLinks,
      ], endsWithKillAll: false),
    Scenario(
      "packet-loss", "Packets of a server are lost in bursts.", faults: [.losePackets], endsWithKillAll: false),
    Scenario(
      "packet-delay", "Packets of a server arrive late.", faults: [.delayPackets], endsWithKillAll: false),
    Scenario(
      "disk-full", "The file system of a server fills up, and is given room again.", faults: [.fillDisk]),
    Scenario(
      "power-cut", "A server loses its power, and its disk whatever was not flushed.", faults: [.cutPower]),
    Scenario(
      "disk-errors", "Writes and syncs of a server fail; what was not flushed is lost.",
      faults: [.failWrites, .failSyncs]),
    Scenario("disk-slow", "The disk of a server does a few writes a second.", faults: [.slowDisk]),
    Scenario(
      "disk-rot", "A bit flips in a server's log or state, and old copies of disks are put back.",
      faults: [.flipBit, .setDiskBack]),
    Scenario(
      "clocks", "Wall clocks are moved by hours, and certificates expire.", faults: [.moveClock, .expireCertificate],
      endsWithKillAll: false),
    Scenario(
      "balancer-kill", "The load balancer is killed and started again.", faults: [.killBalancer],
      endsWithKillAll: false),
    Scenario(
      "balancer-pair", "Of two load balancers with one address (keepalived) the one that has it is killed.",
      faults: [.failOver], endsWithKillAll: false),
    Scenario(
      "transfers", "Leadership is handed over again and again: nothing may fail.", faults: [.transferLeadership],
      endsWithKillAll: false),
    Scenario(
      "rolling-restart", "The servers are restarted one after the other, again and again: nothing may fail.",
      faults: [.restartRolling], endsWithKillAll: false),
    Scenario(
      "maintenance",
      "Rolling restarts, planned transfers, a server added and removed, a backup restored beside: nothing may fail.",
      faults: [.restartRolling, .transferLeadership, .changeMembership, .restoreBackup], endsWithKillAll: false),
    Scenario(
      "selection", "One or two of each kind, as `make test` plays them.",
      faults: [
        .killLeader, .pauseLeader, .partitionLeader, .partitionOneWay, .losePackets, .cutPower, .failSyncs, .flipBit,
        .moveClock, .changeMembership, .restartRolling, .killBalancer,
      ]),
    Scenario(
      "everything", "All of these, in an order of chance, some at the same time.", faults: Fault.allCases,
      combines: true),
  ]

  public static func named(_ name: String) -> Scenario? { all.first { $0.name == name } }

  /// `count` faults spread evenly over `duration`, each moved by chance within the first half of its share.
  public func schedule(count: Int, over duration: Duration, seed: UInt64) -> [PlannedFault] {
    precondition(count > 0 && !faults.isEmpty, "a schedule of something")
    var random = SeededGenerator(seed: seed)
    let share = duration / count
    var rest: [Fault] = []
    return (0..<count).map { number in
      if rest.isEmpty { rest = faults.shuffled(using: &random) }
      let fault = rest.removeLast()
      return PlannedFault(
        fault: fault, companion: combines ? Self.companion(of: fault, &random) : nil,
        at: share * number + share / 1000 * Int.random(in: 0..<500, using: &random),
        lasts: .milliseconds(Self.draw(fault.lasts, &random)), choice: random.next())
    }
  }

  private static func companion(of fault: Fault, _ random: inout SeededGenerator) -> Fault? {
    let isOne = Int.random(in: 0..<4, using: &random) == 0
    let other = Fault.allCases.filter { $0.isCompanion && $0 != fault }.randomElement(using: &random)
    // Planned work has to go well in good weather, and a group without majority has trouble enough.
    return isOne && !fault.isPlannedWork && fault.sparesMajority ? other : nil
  }

  /// Every doubling of the shortest time is as likely as the next.
  private static func draw(_ range: ClosedRange<Int>, _ random: inout SeededGenerator) -> Int {
    guard range.lowerBound > 0, range.lowerBound < range.upperBound else { return range.lowerBound }
    var top = range.lowerBound
    var doublings = 0
    while top * 2 <= range.upperBound {
      top *= 2
      doublings += 1
    }
    let base = range.lowerBound << Int.random(in: 0...doublings, using: &random)
    return min(range.upperBound, Int.random(in: base...(base * 2), using: &random))
  }
}
