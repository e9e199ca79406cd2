// How long nothing succeeded: gaps between successes, percentiles, and which failures a fault excuses.

import World

/// A server that was made to fail, from the fault until it served again.
public struct Outage: Sendable, Hashable {
  public var server: String
  public var from: MonotonicTime
  /// nil: not back yet.
  public var to: MonotonicTime?
  /// It was asked to leave and had time to: who comes through the load balancer must not notice.
  public var isPlanned: Bool

  public init(server: String, from: MonotonicTime, to: MonotonicTime? = nil, isPlanned: Bool = false) {
    self.server = server
    self.from = from
    self.to = to
    self.isPlanned = isPlanned
  }
}

public enum Availability {
  /// The longest time between two successes (given in order) that has any part in `window`. nil when nothing succeeded
  /// around it. A gap that reaches into the next fault is that one's, and what falls into the server's own `outages`
  /// says nothing of a survivor.
  public static func longestGap(
    _ successes: [MonotonicTime], from: MonotonicTime, to: MonotonicTime, nextFault: MonotonicTime? = nil,
    outages: [Outage] = []
  ) -> Duration? {
    let after = successes.partitioningIndex { $0 > from }
    guard after > 0, after < successes.count else { return nil }
    var longest: Duration?
    for index in after..<successes.count {
      let (begin, end) = (successes[index - 1], successes[index])
      if begin >= to || end > nextFault ?? end { break }
      if outages.contains(where: { $0.from < end && $0.to ?? end > begin }) { continue }
      longest = max(longest ?? .zero, end - begin)
    }
    return longest
  }

  /// The value below or at which `fraction` of the values lie (nearest rank). nil for none.
  public static func percentile(_ values: [Duration], _ fraction: Double) -> Duration? {
    guard !values.isEmpty else { return nil }
    let rank = Int((fraction * Double(values.count)).rounded(.up))
    return values.sorted()[max(0, min(values.count, rank) - 1)]
  }

  /// Whether an operation at `server` met an outage of that server. A fault is known to its victims a moment before it
  /// stands in the log and until clients have reconnected, hence `grace`.
  public static func excuses(
    _ outages: [Outage], server: String?, from: MonotonicTime, to: MonotonicTime, grace: Duration
  ) -> Bool {
    outages.contains { outage in
      (server == nil || outage.server == server) && outage.from <= to + grace
        && (outage.to.map { $0 + grace >= from } ?? true)
    }
  }
}

extension Array {
  /// The first index whose element satisfies `isAfter`, all following ones doing so as well.
  func partitioningIndex(_ isAfter: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
