// Pods that wait to be scheduled, as a value: active, backing off, unschedulable (spec/6 §6.4).
import Client
import World

/// What happened to the cluster, and what can make a refused pod fit.
struct ClusterChange: OptionSet, Hashable, Sendable {
  let rawValue: Int
  /// A node came, or changed in a way that concerns scheduling.
  static let nodes = Self(rawValue: 1)
  /// A pod was placed: others may want to be near it, or even out with it.
  static let podPlaced = Self(rawValue: 2)
  /// A pod went: there is room, and one less to keep away from.
  static let podRemoved = Self(rawValue: 4)
  /// A volume, a claim or a storage class changed.
  static let volumes = Self(rawValue: 8)

  /// As the reference's metrics call what happened.
  fileprivate var event: String {
    if contains(.nodes) { return "NodeAdd" }
    if contains(.podRemoved) { return "AssignedPodDelete" }
    return contains(.podPlaced) ? "AssignedPodAdd" : "PersistentVolumeAdd"
  }
}

struct SchedulingQueue: Sendable {
  struct Entry: Sendable {
    var pod: Pod
    var attempts = 0
    /// When it came.
    var since = MonotonicTime(nanoseconds: 0)
    /// The changes after which the last refusals may not hold.
    var cures: ClusterChange = []
    /// Pods whose coming may help: those that it wants near, or that it is to be even with. Nil: any.
    var awaited: [PodMatcher]?

    /// Whether a change may make the pod fit (kube-scheduler's queueing hints).
    func isHelped(by change: ClusterChange, _ pod: PlacedPod?) -> Bool {
      let hits = cures.intersection(change)
      guard hits == .podPlaced, let pod, let awaited else { return !hits.isEmpty }
      return awaited.contains { $0.matches(namespace: pod.key.namespace, labels: pod.labels) }
    }
  }

  /// Pods left unschedulable for five minutes are tried again whatever happened (spec/6 §6.3).
  private static let flushAfter = Duration.seconds(300)

  private let firstBackoff: Duration
  private let lastBackoff: Duration
  private var active: [String: (entry: Entry, ticket: UInt64)] = [:]
  /// Who is next; tickets of entries that left `active` are dropped when they come up.
  private var tickets = TicketHeap()
  private var backoff: [String: (entry: Entry, until: MonotonicTime)] = [:]
  private var unschedulable: [String: (entry: Entry, since: MonotonicTime)] = [:]
  private var lastTicket: UInt64 = 0
  /// All that unschedulable pods wait for, and maybe more: most changes help nobody.
  private var awaited: ClusterChange = []
  /// No entry of `backoff` or `unschedulable` is due before: when `flush` should be called.
  private(set) var due: MonotonicTime?

  /// How long a refused pod waits before it is tried again, doubling with every attempt (spec/6 §6.3).
  init(firstBackoff: Duration = .seconds(1), lastBackoff: Duration = .seconds(10)) {
    self.firstBackoff = firstBackoff
    self.lastBackoff = lastBackoff
  }

  /// Who came where, and why, since the beginning.
  private(set) var arrivals: [SchedulerMetrics.Arrival: Int] = [:]

  var activeCount: Int { active.count }
  /// Under the names of the reference's metric.
  var counts: [String: Int] {
    ["active": active.count, "backoff": backoff.count, "unschedulable": unschedulable.count]
  }
  var pendingCount: Int { active.count + backoff.count + unschedulable.count }

  /// A pending pod was seen, or changed in a way that may matter to where it fits.
  mutating func add(_ pod: Pod, now: MonotonicTime) {
    let uid = pod.metadata.uid
    if refresh(pod) {
      if let waiting = unschedulable.removeValue(forKey: uid) { push(waiting.entry, because: "UnschedulablePodUpdate") }
    } else {
      push(Entry(pod: pod, since: now), because: "UnschedulablePodAdd")
    }
  }

  /// Replaces the pod where it waits, without another turn. False when it does not wait here.
  @discardableResult
  mutating func refresh(_ pod: Pod) -> Bool {
    let uid = pod.metadata.uid
    if active[uid] != nil {
      active[uid]?.entry.pod = pod
    } else if backoff[uid] != nil {
      backoff[uid]?.entry.pod = pod
    } else if unschedulable[uid] != nil {
      unschedulable[uid]?.entry.pod = pod
    } else {
      return false
    }
    return true
  }

  mutating func remove(uid: String) {
    active[uid] = nil
    backoff[uid] = nil
    unschedulable[uid] = nil
  }

  /// Takes out a pod that waits for a change. False when it does not.
  mutating func takeBack(uid: String) -> Bool { unschedulable.removeValue(forKey: uid) != nil }

  /// The pod to try next: highest priority, then longest in the queue.
  mutating func pop() -> Entry? {
    while let next = tickets.pop() {
      guard let waiting = active[next.uid], waiting.ticket == next.number else { continue }
      active[next.uid] = nil
      var entry = waiting.entry
      entry.attempts += 1
      return entry
    }
    return nil
  }

  /// No node would do: the pod waits for one of the changes that its entry names.
  mutating func refused(_ entry: Entry, now: MonotonicTime) {
    unschedulable[entry.pod.metadata.uid] = (entry, now)
    awaited.formUnion(entry.cures)
    arrived(in: "unschedulable", because: Self.failure)
    expect(now + Self.flushAfter)
  }

  /// Something else went wrong: the pod is tried again after its back-off.
  mutating func retryLater(_ entry: Entry, now: MonotonicTime) {
    let until = now + backoff(entry.attempts)
    backoff[entry.pod.metadata.uid] = (entry, until)
    arrived(in: "backoff", because: Self.failure)
    expect(until)
  }

  /// Pods that this may help wait out their back-off and are tried again. `pod`: the one that came or went.
  mutating func changed(_ change: ClusterChange, pod: PlacedPod? = nil, now: MonotonicTime) {
    guard !awaited.isDisjoint(with: change) else { return }
    let helped = unschedulable.filter { $0.value.entry.isHelped(by: change, pod) }
    guard !helped.isEmpty else { return }
    for (uid, waiting) in helped.sorted(by: { ($0.value.since, $0.key) < ($1.value.since, $1.key) }) {
      unschedulable[uid] = nil
      let until = waiting.since + backoff(waiting.entry.attempts)
      if until <= now {
        push(waiting.entry, because: change.event)
      } else {
        backoff[uid] = (waiting.entry, until)
        arrived(in: "backoff", because: change.event)
        expect(until)
      }
    }
    awaited = unschedulable.values.reduce([]) { $0.union($1.entry.cures) }
  }

  /// Moves what has waited long enough.
  mutating func flush(now: MonotonicTime) {
    guard let due, due <= now else { return }
    let rested = backoff.filter { $0.value.until <= now }
    for (uid, waiting) in rested.sorted(by: { ($0.value.until, $0.key) < ($1.value.until, $1.key) }) {
      backoff[uid] = nil
      push(waiting.entry, because: "BackoffComplete")
    }
    let forgotten = unschedulable.filter { $0.value.since + Self.flushAfter <= now }
    for (uid, waiting) in forgotten.sorted(by: { ($0.value.since, $0.key) < ($1.value.since, $1.key) }) {
      unschedulable[uid] = nil
      push(waiting.entry, because: "UnschedulableTimeout")
    }
    let next = [
      backoff.values.lazy.map(\.until).min(), unschedulable.values.lazy.map(\.since).min().map { $0 + Self.flushAfter },
    ]
    self.due = next.compactMap { $0 }.min()
  }

  private mutating func expect(_ time: MonotonicTime) { due = due.map { min($0, time) } ?? time }

  private static let failure = "ScheduleAttemptFailure"

  private mutating func arrived(in queue: String, because event: String) {
    arrivals[SchedulerMetrics.Arrival(queue: queue, event: event), default: 0] += 1
  }

  private mutating func push(_ entry: Entry, because event: String) {
    arrived(in: "active", because: event)
    lastTicket += 1
    let uid = entry.pod.metadata.uid
    active[uid] = (entry, lastTicket)
    tickets.push(Ticket(priority: entry.pod.spec.priority, number: lastTicket, uid: uid))
  }

  func backoff(_ attempts: Int) -> Duration {
    min(firstBackoff * (1 << min(max(0, attempts - 1), 10)), lastBackoff)
  }
}

/// A place in the line.
private struct Ticket: Sendable {
  var priority: Int64
  var number: UInt64
  var uid: String

  func comesBefore(_ other: Ticket) -> Bool {
    priority == other.priority ? number < other.number : priority > other.priority
  }
}

/// A binary heap: the ticket that comes first is at the top.
private struct TicketHeap: Sendable {
  private var items: [Ticket] = []

  mutating func push(_ ticket: Ticket) {
    items.append(ticket)
    var child = items.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard items[child].comesBefore(items[parent]) else { return }
      items.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> Ticket? {
    guard let first = items.first else { return nil }
    let last = items.removeLast()
    guard !items.isEmpty else { return first }
    items[0] = last
    var parent = 0
    while true {
      var next = parent
      for child in [parent * 2 + 1, parent * 2 + 2] where child < items.count && items[child].comesBefore(items[next]) {
        next = child
      }
      guard next != parent else { return first }
      items.swapAt(next, parent)
      parent = next
    }
  }
}
