// The pods that a controller makes and deletes for its owners: what ReplicaSets, ReplicationControllers, DaemonSets and
// Jobs have in common. What is to be made and deleted they decide themselves.
import Client
import JSON
import Schema
import Synchronization
import World

/// What came of a turn.
struct PodOutcome: Sendable {
  var created = 0
  /// On their way out.
  var deleted: [Pod] = []
  /// The first thing that failed, unless it was to be expected.
  var error: (any Error)?
}

final class OwnedPods<Owner: SelectingOwner>: Sendable {
  private let client: APIClient
  private let recorder: EventRecorder
  private let owners: Informer<Owner>
  private let objects: OwnedObjects<Pod>
  /// Pods, by uid, whose deletion was asked for, until it is seen or refused. One without an answer goes first when the
  /// next is chosen: else two would go.
  private let deletionsAsked = Mutex<Set<String>>([])

  init(client: APIClient, recorder: EventRecorder, owners: Informer<Owner>, pods: Informer<Pod>, world: any World) {
    self.client = client
    self.recorder = recorder
    self.owners = owners
    objects = OwnedObjects(client: client, informer: pods, world: world)
  }

  /// Whether all that was asked for has been seen: counting is right.
  func isSettled(_ key: NamespacedName) -> Bool { objects.isSettled(key) }
  func forget(_ owner: Owner) { objects.forget(ObjectOwner(owner)) }

  // MARK: Observing

  /// Takes note of what happened to a pod; returns the owners that have to look at it.
  func observe(_ event: InformerEvent<Pod>) -> [NamespacedName] {
    let pod = event.object
    var concerned: [NamespacedName] = []
    if case .updated(let old, let new) = event, old.metadata.controller != new.metadata.controller,
      let former = owners.controller(of: old)
    {
      concerned.append(former.key)
    }
    if isGone(event) { deletionsAsked.withLock { _ = $0.remove(pod.metadata.uid) } }
    guard let owner = owners.controller(of: pod) else { return concerned + suitors(event) }
    if isGone(event) {
      objects.deletionSeen(pod.key, of: ObjectOwner(owner))
    } else if case .added = event {
      objects.creationSeen(pod.key, of: ObjectOwner(owner))
    }
    return concerned + [owner.key]
  }

  private func isGone(_ event: InformerEvent<Pod>) -> Bool {
    if case .deleted = event { return true }
    return event.object.metadata.isBeingDeleted
  }

  private func suitors(_ event: InformerEvent<Pod>) -> [NamespacedName] {
    if isGone(event) { return [] }
    if case .updated(let old, let new) = event, old.metadata.labels == new.metadata.labels,
      old.metadata.controller == nil
    {
      return []
    }
    return owners.suitors(of: event.object).map(\.key)
  }

  // MARK: Acting

  /// Whether the pod's deletion was asked for and not answered.
  func isDeletionAsked(_ pod: Pod) -> Bool { deletionsAsked.withLock { $0.contains(pod.metadata.uid) } }

  /// Makes and deletes pods. Unless `expecting` is false, the owner is not settled until all of it has been seen.
  func perform(
    creating requests: [CreationRequest] = [], deleting victims: [Pod] = [], for owner: Owner, expecting: Bool = true
  ) async -> PodOutcome {
    guard !requests.isEmpty || !victims.isEmpty else { return PodOutcome() }
    let identity = ObjectOwner(owner)
    var names: [String] = []
    if expecting { names = objects.begin(creating: requests, deleting: victims.map(\.key), for: identity) }
    var outcome = PodOutcome()
    var failures: [(any Error)?] = []
    if !names.isEmpty {
      let (created, failure) = await create(requests, names, for: owner)
      outcome.created = created
      failures.append(failure)
    }
    if !victims.isEmpty {
      let (deleted, failure) = await delete(victims, of: owner)
      outcome.deleted = deleted
      failures.append(failure)
    }
    outcome.error = failures.lazy.compactMap { $0 }.last
    return outcome
  }

  private func create(
    _ requests: [CreationRequest], _ names: [String], for owner: Owner
  ) async -> (Int, (any Error)?) {
    let identity = ObjectOwner(owner)
    let subject = EventRecorder.Subject(owner)
    let start = await slowStart(requests.count, on: client.world) { [objects, recorder] index in
      let name = try await objects.create(requests[index], named: names[index], for: identity)
      recorder.record(subject, .normal, reason: "SuccessfulCreate", message: "Created pod: \(name)")
    }
    objects.abandon(names.dropFirst(start.tried), of: identity)
    guard let error = start.error else { return (start.succeeded, nil) }
    if let status = error as? APIStatus, status.isNamespaceTerminating { return (start.succeeded, nil) }
    recorder.record(subject, .warning, reason: "FailedCreate", message: "Error creating: \(error.eventText)")
    return (start.succeeded, error)
  }

  private func delete(_ victims: [Pod], of owner: Owner) async -> ([Pod], (any Error)?) {
    await withTaskGroup(of: (Pod, (any Error)?).self) { group in
      for pod in victims { group.addTask(on: client.world) { (pod, await self.delete(pod, of: owner)) } }
      return await group.reduce(into: ([], nil)) { result, one in
        if let error = one.1 { result.1 = result.1 ?? error } else { result.0.append(one.0) }
      }
    }
  }

  private func delete(_ pod: Pod, of owner: Owner) async -> (any Error)? {
    let subject = EventRecorder.Subject(owner)
    deletionsAsked.withLock { _ = $0.insert(pod.metadata.uid) }
    do {
      try await client.delete(.pods, namespace: pod.namespace, name: pod.name, DeleteOptions(uid: pod.metadata.uid))
      recorder.record(subject, .normal, reason: "SuccessfulDelete", message: "Deleted pod: \(pod.name)")
      return nil
    } catch {
      objects.deletionSeen(pod.key, of: ObjectOwner(owner))
      let status = error as? APIStatus
      if let status, status.code < 500 { deletionsAsked.withLock { _ = $0.remove(pod.metadata.uid) } }
      // Gone, or another by now.
      if let status, status.code == 404 || status.code == 409 { return nil }
      recorder.record(subject, .warning, reason: "FailedDelete", message: "Error deleting: \(error.eventText)")
      return error
    }
  }
}

extension PodTemplate {
  /// A pod of this template, to be created in the owner's namespace under a generated name. (Long names of owners are
  /// cut where the name is made.)
  func pod<Owner: APIObject>(ownedBy owner: Owner) -> JSONValue {
    var metadata: JSONValue = [
      "generateName": .string("\(owner.name)-"), "namespace": .string(owner.namespace),
      "ownerReferences": [owner.controllerReference.json],
    ]
    for key in ["labels", "annotations", "finalizers"] { metadata[key] = json["metadata"][key] }
    return ["apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": json["spec"]]
  }
}

extension APIStatus {
  /// Creation was refused because the namespace is going away: nothing to complain about.
  var isNamespaceTerminating: Bool { causes.contains { $0.reason == "NamespaceTerminating" } }
}
