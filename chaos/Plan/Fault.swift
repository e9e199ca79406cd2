// What is broken, and what each fault takes: machines of their own or only processes, how long it lasts, what it costs.

/// What is broken. The text is its name in schedules and reports.
public enum Fault: String, CaseIterable, Sendable, Hashable, CustomStringConvertible {
  // Processes.
  /// SIGKILL to the leading server.
  case killLeader = "kill the leader"
  /// SIGKILL to a server that does not lead.
  case killFollower = "kill a follower"
  /// SIGKILL to so many that the rest is no majority.
  case killMajority = "kill a majority"
  /// SIGKILL to every server at once.
  case killAll = "kill all servers"
  /// SIGSTOP to the leading server; SIGCONT when it is to come back: it wakes up deposed.
  case pauseLeader = "pause the leader"
  case pauseFollower = "pause a follower"
  /// A server runs a tenth of the time: SIGSTOP and SIGCONT in turns.
  case starveProcessor = "starve a server of CPU"

  // The network, from outside of the servers' machines: packets vanish without a word.
  /// The leader and the other servers do not reach each other; clients reach all of them.
  case partitionLeader = "cut the leader off from its peers"
  /// Nothing that the leader sends arrives anywhere, and nothing of its peers reaches it.
  case unplugLeader = "cut the leader off from everybody"
  case partitionMinority = "cut a minority off"
  /// Between the leader and the others packets pass in one direction only.
  case partitionOneWay = "cut the leader off in one direction"
  /// Two groups that do not reach each other, and a server between them that reaches both.
  case partitionBridge = "two groups joined by one server"
  /// The leader's links go down and up again, several times.
  case flapLinks = "let the leader's links flap"
  /// A server's packets are lost in bursts, to servers and clients alike.
  case losePackets = "lose packets of a server in bursts"
  /// Each packet of a server, in both directions, arrives later than it should.
  case delayPackets = "delay packets of a server"

  // Disks.
  case fillDisk = "fill the disk of a server"
  /// The server's disk loses whatever was not flushed to it, and the server with it.
  case cutPower = "cut the power of a server"
  case slowDisk = "slow the disk of a server down"
  case failWrites = "fail writes to the disk of a server"
  /// And what was not flushed is lost, as on a disk that fails.
  case failSyncs = "fail syncs of the disk of a server"
  /// In a place that is in use, of the log or of the state, while the server is down.
  case flipBit = "flip a bit on the disk of a server"
  /// A backup of a disk, as operators must not make it: the server must not go on from there.
  case setDiskBack = "put an old copy of a server's disk back"

  // Time.
  /// Forward or back, by up to a day.
  case moveClock = "move the wall clock of a server by hours"
  /// Its certificate runs out while it serves, and is renewed later.
  case expireCertificate = "let the certificate of a server expire"

  // The load balancer, and the work of operators, during which no request may fail.
  case killBalancer = "kill the load balancer"
  /// Of two load balancers with one address the one that has it: HAProxy, keepalived, or both.
  case failOver = "kill the load balancer that has the address"
  case restartRolling = "restart the servers one after the other"
  case transferLeadership = "hand leadership over"
  case changeMembership = "add a server and remove it"
  case restoreBackup = "restore an old backup beside the members"

  public var description: String { rawValue }

  /// Whether the servers must stand on machines of their own.
  public var needsMachines: Bool { facilities.contains(.machines) }

  /// What this takes of the machine that the run is on.
  public var facilities: Set<Facility> {
    switch self {
    case .killLeader, .killFollower, .killMajority, .killAll, .pauseLeader, .pauseFollower, .starveProcessor: []
    case .delayPackets: [.machines, .packetQueues]
    case .slowDisk: [.machines, .throttledDisks]
    case .failWrites, .failSyncs: [.machines, .injectedErrors]
    case .moveClock: [.machines, .movableClocks]
    case .failOver: [.machines, .balancerPairs]
    default: [.machines]
    }
  }

  /// Whether those who are left can still write.
  public var sparesMajority: Bool { self != .killMajority && self != .killAll }

  /// Whether a leader with a higher term must follow.
  public var topplesLeader: Bool {
    switch self {
    case .killLeader, .pauseLeader, .partitionLeader, .unplugLeader, .partitionOneWay, .transferLeadership: true
    default: false
    }
  }

  /// Work of operators: it excuses nothing.
  public var isPlannedWork: Bool {
    switch self {
    case .restartRolling, .transferLeadership, .changeMembership, .restoreBackup: true
    default: false
    }
  }

  /// What may happen to one server while another fault goes on, without taking a majority away.
  public var isCompanion: Bool { self == .losePackets || self == .starveProcessor || self == .killBalancer }

  /// Milliseconds that the fault lasts: shortest and longest. Chance prefers the short, as life does.
  public var lasts: ClosedRange<Int> {
    switch self {
    case .killLeader, .killFollower, .killMajority, .killAll, .killBalancer, .failOver, .cutPower, .flipBit,
      .failWrites,
      .failSyncs:
      200...2500
    case .pauseLeader, .pauseFollower: 1000...60_000
    case .restartRolling, .transferLeadership: 0...0
    case .changeMembership, .restoreBackup, .setDiskBack: 500...3000
    default: 1000...15_000
    }
  }
}
