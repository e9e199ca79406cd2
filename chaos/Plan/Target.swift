// Whom a fault hits: decided from who leads and a number that was drawn, without asking anybody.

/// An end of a link.
public enum Place: Sendable, Hashable {
  /// By its index among the servers.
  case server(Int)
  /// Where clients, nodes and the load balancer are.
  case hub
}

/// Packets from one place to another vanish.
public struct Cut: Sendable, Hashable {
  public var from: Place
  public var to: Place

  public init(from: Place, to: Place) {
    self.from = from
    self.to = to
  }
}

public struct Target: Sendable, Hashable {
  /// Servers that the fault hits, ascending; the others survive.
  public var victims: [Int]
  public var cuts: Set<Cut>

  public init(victims: [Int] = [], cuts: Set<Cut> = []) {
    self.victims = victims.sorted()
    self.cuts = cuts
  }
}

extension Fault {
  /// Whom the fault hits among `servers` servers of which `leader` leads; `choice` decides what is open.
  public func target(leader: Int, servers: Int, choice: UInt64) -> Target {
    precondition(servers > 0 && (0..<servers).contains(leader), "a leader among the servers")
    let all = Array(0..<servers)
    let others = all.filter { $0 != leader }
    let anyone = Int(choice % UInt64(servers))
    let follower = others.isEmpty ? leader : others[Int(choice % UInt64(others.count))]
    /// So many, in a row that begins at chance.
    func some(_ count: Int) -> [Int] { (0..<count).map { (anyone + $0) % servers } }
    switch self {
    case .killLeader, .pauseLeader: return Target(victims: [leader])
    case .killFollower, .pauseFollower: return Target(victims: [follower])
    case .killMajority: return Target(victims: some(servers / 2 + 1))
    case .killAll: return Target(victims: all)
    case .starveProcessor, .fillDisk, .cutPower, .slowDisk, .failWrites, .failSyncs, .flipBit, .setDiskBack, .moveClock,
      .expireCertificate, .delayPackets:
      return Target(victims: [anyone])
    case .losePackets:
      return Target(
        victims: [anyone],
        cuts: Self.between([anyone], all.filter { $0 != anyone })
          .union([Cut(from: .server(anyone), to: .hub)]))
    case .partitionLeader, .flapLinks: return Target(victims: [leader], cuts: Self.between([leader], others))
    case .unplugLeader:
      return Target(
        victims: [leader], cuts: Self.between([leader], others).union([Cut(from: .server(leader), to: .hub)]))
    case .partitionMinority:
      let minority = some(max(1, (servers - 1) / 2))
      return Target(victims: minority, cuts: Self.between(minority, all.filter { !minority.contains($0) }))
    case .partitionOneWay:
      let isMute = choice % 2 == 0
      let cuts = others.map { other in
        Cut(from: .server(isMute ? leader : other), to: .server(isMute ? other : leader))
      }
      return Target(victims: [leader], cuts: Set(cuts))
    case .partitionBridge:
      // The leader's group keeps the majority, for the server between them belongs to both.
      let rest = others.filter { $0 != follower }
      let far = Array(rest.prefix((servers - 1) / 2))
      let near = [leader] + rest.dropFirst(far.count)
      return Target(victims: far, cuts: Self.between(near, far))
    case .killBalancer, .failOver, .restartRolling, .changeMembership, .restoreBackup, .transferLeadership:
      return Target()
    }
  }

  /// To whom leadership is handed over.
  public static func successor(leader: Int, servers: Int, choice: UInt64) -> Int {
    let others = (0..<servers).filter { $0 != leader }
    return others[Int(choice % UInt64(others.count))]
  }

  /// Both directions.
  private static func between(_ left: [Int], _ right: [Int]) -> Set<Cut> {
    var cuts: Set<Cut> = []
    for one in left {
      for other in right {
        cuts.insert(Cut(from: .server(one), to: .server(other)))
        cuts.insert(Cut(from: .server(other), to: .server(one)))
      }
    }
    return cuts
  }
}
