// Endpoints objects: one per Service with a selector, named like it (spec/5 §5.1).
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

public final class EndpointsController: Controller {
  public static let serviceAccount = "endpoint-controller"
  private static let workers = 5
  /// More addresses than this are cut off and the object says so (spec/2 §2.14).
  private static let maximumAddresses = 1000
  private static let overCapacity = "endpoints.kubernetes.io/over-capacity"
  private static let headlessLabel = "service.kubernetes.io/headless"
  /// Marks Endpoints that clients of old used as election locks.
  private static let leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"

  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let tracker: ServiceTracker
  private let queue: WorkQueue<NamespacedName>
  private let triggers = Mutex(TriggerTimes())

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    recorder = context.recorder(Self.serviceAccount)
    logger = context.logger
    self.informers = informers
    tracker = ServiceTracker(services: informers.services, pods: informers.pods)
    queue = context.makeQueue("endpoint")
    tracker.onChange { [queue] in queue.add($0) }
    // Somebody else's edit of ours is undone; Endpoints that no Service stands for are left to who made them.
    informers.endpoints.onEvent { [queue, services = informers.services] event in
      if services.get(event.object.key) != nil { queue.add(event.object.key) }
    }
  }

  public func run() async {
    await informers.services.waitForSync()
    await informers.pods.waitForSync()
    await informers.endpoints.waitForSync()
    // Services may have gone while no controller ran; their endpoints went unseen.
    for endpoints in informers.endpoints.all where endpoints.metadata.annotations[Self.leaderAnnotation] == nil {
      queue.add(endpoints.key)
    }
    await queue.run(
      workers: Self.workers,
      onError: { [logger] key, error in logger.debug("Endpoints \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    let existing = informers.endpoints.get(key)
    guard let service = informers.services.get(key) else {
      triggers.withLock { $0.forget(key) }
      if let existing { try await delete(existing) }
      return
    }
    guard !service.selector.isEmpty, service.type != "ExternalName" else { return }
    let pods = tracker.selectedPods(service)
    let trigger = triggers.withLock { $0.note(service, pods) }
    let (subsets, isCut) = EndpointSubsets.json(
      EndpointGroups(service: service, pods: pods), of: service, maximum: Self.maximumAddresses)
    var labels = service.metadata.labels
    if service.isHeadless { labels[Self.headlessLabel] = "" } else { labels[Self.headlessLabel] = nil }
    var annotations = existing?.metadata.annotations ?? [:]
    annotations[Self.overCapacity] = isCut ? "truncated" : nil
    if let existing, existing.subsets.elements == subsets, existing.metadata.labels == labels,
      existing.metadata.annotations == annotations
    {
      return
    }
    annotations[TriggerTimes.annotation] = trigger?.rfc3339
    var object: JSONValue = [
      "apiVersion": "v1", "kind": "Endpoints",
      "metadata": [
        "name": .string(service.name), "namespace": .string(service.namespace), "labels": .object(labels),
      ],
      "subsets": .array(subsets),
    ]
    if !annotations.isEmpty { object["metadata"]["annotations"] = .object(annotations) }
    try await write(object, over: existing, of: service)
  }

  private func write(_ object: JSONValue, over existing: Endpoints?, of service: Service) async throws {
    do {
      guard let existing else {
        try await client.create(.endpoints, namespace: service.namespace, object)
        return
      }
      var object = object
      object["metadata"]["resourceVersion"] = .string(existing.metadata.resourceVersion)
      try await client.update(.endpoints, namespace: service.namespace, name: service.name, object)
    } catch let status as APIStatus where status.isNamespaceTerminating {
      return
    } catch {
      // What another changed meanwhile is looked at again, and nothing to tell of.
      if (error as? APIStatus)?.code != 409 {
        let subject = EventRecorder.Subject(
          reference: .endpoints, namespace: service.namespace, name: service.name, uid: existing?.metadata.uid ?? "")
        recorder.record(
          subject, .warning, reason: existing == nil ? "FailedToCreateEndpoint" : "FailedToUpdateEndpoint",
          message: existing == nil
            ? "Failed to create endpoint for service \(service.key): \(error.eventText)"
            : "Failed to update endpoint \(service.key): \(error.eventText)")
      }
      throw error
    }
  }

  private func delete(_ endpoints: Endpoints) async throws {
    do {
      try await client.delete(
        .endpoints, namespace: endpoints.namespace, name: endpoints.name, DeleteOptions(uid: endpoints.metadata.uid))
    } catch let status as APIStatus where status.code == 404 { return }
  }
}

/// The subsets of Endpoints.
enum EndpointSubsets {
  private struct Subset {
    var ports: [EndpointPort]
    var ready: [EndpointAddress]
    var notReady: [EndpointAddress]
  }

  /// The subsets, and whether addresses were left out: those that are not ready before any that is, and of every subset
  /// in proportion.
  static func json(_ groups: EndpointGroups, of service: Service, maximum: Int) -> ([JSONValue], Bool) {
    var subsets: [Subset] = groups.groups.compactMap { group in
      // Pods that answer on none of the Service's ports stand behind none.
      if group.ports.isEmpty && !service.ports.isEmpty { return nil }
      let usable = group.addresses.filter { !$0.isTerminating || $0.isReady }
      return Subset(ports: group.ports, ready: usable.filter(\.isReady), notReady: usable.filter { !$0.isReady })
    }
    let (ready, notReady) = (subsets.reduce(0) { $0 + $1.ready.count }, subsets.reduce(0) { $0 + $1.notReady.count })
    let isCut = ready + notReady > maximum
    if ready > maximum {
      cut(&subsets, \.ready, from: ready, to: maximum)
      cut(&subsets, \.notReady, from: notReady, to: 0)
    } else if isCut {
      cut(&subsets, \.notReady, from: notReady, to: maximum - ready)
    }
    return (subsets.compactMap(json), isCut)
  }

  private static func cut(
    _ subsets: inout [Subset], _ list: WritableKeyPath<Subset, [EndpointAddress]>, from total: Int, to maximum: Int
  ) {
    guard total > 0 else { return }
    var room = maximum
    for index in subsets.indices {
      let share = (subsets[index][keyPath: list].count * maximum + total - 1) / total
      let kept = min(share, room)
      subsets[index][keyPath: list] = Array(subsets[index][keyPath: list].prefix(kept))
      room -= kept
    }
  }

  private static func json(_ subset: Subset) -> JSONValue? {
    guard !subset.ready.isEmpty || !subset.notReady.isEmpty else { return nil }
    var json: JSONValue = [:]
    if !subset.ready.isEmpty { json["addresses"] = .array(subset.ready.map(address)) }
    if !subset.notReady.isEmpty { json["notReadyAddresses"] = .array(subset.notReady.map(address)) }
    if !subset.ports.isEmpty { json["ports"] = .array(subset.ports.map(\.json)) }
    return json
  }

  private static func address(_ address: EndpointAddress) -> JSONValue {
    var value: JSONValue = ["ip": .string(address.ip)]
    if !address.hostname.isEmpty { value["hostname"] = .string(address.hostname) }
    if !address.nodeName.isEmpty { value["nodeName"] = .string(address.nodeName) }
    value["targetRef"] = address.targetReference
    return value
  }
}

extension JSONValue {
  /// An object of strings, keys sorted.
  static func object(_ map: [String: String]) -> JSONValue {
    .object(
      JSONObject(uniqueMembers: map.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) }))
  }
}
