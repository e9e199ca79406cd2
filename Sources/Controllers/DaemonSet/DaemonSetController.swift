// DaemonSets: one pod on every node that suits (spec/5 §5.1).
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

/// Keeps the pods of DaemonSets, by planning (DaemonSetPlan) and acting on pods and revisions.
public final class DaemonSetController: Controller {
  public static let serviceAccount = "daemon-set-controller"
  /// Its events come from here.
  private static let component = "daemonset-controller"
  private static let workers = 2
  /// At most this many pods are made, and deleted, in one turn (spec/5 §5.1).
  private static let burst = 250
  /// On large clusters a turn looks at every node: events that come close together share one.
  private static let settling = Duration.milliseconds(100)
  private static let largeCluster = 100

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let history: ControllerHistory<DaemonSet>
  private let queue: WorkQueue<NamespacedName>
  private let expectations: Expectations
  private let backoff = Mutex(FailedPodBackoff())

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = EventRecorder(client: client, component: Self.component, logger: context.logger)
    logger = context.logger
    self.informers = informers
    history = ControllerHistory(client: client, informer: informers.controllerRevisions)
    queue = WorkQueue(world: context.world)
    expectations = Expectations(world: context.world)
    informers.daemonSets.onEvent { [queue, expectations] event in
      // Another set may take the name; it has asked for nothing yet.
      if case .deleted(let set) = event { expectations.forget(set.key) }
      queue.add(event.object.key)
    }
    informers.pods.onEvent { [weak self] event in self?.podChanged(event) }
    informers.nodes.onEvent { [weak self] event in self?.nodeChanged(event) }
  }

  public func run() async {
    await informers.daemonSets.waitForSync()
    await informers.nodes.waitForSync()
    await informers.pods.waitForSync()
    await informers.controllerRevisions.waitForSync()
    await queue.run(
      workers: Self.workers,
      onError: { [logger] key, error in logger.debug("DaemonSet \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  // MARK: Observing

  private func podChanged(_ event: InformerEvent<Pod>) {
    let pod = event.object
    if case .updated(let old, let new) = event, old.metadata.controller != new.metadata.controller,
      let before = ownerKey(of: old)
    {
      queue.add(before)
    }
    guard pod.metadata.controller != nil else {
      for set in informers.daemonSets.objects(index: IndexName.namespace, value: pod.namespace)
      where set.selector.matches(pod.metadata.labels) {
        queue.add(set.key)
      }
      return
    }
    guard let key = ownerKey(of: pod) else { return }
    switch event {
    case .deleted: expectations.deletionObserved(key, pod.key)
    case .added where !pod.metadata.isBeingDeleted: expectations.creationObserved(key)
    case .added, .updated: if pod.metadata.isBeingDeleted { expectations.deletionObserved(key, pod.key) }
    }
    enqueue(key)
  }

  private func enqueue(_ key: NamespacedName) {
    queue.add(key, after: informers.nodes.count < Self.largeCluster ? .zero : Self.settling)
  }

  private func ownerKey(of pod: Pod) -> NamespacedName? {
    guard let owner = pod.metadata.controller, owner.kind == DaemonSet.reference.kind,
      owner.apiVersion == DaemonSet.reference.apiVersion
    else { return nil }
    let key = NamespacedName(namespace: pod.namespace, name: owner.name)
    return informers.daemonSets.get(key)?.metadata.uid == owner.uid ? key : nil
  }

  /// Heartbeats change a node every few seconds; only a change of its labels or taints concerns daemons.
  private func nodeChanged(_ event: InformerEvent<Node>) {
    if case .updated(let old, let new) = event {
      guard old.metadata.labels != new.metadata.labels || old.taints != new.taints else { return }
      for set in informers.daemonSets.all {
        let placement = DaemonPlacement(set)
        if placement.verdict(old) != placement.verdict(new) { enqueue(set.key) }
      }
    } else {
      for set in informers.daemonSets.all { enqueue(set.key) }
    }
  }

  // MARK: Reconciling

  private func sync(_ key: NamespacedName) async throws {
    guard let set = informers.daemonSets.get(key) else { return expectations.forget(key) }
    if set.selector.isEverything {
      recorder.record(
        .init(set), .warning, reason: "SelectingAll",
        message: "This daemon set is selecting all pods. A non-empty selector is required.")
      return
    }
    // (What becomes of its pods and revisions is the garbage collector's from here on.)
    if set.metadata.isBeingDeleted { return }
    let revisions = try await history.revisions(of: set) { try await self.isStillThere(set) }
    let current = try await history.current(of: set, among: revisions)
    let mayAct = expectations.isSatisfied(key)
    let pods = try await claim(set)
    let hash = current.revision.daemonHash
    let observation = DaemonSetObservation(
      set: set, hash: hash, nodes: informers.nodes.all.sorted { $0.name < $1.name }, pods: pods, now: world.wallClock)
    var failure: (any Error)?
    let plan: DaemonSetPlan
    if mayAct {
      plan = backoff.withLock { backoff in
        backoff.forget(now: observation.now)
        return DaemonSetPlan(observation, backoff: &backoff)
      }
      failure = await perform(plan, of: set, hash: hash)
    } else {
      // Only to count; what it would do about failed pods is not done.
      var none = FailedPodBackoff()
      plan = DaemonSetPlan(observation, backoff: &none)
    }
    try await write(plan.status(acted: mayAct, collisions: current.collisions), to: set)
    if mayAct, let recheck = plan.recheck { queue.add(key, after: recheck + .milliseconds(1)) }
    if let failure { throw failure }
    let live = Set(pods.compactMap { $0.metadata.labels[DaemonNames.revision] })
    try await history.truncate(
      revisions.filter { $0.name != current.revision.name }, of: set, countsLive: true
    ) { live.contains($0.daemonHash) }
  }

  /// The set's pods, after adopting and releasing.
  private func claim(_ set: DaemonSet) async throws -> [Pod] {
    let claim = PodClaim(
      owner: set.metadata, selector: set.selector,
      controlled: informers.pods.objects(index: IndexName.controllerUID, value: set.metadata.uid),
      orphans: informers.pods.objects(index: IndexName.orphan, value: set.namespace), adoptsFinished: true)
    var pods = claim.owned
    if !claim.toAdopt.isEmpty, try await isStillThere(set) {
      for pod in claim.toAdopt {
        try await client.setController(set.controllerReference, of: pod)
        pods.append(pod)
      }
    }
    for pod in claim.toRelease { try await client.removeOwner(uid: set.metadata.uid, of: pod) }
    return pods
  }

  /// A live read before adopting: the informer may not know yet that the set was deleted and made anew.
  private func isStillThere(_ set: DaemonSet) async throws -> Bool {
    guard let live = try await client.find(.daemonSets, namespace: set.namespace, name: set.name) else { return false }
    return live["metadata"]["uid"].string == set.metadata.uid && live["metadata"]["deletionTimestamp"].isNull
  }

  // MARK: Acting

  private func perform(_ plan: DaemonSetPlan, of set: DaemonSet, hash: String) async -> (any Error)? {
    for remark in plan.remarks {
      switch remark {
      case .failed(let pod, let node):
        recorder.record(
          .init(set), .warning, reason: "FailedDaemonPod",
          message: "Found failed daemon pod \(pod.key) on node \(node), will try to kill it")
      case .succeeded(let pod, let node):
        recorder.record(
          .init(set), .normal, reason: "SucceededDaemonPod",
          message: "Found succeeded daemon pod \(pod.key) on node \(node), will try to delete it")
      }
    }
    let nodes = Array(plan.nodesToServe.prefix(Self.burst))
    let victims = Array(plan.podsToDelete.prefix(Self.burst))
    guard !nodes.isEmpty || !victims.isEmpty else { return nil }
    expectations.expect(creations: nodes.count, deletions: victims.map(\.key), by: set.key)
    let failure = await create(on: nodes, of: set, hash: hash)
    return await delete(victims, of: set) ?? failure
  }

  private func create(on nodes: [String], of set: DaemonSet, hash: String) async -> (any Error)? {
    let subject = EventRecorder.Subject(set)
    let (succeeded, error) = await slowStart(nodes.count) { [client, recorder] index in
      let pod = DaemonPod.json(of: set, node: nodes[index], hash: hash)
      let created = try await client.create(.pods, namespace: set.namespace, pod)
      let name = created["metadata"]["name"].string ?? ""
      recorder.record(subject, .normal, reason: "SuccessfulCreate", message: "Created pod: \(name)")
    }
    if succeeded < nodes.count { expectations.creationObserved(set.key, count: nodes.count - succeeded) }
    guard let error else { return nil }
    if let status = error as? APIStatus, status.isNamespaceTerminating { return nil }
    recorder.record(subject, .warning, reason: "FailedCreate", message: "Error creating: \(error.eventText)")
    return error
  }

  private func delete(_ victims: [Pod], of set: DaemonSet) async -> (any Error)? {
    let subject = EventRecorder.Subject(set)
    return await withTaskGroup(of: (any Error)?.self) { group in
      for pod in victims {
        group.addTask { [client, recorder, expectations] in
          do {
            try await client.delete(
              .pods, namespace: pod.namespace, name: pod.name, DeleteOptions(uid: pod.metadata.uid))
            recorder.record(subject, .normal, reason: "SuccessfulDelete", message: "Deleted pod: \(pod.name)")
            return nil
          } catch {
            expectations.deletionObserved(set.key, pod.key)
            if let status = error as? APIStatus, status.code == 404 || status.code == 409 { return nil }
            recorder.record(subject, .warning, reason: "FailedDelete", message: "Error deleting: \(error.eventText)")
            return error
          }
        }
      }
      return await group.reduce(into: nil) { $0 = $0 ?? $1 }
    }
  }

  private func write(_ status: DaemonSetStatus, to set: DaemonSet) async throws {
    guard status != set.status else { return }
    try await client.modify(
      .daemonSets, namespace: set.namespace, name: set.name, uid: set.metadata.uid, subresource: "status"
    ) { $0["status"] = status.json }
  }
}
