// ReplicaSets and ReplicationControllers: N pods, always (spec/5 §5.1). One controller serves both kinds.
import Client
import JSON
import Logging
import Schema
import World

/// Keeps as many pods as its owner asks for.
public final class ReplicaController<Owner: ReplicaOwner>: Controller {
  public static var serviceAccount: String {
    Owner.reference == .replicaSets ? "replicaset-controller" : "replication-controller"
  }
  private static var workers: Int { 5 }

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let owners: Informer<Owner>
  private let pods: Informer<Pod>
  private let queue: WorkQueue<NamespacedName>
  private let ownedPods: OwnedPods<Owner>

  public init(context: ControllerContext, owners: Informer<Owner>, pods: Informer<Pod>) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = context.recorder(Self.serviceAccount)
    logger = context.logger
    self.owners = owners
    self.pods = pods
    queue = context.makeQueue(Owner.reference.kind == "ReplicaSet" ? "replicaset" : "replicationmanager")
    ownedPods = OwnedPods(client: client, recorder: recorder, owners: owners, pods: pods, world: context.world)
    owners.onEvent { [queue, ownedPods] event in
      if case .deleted(let owner) = event { ownedPods.forget(owner) }
      queue.add(event.object.key)
    }
    pods.onEvent { [weak self] event in self?.podChanged(event) }
  }

  public func run() async {
    await work(queue, workers: Self.workers, after: [owners, pods], logger: logger, Owner.reference.kind) {
      try await self.sync($0)
    }
  }

  // MARK: Observing

  private func podChanged(_ event: InformerEvent<Pod>) {
    for key in ownedPods.observe(event) { queue.add(key) }
    // The pod becomes available without another event when it has been ready for long enough.
    if case .updated(let old, let new) = event, !old.isReady, new.isReady, !new.metadata.isBeingDeleted,
      let owner = owners.controller(of: new), owner.minReadySeconds > 0
    {
      queue.add(owner.key, after: .seconds(owner.minReadySeconds + 1))
    }
  }

  // MARK: Reconciling

  private func sync(_ key: NamespacedName) async throws {
    guard let owner = owners.get(key) else { return }
    let mayAct = ownedPods.isSettled(key)
    let owned = try await client.claim(pods, for: owner, isAdoptable: \.isActive)
    let active = owned.filter(\.isActive)
    var failure: (any Error)?
    if mayAct && !owner.metadata.isBeingDeleted {
      failure = await act(on: owner, active: active)
    }
    try await updateStatus(of: owner, active: active, failure: failure)
    if let failure { throw failure }
  }

  private func act(on owner: Owner, active: [Pod]) async -> (any Error)? {
    let siblings = Int(owner.replicas) < active.count ? siblings(of: owner, active) : []
    let plan = ReplicaPlan(
      replicas: owner.replicas, active: active, siblings: siblings, now: world.wallClock,
      isLeaving: ownedPods.isDeletionAsked)
    switch plan {
    case .nothing: return nil
    case .create(let count):
      let request = CreationRequest(object: owner.template.pod(ownedBy: owner))
      return await ownedPods.perform(creating: Array(repeating: request, count: count), for: owner).error
    case .delete(let victims): return await ownedPods.perform(deleting: victims, for: owner).error
    }
  }

  /// The pods of all owners that one controller (a Deployment) has: where they crowd a node, one of them goes first.
  private func siblings(of owner: Owner, _ active: [Pod]) -> [Pod] {
    guard let controller = owner.metadata.controller else { return active }
    return owners.objects(index: IndexName.controllerUID, value: controller.uid)
      .flatMap { pods.objects(index: IndexName.controllerUID, value: $0.metadata.uid) }.filter(\.isActive)
  }

  private func updateStatus(of owner: Owner, active: [Pod], failure: (any Error)?) async throws {
    let now = world.wallClock
    let count = ReplicaCount(
      active: active, templateLabels: owner.template.labels, minReadySeconds: owner.minReadySeconds, now: now)
    let conditions = conditions(of: owner, count: count, failure: failure, now: now)
    let old = owner.status
    let isSame =
      old.replicas == count.replicas && old.fullyLabeledReplicas == count.fullyLabeled
      && old.readyReplicas == count.ready && old.availableReplicas == count.available
      && old.observedGeneration == owner.metadata.generation && old.conditions == conditions
    if !isSame {
      let status: JSONValue = [
        "replicas": .integer(count.replicas), "fullyLabeledReplicas": .integer(count.fullyLabeled),
        "readyReplicas": .integer(count.ready), "availableReplicas": .integer(count.available),
        "observedGeneration": .integer(owner.metadata.generation), "conditions": .array(conditions.map(\.json)),
      ]
      try await client.modify(
        Owner.reference, namespace: owner.namespace, name: owner.name, uid: owner.metadata.uid, subresource: "status"
      ) { $0["status"] = status }
    }
    // Pods that are ready but not yet available give no event when their time has come.
    if owner.minReadySeconds > 0 && count.ready == owner.replicas && count.available != owner.replicas {
      queue.add(owner.key, after: .seconds(owner.minReadySeconds))
    }
  }

  private func conditions(of owner: Owner, count: ReplicaCount, failure: (any Error)?, now: WallTime)
    -> [StatusCondition]
  {
    let known = owner.status.conditions
    guard let failure else { return known.filter { $0.type != "ReplicaFailure" } }
    // The first failure stands, where it is, until there is none.
    if known.contains(where: { $0.type == "ReplicaFailure" }) { return known }
    return known + [
      StatusCondition(
        type: "ReplicaFailure", status: "True",
        reason: count.replicas < owner.replicas ? "FailedCreate" : "FailedDelete", message: failure.eventText,
        lastTransitionTime: WallTime(secondsSinceEpoch: now.secondsSinceEpoch))
    ]
  }
}
