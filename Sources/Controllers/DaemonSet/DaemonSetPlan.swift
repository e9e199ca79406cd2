// What a DaemonSet does next, as values (spec/5 §5.1). No clock, no client: tests turn these by hand.
import Client
import World

/// What is known of a DaemonSet at one moment.
struct DaemonSetObservation {
  var set: DaemonSet
  /// The hash of the template in force.
  var hash: String
  /// In the order of their names.
  var nodes: [Node]
  var pods: [Pod]
  var now: WallTime
}

/// Failed pods are replaced ever more slowly: a node that refuses them would be kept busy otherwise.
struct FailedPodBackoff {
  private static let first = Duration.seconds(1)
  private static let longest = Duration.seconds(900)

  private struct Entry {
    var delay: Duration
    var since: WallTime
  }
  private var entries: [String: Entry] = [:]

  /// How long a pod of that node still has to stay; nil, and the next one longer, when it may go.
  mutating func remaining(_ key: String, now: WallTime) -> Duration? {
    guard let entry = entries[key], now - entry.since <= Self.longest * 2 else {
      entries[key] = Entry(delay: Self.first, since: now)
      return nil
    }
    let left = entry.since + entry.delay - now
    if left > .zero { return left }
    entries[key] = Entry(delay: min(entry.delay * 2, Self.longest), since: now)
    return nil
  }

  /// What has not failed for long is forgotten.
  mutating func forget(now: WallTime) { entries = entries.filter { now - $0.value.since <= Self.longest * 2 } }
}

struct DaemonSetPlan {
  enum Remark {
    case failed(Pod, node: String)
    case succeeded(Pod, node: String)
  }

  /// Nodes that need a pod.
  private(set) var nodesToServe: [String] = []
  private(set) var podsToDelete: [Pod] = []
  private(set) var remarks: [Remark] = []
  /// When there will be more to do without anything telling.
  private(set) var recheck: Duration?

  private let observation: DaemonSetObservation
  private let verdicts: [String: DaemonPlacement.Verdict]
  private let podsByNode: [String: [Pod]]
  private var set: DaemonSet { observation.set }

  init(_ observation: DaemonSetObservation, backoff: inout FailedPodBackoff) {
    self.observation = observation
    let placement = DaemonPlacement(observation.set)
    verdicts = Dictionary(uniqueKeysWithValues: observation.nodes.map { ($0.name, placement.verdict($0)) })
    podsByNode = Self.group(observation.pods)
    let bounds = bounds()
    for node in observation.nodes { tend(node.name, surges: bounds.surge > 0, &backoff) }
    dropHomeless()
    // An update goes on where nothing else is under way.
    if nodesToServe.isEmpty && podsToDelete.isEmpty && !set.updatesOnDelete {
      if bounds.surge > 0 { surge(bounds) } else { replace(bounds) }
    }
    noteAvailability()
  }

  /// Pods by the node they are for, those that hold a place first, then the oldest. Finished ones on their way out hold
  /// none.
  private static func group(_ pods: [Pod]) -> [String: [Pod]] {
    var groups: [String: [Pod]] = [:]
    for pod in pods where !(pod.isTerminal && pod.metadata.isBeingDeleted) {
      if let node = DaemonPod.node(of: pod) { groups[node, default: []].append(pod) }
    }
    return groups.mapValues { pods in
      pods.count == 1
        ? pods
        : pods.sorted { left, right in
          if left.spec.nodeName.isEmpty != right.spec.nodeName.isEmpty { return !left.spec.nodeName.isEmpty }
          if let one = left.metadata.creationTimestamp, let other = right.metadata.creationTimestamp, one != other {
            return one < other
          }
          return left.name < right.name
        }
    }
  }

  private struct Bounds {
    var desired: Int64
    var surge: Int64
    var unavailable: Int64
  }

  private func bounds() -> Bounds {
    let desired = Int64(verdicts.values.count { $0.shouldRun })
    let surge = set.maxSurge.resolved(of: desired, roundingUp: true)
    let unavailable = set.maxUnavailable.resolved(of: desired, roundingUp: true)
    // Nothing could ever move.
    return Bounds(desired: desired, surge: surge, unavailable: surge == 0 && unavailable == 0 ? 1 : unavailable)
  }

  // MARK: One pod a node

  private mutating func tend(_ node: String, surges: Bool, _ backoff: inout FailedPodBackoff) {
    let verdict = verdicts[node] ?? .init(shouldRun: false, mayStay: false)
    guard let pods = podsByNode[node] else {
      if verdict.shouldRun { nodesToServe.append(node) }
      return
    }
    let staying = pods.filter { !$0.metadata.isBeingDeleted }
    guard verdict.mayStay else {
      podsToDelete += staying
      return
    }
    let running = staying.filter { !isFinished($0, node, &backoff) }
    if surges {
      prune(running, node, verdict)
    } else {
      podsToDelete += running.dropFirst()
    }
  }

  /// Finished pods go, failed ones after a while; another is made when they have gone.
  private mutating func isFinished(_ pod: Pod, _ node: String, _ backoff: inout FailedPodBackoff) -> Bool {
    switch pod.status.phase {
    case "Failed":
      let key = "\(set.metadata.uid)/\(set.status.observedGeneration)/\(node)"
      if let left = backoff.remaining(key, now: observation.now) {
        recheck = min(recheck ?? left, left)
      } else {
        remarks.append(.failed(pod, node: node))
        podsToDelete.append(pod)
      }
      return true
    case "Succeeded":
      remarks.append(.succeeded(pod, node: node))
      podsToDelete.append(pod)
      return true
    default: return false
    }
  }

  /// Where pods may overlap: one of the new template beside one of before, until the new one is available or the old
  /// one is not ready.
  private mutating func prune(_ running: [Pod], _ node: String, _ verdict: DaemonPlacement.Verdict) {
    guard running.count > 1 else {
      if running.isEmpty && verdict.shouldRun { nodesToServe.append(node) }
      return
    }
    let new = running.filter { $0.metadata.labels[DaemonNames.revision] == observation.hash }
    let old = running.filter { $0.metadata.labels[DaemonNames.revision] != observation.hash }
    podsToDelete += new.dropFirst() + old.dropFirst()
    if let new = new.first, let old = old.first, !old.isReady || isAvailable(new) { podsToDelete.append(old) }
  }

  /// Pods that wait for a node that is gone: nobody would ever place or delete them.
  private mutating func dropHomeless() {
    for (node, pods) in podsByNode.sorted(by: { $0.key < $1.key }) where verdicts[node] == nil {
      podsToDelete += pods.filter { $0.spec.nodeName.isEmpty && !$0.metadata.isBeingDeleted }
    }
  }

  // MARK: Updating

  /// Nodes with a say in the update: those that have pods, and those that should.
  private var nodesInUpdate: [String] {
    Set(podsByNode.keys).union(verdicts.lazy.filter(\.value.shouldRun).map(\.key)).sorted()
  }

  /// The pod of the new template and the one of before; nil when there are more than one of either.
  private func pair(_ node: String) -> (new: Pod?, old: Pod?)? {
    var pair: (new: Pod?, old: Pod?) = (nil, nil)
    for pod in podsByNode[node] ?? [] where !pod.metadata.isBeingDeleted {
      if set.isUpdated(pod, hash: observation.hash) {
        guard pair.new == nil else { return nil }
        pair.new = pod
      } else {
        guard pair.old == nil else { return nil }
        pair.old = pod
      }
    }
    return pair
  }

  /// Old pods go so that no more than the bound are unavailable; those that are so already go at once.
  private mutating func replace(_ bounds: Bounds) {
    var unavailable: Int64 = 0
    var unwell: [Pod] = []
    var candidates: [Pod] = []
    for node in nodesInUpdate {
      switch pair(node) {
      case (let new?, nil)?: if !isAvailable(new) { unavailable += 1 }
      case (nil, let old?)?:
        if isAvailable(old) {
          candidates.append(old)
        } else {
          unwell.append(old)
          unavailable += 1
        }
      default: unavailable += 1
      }
    }
    podsToDelete = unwell + candidates.prefix(Int(max(0, bounds.unavailable - unavailable)))
  }

  /// New pods come beside old ones; an old one goes when its successor is available.
  private mutating func surge(_ bounds: Bounds) {
    var surging: Int64 = 0
    var available: Int64 = 0
    var unwell: [String] = []
    var candidates: [String] = []
    var misplaced: [Pod] = []
    for node in nodesInUpdate {
      guard let (new, old) = pair(node) else {
        surging += 1
        continue
      }
      if let pod = old ?? new, isAvailable(pod) { available += 1 }
      guard let old else { continue }
      if let new {
        if isAvailable(new) { podsToDelete.append(old) } else { surging += 1 }
      } else if verdicts[node]?.shouldRun == true {
        if isAvailable(old) { candidates.append(node) } else { unwell.append(node) }
      } else if isAvailable(old) {
        misplaced.append(old)
      } else {
        podsToDelete.append(old)
      }
    }
    podsToDelete += misplaced.prefix(Int(max(0, available - bounds.desired)))
    nodesToServe = unwell + candidates.prefix(Int(max(0, bounds.surge - surging)))
  }

  // MARK: Availability and status

  private func isAvailable(_ pod: Pod) -> Bool {
    pod.isAvailable(minReadySeconds: set.minReadySeconds, now: observation.now)
  }

  private mutating func noteAvailability() {
    guard set.minReadySeconds > 0 else { return }
    for pod in podsByNode.values.joined() where pod.isReady {
      guard let since = pod.status.condition("Ready")?.lastTransitionTime else { continue }
      let left = since + .seconds(set.minReadySeconds) - observation.now
      if left > .zero { recheck = min(recheck ?? left, left) }
    }
  }

  /// The status as it should be. `acted`: whether this generation of the set was acted upon.
  func status(acted: Bool, collisions: Int64?) -> DaemonSetStatus {
    var status = DaemonSetStatus()
    status.conditions = set.status.conditions
    status.collisionCount = collisions
    status.observedGeneration = acted ? set.metadata.generation : set.status.observedGeneration
    for node in observation.nodes {
      let pods = podsByNode[node.name] ?? []
      guard verdicts[node.name]?.shouldRun == true else {
        if !pods.isEmpty { status.numberMisscheduled += 1 }
        continue
      }
      status.desiredNumberScheduled += 1
      guard let pod = pods.first else { continue }
      status.currentNumberScheduled += 1
      if pod.isReady {
        status.numberReady += 1
        if isAvailable(pod) { status.numberAvailable += 1 }
      }
      if set.isUpdated(pod, hash: observation.hash) { status.updatedNumberScheduled += 1 }
    }
    status.numberUnavailable = status.desiredNumberScheduled - status.numberAvailable
    return status
  }
}
