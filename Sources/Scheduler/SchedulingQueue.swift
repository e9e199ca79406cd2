// Pods that wait to be scheduled, as a value: active, backing off, unschedulable (spec/6 §6.4).
import Client
import World

struct SchedulingQueue: Sendable {
  struct Entry: Sendable {
    var pod: Pod
    var attempts = 0
    var queuedAt: MonotonicTime
    var sequence: UInt64
    /// The cluster's generation when the last attempt failed: any later change may help.
    var triedAtGeneration: UInt64 = 0
  }

  /// 1 s doubling to 10 s; pods left unschedulable for five minutes are tried again whatever happened (spec/6 §6.3).
  private static let firstBackoff = Duration.seconds(1)
  private static let lastBackoff = Duration.seconds(10)
  private static let flushAfter = Duration.seconds(300)

  private var active: [Entry] = []
  private var isSorted = true
  private var backoff: [String: (entry: Entry, until: MonotonicTime)] = [:]
  private var unschedulable: [String: (entry: Entry, since: MonotonicTime)] = [:]
  private var sequence: UInt64 = 0
  /// Uids in any of the three.
  private var known: Set<String> = []

  var activeCount: Int { active.count }
  var pendingCount: Int { known.count }

  /// A pending pod was seen, or changed in a way that may matter.
  mutating func add(_ pod: Pod, now: MonotonicTime) {
    let uid = pod.metadata.uid
    if known.contains(uid) {
      if let index = active.firstIndex(where: { $0.pod.metadata.uid == uid }) {
        active[index].pod = pod
      } else if var waiting = backoff[uid] {
        waiting.entry.pod = pod
        backoff[uid] = waiting
      } else if var entry = unschedulable.removeValue(forKey: uid)?.entry {
        entry.pod = pod
        push(entry)
      }
      return
    }
    known.insert(uid)
    sequence += 1
    push(Entry(pod: pod, queuedAt: now, sequence: sequence))
  }

  mutating func remove(uid: String) {
    guard known.remove(uid) != nil else { return }
    active.removeAll { $0.pod.metadata.uid == uid }
    backoff[uid] = nil
    unschedulable[uid] = nil
  }

  /// The pod to try next: highest priority, then longest in the queue.
  mutating func pop() -> Entry? {
    if !isSorted {
      active.sort { left, right in
        if left.pod.spec.priority != right.pod.spec.priority { return left.pod.spec.priority < right.pod.spec.priority }
        return left.sequence > right.sequence
      }
      isSorted = true
    }
    guard var entry = active.popLast() else { return nil }
    known.remove(entry.pod.metadata.uid)
    entry.attempts += 1
    return entry
  }

  /// An attempt failed for want of a place. `generation`: the cluster's, when the attempt began; if it has moved on
  /// since, the pod is tried again after its back-off, else when something changes.
  mutating func failed(_ entry: Entry, generation: UInt64, current: UInt64, now: MonotonicTime) {
    let uid = entry.pod.metadata.uid
    guard known.insert(uid).inserted else { return }
    var entry = entry
    entry.triedAtGeneration = generation
    if current > generation {
      backoff[uid] = (entry, now + Self.backoff(entry.attempts))
    } else {
      unschedulable[uid] = (entry, now)
    }
  }

  /// Something changed that may make room: unschedulable pods wait out their back-off and are tried again.
  mutating func clusterChanged(now: MonotonicTime) {
    for (uid, waiting) in unschedulable {
      let until = waiting.since + Self.backoff(waiting.entry.attempts)
      if until <= now { push(waiting.entry) } else { backoff[uid] = (waiting.entry, until) }
    }
    unschedulable.removeAll()
  }

  /// Moves what has waited long enough. Returns when to call again, nil when nothing waits.
  mutating func flush(now: MonotonicTime) -> MonotonicTime? {
    for (uid, waiting) in backoff where waiting.until <= now {
      backoff[uid] = nil
      push(waiting.entry)
    }
    for (uid, waiting) in unschedulable where now - waiting.since >= Self.flushAfter {
      unschedulable[uid] = nil
      push(waiting.entry)
    }
    let next = backoff.values.map(\.until) + unschedulable.values.map { $0.since + Self.flushAfter }
    return next.min()
  }

  private mutating func push(_ entry: Entry) {
    active.append(entry)
    isSorted = active.count == 1
  }

  static func backoff(_ attempts: Int) -> Duration {
    min(firstBackoff * (1 << min(max(0, attempts - 1), 10)), lastBackoff)
  }
}
