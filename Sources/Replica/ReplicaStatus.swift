// What a replica tells others of itself: for /readyz, /metrics, `trireme status`, and those who act on leadership.

import Raft
import Storage

/// Who leads, as this server knows it.
public struct ReplicaLeadership: Sendable, Hashable {
  public var term: Term
  public var role: Role
  public var leader: NodeID?

  /// Whether this server is the leader.
  public var isLeader: Bool { role == .leader }
}

/// A member as this server sees it.
public struct MemberStatus: Sendable, Hashable {
  public var member: Member
  public var isVoter: Bool
  public var isSelf: Bool
  /// A connection to it stands.
  public var isConnected: Bool
  /// Milliseconds since its last word; nil if there was none.
  public var silentMilliseconds: Int64?
  /// Leader only: how far its log is known to go, and how many entries that is behind.
  public var matchIndex: LogIndex?
  public var lag: UInt64?
  public var role = MemberRole.voter
  /// Somebody with another disk speaks under its id: its disk was wiped or replaced.
  public var isForeign = false
  /// What a commit of its log takes at present, in seconds; nil if it has not said.
  public var commitSeconds: Double?
  /// The way there and back, in seconds; nil for this server and where it is not known.
  public var roundTripSeconds: Double?
  /// Leader only: it is being sent a snapshot.
  public var isReceivingSnapshot = false
}

/// How long commits of the log took: counts by upper bound, as a histogram of Prometheus has them.
public struct LatencyHistogram: Sendable, Hashable {
  /// Upper bounds in seconds; a last bucket beyond them has none.
  public static let bounds: [Double] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
  ]
  /// Observations per bucket, not cumulated; one more than there are bounds.
  public private(set) var counts = [UInt64](repeating: 0, count: bounds.count + 1)
  public private(set) var count: UInt64 = 0
  public private(set) var sum: Double = 0

  public init() {}

  /// The upper bound in seconds under which this share of the observations lies; nil without any, infinite where only
  /// the last bucket holds it.
  public func quantile(_ share: Double) -> Double? {
    guard count > 0 else { return nil }
    let wanted = UInt64((Double(count) * share).rounded(.up))
    var seen: UInt64 = 0
    for (bucket, observed) in counts.enumerated() {
      seen += observed
      if seen >= max(1, wanted) { return bucket < Self.bounds.count ? Self.bounds[bucket] : .infinity }
    }
    return .infinity
  }

  mutating func observe(_ seconds: Double) {
    counts[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
    count += 1
    sum += seconds
  }
}

/// A replica at one moment, at most a tenth of a second old.
public struct ReplicaStatus: Sendable {
  public var cluster: String
  public var node: NodeID
  public var leadership: ReplicaLeadership
  public var members: [MemberStatus] = []
  public var commitIndex: LogIndex = 0
  public var appliedIndex: LogIndex = 0
  public var firstLogIndex: LogIndex = 0
  public var lastLogIndex: LogIndex = 0
  /// Through where the log is on this server's disk, and the state.
  public var durableLogIndex: LogIndex = 0
  public var durableStateIndex: LogIndex = 0
  public var revision: Revision = 0
  public var stateHash: UInt64 = 0
  public var objects = 0
  public var watches = 0
  /// Commands and reads of this server's clients that wait.
  public var pendingProposals = 0
  public var pendingReads = 0
  public var fsync = LatencyHistogram()
  /// Seconds; the last commit of the log, its fsync included.
  public var lastFsyncSeconds: Double = 0
  public var proposalsTotal: UInt64 = 0
  public var forwardedTotal: UInt64 = 0
  public var appliedTotal: UInt64 = 0
  public var leaderChangesTotal: UInt64 = 0
  public var snapshotsSentTotal: UInt64 = 0
  public var snapshotsInstalledTotal: UInt64 = 0
  /// Of those sent, the ones that went on from what the receiver held already.
  public var snapshotsResumedTotal: UInt64 = 0
  /// Times that the whole state in memory was looked over and found in order.
  public var scrubsTotal: UInt64 = 0
  /// Entries and rows that were found rotten on the disk while it was in use, and written again from memory.
  public var rewrittenTotal: UInt64 = 0
  /// Repairs of this server's disk that were completed.
  public var repairsTotal: UInt64 = 0
  /// Set while this server's disk is repaired from its peers: it takes no part in elections and serves nothing.
  public var repair: RepairStatus?
  /// Set when this server's group was recovered by force without it, and it stopped therefore: see `Recovery.rejoin`.
  public var supersededBy: RecoveryPoint?
  /// This server was removed from the group.
  public var isRemoved = false
  /// This server has not been sent a configuration yet: it waits to be added.
  public var isJoining: Bool { members.isEmpty }
  /// There is no room on this server's disk.
  public var isDiskFull = false
  /// Why the replica stopped, if it did.
  public var stopped: String?

  /// A leader is known, and this server has applied what it knows to be committed: it can serve.
  public var isReady: Bool {
    stopped == nil && leadership.leader != nil && appliedIndex >= commitIndex && commitIndex > 0
  }

  /// Whether a majority of the voters, this server among them, has been heard from within the last second: while it is
  /// so, an election will soon have a winner; while it is not, this server can do nothing for its clients.
  public var reachesMajority: Bool {
    let voters = members.filter(\.isVoter)
    let heard = voters.filter {
      $0.isSelf || $0.isConnected && ($0.silentMilliseconds ?? .max) <= Self.silenceOfReachable
    }
    return heard.count > voters.count / 2
  }
  /// Milliseconds; elections have every server speak several times a second.
  private static let silenceOfReachable: Int64 = 1000

  /// Voters that may still be lost before writes stop.
  public var tolerableLosses: Int {
    let voters = members.filter(\.isVoter)
    let alive = voters.filter { $0.isSelf || $0.isConnected }.count
    return max(0, alive - (voters.count / 2 + 1))
  }
}
