// The scheduler: watches, decides with SchedulingCycle, binds (spec/6). Decisions are made one after the other on a
// snapshot that includes what was decided and not yet bound; bindings are sent many at a time.
import Client
import HTTP
import JSON
import Logging
import Schema
import Synchronization
import World

public final class Scheduler: Sendable {
  public static let name = "default-scheduler"
  /// Bindings under way at once; decisions wait when there are more.
  private static let maximumBindings = 256

  private struct State {
    var snapshot = ClusterSnapshot()
    var queue = SchedulingQueue()
    var cycle = SchedulingCycle()
    /// Decided here, not yet seen bound.
    var assumed: Set<String> = []
    var bindings = 0
    var isRunning = false
    var timerAt: MonotonicTime?
  }

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let pods: Informer<Pod>
  private let nodes: Informer<Node>
  private let services: Informer<Service>
  private let replicaSets: Informer<ReplicaSet>
  private let replicationControllers: Informer<ReplicationController>
  private let state = Mutex(State())

  public init(client: APIClient, logger: Logger) {
    world = client.world
    self.client = client
    self.logger = logger
    recorder = EventRecorder(client: client, component: Self.name, logger: logger)
    // Finished pods hold nothing and need nothing.
    pods = Informer(
      client: client, fieldSelector: "status.phase!=Succeeded,status.phase!=Failed", logger: logger)
    nodes = Informer(client: client, logger: logger)
    services = Informer(
      client: client, indexers: ["namespace": { [$0.metadata.namespace] }], logger: logger)
    replicaSets = Informer(client: client, logger: logger)
    replicationControllers = Informer(client: client, logger: logger)
    nodes.onEvent { [weak self] event in self?.nodeChanged(event) }
    pods.onEvent { [weak self] event in self?.podChanged(event) }
  }

  /// Schedules until the task is cancelled.
  public func run() async {
    nodes.start()
    services.start()
    replicaSets.start()
    replicationControllers.start()
    await nodes.waitForSync()
    await services.waitForSync()
    await replicaSets.waitForSync()
    await replicationControllers.waitForSync()
    pods.start()
    await pods.waitForSync()
    state.withLock { $0.isRunning = true }
    schedulePending()
    while !Task.isCancelled { try? await world.sleep(for: .seconds(3600)) }
    state.withLock { $0.isRunning = false }
    pods.stop()
    nodes.stop()
    services.stop()
    replicaSets.stop()
    replicationControllers.stop()
  }

  // MARK: Observing

  private func nodeChanged(_ event: InformerEvent<Node>) {
    state.withLock { state in
      switch event {
      case .added(let node):
        state.snapshot.put(node)
        state.queue.clusterChanged(now: world.now)
      case .updated(let old, let new):
        guard old.concernsScheduling(comparedTo: new) else { return }
        state.snapshot.put(new)
        state.queue.clusterChanged(now: world.now)
      case .deleted(let node): state.snapshot.remove(node: node.name)
      }
    }
    schedulePending()
  }

  private func podChanged(_ event: InformerEvent<Pod>) {
    let now = world.now
    state.withLock { state in
      let pod = event.object
      let uid = pod.metadata.uid
      if case .deleted = event {
        state.queue.remove(uid: uid)
        state.assumed.remove(uid)
        if state.snapshot.remove(pod: uid) { state.queue.clusterChanged(now: now) }
        return
      }
      if !pod.spec.nodeName.isEmpty {
        state.queue.remove(uid: uid)
        state.assumed.remove(uid)
        state.snapshot.place(PlacedPod(pod, request: PodRequest(pod.spec)), on: pod.spec.nodeName)
        if case .updated(let old, let new) = event, old.metadata.labels != new.metadata.labels {
          state.queue.clusterChanged(now: now)
        }
        return
      }
      guard isOurs(pod), !state.assumed.contains(uid) else { return state.queue.remove(uid: uid) }
      if case .updated(let old, let new) = event, !old.concernsOwnScheduling(comparedTo: new) { return }
      state.queue.add(pod, now: now)
    }
    schedulePending()
  }

  private func isOurs(_ pod: Pod) -> Bool {
    pod.spec.schedulerName == Self.name && !pod.metadata.isBeingDeleted && pod.spec.schedulingGates.isEmpty
  }

  // MARK: Deciding

  private enum Decision {
    case bind(SchedulingQueue.Entry, node: String)
    case fail(SchedulingQueue.Entry, FitError)
  }

  /// Decides for every pod that waits, and starts what follows from it.
  private func schedulePending() {
    while let decision = decideNext() {
      switch decision {
      case .bind(let entry, let node): world.spawn { await self.bind(entry, to: node) }
      case .fail(let entry, let error): world.spawn { await self.report(entry, error) }
      }
    }
    armTimer()
  }

  private func decideNext() -> Decision? {
    var chance = WorldRandom(world)
    let now = world.now
    return state.withLock { state in
      guard state.isRunning, state.bindings < Self.maximumBindings else { return nil }
      _ = state.queue.flush(now: now)
      guard let entry = state.queue.pop() else { return nil }
      let prepared = PodToSchedule(entry.pod, defaultSpread: defaultSpread(for: entry.pod))
      let generation = state.snapshot.generation
      switch state.cycle.choose(prepared, in: state.snapshot, chance: &chance) {
      case .success(let node):
        state.snapshot.place(prepared.placed, on: node)
        state.assumed.insert(entry.pod.metadata.uid)
        state.bindings += 1
        return .bind(entry, node: node)
      case .failure(var error):
        error.preemption = Self.preemptionText(entry.pod, error)
        state.queue.failed(entry, generation: generation, current: state.snapshot.generation, now: now)
        return .fail(entry, error)
      }
    }
  }

  /// The tail that says why removing other pods would not help, counted per node.
  private static func preemptionText(_ pod: Pod, _ error: FitError) -> String {
    guard error.nodeCount > 0 else { return "" }
    let head = "preemption: 0/\(error.nodeCount) nodes are available: "
    if pod.spec.preemptionPolicy == "Never" { return "preemption: not eligible due to preemptionPolicy=Never." }
    let helpless = error.refusals.values.filter { !$0.allSatisfy(\.isResolvable) }.count
    let victimless = error.refusals.count - helpless
    var parts: [String] = []
    if victimless > 0 { parts.append("\(victimless) No preemption victims found for incoming pod") }
    if helpless > 0 { parts.append("\(helpless) Preemption is not helpful for scheduling") }
    return head + parts.sorted().joined(separator: ", ") + "."
  }

  /// The selector by which the system spreads pods that ask for nothing: their Services', or their owner's.
  private func defaultSpread(for pod: Pod) -> LabelSelector? {
    for service in services.objects(index: "namespace", value: pod.namespace) {
      if !service.selector.isEmpty, service.selector.allSatisfy({ pod.metadata.labels[$0.key] == $0.value }) {
        return LabelSelector(matchLabels: service.selector)
      }
    }
    guard let owner = pod.metadata.controller else { return nil }
    let key = NamespacedName(namespace: pod.namespace, name: owner.name)
    switch owner.kind {
    case "ReplicaSet": return replicaSets.get(key)?.selector
    case "ReplicationController": return replicationControllers.get(key)?.selector
    default: return nil
    }
  }

  private func armTimer() {
    let delay = state.withLock { state -> Duration? in
      guard state.isRunning, let next = state.queue.flush(now: world.now) else { return nil }
      if let armed = state.timerAt, armed <= next, armed > world.now { return nil }
      state.timerAt = next
      return max(.zero, next - world.now)
    }
    guard let delay else { return }
    world.schedule(after: delay) { [weak self] in
      guard let self else { return }
      self.state.withLock { $0.timerAt = nil }
      self.schedulePending()
    }
  }

  // MARK: Acting

  private func bind(_ entry: SchedulingQueue.Entry, to node: String) async {
    let pod = entry.pod
    do {
      try await client.create(
        .pods, namespace: pod.namespace,
        [
          "apiVersion": "v1", "kind": "Binding",
          "metadata": [
            "name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.metadata.uid),
          ],
          "target": ["kind": "Node", "name": .string(node)],
        ], name: pod.name, subresource: "binding")
      recorder.record(
        .init(pod), .normal, reason: "Scheduled",
        message: "Successfully assigned \(pod.key) to \(node)")
      state.withLock { $0.bindings -= 1 }
    } catch {
      let status = error as? APIStatus
      let now = world.now
      state.withLock { state in
        state.bindings -= 1
        guard state.assumed.remove(pod.metadata.uid) != nil else { return }
        state.snapshot.remove(pod: pod.metadata.uid)
        // A conflict or a vanished pod: the informer brings the truth. Anything else is tried again.
        if status?.code != 404 && status?.code != 409 {
          state.queue.failed(
            entry, generation: 0, current: state.snapshot.generation, now: now)
        }
      }
      logger.debug("binding \(pod.key) to \(node): \(error)")
    }
    schedulePending()
  }

  private func report(_ entry: SchedulingQueue.Entry, _ error: FitError) async {
    let pod = entry.pod
    recorder.record(.init(pod), .warning, reason: "FailedScheduling", message: error.message)
    let old = pod.status.condition("PodScheduled")
    guard old?.reason != "Unschedulable" || old?.message != error.message else { return }
    do {
      try await client.patch(
        .pods, namespace: pod.namespace, name: pod.name,
        [
          "metadata": ["uid": .string(pod.metadata.uid)],
          "status": [
            "conditions": [
              [
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": .string(error.message),
                "lastTransitionTime": .string(
                  (old?.status == "False" ? old?.lastTransitionTime : nil)?.rfc3339 ?? world.wallClock.rfc3339),
              ]
            ]
          ],
        ], type: .strategic, subresource: "status")
    } catch {
      logger.debug("reporting \(pod.key): \(error)")
    }
  }
}

extension Node {
  /// Heartbeats change a node every few seconds; only these changes can make a pod fit.
  fileprivate func concernsScheduling(comparedTo new: Node) -> Bool {
    metadata.labels != new.metadata.labels || taints != new.taints || isUnschedulable != new.isUnschedulable
      || allocatable != new.allocatable || images != new.images
  }
}

extension Pod {
  /// Changes of a pending pod after which it should be tried again; its conditions are not among them.
  fileprivate func concernsOwnScheduling(comparedTo new: Pod) -> Bool {
    metadata.labels != new.metadata.labels || spec.schedulingGates != new.spec.schedulingGates
      || spec.tolerations != new.spec.tolerations || spec.nodeSelector != new.spec.nodeSelector
      || spec.affinity != new.spec.affinity
  }
}
