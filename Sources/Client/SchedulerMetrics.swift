// The metrics of a scheduler, under the names by which dashboards and alerts for Kubernetes ask.
import Synchronization
import World

/// What a scheduler counts. Any thread.
public final class SchedulerMetrics: Sendable {
  /// What a scheduler can say of itself now.
  public struct Snapshot: Sendable {
    /// Pods by where they wait: active, backoff, unschedulable, gated.
    public var pending: [String: Int]
    /// What it knows: nodes, pods, assumed_pods.
    public var known: [String: Int]
    /// How often pods came to a queue since it began, and why.
    public var arrivals: [Arrival: Int]

    public init(pending: [String: Int] = [:], known: [String: Int] = [:], arrivals: [Arrival: Int] = [:]) {
      self.pending = pending
      self.known = known
      self.arrivals = arrivals
    }
  }

  /// A way into a queue of the scheduler.
  public struct Arrival: Hashable, Sendable {
    public var queue: String
    public var event: String

    public init(queue: String, event: String) {
      self.queue = queue
      self.event = event
    }
  }

  /// 1 ms doubling to 16 s, as the reference has them.
  private static let attemptBounds: [Double] = (0..<15).map { 0.001 * Double(1 << $0) }
  /// 10 ms doubling to an hour and a half.
  private static let serviceBounds: [Double] = (0..<20).map { 0.01 * Double(1 << $0) }
  /// More attempts than these are counted together.
  private static let attemptsMaximum = 15

  private let attempts = MetricFamily(
    "scheduler_schedule_attempts_total", .counter, help: "Attempts to place a pod, by what became of them.",
    labels: ["profile", "result"])
  private let attemptDurations = HistogramFamily(
    "scheduler_scheduling_attempt_duration_seconds", help: "Time of an attempt: decision and binding.",
    labels: ["profile", "result"], bounds: attemptBounds)
  private let decisions = HistogramFamily(
    "scheduler_scheduling_algorithm_duration_seconds", help: "Time of a decision.", bounds: attemptBounds)
  private let serviceDurations = HistogramFamily(
    "scheduler_pod_scheduling_sli_duration_seconds",
    help: "Time from when a pod came into the queue until it was bound, by the attempts it took.",
    labels: ["attempts"], bounds: serviceBounds)
  private let attemptsOfPods = HistogramFamily(
    "scheduler_pod_scheduling_attempts", help: "Attempts that pods took to be bound.", bounds: [1, 2, 4, 8, 16])
  private let preemptions = MetricFamily(
    "scheduler_preemption_attempts_total", .counter, help: "Attempts to make room for a pod.")
  private let victims = HistogramFamily(
    "scheduler_preemption_victims", help: "Pods that go at once for another.", bounds: [1, 2, 4, 8, 16, 32, 64])
  private let pendingPods = MetricFamily(
    "scheduler_pending_pods", .gauge, help: "Pods that wait for a node, by where they wait.", labels: ["queue"])
  private let incoming = MetricFamily(
    "scheduler_queue_incoming_pods_total", .counter, help: "Pods that came to a queue, by what brought them.",
    labels: ["queue", "event"])
  private let cache = MetricFamily(
    "scheduler_scheduler_cache_size", .gauge, help: "Nodes and pods that the scheduler knows.", labels: ["type"])

  private let probe = Mutex<(@Sendable () -> Snapshot?)?>(nil)

  /// `result`: "scheduled", "unschedulable" or "error".
  public func attempted(_ profile: String, _ result: String, took: Duration) {
    attempts.add(1, [profile, result])
    attemptDurations.observe(took.inSeconds, [profile, result])
  }

  public func decided(took: Duration) { decisions.observe(took.inSeconds) }

  /// `waited`: since it came into the queue first.
  public func bound(attempts: Int, waited: Duration) {
    let label = attempts > Self.attemptsMaximum ? "\(Self.attemptsMaximum)+" : "\(attempts)"
    serviceDurations.observe(waited.inSeconds, [label])
    attemptsOfPods.observe(Double(attempts))
  }

  public func triedToPreempt() { preemptions.add() }
  public func preempted(victims count: Int) { victims.observe(Double(count)) }

  /// `snapshot`: asked at every look; nil once the scheduler has ended.
  public func measure(_ snapshot: @escaping @Sendable () -> Snapshot?) {
    probe.withLock { $0 = snapshot }
    // What alerts compare with is there before the first event.
    preemptions.add(0)
    for histogram in [victims, decisions, attemptsOfPods] { _ = histogram.series([]) }
  }

  func render(to out: inout String) {
    let now = probe.withLock { $0 }?() ?? Snapshot()
    for family in [pendingPods, cache] { family.clear() }
    for (queue, count) in now.pending { pendingPods.set(Double(count), [queue]) }
    for (type, count) in now.known { cache.set(Double(count), [type]) }
    for (arrival, count) in now.arrivals { incoming.set(Double(count), [arrival.queue, arrival.event]) }
    for family in [attempts, preemptions, pendingPods, incoming, cache] { family.render(to: &out) }
    for histogram in [attemptDurations, decisions, serviceDurations, attemptsOfPods, victims] {
      histogram.render(to: &out)
    }
  }
}
