// Deployments: ReplicaSets come and go so that the pods become what the template says (spec/5 §5.3).
import Client
import JSON
import Logging
import Schema
import World

/// Rolls Deployments out, by planning (DeploymentPlan) and acting on ReplicaSets.
public final class DeploymentController: Controller {
  public static let serviceAccount = "deployment-controller"
  private static let workers = 5

  let world: any World
  let client: APIClient
  let recorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = context.recorder(Self.serviceAccount)
    logger = context.logger
    self.informers = informers
    queue = context.makeQueue("deployment")
    informers.deployments.onEvent { [queue] event in queue.add(event.object.key) }
    informers.replicaSets.onEvent { [weak self] event in self?.setChanged(event) }
    informers.pods.onEvent { [weak self] event in
      if case .deleted(let pod) = event { self?.podDeleted(pod) }
    }
  }

  public func run() async {
    let known: [any Following] = [informers.deployments, informers.replicaSets, informers.pods]
    await work(queue, workers: Self.workers, after: known, logger: logger, "Deployment") { try await self.sync($0) }
  }

  // MARK: Observing

  private func setChanged(_ event: InformerEvent<ReplicaSet>) {
    if case .updated(let old, let new) = event, old.metadata.controller != new.metadata.controller {
      enqueueOwner(of: old)
    }
    let set = event.object
    if set.metadata.controller != nil { return enqueueOwner(of: set) }
    for deployment in informers.deployments.suitors(of: set) { queue.add(deployment.key) }
  }

  private func enqueueOwner(of set: ReplicaSet) {
    if let key = informers.deployments.controllerKey(of: set.metadata) { queue.add(key) }
  }

  /// The Recreate strategy waits for the last old pod.
  private func podDeleted(_ pod: Pod) {
    guard let owner = pod.metadata.controller, owner.kind == "ReplicaSet",
      let set = informers.replicaSets.get(namespace: pod.namespace, name: owner.name),
      let parent = set.metadata.controller,
      let deployment = informers.deployments.get(namespace: pod.namespace, name: parent.name), deployment.isRecreate
    else { return }
    queue.add(deployment.key)
  }

  // MARK: Reconciling

  private func sync(_ key: NamespacedName) async throws {
    guard let deployment = informers.deployments.get(key) else { return }
    if deployment.selector.isEverything {
      recorder.record(
        .init(deployment), .warning, reason: "SelectingAll",
        message: "This deployment is selecting all pods. A non-empty selector is required.")
      return
    }
    var sets = DeploymentSets(
      deployment: deployment, sets: try await client.claim(informers.replicaSets, for: deployment))
    if deployment.metadata.isBeingDeleted {
      return try await updateStatus(deployment, sets, judgesProgress: false)
    }
    if deployment.isPaused || ProportionalScaling.isNeeded(deployment, sets) {
      sets = try await withNewSet(deployment, sets, mayCreate: false)
      try await scaleProportionally(deployment, sets)
      if deployment.isPaused { try await cleanUp(deployment, sets) }
      return try await updateStatus(deployment, sets, judgesProgress: false)
    }
    if deployment.isRecreate {
      try await recreate(deployment, sets)
    } else {
      try await roll(deployment, sets)
    }
  }

  private func roll(_ deployment: Deployment, _ before: DeploymentSets) async throws {
    let sets = try await withNewSet(deployment, before, mayCreate: true)
    if let new = sets.new {
      let size = RollingUpdate.newReplicas(deployment, sets)
      if try await scale(new, to: size, of: deployment) { return try await updateStatus(deployment, sets) }
    }
    var scaled = false
    let sizes = RollingUpdate.oldReplicas(deployment, sets)
    for set in sets.old {
      if let size = sizes[set.metadata.uid], try await scale(set, to: size, of: deployment) { scaled = true }
    }
    if !scaled && DeploymentCounts(sets).isComplete(deployment) { try await cleanUp(deployment, sets) }
    try await updateStatus(deployment, sets)
  }

  private func recreate(_ deployment: Deployment, _ before: DeploymentSets) async throws {
    let sets = try await withNewSet(deployment, before, mayCreate: false)
    var scaled = false
    for set in sets.old where set.replicas > 0 {
      if try await scale(set, to: 0, of: deployment) { scaled = true }
    }
    let oldPodsRemain = sets.old.contains { set in
      informers.pods.objects(index: IndexName.controllerUID, value: set.metadata.uid).contains { !$0.isTerminal }
    }
    if scaled || oldPodsRemain { return try await updateStatus(deployment, sets) }
    let withNew = try await withNewSet(deployment, sets, mayCreate: true)
    if let new = withNew.new { _ = try await scale(new, to: deployment.replicas, of: deployment) }
    if DeploymentCounts(withNew).isComplete(deployment) { try await cleanUp(deployment, withNew) }
    try await updateStatus(deployment, withNew)
  }

  // MARK: Acting

  /// Sizes all sets in proportion (a Deployment that was resized, or is paused).
  private func scaleProportionally(_ deployment: Deployment, _ sets: DeploymentSets) async throws {
    let sizes = ProportionalScaling.sizes(deployment, sets)
    for set in sets.all {
      if let size = sizes[set.metadata.uid] { _ = try await scale(set, to: size, of: deployment) }
    }
  }

  /// Gives a set its size and the annotations that record what it was meant for. True when the size changed.
  @discardableResult
  private func scale(_ set: ReplicaSet, to size: Int64, of deployment: Deployment) async throws -> Bool {
    let changesSize = set.replicas != size
    let annotated =
      set.desiredReplicas == deployment.replicas && set.maxReplicas == deployment.maximumReplicas
    guard changesSize || !annotated else { return false }
    var patch: JSONValue = [
      "metadata": [
        "uid": .string(set.metadata.uid),
        "annotations": .object([
          DeploymentNames.desiredReplicas: .string("\(deployment.replicas)"),
          DeploymentNames.maxReplicas: .string("\(deployment.maximumReplicas)"),
        ]),
      ]
    ]
    if changesSize {
      // The set may have been sized since by nobody but us; a stale informer must not undo that.
      patch["metadata"]["resourceVersion"] = .string(set.metadata.resourceVersion)
      patch["spec"]["replicas"] = .integer(size)
    }
    try await client.patch(
      .replicaSets, namespace: set.namespace, name: set.name, patch, type: .merge)
    guard changesSize else { return false }
    let direction = size > set.replicas ? "up" : "down"
    recorder.record(
      .init(deployment), .normal, reason: "ScalingReplicaSet",
      message: "Scaled \(direction) replica set \(set.name) from \(set.replicas) to \(size)")
    return true
  }

  private func cleanUp(_ deployment: Deployment, _ sets: DeploymentSets) async throws {
    for set in RevisionHistory.surplus(deployment, sets) {
      do {
        try await client.delete(
          .replicaSets, namespace: set.namespace, name: set.name,
          DeleteOptions(propagation: .background, uid: set.metadata.uid))
      } catch let status as APIStatus where status.code == 404 {
        continue
      }
    }
  }

  private func updateStatus(_ deployment: Deployment, _ sets: DeploymentSets, judgesProgress: Bool = true) async throws
  {
    let status = DeploymentStatus(
      deployment: deployment, sets: sets, now: world.wallClock, newSet: sets.madeNew ? .created : .unchanged,
      judgesProgress: judgesProgress
    ).json()
    scheduleProgressCheck(deployment, status)
    guard status.withoutZeros != deployment.status.withoutZeros else { return }
    try await client.modify(
      .deployments, namespace: deployment.namespace, name: deployment.name, uid: deployment.metadata.uid,
      subresource: "status"
    ) { $0["status"] = status }
  }

  /// A rollout that does not move gives no event when its deadline passes.
  private func scheduleProgressCheck(_ deployment: Deployment, _ status: JSONValue) {
    let progressing = status["conditions"].elements.first { $0["type"].string == "Progressing" }
    guard !deployment.isPaused, let reason = progressing?["reason"].string, reason != "NewReplicaSetAvailable",
      reason != "ProgressDeadlineExceeded", let updated = progressing?["lastUpdateTime"].time
    else { return }
    let due = updated + .seconds(deployment.progressDeadlineSeconds + 1)
    queue.add(deployment.key, after: max(.seconds(1), due - world.wallClock))
  }
}

extension JSONValue {
  /// A status without members that are zero: the server leaves them out.
  fileprivate var withoutZeros: JSONValue {
    guard let object else { return self }
    return .object(
      JSONObject(
        uniqueMembers: object.members.filter { member in
          member.value != .integer(0) && member.value != .array([]) && !member.value.isNull
        }))
  }
}
