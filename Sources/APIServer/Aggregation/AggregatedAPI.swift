// A group version that another server answers for: an APIService with a service (spec/2 §2.15).
import JSON
import Replica
import Schema

/// One APIService that leads elsewhere.
struct AggregatedAPI: Sendable {
  static let resource = GroupResource(group: "apiregistration.k8s.io", resource: "apiservices")

  let name: String
  let revision: Revision
  let group: String
  let version: String
  let groupPriority: Int64
  let versionPriority: Int64
  let namespace: String
  let service: String
  let port: Int64
  /// PEM; empty: the authorities of the operating system.
  let authorityPEM: String
  let acceptsAnyCertificate: Bool
  /// As the last check found it.
  let isAvailable: Bool

  static func key(_ name: String) -> ObjectKey {
    ObjectKey(resource: resource.description, namespace: "", name: name)
  }

  /// nil: this server answers for it.
  init?(_ object: StoredObject) {
    let tree = object.tree
    let spec = tree["spec"]
    let service = spec["service"]
    guard service.object != nil else { return nil }
    name = object.key.name
    revision = object.revision
    group = spec["group"].string ?? ""
    version = spec["version"].string ?? ""
    groupPriority = spec["groupPriorityMinimum"].integer ?? 0
    versionPriority = spec["versionPriority"].integer ?? 0
    namespace = service["namespace"].string ?? ""
    self.service = service["name"].string ?? ""
    port = service["port"].integer ?? 443
    authorityPEM = String(decoding: (try? Base64.decode(spec["caBundle"].string ?? "")) ?? [], as: UTF8.self)
    acceptsAnyCertificate = spec["insecureSkipTLSVerify"] == true
    isAvailable = AvailableCondition.isTrue(in: tree)
  }

  /// "apis/metrics.k8s.io/v1beta1".
  var path: String { "apis/\(group)/\(version)" }

  func target(host: String, port: UInt16) -> WebhookTarget {
    var target = WebhookTarget(
      host: host, port: port, serverName: "\(service).\(namespace).svc", authorityPEM: authorityPEM)
    target.acceptsAnyCertificate = acceptsAnyCertificate
    return target
  }
}

/// The condition `Available` of an APIService.
struct AvailableCondition: Sendable, Hashable {
  var status: String
  var reason: String
  var message: String

  static let local = AvailableCondition(
    status: "True", reason: "Local", message: "Local APIServices are always available")
  static let passed = AvailableCondition(status: "True", reason: "Passed", message: "all checks passed")
  static func failed(_ reason: String, _ message: String) -> Self {
    Self(status: "False", reason: reason, message: message)
  }

  static func isTrue(in apiService: JSONValue) -> Bool {
    apiService["status"]["conditions"].elements.contains { $0["type"] == "Available" && $0["status"] == "True" }
  }

  /// What the objects of the cluster say; nil: nothing against it, the server itself must be asked.
  static func judge(_ api: AggregatedAPI, _ objects: ObjectLookup) -> AvailableCondition? {
    let place = "service/\(api.service) in \(JSONValue.string(api.namespace))"
    guard
      let service = objects.object(
        GroupResource(group: "", resource: "services"), namespace: api.namespace, name: api.service)
    else { return failed("ServiceNotFound", "\(place) is not present") }
    guard (service["spec"]["type"].string ?? "ClusterIP") == "ClusterIP" else { return nil }
    guard let port = service["spec"]["ports"].elements.first(where: { $0["port"].integer == api.port }) else {
      return failed("ServicePortError", "\(place) is not listening on port \(api.port)")
    }
    guard
      let endpoints = objects.object(
        GroupResource(group: "", resource: "endpoints"), namespace: api.namespace, name: api.service)
    else { return failed("EndpointsNotFound", "cannot find endpoints for \(place)") }
    let portName = port["name"].string ?? ""
    let isServed = endpoints["subsets"].elements.contains { subset in
      !subset["addresses"].elements.isEmpty
        && subset["ports"].elements.contains { ($0["name"].string ?? "") == portName }
    }
    return isServed
      ? nil
      : failed(
        "MissingEndpoints", "endpoints for \(place) have no addresses with port name \(JSONValue.string(portName))")
  }

  /// Writes it; its time moves when its status does. Returns whether anything changed.
  func set(in apiService: inout JSONValue, now: String) -> Bool {
    var conditions = apiService["status"]["conditions"].elements
    let position = conditions.firstIndex { $0["type"] == "Available" }
    let former = position.map { conditions[$0] } ?? .null
    var time = JSONValue.string(now)
    if former["status"].string == status {
      time = former["lastTransitionTime"]
      if former["reason"].string == reason, former["message"].string == message { return false }
    }
    let new: JSONValue = [
      "type": "Available", "status": .string(status), "lastTransitionTime": time, "reason": .string(reason),
      "message": .string(message),
    ]
    if let position { conditions[position] = new } else { conditions.append(new) }
    apiService["status"]["conditions"] = .array(conditions)
    return true
  }
}
