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
  private let expectations: Expectations

  public init(context: ControllerContext, owners: Informer<Owner>, pods: Informer<Pod>) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = context.recorder(Self.serviceAccount)
    logger = context.logger
    self.owners = owners
    self.pods = pods
    queue = WorkQueue(world: context.world)
    expectations = Expectations(world: context.world)
    owners.onEvent { [queue, expectations] event in
      // Another owner may take the name; it has asked for nothing yet.
      if case .deleted(let owner) = event { expectations.forget(owner.key) }
      queue.add(event.object.key)
    }
    pods.onEvent { [weak self] event in self?.podChanged(event) }
  }

  public func run() async {
    await owners.waitForSync()
    await pods.waitForSync()
    await queue.run(
      workers: Self.workers,
      onError: { [logger] key, error in logger.debug("\(Owner.reference.kind) \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  // MARK: Observing

  private func podChanged(_ event: InformerEvent<Pod>) {
    switch event {
    case .added(let pod):
      if pod.metadata.isBeingDeleted { return podGone(pod) }
      if let key = ownerKey(of: pod) {
        expectations.creationObserved(key)
        queue.add(key)
      } else {
        addMatching(pod)
      }
    case .updated(let old, let new):
      if new.metadata.isBeingDeleted { podGone(new) }
      let before = ownerKey(of: old)
      if let before, old.metadata.controller != new.metadata.controller { queue.add(before) }
      guard let key = ownerKey(of: new) else {
        if old.metadata.labels != new.metadata.labels || old.metadata.controller != nil { addMatching(new) }
        return
      }
      queue.add(key)
      // The pod becomes available without another event when it has been ready for long enough.
      if !old.isReady, new.isReady, let owner = owners.get(key), owner.minReadySeconds > 0 {
        queue.add(key, after: .seconds(owner.minReadySeconds + 1))
      }
    case .deleted(let pod): podGone(pod)
    }
  }

  private func podGone(_ pod: Pod) {
    guard let key = ownerKey(of: pod) else { return }
    expectations.deletionObserved(key, pod.key)
    queue.add(key)
  }

  private func ownerKey(of pod: Pod) -> NamespacedName? {
    guard let controller = pod.metadata.controller, controller.kind == Owner.reference.kind,
      controller.apiVersion == Owner.reference.apiVersion
    else { return nil }
    let key = NamespacedName(namespace: pod.namespace, name: controller.name)
    // Pods of an earlier owner of that name are not this one's.
    return owners.get(key)?.metadata.uid == controller.uid ? key : nil
  }

  /// An orphan concerns every owner whose selector matches it.
  private func addMatching(_ pod: Pod) {
    guard pod.metadata.controller == nil else { return }
    for owner in owners.objects(index: IndexName.namespace, value: pod.namespace)
    where owner.selector.matches(pod.metadata.labels) {
      queue.add(owner.key)
    }
  }

  // MARK: Reconciling

  private func sync(_ key: NamespacedName) async throws {
    guard let owner = owners.get(key) else { return expectations.forget(key) }
    let mayAct = expectations.isSatisfied(key)
    let owned = try await claim(owner)
    let active = owned.filter(\.isActive)
    var failure: (any Error)?
    if mayAct && !owner.metadata.isBeingDeleted {
      failure = await act(on: owner, active: active)
    }
    try await updateStatus(of: owner, active: active, failure: failure)
    if let failure { throw failure }
  }

  /// The pods that are this owner's, after adopting and releasing.
  private func claim(_ owner: Owner) async throws -> [Pod] {
    let claim = PodClaim(
      owner: owner.metadata, selector: owner.selector,
      controlled: pods.objects(index: IndexName.controllerUID, value: owner.metadata.uid),
      orphans: pods.objects(index: IndexName.orphan, value: owner.namespace))
    var owned = claim.owned
    if !claim.toAdopt.isEmpty, try await isStillThere(owner) {
      for pod in claim.toAdopt {
        try await client.setController(owner.controllerReference, of: pod)
        owned.append(pod)
      }
    }
    for pod in claim.toRelease { try await client.removeOwner(uid: owner.metadata.uid, of: pod) }
    return owned
  }

  /// A live read before adopting: the informer may not know yet that the owner was deleted and made anew.
  private func isStillThere(_ owner: Owner) async throws -> Bool {
    guard let live = try await client.find(Owner.reference, namespace: owner.namespace, name: owner.name) else {
      return false
    }
    return live["metadata"]["uid"].string == owner.metadata.uid && live["metadata"]["deletionTimestamp"].isNull
  }

  private func act(on owner: Owner, active: [Pod]) async -> (any Error)? {
    let siblings = Int(owner.replicas) < active.count ? siblings(of: owner, active) : []
    switch ReplicaPlan(replicas: owner.replicas, active: active, siblings: siblings, now: world.wallClock) {
    case .nothing: return nil
    case .create(let count): return await create(count, for: owner)
    case .delete(let victims): return await delete(victims, of: owner)
    }
  }

  /// The pods of all owners that one controller (a Deployment) has: where they crowd a node, one of them goes first.
  private func siblings(of owner: Owner, _ active: [Pod]) -> [Pod] {
    guard let controller = owner.metadata.controller else { return active }
    return owners.objects(index: IndexName.controllerUID, value: controller.uid)
      .flatMap { pods.objects(index: IndexName.controllerUID, value: $0.metadata.uid) }.filter(\.isActive)
  }

  private func create(_ count: Int, for owner: Owner) async -> (any Error)? {
    expectations.expectCreations(count, by: owner.key)
    let pod = owner.template.pod(ownedBy: owner)
    let subject = EventRecorder.Subject(owner)
    let (succeeded, error) = await slowStart(count) { [client, recorder] _ in
      let created = try await client.create(.pods, namespace: owner.namespace, pod)
      let name = created["metadata"]["name"].string ?? ""
      recorder.record(subject, .normal, reason: "SuccessfulCreate", message: "Created pod: \(name)")
    }
    if succeeded < count { expectations.creationObserved(owner.key, count: count - succeeded) }
    guard let error else { return nil }
    if let status = error as? APIStatus, status.isNamespaceTerminating { return nil }
    recorder.record(subject, .warning, reason: "FailedCreate", message: "Error creating: \(Self.text(error))")
    return error
  }

  private func delete(_ victims: [Pod], of owner: Owner) async -> (any Error)? {
    expectations.expectDeletions(victims.map(\.key), by: owner.key)
    let subject = EventRecorder.Subject(owner)
    return await withTaskGroup(of: (any Error)?.self) { group in
      for pod in victims {
        group.addTask { [client, recorder, expectations] in
          do {
            try await client.delete(
              .pods, namespace: pod.namespace, name: pod.name, DeleteOptions(uid: pod.metadata.uid))
            recorder.record(subject, .normal, reason: "SuccessfulDelete", message: "Deleted pod: \(pod.name)")
            return nil
          } catch {
            expectations.deletionObserved(owner.key, pod.key)
            if let status = error as? APIStatus, status.code == 404 || status.code == 409 { return nil }
            recorder.record(
              subject, .warning, reason: "FailedDelete", message: "Error deleting: \(Self.text(error))")
            return error
          }
        }
      }
      return await group.reduce(into: nil) { $0 = $0 ?? $1 }
    }
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
    var conditions = owner.status.conditions.filter { $0.type != "ReplicaFailure" }
    if let failure {
      let reason = count.replicas < owner.replicas ? "FailedCreate" : "FailedDelete"
      let known = owner.status.conditions.first { $0.type == "ReplicaFailure" && $0.reason == reason }
      conditions.append(
        known
          ?? StatusCondition(
            type: "ReplicaFailure", status: "True", reason: reason, message: Self.text(failure),
            lastTransitionTime: WallTime(secondsSinceEpoch: now.secondsSinceEpoch)))
    }
    return conditions
  }

  private static func text(_ error: any Error) -> String { (error as? APIStatus)?.message ?? "\(error)" }
}

extension PodTemplate {
  /// A pod of this template, to be created in the owner's namespace under a generated name.
  func pod<Owner: APIObject>(ownedBy owner: Owner) -> JSONValue {
    var metadata: JSONValue = [
      "generateName": .string(Self.namePrefix(of: owner.name)), "namespace": .string(owner.namespace),
      "ownerReferences": [owner.controllerReference.json],
    ]
    for key in ["labels", "annotations", "finalizers"] { metadata[key] = json["metadata"][key] }
    return ["apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": json["spec"]]
  }

  /// The owner's name and a dash. Long names are cut by the server, which needs room for its suffix.
  private static func namePrefix(of owner: String) -> String { "\(owner)-" }
}

extension APIStatus {
  /// Creation was refused because the namespace is going away: nothing to complain about.
  var isNamespaceTerminating: Bool { causes.contains { $0.reason == "NamespaceTerminating" } }
}

extension APIClient {
  /// Makes `owner` the controller of an orphan; the uid in the patch keeps it from meeting another object of that name.
  func setController<Object: APIObject>(_ owner: OwnerReference, of object: Object) async throws {
    try await patch(
      Object.reference, namespace: object.namespace, name: object.name,
      ["metadata": ["ownerReferences": [owner.json], "uid": .string(object.metadata.uid)]], type: .strategic)
  }

  /// Takes an owner off an object; an object that has gone meanwhile needs no release.
  func removeOwner<Object: APIObject>(uid: String, of object: Object) async throws {
    do {
      try await patch(
        Object.reference, namespace: object.namespace, name: object.name,
        [
          "metadata": [
            "ownerReferences": [["$patch": "delete", "uid": .string(uid)]], "uid": .string(object.metadata.uid),
          ]
        ], type: .strategic)
    } catch let status as APIStatus where status.code == 404 || status.code == 422 || status.code == 409 {
      return
    }
  }
}
