// The status of a Deployment, as a value: counts and the conditions that rollout status and clients read.
import Client
import JSON
import World

/// Counts over the ReplicaSets of a Deployment.
struct DeploymentCounts: Hashable {
  var replicas: Int64
  var updated: Int64
  var ready: Int64
  var available: Int64

  init(_ sets: DeploymentSets) {
    replicas = sets.all.reduce(0) { $0 + $1.status.replicas }
    updated = sets.new?.status.replicas ?? 0
    ready = sets.all.reduce(0) { $0 + $1.status.readyReplicas }
    available = sets.all.reduce(0) { $0 + $1.status.availableReplicas }
  }

  /// Everything asked for is there, in the newest form, and nothing else is.
  func isComplete(_ deployment: Deployment) -> Bool {
    updated == deployment.replicas && replicas == deployment.replicas && available >= deployment.replicas
      && (deployment.status["observedGeneration"].integer ?? 0) >= deployment.metadata.generation
  }
}

struct DeploymentStatus {
  let deployment: Deployment
  let sets: DeploymentSets
  let now: WallTime

  /// The status as it should be now.
  func json(collisionCount: Int64?) -> JSONValue {
    let counts = DeploymentCounts(sets)
    var status: JSONValue = [
      "observedGeneration": .integer(deployment.metadata.generation), "replicas": .integer(counts.replicas),
      "updatedReplicas": .integer(counts.updated), "readyReplicas": .integer(counts.ready),
      "availableReplicas": .integer(counts.available),
      "unavailableReplicas": .integer(max(0, sets.all.reduce(0) { $0 + $1.replicas } - counts.available)),
    ]
    if let collisionCount { status["collisionCount"] = .integer(collisionCount) }
    status["conditions"] = .array(conditions(counts).map(\.json))
    return status
  }

  func conditions(_ counts: DeploymentCounts) -> [StatusCondition] {
    var conditions = deployment.conditions
    set(&conditions, available(counts))
    if let progressing = progressing(counts, conditions) { set(&conditions, progressing, refreshing: counts) }
    if let failure = sets.all.lazy.flatMap(\.status.conditions).first(where: { $0.type == "ReplicaFailure" }) {
      set(&conditions, failure)
    } else {
      conditions.removeAll { $0.type == "ReplicaFailure" }
    }
    return conditions
  }

  private func available(_ counts: DeploymentCounts) -> StatusCondition {
    counts.available >= deployment.minimumAvailable
      ? StatusCondition(
        type: "Available", status: "True", reason: "MinimumReplicasAvailable",
        message: "Deployment has minimum availability.")
      : StatusCondition(
        type: "Available", status: "False", reason: "MinimumReplicasUnavailable",
        message: "Deployment does not have minimum availability.")
  }

  /// Nil: as it is. A complete rollout stays complete whatever its pods do later.
  private func progressing(_ counts: DeploymentCounts, _ conditions: [StatusCondition]) -> StatusCondition? {
    guard deployment.progressDeadlineSeconds != Int64(Int32.max) else { return nil }
    let current = conditions.first { $0.type == "Progressing" }
    let subject = sets.new.map { "ReplicaSet \"\($0.name)\"" } ?? "Deployment \"\(deployment.name)\""
    let isSettled =
      deployment.status["replicas"].integer == deployment.status["updatedReplicas"].integer
      && current?.reason == "NewReplicaSetAvailable"
    if isSettled { return nil }
    if deployment.isPaused { return nil }
    if counts.isComplete(deployment) {
      return StatusCondition(
        type: "Progressing", status: "True", reason: "NewReplicaSetAvailable",
        message: "\(subject) has successfully progressed.")
    }
    if hasProgressed(counts) {
      return StatusCondition(
        type: "Progressing", status: "True", reason: "ReplicaSetUpdated", message: "\(subject) is progressing.")
    }
    if hasTimedOut(counts, current) {
      return StatusCondition(
        type: "Progressing", status: "False", reason: "ProgressDeadlineExceeded",
        message: "\(subject) has timed out progressing.")
    }
    return nil
  }

  private func hasProgressed(_ counts: DeploymentCounts) -> Bool {
    let old = deployment.status
    let oldReplicas = (old["replicas"].integer ?? 0) - (old["updatedReplicas"].integer ?? 0)
    return counts.updated > (old["updatedReplicas"].integer ?? 0) || counts.replicas - counts.updated < oldReplicas
      || counts.ready > (old["readyReplicas"].integer ?? 0)
      || counts.available > (old["availableReplicas"].integer ?? 0)
  }

  private func hasTimedOut(_ counts: DeploymentCounts, _ current: StatusCondition?) -> Bool {
    guard let current, let updated = current.lastUpdateTime, current.reason != "NewReplicaSetAvailable" else {
      return false
    }
    if current.reason == "ProgressDeadlineExceeded" { return true }
    return updated + .seconds(deployment.progressDeadlineSeconds) < now
  }

  /// Replaces a condition; the transition time moves with the status alone, the update time with any change.
  private func set(
    _ conditions: inout [StatusCondition], _ condition: StatusCondition, refreshing counts: DeploymentCounts? = nil
  ) {
    let whole = WallTime(secondsSinceEpoch: now.secondsSinceEpoch)
    var condition = condition
    condition.lastUpdateTime = whole
    condition.lastTransitionTime = whole
    guard let index = conditions.firstIndex(where: { $0.type == condition.type }) else {
      return conditions.append(condition)
    }
    let old = conditions[index]
    let isSame = old.status == condition.status && old.reason == condition.reason && old.message == condition.message
    // Progress that continues keeps its deadline moving.
    let isFreshProgress = counts.map { hasProgressed($0) } ?? false
    if isSame && !isFreshProgress { return }
    if old.status == condition.status { condition.lastTransitionTime = old.lastTransitionTime }
    conditions[index] = condition
  }
}
