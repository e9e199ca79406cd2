// Services, endpoints, namespaces and the small kinds.
import JSON
import Schema

public struct ServicePort: Hashable, Sendable {
  public var name: String
  public var protocolName: String
  public var port: Int64
  /// A number, or the name of a container port.
  public var targetPort: JSONValue
  public var nodePort: Int64
  public var appProtocol: String

  public init(json: JSONValue) {
    name = json["name"].string ?? ""
    protocolName = json["protocol"].string ?? "TCP"
    port = json["port"].integer ?? 0
    targetPort = json["targetPort"]
    nodePort = json["nodePort"].integer ?? 0
    appProtocol = json["appProtocol"].string ?? ""
  }
}

public struct Service: APIObject {
  public static let reference = ResourceReference.services
  public var metadata: ObjectMeta
  public var type: String
  public var clusterIP: String
  public var ipFamilies: [String]
  public var selector: [String: String]
  public var ports: [ServicePort]
  public var publishesNotReadyAddresses: Bool
  /// "PreferClose": clients should be sent to endpoints of their own zone, where there are any.
  public var trafficDistribution: String
  public var isHeadless: Bool { clusterIP == "None" }

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    type = spec["type"].string ?? "ClusterIP"
    clusterIP = spec["clusterIP"].string ?? ""
    ipFamilies = spec["ipFamilies"].elements.compactMap(\.string)
    selector = spec["selector"].stringMap
    ports = spec["ports"].elements.map(ServicePort.init(json:))
    publishesNotReadyAddresses = spec["publishNotReadyAddresses"].bool ?? false
    trafficDistribution = spec["trafficDistribution"].string ?? ""
  }
}

public struct Endpoints: APIObject {
  public static let reference = ResourceReference.endpoints
  public var metadata: ObjectMeta
  public var subsets: JSONValue

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    subsets = json["subsets"]
  }
}

public struct EndpointSlice: APIObject {
  public static let reference = ResourceReference.endpointSlices
  public var metadata: ObjectMeta
  public var addressType: String
  public var endpoints: JSONValue
  public var ports: JSONValue

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    addressType = json["addressType"].string ?? ""
    endpoints = json["endpoints"]
    ports = json["ports"]
  }
}

public struct Namespace: APIObject {
  public static let reference = ResourceReference.namespaces
  public var metadata: ObjectMeta
  public var phase: String
  /// spec.finalizers: "kubernetes" until the content is gone.
  public var finalizers: [String]
  public var conditions: [StatusCondition]

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    phase = json["status"]["phase"].string ?? ""
    finalizers = json["spec"]["finalizers"].elements.compactMap(\.string)
    conditions = json["status"]["conditions"].elements.map(StatusCondition.init(json:))
  }
}

public struct ServiceAccount: APIObject {
  public static let reference = ResourceReference.serviceAccounts
  public var metadata: ObjectMeta
  /// The Secrets that it says are its own.
  public var secretNames: [String]

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    secretNames = json["secrets"].elements.compactMap { $0["name"].string }
  }
}

public struct ConfigMap: APIObject {
  public static let reference = ResourceReference.configMaps
  public var metadata: ObjectMeta
  public var data: [String: String]

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    data = json["data"].stringMap
  }
}
