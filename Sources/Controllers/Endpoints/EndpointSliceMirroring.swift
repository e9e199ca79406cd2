// Endpoints that somebody wrote by hand, for a Service without a selector, as slices: whoever follows slices alone finds
// them too (spec/5 §5.1).
import Client
import JSON
import Logging
import Schema
import World

public final class EndpointSliceMirroringController: Controller {
  public static let serviceAccount = "endpointslicemirroring-controller"
  /// Its events come from here.
  private static let component = "endpoint-slice-mirroring-controller"
  private static let workers = 5
  static let managedBy = "endpointslicemirroring-controller.k8s.io"

  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let slices: OwnedObjects<EndpointSlice>
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    recorder = EventRecorder(client: client, component: Self.component, logger: context.logger)
    logger = context.logger
    self.informers = informers
    slices = OwnedObjects(client: client, informer: informers.endpointSlices, world: context.world)
    queue = context.makeQueue("endpoint_slice_mirroring")
    informers.services.onEvent { [queue] event in
      // Which of them are mirrored depends on the selector alone.
      if case .updated(let old, let new) = event, old.selector.isEmpty == new.selector.isEmpty { return }
      queue.add(event.object.key)
    }
    informers.endpoints.onEvent { [queue, slices] event in
      if case .deleted(let endpoints) = event { slices.forget(ObjectOwner(endpoints)) }
      queue.add(event.object.key)
    }
    informers.endpointSlices.onEvent { [queue, slices] event in
      let slice = event.object
      guard slice.metadata.labels[SliceLabels.managedBy] == Self.managedBy,
        let service = slice.metadata.labels[SliceLabels.service]
      else { return }
      let key = NamespacedName(namespace: slice.namespace, name: service)
      if case .added = event, let owner = slice.metadata.controller {
        slices.creationSeen(slice.key, of: ObjectOwner(key: key, uid: owner.uid))
      }
      queue.add(key)
    }
  }

  public func run() async {
    let known: [any Following] = [informers.services, informers.endpoints, informers.endpointSlices]
    await work(queue, workers: Self.workers, after: known, logger: logger, "mirrored Endpoints") {
      try await self.sync($0)
    }
  }

  private func sync(_ key: NamespacedName) async throws {
    let existing = informers.endpointSlices.objects(index: IndexName.service, value: "\(key)")
      .filter { $0.metadata.labels[SliceLabels.managedBy] == Self.managedBy && !$0.metadata.isBeingDeleted }
      .sorted { $0.name < $1.name }
    guard let endpoints = informers.endpoints.get(key), EndpointsMirror.isMirrored(endpoints),
      let service = informers.services.get(key), service.selector.isEmpty
    else { return try await delete(existing) }
    guard slices.isSettled(key) else { return }
    let mirror = EndpointsMirror(endpoints)
    tell(mirror, endpoints)
    var left = existing
    var creations: [CreationRequest] = []
    for wanted in mirror.slices {
      guard let index = left.firstIndex(where: wanted.isSameKind) else {
        creations.append(CreationRequest(object: wanted.json(of: endpoints)))
        continue
      }
      let slice = left.remove(at: index)
      guard !wanted.equals(slice, of: endpoints) else { continue }
      var object = wanted.json(of: endpoints)
      object["metadata"]["generateName"] = .null
      object["metadata"]["name"] = .string(slice.name)
      object["metadata"]["resourceVersion"] = .string(slice.metadata.resourceVersion)
      try await client.update(.endpointSlices, namespace: slice.namespace, name: slice.name, object)
    }
    do {
      try await slices.createAll(creations, for: ObjectOwner(endpoints))
    } catch let status as APIStatus where status.isNamespaceTerminating { return }
    try await delete(left)
  }

  private func delete(_ slices: [EndpointSlice]) async throws {
    for slice in slices {
      do {
        try await client.delete(
          .endpointSlices, namespace: slice.namespace, name: slice.name, DeleteOptions(uid: slice.metadata.uid))
      } catch let status as APIStatus where status.code == 404 || status.code == 409 { continue }
    }
  }

  private func tell(_ mirror: EndpointsMirror, _ endpoints: Endpoints) {
    if mirror.invalidAddresses > 0 {
      recorder.record(
        .init(endpoints), .warning, reason: "InvalidIPAddress",
        message: "Skipped \(mirror.invalidAddresses) invalid IP addresses when mirroring to EndpointSlices")
    }
    if mirror.surplusAddresses > 0 {
      recorder.record(
        .init(endpoints), .warning, reason: "TooManyAddressesToMirror",
        message:
          "A max of \(EndpointsMirror.maximumAddresses) addresses can be mirrored to EndpointSlices per Endpoints "
          + "subset. \(mirror.surplusAddresses) addresses were skipped")
    }
  }
}

/// Labels that say what a slice belongs to.
enum SliceLabels {
  static let service = "kubernetes.io/service-name"
  static let managedBy = "endpointslice.kubernetes.io/managed-by"
  static let headless = "service.kubernetes.io/headless"
}

/// What the slices of Endpoints should hold.
struct EndpointsMirror {
  /// Of one subset; those that are not ready are left out first.
  static let maximumAddresses = 1000
  private static let skipLabel = "endpointslice.kubernetes.io/skip-mirror"
  /// Marks Endpoints that clients of old used as election locks.
  private static let leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"

  /// One slice: the addresses of one family that answer on the same ports.
  struct Slice {
    var addressType: String
    var ports: [JSONValue]
    var endpoints: [JSONValue] = []
  }

  private(set) var slices: [Slice] = []
  private(set) var invalidAddresses = 0
  private(set) var surplusAddresses = 0

  static func isMirrored(_ endpoints: Endpoints) -> Bool {
    endpoints.metadata.labels[skipLabel] != "true" && endpoints.metadata.annotations[leaderAnnotation] == nil
      && !endpoints.metadata.isBeingDeleted
  }

  init(_ endpoints: Endpoints) {
    for subset in endpoints.subsets.elements {
      let ports = subset["ports"].elements.map(Self.port)
      var room = Self.maximumAddresses
      for (list, isReady) in [("addresses", true), ("notReadyAddresses", false)] {
        for address in subset[list].elements {
          guard let parsed = IPAddress(address["ip"].string ?? "") else {
            invalidAddresses += 1
            continue
          }
          guard room > 0 else {
            surplusAddresses += 1
            continue
          }
          room -= 1
          add(Self.endpoint(address, isReady: isReady), parsed.family.name, ports)
        }
      }
    }
  }

  private mutating func add(_ endpoint: JSONValue, _ addressType: String, _ ports: [JSONValue]) {
    let index =
      slices.firstIndex {
        $0.addressType == addressType && $0.ports == ports && $0.endpoints.count < Self.maximumAddresses
      }
    if let index {
      slices[index].endpoints.append(endpoint)
    } else {
      slices.append(Slice(addressType: addressType, ports: ports, endpoints: [endpoint]))
    }
  }

  private static func endpoint(_ address: JSONValue, isReady: Bool) -> JSONValue {
    var endpoint: JSONValue = ["addresses": [address["ip"]], "conditions": ["ready": .bool(isReady)]]
    for key in ["hostname", "targetRef", "nodeName"] where !address[key].isNull { endpoint[key] = address[key] }
    return endpoint
  }

  /// Slices name every port, with "" for the only one.
  private static func port(_ port: JSONValue) -> JSONValue {
    var value: JSONValue = [
      "name": .string(port["name"].string ?? ""), "protocol": .string(port["protocol"].string ?? "TCP"),
      "port": port["port"],
    ]
    if !port["appProtocol"].isNull { value["appProtocol"] = port["appProtocol"] }
    return value
  }
}

extension EndpointsMirror.Slice {
  private static let lastChange = "endpoints.kubernetes.io/last-change-trigger-time"
  private static let lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

  func isSameKind(_ slice: EndpointSlice) -> Bool {
    slice.addressType == addressType && slice.ports.elements == ports
  }

  func equals(_ slice: EndpointSlice, of owner: Endpoints) -> Bool {
    slice.endpoints.elements == endpoints && slice.metadata.labels == Self.labels(of: owner)
      && slice.metadata.annotations == Self.annotations(of: owner)
      && slice.metadata.controller?.uid == owner.metadata.uid
  }

  private static func labels(of endpoints: Endpoints) -> [String: String] {
    var labels = endpoints.metadata.labels
    labels[SliceLabels.service] = endpoints.name
    labels[SliceLabels.managedBy] = EndpointSliceMirroringController.managedBy
    return labels
  }

  private static func annotations(of endpoints: Endpoints) -> [String: String] {
    endpoints.metadata.annotations.filter { $0.key != lastChange && $0.key != lastApplied }
  }

  func json(of owner: Endpoints) -> JSONValue {
    var metadata: JSONValue = [
      "generateName": .string("\(owner.name)-"), "namespace": .string(owner.namespace),
      "labels": .object(Self.labels(of: owner)), "ownerReferences": [owner.controllerReference.json],
    ]
    let annotations = Self.annotations(of: owner)
    if !annotations.isEmpty { metadata["annotations"] = .object(annotations) }
    return [
      "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
      "addressType": .string(addressType), "endpoints": .array(endpoints), "ports": .array(ports),
    ]
  }
}
