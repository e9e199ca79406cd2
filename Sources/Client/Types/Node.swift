import JSON
import Schema
import World

public struct Taint: Hashable, Sendable {
  public var key: String
  public var value: String
  /// NoSchedule, PreferNoSchedule or NoExecute.
  public var effect: String
  public var timeAdded: WallTime?

  public init(key: String, value: String = "", effect: String, timeAdded: WallTime? = nil) {
    self.key = key
    self.value = value
    self.effect = effect
    self.timeAdded = timeAdded
  }

  public init(json: some JSONReadable) {
    key = json["key"].string ?? ""
    value = json["value"].string ?? ""
    effect = json["effect"].string ?? ""
    timeAdded = json["timeAdded"].time
  }

  public var json: JSONValue {
    var taint: JSONValue = ["key": .string(key), "effect": .string(effect)]
    if !value.isEmpty { taint["value"] = .string(value) }
    if let timeAdded { taint["timeAdded"] = .string(timeAdded.rfc3339) }
    return taint
  }
}

public struct NodeCondition: Hashable, Sendable {
  public var type: String
  public var status: String
  public var reason: String
  public var message: String
  public var lastHeartbeatTime: WallTime?
  public var lastTransitionTime: WallTime?

  public init(json: some JSONReadable) {
    type = json["type"].string ?? ""
    status = json["status"].string ?? ""
    reason = json["reason"].string ?? ""
    message = json["message"].string ?? ""
    lastHeartbeatTime = json["lastHeartbeatTime"].time
    lastTransitionTime = json["lastTransitionTime"].time
  }
}

public struct Node: APIObject {
  public static let reference = ResourceReference.nodes
  public var metadata: ObjectMeta
  public var podCIDR: String
  /// One a family, the first being `podCIDR`.
  public var podCIDRs: [String]
  public var isUnschedulable: Bool
  public var taints: [Taint]
  public var capacity: ResourceList
  public var allocatable: ResourceList
  public var conditions: [NodeCondition]
  public var addresses: [(type: String, address: String)]
  /// Image name → size in bytes.
  public var images: [String: Int64]

  public init(json: some JSONReadable) {
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    let status = json["status"]
    podCIDR = spec["podCIDR"].string ?? ""
    podCIDRs = spec["podCIDRs"].elements.compactMap { $0.string }
    if podCIDRs.isEmpty, !podCIDR.isEmpty { podCIDRs = [podCIDR] }
    isUnschedulable = spec["unschedulable"].bool ?? false
    taints = spec["taints"].elements.map(Taint.init(json:))
    capacity = status["capacity"].resourceList
    allocatable = status["allocatable"].resourceList
    conditions = status["conditions"].elements.map(NodeCondition.init(json:))
    addresses = status["addresses"].elements.map { ($0["type"].string ?? "", $0["address"].string ?? "") }
    images = [:]
    for image in status["images"].elements {
      for name in image["names"].elements.compactMap({ $0.string }) { images[name] = image["sizeBytes"].integer ?? 0 }
    }
  }
  public static func read(_ json: JSONTape.Cursor) -> Self { Self(json: json) }

  public func condition(_ type: String) -> NodeCondition? { conditions.first { $0.type == type } }
  public var isReady: Bool { condition("Ready")?.status == "True" }
}
