// Which addresses stand behind a Service, as values; both endpoint controllers draw on this.
import Client
import JSON
import Schema
import World

/// One pod as an endpoint of one Service.
struct EndpointAddress: Hashable {
  var ip: String
  var pod: NamespacedName
  var podUID: String
  var nodeName: String
  /// Set for pods that give themselves a name under the Service's (hostname and subdomain).
  var hostname: String
  var isReady: Bool
  var isServing: Bool
  var isTerminating: Bool

  var targetReference: JSONValue {
    ["kind": "Pod", "namespace": .string(pod.namespace), "name": .string(pod.name), "uid": .string(podUID)]
  }
}

struct EndpointPort: Hashable {
  var name: String
  var protocolName: String
  var port: Int64
  var appProtocol: String

  var json: JSONValue {
    var value: JSONValue = ["port": .integer(port), "protocol": .string(protocolName)]
    if !name.isEmpty { value["name"] = .string(name) }
    if !appProtocol.isEmpty { value["appProtocol"] = .string(appProtocol) }
    return value
  }
}

/// The endpoints of a Service: addresses grouped by the ports they answer on (a named target port may differ by pod).
struct EndpointGroups {
  var groups: [(ports: [EndpointPort], addresses: [EndpointAddress])] = []

  init(service: Service, pods: [Pod]) {
    var byPorts: [[EndpointPort]: [EndpointAddress]] = [:]
    for pod in pods.sorted(by: { $0.key < $1.key }) {
      guard let address = Self.address(of: pod, service: service) else { continue }
      byPorts[Self.ports(of: service, on: pod), default: []].append(address)
    }
    groups = byPorts.map { (ports: $0.key, addresses: $0.value) }
      .sorted { left, right in left.ports.map(\.port).lexicographicallyPrecedes(right.ports.map(\.port)) }
  }

  /// Nil for a pod that cannot be reached: no address yet, or finished.
  private static func address(of pod: Pod, service: Service) -> EndpointAddress? {
    guard !pod.status.podIP.isEmpty, !pod.isTerminal else { return nil }
    let isTerminating = pod.metadata.isBeingDeleted
    let isServing = pod.isReady
    let hasName = !pod.spec.hostname.isEmpty && pod.spec.subdomain == service.name
    return EndpointAddress(
      ip: pod.status.podIP, pod: pod.key, podUID: pod.metadata.uid, nodeName: pod.spec.nodeName,
      hostname: hasName ? pod.spec.hostname : "",
      isReady: service.publishesNotReadyAddresses || (isServing && !isTerminating), isServing: isServing,
      isTerminating: isTerminating)
  }

  /// The Service's ports as numbers on this pod; a named port that the pod lacks is left out.
  private static func ports(of service: Service, on pod: Pod) -> [EndpointPort] {
    service.ports.compactMap { port in
      let number: Int64?
      switch port.targetPort {
      case .integer(let value): number = value
      case .string(let name):
        number =
          pod.spec.containers.lazy.flatMap(\.ports)
          .first { $0.name == name && $0.protocolName == port.protocolName }?.containerPort
      default: number = port.port
      }
      return number.map {
        EndpointPort(name: port.name, protocolName: port.protocolName, port: $0, appProtocol: port.appProtocol)
      }
    }
  }
}
