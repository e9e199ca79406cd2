// The garbage collector: objects whose owners are gone go too; orphan and foreground deletion (spec/5 §5.1).
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

public final class GarbageCollector: Controller {
  public static let serviceAccount = "generic-garbage-collector"
  /// Its events come from here.
  private static let component = "garbage-collector-controller"
  private static let workers = 20
  /// How often to look for kinds that came and went, even when nobody told of it; one that went is followed as long.
  private static let discoveryPeriod = ResourceDiscovery.lifetime
  private static let discoveryRetry = Duration.seconds(1)
  /// Definitions change several times when they are made.
  private static let settling = Duration.milliseconds(100)
  /// Collecting begins when everything has been listed, or after so long (spec/5 §5.1).
  private static let patience = Duration.seconds(30)
  /// Changes of these bring kinds.
  private static let definitions: Set<GroupResource> = [
    GroupResource(group: "apiextensions.k8s.io", resource: "customresourcedefinitions"),
    GroupResource(group: "apiregistration.k8s.io", resource: "apiservices"),
  ]

  private struct State {
    var graph = OwnershipGraph()
    var informers: [ResourceReference: Informer<GraphNode>] = [:]
    /// Followed, and since when discovery does not name them.
    var missing: [ResourceReference: MonotonicTime] = [:]
  }

  /// What the queue of discovery holds.
  private enum Discovery { case resources }

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let discovery: ResourceDiscovery
  private let queue: WorkQueue<String>
  private let discoveries: WorkQueue<Discovery>
  /// What other controllers of this process are sent whole.
  private let sentWhole: Set<ResourceReference>
  private let state = Mutex(State())

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = EventRecorder(client: client, component: Self.component, logger: context.logger)
    logger = context.logger
    discovery = ResourceDiscovery(client: client)
    queue = context.makeQueue("garbage_collector_attempt_to_delete")
    discoveries = WorkQueue(world: context.world)
    sentWhole = client.reading == nil ? [] : informers.whole
  }

  public func run() async {
    let begun = world.spawn {
      await self.discover()
      for informer in self.state.withLock({ Array($0.informers.values) }) { await informer.waitForSync() }
    }
    let timer = world.schedule(after: Self.patience) { begun.cancel() }
    // Before, most owners would be unknown, and each be asked for.
    await withTaskCancellationHandler {
      await begun.wait()
    } onCancel: {
      begun.cancel()
    }
    timer.cancel()
    let watcher = world.spawn {
      await self.discoveries.run(workers: 1, onError: { _, _ in }, sync: { _ in await self.discover() })
    }
    await queue.run(
      workers: Self.workers,
      onError: { [logger] uid, error in logger.debug("garbage collection of \(uid): \(error)") },
      sync: { try await self.sync($0) })
    watcher.cancel()
    await watcher.wait()
    let informers = state.withLock { Array($0.informers.values) }
    for informer in informers { informer.stop() }
  }

  // MARK: Observing

  /// Watches the metadata of everything deletable; kinds may come and go.
  private func discover() async {
    do {
      follow(try await discovery.served(notOlderThan: .zero).deletable.map(\.reference))
      discoveries.add(.resources, after: Self.discoveryPeriod)
    } catch {
      logger.debug("garbage collection: what is served is not known: \(error)")
      discoveries.add(.resources, after: Self.discoveryRetry)
    }
  }

  private func follow(_ resources: [ResourceReference]) {
    let (known, gone) = state.withLock { state in
      let known = Set(state.informers.keys)
      let missing = known.subtracting(resources)
      state.missing = state.missing.filter { missing.contains($0.key) }
      for resource in missing where state.missing[resource] == nil { state.missing[resource] = world.now }
      // The last objects of a kind go shortly before it: that must still be heard.
      let gone = state.missing.filter { $0.value + Self.discoveryPeriod <= world.now }.keys
      return (known, gone.sorted { $0.description < $1.description })
    }
    // Events neither own nor are owned, and there are many of them.
    for resource in resources where !known.contains(resource) && resource.resource != "events" { begin(resource) }
    for resource in gone { end(resource) }
  }

  private func begin(_ resource: ResourceReference) {
    let kind = FollowedKind(resource)
    // To be sent what others are sent costs nothing more, where it is read once for all.
    let accept = sentWhole.contains(resource) ? "application/json" : MetadataObject.accept
    let informer = Informer(
      resource: resource, client: client, accept: accept, listAccept: MetadataObject.listAccept, logger: logger,
      read: { GraphNode(kind, $0["metadata"]) })
    informer.onEvent { [weak self] event in self?.observe(event, resource) }
    state.withLock { $0.informers[resource] = informer }
    informer.start()
    _ = world.spawn {
      await informer.waitForSync()
      // Owners that are not in the list may have gone before anybody looked.
      for uid in self.state.withLock({ $0.graph.dependentsOfUnknown(resource) }).sorted() { self.queue.add(uid) }
    }
  }

  private func end(_ resource: ResourceReference) {
    let (informer, concerned) = state.withLock { state in
      state.missing[resource] = nil
      let informer = state.informers.removeValue(forKey: resource)
      let concerned = state.graph.removeAll(of: resource)
      // The kind may have gone on in another version.
      for (other, informer) in state.informers where other.groupResource == resource.groupResource {
        for node in informer.all { _ = state.graph.put(node) }
      }
      return (informer, concerned)
    }
    informer?.stop()
    for uid in concerned.sorted() { queue.add(uid) }
  }

  private func observe(_ event: InformerEvent<GraphNode>, _ resource: ResourceReference) {
    let concerned = state.withLock { state in
      switch event {
      case .added(let node), .updated(_, let node): state.graph.put(node)
      case .deleted(let node): state.graph.remove(uid: node.uid)
      }
    }
    for uid in concerned { queue.add(uid) }
    if Self.definitions.contains(resource.groupResource) { discoveries.add(.resources, after: Self.settling) }
  }

  // MARK: Collecting

  private func sync(_ uid: String) async throws {
    guard let node = state.withLock({ $0.graph.nodes[uid] }) else { return }
    if node.orphansDependents { return try await orphanDependents(of: node) }
    if node.waitsForDependents { return try await continueForegroundDeletion(of: node) }
    guard !node.isBeingDeleted, !state.withLock({ $0.graph.ownersArePresent(of: node) }) else { return }
    try await collect(node)
  }

  private func collect(_ node: GraphNode) async throws {
    // A live read: informers may lag, and what they show may have been changed since.
    guard let live = try await read(node.resource, node.key), live.metadata.uid == node.uid,
      !live.metadata.isBeingDeleted
    else { return }
    var owners: [(uid: String, state: CollectionDecision.OwnerState)] = []
    for owner in live.metadata.ownerReferences {
      owners.append((owner.uid, try await ownerState(owner, of: live, node)))
    }
    let hasDependents = state.withLock { !$0.graph.dependents(of: node.uid).isEmpty }
    switch CollectionDecision(
      owners: owners, finalizers: Set(live.metadata.finalizers), hasDependents: hasDependents)
    {
    case .keep:
      if let unseen = owners.first(where: { $0.state == .unseen }) { throw OwnerUnseen(uid: unseen.uid) }
    case .removeOwners(let uids): try await removeOwners(uids, from: live, node)
    case .delete(let propagation):
      if propagation == .foreground, try await breakCircle(at: node, live) { return queue.add(node.uid) }
      do {
        try await client.delete(
          node.resource, namespace: node.key.namespace, name: node.key.name,
          DeleteOptions(propagation: propagation, uid: node.uid, resourceVersion: live.metadata.resourceVersion))
      } catch let status as APIStatus where status.code == 404 { return }
    }
  }

  /// Whether the object was part of a circle of owners that all wait for one another; it blocks none of them any more.
  private func breakCircle(at node: GraphNode, _ live: MetadataObject) async throws -> Bool {
    let owners = live.metadata.ownerReferences
    guard owners.contains(where: { $0.blockOwnerDeletion }),
      state.withLock({ $0.graph.dependents(of: node.uid).contains { $0.waitsForDependents } })
    else { return false }
    let unblocked = owners.map { owner in
      var json = owner.json
      json["blockOwnerDeletion"] = false
      return json
    }
    try await patchMetadata(node, live, ["ownerReferences": .array(unblocked)])
    return true
  }

  private func ownerState(_ owner: OwnerReference, of object: MetadataObject, _ node: GraphNode) async throws
    -> CollectionDecision.OwnerState
  {
    let known = state.withLock { $0.graph.nodes[owner.uid] }
    if let known, known.key.namespace.isEmpty || known.key.namespace == object.namespace {
      return known.waitsForDependents ? .waiting : .present
    }
    guard let resource = try await discovery.resource(apiVersion: owner.apiVersion, kind: owner.kind) else {
      // Nobody serves that kind now; somebody may again. An owner that cannot be looked up is never taken for gone.
      throw OwnerUnknown(owner: "\(owner.apiVersion) \(owner.kind)")
    }
    if resource.isNamespaced && object.namespace.isEmpty {
      tellOfNamespace(of: owner, node)
      return .present
    }
    // It is elsewhere, and owns nothing here.
    if known != nil { tellOfNamespace(of: owner, node) }
    let namespace = resource.isNamespaced ? object.namespace : ""
    guard let live = try await read(resource, NamespacedName(namespace: namespace, name: owner.name)),
      live.metadata.uid == owner.uid
    else { return .absent }
    return live.metadata.isBeingDeleted && live.metadata.finalizers.contains(GraphNode.foregroundFinalizer)
      ? .waiting : known == nil ? .unseen : .present
  }

  private func tellOfNamespace(of owner: OwnerReference, _ node: GraphNode) {
    let namespace = node.key.namespace
    recorder.record(
      subject(node), .warning, reason: "OwnerRefInvalidNamespace",
      message: "ownerRef [\(owner.apiVersion)/\(owner.kind), namespace: \(namespace), name: \(owner.name), "
        + "uid: \(owner.uid)] does not exist in namespace \"\(namespace)\"")
  }

  private func subject(_ node: GraphNode) -> EventRecorder.Subject {
    EventRecorder.Subject(
      reference: node.resource, namespace: node.key.namespace, name: node.key.name, uid: node.uid)
  }

  /// Foreground: dependents first, then the finalizer, with which the object goes.
  private func continueForegroundDeletion(of node: GraphNode) async throws {
    let blocking = state.withLock { $0.graph.blockingDependents(of: node.uid) }
    guard blocking.isEmpty else {
      for dependent in blocking where !dependent.isBeingDeleted { queue.add(dependent.uid) }
      return
    }
    try await removeFinalizer(GraphNode.foregroundFinalizer, from: node)
  }

  /// Orphan: dependents forget their owner, then the finalizer.
  private func orphanDependents(of node: GraphNode) async throws {
    for dependent in state.withLock({ $0.graph.dependents(of: node.uid) }) {
      guard let live = try await read(dependent.resource, dependent.key), live.metadata.uid == dependent.uid else {
        continue
      }
      try await removeOwners([node.uid], from: live, dependent)
    }
    try await removeFinalizer(GraphNode.orphanFinalizer, from: node)
  }

  private func removeOwners(_ uids: [String], from object: MetadataObject, _ node: GraphNode) async throws {
    let left = object.metadata.ownerReferences.filter { !uids.contains($0.uid) }
    try await patchMetadata(node, object, ["ownerReferences": .array(left.map(\.json))])
  }

  private func removeFinalizer(_ finalizer: String, from node: GraphNode) async throws {
    guard let live = try await read(node.resource, node.key), live.metadata.uid == node.uid,
      live.metadata.finalizers.contains(finalizer)
    else { return }
    let left = live.metadata.finalizers.filter { $0 != finalizer }
    try await patchMetadata(node, live, ["finalizers": .array(left.map { .string($0) })])
  }

  /// A merge patch of metadata that holds only for the version it was computed from.
  private func patchMetadata(_ node: GraphNode, _ live: MetadataObject, _ metadata: JSONValue) async throws {
    var patch: JSONValue = ["metadata": metadata]
    patch["metadata"]["resourceVersion"] = .string(live.metadata.resourceVersion)
    patch["metadata"]["uid"] = .string(live.metadata.uid)
    do {
      try await client.patch(
        node.resource, namespace: node.key.namespace, name: node.key.name, patch, type: .merge)
    } catch let status as APIStatus where status.code == 404 { return }
  }

  private func read(_ resource: ResourceReference, _ key: NamespacedName) async throws -> MetadataObject? {
    do {
      return MetadataObject(
        json: try await client.json(
          "GET", resource.path(namespace: key.namespace, name: key.name), [], accept: MetadataObject.accept))
    } catch let status as APIStatus where status.code == 404 {
      return nil
    }
  }

  private struct OwnerUnknown: Error, CustomStringConvertible {
    var owner: String
    var description: String { "no server knows the owner's kind \(owner)" }
  }

  /// To be looked at again until its owner is followed, or gone: its deletion might have been missed.
  private struct OwnerUnseen: Error, CustomStringConvertible {
    var uid: String
    var description: String { "the owner \(uid) is there, but was not seen yet" }
  }
}
