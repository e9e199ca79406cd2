// Whether nodes are alive, as values (spec/5 §5.1, node-lifecycle): by this controller's clock, never by theirs.
import Client
import JSON
import World

enum NodeTaints {
  static let notReady = "node.kubernetes.io/not-ready"
  static let unreachable = "node.kubernetes.io/unreachable"
  static let unschedulable = "node.kubernetes.io/unschedulable"
  /// Conditions that become taints while they are true.
  static let byCondition = [
    "MemoryPressure": "node.kubernetes.io/memory-pressure", "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure", "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
  ]
  static let managed = Set([notReady, unreachable, unschedulable] + byCondition.values)
}

/// The last sign of life of one node, and when it was seen here.
struct NodeHeartbeat {
  /// renewTime of the lease and the newest heartbeat of a condition, as text: any change is a sign of life.
  var mark: String
  var seenAt: MonotonicTime

  init(node: Node, lease: LeaseObject?, now: MonotonicTime) {
    mark = Self.mark(node, lease)
    seenAt = now
  }

  mutating func observe(node: Node, lease: LeaseObject?, now: MonotonicTime) {
    let mark = Self.mark(node, lease)
    guard mark != self.mark else { return }
    self.mark = mark
    seenAt = now
  }

  private static func mark(_ node: Node, _ lease: LeaseObject?) -> String {
    let newest = node.conditions.compactMap(\.lastHeartbeatTime).max()
    return "\(lease?.renewTime ?? "")|\(newest?.nanosecondsSinceEpoch ?? 0)"
  }
}

enum NodeHealth: Hashable {
  case ready
  case notReady
  /// Nothing has been heard for longer than the grace period.
  case unreachable

  /// 50 s since Kubernetes 1.32 (spec README, corrections).
  static let gracePeriod = Duration.seconds(50)
  /// A node that has just registered gets longer.
  static let startupGracePeriod = Duration.seconds(60)

  init(node: Node, heartbeat: NodeHeartbeat, now: MonotonicTime) {
    let ready = node.condition("Ready")
    let grace = ready == nil ? Self.startupGracePeriod : Self.gracePeriod
    if now - heartbeat.seenAt > grace || ready?.status == "Unknown" && now - heartbeat.seenAt > .seconds(5) {
      self = .unreachable
    } else if ready?.status == "True" {
      self = .ready
    } else {
      self = .notReady
    }
  }

  /// The taints a node in this state should have; those that others manage stay as they are.
  func taints(of node: Node, now: WallTime) -> [Taint] {
    var taints = node.taints.filter { !NodeTaints.managed.contains($0.key) }
    func add(_ key: String, _ effect: String) {
      let old = node.taints.first { $0.key == key && $0.effect == effect }
      let added = WallTime(secondsSinceEpoch: now.secondsSinceEpoch)
      taints.append(old ?? Taint(key: key, effect: effect, timeAdded: added))
    }
    switch self {
    case .ready: break
    case .notReady:
      add(NodeTaints.notReady, "NoSchedule")
      add(NodeTaints.notReady, "NoExecute")
    case .unreachable:
      add(NodeTaints.unreachable, "NoSchedule")
      add(NodeTaints.unreachable, "NoExecute")
    }
    if node.isUnschedulable { add(NodeTaints.unschedulable, "NoSchedule") }
    for (condition, key) in NodeTaints.byCondition.sorted(by: { $0.value < $1.value })
    where node.condition(condition)?.status == "True" {
      add(key, "NoSchedule")
    }
    return taints
  }
}

/// When a pod must leave a node because of its NoExecute taints.
enum TaintEviction: Hashable {
  case stay
  case leave(after: Duration)

  init(pod: Pod, taints: [Taint]) {
    let executing = taints.filter { $0.effect == "NoExecute" }
    guard !executing.isEmpty else {
      self = .stay
      return
    }
    var shortest: Int64?
    for taint in executing {
      let tolerations = pod.spec.tolerations.filter { $0.tolerates(taint) }
      guard !tolerations.isEmpty else {
        self = .leave(after: .zero)
        return
      }
      for seconds in tolerations.compactMap(\.tolerationSeconds) { shortest = min(shortest ?? .max, max(0, seconds)) }
    }
    self = shortest.map { .leave(after: .seconds($0)) } ?? .stay
  }
}
