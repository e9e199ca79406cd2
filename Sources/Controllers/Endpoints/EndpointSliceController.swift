// EndpointSlices: the endpoints of a Service in slices of at most 100, of each family its own (spec/5 §5.1).
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

public final class EndpointSliceController: Controller {
  public static let serviceAccount = "endpointslice-controller"
  private static let workers = 5
  private static let maximumEndpoints = 100
  private static let managedBy = "endpointslice-controller.k8s.io"
  private static let zoneLabel = "topology.kubernetes.io/zone"

  private struct State {
    var triggers = TriggerTimes()
    /// Services whose endpoints have hints by the zones' capacity.
    var hinted: Set<NamespacedName> = []
    /// What part of the nodes' CPU each zone has, as far as it is known; taken anew when nodes change.
    var shares: ZoneShares?
  }

  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let tracker: ServiceTracker
  private let queue: WorkQueue<NamespacedName>
  /// Slices created and not yet seen: another turn would create them again.
  private let slices: OwnedObjects<EndpointSlice>
  private let state = Mutex(State())

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    recorder = EventRecorder(client: client, component: "endpoint-slice-controller", logger: context.logger)
    logger = context.logger
    self.informers = informers
    tracker = ServiceTracker(services: informers.services, pods: informers.pods)
    queue = context.makeQueue("endpoint_slice")
    slices = OwnedObjects(client: client, informer: informers.endpointSlices, world: context.world)
    tracker.onChange { [queue] in queue.add($0) }
    informers.services.onEvent { [weak self, slices] event in
      guard case .deleted(let service) = event else { return }
      slices.forget(ObjectOwner(service))
      self?.state.withLock { state in
        state.triggers.forget(service.key)
        state.hinted.remove(service.key)
      }
    }
    informers.nodes.onEvent { [weak self] event in self?.nodeChanged(event) }
    informers.endpointSlices.onEvent { [queue, slices] event in
      guard event.object.metadata.labels[SliceLabels.managedBy] == Self.managedBy,
        let service = event.object.metadata.labels[SliceLabels.service]
      else { return }
      let key = NamespacedName(namespace: event.object.namespace, name: service)
      if case .added(let slice) = event, let owner = slice.metadata.controller {
        slices.creationSeen(slice.key, of: ObjectOwner(key: key, uid: owner.uid))
      }
      queue.add(key)
    }
  }

  public func run() async {
    let known: [any Following] = [informers.services, informers.pods, informers.endpointSlices, informers.nodes]
    await work(queue, workers: Self.workers, after: known, logger: logger, "EndpointSlices of") {
      try await self.sync($0)
    }
  }

  // MARK: Nodes

  /// Where a node is, and how much it can do, changes rarely; heartbeats are nothing to endpoints.
  private func nodeChanged(_ event: InformerEvent<Node>) {
    let node = event.object
    var former: Node?
    if case .updated(let old, _) = event { former = old }
    if former.map({ ZoneShares.part(of: $0) != ZoneShares.part(of: node) }) ?? true {
      let hinted = state.withLock { state in
        state.shares = nil
        return state.hinted
      }
      for service in hinted.sorted() { queue.add(service) }
    }
    if case .deleted = event { return }
    guard let zone = node.metadata.labels[Self.zoneLabel], former?.metadata.labels[Self.zoneLabel] != zone else {
      return
    }
    for pod in informers.pods.objects(index: IndexName.nodeName, value: node.name) {
      for service in tracker.services(selecting: pod) { queue.add(service) }
    }
  }

  private func zone(of node: String) -> String {
    informers.nodes.get(name: node)?.metadata.labels[Self.zoneLabel] ?? ""
  }

  private func shares() -> ZoneShares {
    if let known = state.withLock({ $0.shares }) { return known }
    let shares = ZoneShares(informers.nodes.all)
    state.withLock { $0.shares = shares }
    return shares
  }

  // MARK: Reconciling

  private func sync(_ key: NamespacedName) async throws {
    guard let service = informers.services.get(key), !service.selector.isEmpty, service.type != "ExternalName" else {
      return
    }
    guard slices.isSettled(key) else { return }
    do {
      try await reconcile(service)
    } catch {
      // What another changed meanwhile is looked at again, and nothing to tell of.
      if (error as? APIStatus)?.code != 409 {
        recorder.record(
          .init(service), .warning, reason: "FailedToUpdateEndpointSlices",
          message: "Error updating Endpoint Slices for Service \(key): \(error.eventText)")
      }
      throw error
    }
  }

  private func reconcile(_ service: Service) async throws {
    let pods = tracker.selectedPods(service)
    let trigger = state.withLock { $0.triggers.note(service, pods) }
    let existing = informers.endpointSlices.objects(index: IndexName.controllerUID, value: service.metadata.uid)
      .filter { $0.metadata.labels[SliceLabels.managedBy] == Self.managedBy && !$0.metadata.isBeingDeleted }
      .sorted { $0.name < $1.name }
    var plans: [(family: String, plan: SlicePlan)] = []
    for family in service.addressTypes {
      let groups = EndpointGroups(service: service, pods: pods, family: family, zone: zone)
      var plan = SlicePlan(
        existing: existing.filter { $0.addressType == family }, groups: groups, maximum: Self.maximumEndpoints)
      hint(&plan, service, family)
      plans.append((family, plan))
    }
    for (family, plan) in plans { try await perform(plan, of: service, family, trigger) }
    // A family that the Service has no more.
    try await delete(existing.filter { !service.addressTypes.contains($0.addressType) })
  }

  /// Says of endpoints for which zones they are, where the Service asks for that.
  private func hint(_ plan: inout SlicePlan, _ service: Service, _ family: String) {
    func tell(_ type: EventRecorder.EventType, _ reason: String, _ message: String) {
      recorder.record(.init(service), type, reason: reason, message: "\(message), addressType: \(family)")
    }
    guard TopologyHints.areByCapacity(service) else {
      if state.withLock({ $0.hinted.remove(service.key) }) != nil {
        tell(.warning, "TopologyAwareHintsDisabled", "Topology Aware Hints has been disabled")
      }
      if service.trafficDistribution == "PreferClose" { TopologyHints.preferClose(&plan) }
      return
    }
    let failure = TopologyHints.byCapacity(&plan, shares())
    // Followed in either case: when nodes change there may be hints, or none.
    let isNew = state.withLock { $0.hinted.insert(service.key).inserted }
    if let failure {
      tell(.warning, "TopologyAwareHintsDisabled", failure)
    } else if isNew {
      tell(.normal, "TopologyAwareHintsEnabled", "Topology Aware Hints has been enabled")
    }
  }

  private func perform(_ plan: SlicePlan, of service: Service, _ family: String, _ trigger: WallTime?) async throws {
    let labels = labels(of: service)
    func object(_ content: SlicePlan.Content, over existing: EndpointSlice?) -> JSONValue {
      self.object(content, of: service, family, labels: labels, existing: existing, trigger)
    }
    for (slice, content) in plan.updates {
      guard
        slice.endpoints.elements != content.endpoints || slice.ports.elements != content.ports
          || slice.metadata.labels != labels
      else { continue }
      try await client.update(
        .endpointSlices, namespace: service.namespace, name: slice.name, object(content, over: slice))
    }
    let requests = plan.creations.map { CreationRequest(object: object($0, over: nil), purpose: family) }
    do {
      try await slices.createAll(requests, for: ObjectOwner(service))
    } catch let status as APIStatus where status.isNamespaceTerminating { return }
    try await delete(plan.deletions)
  }

  private func delete(_ slices: [EndpointSlice]) async throws {
    for slice in slices {
      do {
        try await client.delete(
          .endpointSlices, namespace: slice.namespace, name: slice.name, DeleteOptions(uid: slice.metadata.uid))
      } catch let status as APIStatus where status.code == 404 { continue }
    }
  }

  private func labels(of service: Service) -> [String: String] {
    var labels = service.metadata.labels
    labels[SliceLabels.headless] = service.isHeadless ? "" : nil
    labels[SliceLabels.service] = service.name
    labels[SliceLabels.managedBy] = Self.managedBy
    return labels
  }

  private func object(
    _ content: SlicePlan.Content, of service: Service, _ family: String, labels: [String: String],
    existing: EndpointSlice?, _ trigger: WallTime?
  ) -> JSONValue {
    var metadata: JSONValue = [
      "namespace": .string(service.namespace), "labels": .object(labels),
      "ownerReferences": [service.controllerReference.json],
    ]
    var annotations = existing?.metadata.annotations ?? [:]
    annotations[TriggerTimes.annotation] = trigger?.rfc3339
    if !annotations.isEmpty { metadata["annotations"] = .object(annotations) }
    if let existing {
      metadata["name"] = .string(existing.name)
      metadata["resourceVersion"] = .string(existing.metadata.resourceVersion)
    }
    metadata["generateName"] = .string("\(service.name)-")
    return [
      "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
      "addressType": .string(family), "endpoints": .array(content.endpoints), "ports": .array(content.ports),
    ]
  }
}
