// Nodes that fall silent are marked, tainted, and lose their pods (spec/5 §5.1, node-lifecycle and taint-eviction).
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

public final class NodeLifecycleController: Controller {
  public static let serviceAccount = "node-controller"
  private static let workers = 5
  private static let monitorPeriod = Duration.seconds(5)
  /// Its events about pods come from here.
  private static let evictionComponent = "taint-eviction-controller"

  private struct State {
    var heartbeats: [String: NodeHeartbeat] = [:]
    var survey = ZoneSurvey()
    /// By zone: when a node of it last got a NoExecute taint.
    var lastEvictions: [String: MonotonicTime] = [:]
    /// Pod → when it leaves.
    var leaving: [NamespacedName: (uid: String, at: MonotonicTime)] = [:]
  }

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let evictionRecorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let nodes: WorkQueue<String>
  private let pods: WorkQueue<NamespacedName>
  private let state = Mutex(State())
  private let metrics: LoopMetrics

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    metrics = context.metrics
    client = context.client(Self.serviceAccount)
    recorder = context.recorder(Self.serviceAccount)
    evictionRecorder = EventRecorder(client: client, component: Self.evictionComponent, logger: context.logger)
    logger = context.logger
    self.informers = informers
    nodes = context.makeQueue("node_lifecycle_controller")
    pods = context.makeQueue("node_lifecycle_controller_pods")
    informers.nodes.onEvent { [weak self] event in self?.nodeChanged(event) }
    informers.pods.onEvent { [pods] event in
      if case .deleted = event { return }
      if !event.object.spec.nodeName.isEmpty { pods.add(event.object.key) }
    }
  }

  public func run() async {
    await informers.nodes.waitForSync()
    await informers.nodeLeases.waitForSync()
    await informers.pods.waitForSync()
    await withTaskGroup(of: Void.self) { group in
      group.addTask(on: world) { await self.monitor() }
      group.addTask(on: world) {
        await self.pods.run(
          workers: Self.workers,
          onError: { [logger = self.logger] key, error in logger.debug("eviction of \(key): \(error)") },
          sync: { try await self.considerEviction($0) })
      }
      group.addTask(on: world) {
        await self.nodes.run(
          workers: Self.workers,
          onError: { [logger = self.logger] name, error in logger.debug("node \(name): \(error)") },
          sync: { try await self.sync($0) })
      }
    }
  }

  private func nodeChanged(_ event: InformerEvent<Node>) {
    nodes.add(event.object.name)
    switch event {
    case .added(let node):
      recorder.record(
        subject(node), .normal, reason: "RegisteredNode",
        message: "Node \(node.name) event: Registered Node \(node.name) in Controller")
    case .updated(let old, let new): if old.taints != new.taints { enqueuePods(of: new) }
    case .deleted(let node):
      state.withLock { $0.heartbeats[node.name] = nil }
      recorder.record(
        subject(node), .normal, reason: "RemovingNode",
        message: "Node \(node.name) event: Removing Node \(node.name) from Controller")
    }
  }

  private func enqueuePods(of node: Node) {
    for pod in informers.pods.objects(index: IndexName.nodeName, value: node.name) { pods.add(pod.key) }
  }

  private func subject(_ node: Node) -> EventRecorder.Subject {
    // Controllers name a node by its uid, kubelets by its name; kubectl looks for both.
    EventRecorder.Subject(reference: .nodes, namespace: "", name: node.name, uid: node.metadata.uid)
  }

  // MARK: Health

  private func monitor() async {
    while !Task.isCancelled {
      let all = informers.nodes.all
      let survey = ZoneSurvey(all.map { ($0, observe($0)) })
      state.withLock { state in
        // Who has just been back in reach of the first node gives the others their time, too.
        if state.survey.isEverythingDown && !survey.isEverythingDown {
          for node in all { state.lastEvictions[ZoneSurvey.zone(of: node)] = world.now }
        }
        state.survey = survey
      }
      metrics.found(survey.counts)
      for node in all { nodes.add(node.name) }
      try? await world.sleep(for: Self.monitorPeriod)
    }
  }

  private func sync(_ name: String) async throws {
    guard let node = informers.nodes.get(name: name) else { return }
    let health = observe(node)
    if health == .unreachable { try await markUnknown(node) }
    try await labelLikeBeta(node)
    try await taint(node, health)
    if health != .ready { try await markPodsNotReady(on: node) }
  }

  private func observe(_ node: Node) -> NodeHealth {
    let lease = informers.nodeLeases.get(namespace: "kube-node-lease", name: node.name)
    let now = world.now
    return state.withLock { state in
      var heartbeat = state.heartbeats[node.name] ?? NodeHeartbeat(node: node, lease: lease, now: now)
      heartbeat.observe(node: node, lease: lease, now: now)
      state.heartbeats[node.name] = heartbeat
      return NodeHealth(node: node, heartbeat: heartbeat, now: now)
    }
  }

  private func markUnknown(_ node: Node) async throws {
    let types = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]
    let stale = types.filter { node.condition($0)?.status != "Unknown" }
    guard !stale.isEmpty else { return }
    let now = world.wallClock.rfc3339
    let conditions = stale.map { type -> JSONValue in
      let known = node.condition(type) != nil
      var condition: JSONValue = [
        "type": .string(type), "status": "Unknown", "lastTransitionTime": .string(now),
        "reason": known ? "NodeStatusUnknown" : "NodeStatusNeverUpdated",
        "message": known ? "Kubelet stopped posting node status." : "Kubelet never posted node status.",
      ]
      condition["lastHeartbeatTime"] = .string(node.condition(type)?.lastHeartbeatTime?.rfc3339 ?? now)
      return condition
    }
    try await client.patch(
      .nodes, name: node.name, ["status": ["conditions": .array(conditions)]], type: .strategic,
      subresource: "status")
    guard node.isReady else { return }
    recorder.record(
      subject(node), .normal, reason: "NodeNotReady", message: "Node \(node.name) status is now: NodeNotReady")
  }

  /// kubernetes.io/os and arch stand under their beta names, too.
  private func labelLikeBeta(_ node: Node) async throws {
    var labels: JSONValue = [:]
    for name in ["os", "arch"] {
      let value = node.metadata.labels["kubernetes.io/\(name)"]
      if let value, node.metadata.labels["beta.kubernetes.io/\(name)"] != value {
        labels["beta.kubernetes.io/\(name)"] = .string(value)
      }
    }
    guard labels.object?.isEmpty == false else { return }
    try await client.patch(.nodes, name: node.name, ["metadata": ["labels": labels]], type: .strategic)
  }

  private func taint(_ node: Node, _ health: NodeHealth) async throws {
    var wanted = health.taints(of: node, now: world.wallClock)
    // NoSchedule now; the pods' turn comes with a later look. Whose pods are leaving already only changes the reason.
    if wanted.contains(where: \.evictsFromSilentNode), !mayEvict(node) {
      wanted.removeAll(where: \.evictsFromSilentNode)
    }
    guard Set(wanted) != Set(node.taints) else { return }
    try await client.patch(
      .nodes, name: node.name,
      [
        "metadata": ["resourceVersion": .string(node.metadata.resourceVersion)],
        "spec": ["taints": .array(wanted.map(\.json))],
      ], type: .merge)
    if wanted.contains(where: \.evictsFromSilentNode), !node.taints.contains(where: \.evictsFromSilentNode) {
      metrics.evicted(inZone: ZoneSurvey.zone(of: node))
    }
  }

  /// Whether pods have to leave the node. While nothing at all is well they need not, even where they had begun to.
  private func mayEvict(_ node: Node) -> Bool {
    let zone = ZoneSurvey.zone(of: node)
    let now = world.now
    return state.withLock { state in
      if state.survey.isEverythingDown { return false }
      if node.taints.contains(where: \.evictsFromSilentNode) { return true }
      guard state.survey.unhealthy.contains(node.name), let pace = state.survey.pace(zone) else { return false }
      if let last = state.lastEvictions[zone], now - last < pace { return false }
      state.lastEvictions[zone] = now
      return true
    }
  }

  /// Pods of a node that is not well are no endpoints any more.
  private func markPodsNotReady(on node: Node) async throws {
    guard node.condition("Ready")?.status != "True" else { return }
    for pod in informers.pods.objects(index: IndexName.nodeName, value: node.name) where pod.isReady {
      try await client.patchUnlessGone(
        pod,
        [
          "status": [
            "conditions": [
              ["type": "Ready", "status": "False", "lastTransitionTime": .string(world.wallClock.rfc3339)]
            ]
          ]
        ])
      recorder.record(.init(pod), .warning, reason: "NodeNotReady", message: "Node is not ready")
    }
  }

  // MARK: Eviction by taint

  private func considerEviction(_ key: NamespacedName) async throws {
    guard let pod = informers.pods.get(key), !pod.metadata.isBeingDeleted,
      let node = informers.nodes.get(name: pod.spec.nodeName)
    else {
      state.withLock { $0.leaving[key] = nil }
      return
    }
    switch TaintEviction(pod: pod, taints: node.taints) {
    case .stay:
      if state.withLock({ $0.leaving.removeValue(forKey: key) }) != nil {
        evictionRecorder.record(
          .init(pod), .normal, reason: "TaintManagerEviction", message: "Cancelling deletion of Pod \(key)")
      }
    case .leave(let delay):
      let now = world.now
      let due = state.withLock { state in
        // The clock started when the taint was first seen and is not set back by later changes of the pod.
        if let known = state.leaving[key], known.uid == pod.metadata.uid { return known.at }
        state.leaving[key] = (pod.metadata.uid, now + delay)
        return now + delay
      }
      if due > now { return pods.add(key, after: due - now) }
      try await evict(pod)
      state.withLock { $0.leaving[key] = nil }
    }
  }

  private func evict(_ pod: Pod) async throws {
    evictionRecorder.record(
      .init(pod), .normal, reason: "TaintManagerEviction", message: "Marking for deletion Pod \(pod.key)")
    try await client.patchUnlessGone(
      pod,
      [
        "status": [
          "conditions": [
            [
              "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
              "message": "Taint manager: deleting due to NoExecute taint",
              "lastTransitionTime": .string(world.wallClock.rfc3339),
            ]
          ]
        ]
      ])
    do {
      try await client.delete(
        .pods, namespace: pod.namespace, name: pod.name, DeleteOptions(uid: pod.metadata.uid))
    } catch let status as APIStatus where status.code == 404 || status.code == 409 { return }
  }
}

extension APIClient {
  /// Patches a pod's status; a pod that has gone, or is another by now, needs none.
  func patchUnlessGone(_ pod: Pod, _ patch: JSONValue) async throws {
    var patch = patch
    patch["metadata"]["uid"] = .string(pod.metadata.uid)
    do {
      try await self.patch(
        .pods, namespace: pod.namespace, name: pod.name, patch, type: .strategic, subresource: "status")
    } catch let status as APIStatus where status.code == 404 || status.code == 409 { return }
  }
}
