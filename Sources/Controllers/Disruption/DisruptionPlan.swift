// How many pods of a budget may be disrupted now: counted from its pods and from what their controllers want (spec/5 §5.8).
import Client
import JSON
import World

/// What is known of a budget's pods at one moment, and what follows from it.
struct DisruptionPlan {
  /// An eviction that was granted and did not come to pass within this counts no longer.
  static let evictionTimeout = Duration.seconds(120)

  /// Pods that have no controller: a budget by percent, or of the unavailable, cannot count them.
  let unmanaged: [Pod]
  /// Pods that were to be evicted, and are still there, undeleted, after the timeout.
  let notDeleted: [Pod]
  /// When the next granted eviction expires.
  let recheck: WallTime?
  let status: DisruptionStatus

  /// `scales`: how many pods the controllers of these want, by the uid of each.
  init(_ budget: PodDisruptionBudget, pods: [Pod], scales: [String: Int64], now: WallTime) {
    let wanted = scales.values.reduce(Int64(0)) { $0.addingSaturated(max(0, $1)) }
    let expected: Int64
    let desired: Int64
    switch (budget.maxUnavailable, budget.minAvailable) {
    case (let maximum?, _):
      expected = wanted
      desired = max(0, wanted - maximum.resolved(of: wanted, roundingUp: true))
    case (nil, .count(let minimum)?):
      expected = Int64(pods.count)
      desired = minimum
    case (nil, let minimum?):
      expected = wanted
      desired = minimum.resolved(of: wanted, roundingUp: true)
    case (nil, nil):
      expected = 0
      desired = 0
    }
    unmanaged = Self.needsScale(budget) ? pods.filter { $0.metadata.controller == nil } : []

    var disrupted: [String: WallTime] = [:]
    var notDeleted: [Pod] = []
    for pod in pods where !pod.metadata.isBeingDeleted {
      guard let time = budget.status.disruptedPods[pod.name] else { continue }
      if time + Self.evictionTimeout < now { notDeleted.append(pod) } else { disrupted[pod.name] = time }
    }
    self.notDeleted = notDeleted
    recheck = disrupted.values.min().map { $0 + Self.evictionTimeout }

    let healthy = Int64(
      pods.count { !$0.metadata.isBeingDeleted && $0.isReady && disrupted[$0.name] == nil })
    var status = budget.status
    status.expectedPods = expected
    status.desiredHealthy = desired
    status.currentHealthy = healthy
    status.disruptionsAllowed = expected > 0 ? max(0, healthy - desired) : 0
    status.disruptedPods = disrupted
    status.observedGeneration = budget.metadata.generation
    status.setAllowed(
      reason: status.disruptionsAllowed > 0 ? "SufficientPods" : "InsufficientPods",
      generation: budget.metadata.generation, now: now)
    self.status = status
  }

  /// Whether the controllers of the pods have to be asked.
  static func needsScale(_ budget: PodDisruptionBudget) -> Bool {
    if budget.maxUnavailable != nil { return true }
    if case .percent? = budget.minAvailable { return true }
    return false
  }

  /// Nothing may be disrupted while it is not known how many there should be.
  static func failed(_ budget: PodDisruptionBudget, _ message: String, now: WallTime) -> DisruptionStatus {
    var status = budget.status
    status.disruptionsAllowed = 0
    status.observedGeneration = budget.metadata.generation
    status.setAllowed(reason: "SyncFailed", message: message, generation: budget.metadata.generation, now: now)
    return status
  }
}

extension DisruptionStatus {
  /// The condition DisruptionAllowed, as the number and the reason have it.
  fileprivate mutating func setAllowed(reason: String, message: String = "", generation: Int64, now: WallTime) {
    let type: JSONValue = "DisruptionAllowed"
    let state: JSONValue = disruptionsAllowed > 0 ? "True" : "False"
    let position = conditions.firstIndex { $0["type"] == type }
    let former = position.map { conditions[$0] } ?? .null
    let since = former["status"] == state ? former["lastTransitionTime"] : .string(now.rfc3339)
    let condition: JSONValue = [
      "type": type, "status": state, "observedGeneration": .integer(generation), "lastTransitionTime": since,
      "reason": .string(reason), "message": .string(message),
    ]
    if let position { conditions[position] = condition } else { conditions.append(condition) }
  }
}
