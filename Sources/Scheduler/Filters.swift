// Why a node cannot take a pod, in the words of kube-scheduler (spec/6 §6.6): the filters that look at one node alone.
import Client
import Schema

/// A node's refusal.
enum Refusal: Hashable, Sendable {
  case unschedulable
  case otherNodeRequested
  case untolerated(Taint)
  case nodeAffinity
  case hostPorts
  case tooManyPods
  /// `everEnough`: the node has as much when it is empty.
  case insufficient(String, everEnough: Bool)
  case topologySpread
  case topologyLabelMissing
  case podAffinity
  case podAntiAffinity
  case othersAntiAffinity
  case volumeNodeAffinity
  case volumesNotFound

  var reason: String {
    switch self {
    case .unschedulable: "node(s) were unschedulable"
    case .otherNodeRequested: "node(s) didn't match the requested node name"
    case .untolerated(let taint): "node(s) had untolerated taint {\(taint.key): \(taint.value)}"
    case .nodeAffinity: "node(s) didn't match Pod's node affinity/selector"
    case .hostPorts: "node(s) didn't have free ports for the requested pod ports"
    case .tooManyPods: "Too many pods"
    case .insufficient(let resource, _): "Insufficient \(resource)"
    case .topologySpread: "node(s) didn't match pod topology spread constraints"
    case .topologyLabelMissing: "node(s) didn't match pod topology spread constraints (missing required label)"
    case .podAffinity: "node(s) didn't match pod affinity rules"
    case .podAntiAffinity: "node(s) didn't match pod anti-affinity rules"
    case .othersAntiAffinity: "node(s) didn't satisfy existing pods anti-affinity rules"
    case .volumeNodeAffinity: "node(s) had volume node affinity conflict"
    case .volumesNotFound: "node(s) didn't find available persistent volumes to bind"
    }
  }

  /// Removing pods from the node may cure it (Unschedulable; otherwise UnschedulableAndUnresolvable).
  var isResolvable: Bool {
    switch self {
    case .hostPorts, .tooManyPods, .topologySpread, .podAntiAffinity, .othersAntiAffinity: true
    case .insufficient(_, let everEnough): everEnough
    case .unschedulable, .otherNodeRequested, .untolerated, .nodeAffinity, .topologyLabelMissing, .podAffinity,
      .volumeNodeAffinity, .volumesNotFound:
      false
    }
  }

  /// The changes after which it may not hold any more.
  var cures: ClusterChange {
    switch self {
    case .podAffinity, .topologySpread: [.nodes, .podPlaced, .podRemoved]
    case .volumeNodeAffinity, .volumesNotFound: [.nodes, .volumes]
    default: isResolvable ? [.nodes, .podRemoved] : .nodes
    }
  }
}

enum NodeFilters {
  /// The refusals of the first plugin that has any, in the default profile's order; empty when the node will do.
  static func refusals(_ pod: PodToSchedule, _ node: NodeState) -> [Refusal] {
    if node.isUnschedulable && !pod.toleratesUnschedulable { return [.unschedulable] }
    if !pod.nodeName.isEmpty && pod.nodeName != node.name { return [.otherNodeRequested] }
    if node.hasHardTaints, let taint = untoleratedTaint(pod, node) {
      return [.untolerated(Taint(key: taint.key, value: taint.value, effect: taint.effect))]
    }
    if pod.choosesNodes && !matchesNodeAffinity(pod, node) { return [.nodeAffinity] }
    if !pod.hostPorts.isEmpty && node.conflicts(with: pod.hostPorts) { return [.hostPorts] }
    return SchedulerMutant.resourcesIgnored.isActive ? [] : node.load.shortages(pod.request)
  }

  static func untoleratedTaint(_ pod: PodToSchedule, _ node: NodeState) -> Taint? {
    node.taints.first { taint in
      taint.effect != "PreferNoSchedule" && !pod.tolerations.contains { $0.tolerates(taint) }
    }
  }

  static func matchesNodeAffinity(_ pod: PodToSchedule, _ node: NodeState) -> Bool {
    pod.nodeSelector.allSatisfy { node.labels[$0.key] == $0.value }
      && (pod.nodeAffinity.required?.matches(node) ?? true)
  }
}

/// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: …"
struct FitError: Error, Sendable {
  var nodeCount: Int
  /// How many nodes refuse for each reason; a node may have several.
  var reasons: [Refusal: Int] = [:]
  /// Nodes where removing pods may help.
  var resolvable: [NodeIndex] = []
  /// Why no node was even asked.
  var obstacle: String?
  /// What became of the attempt to make room, as the tail of the message.
  var preemption = ""

  mutating func add(_ refusals: [Refusal], of node: NodeIndex) {
    for refusal in refusals { reasons[refusal, default: 0] += 1 }
    if refusals.allSatisfy(\.isResolvable) { resolvable.append(node) }
  }

  /// The changes after which the pod should be tried again.
  var cures: ClusterChange {
    obstacle == nil ? reasons.keys.reduce(.nodes) { $0.union($1.cures) } : .volumes
  }

  var message: String {
    guard nodeCount > 0 else { return "no nodes available to schedule pods" }
    let tail = preemption.isEmpty ? "" : " preemption: \(preemption)"
    if let obstacle { return "0/\(nodeCount) nodes are available: \(obstacle)." + tail }
    return Self.text(nodeCount: nodeCount, reasons) + tail
  }

  /// "0/3 nodes are available: 1 Insufficient cpu, …."
  static func text(nodeCount: Int, _ reasons: [Refusal: Int], more: [String: Int] = [:]) -> String {
    var histogram = more.filter { $0.value > 0 }
    for (refusal, count) in reasons { histogram[refusal.reason, default: 0] += count }
    let list = histogram.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ")
    return "0/\(nodeCount) nodes are available: \(list)."
  }
}
