// What a ReplicaSet or ReplicationController should do next, as values.
import Client
import Schema
import World

/// How many pods to make, or which to delete.
enum ReplicaPlan {
  case nothing
  case create(Int)
  case delete([Pod])

  /// At most this many in one turn (spec/5 §5.1).
  static let burst = 500

  /// `siblings`: active pods per node over all owners that share this owner's controller (a Deployment's sets).
  /// `isLeaving`: the pod's deletion was asked for, and nobody has said what became of that.
  init(
    replicas: Int64, active: [Pod], siblings: [Pod], now: WallTime, isLeaving: (Pod) -> Bool = { _ in false }
  ) {
    let difference = active.count - Int(replicas)
    if difference < 0 {
      self = .create(min(-difference, Self.burst))
    } else if difference > 0 && !ControllerMutant.scaleDownForgotten.isActive {
      let count = min(difference, Self.burst)
      let leaving = Array(active.filter(isLeaving).prefix(count))
      let others = leaving.isEmpty ? active : active.filter { !isLeaving($0) }
      let ranking = PodRanking(others, siblings: siblings, now: now)
      self = .delete(leaving + (leaving.count < count ? ranking.firstToDelete(count - leaving.count) : []))
    } else {
      self = .nothing
    }
  }
}

/// The order in which pods go when there are too many (spec/5 §5.2).
struct PodRanking {
  private let pods: [Pod]
  private let siblingsPerNode: [String: Int]
  private let now: WallTime

  init(_ pods: [Pod], siblings: [Pod], now: WallTime) {
    self.pods = pods
    self.now = now
    var count: [String: Int] = [:]
    for pod in siblings { count[pod.spec.nodeName, default: 0] += 1 }
    siblingsPerNode = count
  }

  func firstToDelete(_ count: Int) -> [Pod] {
    guard count < pods.count else { return pods }
    return Array(pods.sorted(by: goesBefore).prefix(count))
  }

  private func goesBefore(_ left: Pod, _ right: Pod) -> Bool {
    let keys: [(Pod) -> Int64] = [
      { $0.spec.nodeName.isEmpty ? 0 : 1 },
      { ["Pending": 0, "Unknown": 1, "Running": 2][$0.status.phase] ?? 2 },
      { $0.isReady ? 1 : 0 },
      { $0.metadata.annotations["controller.kubernetes.io/pod-deletion-cost"].flatMap { Int64($0) } ?? 0 },
      { -Int64(siblingsPerNode[$0.spec.nodeName] ?? 0) },
      { logarithmicAge($0) },
      { -$0.status.restartCount },
    ]
    for key in keys {
      let (one, other) = (key(left), key(right))
      if one != other { return one < other }
    }
    let (one, other) = (left.metadata.creationTimestamp, right.metadata.creationTimestamp)
    if let one, let other, one != other { return one > other }
    return left.name < right.name
  }

  /// Ready times in buckets that double, so that age matters only where it differs much.
  private func logarithmicAge(_ pod: Pod) -> Int64 {
    guard let since = pod.status.condition("Ready")?.lastTransitionTime, pod.isReady else { return 0 }
    let seconds = max(0, (now - since).components.seconds)
    return Int64(64 - seconds.leadingZeroBitCount)
  }
}

/// The status a ReplicaSet or ReplicationController shows for its pods.
struct ReplicaCount: Hashable {
  var replicas: Int64 = 0
  var fullyLabeled: Int64 = 0
  var ready: Int64 = 0
  var available: Int64 = 0

  init(active: [Pod], templateLabels: [String: String], minReadySeconds: Int64, now: WallTime) {
    replicas = Int64(active.count)
    for pod in active {
      if templateLabels.allSatisfy({ pod.metadata.labels[$0.key] == $0.value }) { fullyLabeled += 1 }
      guard pod.isReady else { continue }
      ready += 1
      if pod.isAvailable(minReadySeconds: minReadySeconds, now: now) { available += 1 }
    }
  }
}
