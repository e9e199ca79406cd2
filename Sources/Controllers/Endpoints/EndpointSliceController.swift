// EndpointSlices: the endpoints of a Service in slices of at most 100 (spec/5 §5.1).
import Client
import JSON
import Logging
import Schema
import World

public final class EndpointSliceController: Controller {
  public static let serviceAccount = "endpointslice-controller"
  private static let workers = 5
  private static let maximumEndpoints = 100
  private static let managedBy = "endpointslice-controller.k8s.io"

  private let client: APIClient
  private let logger: Logger
  private let informers: SharedInformers
  private let tracker: ServiceTracker
  private let queue: WorkQueue<NamespacedName>
  /// Slices created and not yet seen: another turn would create them again.
  private let slices: OwnedObjects<EndpointSlice>

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    logger = context.logger
    self.informers = informers
    tracker = ServiceTracker(services: informers.services, pods: informers.pods)
    queue = context.makeQueue("endpoint_slice")
    slices = OwnedObjects(client: client, informer: informers.endpointSlices, world: context.world)
    tracker.onChange { [queue] in queue.add($0) }
    informers.services.onEvent { [slices] event in
      if case .deleted(let service) = event { slices.forget(ObjectOwner(service)) }
    }
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
    let known: [any Following] = [informers.services, informers.pods, informers.endpointSlices]
    await work(queue, workers: Self.workers, after: known, logger: logger, "EndpointSlices of") {
      try await self.sync($0)
    }
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let service = informers.services.get(key), !service.selector.isEmpty, service.type != "ExternalName" else {
      return
    }
    guard slices.isSettled(key) else { return }
    let existing = informers.endpointSlices.objects(index: IndexName.controllerUID, value: service.metadata.uid)
      .filter { $0.metadata.labels[SliceLabels.managedBy] == Self.managedBy && !$0.metadata.isBeingDeleted }
      .sorted { $0.name < $1.name }
    let wanted = SlicePlan(
      existing: existing, groups: EndpointGroups(service: service, pods: tracker.selectedPods(service)),
      maximum: Self.maximumEndpoints)
    for (slice, content) in wanted.updates {
      let labels = labels(of: service)
      guard
        slice.endpoints.elements != content.endpoints || slice.ports.elements != content.ports
          || slice.metadata.labels != labels
      else { continue }
      try await client.update(
        .endpointSlices, namespace: service.namespace, name: slice.name,
        object(content, of: service, labels: labels, existing: slice))
    }
    try await create(wanted.creations, for: service)
    for slice in wanted.deletions {
      do {
        try await client.delete(
          .endpointSlices, namespace: slice.namespace, name: slice.name, DeleteOptions(uid: slice.metadata.uid))
      } catch let status as APIStatus where status.code == 404 { continue }
    }
  }

  private func create(_ contents: [SlicePlan.Content], for service: Service) async throws {
    let requests = contents.map { content in
      CreationRequest(object: object(content, of: service, labels: labels(of: service), existing: nil))
    }
    do {
      try await slices.createAll(requests, for: ObjectOwner(service))
    } catch let status as APIStatus where status.isNamespaceTerminating { return }
  }

  private func labels(of service: Service) -> [String: String] {
    var labels = service.metadata.labels
    labels[SliceLabels.headless] = service.isHeadless ? "" : nil
    labels[SliceLabels.service] = service.name
    labels[SliceLabels.managedBy] = Self.managedBy
    return labels
  }

  private func object(
    _ content: SlicePlan.Content, of service: Service, labels: [String: String], existing: EndpointSlice?
  ) -> JSONValue {
    var metadata: JSONValue = [
      "namespace": .string(service.namespace), "labels": .object(labels),
      "ownerReferences": [service.controllerReference.json],
    ]
    if let existing {
      metadata["name"] = .string(existing.name)
      metadata["resourceVersion"] = .string(existing.metadata.resourceVersion)
      if !existing.metadata.annotations.isEmpty { metadata["annotations"] = .object(existing.metadata.annotations) }
    } else {
      metadata["generateName"] = .string("\(service.name)-")
    }
    return [
      "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
      "addressType": .string(service.ipFamilies.first == "IPv6" ? "IPv6" : "IPv4"),
      "endpoints": .array(content.endpoints), "ports": .array(content.ports),
    ]
  }
}

/// What each slice should hold: endpoints stay in the slice they are in, so that few slices are written; freed places
/// are filled before new slices are made.
struct SlicePlan {
  struct Content: Hashable {
    var endpoints: [JSONValue]
    var ports: [JSONValue]
  }
  var updates: [(EndpointSlice, Content)] = []
  var creations: [Content] = []
  var deletions: [EndpointSlice] = []

  init(existing: [EndpointSlice], groups: EndpointGroups, maximum: Int) {
    var unused = existing
    // A Service without endpoints keeps one empty slice: watchers learn that it exists.
    let wanted = groups.groups.isEmpty ? [(ports: [EndpointPort](), addresses: [EndpointAddress]())] : groups.groups
    for group in wanted {
      let ports = group.ports.map(Self.portJSON)
      let matching = unused.filter { groups.groups.isEmpty || $0.ports.elements == ports }
      let slices = groups.groups.isEmpty ? Array(matching.prefix(1)) : matching
      unused.removeAll { candidate in slices.contains { $0.name == candidate.name } }
      plan(group.addresses, ports, slices, maximum)
    }
    deletions += unused
  }

  private mutating func plan(
    _ addresses: [EndpointAddress], _ ports: [JSONValue], _ slices: [EndpointSlice], _ maximum: Int
  ) {
    var remaining = addresses
    var contents: [(EndpointSlice, [EndpointAddress])] = slices.map { slice in
      let uids = Set(slice.endpoints.elements.compactMap { $0["targetRef"]["uid"].string })
      let kept = remaining.filter { uids.contains($0.podUID) }.prefix(maximum)
      let keptUIDs = Set(kept.map(\.podUID))
      remaining.removeAll { keptUIDs.contains($0.podUID) }
      return (slice, Array(kept))
    }
    for index in contents.indices {
      let room = maximum - contents[index].1.count
      contents[index].1 += remaining.prefix(room)
      remaining = Array(remaining.dropFirst(room))
    }
    let hasOther = contents.contains { !$0.1.isEmpty } || !remaining.isEmpty
    for (index, (slice, addresses)) in contents.enumerated() {
      if addresses.isEmpty && (hasOther || index > 0) {
        deletions.append(slice)
      } else {
        updates.append((slice, Content(endpoints: addresses.map(Self.endpointJSON), ports: ports)))
      }
    }
    if slices.isEmpty && addresses.isEmpty { creations.append(Content(endpoints: [], ports: ports)) }
    while !remaining.isEmpty {
      creations.append(Content(endpoints: remaining.prefix(maximum).map(Self.endpointJSON), ports: ports))
      remaining = Array(remaining.dropFirst(maximum))
    }
  }

  private static func endpointJSON(_ address: EndpointAddress) -> JSONValue {
    var value: JSONValue = [
      "addresses": [.string(address.ip)],
      "conditions": [
        "ready": .bool(address.isReady), "serving": .bool(address.isServing),
        "terminating": .bool(address.isTerminating),
      ],
    ]
    if !address.hostname.isEmpty { value["hostname"] = .string(address.hostname) }
    value["targetRef"] = address.targetReference
    if !address.nodeName.isEmpty { value["nodeName"] = .string(address.nodeName) }
    return value
  }

  /// Slices name every port, with "" for the only one.
  private static func portJSON(_ port: EndpointPort) -> JSONValue {
    var value: JSONValue = [
      "name": .string(port.name), "protocol": .string(port.protocolName), "port": .integer(port.port),
    ]
    if !port.appProtocol.isEmpty { value["appProtocol"] = .string(port.appProtocol) }
    return value
  }
}
