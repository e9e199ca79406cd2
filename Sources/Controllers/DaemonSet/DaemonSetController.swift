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
  private let ownedPods: OwnedPods<DaemonSet>
  private let backoff = Mutex(FailedPodBackoff())

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = EventRecorder(client: client, component: Self.component, logger: context.logger)
    logger = context.logger
    self.informers = informers
    history = ControllerHistory(client: client, informer: informers.controllerRevisions)
    queue = context.makeQueue("daemonset")
    ownedPods = OwnedPods(
      client: client, recorder: recorder, owners: informers.daemonSets, pods: informers.pods, world: context.world)
    informers.daemonSets.onEvent { [queue, ownedPods] event in
      if case .deleted(let set) = event { ownedPods.forget(set) }
      queue.add(event.object.key)
    }
    informers.pods.onEvent { [weak self] event in self?.podChanged(event) }
    informers.nodes.onEvent { [weak self] event in self?.nodeChanged(event) }
  }

  public func run() async {
    let known: [any Following] = [
      informers.daemonSets, informers.nodes, informers.pods, informers.controllerRevisions,
    ]
    await work(queue, workers: Self.workers, after: known, logger: logger, "DaemonSet") { try await self.sync($0) }
  }

  // MARK: Observing

  private func podChanged(_ event: InformerEvent<Pod>) {
    for key in ownedPods.observe(event) { enqueue(key) }
  }

  private func enqueue(_ key: NamespacedName) {
    queue.add(key, after: informers.nodes.count < Self.largeCluster ? .zero : Self.settling)
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
    guard let set = informers.daemonSets.get(key) else { return }
    if set.selector.isEverything {
      recorder.record(
        .init(set), .warning, reason: "SelectingAll",
        message: "This daemon set is selecting all pods. A non-empty selector is required.")
      return
    }
    // (What becomes of its pods and revisions is the garbage collector's from here on.)
    if set.metadata.isBeingDeleted { return }
    let revisions = try await history.revisions(of: set)
    let current = try await history.current(of: set, among: revisions)
    let mayAct = ownedPods.isSettled(key)
    let pods = try await client.claim(informers.pods, for: set)
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
    let requests = plan.nodesToServe.prefix(Self.burst).map { node in
      CreationRequest(object: DaemonPod.json(of: set, node: node, hash: hash), purpose: node)
    }
    return await ownedPods.perform(
      creating: requests, deleting: Array(plan.podsToDelete.prefix(Self.burst)), for: set
    ).error
  }

  private func write(_ status: DaemonSetStatus, to set: DaemonSet) async throws {
    guard status != set.status else { return }
    try await client.modify(
      .daemonSets, namespace: set.namespace, name: set.name, uid: set.metadata.uid, subresource: "status"
    ) { $0["status"] = status.json }
  }
}
