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
    /// Wakes the scheduler when a pod has waited out its back-off.
    var timer: (any ScheduledTimer)?
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
    state.withLock { $0.timer?.cancel() }
    pods.stop()
    nodes.stop()
    services.stop()
    replicaSets.stop()
    replicationControllers.stop()
  }

  // MARK: Observing

  private func nodeChanged(_ event: InformerEvent<Node>) {
    let now = world.now
    let concerns = state.withLock { state in
      switch event {
      case .added(let node):
        state.snapshot.put(node)
        state.queue.changed(.nodes, now: now)
      case .updated(let old, let new):
        guard old.concernsScheduling(comparedTo: new) else { return false }
        state.snapshot.put(new)
        state.queue.changed(.nodes, now: now)
      case .deleted(let node): state.snapshot.remove(node: node.name)
      }
      return true
    }
    if concerns { schedulePending() }
  }

  private func podChanged(_ event: InformerEvent<Pod>) {
    let now = world.now
    state.withLock { state in
      let pod = event.object
      let uid = pod.metadata.uid
      if case .deleted = event {
        state.queue.remove(uid: uid)
        state.assumed.remove(uid)
        if state.snapshot.remove(pod: uid) { state.queue.changed(.podRemoved, now: now) }
      } else if !pod.spec.nodeName.isEmpty {
        state.queue.remove(uid: uid)
        state.assumed.remove(uid)
        place(pod, &state, now: now)
      } else if !isOurs(pod) {
        state.queue.remove(uid: uid)
      } else if !state.assumed.contains(uid) {
        if case .updated(let old, let new) = event, !old.concernsOwnScheduling(comparedTo: new) {
          state.queue.refresh(new)
        } else {
          state.queue.add(pod)
        }
      }
    }
    schedulePending()
  }

  /// Takes in a pod that stands on a node; most of its changes are nothing to others.
  private func place(_ pod: Pod, _ state: inout State, now: MonotonicTime) {
    let known = state.snapshot.pod(pod.metadata.uid)
    if let known, state.snapshot.node(of: known.uid) == pod.spec.nodeName, known.labels == pod.metadata.labels,
      known.isBeingDeleted == pod.metadata.isBeingDeleted
    {
      return
    }
    state.snapshot.place(PlacedPod(pod, request: PodRequest(pod.spec)), on: pod.spec.nodeName)
    state.queue.changed(known == nil ? .podPlaced : [.podPlaced, .podRemoved], now: now)
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
      state.queue.flush(now: now)
      guard let entry = state.queue.pop() else { return nil }
      let prepared = PodToSchedule(entry.pod, defaultSpread: defaultSpread(for: entry.pod))
      switch state.cycle.choose(prepared, in: state.snapshot, chance: &chance) {
      case .success(let node):
        if !SchedulerMutant.assumptionsForgotten.isActive { state.snapshot.place(prepared.placed, on: node) }
        state.queue.changed(.podPlaced, now: now)
        state.assumed.insert(entry.pod.metadata.uid)
        state.bindings += 1
        return .bind(entry, node: node)
      case .failure(var error):
        error.preemption = Self.preemptionText(entry.pod, error)
        var refused = entry
        refused.cures = error.cures
        state.queue.refused(refused, now: now)
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

  /// The selector by which the system spreads pods that ask for nothing: all their Services' and their owner's together.
  private func defaultSpread(for pod: Pod) -> LabelSelector? {
    var requirements: [LabelSelector.Requirement] = []
    for service in services.objects(index: "namespace", value: pod.namespace) {
      if !service.selector.isEmpty, service.selector.allSatisfy({ pod.metadata.labels[$0.key] == $0.value }) {
        requirements += LabelSelector(matchLabels: service.selector).requirements
      }
    }
    if let owner = pod.metadata.controller {
      let key = NamespacedName(namespace: pod.namespace, name: owner.name)
      switch owner.kind {
      case "ReplicaSet": requirements += replicaSets.get(key)?.selector.requirements ?? []
      case "ReplicationController": requirements += replicationControllers.get(key)?.selector.requirements ?? []
      default: break
      }
    }
    return requirements.isEmpty ? nil : LabelSelector(requirements: requirements)
  }

  private func armTimer() {
    state.withLock { state in
      let now = world.now
      guard state.isRunning, let next = state.queue.due else { return }
      if let armed = state.timerAt, armed <= next { return }
      state.timer?.cancel()
      state.timerAt = next
      state.timer = world.schedule(after: max(.zero, next - now)) { [weak self] in
        self?.state.withLock { $0.timerAt = nil }
        self?.schedulePending()
      }
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
        state.queue.changed(.podRemoved, now: now)
        // A conflict or a vanished pod: the informer brings the truth. Anything else is tried again.
        if status?.code != 404 && status?.code != 409 { state.queue.retryLater(entry, now: now) }
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
