// Why a node cannot take a pod, in the words of kube-scheduler (spec/6 §6.6).
import Client
import Schema

/// A node's refusal. Unresolvable ones would not be cured by removing pods from the node.
struct Refusal: Hashable, Sendable {
  var reason: String
  var isResolvable: Bool
  /// The changes after which it may not hold any more.
  var cures: ClusterChange

  /// `dependsOnPods`: pods that come somewhere may cure it as well as pods that go.
  init(_ reason: String, resolvable: Bool = false, dependsOnPods: Bool = false) {
    self.reason = reason
    isResolvable = resolvable
    cures = dependsOnPods ? [.nodes, .podPlaced, .podRemoved] : resolvable ? [.nodes, .podRemoved] : .nodes
  }
}

enum NodeFilters {
  /// The refusals of the first plugin that has any, in the default profile's order; empty when the node will do.
  static func refusals(_ pod: PodToSchedule, _ node: NodeState) -> [Refusal] {
    if node.isUnschedulable && !toleratesUnschedulable(pod) {
      return [Refusal("node(s) were unschedulable")]
    }
    if !pod.pod.spec.nodeName.isEmpty && pod.pod.spec.nodeName != node.name {
      return [Refusal("node(s) didn't match the requested node name")]
    }
    if let taint = untoleratedTaint(pod, node) {
      return [Refusal("node(s) had untolerated taint {\(taint.key): \(taint.value)}")]
    }
    if !matchesNodeAffinity(pod, node) {
      return [Refusal("node(s) didn't match Pod's node affinity/selector")]
    }
    if hasPortConflict(pod, node) {
      return [Refusal("node(s) didn't have free ports for the requested pod ports", resolvable: true)]
    }
    return SchedulerMutant.resourcesIgnored.isActive ? [] : shortages(pod, node)
  }

  private static func toleratesUnschedulable(_ pod: PodToSchedule) -> Bool {
    let taint = Taint(key: "node.kubernetes.io/unschedulable", effect: "NoSchedule")
    return pod.pod.spec.tolerations.contains { $0.tolerates(taint) }
  }

  private static func untoleratedTaint(_ pod: PodToSchedule, _ node: NodeState) -> Taint? {
    node.taints.first { taint in
      (taint.effect == "NoSchedule" || taint.effect == "NoExecute")
        && !pod.pod.spec.tolerations.contains { $0.tolerates(taint) }
    }
  }

  static func matchesNodeAffinity(_ pod: PodToSchedule, _ node: NodeState) -> Bool {
    pod.pod.spec.nodeSelector.allSatisfy { node.labels[$0.key] == $0.value }
      && (pod.nodeAffinity.required?.matches(node) ?? true)
  }

  private static func hasPortConflict(_ pod: PodToSchedule, _ node: NodeState) -> Bool {
    guard !pod.hostPorts.isEmpty else { return false }
    return node.pods.values.contains { other in
      other.hostPorts.contains { used in pod.hostPorts.contains { $0.conflicts(with: used) } }
    }
  }

  private static func shortages(_ pod: PodToSchedule, _ node: NodeState) -> [Refusal] {
    var refusals: [Refusal] = []
    func check(_ name: String, _ wanted: Int64, _ used: Int64, _ available: Int64) {
      if wanted > 0 && wanted > available - used {
        refusals.append(Refusal("Insufficient \(name)", resolvable: wanted <= available))
      }
    }
    if Int64(node.pods.count) + 1 > node.allowedPods { refusals.append(Refusal("Too many pods", resolvable: true)) }
    let wanted = pod.request.resources
    check("cpu", wanted.milliCPU, node.requested.milliCPU, node.allocatable.milliCPU)
    check("memory", wanted.memory, node.requested.memory, node.allocatable.memory)
    check(
      "ephemeral-storage", wanted.ephemeralStorage, node.requested.ephemeralStorage, node.allocatable.ephemeralStorage)
    for (name, amount) in wanted.extended.sorted(by: { $0.key < $1.key }) {
      check(name, amount, node.requested.extended[name] ?? 0, node.allocatable.extended[name] ?? 0)
    }
    return refusals
  }
}

/// "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: …"
struct FitError: Error, Sendable {
  var nodeCount: Int
  var refusals: [String: [Refusal]]
  var preemption = ""

  /// The changes after which the pod should be tried again.
  var cures: ClusterChange { refusals.values.joined().reduce(.nodes) { $0.union($1.cures) } }

  var message: String {
    guard nodeCount > 0 else { return "no nodes available to schedule pods" }
    var histogram: [String: Int] = [:]
    for reasons in refusals.values { for refusal in reasons { histogram[refusal.reason, default: 0] += 1 } }
    let list = histogram.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ")
    let tail = preemption.isEmpty ? "" : " \(preemption)"
    return "0/\(nodeCount) nodes are available: \(list).\(tail)"
  }
}
