// How long a job waits after failures before it makes another pod (spec/5 §5.5): 10 s, doubling to 10 min, until one
// succeeds. Kept in memory, as Kubernetes does: who takes over begins anew.
import Client
import JSON
import World

struct JobBackoff: Hashable {
  static let first = Duration.seconds(10)
  static let last = Duration.seconds(600)

  /// Failures since the last success.
  private(set) var failures = 0
  private(set) var lastFailure: WallTime?

  /// Takes in pods that ended and were not known to have.
  mutating func observe(succeeded: [Pod], failed: [Pod]) {
    let failedAt = failed.map(\.finishTime)
    if let success = succeeded.map(\.finishTime).max() {
      failures = failedAt.count { $0 >= success }
    } else {
      failures += failedAt.count
    }
    if failures == 0 { lastFailure = nil } else { lastFailure = failedAt.max() ?? lastFailure }
  }

  /// What is left of the wait.
  func remaining(at now: WallTime) -> Duration {
    lastFailure.map { Self.remaining(failures: failures, last: $0, now: now) } ?? .zero
  }

  /// What is left of the wait after so many failures, the last of them then.
  static func remaining(failures: Int, last: WallTime, now: WallTime) -> Duration {
    guard failures > 0 else { return .zero }
    // Ten minutes are reached after seven; the bound keeps the shift in its width.
    let backoff = min(first * (1 << min(failures - 1, 16)), Self.last)
    return max(backoff - (now - last), .zero)
  }
}

extension Pod {
  /// When the pod ended: as its last container did, or when it stopped being ready, or when it was told to go.
  var finishTime: WallTime {
    let ends = status.containerStatuses.map { $0["state"]["terminated"]["finishedAt"].time }
    if !ends.isEmpty, !ends.contains(nil), let last = ends.compactMap({ $0 }).max() { return last }
    if let ready = status.condition("Ready"), ready.status == "False", let time = ready.lastTransitionTime {
      return time
    }
    if let deletion = metadata.deletionTimestamp {
      return deletion + .seconds(-(metadata.deletionGracePeriodSeconds ?? 0))
    }
    return metadata.creationTimestamp ?? WallTime(secondsSinceEpoch: 0)
  }
}
