// The scheduler: watches, decides with SchedulingCycle and Preemption, and has it done (spec/6). Decisions are made one
// after the other on a snapshot that includes what was decided and not yet bound; bindings are sent many at a time.
import Client
import HTTP
import JSON
import Logging
import Schema
import Synchronization
import World

public final class Scheduler: Sendable {
  /// Of the scheduler that pods ask for when they ask for none.
  public static let defaultName = "default-scheduler"
  /// Bindings under way at once; decisions wait when there are more.
  private static let maximumBindings = 256

  struct State {
    var snapshot = ClusterSnapshot()
    var queue: SchedulingQueue
    var cycle = SchedulingCycle()
    /// Decided here, not yet seen bound.
    var assumed: Set<String> = []
    var bindings = 0
    var volumes = VolumeWaits()
    /// No other decision is made meanwhile.
    var consultation: Consultation?
    var isRunning = false
    /// Wakes the scheduler when a pod has waited out its back-off.
    var timer: (any ScheduledTimer)?
    var timerAt: MonotonicTime?
    /// Pods that wait until their gates are gone.
    var gated: Set<String> = []

    var measured: SchedulerMetrics.Snapshot {
      var pending = queue.counts
      pending["gated"] = gated.count
      return SchedulerMetrics.Snapshot(
        pending: pending,
        known: ["nodes": snapshot.nodeCount, "pods": snapshot.podCount, "assumed_pods": assumed.count],
        arrivals: queue.arrivals)
    }
  }

  let configuration: SchedulerConfiguration
  let world: any World
  let client: APIClient
  /// By schedulerName.
  private let recorders: [String: EventSeriesRecorder]
  let logger: Logger
  let metrics: LoopMetrics?
  private let pods: Informer<Pod>
  private let nodes: Informer<Node>
  private let services: Informer<Service>
  private let replicaSets: Informer<ReplicaSet>
  private let replicationControllers: Informer<ReplicationController>
  private let statefulSets: Informer<StatefulSet>
  private let namespaces: Informer<Namespace>
  let budgets: Informer<PodDisruptionBudget>
  let storage: StorageInformers
  let extenders: ExtenderCalls?
  let state: Mutex<State>

  /// `name`: pods whose spec.schedulerName it is are scheduled.
  public convenience init(
    client: APIClient, name: String = Scheduler.defaultName, logger: Logger, metrics: LoopMetrics? = nil
  ) {
    self.init(
      client: client, configuration: SchedulerConfiguration(schedulerName: name), logger: logger, metrics: metrics)
  }

  /// Pods whose spec.schedulerName names one of the configuration's profiles are scheduled. `sender` reaches the
  /// configuration's extenders; `host` is where this scheduler is, as its events tell.
  public init(
    client: APIClient, configuration: SchedulerConfiguration, sender: ExtenderSender? = nil, host: String = "local",
    logger: Logger, metrics: LoopMetrics? = nil
  ) {
    precondition(sender != nil || configuration.extenders.isEmpty, "extenders that nobody reaches")
    extenders = sender.flatMap {
      configuration.extenders.isEmpty ? nil : ExtenderCalls(configuration.extenders, $0, client, logger)
    }
    world = client.world
    self.metrics = metrics
    self.configuration = configuration
    self.client = client
    self.logger = logger
    let queue = SchedulingQueue(
      firstBackoff: configuration.initialBackoff, lastBackoff: configuration.maximumBackoff)
    state = Mutex(State(queue: queue))
    recorders = configuration.profiles.mapValues {
      EventSeriesRecorder(client: client, controller: $0.name, host: host, logger: logger)
    }
    // Finished pods hold nothing and need nothing.
    pods = Informer(
      client: client, fieldSelector: "status.phase!=Succeeded,status.phase!=Failed", logger: logger)
    nodes = Informer(client: client, logger: logger)
    services = Informer(
      client: client, indexers: ["namespace": { [$0.metadata.namespace] }], logger: logger)
    replicaSets = Informer(client: client, logger: logger)
    replicationControllers = Informer(client: client, logger: logger)
    statefulSets = Informer(client: client, logger: logger)
    namespaces = Informer(client: client, logger: logger)
    budgets = Informer(client: client, logger: logger)
    storage = StorageInformers(client: client, logger: logger)
    observeStorage()
    namespaces.onEvent { [weak self] event in self?.namespaceChanged(event) }
    nodes.onEvent { [weak self] event in self?.nodeChanged(event) }
    pods.onEvent { [weak self] event in self?.podChanged(event) }
    metrics?.scheduler.measure { [weak self] in self?.state.withLock(\.measured) }
  }

  /// Schedules until the task is cancelled.
  public func run() async {
    var others: [any Followed] = [
      nodes, services, replicaSets, replicationControllers, statefulSets, namespaces, budgets, storage.claims,
      storage.volumes, storage.classes, storage.nodes, storage.drivers, storage.capacities,
    ]
    if let nodes = extenders?.nodes { others.append(nodes) }
    for informer in others { informer.start() }
    for informer in others { await informer.waitForSync() }
    pods.start()
    await pods.waitForSync()
    state.withLock { $0.isRunning = true }
    schedulePending()
    while !Task.isCancelled { try? await world.sleep(for: .seconds(3600)) }
    state.withLock { $0.isRunning = false }
    state.withLock { $0.timer?.cancel() }
    endAllWaits()
    pods.stop()
    for informer in others { informer.stop() }
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
    var abandoned = ""
    state.withLock { state in
      let pod = event.object
      let uid = pod.metadata.uid
      if !state.gated.isEmpty { state.gated.remove(uid) }
      if state.consultation?.uid == uid {
        if case .deleted = event { state.consultation?.isWithdrawn = true }
        if !pod.spec.nodeName.isEmpty || pod.metadata.isBeingDeleted || !isOurs(pod) {
          state.consultation?.isWithdrawn = true
        }
      }
      if case .deleted = event {
        state.queue.remove(uid: uid)
        state.assumed.remove(uid)
        abandoned = uid
        state.snapshot.withdrawNomination(uid)
        if let gone = state.snapshot.remove(pod: uid) { state.queue.changed(.podRemoved, pod: gone, now: now) }
      } else if !pod.spec.nodeName.isEmpty {
        state.queue.remove(uid: uid)
        state.assumed.remove(uid)
        place(pod, &state, now: now)
      } else if !isOurs(pod) {
        state.queue.remove(uid: uid)
        state.snapshot.withdrawNomination(uid)
        if configuration.profiles[pod.spec.schedulerName] != nil { state.gated.insert(uid) }
      } else if !state.assumed.contains(uid) {
        if pod.metadata.isBeingDeleted {
          state.snapshot.withdrawNomination(uid)
        } else if !pod.status.nominatedNodeName.isEmpty, state.snapshot.nomination(of: uid) == nil {
          state.snapshot.nominate(PlacedPod(pod), to: pod.status.nominatedNodeName)
        }
        if case .updated(let old, let new) = event, !old.concernsOwnScheduling(comparedTo: new) {
          state.queue.refresh(new)
        } else if state.consultation?.uid == uid {
          state.consultation?.changed = pod
        } else {
          state.queue.add(pod, now: now)
        }
      }
    }
    if !abandoned.isEmpty { endWait(abandoned, false) }
    schedulePending()
  }

  /// Takes in a pod that stands on a node; most of its changes are nothing to others.
  func place(_ pod: Pod, _ state: inout State, now: MonotonicTime) {
    let placed = PlacedPod(pod)
    let known = state.snapshot.pod(placed.uid)
    if let known, state.snapshot.node(of: known.uid) == pod.spec.nodeName, known.labels == placed.labels,
      known.isBeingDeleted == placed.isBeingDeleted
    {
      state.snapshot.refresh(placed)
      return
    }
    state.snapshot.place(placed, on: pod.spec.nodeName)
    state.queue.changed(
      known == nil ? .podPlaced : [.podPlaced, .podRemoved], pod: known == nil ? placed : nil, now: now)
  }

  private func namespaceChanged(_ event: InformerEvent<Namespace>) {
    let now = world.now
    state.withLock { state in
      let namespace = event.object
      if case .deleted = event {
        state.snapshot.namespaceLabels[namespace.name] = nil
      } else if state.snapshot.namespaceLabels.updateValue(namespace.metadata.labels, forKey: namespace.name)
        != namespace.metadata.labels
      {
        // Terms that choose namespaces by their labels may mean other pods now.
        state.queue.changed([.podPlaced, .podRemoved], now: now)
      }
    }
    schedulePending()
  }

  private func isOurs(_ pod: Pod) -> Bool {
    guard let profile = configuration.profiles[pod.spec.schedulerName] else { return false }
    return pod.spec.schedulingGates.isEmpty || !profile.has(.schedulingGates, at: .preEnqueue)
  }

  /// Of a pod that is ours.
  func profile(of pod: Pod) -> SchedulerProfile { configuration.profiles[pod.spec.schedulerName] ?? .standard }

  /// Tells in the name of the pod's profile.
  func recorder(of pod: Pod) -> EventSeriesRecorder? { recorders[pod.spec.schedulerName] }

  // MARK: Deciding

  enum Decision {
    case bind(SchedulingQueue.Entry, node: String, VolumeChoice)
    /// It goes before it has a node, and is not looked at again.
    case skip(Pod)
    /// `nomination`: the node where room is made for the pod; "" takes an earlier one back, nil leaves it.
    case fail(SchedulingQueue.Entry, FitError, nomination: String?)
    case makeRoom(SchedulingQueue.Entry, FitError, Eviction)
    /// Extenders have a say: about the nodes, and about victims.
    case consult(SchedulingQueue.Entry, PodToSchedule, Survey)
    case choose([VictimChoice], FitError)
  }

  /// Decides for every pod that waits, and starts what follows from it.
  func schedulePending() {
    while let decision = decideNext() { perform(decision) }
    armTimer()
  }

  func perform(_ decision: Decision) {
    switch decision {
    case .bind(let entry, let node, let volumes):
      world.spawn {
        if volumes.claims.isEmpty {
          await self.bind(entry, to: node)
        } else {
          await self.bind(entry, to: node, volumes)
        }
      }
    case .skip(let pod):
      recorder(of: pod)?.record(
        .init(pod), .warning, reason: "FailedScheduling", action: "Scheduling",
        note: "skip schedule deleting pod: \(pod.key)")
    case .fail(let entry, let error, let nomination):
      world.spawn { await self.report(entry.pod, error.message, reason: "Unschedulable", nomination: nomination) }
    case .makeRoom(let entry, let error, let eviction):
      world.spawn { await self.makeRoom(for: entry, error, eviction) }
    case .consult(let entry, let pod, let survey):
      world.spawn { await self.consult(entry, pod, survey) }
    case .choose: preconditionFailure("whoever consults asks about victims, too")
    }
  }

  private func decideNext() -> Decision? {
    var chance = WorldRandom(world)
    let now = world.now
    return state.withLock { state in
      guard state.isRunning, state.bindings < Self.maximumBindings, state.consultation == nil else { return nil }
      state.queue.flush(now: now)
      guard let entry = state.queue.pop() else { return nil }
      if entry.pod.metadata.isBeingDeleted { return .skip(entry.pod) }
      let profile = profile(of: entry.pod)
      let pod = PodToSchedule(
        entry.pod, defaultSpread: defaultSpread(for: entry.pod), namespaces: state.snapshot.namespaces,
        volumes: VolumeNeeds(entry.pod, storage, excluded: state.volumes.reserved, profile: profile), profile: profile,
        ignoredResources: extenders?.ignoredResources ?? [])
      if let extenders, extenders.haveASay(about: entry.pod.spec) {
        state.consultation = Consultation(uid: pod.placed.uid)
        return .consult(entry, pod, state.cycle.survey(pod, in: &state.snapshot))
      }
      let choice = state.cycle.choose(pod, in: &state.snapshot, chance: &chance)
      metrics?.scheduler.decided(took: world.now - now)
      switch choice {
      case .success(let node): return accept(entry, pod, node, &state, now: now)
      case .failure(let error): return refuse(entry, pod, error, &state, &chance, now: now)
      }
    }
  }

  /// The pod has its place from now on, whatever its binding takes.
  func accept(
    _ entry: SchedulingQueue.Entry, _ pod: PodToSchedule, _ node: String, _ state: inout State, now: MonotonicTime
  ) -> Decision {
    state.snapshot.withdrawNomination(pod.placed.uid)
    if !SchedulerMutant.assumptionsForgotten.isActive { state.snapshot.place(pod.placed, on: node) }
    state.queue.changed(.podPlaced, pod: pod.placed, now: now)
    state.assumed.insert(pod.placed.uid)
    state.bindings += 1
    let volumes = choice(of: pod, on: node, state.snapshot)
    state.volumes.reserved.formUnion(volumes.bindings.map(\.volume.name))
    return .bind(entry, node: node, volumes)
  }

  /// The pod waits for what may cure its refusals, or for room to be made.
  func refuse(
    _ entry: SchedulingQueue.Entry, _ pod: PodToSchedule, _ error: FitError, _ state: inout State,
    _ chance: inout WorldRandom, now: MonotonicTime
  ) -> Decision {
    decision(for: wait(entry, pod, error, &state, now: now), pod, error, &state, &chance)
  }

  func wait(
    _ entry: SchedulingQueue.Entry, _ pod: PodToSchedule, _ error: FitError, _ state: inout State, now: MonotonicTime
  ) -> SchedulingQueue.Entry {
    metrics?.scheduler.attempted(entry.pod.spec.schedulerName, "unschedulable", took: world.now - now)
    var refused = entry
    refused.cures = error.cures
    refused.awaited = pod.awaited
    state.queue.refused(refused, now: now)
    return refused
  }

  private func choice(of pod: PodToSchedule, on node: String, _ snapshot: ClusterSnapshot) -> VolumeChoice {
    guard let volumes = pod.volumes, let index = snapshot.index(of: node) else { return VolumeChoice() }
    return volumes.choice(node, snapshot.table[index].facts.labels) ?? VolumeChoice()
  }

  /// What follows when no node will do: room is made, or the pod waits.
  private func decision(
    for entry: SchedulingQueue.Entry, _ pod: PodToSchedule, _ error: FitError, _ state: inout State,
    _ chance: inout WorldRandom
  ) -> Decision {
    guard error.nodeCount > 0, pod.profile.has(.defaultPreemption, at: .postFilter) else {
      return .fail(entry, error, nomination: nil)
    }
    metrics?.scheduler.triedToPreempt()
    let preemption = Preemption(pod, policy: entry.pod.spec.preemptionPolicy, budgets: budgets.all)
    switch preemption.plan(error, in: &state.snapshot, chance: &chance) {
    case .victims(let victims, let node):
      let displaced = state.snapshot.withdrawNominations(to: node, below: pod.placed.priority)
      state.snapshot.nominate(pod.placed, to: node)
      return .makeRoom(entry, error, Eviction(victims: victims, node: node, displaced: displaced))
    case .waiting(let why), .forbidden(let why):
      var told = error
      told.preemption = why
      return .fail(entry, told, nomination: nil)
    case .helpless(let why):
      var told = error
      told.preemption = why
      let hadNomination = state.snapshot.nomination(of: pod.placed.uid) != nil
      state.snapshot.withdrawNomination(pod.placed.uid)
      return .fail(entry, told, nomination: hadNomination ? "" : nil)
    }
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
      case "StatefulSet": requirements += statefulSets.get(key)?.selector.requirements ?? []
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
}

/// An informer of whatever kind.
private protocol Followed: Sendable {
  func start()
  func stop()
  func waitForSync() async
}
extension Informer: Followed {}

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
      // Room that was being made for it is another's now.
      || (!status.nominatedNodeName.isEmpty && new.status.nominatedNodeName.isEmpty)
  }
}
