// Disruption budgets: the status that evictions are granted by (spec/5 §5.8), and pods that were told of a disruption
// that never came.
import Client
import JSON
import Logging
import Schema
import World

public final class DisruptionController: Controller {
  public static let serviceAccount = "disruption-controller"
  /// Its events come from here.
  private static let component = "controllermanager"

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let discovery: ResourceDiscovery
  private let queue: WorkQueue<NamespacedName>
  /// Pods with the condition DisruptionTarget.
  private let targets: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = EventRecorder(client: client, component: Self.component, logger: context.logger)
    logger = context.logger
    self.informers = informers
    discovery = ResourceDiscovery(client: client)
    queue = context.makeQueue("disruption")
    targets = context.makeQueue("disruption_recheck")
    informers.budgets.onEvent { [queue] event in queue.add(event.object.key) }
    informers.pods.onEvent { [weak self] event in self?.podChanged(event) }
  }

  public func run() async {
    await informers.budgets.waitForSync()
    await informers.pods.waitForSync()
    await informers.replicaSets.waitForSync()
    await informers.deployments.waitForSync()
    await informers.replicationControllers.waitForSync()
    await withTaskGroup(of: Void.self) { group in
      group.addTask(on: world) {
        await self.queue.run(
          workers: 1, onError: { [logger = self.logger] key, error in logger.debug("budget \(key): \(error)") },
          sync: { try await self.sync($0) })
      }
      group.addTask(on: world) {
        await self.targets.run(
          workers: 1, onError: { [logger = self.logger] key, error in logger.debug("disrupted pod \(key): \(error)") },
          sync: { try await self.forgiveTarget($0) })
      }
    }
  }

  // MARK: Observing

  private func podChanged(_ event: InformerEvent<Pod>) {
    let budgets = informers.budgets.objects(index: IndexName.namespace, value: event.object.namespace)
    var labels = [event.object.metadata.labels]
    if case .updated(let old, let new) = event, old.metadata.labels != new.metadata.labels {
      labels.append(old.metadata.labels)
    }
    for budget in budgets where labels.contains(where: budget.selector.matches) { queue.add(budget.key) }
    if case .deleted = event { return }
    if let left = timeToStale(event.object) { targets.add(event.object.key, after: left) }
  }

  // MARK: Budgets

  private func sync(_ key: NamespacedName) async throws {
    guard let budget = informers.budgets.get(key) else { return }
    let subject = EventRecorder.Subject(budget)
    let pods = informers.pods.objects(index: IndexName.namespace, value: key.namespace)
      .filter { budget.selector.matches($0.metadata.labels) }
    if pods.isEmpty { recorder.record(subject, .normal, reason: "NoPods", message: "No matching pods found") }
    do {
      let scales = DisruptionPlan.needsScale(budget) ? try await scales(of: pods) : [:]
      let plan = DisruptionPlan(budget, pods: pods, scales: scales, now: world.wallClock)
      report(plan, of: budget)
      try await write(plan.status, to: budget)
      if let recheck = plan.recheck {
        queue.add(key, after: max(recheck - world.wallClock, .zero) + .milliseconds(1))
      }
    } catch let unknown as UnknownScale {
      recorder.record(
        subject, .warning, reason: "CalculateExpectedPodCountFailed",
        message: "Failed to calculate the number of expected pods: \(unknown)")
      try await write(DisruptionPlan.failed(budget, "\(unknown)", now: world.wallClock), to: budget)
      throw unknown
    }
  }

  private func report(_ plan: DisruptionPlan, of budget: PodDisruptionBudget) {
    if !plan.unmanaged.isEmpty {
      recorder.record(
        EventRecorder.Subject(budget), .warning, reason: "UnmanagedPods",
        message: "Pods selected by this PodDisruptionBudget (selector: \(budget.selector)) were found to be unmanaged. "
          + "As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. "
          + "To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.")
    }
    for pod in plan.notDeleted {
      recorder.record(
        EventRecorder.Subject(pod), .warning, reason: "NotDeleted",
        message: "Pod was expected by PDB \(budget.key) to be deleted but it wasn't")
    }
  }

  /// Under the resourceVersion that was read: an eviction granted meanwhile must not be forgotten.
  private func write(_ status: DisruptionStatus, to budget: PodDisruptionBudget) async throws {
    guard status != budget.status else { return }
    var object = budget.json
    object["status"] = status.json
    do {
      try await client.update(
        .podDisruptionBudgets, namespace: budget.namespace, name: budget.name, object, subresource: "status")
    } catch let status as APIStatus where status.code == 404 { return }
  }

  // MARK: Scales

  /// What the pods' controllers want, each counted once.
  private func scales(of pods: [Pod]) async throws -> [String: Int64] {
    var scales: [String: Int64] = [:]
    var seen: Set<String> = []
    for pod in pods {
      guard let owner = pod.metadata.controller, seen.insert(owner.uid).inserted else { continue }
      guard let found = try await scale(of: owner, namespace: pod.namespace) else {
        throw UnknownScale(description: "found no controllers for pod \"\(pod.name)\"")
      }
      scales[found.uid] = found.replicas
    }
    return scales
  }

  /// The owner's, or, where a Deployment owns that, the Deployment's; nil for owners that are gone or have no scale.
  private func scale(of owner: OwnerReference, namespace: String) async throws -> (uid: String, replicas: Int64)? {
    let key = NamespacedName(namespace: namespace, name: owner.name)
    switch (owner.group, owner.kind) {
    case ("apps", "ReplicaSet"):
      guard let replicaSet = informers.replicaSets.get(key), replicaSet.metadata.uid == owner.uid else { return nil }
      guard let above = replicaSet.metadata.controller, above.kind == "Deployment" else {
        return (owner.uid, replicaSet.replicas)
      }
      let deployment = informers.deployments.get(namespace: namespace, name: above.name)
      guard let deployment, deployment.metadata.uid == above.uid else { return nil }
      return (above.uid, deployment.replicas)
    case ("", "ReplicationController"):
      guard let found = informers.replicationControllers.get(key), found.metadata.uid == owner.uid else { return nil }
      return (owner.uid, found.replicas)
    default:
      guard let resource = try await discovery.resource(apiVersion: owner.apiVersion, kind: owner.kind) else {
        return nil
      }
      do {
        let scale = try await client.json(
          "GET", resource.path(namespace: namespace, name: owner.name, subresource: "scale"), [])
        guard scale["metadata"]["uid"].string == owner.uid else { return nil }
        return (owner.uid, scale["spec"].scaleReplicas)
      } catch let status as APIStatus where status.code == 404 { return nil }
    }
  }

  // MARK: Disruptions that did not come

  /// How long a pod may stay a target before that is taken back; nil for pods that are none, or that are going.
  private func timeToStale(_ pod: Pod) -> Duration? {
    guard !pod.metadata.isBeingDeleted, pod.status.phase != "Succeeded", pod.status.phase != "Failed",
      let condition = pod.status.conditions.first(where: { $0.type == "DisruptionTarget" }), condition.status == "True",
      // The kubelet's own take as long as they take.
      condition.reason != "TerminationByKubelet"
    else { return nil }
    let age = world.wallClock - (condition.lastTransitionTime ?? world.wallClock)
    return max(DisruptionPlan.evictionTimeout - age, .zero)
  }

  private func forgiveTarget(_ key: NamespacedName) async throws {
    guard let pod = informers.pods.get(key), let left = timeToStale(pod) else { return }
    guard left <= .zero else { return targets.add(key, after: left) }
    do {
      try await client.patch(
        .pods, namespace: key.namespace, name: key.name,
        [
          "metadata": ["uid": .string(pod.metadata.uid)],
          "status": [
            "conditions": [
              [
                "type": "DisruptionTarget", "status": "False", "lastTransitionTime": .string(world.wallClock.rfc3339),
              ]
            ]
          ],
        ], type: .strategic, subresource: "status", fieldManager: "DisruptionController")
    } catch let status as APIStatus where status.code == 404 || status.code == 409 { return }
  }
}

/// A controller whose number of pods cannot be told.
private struct UnknownScale: Error, CustomStringConvertible {
  let description: String
}
