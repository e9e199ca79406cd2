// StatefulSets: pods with names, order and claims of their own (spec/5 §5.4).
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

/// Keeps the pods of StatefulSets, by planning (StatefulSetPlan) and acting on pods, claims and revisions.
public final class StatefulSetController: Controller {
  public static let serviceAccount = "statefulset-controller"
  private static let workers = 5

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let history: ControllerHistory<StatefulSet>
  private let queue: WorkQueue<NamespacedName>
  /// Pods (by uid) whose deletion was asked for; until the informer shows it, they must not count as well.
  private let deletionsAsked = Mutex<Set<String>>([])

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = context.recorder(Self.serviceAccount)
    logger = context.logger
    self.informers = informers
    history = ControllerHistory(client: client, informer: informers.controllerRevisions)
    queue = context.makeQueue("statefulset")
    informers.statefulSets.onEvent { [queue] event in queue.add(event.object.key) }
    informers.pods.onEvent { [weak self] event in self?.podChanged(event) }
    informers.claims.onEvent { [weak self] event in
      if case .deleted(let claim) = event { self?.claimGone(claim) }
    }
  }

  public func run() async {
    let known: [any Following] = [
      informers.statefulSets, informers.pods, informers.claims, informers.controllerRevisions,
    ]
    await work(queue, workers: Self.workers, after: known, logger: logger, "StatefulSet") { try await self.sync($0) }
  }

  // MARK: Observing

  private func podChanged(_ event: InformerEvent<Pod>) {
    let pod = event.object
    var isGone = pod.metadata.isBeingDeleted
    if case .deleted = event { isGone = true }
    if isGone { deletionsAsked.withLock { _ = $0.remove(pod.metadata.uid) } }
    if case .updated(let old, let new) = event, old.metadata.controller != new.metadata.controller {
      enqueueOwner(of: old)
    }
    if pod.metadata.controller != nil { return enqueueOwner(of: pod) }
    for set in informers.statefulSets.suitors(of: pod) where set.ordinal(of: pod.name) != nil { queue.add(set.key) }
  }

  /// Whoever has that name: pods of an earlier set keep a later one's names.
  private func enqueueOwner(of pod: Pod) {
    if let key = informers.statefulSets.controllerKey(of: pod.metadata) { queue.add(key) }
  }

  /// A pod may wait for a claim of its predecessor to go.
  private func claimGone(_ claim: PersistentVolumeClaim) {
    for set in informers.statefulSets.objects(index: IndexName.namespace, value: claim.namespace)
    where set.claimTemplates.contains(where: {
      claim.name.hasPrefix("\($0["metadata"]["name"].string ?? "")-\(set.name)-")
    }) {
      queue.add(set.key)
    }
  }

  // MARK: Reconciling

  private func sync(_ key: NamespacedName) async throws {
    guard let set = informers.statefulSets.get(key) else { return }
    let revisions = try await history.revisions(of: set)
    let pods = try await client.claim(informers.pods, for: set, isMember: { set.ordinal(of: $0.name) != nil })
      .sorted { (set.ordinal(of: $0.name) ?? 0) < (set.ordinal(of: $1.name) ?? 0) }
    let update = try await history.current(of: set, among: revisions)
    let current = revisions.first { $0.name == set.status.currentRevision } ?? update.revision
    let plan = StatefulSetPlan(
      StatefulSetObservation(
        set: set, current: current, update: update.revision, pods: pods,
        claim: { [claims = informers.claims] in claims.get(namespace: set.namespace, name: $0) },
        deletionsAsked: deletionsAsked.withLock { $0 }, collisions: update.collisions ?? 0, now: world.wallClock))
    let failure = await perform(plan, of: set)
    try await write(plan.status, to: set)
    if let recheck = plan.recheck { queue.add(key, after: recheck + .milliseconds(1)) }
    if let failure { throw failure }
    let live = Set(pods.map(\.revisionName) + [current.name, update.revision.name])
    try await history.truncate(revisions, of: set) { live.contains($0.name) }
  }

  // MARK: Acting

  /// Takes the plan's steps; the first failure ends it after its phase.
  private func perform(_ plan: StatefulSetPlan, of set: StatefulSet) async -> (any Error)? {
    for steps in plan.phases {
      if set.isParallel {
        let start = await slowStart(steps.count, on: client.world) { try await self.perform(steps[$0], of: set) }
        if let error = start.error { return error }
      } else {
        do { for step in steps { try await perform(step, of: set) } } catch { return error }
      }
    }
    return nil
  }

  private func perform(_ step: StatefulSetPlan.Step, of set: StatefulSet) async throws {
    switch step {
    case .create(let ordinal, let revision): try await create(ordinal, revision, of: set)
    case .provideClaims(let pod, let ordinal):
      try await createClaims(ordinal, of: set)
      try await correctOwners(pod, ordinal, of: set)
    case .conform(let pod, let ordinal): try await conform(pod, ordinal, of: set)
    case .handOverClaims(let pod, let ordinal): try await correctOwners(pod, ordinal, of: set)
    case .replace(let pod):
      let failed = pod.status.phase == "Failed"
      recorder.record(
        .init(set), failed ? .warning : .normal, reason: failed ? "RecreatingFailedPod" : "RecreatingTerminatedPod",
        message: "StatefulSet \(set.key) is recreating \(failed ? "failed" : "terminated") Pod \(pod.name)")
      try await delete(pod, of: set)
    case .delete(let pod): try await delete(pod, of: set)
    }
  }

  private func create(_ ordinal: Int64, _ revision: ControllerRevision, of set: StatefulSet) async throws {
    let name = set.podName(ordinal)
    do {
      try await createClaims(ordinal, of: set)
      try await client.create(.pods, namespace: set.namespace, set.pod(ordinal, of: revision))
      report("create", name, of: set, nil)
    } catch let status as APIStatus where status.isNamespaceTerminating {
      return
    } catch let status as APIStatus where status.reason == "AlreadyExists" {
      // Made a moment ago; the informer has not shown it yet. Another's pod of that name is waited for.
      let known = try await client.find(.pods, namespace: set.namespace, name: name).map(Pod.init(json:))
      if known?.metadata.controller?.uid != set.metadata.uid { throw status }
    } catch {
      report("create", name, of: set, error)
      throw error
    }
  }

  private func createClaims(_ ordinal: Int64, of set: StatefulSet) async throws {
    for claim in set.claims(ordinal) {
      let name = claim["metadata"]["name"].string ?? ""
      if let known = informers.claims.get(namespace: set.namespace, name: name) {
        guard known.metadata.isBeingDeleted else { continue }
        throw ClaimGoing(description: "pvc \(name) is being deleted")
      }
      let subject = EventRecorder.Subject(set)
      do {
        try await client.create(.persistentVolumeClaims, namespace: set.namespace, claim)
        recorder.record(
          subject, .normal, reason: "SuccessfulCreate",
          message: "create Claim \(name) Pod \(set.podName(ordinal)) in StatefulSet \(set.name) success")
      } catch let status as APIStatus where status.reason == "AlreadyExists" {
        continue
      } catch {
        recorder.record(
          subject, .warning, reason: "FailedCreate",
          message: "create Claim \(name) for Pod \(set.podName(ordinal)) in StatefulSet \(set.name) failed error: "
            + error.eventText)
        throw ClaimGoing(description: "failed to create PVC \(name): \(error.eventText)")
      }
    }
  }

  private func conform(_ pod: Pod, _ ordinal: Int64, of set: StatefulSet) async throws {
    do {
      if !set.hasStorage(pod, ordinal) { try await createClaims(ordinal, of: set) }
      try await correctOwners(pod, ordinal, of: set)
      var patch: JSONValue = ["metadata": ["uid": .string(pod.metadata.uid)]]
      if !set.hasIdentity(pod) {
        for (key, value) in set.identity(ordinal) { patch["metadata"]["labels"][key] = .string(value) }
      }
      // (The server refuses: what a pod mounts is settled when it is made. The event tells.)
      if !set.hasStorage(pod, ordinal) { patch["spec"]["volumes"] = set.volumes(ordinal, beside: []) }
      if !patch["metadata"]["labels"].isNull || !patch["spec"].isNull {
        try await client.patch(.pods, namespace: pod.namespace, name: pod.name, patch, type: .strategic)
      }
      report("update", pod.name, of: set, nil)
    } catch let status as APIStatus where status.code == 404 {
      return
    } catch {
      report("update", pod.name, of: set, error)
      throw error
    }
  }

  private func correctOwners(_ pod: Pod, _ ordinal: Int64, of set: StatefulSet) async throws {
    let retention = ClaimRetention(set: set, pod: pod, ordinal: ordinal)
    for name in set.claimNames(ordinal) {
      guard let claim = informers.claims.get(namespace: set.namespace, name: name) else { continue }
      let owners = claim.metadata.ownerReferences
      if retention.hasForeignController(owners) {
        recorder.record(
          .init(set), .warning, reason: "ConflictingController",
          message: "PersistentVolumeClaim \(name) has a conflicting OwnerReference that acts as a manging controller, "
            + "the retention policy is ignored for this claim")
      }
      guard retention.correction(owners) != nil else { continue }
      try await client.modify(
        .persistentVolumeClaims, namespace: set.namespace, name: name, uid: claim.metadata.uid
      ) { object in
        let live = object["metadata"]["ownerReferences"].elements.map(OwnerReference.init(json:))
        guard let wanted = retention.correction(live) else { return }
        object["metadata"]["ownerReferences"] = wanted.isEmpty ? .null : .array(wanted.map(\.json))
      }
    }
  }

  private func delete(_ pod: Pod, of set: StatefulSet) async throws {
    deletionsAsked.withLock { _ = $0.insert(pod.metadata.uid) }
    do {
      try await client.delete(
        .pods, namespace: pod.namespace, name: pod.name, DeleteOptions(uid: pod.metadata.uid))
      report("delete", pod.name, of: set, nil)
    } catch {
      deletionsAsked.withLock { _ = $0.remove(pod.metadata.uid) }
      if let status = error as? APIStatus, status.code == 404 || status.code == 409 { return }
      report("delete", pod.name, of: set, error)
      throw error
    }
  }

  private func write(_ status: StatefulSetStatus, to set: StatefulSet) async throws {
    guard status != set.status else { return }
    try await client.modify(
      .statefulSets, namespace: set.namespace, name: set.name, uid: set.metadata.uid, subresource: "status"
    ) { $0["status"] = status.json }
  }

  private func report(_ verb: String, _ pod: String, of set: StatefulSet, _ error: (any Error)?) {
    let what = "\(verb) Pod \(pod) in StatefulSet \(set.name)"
    let title = verb.prefix(1).uppercased() + verb.dropFirst()
    if let error {
      recorder.record(
        .init(set), .warning, reason: "Failed\(title)", message: "\(what) failed error: \(error.eventText)")
    } else {
      recorder.record(.init(set), .normal, reason: "Successful\(title)", message: "\(what) successful")
    }
  }

}

/// A claim that a pod needs and cannot have now.
private struct ClaimGoing: Error, CustomStringConvertible {
  let description: String
}
