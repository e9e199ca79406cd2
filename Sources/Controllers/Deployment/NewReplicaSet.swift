// Making and marking the ReplicaSet that carries a Deployment's current template.
import Client
import JSON
import Schema
import World

extension DeploymentController {
  /// The sets with the new one among them, its revision and inherited annotations up to date; created where there is
  /// none and `mayCreate`.
  func withNewSet(_ deployment: Deployment, _ sets: DeploymentSets, mayCreate: Bool) async throws -> DeploymentSets {
    let revision = sets.nextRevision
    if let new = sets.new {
      var sets = sets
      sets.new = try await refresh(new, of: deployment, revision: revision)
      try await note(revision: max(revision, new.revision), on: deployment)
      return sets
    }
    guard mayCreate else { return sets }
    guard let created = try await create(for: deployment, sets, revision: revision) else { return sets }
    var sets = sets
    sets.new = created
    sets.madeNew = true
    try await note(revision: revision, on: deployment)
    return sets
  }

  /// Marks the set as the newest: a template that is taken up again gets a new revision and remembers the old.
  private func refresh(_ set: ReplicaSet, of deployment: Deployment, revision: Int64) async throws -> ReplicaSet {
    var annotations: JSONValue = [:]
    for (key, value) in deployment.metadata.annotations
    where !DeploymentNames.notInherited.contains(key) && set.metadata.annotations[key] != value {
      annotations[key] = .string(value)
    }
    if set.revision < revision {
      annotations[DeploymentNames.revision] = .string("\(revision)")
      if set.revision > 0 {
        let history = set.metadata.annotations[DeploymentNames.revisionHistory]
        annotations[DeploymentNames.revisionHistory] = .string(
          history.map { "\($0),\(set.revision)" } ?? "\(set.revision)")
      }
    }
    var patch: JSONValue = ["metadata": ["uid": .string(set.metadata.uid)]]
    if annotations.object?.isEmpty == false { patch["metadata"]["annotations"] = annotations }
    if set.minReadySeconds != deployment.minReadySeconds {
      patch["spec"]["minReadySeconds"] = .integer(deployment.minReadySeconds)
    }
    guard !patch["metadata"]["annotations"].isNull || !patch["spec"].isNull else { return set }
    return ReplicaSet(
      json: try await client.patch(.replicaSets, namespace: set.namespace, name: set.name, patch, type: .merge))
  }

  private func note(revision: Int64, on deployment: Deployment) async throws {
    guard deployment.annotatedRevision != "\(revision)" else { return }
    try await client.modify(
      .deployments, namespace: deployment.namespace, name: deployment.name, uid: deployment.metadata.uid,
      // (By way of the status: it is no change of what is wanted, so no new generation.)
      subresource: "status"
    ) { $0["metadata"]["annotations"][DeploymentNames.revision] = .string("\(revision)") }
  }

  /// Creates the set. Nil when its name is taken by a set with another template: the collision count moves and the next
  /// turn makes another name.
  private func create(for deployment: Deployment, _ sets: DeploymentSets, revision: Int64) async throws -> ReplicaSet? {
    let collisionCount = deployment.status["collisionCount"].integer
    let hash = TemplateHash.hash(deployment.template.withoutHash.json, collisionCount: collisionCount)
    let name = "\(deployment.name)-\(hash)"
    var template = deployment.template.json
    template["metadata"]["labels"][DeploymentNames.podTemplateHash] = .string(hash)
    var selector = deployment.selectorJSON
    selector["matchLabels"][DeploymentNames.podTemplateHash] = .string(hash)
    var annotations: JSONValue = [:]
    for (key, value) in deployment.metadata.annotations where !DeploymentNames.notInherited.contains(key) {
      annotations[key] = .string(value)
    }
    let size = RollingUpdate.newReplicas(deployment, sets)
    annotations[DeploymentNames.revision] = .string("\(revision)")
    annotations[DeploymentNames.desiredReplicas] = .string("\(deployment.replicas)")
    annotations[DeploymentNames.maxReplicas] = .string("\(deployment.maximumReplicas)")
    let set: JSONValue = [
      "apiVersion": "apps/v1", "kind": "ReplicaSet",
      "metadata": [
        "name": .string(name), "namespace": .string(deployment.namespace),
        "labels": template["metadata"]["labels"], "annotations": annotations,
        "ownerReferences": [deployment.controllerReference.json],
      ],
      "spec": [
        "replicas": .integer(size), "minReadySeconds": .integer(deployment.minReadySeconds), "selector": selector,
        "template": template,
      ],
    ]
    do {
      let created = ReplicaSet(json: try await client.create(.replicaSets, namespace: deployment.namespace, set))
      if size > 0 {
        recorder.record(
          .init(deployment), .normal, reason: "ScalingReplicaSet",
          message: "Scaled up replica set \(name) from 0 to \(size)")
      }
      return created
    } catch let status as APIStatus where status.reason == "AlreadyExists" {
      return try await resolveCollision(name, deployment)
    } catch let status as APIStatus where status.isNamespaceTerminating {
      throw status
    } catch {
      try await tellFailure("Failed to create new replica set \"\(name)\": \(error.eventText)", of: deployment)
      throw error
    }
  }

  /// The set cannot be made (a quota, a webhook): an event, and a rollout that does not progress.
  private func tellFailure(_ message: String, of deployment: Deployment) async throws {
    let reason = "ReplicaSetCreateError"
    recorder.record(.init(deployment), .warning, reason: reason, message: message)
    let conditions = DeploymentStatus.conditions(
      of: deployment, noting: reason, message, isProgressing: false, at: world.wallClock)
    guard deployment.progressDeadlineSeconds != Int64(Int32.max), conditions != deployment.conditions else { return }
    try await client.modify(
      .deployments, namespace: deployment.namespace, name: deployment.name, uid: deployment.metadata.uid,
      subresource: "status"
    ) { $0["status"]["conditions"] = .array(conditions.map(\.json)) }
  }

  /// Either our own set that the informer has not shown yet, or another's: then the count moves on.
  private func resolveCollision(_ name: String, _ deployment: Deployment) async throws -> ReplicaSet? {
    guard let json = try await client.find(.replicaSets, namespace: deployment.namespace, name: name) else {
      return nil
    }
    let existing = ReplicaSet(json: json)
    let isOurs =
      existing.metadata.controller?.uid == deployment.metadata.uid
      && existing.template.withoutHash == deployment.template.withoutHash
    if isOurs { return existing }
    let next = (deployment.status["collisionCount"].integer ?? 0) + 1
    try await client.modify(
      .deployments, namespace: deployment.namespace, name: deployment.name, uid: deployment.metadata.uid,
      subresource: "status"
    ) { $0["status"]["collisionCount"] = .integer(next) }
    return nil
  }
}
