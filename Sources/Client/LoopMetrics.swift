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

  private let leading = MetricFamily(
    "leader_election_master_status", .gauge, help: "Whether this process holds the lease: 1, or 0.", labels: ["name"])
  private let requests = MetricFamily(
    "rest_client_requests_total", .counter, help: "Requests to servers, by how they were answered.",
    labels: ["code", "host", "method"])
  private let requestDurations = HistogramFamily(
    "rest_client_request_duration_seconds", help: "Time until a server answered.", labels: ["host", "verb"],
    bounds: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60])

  private let zoneSizes = MetricFamily(
    "node_collector_zone_size", .gauge, help: "Nodes of a zone.", labels: ["zone"])
  private let zoneHealth = MetricFamily(
    "node_collector_zone_health", .gauge, help: "Nodes of a zone that are well, of a hundred.", labels: ["zone"])
  private let unhealthyNodes = MetricFamily(
    "node_collector_unhealthy_nodes_in_zone", .gauge, help: "Nodes of a zone that are not ready.", labels: ["zone"])
  private let nodeEvictions = MetricFamily(
    "node_collector_evictions_total", .counter, help: "Nodes whose pods had to leave them.", labels: ["zone"])

  /// What the scheduler counts.
  public let scheduler = SchedulerMetrics()

  private struct Probes {
    var queues: [String: @Sendable () -> QueueState?] = [:]
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

  // MARK: Clients and elections

  func requested(_ host: String, _ method: String, _ code: String, took: Duration) {
    requests.add(1, [code, host, method])
    requestDurations.observe(took.inSeconds, [host, method])
  }

  func leads(_ lease: String, _ isLeader: Bool) { leading.set(isLeader ? 1 : 0, [lease]) }

  // MARK: Nodes

  /// The nodes of a zone.
  public struct Zone: Sendable {
    public var name: String
    public var size: Int
    public var unhealthy: Int

    public init(name: String, size: Int, unhealthy: Int) {
      self.name = name
      self.size = size
      self.unhealthy = unhealthy
    }
  }

  /// All zones, as the last look at all nodes found them.
  public func found(_ zones: [Zone]) {
    for family in [zoneSizes, zoneHealth, unhealthyNodes] { family.clear() }
    for zone in zones {
      zoneSizes.set(Double(zone.size), [zone.name])
      zoneHealth.set(zone.size == 0 ? 100 : Double(100 * (zone.size - zone.unhealthy)) / Double(zone.size), [zone.name])
      unhealthyNodes.set(Double(zone.unhealthy), [zone.name])
      nodeEvictions.add(0, [zone.name])
    }
  }

  public func evicted(inZone zone: String) { nodeEvictions.add(1, [zone]) }

  // MARK: Text

  public func render() -> String {
    let now = probes.withLock { $0 }
    for family in [depth, unfinished, longest] { family.clear() }
    for (name, probe) in now.queues {
      let state = probe() ?? QueueState()
      depth.set(Double(state.depth), [name])
      unfinished.set(state.unfinished, [name])
      longest.set(state.longest, [name])
    }
    var out = ""
    for family in [depth, adds, retries, unfinished, longest] { family.render(to: &out) }
    waits.render(to: &out)
    work.render(to: &out)
    for family in [leading, requests, zoneSizes, zoneHealth, unhealthyNodes, nodeEvictions] { family.render(to: &out) }
    requestDurations.render(to: &out)
    scheduler.render(to: &out)
    return out
  }
}
