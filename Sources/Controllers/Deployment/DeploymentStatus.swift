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
    updated == deployment.replicas && replicas == deployment.replicas && available == deployment.replicas
  }
}

struct DeploymentStatus {
  /// What this turn did about the ReplicaSet of the current template.
  enum NewSet: Hashable {
    case unchanged
    case created
  }

  let deployment: Deployment
  let sets: DeploymentSets
  let now: WallTime
  var newSet = NewSet.unchanged
  /// False for a turn that only scaled, or found the Deployment paused: the clock of progress stands still.
  var judgesProgress = true

  /// The status as it should be now.
  func json() -> JSONValue {
    let counts = DeploymentCounts(sets)
    var status: JSONValue = [
      "observedGeneration": .integer(deployment.metadata.generation), "replicas": .integer(counts.replicas),
      "updatedReplicas": .integer(counts.updated), "readyReplicas": .integer(counts.ready),
      "availableReplicas": .integer(counts.available),
      "unavailableReplicas": .integer(max(0, sets.all.reduce(0) { $0 + $1.replicas } - counts.available)),
    ]
    if let collisionCount = deployment.status["collisionCount"].integer {
      status["collisionCount"] = .integer(collisionCount)
    }
    status["conditions"] = .array(conditions(counts).map(\.json))
    return status
  }

  func conditions(_ counts: DeploymentCounts) -> [StatusCondition] {
    var conditions = deployment.conditions
    let hasDeadline = deployment.progressDeadlineSeconds != Int64(Int32.max)
    if hasDeadline { noteBeginning(&conditions) }
    set(&conditions, available(counts))
    if !hasDeadline {
      conditions.removeAll { $0.type == Self.progressing }
    } else if judgesProgress {
      judgeProgress(counts, &conditions)
    }
    // What keeps the new set from growing says more than what keeps old ones from shrinking.
    let failing = (sets.new.map { [$0] } ?? []) + sets.old
    if let failure = failing.lazy.flatMap(\.status.conditions).first(where: { $0.type == "ReplicaFailure" }) {
      set(&conditions, failure)
    } else {
      conditions.removeAll { $0.type == "ReplicaFailure" }
    }
    return conditions
  }

  private static let progressing = "Progressing"

  private func available(_ counts: DeploymentCounts) -> StatusCondition {
    counts.available >= deployment.minimumAvailable
      ? StatusCondition(
        type: "Available", status: "True", reason: "MinimumReplicasAvailable",
        message: "Deployment has minimum availability.")
      : StatusCondition(
        type: "Available", status: "False", reason: "MinimumReplicasUnavailable",
        message: "Deployment does not have minimum availability.")
  }

  /// A pause, its end, and a set just made or first seen start the clock of progress anew.
  private func noteBeginning(_ conditions: inout [StatusCondition]) {
    let current = conditions.first { $0.type == Self.progressing }
    func note(_ status: String, _ reason: String, _ message: String) {
      set(&conditions, StatusCondition(type: Self.progressing, status: status, reason: reason, message: message))
    }
    if current?.reason != "ProgressDeadlineExceeded" {
      if deployment.isPaused, current?.reason != "DeploymentPaused" {
        note("Unknown", "DeploymentPaused", "Deployment is paused")
      } else if !deployment.isPaused, current?.reason == "DeploymentPaused" {
        note("Unknown", "DeploymentResumed", "Deployment is resumed")
      }
    }
    guard let new = sets.new else { return }
    if newSet == .created {
      note("True", "NewReplicaSetCreated", "Created new replica set \"\(new.name)\"")
    } else if current == nil, !deployment.isPaused {
      note("True", "FoundNewReplicaSet", "Found new replica set \"\(new.name)\"")
    }
  }

  /// A complete rollout stays complete, whatever its pods do later, until there is another template.
  private func judgeProgress(_ counts: DeploymentCounts, _ conditions: inout [StatusCondition]) {
    let current = conditions.first { $0.type == Self.progressing }
    if counts.replicas == counts.updated && current?.reason == "NewReplicaSetAvailable" { return }
    let subject = sets.new.map { "ReplicaSet \"\($0.name)\"" } ?? "Deployment \"\(deployment.name)\""
    func note(_ status: String, _ reason: String, _ message: String, refreshing: Bool = false) {
      set(
        &conditions, StatusCondition(type: Self.progressing, status: status, reason: reason, message: message),
        refreshing: refreshing)
    }
    if counts.isComplete(deployment) {
      note("True", "NewReplicaSetAvailable", "\(subject) has successfully progressed.")
    } else if hasProgressed(counts) {
      // Progress that continues keeps its deadline moving.
      note("True", "ReplicaSetUpdated", "\(subject) is progressing.", refreshing: true)
    } else if hasTimedOut(current) {
      note("False", "ProgressDeadlineExceeded", "\(subject) has timed out progressing.")
    }
  }

  private func hasProgressed(_ counts: DeploymentCounts) -> Bool {
    let old = deployment.status
    let oldUpdated = old["updatedReplicas"].integer ?? 0
    return counts.updated > oldUpdated
      || counts.replicas - counts.updated < (old["replicas"].integer ?? 0) - oldUpdated
      || counts.ready > (old["readyReplicas"].integer ?? 0)
      || counts.available > (old["availableReplicas"].integer ?? 0)
  }

  private func hasTimedOut(_ current: StatusCondition?) -> Bool {
    guard let current, let updated = current.lastUpdateTime, current.reason != "NewReplicaSetAvailable" else {
      return false
    }
    if current.reason == "ProgressDeadlineExceeded" { return true }
    return updated + .seconds(deployment.progressDeadlineSeconds) < now
  }

  /// Replaces a condition whose status or reason is another: it is the last one then. The transition time moves with the
  /// status alone.
  private func set(_ conditions: inout [StatusCondition], _ condition: StatusCondition, refreshing: Bool = false) {
    Self.set(&conditions, condition, at: now, refreshing: refreshing)
  }

  /// The conditions of a deployment whose progress is as said.
  static func conditions(
    of deployment: Deployment, noting reason: String, _ message: String, isProgressing: Bool, at now: WallTime
  ) -> [StatusCondition] {
    var conditions = deployment.conditions
    set(
      &conditions,
      StatusCondition(
        type: progressing, status: isProgressing ? "True" : "False", reason: reason, message: message), at: now)
    return conditions
  }

  private static func set(
    _ conditions: inout [StatusCondition], _ condition: StatusCondition, at now: WallTime, refreshing: Bool = false
  ) {
    let whole = WallTime(secondsSinceEpoch: now.secondsSinceEpoch)
    var condition = condition
    condition.lastUpdateTime = whole
    condition.lastTransitionTime = whole
    guard let index = conditions.firstIndex(where: { $0.type == condition.type }) else {
      return conditions.append(condition)
    }
    let old = conditions[index]
    if old.status == condition.status && old.reason == condition.reason && !refreshing { return }
    if old.status == condition.status { condition.lastTransitionTime = old.lastTransitionTime }
    conditions.remove(at: index)
    conditions.append(condition)
  }
}
