// Endpoints objects: one per Service with a selector, named like it (spec/5 §5.1).
import Client
import JSON
import Logging
import Schema
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
  private let logger: Logger
  private let informers: SharedInformers
  private let tracker: ServiceTracker
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
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
      if let existing { try await delete(existing) }
      return
    }
    guard !service.selector.isEmpty, service.type != "ExternalName" else { return }
    var (subsets, isCut) = subsets(EndpointGroups(service: service, pods: tracker.selectedPods(service)))
    if subsets.isNull { subsets = .array([]) }
    var labels = service.metadata.labels
    if service.isHeadless { labels[Self.headlessLabel] = "" } else { labels[Self.headlessLabel] = nil }
    var annotations = existing?.metadata.annotations ?? [:]
    annotations[Self.overCapacity] = isCut ? "truncated" : nil
    if let existing, existing.subsets.elements == subsets.elements, existing.metadata.labels == labels,
      existing.metadata.annotations == annotations
    {
      return
    }
    var object: JSONValue = [
      "apiVersion": "v1", "kind": "Endpoints",
      "metadata": [
        "name": .string(service.name), "namespace": .string(service.namespace), "labels": .object(labels),
      ],
      "subsets": subsets,
    ]
    if !annotations.isEmpty { object["metadata"]["annotations"] = .object(annotations) }
    if let existing {
      object["metadata"]["resourceVersion"] = .string(existing.metadata.resourceVersion)
      try await client.update(.endpoints, namespace: service.namespace, name: service.name, object)
    } else {
      do {
        try await client.create(.endpoints, namespace: service.namespace, object)
      } catch let status as APIStatus where status.isNamespaceTerminating { return }
    }
  }

  private func delete(_ endpoints: Endpoints) async throws {
    do {
      try await client.delete(
        .endpoints, namespace: endpoints.namespace, name: endpoints.name, DeleteOptions(uid: endpoints.metadata.uid))
    } catch let status as APIStatus where status.code == 404 { return }
  }

  /// The subsets, and whether addresses were left out.
  private func subsets(_ groups: EndpointGroups) -> (JSONValue, Bool) {
    var subsets: [JSONValue] = []
    var room = Self.maximumAddresses
    var isCut = false
    for group in groups.groups {
      let usable = group.addresses.filter { !$0.isTerminating || $0.isReady }
      isCut = isCut || usable.count > room
      let addresses = usable.prefix(room)
      room -= addresses.count
      guard !addresses.isEmpty else { continue }
      var subset: JSONValue = [:]
      let ready = addresses.filter(\.isReady).map(json)
      let notReady = addresses.filter { !$0.isReady }.map(json)
      if !ready.isEmpty { subset["addresses"] = .array(ready) }
      if !notReady.isEmpty { subset["notReadyAddresses"] = .array(notReady) }
      if !group.ports.isEmpty { subset["ports"] = .array(group.ports.map(\.json)) }
      subsets.append(subset)
    }
    return (subsets.isEmpty ? .null : .array(subsets), isCut)
  }

  private func json(_ address: EndpointAddress) -> JSONValue {
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
