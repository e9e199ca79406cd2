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
  /// Where its node is; "" when nobody says.
  var zone = ""
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

  /// Of one family ("IPv4", "IPv6"); nil: the Service's first. `zone`: of a node, by its name.
  init(service: Service, pods: [Pod], family: String? = nil, zone: (String) -> String = { _ in "" }) {
    let family = family ?? service.addressTypes[0]
    var byPorts: [[EndpointPort]: [EndpointAddress]] = [:]
    for pod in pods.sorted(by: { $0.key < $1.key }) {
      guard var address = Self.address(of: pod, service: service, family) else { continue }
      address.zone = zone(pod.spec.nodeName)
      byPorts[Self.ports(of: service, on: pod), default: []].append(address)
    }
    groups = byPorts.map { (ports: $0.key, addresses: $0.value) }
      .sorted { left, right in left.ports.map(\.port).lexicographicallyPrecedes(right.ports.map(\.port)) }
  }

  /// Nil for a pod that cannot be reached: no address yet, or finished.
  private static func address(of pod: Pod, service: Service, _ family: String) -> EndpointAddress? {
    guard let ip = pod.address(ofFamily: family), !pod.isTerminal else { return nil }
    let isTerminating = pod.metadata.isBeingDeleted
    let isServing = pod.isReady
    let hasName = !pod.spec.hostname.isEmpty && pod.spec.subdomain == service.name
    return EndpointAddress(
      ip: ip, pod: pod.key, podUID: pod.metadata.uid, nodeName: pod.spec.nodeName,
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
          (pod.spec.containers + pod.spec.initContainers.filter { $0.restartPolicy == "Always" }).lazy.flatMap(\.ports)
          .first { $0.name == name && $0.protocolName == port.protocolName }?.containerPort
      default: number = port.port
      }
      return number.map {
        EndpointPort(name: port.name, protocolName: port.protocolName, port: $0, appProtocol: port.appProtocol)
      }
    }
  }
}

extension Service {
  /// The families of its endpoints, its first one first.
  var addressTypes: [String] {
    ipFamilies.isEmpty ? [clusterIP.contains(":") ? "IPv6" : "IPv4"] : ipFamilies
  }
}

extension Pod {
  /// Its address of a family, "IPv4" or "IPv6"; nil while it has none.
  fileprivate func address(ofFamily family: String) -> String? {
    (status.podIPs + [status.podIP]).first { !$0.isEmpty && $0.contains(":") == (family == "IPv6") }
  }
}

/// When what endpoints tell of came about (the annotation of that name), for whoever measures how long it takes until
/// clients are told: the earliest of the changes of pods that were not seen before.
struct TriggerTimes {
  static let annotation = "endpoints.kubernetes.io/last-change-trigger-time"

  private struct Known {
    var uid: String
    var pods: [String: WallTime]
  }
  private var services: [NamespacedName: Known] = [:]

  /// Takes in the pods as they are now. Nil when nothing tells when anything changed.
  mutating func note(_ service: Service, _ pods: [Pod]) -> WallTime? {
    var times: [String: WallTime] = [:]
    for pod in pods { times[pod.name] = pod.status.condition("Ready")?.lastTransitionTime }
    let former = services.updateValue(Known(uid: service.metadata.uid, pods: times), forKey: service.key)
    guard let former, former.uid == service.metadata.uid else { return service.metadata.creationTimestamp }
    return times.lazy.filter { name, time in former.pods[name].map { $0 < time } ?? true }.map(\.value).min()
  }

  mutating func forget(_ service: NamespacedName) { services[service] = nil }
}
