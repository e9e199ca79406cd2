// The metrics of control loops, under the names by which dashboards and alerts for Kubernetes ask: work queues as client-go
// counts them, and the scheduler's.
import Synchronization
import World

/// What the loops of one process count. Any thread.
public final class LoopMetrics: Sendable {
  /// What a queue can say of itself now.
  struct QueueState: Sendable {
    var depth = 0
    /// Seconds, of all keys being worked on together and of the one that takes longest.
    var unfinished = 0.0
    var longest = 0.0
  }

  /// The bounds of the reference: 10 ns to 1000 s.
  private static let queueBounds: [Double] = (0..<12).reduce(into: []) { bounds, _ in
    bounds.append((bounds.last ?? 1e-9) * 10)
  }
  /// 1 ms doubling to 16 s, as the reference's scheduler has them.
  private static let attemptBounds: [Double] = (0..<15).map { 0.001 * Double(1 << $0) }

  private let depth = MetricFamily(
    "workqueue_depth", .gauge, help: "Keys that wait to be worked on.", labels: ["name"])
  private let adds = MetricFamily(
    "workqueue_adds_total", .counter, help: "Keys that were added.", labels: ["name"])
  private let retries = MetricFamily(
    "workqueue_retries_total", .counter, help: "Keys that were added again after a failure.", labels: ["name"])
  private let waits = HistogramFamily(
    "workqueue_queue_duration_seconds", help: "Time that keys waited.", labels: ["name"], bounds: queueBounds)
  private let work = HistogramFamily(
    "workqueue_work_duration_seconds", help: "Time that keys were worked on.", labels: ["name"], bounds: queueBounds)
  private let unfinished = MetricFamily(
    "workqueue_unfinished_work_seconds", .gauge, help: "Time spent so far on keys that are being worked on.",
    labels: ["name"])
  private let longest = MetricFamily(
    "workqueue_longest_running_processor_seconds", .gauge, help: "Time spent so far on the key that takes longest.",
    labels: ["name"])

  private let attempts = MetricFamily(
    "scheduler_schedule_attempts_total", .counter, help: "Attempts to place a pod, by what became of them.",
    labels: ["profile", "result"])
  private let attemptDurations = HistogramFamily(
    "scheduler_scheduling_attempt_duration_seconds", help: "Time of an attempt: decision and binding.",
    labels: ["profile", "result"], bounds: attemptBounds)
  private let pendingPods = MetricFamily(
    "scheduler_pending_pods", .gauge, help: "Pods that wait for a node, by where they wait.", labels: ["queue"])

  private struct Probes {
    var queues: [String: @Sendable () -> QueueState?] = [:]
    var pendingPods: (@Sendable () -> [String: Int])?
  }
  private let probes = Mutex(Probes())

  public init() {}

  // MARK: Queues

  func register(_ name: String, _ probe: @escaping @Sendable () -> QueueState?) {
    probes.withLock { $0.queues[name] = probe }
  }
  func added(_ name: String) { adds.add(1, [name]) }
  func retried(_ name: String) { retries.add(1, [name]) }
  func began(_ name: String, waited: Duration) { waits.observe(waited.inSeconds, [name]) }
  func ended(_ name: String, worked: Duration) { work.observe(worked.inSeconds, [name]) }

  // MARK: The scheduler

  /// `result`: "scheduled", "unschedulable" or "error".
  public func attempted(_ profile: String, _ result: String, took: Duration) {
    attempts.add(1, [profile, result])
    attemptDurations.observe(took.inSeconds, [profile, result])
  }

  /// `counts`: pods by queue: active, backoff, unschedulable, gated. nil when the scheduler has ended.
  public func measurePendingPods(_ counts: (@Sendable () -> [String: Int])?) {
    probes.withLock { $0.pendingPods = counts }
  }

  // MARK: Text

  public func render() -> String {
    let now = probes.withLock { $0 }
    for family in [depth, unfinished, longest, pendingPods] { family.clear() }
    for (name, probe) in now.queues {
      let state = probe() ?? QueueState()
      depth.set(Double(state.depth), [name])
      unfinished.set(state.unfinished, [name])
      longest.set(state.longest, [name])
    }
    for (queue, count) in now.pendingPods?() ?? [:] { pendingPods.set(Double(count), [queue]) }
    var out = ""
    for family in [depth, adds, retries, unfinished, longest] { family.render(to: &out) }
    waits.render(to: &out)
    work.render(to: &out)
    for family in [attempts, pendingPods] { family.render(to: &out) }
    attemptDurations.render(to: &out)
    return out
  }
}
