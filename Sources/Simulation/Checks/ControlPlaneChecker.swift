// What must be true of the objects themselves at every revision, whoever wrote them: pods and nodes, leases and fences,
// addresses, quotas. Fed with every committed change once, in order; looks at nothing but what changed.

import JSON
import Replica
import Schema

struct ControlPlaneChecker {
  private struct PodRecord {
    var node: String
    var cpu: Quantity
    /// Counts on its node: neither finished nor without a node.
    var isCounted: Bool
    var owner: String?
    var isActive: Bool
  }
  private struct NodeRecord {
    var cpu = Quantity.zero
    var pods = Quantity.zero
    var usedCPU = Quantity.zero
    var usedPods: Int64 = 0
    var isKnown = false
  }
  private struct QuotaRecord {
    /// Limits on numbers of objects, by resource.
    var limits: [String: Int64]
  }

  private var pods: [ObjectKey: PodRecord] = [:]
  private var nodes: [String: NodeRecord] = [:]
  private var fences: [ObjectKey: UInt64] = [:]
  private var addresses: [String: ObjectKey] = [:]
  private var serviceAddresses: [ObjectKey: [String]] = [:]
  private var quotas: [ObjectKey: QuotaRecord] = [:]
  /// Objects by "resource/namespace", for quotas.
  private var counts: [String: Int64] = [:]
  /// Pods that neither ended nor are being deleted, by their controller's uid.
  private(set) var activePods: [String: Int] = [:]
  /// The most that each replica set, by uid, was ever asked to keep.
  private var mostReplicas: [String: Int] = [:]
  private(set) var violation: InvariantViolation?

  init() {}

  private mutating func report(_ invariant: String, _ evidence: String) {
    if violation == nil { violation = InvariantViolation(invariant, evidence) }
  }

  /// One entry was committed. `fences`: the leases that its command required, as they had to stand before it.
  mutating func committed(_ changes: ArraySlice<Change>, fences required: [(lease: ObjectKey, fence: UInt64)]) {
    if !changes.isEmpty {
      for (lease, fence) in required where fences[lease] != fence {
        report(
          "a deposed leader cannot write",
          "\(changes.first.map { "\($0.key) at \($0.revision)" } ?? "") was written under fence \(fence) of \(lease.name), "
            + "which stood at \(fences[lease].map(String.init) ?? "nothing")")
      }
    }
    for change in changes { note(change) }
    // A command is one step: what it breaks and mends within itself was never seen by anybody.
    checkQuotas(changes)
  }

  private mutating func note(_ change: Change) {
    count(change)
    switch change.key.resource {
    case "pods": pod(change)
    case "nodes": node(change)
    case "services": service(change)
    case "leases.coordination.k8s.io": lease(change)
    case "resourcequotas": quota(change)
    case "replicasets.apps": replicaSet(change)
    default: break
    }
    if change.kind == .put, let previous = change.previous, previous.uid != change.object.uid, !previous.uid.isEmpty {
      report(
        "an object keeps its identity",
        "\(change.key) of uid \(previous.uid) became another (\(change.object.uid)) at \(change.revision)")
    }
  }

  private func tree(_ object: StoredObject) -> JSONValue { (try? JSONValue(parsing: object.bytes)) ?? .null }

  // MARK: Pods on nodes

  private mutating func pod(_ change: Change) {
    let before = pods[change.key]
    var after: PodRecord?
    if change.kind == .put {
      let pod = tree(change.object)
      let phase = pod["status"]["phase"].string ?? ""
      let isFinished = phase == "Succeeded" || phase == "Failed"
      let node = pod["spec"]["nodeName"].string ?? ""
      let controller = pod["metadata"]["ownerReferences"].elements.first { $0["controller"].bool == true }
      after = PodRecord(
        node: node, cpu: Self.requests(of: pod), isCounted: !isFinished && !node.isEmpty,
        owner: controller?["uid"].string, isActive: !isFinished && pod["metadata"]["deletionTimestamp"].isNull)
    }
    if let before, let after, !before.node.isEmpty, before.node != after.node {
      report("a pod is bound once", "\(change.key): from \(before.node) to \(after.node) at \(change.revision)")
    }
    if let before { release(before) }
    pods[change.key] = after
    guard let after else { return }
    if after.isActive, let owner = after.owner {
      activePods[owner, default: 0] += 1
      if change.previous == nil, let most = mostReplicas[owner], activePods[owner, default: 0] > most {
        report(
          "no replica set has more pods than were ever asked for",
          "\(change.key) at \(change.revision) is number \(activePods[owner, default: 0]); at most \(most) were asked for"
        )
      }
    }
    guard after.isCounted else { return }
    nodes[after.node, default: NodeRecord()].usedCPU += after.cpu
    nodes[after.node, default: NodeRecord()].usedPods += 1
    if before?.isCounted != true, let node = nodes[after.node], node.isKnown {
      if node.usedCPU > node.cpu {
        report(
          "no node over its capacity",
          "\(change.key) at \(change.revision): \(after.node) has \(node.cpu), asked for are \(node.usedCPU)")
      }
      if Quantity(node.usedPods) > node.pods {
        report(
          "no node over its capacity",
          "\(change.key) at \(change.revision): \(after.node) takes \(node.pods) pods, not \(node.usedPods)")
      }
    }
  }

  private mutating func release(_ pod: PodRecord) {
    if pod.isActive, let owner = pod.owner { activePods[owner, default: 0] -= 1 }
    guard pod.isCounted else { return }
    nodes[pod.node, default: NodeRecord()].usedCPU = (nodes[pod.node]?.usedCPU ?? .zero) - pod.cpu
    nodes[pod.node, default: NodeRecord()].usedPods -= 1
  }

  private static func requests(of pod: JSONValue) -> Quantity {
    pod["spec"]["containers"].elements.reduce(.zero) { sum, container in
      sum + (container["resources"]["requests"]["cpu"].string.flatMap { Quantity($0) } ?? .zero)
    }
  }

  private mutating func replicaSet(_ change: Change) {
    guard change.kind == .put else { return }
    let asked = Int(tree(change.object)["spec"]["replicas"].integer ?? 1)
    mostReplicas[change.object.uid] = max(mostReplicas[change.object.uid] ?? 0, asked)
  }

  private mutating func node(_ change: Change) {
    let name = change.key.name
    guard change.kind == .put else {
      nodes[name]?.isKnown = false
      return
    }
    let allocatable = tree(change.object)["status"]["allocatable"]
    guard let cpu = allocatable["cpu"].string.flatMap({ Quantity($0) }),
      let pods = allocatable["pods"].string.flatMap({ Quantity($0) })
    else { return }
    nodes[name, default: NodeRecord()].cpu = cpu
    nodes[name, default: NodeRecord()].pods = pods
    nodes[name, default: NodeRecord()].isKnown = true
  }

  // MARK: Leases

  private mutating func lease(_ change: Change) {
    guard change.kind == .put else {
      fences[change.key] = nil
      return
    }
    if let before = fences[change.key], change.previous?.uid == change.object.uid, change.object.fence < before {
      report(
        "a lease's transitions only rise",
        "\(change.key): from \(before) to \(change.object.fence) at \(change.revision)")
    }
    let old = change.previous.flatMap { tree($0)["spec"]["holderIdentity"].string } ?? ""
    let new = tree(change.object)["spec"]["holderIdentity"].string ?? ""
    // Who a server is needs no election: its lease has no transitions, and another holder after each start.
    let isElection = tree(change.object)["spec"]["leaseTransitions"].integer != nil
    if isElection, !old.isEmpty, !new.isEmpty, old != new, change.previous?.fence == change.object.fence {
      report(
        "a lease changes hands with a new fence",
        "\(change.key): from \(old) to \(new) at \(change.revision), both with \(change.object.fence)")
    }
    fences[change.key] = change.object.fence
  }

  // MARK: Services

  private mutating func service(_ change: Change) {
    for address in serviceAddresses.removeValue(forKey: change.key) ?? [] where addresses[address] == change.key {
      addresses[address] = nil
    }
    guard change.kind == .put else { return }
    let spec = tree(change.object)["spec"]
    var held = spec["clusterIPs"].elements.compactMap(\.string).filter { $0 != "None" }
    held += spec["ports"].elements.compactMap { port in
      port["nodePort"].integer.flatMap { $0 == 0 ? nil : "node port \($0) \(port["protocol"].string ?? "TCP")" }
    }
    for address in held {
      if let other = addresses[address], other != change.key {
        report("an address belongs to one service", "\(address): \(other) and \(change.key) at \(change.revision)")
      }
      addresses[address] = change.key
    }
    serviceAddresses[change.key] = held
  }

  // MARK: Quotas

  private mutating func count(_ change: Change) {
    let name = "\(change.key.resource)/\(change.key.namespace)"
    if change.kind == .delete {
      counts[name, default: 0] -= 1
    } else if change.previous == nil {
      counts[name, default: 0] += 1
    }
  }

  private mutating func quota(_ change: Change) {
    guard change.kind == .put else {
      quotas[change.key] = nil
      return
    }
    var limits: [String: Int64] = [:]
    for (name, value) in tree(change.object)["spec"]["hard"].object ?? JSONObject() where name.hasPrefix("count/") {
      if let limit = value.integer ?? value.string.flatMap({ Int64($0) }) { limits[String(name.dropFirst(6))] = limit }
    }
    quotas[change.key] = QuotaRecord(limits: limits)
  }

  /// A creation may not go over a quota that stood before it.
  private mutating func checkQuotas(_ changes: ArraySlice<Change>) {
    guard !quotas.isEmpty else { return }
    for change in changes where change.kind == .put && change.previous == nil {
      for (key, quota) in quotas where key.namespace == change.key.namespace {
        guard let limit = quota.limits[change.key.resource] else { continue }
        let count = counts["\(change.key.resource)/\(change.key.namespace)"] ?? 0
        if count > limit {
          report("no namespace over its quota", "\(change.key) at \(change.revision) is number \(count) of \(limit)")
        }
      }
    }
  }
}
