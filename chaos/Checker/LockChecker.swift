// Leases as locks: at most one holder at a time, and writes fenced by the transition count never by a deposed one.

import World

/// A stretch of time in which a client believed that it held the lock.
public struct LockHold: Sendable, Hashable, CustomStringConvertible {
  public var holder: String
  /// The lease's transition count: the fence.
  public var token: UInt64
  public var from: MonotonicTime
  /// nil: to the end of the run.
  public var to: MonotonicTime?

  public init(holder: String, token: UInt64, from: MonotonicTime, to: MonotonicTime?) {
    self.holder = holder
    self.token = token
    self.from = from
    self.to = to
  }

  public var description: String {
    "\(holder) with \(token), \(from.nanoseconds / 1_000_000)–\(to.map { "\($0.nanoseconds / 1_000_000)" } ?? "…") ms"
  }
}

/// A write that was committed under a fence.
public struct FencedWrite: Sendable, Hashable, CustomStringConvertible {
  public var holder: String
  public var token: UInt64
  public var revision: Int64

  public init(holder: String, token: UInt64, revision: Int64) {
    self.holder = holder
    self.token = token
    self.revision = revision
  }

  public var description: String { "\(holder) with \(token) at \(revision)" }
}

public enum LockChecker {
  /// `exclusive`: whether beliefs must not overlap in time (clients whose clocks tick alike), or only writes count.
  public static func check(holds: [LockHold], writes: [FencedWrite], exclusive: Bool = true) -> [Anomaly] {
    (exclusive ? overlaps(holds) : []) + tokens(holds) + deposed(writes)
  }

  private static func overlaps(_ holds: [LockHold]) -> [Anomaly] {
    let ordered = holds.sorted { $0.from < $1.from }
    var anomalies: [Anomaly] = []
    var latest: LockHold?
    for hold in ordered {
      if let latest, latest.to.map({ $0 > hold.from }) ?? true {
        anomalies.append(Anomaly("two held the lock at once", evidence: ["\(latest)", "\(hold)"]))
      }
      if let end = latest?.to, let to = hold.to, to < end { continue }
      latest = hold
    }
    return anomalies
  }

  /// A fence belongs to one reign.
  private static func tokens(_ holds: [LockHold]) -> [Anomaly] {
    Dictionary(grouping: holds, by: \.token).sorted { $0.key < $1.key }.compactMap { token, holds in
      guard Set(holds.map(\.holder)).count > 1 else { return nil }
      return Anomaly("two holders had the fence \(token)", evidence: holds.map { "\($0)" })
    }
  }

  /// In the order of revisions, fences never fall.
  private static func deposed(_ writes: [FencedWrite]) -> [Anomaly] {
    var anomalies: [Anomaly] = []
    var highest: FencedWrite?
    for write in writes.sorted(by: { $0.revision < $1.revision }) {
      if let highest, write.token < highest.token {
        anomalies.append(Anomaly("a deposed holder wrote", evidence: ["\(highest)", "\(write)"]))
      } else {
        highest = write
      }
    }
    return anomalies
  }
}
