// The settings of one server. Every one says why one would change it.

/// Settings of a `Raft` value. Times are counted in ticks; the driver decides how long a tick is.
public struct RaftOptions: Sendable, Hashable {
  /// A follower that has not heard from a leader for between one and two times this long starts an election (§5.2); a
  /// leader that has not heard from a quorum for this long steps down. Must exceed the heartbeat interval several times
  /// over, or a single late message costs an election.
  public var electionTicks: Int = 10

  /// How often a leader that has nothing else to say says that it is there.
  public var heartbeatTicks: Int = 1

  /// Ask whether an election could be won before starting one (dissertation §9.6), so that a server that was cut off
  /// does not depose a leader that works.
  public var preVote: Bool = true

  /// A leader steps down without contact to a quorum, and followers that hear from a leader ignore requests for votes
  /// (dissertation §6.2, §4.2.3).
  public var checkQuorum: Bool = true

  /// When the connection to the leader breaks, the lowest-numbered surviving voter asks for votes at once, and each next
  /// one this much later: a split vote would cost a whole election timeout, a little patience does not.
  public var disconnectStaggerTicks: Int = 2

  /// Most entry bytes in one AppendEntries message. One entry is always sent, however large it is.
  public var maxEntriesBytesPerMessage: Int = 1 << 20

  /// Most entry bytes sent to one follower and not yet acknowledged: bandwidth times round trip, with room for the
  /// follower's disk.
  public var maxInflightBytes: Int = 8 << 20

  /// Most AppendEntries messages sent to one follower and not yet acknowledged.
  public var maxInflightMessages: Int = 256

  /// Most bytes of proposals that are not yet committed. Beyond it `propose` fails with `.overloaded`, so that a group
  /// without a quorum does not fill the leader's memory.
  public var maxUncommittedBytes: Int = 64 << 20

  /// Most bytes of committed entries in one output, so that catching up does not hold the driver's loop for long.
  public var maxCommittedBytesPerOutput: Int = 4 << 20

  /// Most reads that wait for confirmation at one server; beyond it `readIndex` fails with `.overloaded`.
  public var maxPendingReads: Int = 16_384

  /// Rounds of heartbeats for reads that a leader starts without waiting for the answers to earlier ones. Reads that come
  /// while this many are under way share the next one.
  public var maxReadRoundsInFlight: Int = 4

  /// Whether a committed entry may be handed out before it is on this server's own disk (dissertation §10.2.1: a quorum of
  /// others suffices). Hides a stall of the leader's disk from its clients. The driver must then not let what it derives
  /// from entries become durable beyond `durableIndex`.
  public var emitsCommittedBeforeDurable: Bool = false

  /// Where the random election timeouts and this start's read ids come from. Must be fresh at every start of a server
  /// (random in production, derived from the run's seed in simulation).
  public var seed: UInt64

  public init(seed: UInt64) { self.seed = seed }
}
